"""Two people at the desk, a caller, a patient with a link and a block want one time: it is had once."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg.types.json import Jsonb

from models.booking import links
from models.clinics.staff import StaffRole
from tests.concurrency.racing import SLOT, Connection, connections, errors_in, race
from tests.factories import bare, create_clinic, phone_number
from tests.webapp.staff.browsers import employ

ROUNDS = 100
SERVICE = "check-up"

#: Who wants the time, by the number of the racer.
DESK, OTHER_DESK, CALLER, LINK, BLOCK = range(5)


@dataclass(frozen=True)
class Told:
    """What one of them was told: `id` is of what they have now."""

    success: bool
    code: str | None
    error: str | None
    id: uuid.UUID | None = None


def clinic(*calendars: str, **calendar: Any) -> str:
    return create_clinic(calendars or ("cal-1",), calendar={"service_names": ("Check-up",)} | calendar)


def book_by_hand(
    connection: Connection,
    org: str,
    slot: datetime,
    *,
    options: list[list[list[str]]] | None = None,
    overrule: str | None = None,
) -> Told:
    row = connection.execute(
        "SELECT success, code, error, appointment_id FROM book_by_hand("
        "%s, 'cal-1', %s, %s, %s, 'Ann Desk', %s, 'staff jo', %s)",
        [org, SERVICE, slot, Jsonb(options or [[["cal-1"]]]), phone_number(), overrule],
    ).fetchone()
    assert row is not None
    return Told(*row)


def claim(connection: Connection, org: str, slot: datetime) -> Told:
    row = connection.execute(
        "SELECT success, code, error, hold_id FROM claim_slot_atomic(%s, 'cal-1', %s, %s, 'Cal', %s, 10)",
        [org, slot, str(uuid.uuid4()), phone_number()],
    ).fetchone()
    assert row is not None
    return Told(*row)


def move_by_link(connection: Connection, org: str, appointment: uuid.UUID, slot: datetime) -> Told:
    row = connection.execute(
        "SELECT success, code, error, NULL::uuid FROM move_appointment(%(appointment)s, %(org)s, %(slot)s,"
        " (SELECT confirmation_message_id FROM appointments WHERE id = %(appointment)s), 1000)",
        {"appointment": appointment, "org": org, "slot": slot},
    ).fetchone()
    assert row is not None
    return Told(row[0], row[1], row[2], appointment)


def block(connection: Connection, org: str, begin: datetime, end: datetime) -> Told:
    row = connection.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
        " VALUES (%s, 'cal-1', %s, %s, 'Meeting') RETURNING id",
        [org, begin, end],
    ).fetchone()
    assert row is not None
    return Told(success=True, code=None, error=None, id=row[0])


# --- the checker ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sitting:
    """What takes up time of one resource, buffers included, as its own row says."""

    owner: uuid.UUID
    kind: str
    resource: str
    seat: int
    begins: datetime
    ends: datetime


def sittings(sql: Connection, org: str) -> list[Sitting]:
    """From holds and appointments alone; occupancies are not asked."""
    rows = sql.execute(
        "SELECT id, 'appointment', resource_id, other_resources, seat, scheduled_at, ends_at, minutes_before,"
        " minutes_after FROM appointments WHERE org_id = %(org)s AND status <> 'cancelled'"
        " UNION ALL "
        "SELECT id, 'hold', resource_id, other_resources, seat, starts_at, ends_at, minutes_before,"
        " minutes_after FROM appointment_holds WHERE org_id = %(org)s AND status = 'held'",
        {"org": org},
    ).fetchall()
    return [
        Sitting(
            owner,
            kind,
            resource,
            seat,
            begins - timedelta(minutes=before),
            ends + timedelta(minutes=after),
        )
        for owner, kind, first, others, seat, begins, ends, before, after in rows
        for resource in (first, *others)
    ]


def check(sql: Connection, org: str) -> None:
    """Nobody sits on another's seat, only the overruled sit beside, and everything has its confirmation."""
    by_seat: dict[tuple[str, int], list[Sitting]] = defaultdict(list)
    for sitting in sittings(sql, org):
        by_seat[sitting.resource, sitting.seat].append(sitting)
    for of_seat in by_seat.values():
        of_seat.sort(key=lambda each: each.begins)
        for one, after in pairwise(of_seat):
            assert one.ends <= after.begins, (one, after)
    taken = sql.execute(
        "SELECT coalesce(hold_id, appointment_id), resource_id, seat, starts_at, ends_at FROM occupancies"
        " WHERE org_id = %s AND block_id IS NULL",
        [org],
    ).fetchall()
    assert sorted(taken, key=str) == sorted(
        ((each.owner, each.resource, each.seat, each.begins, each.ends) for each in sittings(sql, org)),
        key=str,
    )
    unmarked = sql.execute(
        "SELECT id FROM appointments WHERE org_id = %s AND (seat > 0) <> (overruled IS NOT NULL)", [org]
    ).fetchall()
    assert unmarked == []
    unconfirmed = sql.execute(
        "SELECT a.id FROM appointments a LEFT JOIN sms_messages m ON m.id = a.confirmation_message_id"
        " AND m.appointment_id = a.id AND m.org_id = a.org_id AND m.kind = 'confirmation'"
        " WHERE a.org_id = %s AND (m.id IS NULL OR m.to_phone <> a.patient_phone)",
        [org],
    ).fetchall()
    assert unconfirmed == []
    # Nothing is left of those who lost: no patient without a booking, no text without an appointment.
    [strays] = sql.execute(
        "SELECT (SELECT count(*) FROM contacts c WHERE c.org_id = %(org)s"
        "   AND NOT EXISTS (SELECT FROM appointments a WHERE a.contact_id = c.id)"
        "   AND NOT EXISTS (SELECT FROM appointment_holds h WHERE h.contact_id = c.id)),"
        " (SELECT count(*) FROM sms_messages m WHERE m.org_id = %(org)s AND m.kind = 'confirmation'"
        "   AND NOT EXISTS (SELECT FROM appointments a WHERE a.id = m.appointment_id))",
        {"org": org},
    ).fetchall()
    assert strays == (0, 0)


def has_whole_time(sql: Connection, org: str, owner: uuid.UUID, begin: datetime, end: datetime) -> bool:
    """Whether a block has all of a time."""
    [[taken]] = sql.execute(
        "SELECT coalesce(sum(least(ends_at, %(end)s) - greatest(starts_at, %(begin)s)), '0') FROM occupancies"
        " WHERE org_id = %(org)s AND block_id = %(owner)s AND starts_at < %(end)s AND ends_at > %(begin)s",
        {"org": org, "owner": owner, "begin": begin, "end": end},
    ).fetchall()
    return bool(taken == end - begin)


# --- races ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_block", [False, True])
def test_of_desk_caller_and_link_one_has_the_time_or_the_block_has_it(
    database_url: str, sql: Connection, *, with_block: bool
) -> None:
    org = clinic()
    length = timedelta(minutes=30)
    won: dict[int, int] = defaultdict(int)
    with connections(database_url, 5 if with_block else 4) as racers:
        for number in range(ROUNDS):
            slot = SLOT + timedelta(days=number)
            mine = book_by_hand(sql, org, slot + 6 * length).id
            assert mine is not None

            def act(connection: Connection, who: int, slot: datetime = slot, mine: uuid.UUID = mine) -> Told:
                match who:
                    case 0 | 1:
                        return book_by_hand(connection, org, slot + who * timedelta(minutes=10))
                    case 2:
                        return claim(connection, org, slot)
                    case 3:
                        return move_by_link(connection, org, mine, slot)
                return block(connection, org, slot, slot + length)

            results = race(racers, act)
            assert errors_in(results) == []
            told = [each for each in results if isinstance(each, Told)]
            winners = [who for who in range(4) if told[who].success]
            for who in winners:
                won[who] += 1
            if with_block and not winners:
                blocked = told[BLOCK].id
                assert blocked is not None
                assert has_whole_time(sql, org, blocked, slot, slot + length)
                won[BLOCK] += 1
            else:
                assert len(winners) == 1, told
            for who in set(range(4)) - set(winners):
                assert (told[who].code, bool(told[who].error)) == ("slot_taken", True), told[who]
    assert sum(won.values()) == ROUNDS
    check(sql, org)


def test_whoever_is_free_two_people_and_one_room_are_never_had_twice(
    database_url: str, sql: Connection
) -> None:
    """The desks name the two in different orders, and all need the one room; a second service needs none."""
    org = clinic("cal-1", "cal-2", room="surgery")
    with_room = [[["cal-1"], ["surgery"]], [["cal-2"], ["surgery"]]]
    without = [[["cal-2"]], [["cal-1"]]]
    with connections(database_url, 6) as racers:
        for number in range(ROUNDS // 2):
            slot = SLOT + timedelta(days=number)

            def act(connection: Connection, who: int, slot: datetime = slot) -> Told:
                if who == 0:
                    return claim(connection, org, slot)
                return book_by_hand(connection, org, slot, options=with_room if who % 2 else without)

            results = race(racers, act)
            assert errors_in(results) == []
            told = [each for each in results if isinstance(each, Told)]
            # Both of them are busy, however the room fell: at most one has it, and one can do without.
            assert sum(each.success for each in told) == 2, told
    check(sql, org)


def test_all_who_overrule_sit_beside_each_other_and_a_caller_beside_nobody(
    database_url: str, sql: Connection
) -> None:
    org = clinic()
    with connections(database_url, 6) as racers:
        for number in range(ROUNDS // 4):
            slot = SLOT + timedelta(days=number)

            def act(connection: Connection, who: int, slot: datetime = slot) -> Told:
                if who == 0:
                    return claim(connection, org, slot)
                return book_by_hand(connection, org, slot, overrule="An emergency" if who > 1 else None)

            results = race(racers, act)
            assert errors_in(results) == []
            told = [each for each in results if isinstance(each, Told)]
            assert all(each.success for each in told[2:])
            seats = sorted(each.seat for each in sittings(sql, org) if each.begins <= slot < each.ends)
            assert seats in ([0, 1, 2, 3], [0, 1, 2, 3, 4])
            assert seats[-1] == sum(each.success for each in told) - 1
    check(sql, org)


def test_one_who_was_put_beside_another_keeps_the_time_when_the_other_goes(
    database_url: str, sql: Connection
) -> None:
    """A caller and the cancellation of the first race: the caller never gets in beside the second."""
    org = clinic()
    with connections(database_url, 2) as racers:
        for number in range(ROUNDS // 4):
            slot = SLOT + timedelta(days=number)
            first = book_by_hand(sql, org, slot).id
            assert book_by_hand(sql, org, slot, overrule="An emergency").success

            def act(
                connection: Connection, who: int, slot: datetime = slot, first: uuid.UUID | None = first
            ) -> Told:
                if who:
                    return claim(connection, org, slot)
                row = connection.execute(
                    "SELECT success, code, error, NULL::uuid FROM cancel_appointment(%s, %s)", [first, org]
                ).fetchone()
                assert row is not None
                return Told(*row)

            cancelled, claimed = race(racers, act)
            assert isinstance(cancelled, Told)
            assert isinstance(claimed, Told)
            assert (cancelled.success, claimed.code) == (True, "slot_taken")
    check(sql, org)


def test_by_http_two_at_the_desk_a_caller_and_a_link_race_for_one_time(
    app: Flask, sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    org = clinic()
    desks = [employ(app, org, role=role) for role in (StaffRole.STAFF, StaffRole.OWNER)]
    for each in desks:
        assert each.sign_in().status_code == 303
    for number in range(10):
        slot = SLOT + timedelta(days=number)
        mine = book_by_hand(sql, org, slot + timedelta(hours=3)).id
        message = sql.execute(
            "SELECT confirmation_message_id FROM appointments WHERE id = %s", [mine]
        ).fetchall()[0][0]
        _link(sql, org, mine, message)
        together = threading.Barrier(5, timeout=60)

        def desk(who: int, slot: datetime = slot, together: threading.Barrier = together) -> tuple[bool, str]:
            form = {"service": SERVICE, "person": "cal-1", "day": slot.date().isoformat()}
            if who < 2:
                form |= {"other": f"{slot:%H:%M}", "name": "Ann Desk", "phone": "07700 900456"}
            desks[who].get("reports")
            together.wait()
            answer = desks[who].post("diary/new", **form)
            assert answer.status_code in {303, 409}, answer.text
            return answer.status_code == 303, answer.text

        def caller(slot: datetime = slot, together: threading.Barrier = together) -> tuple[bool, str]:
            client = app.test_client()
            together.wait()
            answer = bare(
                client,
                "booking/reserve-atomic",
                tenantId=org,
                slotId=f"{slot:%Y-%m-%dT%H:%M:%SZ}",
                calendarId="cal-1",
                patientName="Cal",
                patientPhone=phone_number(),
            )
            return bool(answer["success"]), str(answer)

        def patient(
            slot: datetime = slot, message: uuid.UUID = message, together: threading.Barrier = together
        ) -> tuple[bool, str]:
            client = app.test_client()
            together.wait()
            answer = client.post(
                f"/a/{links.derive(message)}/move", data={"slot": f"{slot:%Y-%m-%dT%H:%M:%SZ}"}
            )
            assert answer.status_code in {200, 409}, answer.text
            return "is now on" in answer.text or "was moved" in answer.text, answer.text

        with ThreadPoolExecutor(4) as pool:
            futures = [
                pool.submit(desk, 0),
                pool.submit(desk, 1),
                pool.submit(caller),
                pool.submit(patient),
            ]
            together.wait()
            told = [future.result(120) for future in futures]
        there = [each for each in sittings(sql, org) if each.begins <= slot < each.ends]
        assert len(there) == 1, there
        for who in (0, 1):
            if not told[who][0]:
                assert "that time is taken" in told[who][1]
        assert sum(done for done, _ in told[:3]) + (there[0].owner == mine) == 1
    check(sql, org)


def _link(sql: Connection, org: str, appointment: uuid.UUID | None, message: uuid.UUID) -> None:
    """The link that models.booking.appointments gives each confirmation, for one that raw SQL has made."""
    from models.base.session import transaction  # noqa: PLC0415
    from models.booking import appointments  # noqa: PLC0415

    assert appointment is not None
    with transaction(uuid.UUID(org)) as session:
        appointments.link(session, uuid.UUID(org), appointment, message)
