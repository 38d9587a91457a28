"""Cancelling, the rules that moving and cancelling share, and the record of both."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

from models.base.session import transaction
from models.booking import appointments
from models.booking.appointments import Change
from tests.conftest import Clock
from tests.factories import create_clinic, reserve, slot
from tests.linked import Linked, at
from tests.models.booking.changing import NEW, SUPERSEDED, move, nothing_changed
from tests.models.booking.changing import linked as linked  # the fixture  # noqa: PLC0414


def cancel(linked: Linked, *, org: str | None = None, message: uuid.UUID | None = None) -> Change:
    with transaction(uuid.UUID(org or linked.org), actor="patient link") as session:
        return appointments.cancel(
            session,
            org_id=uuid.UUID(org or linked.org),
            appointment_id=uuid.UUID(linked.appointment),
            message_id=message,
        )


# --- cancelling ---------------------------------------------------------------------------------


def test_cancelling_gives_the_time_back_and_keeps_the_sms_from_going_out(linked: Linked) -> None:
    change = cancel(linked)
    assert (change.success, change.code) == (True, None)
    assert linked.row("status") == "cancelled"
    assert linked.taken() == []
    assert linked.sms() == SUPERSEDED
    assert linked.link()[:2] == ("cancelled", True)
    assert reserve(linked.client, linked.org, slotId=linked.start)["success"]


def test_cancelling_after_a_move_ends_the_newest_link(linked: Linked) -> None:
    moved = move(linked)
    assert cancel(linked).success
    assert linked.link()[0] == "moved"
    assert linked.link(moved.message_id)[0] == "cancelled"
    assert linked.sms(moved.message_id) == SUPERSEDED
    assert linked.newest() == moved.message_id  # P2: it still has its confirmation


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [move, cancel])
@pytest.mark.parametrize("status", ["cancelled", "completed", "no_show"])
def test_only_what_is_confirmed_can_be_changed(linked: Linked, verb: Any, status: str) -> None:
    linked.sql.execute("UPDATE appointments SET status = %s WHERE id = %s", [status, linked.appointment])
    change = verb(linked)
    assert (change.success, change.code) == (False, f"appointment_{status}")
    assert linked.row("scheduled_at, status") == (at(linked.start), status)
    assert linked.sms() == ("queued", "created")


@pytest.mark.parametrize("verb", [move, cancel])
def test_what_has_begun_cannot_be_changed(linked: Linked, verb: Any) -> None:
    linked.sql.execute(
        "UPDATE appointments SET scheduled_at = now() - interval '1 second',"
        " ends_at = now() + interval '1 hour' WHERE id = %s",
        [linked.appointment],
    )
    change = verb(linked)
    assert (change.success, change.code) == (False, "appointment_begun")
    assert linked.row("status") == "confirmed"


@pytest.mark.parametrize("verb", [move, cancel])
def test_a_link_that_is_not_the_newest_changes_nothing(linked: Linked, verb: Any) -> None:
    moved = move(linked)
    there = () if verb is cancel else (slot(hour=11),)
    change = verb(linked, *there, message=linked.message)
    assert (change.success, change.code) == (False, "superseded")
    assert linked.row("scheduled_at, status") == (at(NEW), "confirmed")
    assert linked.newest() == moved.message_id
    assert (cancel(linked, message=moved.message_id)).success


@pytest.mark.parametrize("verb", [move, cancel])
def test_the_appointment_of_another_clinic_is_unknown(linked: Linked, verb: Any) -> None:
    change = verb(linked, org=create_clinic())
    assert (change.success, change.code) == (False, "unknown_appointment")
    nothing_changed(linked)


@pytest.mark.parametrize(
    "call", ["move_appointment(%s, %s, now() + interval '1 day')", "cancel_appointment(%s, %s)"]
)
def test_nobody_leaves_the_organisation_that_the_transaction_is_in(
    linked: Linked, database_url: str, call: str
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT set_config('app.org_id', %s, true)", [create_clinic()])
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"SELECT * FROM {call}".encode(), [linked.appointment, linked.org])
    nothing_changed(linked)


def test_by_hand_they_set_the_organisation_themselves(linked: Linked, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT success FROM move_appointment(%s, %s, %s)", [linked.appointment, linked.org, at(NEW)]
        ).fetchone()
        assert row == (True,)
        row = connection.execute(
            "SELECT success FROM cancel_appointment(%s, %s)", [linked.appointment, linked.org]
        ).fetchone()
        assert row == (True,)


def changes(linked: Linked) -> list[tuple[Any, ...]]:
    return linked.sql.execute(
        "SELECT change, was_at, is_at, actor FROM appointment_changes WHERE appointment_id = %s ORDER BY id",
        [linked.appointment],
    ).fetchall()


def test_every_change_is_kept_with_both_times_and_who_made_it(linked: Linked, clock: Clock) -> None:
    third = slot(hour=16)
    move(linked)
    move(linked, third)
    move(linked, third)  # is refused, and so is not recorded
    clock.forward(60)
    cancel(linked)
    assert changes(linked) == [
        ("moved", at(linked.start), at(NEW), "patient link"),
        ("moved", at(NEW), at(third), "patient link"),
        ("cancelled", at(third), None, "patient link"),
    ]
    assert linked.one(
        "SELECT max(created_at) - min(created_at) >= interval '60 s' FROM appointment_changes"
        " WHERE appointment_id = %s",
        linked.appointment,
    )


def test_plain_sql_that_moves_and_cancels_is_kept_too_and_nothing_else_is(linked: Linked) -> None:
    for values in (
        "service_type = 'x'",
        "scheduled_at = scheduled_at - interval '1 hour', ends_at = ends_at - interval '1 hour'",
        "status = 'completed'",
        "status = 'cancelled'",
        "status = 'cancelled'",
    ):
        linked.sql.execute(f"UPDATE appointments SET {values} WHERE id = %s".encode(), [linked.appointment])
    earlier = at(linked.start) - timedelta(hours=1)
    assert [row[:3] for row in changes(linked)] == [
        ("moved", at(linked.start), earlier),
        ("cancelled", earlier, None),
    ]
    assert {row[3] for row in changes(linked)} == {f"sql {linked.one('SELECT session_user')}"}


def test_a_transaction_that_fails_leaves_no_text_and_no_change(linked: Linked) -> None:
    org = uuid.UUID(linked.org)

    def cancel_and_fail() -> None:
        with transaction(org) as session:
            done = appointments.cancel(session, org_id=org, appointment_id=uuid.UUID(linked.appointment))
            raise RuntimeError(done.success)

    with pytest.raises(RuntimeError, match="True"):
        cancel_and_fail()
    nothing_changed(linked)
    assert changes(linked) == []


def test_the_audit_log_says_that_it_was_the_link(linked: Linked) -> None:
    move(linked)
    cancel(linked)
    entries = linked.sql.execute(
        "SELECT actor, columns FROM audit_log WHERE table_name = 'appointments' AND row_id = %s"
        " AND action = 'update' ORDER BY id",
        [linked.appointment],
    ).fetchall()
    assert [actor for actor, _ in entries] == ["patient link", "patient link"]
    assert "scheduled_at" in entries[0][1]
    assert entries[1][1] == ["status"]
