"""P8: slots are steps of the clinic's wall clock, also on the days when the clocks change."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.booking import availability
from models.booking.availability import Closed
from models.booking.hours import WEEKDAYS
from tests.models.booking.schedules import DAY, NIGHT, WITH_LUNCH, at, every_day, half_hours, make, offered

# The days the clocks change


@pytest.mark.parametrize(
    ("zone", "day", "starts"),
    [
        # At 01:00 it becomes 02:00: two starts do not exist.
        ("Europe/London", date(2027, 3, 28), half_hours("00:00", "03:30")),
        # At 02:00 it becomes 01:00: 01:00 and 01:30 come twice, and only the first ones are starts.
        ("Europe/London", date(2027, 10, 31), [*half_hours("23:00", "00:30"), *half_hours("02:00", "04:30")]),
        # At 02:00 it becomes 03:00.
        ("America/New_York", date(2027, 3, 14), half_hours("05:00", "08:30")),
        # At 02:00 it becomes 01:00.
        (
            "America/New_York",
            date(2027, 11, 7),
            [*half_hours("04:00", "05:30"), *half_hours("07:00", "09:30")],
        ),
        # Half an hour forward at 02:00; and a zone whose day begins at 01:00.
        ("Australia/Lord_Howe", date(2027, 10, 3), half_hours("13:30", "17:30")),
        ("America/Havana", date(2027, 3, 14), half_hours("05:00", "08:30")),
        # The neighbouring days are complete.
        ("Europe/London", date(2027, 3, 27), half_hours("00:00", "04:30")),
        ("Europe/London", date(2027, 3, 29), half_hours("23:00", "03:30")),
        ("America/New_York", date(2027, 11, 8), half_hours("05:00", "09:30")),
    ],
)
def test_a_clinic_open_at_night_offers_each_wall_time_once_if_it_exists(
    zone: str, day: date, starts: list[str]
) -> None:
    assert offered(make(time_zone=zone, opening=NIGHT), day) == starts


@pytest.mark.parametrize(
    ("zone", "day", "utc"),
    [
        ("Europe/London", date(2027, 3, 27), "10:00"),
        ("Europe/London", date(2027, 3, 28), "09:00"),
        ("Europe/London", date(2027, 10, 30), "09:00"),
        ("Europe/London", date(2027, 10, 31), "10:00"),
        ("America/New_York", date(2027, 3, 13), "15:00"),
        ("America/New_York", date(2027, 3, 14), "14:00"),
        ("America/New_York", date(2027, 11, 6), "14:00"),
        ("America/New_York", date(2027, 11, 7), "15:00"),
    ],
)
def test_ten_is_the_clinics_ten_on_every_day(zone: str, day: date, utc: str) -> None:
    bookable = make(time_zone=zone)
    starts = offered(bookable, day)
    assert starts[2] == utc  # after 9:00 and 9:30
    assert len(starts) == len(offered(bookable, day - timedelta(days=7)))


def test_a_long_slot_ends_by_the_wall_clock_on_the_short_night() -> None:
    bookable = make(time_zone="Europe/London", opening=NIGHT, minutes=60)
    # 05:00 is 04:00 UTC: the last hour begins at 04:00, which is 03:00 UTC.
    assert offered(bookable, date(2027, 3, 28)) == half_hours("00:00", "03:00")


def test_a_long_slot_over_the_repeated_hour_lasts_as_long_as_any_other() -> None:
    bookable = make(time_zone="Europe/London", opening=NIGHT, minutes=90)
    for slot in availability.slots_of_day(bookable, date(2027, 10, 31)):
        assert slot.ends_at - slot.starts_at == timedelta(minutes=90)
    assert offered(bookable, date(2027, 10, 31))[-1] == "03:30"


ZONES = ("UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana")
CHANGES = (
    date(2027, 3, 28),
    date(2027, 10, 31),
    date(2027, 3, 14),
    date(2027, 11, 7),
    date(2027, 4, 4),
    date(2027, 10, 3),
)
clock_times = st.integers(0, 287).map(lambda n: time(n * 5 // 60, n * 5 % 60))


def walls_of(zone: ZoneInfo, day: date) -> list[datetime]:
    """Every fifth minute of a local day as aware times, counted in UTC and so in their real order."""
    begin = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    moments = ((begin + n * timedelta(minutes=5)).astimezone(zone) for n in range(12 * 54))
    return [local for local in moments if local.date() == day]


@given(
    zone=st.sampled_from(ZONES),
    day=st.one_of(st.sampled_from(CHANGES), st.dates(date(2026, 1, 1), date(2029, 12, 31))),
    edges=st.lists(clock_times, min_size=2, max_size=4, unique=True).map(sorted),
    minutes=st.integers(1, 24).map(lambda n: n * 5),
    step_minutes=st.integers(1, 24).map(lambda n: n * 5),
)
@example("Europe/London", date(2027, 3, 28), [time(0), time(5)], 45, 15)
@example("America/New_York", date(2027, 11, 7), [time(0, 30), time(4)], 60, 20)
def test_the_slots_of_any_day_are_the_steps_of_its_wall_clock(
    zone: str, day: date, edges: list[time], minutes: int, step_minutes: int
) -> None:
    """Compared with a second method, which walks through the day in UTC and reads the clinic's clock."""
    periods = list(zip(edges[::2], edges[1::2], strict=False))
    walls = walls_of(ZoneInfo(zone), day)
    expected = []
    for opens, closes in periods:
        # A closing time that does not exist that day stands for the moment at which the clocks skip it.
        end = next(wall for wall in walls if wall.time() >= closes).astimezone(UTC)
        for wall in walls:
            since = (wall.hour - opens.hour) * 60 + wall.minute - opens.minute
            if wall.fold == 0 and since >= 0 and since % step_minutes == 0:
                starts_at = wall.astimezone(UTC)
                if starts_at + timedelta(minutes=minutes) <= end:
                    expected.append(starts_at)
    bookable = make(
        time_zone=zone,
        opening={WEEKDAYS[day.weekday()]: [[f"{a:%H:%M}", f"{b:%H:%M}"] for a, b in periods]},
        minutes=minutes,
        step_minutes=step_minutes,
    )
    slots = list(availability.slots_of_day(bookable, day))
    assert [slot.starts_at for slot in slots] == expected
    assert all(slot.ends_at - slot.starts_at == timedelta(minutes=minutes) for slot in slots)
    assert all(before.starts_at < after.starts_at for before, after in itertools.pairwise(slots))


def test_a_closing_time_that_does_not_exist_is_when_the_clocks_change() -> None:
    """Open until 01:30 in the night that has no 01:30: an hour from 00:30 would end at 02:30 local time."""
    bookable = make(time_zone="Europe/London", opening={"sun": [["00:00", "01:30"]]}, minutes=60)
    assert offered(bookable, date(2027, 3, 28)) == ["00:00"]


# Midnight


@pytest.mark.parametrize("end", ["24:00", "23:59", "00:00"])
def test_hours_may_end_at_midnight(end: str) -> None:
    assert offered(make(opening=every_day(["20:00", end])), DAY) == half_hours("20:00", "23:30")
    assert offered(make(opening=every_day(["00:00", end])), DAY) == half_hours("00:00", "23:30")
    long = make(opening=every_day(["20:00", end]), minutes=90)
    assert offered(long, DAY) == half_hours("20:00", "22:30")


def test_hours_may_go_on_over_midnight() -> None:
    bookable = make(opening=every_day(["22:00", "02:00"]))
    assert offered(bookable, DAY) == [*half_hours("00:00", "01:30"), *half_hours("22:00", "23:30")]
    # Steps are counted from the opening, and an appointment may extend over midnight.
    bookable = make(opening=every_day(["22:15", "01:45"]), minutes=60, step_minutes=60)
    assert offered(bookable, DAY) == ["00:15", "22:15", "23:15"]


def test_the_night_of_one_weekday_ends_on_the_next() -> None:
    weekday = WEEKDAYS[DAY.weekday()]
    bookable = make(opening={weekday: [["22:00", "02:00"]]})
    now = at(9, day=DAY - timedelta(days=7))
    assert offered(bookable, DAY) == half_hours("22:00", "23:30")
    morning = DAY + timedelta(days=1)
    assert offered(bookable, morning) == half_hours("00:00", "01:30")
    assert availability.why_day_is_closed(bookable, morning, now) is None
    assert availability.why_not_offered(bookable, at(1, 30, day=morning), now) is None
    assert availability.why_not_offered(bookable, at(2, day=morning), now) is Closed.OFF_THE_GRID
    assert availability.why_day_is_closed(bookable, DAY + timedelta(days=2), now) is Closed.CLOSED
    assert availability.why_day_is_closed(bookable, DAY - timedelta(days=1), now) is Closed.CLOSED


def test_a_closed_day_has_neither_its_own_night_nor_the_end_of_the_one_before() -> None:
    hours = every_day(["22:00", "02:00"])
    closed = make(opening=hours, closures=[DAY], minutes=60)
    assert offered(closed, DAY) == []
    # 23:30 would end on the closed day.
    assert offered(closed, DAY - timedelta(days=1))[-2:] == ["22:30", "23:00"]
    assert offered(closed, DAY + timedelta(days=1)) == half_hours("22:00", "23:30")


def test_a_clinic_that_never_closes_offers_appointments_over_midnight() -> None:
    bookable = make(opening=every_day(["00:00", "24:00"]), minutes=60, step_minutes=15)
    assert len(offered(bookable, DAY)) == 96
    on_the_eve = make(
        opening=every_day(["00:00", "24:00"]),
        minutes=60,
        step_minutes=15,
        closures=[DAY + timedelta(days=1)],
    )
    assert offered(on_the_eve, DAY)[-1] == "23:00"


@pytest.mark.parametrize(
    ("zone", "day", "starts"),
    [
        # At 01:00 it becomes 02:00, and the night ends at once.
        ("Europe/London", date(2027, 3, 28), half_hours("00:00", "00:30")),
        # At 02:00 it becomes 01:00; in summer London is an hour ahead of UTC.
        ("Europe/London", date(2027, 10, 31), half_hours("23:00", "00:30")),
        # At 00:00 it becomes 01:00: the day has no midnight.
        ("America/Havana", date(2027, 3, 14), half_hours("05:00", "05:30")),
    ],
)
def test_a_night_in_which_the_clocks_change(zone: str, day: date, starts: list[str]) -> None:
    night = {WEEKDAYS[(day.weekday() - 1) % 7]: [["22:00", "02:00"]]}
    assert offered(make(time_zone=zone, opening=night), day) == starts


def test_hours_up_to_a_midnight_that_does_not_exist_end_when_the_clocks_change() -> None:
    eve = date(2027, 3, 13)
    bookable = make(time_zone="America/Havana", opening={WEEKDAYS[eve.weekday()]: [["20:00", "24:00"]]})
    assert offered(bookable, eve) == half_hours("01:00", "04:30")


# Hours, closures and rules


def test_hours_may_be_written_in_any_order() -> None:
    hours = {day: periods[::-1] for day, periods in WITH_LUNCH.items()}
    assert offered(make(opening=hours), DAY) == offered(make(), DAY)


def test_a_lunch_break_is_kept_free() -> None:
    assert offered(make(), DAY) == [*half_hours("09:00", "12:00"), *half_hours("13:30", "16:30")]


def test_a_slot_longer_than_its_step_ends_before_the_break() -> None:
    starts = offered(make(minutes=60, step_minutes=15), DAY)
    assert starts[:3] == ["09:00", "09:15", "09:30"]
    assert [start for start in starts if "11:00" < start < "14:00"] == ["11:15", "11:30", "13:30", "13:45"]
    assert starts[-1] == "16:00"


def test_a_slot_longer_than_the_opening_hours_is_never_offered() -> None:
    assert offered(make(minutes=240), DAY) == []


def test_a_closure_or_a_weekday_without_hours_is_closed() -> None:
    assert offered(make(closures=[DAY]), DAY) == []
    assert offered(make(closures=[DAY]), DAY + timedelta(days=1)) != []
    hours = {day: periods for day, periods in WITH_LUNCH.items() if day != WEEKDAYS[DAY.weekday()]}
    assert offered(make(opening=hours), DAY) == []


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (at(9), None),
        (at(16, 30), None),
        (at(9, 15), Closed.OFF_THE_GRID),
        (at(12, 30), Closed.OFF_THE_GRID),
        (at(17), Closed.OFF_THE_GRID),
        (at(8, 30), Closed.OFF_THE_GRID),
        (at(9) + timedelta(seconds=1), Closed.OFF_THE_GRID),
        (at(8, day=DAY - timedelta(days=7)), Closed.PAST),
        (at(9, day=DAY - timedelta(days=7)), Closed.PAST),  # exactly now
        (at(9, 30, day=DAY - timedelta(days=7)), Closed.TOO_SOON),
        (at(11, day=DAY - timedelta(days=7)), None),  # exactly the notice
        (at(9, day=DAY + timedelta(days=1)), Closed.CLOSED),
        (at(9, day=DAY + timedelta(days=3)), None),  # the last day of the horizon
        (at(9, day=DAY + timedelta(days=4)), Closed.TOO_FAR),
    ],
)
def test_why_a_start_is_not_offered(wanted: datetime, why: Closed | None) -> None:
    now = at(9, day=DAY - timedelta(days=7))
    closures = [DAY + timedelta(days=1)]
    bookable = make(min_notice_minutes=120, horizon_days=10, closures=closures)
    assert availability.why_not_offered(bookable, wanted, now) == why


def test_today_is_the_clinics_day_and_not_utcs() -> None:
    late = datetime(2027, 6, 1, 23, 30, tzinfo=UTC)
    assert availability.today(make(time_zone="Europe/London"), late) == date(2027, 6, 2)
    assert availability.today(make(time_zone="America/New_York"), late) == date(2027, 6, 1)
    bookable = make(time_zone="America/New_York", horizon_days=1)
    assert availability.why_day_is_closed(bookable, date(2027, 6, 1), late) is None
    assert availability.why_day_is_closed(bookable, date(2027, 5, 31), late) is Closed.PAST
    assert availability.why_day_is_closed(bookable, date(2027, 6, 3), late) is Closed.TOO_FAR
