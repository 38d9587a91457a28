"""Times in the clinic's zone, in spoken and in written form."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from models.base import times

LONDON = ZoneInfo("Europe/London")
NEW_YORK = ZoneInfo("America/New_York")
KATHMANDU = ZoneInfo("Asia/Kathmandu")


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "zone", "spoken", "written"),
    [
        (
            utc(2026, 12, 7, 10),
            LONDON,
            "Monday 7 December, 10:00 in the morning",
            "Mon 7 Dec 2026 at 10:00 am",
        ),
        (utc(2026, 7, 6, 9), LONDON, "Monday 6 July, 10:00 in the morning", "Mon 6 Jul 2026 at 10:00 am"),
        (
            utc(2026, 12, 7),
            LONDON,
            "Monday 7 December, 12:00 at night as the day begins",
            "Mon 7 Dec 2026 at 12:00 am",
        ),
        (
            utc(2026, 12, 7, 0, 5),
            LONDON,
            "Monday 7 December, 12:05 at night as the day begins",
            "Mon 7 Dec 2026 at 12:05 am",
        ),
        (
            utc(2026, 12, 7, 11, 59),
            LONDON,
            "Monday 7 December, 11:59 in the morning",
            "Mon 7 Dec 2026 at 11:59 am",
        ),
        (
            utc(2026, 12, 7, 12),
            LONDON,
            "Monday 7 December, 12:00 in the afternoon",
            "Mon 7 Dec 2026 at 12:00 pm",
        ),
        (
            utc(2026, 12, 7, 13, 5),
            LONDON,
            "Monday 7 December, 1:05 in the afternoon",
            "Mon 7 Dec 2026 at 1:05 pm",
        ),
        (
            utc(2026, 12, 7, 17, 59),
            LONDON,
            "Monday 7 December, 5:59 in the afternoon",
            "Mon 7 Dec 2026 at 5:59 pm",
        ),
        (utc(2026, 12, 7, 18), LONDON, "Monday 7 December, 6:00 in the evening", "Mon 7 Dec 2026 at 6:00 pm"),
        (
            utc(2026, 12, 7, 23, 59),
            LONDON,
            "Monday 7 December, 11:59 in the evening",
            "Mon 7 Dec 2026 at 11:59 pm",
        ),
        # The clinic's date differs from that of UTC.
        (
            utc(2027, 1, 1, 3),
            NEW_YORK,
            "Thursday 31 December, 10:00 in the evening",
            "Thu 31 Dec 2026 at 10:00 pm",
        ),
        (
            utc(2026, 12, 31, 20),
            KATHMANDU,
            "Friday 1 January, 1:45 in the morning",
            "Fri 1 Jan 2027 at 1:45 am",
        ),
        # The same wall time before and after the clocks change.
        (
            utc(2027, 3, 27, 10),
            LONDON,
            "Saturday 27 March, 10:00 in the morning",
            "Sat 27 Mar 2027 at 10:00 am",
        ),
        (utc(2027, 3, 28, 9), LONDON, "Sunday 28 March, 10:00 in the morning", "Sun 28 Mar 2027 at 10:00 am"),
        (
            utc(2027, 11, 7, 14),
            NEW_YORK,
            "Sunday 7 November, 9:00 in the morning",
            "Sun 7 Nov 2027 at 9:00 am",
        ),
    ],
)
def test_a_moment_is_told_in_the_zone(moment: datetime, zone: ZoneInfo, spoken: str, written: str) -> None:
    assert times.spoken(moment, zone) == spoken
    assert times.written(moment, zone) == written
    elsewhere = moment.astimezone(timezone(timedelta(hours=-7)))  # the words do not depend on its zone
    assert (times.spoken(elsewhere, zone), times.written(elsewhere, zone)) == (spoken, written)


@pytest.mark.parametrize(
    "moment",
    [
        utc(2026, 12, 7, 10),
        utc(2026, 12, 7, 10).astimezone(KATHMANDU),
        utc(2026, 12, 7, 10).replace(microsecond=9),
    ],
)
def test_an_instant_is_utc_to_the_second(moment: datetime) -> None:
    assert times.instant(moment) == "2026-12-07T10:00:00Z"


def test_a_day_is_spoken_without_a_leading_zero() -> None:
    assert times.spoken_day(date(2026, 12, 7)) == "Monday 7 December"
    assert times.spoken_day(date(2028, 2, 29)) == "Tuesday 29 February"


@pytest.mark.parametrize(
    ("days", "year"), [(0, False), (182, False), (183, True), (-182, False), (-183, True)]
)
def test_a_day_half_a_year_away_is_spoken_with_its_year(
    days: int,
    year: bool,  # noqa: FBT001 (a parameter)
) -> None:
    """Otherwise it could be taken for the same day of another year."""
    today = date(2026, 12, 7)
    assert ("202" in times.spoken_day(today + timedelta(days=days), today)) is year


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-12-07T10:00:00Z", utc(2026, 12, 7, 10)),
        ("2026-12-07T10:00:00+05:45", utc(2026, 12, 7, 4, 15)),
        ("2026-12-07 10:00-05", utc(2026, 12, 7, 15)),
        ("2026-12-07T10:00:00", None),
        ("2026-12-07", None),
        ("2026-13-45T10:00:00Z", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("tomorrow at ten", None),
        ("\x00", None),
        ("", None),
    ],
)
def test_a_text_names_an_instant_only_with_its_offset(text: str, instant: datetime | None) -> None:
    assert times.parsed(text) == instant


def test_a_text_without_an_offset_is_taken_in_the_zone_that_is_given() -> None:
    assert times.parsed("2026-07-06T10:00:00", zone=LONDON) == utc(2026, 7, 6, 9)
    assert times.parsed("2026-07-06T10:00:00-04:00", zone=LONDON) == utc(2026, 7, 6, 14)
    assert times.parsed("soon", zone=LONDON) is None
