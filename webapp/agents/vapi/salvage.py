"""What can still be made out of an event whose body is too large, cut off, or no proper JSON.

A report of a long call is megabytes, most of which nobody reads. This goes through the bytes once and
keeps the few members that are read (models/calls/reports.py, webapp/agents/vapi/envelope.py), so that what is
kept is small whatever comes. It never raises, and never keeps the calls of tools: those are run whole or not
at all.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TypeAlias

Object: TypeAlias = dict[str, object]

MOST_LEVELS = 32  # of nesting
MOST_KEPT = 4 * 1024 * 1024  # bytes, roughly; beyond them only what stands beside the call's id is kept
MOST_TEXT = 1024 * 1024  # bytes of one text
#: Tokens that are looked at, at about a microsecond each: for each mebibyte three times as many as a report
#: has. A smaller body must not cost as much as the largest.
STEPS, STEPS_OF_A_MEBIBYTE = 200_000, 50_000
#: Tokens after which the other threads may go on: none of them would for 5 ms at each of its own steps.
_BREATH = 500

#: The members that are read, wherever they stand.
_READ = frozenset(
    (
        *("message", "type", "status", "call", "id", "customer", "number", "phoneNumber", "phoneNumberId"),
        *("assistantId", "endedReason", "startedAt", "endedAt", "durationSeconds", "durationMs"),
        *("durationMinutes", "cost", "costs", "costBreakdown", "total", "artifact", "analysis", "summary"),
        *("transcript", "messages", "messagesOpenAIFormatted", "structuredOutputs", "successEvaluation"),
        *("structuredData", "role", "content", "text", "secondsFromStart"),
    )
)
#: Below these every name counts: they are a clinic's own.
_WHOLE = frozenset(("structuredOutputs", "structuredData"))

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
#: A text and the colon of a name; a bracket; any other value; the beginning of a text that does not end.
_TOKEN = re.compile(rb'(%s)(\s*+:)?|([{\[])|([}\]])|([^\s,:{}\[\]"]++)|"' % _STRING, re.DOTALL)
#: All that opens no further levels but two, and closes them again: what is dropped is passed over quickly.
_FLAT = rb'(?:[^"{}\[\]]++|%s)' % _STRING
_NESTED = rb"(?:%s|[{\[]%s*+[}\]])" % (_FLAT, _FLAT)
_DROPPED = re.compile(rb"(?:%s|[{\[]%s*+[}\]])*+" % (_NESTED, _NESTED), re.DOTALL)


def message(body: bytes) -> tuple[Object, bool]:
    """The members of `message` that are read, and whether all of the body could be.

    Without a `message` it is empty.
    """
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
    """What was found so far, and where we are."""

    root: Object = field(default_factory=dict)
    #: What is open, from the outside in, and whether all of it is kept.
    path: list[tuple[Object | list[object], bool]] = field(default_factory=list)
    key: str | None = None
    dropped: int = 0  # levels, inside of something that is not read
    kept: int = 0  # bytes, roughly

    @property
    def message(self) -> Object:
        found = self.root.get("message")
        return found if isinstance(found, dict) else {}

    def take(
        self, text: bytes | None, colon: bytes | None, opens: bytes | None, closes: bytes | None,
        scalar: bytes | None,
    ) -> bool:  # fmt: skip
        """Take one token; whether the whole body ends with it."""
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
        """Whether nothing more is kept of what is open. The call's own few words may come after megabytes."""
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
    """A text of JSON, without its quotes; as it stands if it is not what JSON takes."""
    raw = raw[1:-1]
    if len(raw) > MOST_TEXT:
        raw = raw[:MOST_TEXT].rpartition(b" ")[0]  # a space is in no escape, and so none is cut in two
    text = raw.decode("utf-8", "replace")
    if "\\" not in text:
        return text
    try:
        decoded: str = json.loads(f'"{text}"', strict=False)
    except ValueError:  # an escape that is none
        return text
    return decoded


def _scalar(raw: bytes) -> object:
    """A number, true, false or null; None for anything else, NaN among it."""
    try:
        return json.loads(raw, parse_constant=lambda _: None)
    except ValueError:
        return None
