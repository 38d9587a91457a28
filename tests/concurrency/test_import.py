"""An import and callers want the same times at the same moment: of each time one has it, nobody twice."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from models.base.session import transaction
from models.booking.imports import matching, putting
from models.booking.imports.entries import Kind
from models.booking.imports.reports import Report, seen
from models.clinics import calendars
from models.clinics.organizations import Organization
from tests.concurrency.databases import new_database
from tests.concurrency.desks import check, claim, clinic, sittings
from tests.concurrency.racing import SLOT, Connection, connections
from tests.surroundings import environment

CALLERS = 16
TIMES = 16
HALF_AN_HOUR = timedelta(minutes=30)


def rows(times: list[datetime], person: str = "cal-1") -> bytes:
    lines = [
        f"{each:%Y-%m-%d},{each:%H:%M},30,Patient {place},07700 9{place:05},Check-up,{person}"
        for place, each in enumerate(times)
    ]
    return "\n".join(("Date,Time,Duration,Name,Mobile,Service,With", *lines)).encode()


def import_(org: str, data: bytes, agreed: str | None) -> Report:
    with transaction(uuid.UUID(org), actor="staff jo") as session:
        found = session.get_one(Organization, uuid.UUID(org))
        file = matching.ground(session, found).read(data, Kind.CSV)
        choices = matching.guess(session, found.id, file)
        zone = calendars.zone(session, found.id)
        return putting.put(session, found, file, choices, zone, booker="staff jo", seen=agreed)


@pytest.mark.parametrize("others", [True, False])
def test_an_import_races_sixteen_callers_for_the_same_times(
    database_url: str, sql: Connection, *, others: bool
) -> None:
    won = 0
    for number in range(6):
        org = clinic()
        day = SLOT + timedelta(days=number) - timedelta(hours=1)
        times = [day + place * HALF_AN_HOUR for place in range(TIMES)]
        with connections(database_url, CALLERS) as callers, ThreadPoolExecutor(CALLERS + 1) as pool:
            together = threading.Barrier(CALLERS + 1, timeout=120)

            def call(
                place: int,
                together: threading.Barrier = together,
                times: list[datetime] = times,
                org: str = org,
                callers: list[Connection] = callers,
            ) -> bool:
                together.wait()
                return claim(callers[place], org, times[place % TIMES]).success

            def bring(
                together: threading.Barrier = together, times: list[datetime] = times, org: str = org
            ) -> Report | None:
                together.wait()
                try:
                    return import_(org, rows(times), None if others else seen(()))
                except putting.NotAsSeen:
                    return None

            calling = [pool.submit(call, place) for place in range(CALLERS)]
            report = pool.submit(bring).result(120)
            held = sum(each.result(120) for each in calling)
        check(sql, org)
        sat = sittings(sql, org)
        imported = sum(each.kind == "appointment" for each in sat)
        assert held + imported == len(sat)
        if others:
            assert report is not None
            assert imported == len(report.appointments)
            assert len(sat) == TIMES  # each time has one, and none was lost
        else:
            assert imported in (0, TIMES)  # all of it or nothing
            assert (report is None) == (imported == 0)
        won += imported
    assert won <= 6 * TIMES


@pytest.mark.parametrize("person", ["cal-1", "Dr Nina New"])
def test_two_imports_of_one_file_at_once_import_it_once(sql: Connection, person: str) -> None:
    org = clinic()
    data = rows([SLOT + place * HALF_AN_HOUR for place in range(8)], person)
    with ThreadPoolExecutor(4) as pool:
        reports = [each.result(120) for each in [pool.submit(import_, org, data, None) for _ in range(4)]]
    assert sorted(len(each.appointments) for each in reports) == [0, 0, 0, 8]
    assert len(sittings(sql, org)) == 8
    check(sql, org)


def test_without_its_locks_the_constraint_alone_keeps_an_import_from_a_taken_time(
    database_url: str,
    template: str,
) -> None:
    """In slow motion: a caller has claimed and not committed when the import judges."""
    without_lock = (
        "CREATE OR REPLACE FUNCTION lock_resources(p_org uuid, p_resources text[]) RETURNS void"
        " LANGUAGE plpgsql AS $$ BEGIN END $$"
    )
    with (
        new_database(database_url, template=template) as url,
        environment(DATABASE_URL=url),
        connections(url, 2) as (watcher, caller),
    ):
        watcher.execute(without_lock.encode())
        org = clinic()
        with ThreadPoolExecutor(1) as pool:
            with caller.transaction():
                assert claim(caller, org, SLOT).success
                bringing = pool.submit(import_, org, rows([SLOT]), None)
                while not watcher.execute(
                    "SELECT FROM pg_stat_activity WHERE wait_event = 'transactionid'"
                ).fetchall():
                    assert not bringing.done(), bringing.result()
            with pytest.raises(Exception, match="cal-1 is taken between"):
                bringing.result(120)
        assert [each.kind for each in sittings(watcher, org)] == ["hold"]
        check(watcher, org)
