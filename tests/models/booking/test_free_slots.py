"""P8: only free slots are offered, and for a taken time the free slots nearest to it."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models.base.session import Door, system_transaction
from models.booking import availability, bookables
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from models.booking.hours import WEEKDAYS
from models.clinics import calendars
from tests.factories import add_calendar, create_clinic, phone_number
from tests.models.booking.schedules import DAY, NIGHT, WITH_LUNCH, at, every_day, half_hours, offered

Sql = psycopg.Connection[tuple[Any, ...]]


def clinic(**changes: Any) -> str:
    return create_clinic(calendar={"opening": WITH_LUNCH, **changes})


def book(sql: Sql, org: str, starts_at: datetime, *, calendar: str = "cal-1") -> bool:
    row = sql.execute(
        "SELECT success FROM claim_slot_atomic(%s, %s, %s, NULL, 'John', %s, 10)",
        [org, calendar, starts_at, phone_number()],
    ).fetchone()
    assert row is not None
    return bool(row[0])


def load(org: str, calendar_id: str = "cal-1") -> Bookable:
    with system_transaction(Door.OPERATOR) as session:
        calendar = calendars.get_or_none(session, uuid.UUID(org), calendar_id)
        assert calendar is not None
        bookable = bookables.find(session, calendar)
    assert bookable is not None
    return bookable


def free(
    org: str, *, first: date = DAY, days: int = 1, now: datetime | None = None, calendar_id: str = "cal-1"
) -> dict[date, list[str]]:
    with system_transaction(Door.OPERATOR) as session:
        found = availability.find_free(
            session, load(org, calendar_id), first=first, days=days, now=now or datetime.now(UTC)
        )
    return {
        day: [f"{slot.starts_at.astimezone(UTC):%H:%M}" for slot in slots] for day, slots in found.items()
    }


def nearest(org: str, wanted: datetime, *, now: datetime | None = None, count: int = 3) -> list[Slot]:
    with system_transaction(Door.OPERATOR) as session:
        return availability.find_nearest(
            session, load(org), wanted=wanted, now=now or datetime.now(UTC), count=count
        )


def test_a_long_booking_that_began_before_the_opening_takes_the_first_start(sql: Sql) -> None:
    org = clinic(minutes=180)
    assert book(sql, org, at(6, 15))
    sql.execute("UPDATE services SET minutes = 30 WHERE org_id = %s", [org])
    assert free(org)[DAY][:2] == ["09:30", "10:00"]


def test_the_last_time_before_midnight_and_one_over_it_can_be_claimed(sql: Sql) -> None:
    org = clinic(opening=every_day(["22:00", "02:00"]), minutes=60)
    assert book(sql, org, at(23, 30))
    assert free(org)[DAY][-2:] == ["22:00", "22:30"]
    assert free(org, first=DAY + timedelta(days=1))[DAY + timedelta(days=1)][0] == "00:30"


def test_a_taken_time_takes_every_start_that_would_overlap_it(sql: Sql) -> None:
    org = clinic(minutes=60, step_minutes=15)
    assert book(sql, org, at(11))
    starts = free(org)[DAY]
    assert [start for start in starts if "09:30" < start < "14:00"] == ["09:45", "10:00", "13:30", "13:45"]


def test_exactly_the_free_starts_can_be_claimed(sql: Sql) -> None:
    """The agent offers exactly the slots that the database accepts."""
    org = clinic(minutes=45, step_minutes=15)
    for wanted in (at(9, 30), at(11, 15), at(14), at(16)):
        assert book(sql, org, wanted)
    starts = free(org)[DAY]
    assert 0 < len(starts) < len(offered(load(org), DAY))
    for slot in availability.slots_of_day(load(org), DAY):
        with sql.transaction(force_rollback=True):
            assert book(sql, org, slot.starts_at) is (f"{slot.starts_at:%H:%M}" in starts)


def test_a_full_day_is_left_out_and_the_next_is_not(sql: Sql) -> None:
    org = clinic()
    for slot in availability.slots_of_day(load(org), DAY):
        assert book(sql, org, slot.starts_at)
    assert list(free(org, days=3)) == [DAY + timedelta(days=1), DAY + timedelta(days=2)]


def test_a_cancelled_or_stale_booking_takes_nothing(sql: Sql, clock: Any) -> None:
    org = clinic()
    assert book(sql, org, at(9))
    assert "09:00" not in free(org)[DAY]
    clock.forward(601)
    assert "09:00" in free(org)[DAY]


def test_hours_in_another_order_hide_no_booking(sql: Sql) -> None:
    org = clinic(opening={day: periods[::-1] for day, periods in WITH_LUNCH.items()})
    assert book(sql, org, at(9))
    assert free(org)[DAY] == [*half_hours("09:30", "12:00"), *half_hours("13:30", "16:30")]


def test_what_shares_the_resource_shares_its_time(sql: Sql) -> None:
    org = create_clinic(calendars=("doctor", "nurse"), calendar={"opening": WITH_LUNCH, "room": "room"})
    other = clinic()
    assert book(sql, org, at(9), calendar="nurse")
    assert free(org, calendar_id="doctor")[DAY][0] == "09:30"
    assert free(other)[DAY][0] == "09:00"


def test_a_room_is_shared_also_by_calendars_of_two_time_zones(sql: Sql) -> None:
    org = clinic(room="room")
    with system_transaction(Door.OPERATOR) as session:
        values = {"name": "c", "time_zone": "Europe/Lisbon", "opening": every_day(["09:00", "17:00"])}
        add_calendar(session, uuid.UUID(org), "lisbon", room="room", **values)
    [taken] = [slot for slot in availability.slots_of_day(load(org), DAY) if slot.starts_at == at(11)]
    assert book(sql, org, taken.starts_at)
    assert taken.options == ((("cal-1",), ("room",)),)
    starts = free(org, calendar_id="lisbon")[DAY]
    assert "10:30" in starts
    assert "11:00" not in starts


def test_a_booking_from_the_evening_before_reaches_into_the_first_slot(sql: Sql) -> None:
    org = create_clinic(calendar={"opening": NIGHT, "minutes": 30, "step_minutes": 15})
    assert book(sql, org, at(0) - timedelta(minutes=10))
    assert free(org)[DAY][0] == "00:30"


def test_notice_and_the_present_are_kept(sql: Sql) -> None:
    org = clinic(min_notice_minutes=60)
    now = at(9, 10)
    assert free(org, now=now)[DAY][0] == "10:30"
    assert free(org, now=at(9))[DAY][0] == "10:00"
    assert free(clinic(), now=at(9))[DAY][0] == "09:30"  # at nine, the slot at nine has begun


def test_neither_the_past_nor_what_lies_beyond_the_horizon_is_offered() -> None:
    org = clinic(horizon_days=2)
    found = free(org, first=DAY - timedelta(days=5), days=20, now=at(0))
    assert list(found) == [DAY, DAY + timedelta(days=1), DAY + timedelta(days=2)]
    assert free(org, first=DAY + timedelta(days=3), now=at(0)) == {}
    assert free(org, first=DAY - timedelta(days=9), days=3, now=at(0)) == {}


def test_the_nearest_are_free_in_order_and_near(sql: Sql) -> None:
    org = clinic()
    for wanted in (at(10), at(10, 30)):
        assert book(sql, org, wanted)
    assert [slot.starts_at for slot in nearest(org, at(10))] == [at(9), at(9, 30), at(11)]
    assert [slot.starts_at for slot in nearest(org, at(13), count=2)] == [at(12), at(13, 30)]
    # After the last slot of a day: that day's last slots, not the next morning's.
    assert [slot.starts_at for slot in nearest(org, at(18))] == [at(15, 30), at(16), at(16, 30)]


def test_the_nearest_to_a_past_time_are_the_first_to_come() -> None:
    org = clinic()
    now = at(11, 5)
    for wanted in (at(9), at(9, day=DAY - timedelta(days=30)), at(11)):
        assert [slot.starts_at for slot in nearest(org, wanted, now=now)] == [at(11, 30), at(12), at(13, 30)]


def test_when_the_days_around_are_closed_the_nearest_lie_further_ahead() -> None:
    closed = [(DAY + timedelta(days=n)).isoformat() for n in range(-1, 10)]
    org = clinic(closures=closed)
    opens = DAY + timedelta(days=10)
    assert [slot.starts_at for slot in nearest(org, at(10))] == [
        at(9, 0, day=opens),
        at(9, 30, day=opens),
        at(10, day=opens),
    ]


def test_where_too_few_are_near_others_are_looked_for_further_ahead() -> None:
    """The clinic opens on one weekday, with two starts: the third is a week later."""
    org = clinic(opening={WEEKDAYS[DAY.weekday()]: [["09:00", "10:00"]]})
    week_later = DAY + timedelta(days=7)
    assert [slot.starts_at for slot in nearest(org, at(9))] == [at(9), at(9, 30), at(9, day=week_later)]


def test_beyond_the_horizon_the_nearest_are_the_last_that_can_be_had() -> None:
    org = clinic(horizon_days=5)
    last = DAY + timedelta(days=5)
    for beyond in (at(10, day=DAY + timedelta(days=60)), datetime.max.replace(tzinfo=UTC)):
        found = [slot.starts_at for slot in nearest(org, beyond, now=at(0))]
        assert found == [at(15, 30, day=last), at(16, day=last), at(16, 30, day=last)]


def test_there_may_be_nothing_at_all() -> None:
    assert nearest(clinic(opening={}), at(10)) == []


@pytest.fixture(scope="module")
def busy() -> tuple[str, set[datetime]]:
    """A clinic with every third slot taken for a week, and its free slots of two."""
    org = clinic()
    with system_transaction(Door.OPERATOR) as session:
        connection = session.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        for day in range(7):
            for slot in list(availability.slots_of_day(load(org), DAY + timedelta(days=day)))[::3]:
                assert book(connection, org, slot.starts_at)
    days = free(org, first=DAY - timedelta(days=3), days=14).items()
    return org, {
        datetime.combine(day, time.fromisoformat(start), UTC) for day, starts in days for start in starts
    }


@hypothesis_settings(max_examples=40)
@given(minutes=st.integers(0, 6 * 24 * 60), count=st.integers(1, 6))
def test_the_nearest_to_any_time_are_sorted_free_and_as_many_as_asked(
    busy: tuple[str, set[datetime]], minutes: int, count: int
) -> None:
    org, everything = busy
    found = [slot.starts_at for slot in nearest(org, at(0) + timedelta(minutes=minutes), count=count)]
    assert len(found) == count
    assert found == sorted(set(found))
    assert set(found) <= everything
    # No other free slot is nearer than the farthest of them; the search includes both neighbouring days.
    wanted = at(0) + timedelta(minutes=minutes)
    farthest = max(abs(start - wanted) for start in found)
    day = timedelta(days=1)
    nearer = {start for start in everything if abs(start - wanted) < min(farthest, day)}
    assert nearer <= set(found)
