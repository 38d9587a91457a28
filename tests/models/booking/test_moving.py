"""Moving: one time is freed and another taken at once, and one confirmation is right."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import appointments, bookables, links
from models.booking.appointments import Appointment
from models.clinics import calendars
from models.messaging import messages
from models.notices import registry
from tasks.messaging import deliver_sms
from tests.conftest import Clock
from tests.factories import create_clinic, reserve, slot
from tests.linked import Linked, at
from tests.models.booking.changing import NEW, SUPERSEDED, move, nothing_changed
from tests.models.booking.changing import linked as linked  # the fixture  # noqa: PLC0414


@pytest.fixture
def twelve(client: FlaskClient, sql: psycopg.Connection) -> Linked:
    """A booking in a calendar with starts a quarter of an hour apart."""
    return Linked(client, sql, create_clinic(sandbox=True, calendar={"step_minutes": 15}))


# --- moving -------------------------------------------------------------------------------------


def test_a_move_frees_the_old_time_and_takes_the_new_one(linked: Linked) -> None:
    change = move(linked)
    assert (change.success, change.code) == (True, None)
    assert linked.taken() == [at(NEW)]
    start, end, status = linked.row("scheduled_at, ends_at, status")
    assert (start, end - start, status) == (at(NEW), timedelta(minutes=30), "confirmed")
    # Another caller may have the old time at once.
    assert reserve(linked.client, linked.org, slotId=linked.start)["success"]


def test_a_move_has_a_new_confirmation_with_a_new_link(linked: Linked) -> None:
    change = move(linked)
    assert change.message_id == linked.newest() != linked.message
    kind, status, to_phone, expires_at, appointment = linked.sms(
        change.message_id, "kind, status, to_phone, expires_at, appointment_id::text"
    )
    assert (kind, status, to_phone) == ("confirmation", "queued", linked.phone)
    assert (expires_at, appointment) == (at(NEW), linked.appointment)
    assert linked.link(change.message_id) == (None, False, at(NEW))
    assert linked.link() == ("moved", True, at(linked.start))


def test_what_the_new_one_says_is_the_new_time_and_the_old_one_says_nothing(linked: Linked) -> None:
    change = move(linked)
    org = uuid.UUID(linked.org)
    with transaction(org) as session:
        assert change.message_id is not None
        old, new = (messages.get_or_none(session, org, each) for each in (linked.message, change.message_id))
        assert old is not None
        assert new is not None
        text = registry.render(session, new)
        assert registry.render(session, old) is None
    assert text is not None
    assert "at 3:00 pm" in text
    assert f"/a/{links.derive(change.message_id)}" in text


def test_a_confirmation_that_still_waited_never_goes_out(linked: Linked, twilio: str) -> None:
    del twilio
    change = move(linked)
    assert linked.sms() == SUPERSEDED
    for message in (linked.message, change.message_id):
        deliver_sms.run(org_id=linked.org, message_id=str(message))
    assert linked.sms() == SUPERSEDED
    assert linked.sms(change.message_id, "status") == "sent"


def test_a_confirmation_that_was_sent_stays_sent(linked: Linked, twilio: str) -> None:
    del twilio
    deliver_sms.run(org_id=linked.org, message_id=str(linked.message))
    move(linked)
    assert linked.sms(columns="status") == "sent"


def test_the_appointment_speaks_of_the_newest_confirmation(linked: Linked, twilio: str) -> None:
    del twilio
    of_sms = "confirmation_sms_sent, confirmation_sms_id, confirmation_sms_sent_at IS NOT NULL"
    deliver_sms.run(org_id=linked.org, message_id=str(linked.message))
    assert linked.row(of_sms) == (True, linked.sms(columns="provider_id"), True)
    change = move(linked)
    assert linked.row(of_sms) == (False, None, False)
    # A late outcome of the old message changes nothing.
    linked.sql.execute(
        "UPDATE sms_messages SET provider_id = 'SMlate', sent_at = now() WHERE id = %s", [linked.message]
    )
    assert linked.row(of_sms) == (False, None, False)
    deliver_sms.run(org_id=linked.org, message_id=str(change.message_id))
    assert linked.row(of_sms) == (True, linked.sms(change.message_id, "provider_id"), True)


def test_plain_sql_that_switches_the_confirmation_keeps_the_columns_true(linked: Linked) -> None:
    [other] = linked.sql.execute(
        "INSERT INTO sms_messages (org_id, kind, to_phone, appointment_id, status, provider_id, sent_at)"
        " VALUES (%s, 'confirmation', '+447700900999', %s, 'sent', 'SMother', now()) RETURNING id",
        [linked.org, linked.appointment],
    ).fetchall()
    linked.sql.execute(
        "UPDATE appointments SET confirmation_message_id = %s WHERE id = %s", [other[0], linked.appointment]
    )
    assert linked.row("confirmation_sms_sent, confirmation_sms_id") == (True, "SMother")


def test_it_can_be_moved_again_and_back(linked: Linked) -> None:
    assert move(linked).success
    assert move(linked, linked.start).success
    assert linked.taken() == [at(linked.start)]
    outcomes = linked.sql.execute(
        "SELECT outcome FROM patient_links WHERE org_id = %s ORDER BY created_at", [linked.org]
    ).fetchall()
    assert outcomes == [("moved",), ("moved",), (None,)]


def test_it_may_move_by_less_than_its_own_length(twelve: Linked) -> None:
    later = slot(hour=10, minute=15)
    assert move(twelve, later).success
    assert twelve.taken() == [at(later)]
    assert move(twelve, twelve.start).success
    assert twelve.taken() == [at(twelve.start)]


@pytest.mark.parametrize("neighbour", ["booked", "held"])
def test_it_may_move_to_right_before_and_right_after_what_is_there(twelve: Linked, neighbour: str) -> None:
    """Another caller has the half hour from 12:30."""
    between = slot(hour=12, minute=30)
    if neighbour == "booked":
        Linked(twelve.client, twelve.sql, twelve.org, start=between)
    else:
        assert reserve(twelve.client, twelve.org, slotId=between)["success"]
    for hour, minute, code in ((12, 0, None), (12, 15, "slot_taken"), (13, 0, None), (12, 45, "slot_taken")):
        assert move(twelve, slot(hour=hour, minute=minute)).code == code, (hour, minute)
    assert twelve.taken() == [at(between), at(slot(hour=13))]


def test_as_far_as_a_diary_can_be_open_a_time_is_booked_and_moved_to(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    """Ten years, the most that a calendar may be set to."""
    org = create_clinic(sandbox=True, calendar={"horizon_days": 3660})
    linked = Linked(client, sql, org, start=slot(days=3658))
    assert move(linked, slot(days=3659)).success
    assert linked.taken() == [at(slot(days=3659))]


def test_it_keeps_its_length(twelve: Linked) -> None:
    """A treatment of an hour, in a calendar whose appointments now last half an hour."""
    twelve.sql.execute(
        "UPDATE appointments SET ends_at = scheduled_at + interval '1 hour' WHERE id = %s",
        [twelve.appointment],
    )
    assert move(twelve, slot(hour=16)).success
    assert twelve.row("ends_at - scheduled_at") == timedelta(hours=1)
    assert move(twelve, slot(hour=16, minute=30)).code == "off_the_grid"  # the clinic closes at five
    assert reserve(twelve.client, twelve.org, slotId=slot(hour=13))["success"]
    assert move(twelve, slot(hour=12, minute=30)).code == "slot_taken"  # its second half is held
    assert twelve.taken() == [at(slot(hour=13)), at(slot(hour=16))]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        (slot(hour=8), "off_the_grid"),
        (slot(hour=10, minute=10), "off_the_grid"),
        ("2020-01-25T10:00:00Z", "past"),
        (slot(days=500), "too_far"),
        (slot(hour=10), "same_time"),
    ],
)
def test_a_time_that_is_not_on_offer_is_refused(linked: Linked, to: str, code: str) -> None:
    change = move(linked, to)
    assert (change.success, change.code, change.message_id) == (False, code, None)
    nothing_changed(linked)


def test_a_time_that_is_booked_is_refused(linked: Linked) -> None:
    Linked(linked.client, linked.sql, linked.org, start=NEW)
    assert move(linked).code == "slot_taken"
    nothing_changed(linked)
    assert linked.taken() == [at(linked.start), at(NEW)]


def test_a_time_that_a_caller_holds_is_refused(linked: Linked) -> None:
    assert reserve(linked.client, linked.org, slotId=NEW)["success"]
    change = move(linked)
    assert (change.code, change.error) == ("slot_taken", "Slot already held")
    nothing_changed(linked)


def test_a_stale_hold_makes_way(linked: Linked, clock: Clock) -> None:
    hold = reserve(linked.client, linked.org, slotId=NEW)["holdId"]
    clock.forward(601)
    assert move(linked).success
    assert linked.one("SELECT status FROM appointment_holds WHERE id = %s", hold) == "expired"
    assert linked.taken() == [at(NEW)]


def test_a_resource_shared_by_two_calendars_is_one(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(("cal-1", "cal-2"), {"room": "the one chair"}, sandbox=True)
    here = Linked(client, sql, org)
    there = Linked(client, sql, org, start=NEW, calendarId="cal-2")
    assert move(here).code == "slot_taken"
    assert move(there, slot(hour=16)).success
    assert move(here).success
    assert here.taken() == [at(NEW), at(NEW), at(slot(hour=16)), at(slot(hour=16))]  # person and chair


def test_whoever_moves_without_a_link_may_do_so_as_often_as_is_wanted(linked: Linked) -> None:
    """For the desk; tests/webapp/patient/test_moving.py tests over HTTP how often a link may move."""
    assert all(move(linked, slot(hour=hour)).success for hour in [11, 12] * 7)
    assert linked.taken() == [at(slot(hour=12))]


def test_a_slot_that_is_no_time_is_refused_by_the_function_itself(linked: Linked) -> None:
    for odd in ("infinity", "-infinity", None, "2300-01-01Z"):
        [code] = linked.sql.execute(
            "SELECT code FROM move_appointment(%s, %s, %s)", [linked.appointment, linked.org, odd]
        ).fetchall()
        assert code == ("invalid_slot",), odd
    [code] = linked.sql.execute(
        "SELECT code FROM move_appointment(%s, %s, now() - interval '1 minute')",
        [linked.appointment, linked.org],
    ).fetchall()
    assert code == ("slot_in_the_past",)
    nothing_changed(linked)


def test_a_session_that_knows_the_appointment_sees_it_at_its_new_time(linked: Linked) -> None:
    org = uuid.UUID(linked.org)
    with transaction(org) as session:
        known = appointments.get_or_none(session, org, uuid.UUID(linked.appointment))
        assert known is not None
        assert known.scheduled_at == at(linked.start)
        moved = appointments.move(session, org_id=org, appointment_id=known.id, starts_at=at(NEW))
        assert moved.success
        assert (known.scheduled_at, known.confirmation_message_id) == (at(NEW), moved.message_id)
        appointments.cancel(session, org_id=org, appointment_id=known.id)
        assert known.status.value == "cancelled"


def test_a_transaction_that_fails_afterwards_has_moved_nothing(linked: Linked) -> None:
    org = uuid.UUID(linked.org)

    def move_and_fail() -> None:
        with transaction(org) as session:
            appointment = uuid.UUID(linked.appointment)
            moved = appointments.move(session, org_id=org, appointment_id=appointment, starts_at=at(NEW))
            raise RuntimeError(moved.success)

    with pytest.raises(RuntimeError, match="True"):
        move_and_fail()
    nothing_changed(linked)
    assert linked.taken() == [at(linked.start)]


# --- what a worker still does with the old confirmation ------------------------------------------


def test_an_appointment_keeps_its_length_and_its_service_does_not_take_it_over(linked: Linked) -> None:
    org = uuid.UUID(linked.org)
    with transaction(org) as session:
        appointment = session.get(Appointment, uuid.UUID(linked.appointment))
        assert appointment is not None
        appointment.ends_at = appointment.scheduled_at + timedelta(hours=1)
        session.flush()
        room = appointments.find_bookable(session, appointment)
        calendar = calendars.get_or_none(session, org, appointment.calendar_id)
        assert room is not None
        assert calendar is not None
        service = bookables.find(session, calendar)
        assert service is not None
        assert (room.minutes, service.minutes) == (60, 30)
        assert room.zone == calendar.zone
    assert linked.one("SELECT minutes FROM services WHERE org_id = %s", linked.org) == 30


def test_a_move_judges_by_the_clock_of_the_database(linked: Linked, clock: Clock) -> None:
    until = (at(linked.start) - datetime.now(UTC)).total_seconds()
    clock.forward(until + 5)
    assert move(linked).code == "appointment_begun"
