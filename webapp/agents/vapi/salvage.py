"""Reads as much as possible of an event whose body is too large, cut off, or not proper JSON.

A report of a long call has megabytes, most of which are not needed. This goes through the bytes once and
keeps the few members that are used (models/calls/reports.py, webapp/agents/vapi/envelope.py), so that little
is kept whatever comes. It never raises, and never keeps tool calls: those are run whole or not at all.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TypeAlias

Object: TypeAlias = dict[str, object]

MOST_LEVELS = 32  # of nesting
MOST_KEPT = 4 * 1024 * 1024  # bytes, roughly; beyond this only members beside the call's id are kept
MOST_TEXT = 1024 * 1024  # bytes of one string
#: Tokens that are read, at about a microsecond each: for each mebibyte three times as many as a report has.
#: So a small body cannot cost as much as the largest.
STEPS, STEPS_OF_A_MEBIBYTE = 200_000, 50_000
#: Tokens after which other threads get a turn. Without it each of them would wait 5 ms for every turn.
_BREATH = 500

#: The members that are kept, wherever they stand.
_READ = frozenset(
    (
        *("message", "type", "status", "call", "id", "customer", "number", "phoneNumber", "phoneNumberId"),
        *("assistantId", "endedReason", "startedAt", "endedAt", "durationSeconds", "durationMs"),
        *("durationMinutes", "cost", "costs", "costBreakdown", "total", "artifact", "analysis", "summary"),
        *("transcript", "messages", "messagesOpenAIFormatted", "structuredOutputs", "successEvaluation"),
        *("structuredData", "role", "content", "text", "secondsFromStart"),
    )
)
#: Below these every member is kept: the names are the clinic's own.
_WHOLE = frozenset(("structuredOutputs", "structuredData"))

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
#: A string, with the colon if it is a name; a bracket; any other value; the start of a string without an end.
_TOKEN = re.compile(rb'(%s)(\s*+:)?|([{\[])|([}\]])|([^\s,:{}\[\]"]++)|"' % _STRING, re.DOTALL)
#: Values with two further levels at most, all closed again: with this, dropped parts are skipped quickly.
_FLAT = rb'(?:[^"{}\[\]]++|%s)' % _STRING
_NESTED = rb"(?:%s|[{\[]%s*+[}\]])" % (_FLAT, _FLAT)
_DROPPED = re.compile(rb"(?:%s|[{\[]%s*+[}\]])*+" % (_NESTED, _NESTED), re.DOTALL)


def message(body: bytes) -> tuple[Object, bool]:
    """The kept members of `message` (none without a `message`), and whether all of the body was read."""
    found, place = _Found(), 0
    for step in range(STEPS + STEPS_OF_A_MEBIBYTE * len(body) // 2**20):
        if step % _BREATH == 0:
            time.sleep(0)
        if found.dropped and (passed := _DROPPED.match(body, place)):
            place = passed.end()
        token = _TOKEN.search(body, place)
        if token is None or token[0] == b'"' or (token[5] and token.end() == len(body)):
            break  # the body is cut off here
        place = token.end()
        if found.take(*token.groups()):
            return found.message, True
    return found.message, False


@dataclass(slots=True)
class _Found:
    """What has been found so far, and the place in the body."""

    root: Object = field(default_factory=dict)
    #: The open objects and lists, from the outside in, and whether all of each is kept.
    path: list[tuple[Object | list[object], bool]] = field(default_factory=list)
    key: str | None = None
    dropped: int = 0  # levels, inside a value that is not kept
    kept: int = 0  # bytes, roughly

    @property
    def message(self) -> Object:
        found = self.root.get("message")
        return found if isinstance(found, dict) else {}

    def take(
        self, text: bytes | None, colon: bytes | None, opens: bytes | None, closes: bytes | None,
        scalar: bytes | None,
    ) -> bool:  # fmt: skip
        """Take one token. True if the whole body ends with it."""
        if self._is_full():
            del self.path[-1:]
            self.dropped = 1
        if self.dropped:
            self.dropped += bool(opens) - bool(closes)
        elif colon is not None:
            self.key = _text(text or b"")
        elif closes:
            del self.path[-1:]
            return not self.path
        else:
            if opens:
                self._open({} if opens == b"{" else [])
            elif self._is_read():
                self._put(_text(text) if text is not None else _scalar(scalar or b""))
                self.kept += min(len(text or b""), MOST_TEXT)
            self.key = None
        return False

    def _open(self, inner: Object | list[object]) -> None:
        if not self.path and isinstance(inner, dict):
            self.path.append((self.root, False))
        elif self._is_read():
            whole = self.path[-1][1] or self.key in _WHOLE
            self._put(inner)
            self.path.append((inner, whole))
        else:
            self.dropped = 1

    def _is_read(self) -> bool:
        if not 0 < len(self.path) < MOST_LEVELS:
            return False
        inside, whole = self.path[-1]
        if self.kept > MOST_KEPT:
            return not self._is_full() and self.key in _READ
        return isinstance(inside, list) or whole or self.key in _READ

    def _is_full(self) -> bool:
        """Whether the innermost open value keeps nothing more. The call's few members may come last."""
        if self.kept <= MOST_KEPT or not self.path or self.dropped:
            return False
        inside, whole = self.path[-1]
        return not isinstance(inside, dict) or whole or len(self.path) > 4

    def _put(self, value: object) -> None:
        self.kept += 64
        inside, _ = self.path[-1]
        if isinstance(inside, list):
            inside.append(value)
        elif self.key is not None:
            inside[self.key] = value


def _text(raw: bytes) -> str:
    """The text of a JSON string, without its quotes; undecoded if it is not valid JSON."""
    raw = raw[1:-1]
    if len(raw) > MOST_TEXT:
        raw = raw[:MOST_TEXT].rpartition(b" ")[0]  # cut at a space, so that no escape is cut in two
    text = raw.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        decoded: str = json.loads(f'"{text}"', strict=False)
    except ValueError:  # an invalid escape
        return text
    return decoded


def _scalar(raw: bytes) -> object:
    """A number, true, false or null; None for anything else, such as NaN."""
    try:
        return json.loads(raw, parse_constant=lambda _: None)
    except ValueError:
        return None
