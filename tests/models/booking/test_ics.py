"""What is read of a calendar in ICS: its busy times, however hostile or odd it is."""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.booking import calendar_uids, ics
from models.booking.ics import CannotRead, Fault, Span, merge

BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 11, 29, tzinfo=UTC)
END = datetime(2028, 11, 30, tzinfo=UTC)


def calendar(*events: str, head: str = "") -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//x", head, *events, "END:VCALENDAR"]
    return "\r\n".join("\r\n".join(each.strip().splitlines()) for each in lines if each.strip()).encode()


def event(*lines: str, uid: object = 1) -> str:
    return "\n".join(("BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT"))


OURS = calendar_uids.ending(uuid.UUID(int=1))
TEN = ("DTSTART:20261205T100000Z", "DTEND:20261205T110000Z")


def busy(body: bytes, *, begin: datetime = BEGIN, end: datetime = END) -> list[str]:
    """The busy times in UTC, short."""
    found = ics.read(body, zone=BERLIN, begin=begin, end=end, own_uids=OURS)
    return [f"{begins:%d.%m. %H:%M}-{ends:%d.%m. %H:%M}" for begins, ends in found.spans]


def fault(body: bytes, **more: float) -> Fault:
    with pytest.raises(CannotRead) as caught:
        ics.run(body, zone=BERLIN, begin=BEGIN, end=END, own_uids=OURS, **more)
    return caught.value.fault


ODD = {
    "a time in UTC": (calendar(event(*TEN)), ["05.12. 10:00-05.12. 11:00"]),
    "a time without a zone is the person's": (
        calendar(event("DTSTART:20261205T100000", "DTEND:20261205T110000")),
        ["05.12. 09:00-05.12. 10:00"],
    ),
    "or that of the calendar": (
        calendar(
            event("DTSTART:20261205T100000", "DTEND:20261205T110000"), head="X-WR-TIMEZONE:America/New_York"
        ),
        ["05.12. 15:00-05.12. 16:00"],
    ),
    "a calendar's zone that does not exist is none": (
        calendar(event("DTSTART:20261205T100000", "DTEND:20261205T110000"), head="X-WR-TIMEZONE:Not/There"),
        ["05.12. 09:00-05.12. 10:00"],
    ),
    "nor does an event's": (
        calendar(event("DTSTART;TZID=Not/There:20261205T100000", "DTEND;TZID=Not/There:20261205T110000")),
        ["05.12. 09:00-05.12. 10:00"],
    ),
    "a zone by its name": (
        calendar(event("DTSTART;TZID=Asia/Tokyo:20261205T100000", "DTEND;TZID=Asia/Tokyo:20261205T110000")),
        ["05.12. 01:00-05.12. 02:00"],
    ),
    "a zone by Microsoft's name": (
        calendar(
            event(
                "DTSTART;TZID=Tokyo Standard Time:20261205T100000",
                "DTEND;TZID=Tokyo Standard Time:20261205T110000",
            )
        ),
        ["05.12. 01:00-05.12. 02:00"],
    ),
    "a whole day is the person's day": (
        calendar(event("DTSTART;VALUE=DATE:20261205")),
        ["04.12. 23:00-05.12. 23:00"],
    ),
    "whole days, to the one before their end": (
        calendar(event("DTSTART;VALUE=DATE:20270327", "DTEND;VALUE=DATE:20270330")),
        ["26.03. 23:00-29.03. 22:00"],  # the clocks change on the 28th
    ),
    "a length in place of an end": (
        calendar(event("DTSTART:20261205T100000Z", "DURATION:PT1H30M")),
        ["05.12. 10:00-05.12. 11:30"],
    ),
    "no length": (calendar(event("DTSTART:20261205T100000Z")), []),
    "an end before the beginning": (
        calendar(event("DTSTART:20261205T110000Z", "DTEND:20261205T100000Z")),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "no beginning": (calendar(event(), event(*TEN, uid=2)), ["05.12. 10:00-05.12. 11:00"]),
    "for ever": (
        calendar(event("DTSTART:20261205T100000Z", "DTEND:99991231T235959Z")),
        ["05.12. 10:00-12.12. 10:00"],  # of 2036, as long as a block may be
    ),
    "after every clock": (calendar(event("DTSTART:99991231T100000", "DTEND:99991231T235959")), []),
    "cancelled": (calendar(event(*TEN, "STATUS:CANCELLED")), []),
    "tentative is busy": (calendar(event(*TEN, "STATUS:TENTATIVE")), ["05.12. 10:00-05.12. 11:00"]),
    "transparent is free": (calendar(event(*TEN, "TRANSP:TRANSPARENT")), []),
    "opaque is busy": (calendar(event(*TEN, "TRANSP:OPAQUE")), ["05.12. 10:00-05.12. 11:00"]),
    "free in Outlook": (calendar(event(*TEN, "X-MICROSOFT-CDO-BUSYSTATUS:FREE")), []),
    "out of office in Outlook": (
        calendar(event(*TEN, "X-MICROSOFT-CDO-BUSYSTATUS:OOF")),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "declined by the calendar's owner": (
        calendar(
            event(*TEN, "ATTENDEE;PARTSTAT=DECLINED:mailto:Anna@a.test"), head="X-WR-CALNAME:anna@a.test"
        ),
        [],
    ),
    "declined by a guest": (
        calendar(
            event(*TEN, "ATTENDEE;PARTSTAT=DECLINED:mailto:bob@a.test"), head="X-WR-CALNAME:anna@a.test"
        ),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "our own": (calendar(event(*TEN, uid=f"abc{OURS}")), []),
    "lines that end with a carriage return alone": (
        b"\r".join(calendar(event(*TEN)).splitlines()),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "a rule that is broken across two lines": (
        calendar(event("DTSTART:20251205T100000Z", "DTEND:20251205T110000Z", "RRULE:FREQ=YEAR\n LY;COUNT=2")),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "that of another clinic, where the same person works, too": (
        calendar(event(*TEN, uid=f"abc{calendar_uids.ending(uuid.UUID(int=2))}")),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "every week, but once": (
        calendar(event(*TEN, "RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE:20261212T100000Z")),
        ["05.12. 10:00-05.12. 11:00", "19.12. 10:00-19.12. 11:00"],
    ),
    "every day since long ago": (
        calendar(
            event("DTSTART:19700101T100000Z", "DTEND:19700101T110000Z", "RRULE:FREQ=DAILY;UNTIL=20261201")
        ),
        ["29.11. 10:00-29.11. 11:00", "30.11. 10:00-30.11. 11:00"],
    ),
    "once moved and once cancelled": (
        calendar(
            event(*TEN, "RRULE:FREQ=DAILY;COUNT=3"),
            event("RECURRENCE-ID:20261206T100000Z", "DTSTART:20261206T150000Z", "DTEND:20261206T160000Z"),
            event(*TEN, "RECURRENCE-ID:20261207T100000Z", "STATUS:CANCELLED"),
        ),
        ["05.12. 10:00-05.12. 11:00", "06.12. 15:00-06.12. 16:00"],
    ),
    "by the wall clock while the clocks change": (
        calendar(
            event(
                "DTSTART;TZID=Europe/Berlin:20270327T100000",
                "DTEND;TZID=Europe/Berlin:20270327T110000",
                "RRULE:FREQ=DAILY;COUNT=2",
            )
        ),
        ["27.03. 09:00-27.03. 10:00", "28.03. 08:00-28.03. 09:00"],
    ),
    "a rule that is none leaves the others": (
        calendar(
            event(*TEN, "RRULE:FREQ=SOMETIMES"), event("DTSTART:20261206T100000Z", "DURATION:PT1H", uid=2)
        ),
        ["06.12. 10:00-06.12. 11:00"],
    ),
    "a line that is none": (calendar(event(*TEN, "WHAT IS THIS")), ["05.12. 10:00-05.12. 11:00"]),
    "over": (calendar(event("DTSTART:20261001T100000Z", "DTEND:20261001T110000Z")), []),
    "begun long ago and not over": (
        calendar(event("DTSTART:20260101T100000Z", "DTEND:20261231T110000Z")),
        ["01.01. 10:00-31.12. 11:00"],
    ),
    "after the last day": (calendar(event("DTSTART:20281201T100000Z", "DURATION:PT1H")), []),
    "small letters and bare line ends": (
        calendar(event(*TEN)).replace(b"\r\n", b"\n").replace(b"BEGIN", b"begin"),
        ["05.12. 10:00-05.12. 11:00"],
    ),
    "a mark before it": (b"\xef\xbb\xbf" + calendar(event(*TEN)), ["05.12. 10:00-05.12. 11:00"]),
    "two in one": (
        calendar(event(*TEN)) + b"\r\n" + calendar(event("DTSTART:20261206T100000Z", "DURATION:PT1H")),
        ["05.12. 10:00-05.12. 11:00", "06.12. 10:00-06.12. 11:00"],
    ),
    "nothing": (calendar(), []),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_busy(name: str) -> None:
    body, expected = ODD[name]
    assert busy(body) == expected


def test_what_adjoins_or_overlaps_is_one_and_our_own_is_counted() -> None:
    body = calendar(
        event(*TEN),
        event("DTSTART:20261205T103000Z", "DURATION:PT1H", uid=2),
        event("DTSTART:20261205T113000Z", "DURATION:PT1H", uid=3),
        event(*TEN, uid=f"abc{OURS}"),
    )
    found = ics.run(body, zone=BERLIN, begin=BEGIN, end=END, own_uids=OURS)
    assert [str(each) for span in found.spans for each in span] == [
        "2026-12-05 10:00:00+00:00",
        "2026-12-05 12:30:00+00:00",
    ]
    assert (found.events, found.ours) == (4, 1)


# --- hostile --------------------------------------------------------------------------------------

ENDLESS = {
    "every second": (*TEN, "RRULE:FREQ=SECONDLY;COUNT=1000000000"),
    "every second since 1970": ("DTSTART:19700101T000000Z", "DURATION:PT1S", "RRULE:FREQ=SECONDLY"),
    "every minute": (*TEN, "RRULE:FREQ=MINUTELY"),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends_is_ended(name: str) -> None:
    began = time.monotonic()
    assert fault(calendar(event(*ENDLESS[name])), seconds=2) is Fault.TOOK_TOO_LONG
    assert time.monotonic() - began < 60  # and not for ever


HOSTILE = {
    "100,000 zones": (
        calendar("BEGIN:VTIMEZONE\r\nTZID:x\r\nEND:VTIMEZONE\r\n" * 100_000),
        Fault.TOO_MANY_ZONES,
    ),
    "5,001 events": (calendar(*[event(*TEN)] * 5001), Fault.TOO_MANY_EVENTS),
    "20,000 instances": (
        calendar(*[event(*TEN, "RRULE:FREQ=DAILY;COUNT=500", uid=n) for n in range(40)]),
        Fault.TOO_MANY_INSTANCES,
    ),
    "6 MB": (calendar(event(*TEN, "DESCRIPTION:" + "x" * 6 * 1024 * 1024)), Fault.TOO_LARGE),
    "a web page": (b"<!doctype html><title>Sign in</title>", Fault.NOT_A_CALENDAR),
    "nothing at all": (b"", Fault.NOT_A_CALENDAR),
    "a picture": (b"\x89PNG\r\n\x1a\n" * 1000, Fault.NOT_A_CALENDAR),
    "broken off": (calendar(event(*TEN))[:-20], Fault.UNREADABLE),
    "zeros": (b"BEGIN:VCALENDAR\r\n" + b"\0" * 10_000 + b"\r\nEND:VCALENDAR", Fault.UNREADABLE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_too_much_or_no_calendar_has_a_code(name: str) -> None:
    body, why = HOSTILE[name]
    assert fault(body, seconds=60) is why


@pytest.mark.parametrize(
    "body",
    [
        calendar(event(*TEN, "RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")),
        calendar(event(*TEN, "RRULE:FREQ=DAILY", *["EXDATE:" + ",".join(["20261206T100000Z"] * 100)] * 100)),
        calendar(event(*TEN, "SUMMARY:" + "a\r\n " * 100_000)),
        calendar("BEGIN:VEVENT\r\n" * 2000 + "END:VEVENT\r\n" * 2000, event(*TEN)),
        calendar("BEGIN:X-A\r\n" * 5000 + "END:X-A\r\n" * 5000, event(*TEN)),
    ],
    ids=["a day that never comes", "many exceptions", "deep folding", "events in events", "deep nesting"],
)
def test_what_is_only_odd_is_read_or_has_a_code(body: bytes) -> None:
    with suppress(CannotRead):  # and nothing else
        found = ics.run(body, zone=BERLIN, begin=BEGIN, end=END, own_uids=OURS, seconds=60)
        assert len(found.spans) <= ics.MOST_INSTANCES


def test_years_of_the_past_are_no_burden() -> None:
    old = [
        event(f"DTSTART:2025{n % 12 + 1:02d}01T100000Z", "DTEND:20251231T110000Z", uid=n)
        for n in range(20_000)
    ]
    found = ics.run(calendar(*old, event(*TEN)), zone=BERLIN, begin=BEGIN, end=END, own_uids=OURS, seconds=60)
    assert found.events == len(found.spans) == 1


def test_the_program_that_reads_knows_no_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hostile calendar finds nothing of ours, even if it gets the better of a library."""
    seen = tmp_path / "seen"
    spy = tmp_path / "python"
    spy.write_text(f'#!/bin/sh\nenv > {seen}\necho \'{{"spans": [], "events": 0, "ours": 0}}\'\n')
    spy.chmod(0o755)
    monkeypatch.setenv("SECRET_KEY", "s3cr3t")
    monkeypatch.setattr("sys.executable", str(spy))
    ics.run(calendar(), zone=BERLIN, begin=BEGIN, end=END, own_uids=OURS, seconds=60)
    assert "s3cr3t" not in seen.read_text()
    assert "DATABASE_URL" not in seen.read_text()


# --- spans ----------------------------------------------------------------------------------------

MINUTES = st.integers(0, 200)
SPANS = st.lists(st.tuples(MINUTES, MINUTES), max_size=30)


def spans_of(pairs: list[tuple[int, int]]) -> list[Span]:
    return [(BEGIN + timedelta(minutes=a), BEGIN + timedelta(minutes=b)) for a, b in pairs]


def minutes_of(spans: list[Span]) -> set[int]:
    """Each minute that lies in one of them, one by one."""
    return {
        minute
        for minute in range(200)
        for begins, ends in spans
        if begins <= BEGIN + timedelta(minutes=minute) < ends
    }


@given(SPANS)
def test_merged_spans_are_the_same_time_in_order_with_gaps_between(pairs: list[tuple[int, int]]) -> None:
    spans = spans_of(pairs)
    merged = merge(spans)
    assert minutes_of(merged) == minutes_of(spans)
    assert all(begins < ends for begins, ends in merged)
    assert all(before[1] < after[0] for before, after in pairwise(merged))
    assert merge(merged) == merged
    assert merge(list(reversed(spans))) == merged
