"""Clinics with every calendar that 0.1.0 could have, written into a database of that time by plain SQL."""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from tests.migrations.availability_of_0_1_0 import WEEKDAYS, Calendar, Time, find_free

TODAY = datetime.now(UTC).date()
DAILY = {day: [["09:00", "17:00"]] for day in WEEKDAYS}
LUNCH = {day: [["09:00", "12:30"], ["13:30", "17:00"]] for day in WEEKDAYS}
NIGHT = {"fri": [["22:00", "02:00"]], "sat": [["10:00", "23:59"]], "sun": [["23:30", "06:00"]]}
ROUND_THE_CLOCK = {day: [["00:00", "24:00"]] for day in WEEKDAYS}
ZONES = (
    *("Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo"),
    *("Asia/Beirut", "America/Santiago", "Asia/Kathmandu", "Pacific/Chatham", "America/St_Johns", "UTC"),
)


def days(*numbers: int) -> list[str]:
    """Days counted from today, as closures are written."""
    return [(TODAY + timedelta(days=number)).isoformat() for number in numbers]


def _random_hours(chance: random.Random) -> dict[str, list[list[str]]]:
    """Up to three periods a day, over midnight too, that neither overlap nor touch."""
    marks = sorted(
        chance.sample(range(0, 7 * 288, 3), 2 * chance.randint(1, 14))
    )  # a quarter of an hour apart
    hours: dict[str, list[list[str]]] = {}
    for begin, end in list(pairwise(marks))[::2]:
        closes = min(end, begin + 287)
        hours.setdefault(WEEKDAYS[begin // 288], []).append([_time(begin), _time(closes)])
    return hours


def _time(mark: int) -> str:
    return f"{mark % 288 // 12:02}:{mark % 12 * 5:02}"


def _random_calendar(number: int) -> Calendar:
    chance = random.Random(number)  # noqa: S311 (the same clinics in every run)
    return Calendar(
        f"cal-{number}",
        _random_hours(chance),
        resource_id=chance.choice(["", "", "chair", "laser"]),
        time_zone=chance.choice(ZONES),
        closures=days(*chance.sample(range(-20, 60), chance.randint(0, 8))),
        services=chance.sample(["check-up", "cleaning", "whitening", "braces"], chance.randint(0, 4)),
        slot_minutes=chance.choice([5, 20, 30, 45, 90, 480]),
        step_minutes=chance.choice([5, 15, 30, 50, 90]),
        min_notice_minutes=chance.choice([0, 0, 45, 4000]),
        horizon_days=chance.choice([1, 30, 90, 400]),
    )


CLINICS: dict[str, list[Calendar]] = {
    "names": [
        Calendar("a list", DAILY, services=["check-up", "cleaning", "Whitening"]),
        Calendar("no list", DAILY),
        Calendar("called so", DAILY, services=["Appointment"]),
        Calendar("the same", LUNCH, services=["cleaning", "check-up"]),
        Calendar("other rules", DAILY, services=["cleaning", "check-up"], slot_minutes=60),
        Calendar(
            "equal ids", DAILY, services=["Skin check", "skin-check", "SKIN CHECK!", "Зубы", "歯", "-2"]
        ),
        Calendar("blank", DAILY, services=["", "  ", "x-ray", "\t"]),
        Calendar("only blank", DAILY, services=[""]),
        Calendar("twice", DAILY, services=["check-up", "check-up"]),
        Calendar("long", DAILY, services=["implant " * 40]),
    ],
    "ids": [
        Calendar(each, LUNCH, services=["check-up"])
        for each in ("cal 1", "room/1", "/", "Zähne & Füße", "x" * 200, "2026-12-07T09:00:00Z", "'; --", "歯")
    ],
    "shared": [
        Calendar("anna", DAILY, resource_id="chair", services=["check-up"]),
        Calendar("ben", LUNCH, resource_id="chair", services=["check-up", "cleaning"], slot_minutes=45),
        Calendar("abroad", DAILY, resource_id="chair", services=["check-up"], time_zone="America/New_York"),
        Calendar("c", DAILY, resource_id="d"),
        Calendar("d", DAILY, resource_id="d"),
        Calendar("e", LUNCH, resource_id="f"),
        Calendar("f", LUNCH, resource_id="e"),
        Calendar("g", DAILY, resource_id="g-2"),
        Calendar("g-2", DAILY, resource_id="g"),
        Calendar("h", DAILY, resource_id="g"),
        Calendar("own", DAILY, services=["check-up"]),
    ],
    "hours": [
        Calendar("never", {}),
        Calendar("no weekday", {"monday": [["09:00", "17:00"]], "Mon": [["09:00", "17:00"]], "tue": []}),
        Calendar("night", NIGHT),
        Calendar("night long", NIGHT, slot_minutes=120, closures=days(*range(0, 60, 5))),
        Calendar("round the clock", ROUND_THE_CLOCK, slot_minutes=480, step_minutes=5),
        Calendar("whole days", {day: [["00:00", "00:00"]] for day in WEEKDAYS}, slot_minutes=90),
        Calendar("from eight to eight", {day: [["20:00", "19:30"]] for day in WEEKDAYS}, slot_minutes=60),
        Calendar("to 23:59", {day: [["18:00", "23:59"]] for day in WEEKDAYS}),
        Calendar("to 24:00", {day: [["18:00", "24:00"]] for day in WEEKDAYS}),
        Calendar("to 00:00", {day: [["18:00", "00:00"]] for day in WEEKDAYS}, slot_minutes=45),
        Calendar(
            "the last minute", {"mon": [["23:59", "23:59"]], "tue": [["23:55", "24:00"]]}, slot_minutes=5
        ),
        Calendar("out of order", {"mon": [["13:30", "17:00"], ["09:00", "12:30"]]}),
        Calendar("touching on the grid", {"mon": [["09:00", "12:00"], ["12:00", "17:00"]]}),
        Calendar(
            "overlapping on the grid", {"mon": [["09:00", "13:00"], ["11:00", "17:00"], ["12:00", "14:00"]]}
        ),
        Calendar(
            "overlapping nights",
            {"sat": [["20:00", "04:00"]], "sun": [["02:00", "10:00"], ["20:00", "03:00"]]},
        ),
        Calendar("overlapping weeks", {"sun": [["20:00", "04:00"]], "mon": [["02:00", "10:00"]]}),
        Calendar("as Python reads it", {"mon": [["09:00:00", "1700"], ["18", "19:00"]]}),
    ],
    "rules": [
        Calendar("every five minutes", ROUND_THE_CLOCK, slot_minutes=5, step_minutes=5),
        Calendar("longer than its step", LUNCH, slot_minutes=90, step_minutes=15),
        Calendar("shorter than its step", DAILY, slot_minutes=5, step_minutes=480),
        Calendar("longer than its hours", LUNCH, slot_minutes=480),
        Calendar("notice", DAILY, min_notice_minutes=3 * 1440 + 17),
        Calendar("tomorrow", DAILY, horizon_days=1),
        Calendar("ten years", DAILY, horizon_days=3660),
        Calendar("closed", DAILY, closures=days(*range(-400, 30), 31, 35, 59, 4000)),
        Calendar(
            "closed in vain", DAILY, closures=["20270101", "never", "", *days(3), *days(3), "2026-02-30"]
        ),
    ],
    "zones": [Calendar(each, LUNCH | NIGHT, time_zone=each, slot_minutes=60) for each in ZONES]
    + [Calendar(f"all day {each}", ROUND_THE_CLOCK, time_zone=each, slot_minutes=45) for each in ZONES],
    "random": [_random_calendar(number) for number in range(40)],
    "empty": [],
}
ORGS = {name: uuid.UUID(int=number) for number, name in enumerate(CLINICS, start=1)}


def insert(sql: psycopg.Connection[Any]) -> None:
    """Write the clinics, and book in each calendar what 0.1.0 could have booked by now."""
    for clinic, org in ORGS.items():
        sql.execute(
            "INSERT INTO organizations (id, name, phone, region) VALUES (%s, %s, '+442079460958', 'GB')",
            [org, clinic],
        )
        for calendar in CLINICS[clinic]:
            insert_calendar(sql, org, calendar)
        for calendar in CLINICS[clinic]:
            _book(sql, org, calendar)


def insert_calendar(sql: psycopg.Connection[Any], org: uuid.UUID, calendar: Calendar) -> None:
    row = {
        name: Jsonb(value) if isinstance(value, dict | list) else value
        for name, value in calendar.row.items()
    }
    names = ", ".join(row)
    marks = ", ".join(f"%({name})s" for name in row)
    sql.execute(f"INSERT INTO calendars (org_id, {names}) VALUES ('{org}', {marks})".encode(), row)


def taken(sql: psycopg.Connection[Any], org: uuid.UUID, resource: str) -> list[Time]:
    """What 0.1.0 took for taken."""
    rows: list[Any] = sql.execute(
        "SELECT o.starts_at, o.ends_at FROM occupancies o LEFT JOIN appointment_holds h ON h.id = o.hold_id"
        " WHERE o.org_id = %s AND o.resource_id = %s"
        " AND (o.hold_id IS NULL OR hold_is_live(h.status, h.expires_at, app_clock()))",
        [org, resource],
    ).fetchall()
    return rows


def hold(sql: psycopg.Connection[Any], org: uuid.UUID, calendar: Calendar, starts_at: datetime) -> Any:
    """A live hold whose code has the digest 'right', and the contact that it is for."""
    row: Any = sql.execute(
        "SELECT hold_id, contact_id, error"
        " FROM claim_slot_atomic(%s, %s, %s, NULL, 'Jo', '+447700900123', 60)",
        [org, calendar.id, starts_at],
    ).fetchone()
    assert row[2] is None, row
    sql.execute("UPDATE appointment_holds SET code_digest = 'right' WHERE id = %s", [row[0]])
    return row[:2]


def confirm(sql: psycopg.Connection[Any], org: uuid.UUID, hold_id: Any, contact_id: Any) -> Any:
    """Confirm a hold; returns the id of the appointment."""
    row: Any = sql.execute(
        "SELECT appointment_id, error FROM confirm_held_slot(%s, %s, %s, 'right', 'cleaning')",
        [hold_id, org, contact_id],
    ).fetchone()
    assert row[1] is None, row
    return row[0]


def _book(sql: psycopg.Connection[Any], org: uuid.UUID, calendar: Calendar) -> None:
    """Of the first free slots: a live hold, an expired and a released one, an appointment with a hold and one
    without, and one that was cancelled.
    """
    now = datetime.now(UTC) + timedelta(hours=3)  # none of them begins while the tests run
    busy: list[Any] = sql.execute(  # also by a hold that has expired, which makes way for a claim alone
        "SELECT starts_at, ends_at FROM occupancies WHERE org_id = %s AND resource_id = %s",
        [org, calendar.row["resource_id"]],
    ).fetchall()
    free = find_free(calendar, busy, first=TODAY, days=14, now=now)
    starts: list[datetime] = []
    for slots in free.values():
        for starts_at, _ in slots[:: max(1, len(slots) // 3)]:
            if not starts or starts_at >= starts[-1] + timedelta(minutes=calendar.slot_minutes):
                starts.append(starts_at)
    if len(starts) < 6:
        return
    hold(sql, org, calendar, starts[0])
    expired, _ = hold(sql, org, calendar, starts[1])
    sql.execute("UPDATE appointment_holds SET expires_at = now() - interval '1 s' WHERE id = %s", [expired])
    released, _ = hold(sql, org, calendar, starts[2])
    sql.execute("SELECT release_hold(%s, %s)", [released, org])
    _, contact = confirm(sql, org, *(kept := hold(sql, org, calendar, starts[3]))), kept[1]
    cancelled = confirm(sql, org, *hold(sql, org, calendar, starts[4]))
    sql.execute("SELECT cancel_appointment(%s, %s)", [cancelled, org])
    _by_hand(sql, org, calendar, starts[5], contact)


def _by_hand(
    sql: psycopg.Connection[Any], org: uuid.UUID, calendar: Calendar, starts_at: datetime, contact: Any
) -> None:
    """An appointment that an operator wrote, without a hold."""
    appointment, message = uuid.uuid4(), uuid.uuid4()
    with sql.transaction():
        sql.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, patient_name,"
            " patient_phone, confirmation_message_id) VALUES (%s, %s, %s, %s, %s, 'Jo', '+447700900123', %s)",
            [appointment, org, calendar.id, starts_at, contact, message],
        )
        sql.execute(
            "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
            " VALUES (%s, %s, 'confirmation', '+447700900123', %s)",
            [message, org, appointment],
        )
