"""P8: what clinics offer here that the documentation of a well-known scheduling API has as examples (Medplum,
"Defining Availability").

Two rules differ. There starts are aligned to midnight, and here they are steps from where a period begins.
Here a buffer has to be free, but it needs no open time: the first appointment begins when the doctor does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.booking import availability
from models.booking.bookables import Bookable
from models.booking.hours import WEEKDAYS, minutes_of
from models.booking.openings import A_DAY, Different, Period, Timetable
from models.booking.resources import ResourceKind

MONDAY = date(2026, 12, 7)
TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY = (MONDAY + timedelta(days=n) for n in range(1, 6))
WORKING_WEEK = ("mon", "tue", "wed", "thu", "fri")
LONDON, NEW_YORK = ZoneInfo("Europe/London"), ZoneInfo("America/New_York")
ALWAYS = dict.fromkeys(range(7), (Period(0, A_DAY, 0),))


def period(begins: str, until: str, room: str | None = None) -> Period:
    """From one time to another; "02:00" after "22:00" is of the next day."""
    first, last = minutes_of(begins, until)
    return Period(first, last, first, room)


def week(days: Iterable[str], *periods: Period) -> dict[int, tuple[Period, ...]]:
    return {WEEKDAYS.index(day): periods for day in days}


def opened(*periods: Period) -> Different:
    return Different(opened=periods)


def closed(begins: str, until: str) -> Different:
    return Different(closed=(minutes_of(begins, until),))


CLOSED = Different(closed_all_day=True)


def open_at(
    name: str,
    weekly: Mapping[int, tuple[Period, ...]] = ALWAYS,
    *,
    zone: ZoneInfo = LONDON,
    clinic: Mapping[date, Different] | None = None,
    own: Mapping[date, Different] | None = None,
) -> Timetable:
    return Timetable(name, name, zone, weekly, clinic or {}, own or {})


def service(
    *people: Timetable, minutes: int = 30, step: int = 30, buffers: tuple[int, int] = (0, 0), **more: Any
) -> Bookable:
    """A service of these people. `rooms` and `devices`: what it needs besides; `others`: what hours name."""
    needs = {ResourceKind.ROOM: more.pop("rooms", ()), ResourceKind.DEVICE: more.pop("devices", ())}
    others = more.pop("others", ())
    resources = (*people, *(each for able in needs.values() for each in able), *others)
    return Bookable(
        org_id=uuid.UUID(int=0),
        calendar_id="cal-1",
        zone=more.pop("zone", people[0].zone),
        hold_minutes=10,
        service_id="service",
        service="Service",
        minutes=minutes,
        minutes_before=buffers[0],
        minutes_after=buffers[1],
        step_minutes=step,
        min_notice_minutes=0,
        horizon_days=90,
        most_per_day=None,
        by_phone=True,
        by_link=True,
        leaders=tuple(each.id for each in people),
        needs=tuple((kind, tuple(each.id for each in able)) for kind, able in needs.items() if able),
        timetables={each.id: each for each in resources},
        is_default=True,
    )


def offered(bookable: Bookable, day: date) -> list[str]:
    """The starts of a day by the calendar's clock."""
    return [
        f"{slot.starts_at.astimezone(bookable.zone):%H:%M}"
        for slot in availability.slots_of_day(bookable, day)
    ]


def free(bookable: Bookable, day: date, taken: Mapping[str, tuple[str, str]]) -> list[str]:
    """The starts of a day that are free, if each of `taken` is taken from one time to another."""
    times = {
        name: [(at(day, begins, bookable.zone), at(day, ends, bookable.zone))]
        for name, (begins, ends) in taken.items()
    }
    found = availability.free_of(bookable, day, day, times)[day]
    return [f"{slot.starts_at.astimezone(bookable.zone):%H:%M}" for slot in found]


def at(day: date, time_of_day: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, datetime.strptime(time_of_day, "%H:%M").time(), zone)  # noqa: DTZ007


def every(minutes: int, first: str, last: str) -> list[str]:
    begin, end = minutes_of(first, last)
    return [f"{each // 60 % 24:02}:{each % 60:02}" for each in range(begin, end + 1, minutes)]


# A practice


JOHNSON = open_at("Dr Johnson", week(WORKING_WEEK, period("09:00", "17:00")))
OFFICE_VISIT = service(JOHNSON, minutes=30, step=15, buffers=(5, 5))


def test_an_office_visit_begins_every_quarter_of_an_hour_and_its_buffers_need_no_open_time() -> None:
    # The buffers of 9:00 and 16:30 lie outside the hours.
    assert offered(OFFICE_VISIT, MONDAY) == every(15, "09:00", "16:30")
    assert offered(OFFICE_VISIT, FRIDAY) == every(15, "09:00", "16:30")
    assert offered(OFFICE_VISIT, SATURDAY) == []


def test_an_office_visit_keeps_its_own_buffers_from_those_of_the_visits_around_it() -> None:
    # Booked at 10:00, with five minutes before and after.
    taken = {"Dr Johnson": ("09:55", "10:35")}
    assert free(OFFICE_VISIT, MONDAY, taken) == [*every(15, "09:00", "09:15"), *every(15, "10:45", "16:30")]


def test_starts_are_steps_from_the_opening_and_not_from_the_hour() -> None:
    early = open_at("Dr Early", week(["mon"], period("09:10", "10:30")))
    assert offered(service(early, step=15), MONDAY) == ["09:10", "09:25", "09:40", "09:55"]
    # Aligned to the hour it would be 10:00, 11:00, 12:00 and 14:00.
    halves = open_at("Dr Halves", week(["mon"], period("09:30", "12:30"), period("13:15", "16:15")))
    assert offered(service(halves, minutes=20, step=60), MONDAY) == [
        *("09:30", "10:30", "11:30"),
        *("13:15", "14:15", "15:15"),
    ]


def test_one_doctor_has_other_hours_for_each_of_two_services() -> None:
    new_patient = service(
        open_at("Dr Chen", week(["tue", "thu"], period("09:00", "13:00"))),
        minutes=60,
        step=30,
        buffers=(15, 15),
    )
    assert offered(new_patient, TUESDAY) == every(30, "09:00", "12:00")
    assert offered(new_patient, WEDNESDAY) == []
    follow_up = service(
        open_at("Dr Chen", week(WORKING_WEEK, period("09:00", "17:00"))), minutes=20, step=10, buffers=(5, 5)
    )
    assert offered(follow_up, WEDNESDAY) == every(10, "09:00", "16:40")


# Over midnight


def test_a_window_over_midnight_is_of_the_day_on_which_it_begins() -> None:
    night = service(open_at("Dr Night", week(["tue"], period("22:00", "06:00"))))
    assert offered(night, MONDAY) == []
    assert offered(night, TUESDAY) == every(30, "22:00", "23:30")
    assert offered(night, WEDNESDAY) == every(30, "00:00", "05:30")
    assert offered(night, THURSDAY) == []


def test_an_hour_can_begin_half_an_hour_before_midnight() -> None:
    night = service(open_at("Dr Night", week(["fri"], period("22:00", "06:00"))), minutes=60)
    assert offered(night, FRIDAY) == every(30, "22:00", "23:30")
    assert offered(night, SATURDAY) == every(30, "00:00", "05:00")


@pytest.mark.parametrize("end", ["00:00", "24:00", "23:59"])
def test_a_whole_week_is_written_as_seven_days_that_adjoin(end: str) -> None:
    always = service(open_at("Dr Always", week(WEEKDAYS, period("00:00", end))), minutes=90)
    assert offered(always, MONDAY) == every(30, "00:00", "23:30")


# Several at once. An appointment takes one of each kind, so the anaesthetist is kept as a device.


SURGEON = open_at("Dr Martinez", week(["tue", "thu"], period("08:00", "16:00")))
THEATRE = open_at("Theatre 3", week(WORKING_WEEK, period("07:00", "19:00")))
ANAESTHETIST = week(WORKING_WEEK, period("07:00", "17:00"))


def surgery(own: Mapping[date, Different] | None = None) -> Bookable:
    anaesthetist = open_at("Dr Kim", ANAESTHETIST, own=own)
    return service(SURGEON, minutes=120, step=30, buffers=(45, 30), rooms=[THEATRE], devices=[anaesthetist])


def test_surgery_needs_surgeon_theatre_and_anaesthetist_at_once() -> None:
    assert offered(surgery(), TUESDAY) == every(30, "08:00", "14:00")
    assert offered(surgery(), WEDNESDAY) == []
    away = surgery({THURSDAY: closed("11:00", "12:30")})
    assert offered(away, THURSDAY) == [*every(30, "08:00", "09:00"), *every(30, "12:30", "14:00")]


def test_what_is_taken_of_one_of_them_is_kept_free_of_buffers_too() -> None:
    # The theatre is to be prepared for 45 minutes before and cleaned for 30 after.
    assert free(surgery(), TUESDAY, {"Theatre 3": ("07:00", "09:00")}) == every(30, "10:00", "14:00")
    assert free(surgery(), TUESDAY, {"Dr Kim": ("12:00", "13:00")}) == [
        *every(30, "08:00", "09:30"),
        "14:00",
    ]


def test_one_procedure_is_done_by_several_people_in_several_rooms() -> None:
    ann = open_at("Ann", week(["mon"], period("09:00", "11:00")))
    bob = open_at("Bob", week(["mon"], period("10:00", "11:00", "Room 2")))
    rooms = [open_at("Room 1", week(["mon"], period("08:00", "10:30"))), open_at("Room 2")]
    slots = availability.slots_of_day(service(ann, bob, minutes=30, rooms=rooms), MONDAY)
    assert [slot.options for slot in slots] == [
        ((("Ann",), ("Room 1", "Room 2")),),
        ((("Ann",), ("Room 1", "Room 2")),),
        ((("Ann",), ("Room 1", "Room 2")), (("Bob",), ("Room 2",))),
        ((("Ann",), ("Room 2",)), (("Bob",), ("Room 2",))),
    ]


def test_nine_is_the_clinics_nine_in_summer_and_in_winter() -> None:
    morning = service(open_at("Dr Adams", week(WEEKDAYS, period("09:00", "10:00")), zone=NEW_YORK))
    starts = [
        f"{availability.slots_of_day(morning, day)[0].starts_at:%H:%M}"
        for day in (date(2026, 3, 7), date(2026, 3, 8), date(2026, 10, 31), date(2026, 11, 1))
    ]
    assert starts == ["14:00", "13:00", "13:00", "14:00"]


# Dates that differ, around midnight


def test_a_closure_over_midnight_closes_the_hours_of_the_next_day_too() -> None:
    hours = week(["tue", "wed"], period("00:00", "05:00"))
    closure = {TUESDAY: closed("22:00", "02:00")}
    for ann in (open_at("Ann", hours, clinic=closure), open_at("Ann", hours, own=closure)):
        assert offered(service(ann), WEDNESDAY) == every(30, "02:00", "04:30")


def test_an_opening_over_midnight_adds_no_second_grid_to_the_hours_of_the_next_day() -> None:
    hours = week(["wed"], period("00:00", "02:00"))
    ann = open_at("Ann", hours, own={TUESDAY: opened(period("23:00", "01:00"))})
    assert offered(service(ann, minutes=15, step=45), TUESDAY) == ["23:00", "23:45"]
    assert offered(service(ann, minutes=15, step=45), WEDNESDAY) == ["00:00", "00:45", "01:30"]


def test_an_opening_adds_nothing_to_the_late_hours_of_the_day_before() -> None:
    late = week(["tue"], period("22:00", "02:00"))
    ann = open_at("Ann", late, own={WEDNESDAY: opened(period("01:15", "03:15", "Room 1"))})
    visits = service(ann, others=[open_at("Room 1")])
    assert offered(visits, WEDNESDAY) == [*every(30, "00:00", "01:30"), "02:15", "02:45"]
    in_no_room, in_the_room = ((("Ann",),),), ((("Ann",), ("Room 1",)),)
    options = [slot.options for slot in availability.slots_of_day(visits, WEDNESDAY)]
    assert options == [in_no_room] * 4 + [in_the_room] * 2


def test_an_opening_begins_at_its_own_time_where_the_late_hours_of_the_day_before_are_closed() -> None:
    late = week(["tue"], period("22:00", "02:00"))
    own = {TUESDAY: CLOSED, WEDNESDAY: opened(period("01:15", "03:15"))}
    assert offered(service(open_at("Ann", late, own=own)), WEDNESDAY) == ["01:15", "01:45", "02:15", "02:45"]


def test_a_person_can_work_while_the_clinic_is_closed_but_not_in_their_own_time_off() -> None:
    hours = week(["mon"], period("09:00", "12:00"))
    clinic = {MONDAY: CLOSED}
    works = open_at("Ann", hours, clinic=clinic, own={MONDAY: opened(period("10:00", "11:00"))})
    assert offered(service(works), MONDAY) == ["10:00", "10:30"]
    both = Different(opened=(period("10:00", "11:00"),), closed=(minutes_of("10:30", "11:00"),))
    assert offered(service(open_at("Ann", hours, clinic=clinic, own={MONDAY: both})), MONDAY) == ["10:00"]


def test_the_day_is_the_calendars_though_a_person_lives_by_another_clock() -> None:
    # 9:00 to 17:00 in Auckland is 20:00 to 4:00 in London.
    hours = week(WEEKDAYS, period("09:00", "17:00"))
    ann = open_at("Ann", hours, zone=ZoneInfo("Pacific/Auckland"))
    abroad = service(ann, zone=LONDON)
    assert offered(abroad, MONDAY) == [*every(30, "00:00", "03:30"), *every(30, "20:00", "23:30")]
    now = at(MONDAY, "12:00", LONDON)
    assert availability.why_not_offered(abroad, at(MONDAY, "23:30", LONDON), now) is None
    assert availability.why_not_offered(abroad, at(TUESDAY, "03:30", LONDON), now) is None


def test_hours_that_end_or_begin_while_the_clocks_skip_an_hour_end_or_begin_at_that_moment() -> None:
    spring = date(2026, 3, 29)  # at 01:00 it becomes 02:00
    early = open_at("Ann", week(["sun"], period("00:00", "01:30")))
    assert offered(service(early, minutes=30), spring) == ["00:00", "00:30"]
    assert offered(service(early, minutes=45), spring) == ["00:00"]
    late = open_at(
        "Ann", week(["sun"], period("01:15", "03:15")), own={spring: opened(period("00:00", "01:15"))}
    )
    assert offered(service(late, minutes=15), spring) == ["00:00", "00:30", "02:15", "02:45"]
    assert offered(service(late, minutes=90, step=15), spring) == ["00:00", "00:15", "00:30", "00:45"]
