"""Reads a calendar in ICS (RFC 5545) that a stranger wrote: bytes in, busy times out, and nothing else.

It runs as a program of its own (`run`), because no library can be trusted to end: a rule that repeats every
second has billions of instances. The program has little time and memory, knows no secret, and answers with
numbers alone, so that no title of an event, which may name a patient, leaves it. It imports nothing of ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

Span = tuple[datetime, datetime]

#: The most of each that is read. What is over long before the first day is not counted.
MOST_BYTES = 5 * 1024 * 1024
MOST_EVENTS = 5_000
MOST_INSTANCES = 10_000
MOST_ZONES = 200

#: What one reading may use: seconds, and bytes of memory.
SECONDS = 8
MEMORY = 1024 * 1024 * 1024

#: As long as a block may be.
LONGEST = timedelta(days=3660)

#: No clock of a diary goes beyond it.
_LAST_YEAR = 2200


class Fault(StrEnum):
    """Why a calendar could not be read."""

    NOT_A_CALENDAR = "not_a_calendar"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_MANY_EVENTS = "too_many_events"
    TOO_MANY_INSTANCES = "too_many_instances"
    TOO_MANY_ZONES = "too_many_zones"
    TOOK_TOO_LONG = "took_too_long"


class CannotRead(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Reading:
    """The busy times of a calendar, in UTC, in order and without overlaps; and how many events it has that
    are not over, of which `ours` came from Holdline itself.
    """

    spans: tuple[Span, ...]
    events: int
    ours: int


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same time in as few spans as possible, in order. Spans without length are left out."""
    merged: list[Span] = []
    for begins, ends in sorted(each for each in spans if each[0] < each[1]):
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        else:
            merged.append((begins, ends))
    return merged


# --- in a program of its own ----------------------------------------------------------------------


def run(
    body: bytes, *, zone: ZoneInfo, begin: datetime, end: datetime, own_uids: str, seconds: float = SECONDS
) -> Reading:
    """Read a calendar in a program that is ended after `seconds`. Raises CannotRead.

    `zone` is that of times that name none and of whole days. The busy times are those that reach into
    [begin, end), each from its own beginning to its own end. Events whose UID ends with `own_uids` were
    published by the clinic itself, and are booked there already.
    """
    if len(body) > MOST_BYTES:
        raise CannotRead(Fault.TOO_LARGE)
    asked = json.dumps(
        {"zone": zone.key, "begin": begin.isoformat(), "end": end.isoformat(), "own_uids": own_uids}
    )
    try:
        done = subprocess.run(  # noqa: S603 (this file, with our own interpreter)
            [sys.executable, "-I", __file__, str(seconds)],
            input=asked.encode() + b"\n" + body,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotRead(Fault.TOOK_TOO_LONG) from None
    if done.returncode < 0:  # ended by the limit on its time
        raise CannotRead(Fault.TOOK_TOO_LONG)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise CannotRead(Fault.UNREADABLE) from None
    if "fault" in answer:
        raise CannotRead(Fault(answer["fault"]))
    spans = tuple(
        (datetime.fromtimestamp(begins, UTC), datetime.fromtimestamp(ends, UTC))
        for begins, ends in answer["spans"]
    )
    return Reading(spans, answer["events"], answer["ours"])


def main() -> None:
    limit(int(float(sys.argv[1])) + 1)
    asked = json.loads(sys.stdin.buffer.readline())
    body = sys.stdin.buffer.read(MOST_BYTES + 1)
    begin, end = (datetime.fromisoformat(asked[name]) for name in ("begin", "end"))
    try:
        found = read(body, zone=ZoneInfo(asked["zone"]), begin=begin, end=end, own_uids=asked["own_uids"])
    except CannotRead as problem:
        answer: dict[str, object] = {"fault": problem.fault}
    except MemoryError:
        answer = {"fault": Fault.TOOK_TOO_LONG}
    except Exception:  # noqa: BLE001 (whatever a library says of a stranger's text, it cannot be read)
        answer = {"fault": Fault.UNREADABLE}
    else:
        spans = [[begins.timestamp(), ends.timestamp()] for begins, ends in found.spans]
        answer = {"spans": spans, "events": found.events, "ours": found.ours}
    sys.stdout.write(json.dumps(answer))


def limit(seconds: int) -> None:
    """Have the system end this program when it has used its time, and refuse it more memory."""
    import resource  # noqa: PLC0415 (only this program needs it)

    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    if sys.platform == "linux":  # elsewhere it counts what is only reserved
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


# --- the reading itself ---------------------------------------------------------------------------


def read(body: bytes, *, zone: ZoneInfo, begin: datetime, end: datetime, own_uids: str) -> Reading:
    """As `run`, within this process and however long it takes; it may raise what a library raises."""
    import icalendar  # noqa: PLC0415 (the rest of Holdline does without them)
    import recurring_ical_events  # type: ignore[import-untyped] # noqa: PLC0415
    import x_wr_timezone  # type: ignore[import-untyped] # noqa: PLC0415

    body = _but_the_past(_checked(body), begin)
    if body.upper().count(b"BEGIN:VEVENT") > MOST_EVENTS:
        raise CannotRead(Fault.TOO_MANY_EVENTS)
    spans: list[Span] = []
    events = ours = instances = 0
    calendars: list[Any] = icalendar.Calendar.from_ical(body, multiple=True)
    for calendar in calendars:
        own = _zone_of(calendar)
        standard: Any = x_wr_timezone.to_standard(calendar, timezone=own) if own else calendar
        standard.pop("X-WR-TIMEZONE", None)  # or the next library reads it again, whether it exists or not
        kept = [each for each in standard.subcomponents if each.name != "VEVENT"]
        for event in standard.walk("VEVENT"):
            if "DTSTART" not in event or event["DTSTART"].dt.year > _LAST_YEAR:
                continue
            events += 1
            if str(event.get("UID", "")).strip().endswith(own_uids):
                ours += 1
                continue
            if (
                "DTEND" in event and event["DTEND"].dt.year > _LAST_YEAR
            ):  # "for ever", which no library can reckon with
                event["DTEND"].dt = event["DTEND"].dt.replace(year=_LAST_YEAR)
            kept.append(event)
        standard.subcomponents = kept
        owner = str(calendar.get("X-WR-CALNAME", "")).strip().casefold()
        query = recurring_ical_events.of(standard, skip_bad_series=True)
        for instance in query.between(begin - timedelta(days=1), end + timedelta(days=1)):
            instances += 1
            if instances > MOST_INSTANCES:
                raise CannotRead(Fault.TOO_MANY_INSTANCES)
            if _is_busy(instance, owner):
                spans += _span(instance, own or zone)
    inside = [
        (begins, min(ends, begins + LONGEST)) for begins, ends in spans if ends > begin and begins < end
    ]
    return Reading(tuple(merge(inside)), events, ours)


def _checked(body: bytes) -> bytes:
    """What could be a calendar, and has no more of anything than is read."""
    if len(body) > MOST_BYTES:
        raise CannotRead(Fault.TOO_LARGE)
    body = _LINE_END.sub(b"\n", body.removeprefix(b"\xef\xbb\xbf").lstrip())
    body = body.replace(b"\n ", b"").replace(b"\n\t", b"")  # long lines are folded
    if not body[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        raise CannotRead(Fault.NOT_A_CALENDAR)
    if not body.rstrip()[-13:].upper().endswith(b"END:VCALENDAR"):
        raise CannotRead(Fault.UNREADABLE)  # what broke off would free what is busy in the rest of it
    if body.upper().count(b"BEGIN:VTIMEZONE") > MOST_ZONES:
        raise CannotRead(Fault.TOO_MANY_ZONES)
    return body


_LINE_END = re.compile(rb"\r\n?")
_EVENT = re.compile(
    rb"^BEGIN:VEVENT\r?\n.*?^END:VEVENT[ \t]*\r?\n?", re.DOTALL | re.MULTILINE | re.IGNORECASE
)
_COMES_AGAIN = re.compile(rb"^(?:RRULE|RDATE|RECURRENCE-ID|DURATION)\b", re.MULTILINE | re.IGNORECASE)
_ENDS = re.compile(rb"^DT(?:START|END)\b[^\r\n]*:(\d{8})", re.MULTILINE | re.IGNORECASE)


def _but_the_past(body: bytes, begin: datetime) -> bytes:
    """Without the single events that were over two days before, since calendars are published with all
    their past, and a library needs seconds for thousands of events.
    """
    last = f"{begin - timedelta(days=2):%Y%m%d}".encode()

    def kept(found: re.Match[bytes]) -> bytes:
        days = _ENDS.findall(found[0])
        return found[0] if not days or max(days) >= last or _COMES_AGAIN.search(found[0]) else b""

    return _EVENT.sub(kept, body)


def _zone_of(calendar: Any) -> ZoneInfo | None:  # noqa: ANN401 (icalendar has no types for its values)
    """The zone that a calendar names in Google's older way; None if it names none that exists."""
    try:
        return ZoneInfo(str(calendar["X-WR-TIMEZONE"]).strip())
    except (KeyError, ValueError, OSError):
        return None


def _is_busy(event: Any, owner: str) -> bool:  # noqa: ANN401
    """Whether an instance takes its owner's time; a tentative one does."""
    if (
        str(event.get("STATUS", "")).upper() == "CANCELLED"
        or str(event.get("TRANSP", "")).upper() == "TRANSPARENT"
    ):
        return False
    if str(event.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper() == "FREE":
        return False
    return not any(
        str(each).casefold().removeprefix("mailto:") == owner
        and each.params.get("PARTSTAT", "").upper() == "DECLINED"
        for each in _listed(event.get("ATTENDEE"))
        if hasattr(each, "params")
    )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return value if isinstance(value, list) else [] if value is None else [value]


def _span(event: Any, zone: ZoneInfo) -> Iterator[Span]:  # noqa: ANN401
    """The time of an instance. A time that names no zone, and a whole day, are of `zone`."""
    try:
        begins, ends = _instant(event.start, zone), _instant(event.end, zone)
    except (OverflowError, ValueError):  # before the first year, or after the last
        return
    if begins < ends:
        yield begins, ends


def _instant(value: date, zone: ZoneInfo) -> datetime:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)


if __name__ == "__main__":
    main()
