"""Signatures of requests: how they are read and compared, and how much work the comparisons may cost."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flask import Request

from models.clinics.organizations import PayloadFormat, SignatureAlgorithm, SignatureEncoding
from webapp.addresses import url_of

#: Seconds by which a signature's time may differ from ours, either way.
WINDOW = 300

SIGNATURE_HEADER = "x-signature"
TIMESTAMP_HEADER = "x-timestamp"

_BODY = "{body}"


@dataclass(frozen=True, slots=True)
class Writing:
    """In which headers a signature and its time stand, and how the signature is written."""

    algorithm: SignatureAlgorithm
    encoding: SignatureEncoding
    prefix: str
    signature_header: str
    timestamp_header: str

    def presented(self, request: Request, now: float) -> bytes | None:
        """The signature of the request, if its time is within WINDOW of `now` (seconds, UTC), and its prefix,
        encoding and length are right. Else None, so that no hashing is spent on it.
        """
        stamp = request.headers.get(self.timestamp_header, "")
        given = request.headers.get(self.signature_header, "").strip()
        if not _recent(stamp, now) or not given.startswith(self.prefix):
            return None
        decoded = self._decoded(given.removeprefix(self.prefix))
        return decoded if len(decoded) == hashlib.new(self.algorithm.value).digest_size else None

    def _decoded(self, signature: str) -> bytes:
        try:
            if self.encoding is SignatureEncoding.HEX:
                return bytes.fromhex(signature)
            return base64.b64decode(signature, validate=True)
        except (ValueError, binascii.Error):
            return b""


@dataclass(frozen=True, slots=True)
class Signing:
    """One signing credential, with its secret unsealed."""

    org_id: uuid.UUID
    id: uuid.UUID
    secret: bytes = field(repr=False)
    writing: Writing
    payload: PayloadFormat

    @property
    def covers_path(self) -> bool:
        return self.payload is PayloadFormat.REQUEST

    def made(self, presented: bytes, request: Request, body: bytes) -> bool:
        """Whether this credential made the signature of exactly this body and its time, and of method and
        address if the credential covers them. Costs one pass over the body.
        """
        head = self.payload.value.removesuffix(_BODY).format(
            timestamp=request.headers.get(self.writing.timestamp_header, ""),
            method=request.method,
            url=url_of(request),
        )
        expected = hmac.new(self.secret, head.encode(), self.writing.algorithm.value)
        expected.update(body)  # not joined with the head, which would copy up to 32 MiB
        return hmac.compare_digest(presented, expected.digest())

    def known_as(self, presented: bytes) -> str:
        """The digest by which a signature is remembered, however its header was written. It cannot sign."""
        return hashlib.sha256(self.id.bytes + presented).hexdigest()


def _recent(stamp: str, now: float) -> bool:
    """Whether the time is within WINDOW. It may be in milliseconds: twelve digits are never seconds."""
    if not re.fullmatch(r"[0-9]{1,14}", stamp):
        return False
    seconds = int(stamp) / (1000 if len(stamp) > 11 else 1)
    return abs(now - seconds) <= WINDOW


class Effort:
    """How many keys are tried on a request that names no credential. Each try is a pass over its body.

    A few keys are always tried, beginning with those that were right most recently, so that valid requests
    are recognised during any flood. For the tries beyond these, all requests of this process share `most`
    bytes, which fill up again within `refilled` seconds.
    """

    #: Tries that are always made: this many keys, or this many hashed bytes, whichever is more. An ordinary
    #: tool call is tried with 256 keys or more.
    FEW = 4
    ALWAYS = 1024 * 1024

    #: Credentials that are remembered as right most recently.
    MOST_RIGHT = 256

    def __init__(
        self, most: int, refilled: float = 16.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = most
        self._rate = most / refilled
        self._clock = clock
        self._lock = threading.Lock()
        self._left, self._left_at = float(most), clock()
        self._right: dict[uuid.UUID, None] = {}  # the most recent last

    def order(self, signing: Iterable[Signing]) -> list[Signing]:
        """The credentials, beginning with those that were right most recently."""
        by_id = {each.id: each for each in signing}
        with self._lock:
            right = [each for each in reversed(self._right) if each in by_id]
        return [*(by_id.pop(each) for each in right), *by_id.values()]

    def affords(self, tried: int, size: int) -> bool:
        """Whether one more key may be tried on a body of `size` bytes, after `tried` keys."""
        return tried < max(self.FEW, self.ALWAYS // max(size, 1)) or self._spend(size)

    def was_right(self, signing: Signing) -> None:
        with self._lock:
            self._right.pop(signing.id, None)
            self._right[signing.id] = None
            while len(self._right) > self.MOST_RIGHT:
                del self._right[next(iter(self._right))]

    def _spend(self, size: int) -> bool:
        with self._lock:
            now = self._clock()
            self._left = min(self._most, self._left + (now - self._left_at) * self._rate)
            self._left_at = now
            if self._left < size:
                return False
            self._left -= size
            return True
