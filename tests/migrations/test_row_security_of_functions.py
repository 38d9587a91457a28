"""The SQL functions, keys, triggers and the log behind the wall, asked by hand."""

from __future__ import annotations

import uuid
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import errors

from tests.factories import create_clinic, phone_number, slot
from tests.migrations.walls import Sql
from tests.migrations.walls import bound as bound  # the fixture  # noqa: PLC0414
from tests.migrations.walls import two as two  # the fixture  # noqa: PLC0414

CLAIM = "SELECT success, hold_id FROM claim_slot_atomic(%s, 'cal-1', %s::{type}, 'call', 'John', %s, 10)"


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_the_functions_enter_their_organisation_where_none_was_said(
    database_url: str, kind: LiteralString
) -> None:
    org = create_clinic()
    with psycopg.connect(database_url, autocommit=True) as hand:

        def ask(statement: LiteralString, *values: object) -> tuple[Any, ...]:
            row = hand.execute(statement, values).fetchone()
            assert row is not None
            return row

        def left() -> object:
            return ask("SELECT coalesce(current_setting('app.org_id', true), '')")[0]

        claim: LiteralString = CLAIM.replace("{type}", kind)
        claimed, hold = ask(claim, org, slot(), phone_number())
        assert claimed
        assert left() == ""
        assert ask("SELECT code FROM confirm_held_slot(%s, %s, NULL, 'x', NULL)", hold, org) == (
            "code_not_sent",
        )
        assert ask("SELECT success FROM release_hold(%s, %s)", hold, org) == (True,)
        assert ask("SELECT holds_a_slot FROM begin_tool_call(%s, 'call', 't', 'tool', 'd')", org) == (False,)
        assert left() == ""
        with hand.transaction():  # it goes on as the rest of the transaction that it began
            hold = ask(claim, org, slot(), phone_number())[1]
            assert left() == org
            hand.execute("UPDATE appointment_holds SET code_digest = 'right' WHERE id = %s", [hold])
            confirmed = ask("SELECT success FROM confirm_held_slot(%s, %s, NULL, 'right', NULL)", hold, org)
            assert confirmed == (True,)
        assert left() == ""
        with pytest.raises(errors.InvalidTextRepresentation):
            ask("SELECT count(*) FROM appointment_holds")


@pytest.mark.parametrize("entered_by", ["setting", "function"])
def test_the_functions_refuse_to_leave_the_organisation_of_a_transaction(
    bound: Sql, two: tuple[str, str], entered_by: str
) -> None:
    own, other = two
    if entered_by == "setting":
        bound.execute("SELECT set_config('app.org_id', %s, true)", [own])
    else:
        bound.execute("SELECT * FROM release_hold(%s, %s)", [uuid.uuid4(), own])
    asked: tuple[tuple[LiteralString, list[object]], ...] = (
        (CLAIM.replace("{type}", "timestamptz"), [other, slot(days=20), phone_number()]),
        (CLAIM.replace("{type}", "timestamp"), [other, slot(days=20), phone_number()]),
        ("SELECT * FROM confirm_held_slot(%s, %s, NULL, 'x', NULL)", [uuid.uuid4(), other]),
        ("SELECT * FROM release_hold(%s, %s)", [uuid.uuid4(), other]),
        ("SELECT * FROM begin_tool_call(%s, 'call', 't', 'tool', 'd')", [other]),
    )
    for statement, values in asked:
        for value in (other, None):
            given = [value if each == other else each for each in values]
            with (
                pytest.raises(errors.InsufficientPrivilege, match="belongs to another organisation"),
                bound.transaction(),
            ):
                bound.execute(statement, given)
    hold = bound.execute(asked[0][0], [own, slot(days=20), phone_number()]).fetchone()
    assert hold is not None
    assert hold[0] is True


def test_keys_triggers_and_the_log_work_within_one_organisation(
    bound: Sql, two: tuple[str, str], sql: Sql
) -> None:
    own, other = two
    [foreign_contact] = sql.execute("SELECT id FROM contacts WHERE org_id = %s LIMIT 1", [other]).fetchall()
    [foreign_hold] = sql.execute(
        "SELECT id FROM appointment_holds WHERE org_id = %s AND status = 'held'", [other]
    ).fetchall()
    bound.execute(
        "SELECT set_config('app.org_id', %s, true), set_config('app.actor', 'operator Jo', true)", [own]
    )
    contact, appointment, message = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    bound.execute(
        "INSERT INTO contacts (id, org_id, phone) VALUES (%s, %s, %s)", [contact, own, phone_number()]
    )

    def hold(whose: object) -> uuid.UUID:
        row = bound.execute(
            "INSERT INTO appointment_holds (org_id, calendar_id, starts_at, expires_at, contact_id,"
            " patient_name, patient_phone)"
            " VALUES (%s, 'cal-1', %s, clock_timestamp() + interval '10 min', %s, 'Raw', '+1') RETURNING id",
            [own, slot(days=30), whose],
        ).fetchone()
        assert row is not None
        made: uuid.UUID = row[0]
        return made

    with pytest.raises(errors.ForeignKeyViolation), bound.transaction():
        hold(foreign_contact[0])
    held = hold(contact)
    taken = "SELECT hold_id, appointment_id FROM occupancies WHERE starts_at = %s"
    assert bound.execute(taken, [slot(days=30)]).fetchall() == [(held, None)]

    def book(from_hold: object, at: str) -> None:
        bound.execute(
            "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, hold_id,"
            " patient_name, patient_phone, confirmation_message_id)"
            " VALUES (%s, %s, 'cal-1', %s, %s, %s, 'Raw', '+1', %s)",
            [appointment, own, at, contact, from_hold, message],
        )

    with pytest.raises(errors.ForeignKeyViolation), bound.transaction():
        book(foreign_hold[0], slot(days=31))
    book(held, slot(days=30))
    assert bound.execute(taken, [slot(days=30)]).fetchall() == [(None, appointment)]
    bound.execute(
        "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
        " VALUES (%s, %s, 'confirmation', '+1', %s)",
        [message, own, appointment],
    )
    bound.execute("SET CONSTRAINTS ALL IMMEDIATE")
    bound.execute("UPDATE sms_messages SET provider_id = 'SM1', sent_at = now() WHERE id = %s", [message])
    told = bound.execute(
        "SELECT confirmation_sms_sent, confirmation_sms_id FROM appointments WHERE id = %s", [appointment]
    ).fetchone()
    assert told == (True, "SM1")
    bound.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert bound.execute(taken, [slot(days=30)]).fetchall() == []
    log = bound.execute(
        "SELECT org_id::text, actor, action, table_name FROM audit_log WHERE row_id = ANY (%s) ORDER BY id",
        [[str(contact), str(appointment)]],
    ).fetchall()
    assert log == [
        (own, "operator Jo", "insert", "contacts"),
        (own, "operator Jo", "insert", "appointments"),
        (own, "operator Jo", "update", "appointments"),
    ]


def test_the_log_can_only_be_added_to(bound: Sql, two: tuple[str, str]) -> None:
    bound.execute("SELECT set_config('app.org_id', %s, true)", [two[0]])
    for statement in ("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        forbidden: LiteralString = statement
        with pytest.raises(errors.InsufficientPrivilege), bound.transaction():
            bound.execute(forbidden)
