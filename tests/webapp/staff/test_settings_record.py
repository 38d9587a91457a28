"""The record of changes: every table of settings is in it, in words, with the owner who changed it."""

from __future__ import annotations

import html
import re
import uuid
from datetime import date
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event

from models.base.session import transaction
from models.booking.resources import HoursException, Resource, ResourceHours
from models.booking.services import Service, ServiceResource
from models.clinics import record
from models.clinics.calendars import Calendar
from models.clinics.organizations import VapiCredential
from models.clinics.record import PAGE
from models.clinics.staff import StaffRole
from tests.factories import create_clinic
from tests.webapp.cli.commands import Operator
from tests.webapp.staff.browsers import PASSWORD, Person, employ
from tests.webapp.staff.test_settings_clinic import change

Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(app: Flask) -> Person:
    person = employ(app, create_clinic(), "Olu Owner", StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return person


def told(owner: Person, query: str = "") -> list[str]:
    """Each change on the page, in one line."""
    page = owner.get(f"settings/record{query}")
    assert page.status_code == 200
    rows = re.findall(r'<li class="row">(.*?)</li>', page.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in rows]


def test_every_table_of_settings_is_there_with_the_owner_who_changed_it(owner: Person, sql: Sql) -> None:
    org = uuid.UUID(owner.org)
    change(owner, code_length="6", hot_lead_threshold="81")
    owner.post(
        "settings/team/add", name="Sam New", email=f"sam-{org}@x.example", role="staff", proof=PASSWORD
    )
    secret = "Nobody should read this"

    def edit(work: Any) -> None:
        with transaction(org, actor=f"staff {owner.email}") as session:
            work(session)

    edit(lambda at: at.add(Resource(org_id=org, id="anna", kind="person", name="Anna", time_zone="UTC")))
    edit(
        lambda at: at.add(
            ResourceHours(org_id=org, resource_id="anna", weekday=0, from_minute=60, until_minute=120)
        )
    )
    edit(
        lambda at: at.add(
            HoursException(org_id=org, resource_id="anna", day=date(2027, 5, 1), is_open=False, reason=secret)
        )
    )
    edit(lambda at: at.add(Service(org_id=org, id="polish", name="Polish")))
    edit(lambda at: at.add(ServiceResource(org_id=org, service_id="polish", resource_id="anna")))
    edit(lambda at: setattr(at.get(Calendar, (org, "cal-1")), "name", "Front desk"))
    edit(
        lambda at: at.add(
            VapiCredential(org_id=org, kind="bearer", secret_digest=uuid.uuid4().hex, label="New key")
        )
    )
    lines = told(owner)
    for what in (
        "Changed the clinic: code length",
        "Changed alerts and connections: score of a hot lead",
        "Added team member Sam New",
        "Added person, room or device Anna",
        "Added opening hours of Anna",
        "Added closed or special day of Anna",
        "Added service Polish",
        "Added who or what does a service",
        "Changed calendar Front desk: name",
        "Added credential New key",
    ):
        assert len([line for line in lines if what in line and line.startswith("Olu Owner ")]) == 1, what
    assert not [line for line in lines if secret in line or "_" in line.partition(" ")[2]]
    tables = sql.execute(
        "SELECT DISTINCT table_name FROM audit_log WHERE org_id = %s AND actor = %s",
        [owner.org, f"staff {owner.email}"],
    ).fetchall()
    assert len(tables) == 10


def test_what_was_done_to_the_team_is_told_in_words(app: Flask, owner: Person, sql: Sql) -> None:
    colleague = employ(app, owner.org, "Sam")
    [row] = sql.execute("SELECT id FROM staff_users WHERE email = %s", [colleague.email]).fetchall()
    for deed in ("link", "role", "sessions/end", "disable"):
        owner.post(f"settings/team/{row[0]}/{deed}", proof=PASSWORD, role="read_only")
    found = [line.partition("Changed ")[2] for line in told(owner)[:4]]
    assert found == [
        "team member Sam: may sign in, link to set a password, sessions ended.",
        "team member Sam: sessions ended.",
        "team member Sam: role.",
        "team member Sam: link to set a password.",
    ]


def test_it_is_limited_to_what_and_to_whom(app: Flask, owner: Person, sql: Sql) -> None:
    second = employ(app, owner.org, "Ola", StaffRole.OWNER)
    second.sign_in()
    change(owner, code_length="5")
    change(second, code_tries="2")
    sql.execute("INSERT INTO contacts (org_id, phone, name) VALUES (%s, '+447700900999', 'Pat')", [owner.org])
    owner.elsewhere().sign_in("wrong password here")
    [row] = sql.execute("SELECT id FROM staff_users WHERE email = %s", [second.email]).fetchall()
    assert "wrong codes per hold" in told(owner, f"?who={row[0]}")[0]
    assert len(told(owner, f"?who={row[0]}")) == 1
    daily = told(owner, "?about=daily")
    assert len([line for line in daily if "Added patient" in line]) == 1
    assert not [line for line in daily if "Pat" in line.replace("patient", "")]
    [failed] = told(owner, "?about=sign-in")
    assert "Somebody at the sign-in" in failed
    assert "Wrong password: team member Olu Owner" in failed
    assert not [line for line in told(owner) if "patient." in line or "Wrong password" in line]
    assert len(told(owner, "?about=all")) > len(told(owner))
    for odd in (
        "?about=x",
        "?who=x",
        f"?who={uuid.uuid4()}",
        "?before=x&last=x",
        "?before=2026-01-01T00:00Z&last=x",
    ):
        assert told(owner, odd) == told(owner)


def test_it_is_read_page_by_page(owner: Person, sql: Sql) -> None:
    for number in range(PAGE + 3):
        sql.execute(
            "INSERT INTO audit_log (org_id, actor, action, table_name, row_id, columns, created_at)"
            " VALUES (%s, %s, 'update', 'services', 'x', ARRAY[%s], now() + make_interval(secs => %s))",
            [owner.org, f"staff {owner.email}", f"column {number}", number + 1],
        )
    first = owner.get("settings/record")
    assert f"column {PAGE + 2}." in first.text
    assert "column 2." not in first.text
    older = re.search(r'href="([^"]+)">Older<', first.text)
    assert older
    second = owner.client.get(html.unescape(older[1])).text
    assert "column 2." in second
    assert "column 3." not in second
    assert "Newest" in second


def test_another_clinics_changes_are_its_own(app: Flask, owner: Person, other: Person) -> None:
    change(owner, name="A clinic of our own")
    theirs = employ(app, other.org, "Thea", StaffRole.OWNER)
    theirs.sign_in()
    assert not [line for line in told(theirs) if "Olu Owner" in line]


def test_the_command_tells_the_same(app: Flask, owner: Person, sql: Sql) -> None:
    operator = Operator(app, sql)
    change(owner, code_length="6")
    [change_made] = operator.reads("audit", "list", owner.org, "--who", owner.email.upper())
    assert change_made["who"] == "Olu Owner"
    assert change_made["what"] == ["Changed the clinic: code length"]
    assert change_made["entries"] == [
        {"action": "update", "table": "organizations", "row": owner.org, "columns": ["code_length"]}
    ]
    assert "Changed the clinic: code length" in operator.does(
        "audit", "list", owner.org, "--since", "2020-01-01"
    )
    assert operator.reads("audit", "list", owner.org, "--since", "2099-01-01T00:00Z") == []
    assert "nothing of this kind" in operator.does("audit", "list", owner.org, "--since", "2099-01-01")
    assert "needs an offset" in operator.fails("audit", "list", owner.org, "--since", "2026-01-01T10:00")
    assert "neither a date" in operator.fails("audit", "list", owner.org, "--since", "soon")


def test_the_settings_are_read_by_an_index_of_their_own(owner: Person, sql: Sql) -> None:
    """A clinic's daily work fills the log, and would otherwise be read for a page of a few rows."""
    sql.execute(
        "INSERT INTO audit_log (org_id, actor, action, table_name, row_id, columns)"
        " SELECT %s, 'call x', 'insert', 'appointments', 'x', '{}' FROM generate_series(1, 5000)",
        [owner.org],
    )
    sql.execute("ANALYZE audit_log")
    asked: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    with transaction(uuid.UUID(owner.org)) as session:
        event.listen(session.get_bind(), "before_cursor_execute", note)
        try:
            record.find(session, uuid.UUID(owner.org))
        finally:
            event.remove(session.get_bind(), "before_cursor_execute", note)
        [(statement, parameters)] = asked
        plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
    assert "ix_audit_log_settings" in "\n".join(plan)


def test_every_audited_table_has_a_word_of_its_own(sql: Sql) -> None:
    rows = sql.execute("SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'audit'").fetchall()
    assert {name for (name,) in rows} == set(record.THINGS)
