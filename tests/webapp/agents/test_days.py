"""Days as they are said."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import times
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from webapp.agents import days, offers

FRIDAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2026-12-07", "2026-12-07"),
        ("2026-12-07T10:00:00Z", "2026-12-07"),
        ("today", "2026-11-27"),
        ("Tomorrow", "2026-11-28"),
        ("the day after tomorrow", "2026-11-29"),
        ("friday", "2026-12-04"),
        ("next Monday", "2026-11-30"),
        ("this coming Wed", "2026-12-02"),
        ("7 December", "2026-12-07"),
        ("December 7th", "2026-12-07"),
        ("7th of Dec.", "2026-12-07"),
        ("Monday, December 7, 2026", "2026-12-07"),
        ("the 27th", "2026-11-27"),
        ("the 26th", "2026-12-26"),
        ("the 31st", "2026-12-31"),
        ("Monday the 7th", "2026-12-07"),
        ("26 November", "2027-11-26"),
        ("29 February", "2028-02-29"),
        ("2026-12-7", "2026-12-07"),
        ("20261207", "2026-12-07"),
        ("tomorrow morning", "2026-11-28"),
        ("This afternoon", "2026-11-27"),
        ("Monday the 7th in the afternoon", "2026-12-07"),
        ("friday evening", "2026-12-04"),
        ("December seventh", "2026-12-07"),
        ("monday the seventh", "2026-12-07"),
        ("the twenty-first", "2026-12-21"),
        ("December thirtieth", "2026-12-30"),
    ],
)
def test_what_is_meant(said: str, meant: str) -> None:
    assert days.read(said, FRIDAY).isoformat() == meant


@pytest.mark.parametrize(
    "said",
    [
        *("gibberish", "", "soon", "Monday Tuesday", "December", "2026", "the 32nd", "31 February"),
        *(
            "2026-02-30",
            "2026-12-07x",
            "12/07/2026",
            "07.12.2026",
            "Monday December",
            "twenty twenty",
            "morning",
            "the thirty second",
        ),
        *("7 8 December", "99999-01-01"),
    ],
)
def test_what_is_no_day(said: str) -> None:
    with pytest.raises(days.NotADay, match=r"^I need the day as a date, such as 2026-12-07 or 7 December\.$"):
        days.read(said, FRIDAY)


def test_a_weekday_that_is_not_the_dates_is_not_put_right() -> None:
    with pytest.raises(days.NotADay, match=r"^8 December 2026 is a Tuesday, not a Monday\.$"):
        days.read("Monday 8 December", FRIDAY)


@given(st.dates(date(2020, 1, 1), date(2090, 1, 1)), st.integers(0, 364))
def test_every_day_comes_back_in_every_way_to_say_it(today: date, ahead: int) -> None:
    day = today + timedelta(days=ahead)
    for said in (day.isoformat(), f"{day:%A} {day.day} {day:%B}", f"{day:%B} {day.day}, {day.year}"):
        assert days.read(said, today) == day


@given(st.text(max_size=40), st.dates())
def test_any_words_are_a_day_or_none(said: str, today: date) -> None:
    with contextlib.suppress(days.NotADay):  # and no other error
        assert isinstance(days.read(said, today), date)


@pytest.mark.parametrize(
    ("today", "meant"),
    [
        (date(2028, 2, 29), date(2028, 2, 29)),
        (date(2028, 3, 1), date(2032, 2, 29)),
        (date(2096, 3, 1), date(2104, 2, 29)),  # 2100 has none
    ],
)
def test_the_next_leap_day_is_found_however_far_away(today: date, meant: date) -> None:
    assert days.read("29 February", today) == meant


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
@pytest.mark.parametrize("away", [times.NEEDS_ITS_YEAR - 1, times.NEEDS_ITS_YEAR])
def test_a_day_has_its_year_by_the_clinics_calendar(zone: str, away: int) -> None:
    """At 12:30 UTC it is tomorrow in Kiritimati already; at 10:30 it is still yesterday in Pago Pago."""
    bookable = _bookable(ZoneInfo(zone))
    for hour in (0, 10, 12, 23):
        now = datetime(2026, 5, 1, hour, 30, tzinfo=UTC)
        day = now.astimezone(bookable.zone).date() + timedelta(days=away)
        start = datetime(day.year, day.month, day.day, 9, tzinfo=bookable.zone)
        slot = Slot(start, start + timedelta(minutes=30))
        with_year = f" {day.year}" in offers.said(bookable, [slot], now)
        assert with_year is (away >= times.NEEDS_ITS_YEAR)
        assert (f" {day.year}" in offers.offered(bookable, [slot], now)[0]["label"]) is with_year


def _bookable(zone: ZoneInfo) -> Bookable:
    return Bookable(
        org_id=uuid.uuid4(),
        calendar_id="cal-1",
        zone=zone,
        hold_minutes=10,
        service_id="visit",
        service="Visit",
        minutes=30,
        minutes_before=0,
        minutes_after=0,
        step_minutes=30,
        min_notice_minutes=0,
        horizon_days=400,
        most_per_day=None,
        by_phone=True,
        by_link=True,
        leaders=("cal-1",),
        needs=(),
        timetables={},
        is_default=True,
    )
