"""Two people at the desk, a caller, a patient with a link and a block want one time: it is had once."""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask

from models.booking import links
from models.clinics.staff import StaffRole
from tests.concurrency.databases import new_database
from tests.concurrency.desks import (
    SERVICE,
    Told,
    block,
    book_by_hand,
    check,
    claim,
    clinic,
    has_whole_time,
    move_by_link,
    sittings,
)
from tests.concurrency.racing import (
    SLOT,
    Connection,
    connections,
    errors_in,
    meanwhile,
    race,
    wait_until_blocked,
)
from tests.factories import bare, phone_number
from tests.surroundings import environment
from tests.webapp.staff.browsers import employ

ROUNDS = 100

#: The number of the racer who blocks the time.
BLOCK = 4


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


WITHOUT_LOCK = (
    "CREATE OR REPLACE FUNCTION lock_resources(p_org uuid, p_resources text[]) RETURNS void"
    " LANGUAGE plpgsql AS $$ BEGIN END $$"
)
WITHOUT_CONSTRAINT = (
    "ALTER TABLE occupancies DROP CONSTRAINT ex_occupancies_no_overlap, DROP CONSTRAINT pk_occupancies"
)


@pytest.mark.parametrize(
    ("taken_away", "waits_for"),
    [
        ((WITHOUT_LOCK,), "transactionid"),
        ((WITHOUT_CONSTRAINT,), "advisory"),
        ((WITHOUT_LOCK, WITHOUT_CONSTRAINT), None),
    ],
)
def test_lock_and_constraint_each_keep_the_desk_from_a_time_and_without_both_it_has_it_twice(
    database_url: str, template: str, taken_away: tuple[str, ...], waits_for: str | None
) -> None:
    """Two at the desk in slow motion: the second asks before the first has committed."""
    with (
        new_database(database_url, template=template) as url,
        environment(DATABASE_URL=url),
        connections(url, 3) as (watcher, first, second),
    ):
        for statement in taken_away:
            watcher.execute(statement.encode())
        org = clinic()
        with first.transaction():
            assert book_by_hand(first, org, SLOT).success
            waiting = meanwhile(lambda: book_by_hand(second, org, SLOT))
            if waits_for:
                wait_until_blocked(watcher, second, by=waits_for)
            else:
                assert waiting.result(120).success
        told = waiting.result(120)
        assert (told.success, told.code) == ((False, "slot_taken") if waits_for else (True, None))
        if waits_for:
            check(watcher, org)
        else:
            with pytest.raises(AssertionError):
                check(watcher, org)


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
