"""An erasure beside what else a clinic does: the order of its locks."""

from __future__ import annotations

import uuid

from models.base.session import transaction
from models.insight import privacy
from tests.concurrency.racing import Connection, connections, meanwhile
from tests.factories import create_clinic, phone_number
from tests.stack import eventually
from tests.webapp.staff.rows import add_booking, now

FILE = (
    "INSERT INTO import_files (org_id, id, kind, file_name, body, choices, created_at)"
    " VALUES (%s, gen_random_uuid(), 'csv', 'x.csv', '', '{}', app_clock())"
)


def test_it_locks_the_file_to_import_before_any_time_as_an_import_does(
    database_url: str, sql: Connection
) -> None:
    org, phone = create_clinic(), phone_number()
    add_booking(sql, org, now(sql).replace(microsecond=0), patient_phone=phone, status="confirmed")
    sql.execute(FILE, [org])

    def erase() -> object:
        with transaction(uuid.UUID(org)) as session:
            return privacy.erase(session, uuid.UUID(org), [phone], cancel=True)

    with connections(database_url, 1) as (imports,):
        with imports.transaction():
            imports.execute("SELECT id FROM import_files WHERE org_id = %s FOR UPDATE", [org])
            erased = meanwhile(erase)
            eventually(
                lambda: sql.execute(
                    "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                    " AND transactionid = (SELECT backend_xid FROM pg_stat_activity WHERE pid = %s)",
                    [imports.info.backend_pid],
                ).fetchone()
            )
            free = imports.execute(
                "SELECT pg_try_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [org]
            ).fetchone()
            assert free == (True,)
        assert erased.result(120)


def test_the_words_of_a_block_change_while_its_time_is_locked(database_url: str, sql: Connection) -> None:
    org = create_clinic()
    sql.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
        " VALUES (%s, 'cal-1', now() + interval '1 day', now() + interval '2 days', 'Mrs Miller')",
        [org],
    )
    occupied = "SELECT xmin::text, starts_at FROM occupancies WHERE org_id = %s"
    before = sql.execute(occupied, [org]).fetchall()
    assert before
    with connections(database_url, 1) as (claims,), claims.transaction():
        claims.execute("SELECT lock_resources(%s, '{cal-1}')", [org])
        sql.execute("SET lock_timeout = '5s'")
        sql.execute("UPDATE blocks SET reason = 'erased' WHERE org_id = %s", [org])
        sql.execute("RESET lock_timeout")
    assert sql.execute(occupied, [org]).fetchall() == before
    sql.execute("UPDATE blocks SET ends_at = ends_at + interval '1 hour' WHERE org_id = %s", [org])
    assert sql.execute(occupied, [org]).fetchall() != before
