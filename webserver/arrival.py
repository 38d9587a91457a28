"""One request as its bytes come in: where its head ends, where its body ends, and what is wrong with it.

Nothing here touches a socket or waits, so the event loop of the web may run it. Gunicorn's own strict parser
reads the head; a body in chunks is put together here, because gunicorn's reader can only wait for more.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Protocol

from gunicorn.http.body import ChunkedReader
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

#: Bytes of a request line and its headers, all together.
MOST_HEAD = 64 * 1024

#: Bytes of the line before a chunk, and of all lines after the last one.
_MOST_CHUNK_LINE = 256
_MOST_TRAILERS = 8 * 1024

#: The chunks that a body may have, beside one for each 64 bytes: very small chunks cost much time for few
#: bytes.
_FREE_CHUNKS = 1024

_LONE_LF = re.compile(rb"(?<!\r)\n")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told whose request is refused."""

    status: str
    code: str
    sentence: str

    retry_after: int | None = None  # seconds

    def answer(self) -> bytes:
        """The whole HTTP answer, after which the connection ends."""
        # The members of the bare form and of an event that was not received (docs/decisions/0019).
        body = (
            f'{{"success": false, "received": false, "code": "{self.code}", "error": "{self.sentence}",'
            f' "say": "{self.sentence}"}}\n'
        )
        retry = f"Retry-After: {self.retry_after}\r\n" if self.retry_after else ""
        return (
            f"HTTP/1.1 {self.status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{retry}"
            f"Connection: close\r\n\r\n{body}"
        ).encode()


class Refused(Exception):
    """The request cannot be taken; `refusal` is what the client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


BAD_CHUNKS = Refusal("400 Bad Request", "unreadable_request", "The chunks of the body could not be read.")
HEAD_TOO_LARGE = Refusal(
    "431 Request Header Fields Too Large", "request_too_large", "The headers have more than 64 KiB."
)


class _Body(Protocol):
    def take(self, raw: bytearray, body: io.BytesIO, limit: int) -> bool:
        """Move the body's bytes from `raw` to `body`, up to `limit` bytes in all; True at the body's end."""


class _Counted:
    """A body of known length, in bytes."""

    def __init__(self, length: int) -> None:
        self.left = length

    def take(self, raw: bytearray, body: io.BytesIO, limit: int) -> bool:
        piece = raw[: max(0, min(self.left, limit - body.tell()))]
        body.write(piece)
        del raw[: len(piece)]
        self.left -= len(piece)
        return not self.left


class _Chunks:
    """A body in chunks (RFC 9112, 7.1). Trailers are skipped."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the present chunk
        self._chunks = 0
        self._ends = False  # a chunk's last byte has come, and its CRLF has not
        self._trailers: int | None = None  # their bytes, once the last chunk has come

    def take(self, raw: bytearray, body: io.BytesIO, limit: int) -> bool:
        while True:
            if self._left or self._ends:
                if not self._take_piece(raw, body, limit):
                    return False
            elif (line := self._line(raw)) is None:
                return False
            elif self._trailers is None:
                self._begin_chunk(line, body.tell())
            elif line:
                if not _TRAILER.fullmatch(line):  # a proxy could see the end of the body within it
                    raise Refused(BAD_CHUNKS)
                self._trailers += len(line) + 2
            else:
                return True

    def _take_piece(self, raw: bytearray, body: io.BytesIO, limit: int) -> bool:
        """Take the bytes of the present chunk that have come; True at the chunk's end."""
        if self._left:
            piece = raw[: max(0, min(self._left, limit - body.tell()))]
            body.write(piece)
            del raw[: len(piece)]
            self._left -= len(piece)
            if self._left:
                return False
            self._ends = True
        if len(raw) < 2:
            return False
        if raw[:2] != b"\r\n":
            raise Refused(BAD_CHUNKS)
        del raw[:2]
        self._ends = False
        return True

    def _begin_chunk(self, line: bytes, so_far: int) -> None:
        size = _CHUNK_SIZE.fullmatch(line)
        self._chunks += 1
        if size is None or self._chunks > _FREE_CHUNKS + so_far // 64:
            raise Refused(BAD_CHUNKS)
        self._left = int(size[1], 16)
        if not self._left:
            self._trailers = 0

    def _line(self, raw: bytearray) -> bytes | None:
        most = _MOST_CHUNK_LINE if self._trailers is None else _MOST_TRAILERS - self._trailers
        end = raw.find(b"\r\n", 0, max(0, most) + 2)
        if end < 0:
            if len(raw) > most:
                raise Refused(BAD_CHUNKS)
            return None
        line = bytes(raw[:end])
        del raw[: end + 2]
        return line


class Arrival:
    """One request. It also stands in for gunicorn's parser, which returns each request by `next`."""

    def __init__(self, config: Any, client: Any, number: int = 1, left_over: bytes = b"") -> None:
        self.request: Request | None = None
        self.body = io.BytesIO()
        self.whole = False
        self._config, self._client, self._number = config, client, number
        self._raw = bytearray(left_over)
        self._head = 0  # bytes
        self._searched = 0
        self._rest: _Body = _Counted(0)
        self._wrong: Exception | None = None

    @property
    def begun(self) -> bool:
        """Whether any bytes of the request have come."""
        return self.request is not None or bool(self._raw) or self.whole

    @property
    def held(self) -> int:
        """Bytes that the request takes in memory until it is answered."""
        return self._head + len(self._raw) + self.body.tell()

    @property
    def declared(self) -> int | None:
        """The length of the body by the head, in bytes; None if the body comes in chunks."""
        return self.body.tell() + self._rest.left if isinstance(self._rest, _Counted) else None

    def feed(self, data: bytes) -> None:
        self._raw += data

    def advance(self, limit: int) -> None:
        """Read what has come, up to a body of `limit` bytes. Raises Refused."""
        if self.request is None and not self.whole and self._head_has_come():
            self._read_head()
        if self.request is not None and not self.whole:
            self.whole = self._rest.take(self._raw, self.body, limit)

    def cut(self) -> None:
        """Take the part that has come as the whole request; no other request can follow on the connection."""
        self.whole = True
        self._raw.clear()
        if self.request is not None:
            self.request.force_close()

    def expects_to_be_told(self) -> bool:
        """Whether the client waits for a "100 Continue" before it sends the body. True only once."""
        expects = bool(self.request is not None and self.request._expected_100_continue)  # noqa: SLF001
        if expects and self.request is not None:
            self.request._expected_100_continue = False  # noqa: SLF001 -- gunicorn would say it again
        return expects

    def following(self) -> Arrival:
        """The next request of the same connection, with its bytes that have come already."""
        return Arrival(self._config, self._client, self._number + 1, bytes(self._raw))

    def _head_has_come(self) -> bool:
        """Whether gunicorn's parser can read to the end of the head, or to a mistake, without more bytes."""
        raw, since = self._raw, max(0, self._searched - 3)
        self._searched = len(raw)
        end = raw.find(b"\r\n\r\n", since)
        if (end < 0 and len(raw) > MOST_HEAD) or end > MOST_HEAD:
            raise Refused(HEAD_TOO_LARGE)
        return end >= 0 or _LONE_LF.search(raw, since) is not None

    def _read_head(self) -> None:
        source = IterUnreader([bytes(self._raw)])
        self._head = len(self._raw)
        self._raw.clear()
        try:
            self.request = Request(self._config, source, self._client, self._number)
        except Exception as error:  # noqa: BLE001 -- a thread answers it, as gunicorn does
            self._wrong, self.whole = error, True
            return
        self._raw += source.take_buffered()
        self._head -= len(self._raw)
        reader = self.request.body.reader
        self._rest = _Chunks() if isinstance(reader, ChunkedReader) else _Counted(reader.length)

    # --- what gunicorn asks of its parser

    def __next__(self) -> Request:
        if self._wrong is not None or self.request is None:
            raise self._wrong or StopIteration
        self.body.seek(0)
        self.request.body = self.body
        return self.request

    def finish_body(self, **_: object) -> bool:
        """True: the whole body has been taken from the socket."""
        return True
