"""Whose calendar from elsewhere could not be read for too long is offered to callers no more."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.booking import appointments, bookables, feed_states, feeds
from models.clinics import calendars
from tests.conftest import Clock
from tests.factories import bare, create_clinic, reserve, slot
from tests.linked import Linked

HOUR = 3600.0


class Clinic:
    """The first of its people has a calendar elsewhere that was read well just now."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, *, people: tuple[str, ...]) -> None:
        self.client, self.sql, self.id = client, sql, create_clinic(people)
        self.org_id = uuid.UUID(self.id)
        with transaction(self.org_id) as session:
            self.feed_id = feeds.add(
                session,
                org_id=self.org_id,
                resource_id=people[0],
                address="https://calendar.test/basic.ics",
                label="Google",
            ).id
        self.read()

    def read(self) -> None:
        self.sql.execute("UPDATE calendar_feeds SET read_at = app_clock() WHERE id = %s", [self.feed_id])

    def slots(self, **more: Any) -> list[Any]:
        day = slot()[:10]
        answer = bare(self.client, "calendar/check", tenantId=self.id, date=day, **more)
        return list(answer.get("slots") or ())

    def reserve(self, **more: Any) -> dict[str, Any]:
        return reserve(self.client, self.id, **more)

    @property
    def unread(self) -> list[str]:
        with transaction(self.org_id) as session:
            return [each.name for each in feed_states.find_unread(session, self.org_id)]


@pytest.fixture
def ann(client: FlaskClient, sql: psycopg.Connection, clock: Clock) -> Clinic:
    del clock  # the clock is set right afterwards
    return Clinic(client, sql, people=("cal-1",))


def test_past_the_limit_neither_the_listing_nor_the_claim_offers_them(ann: Clinic, clock: Clock) -> None:
    clock.forward(23 * HOUR)
    assert ann.unread == []
    assert ann.slots()
    clock.forward(2 * HOUR)
    assert ann.unread == ["cal-1"]
    assert ann.slots() == []
    refused = ann.reserve()
    assert refused["success"] is False
    assert ann.sql.execute(
        "SELECT count(*) FROM appointment_holds WHERE org_id = %s", [ann.id]
    ).fetchone() == (0,)


def test_it_ends_by_itself_when_it_is_read_again(ann: Clinic, clock: Clock) -> None:
    clock.forward(25 * HOUR)
    assert ann.slots() == []
    ann.read()
    assert ann.slots()
    assert ann.reserve()["success"] is True


def test_one_that_was_never_read_counts_from_when_it_was_added(ann: Clinic, clock: Clock) -> None:
    ann.sql.execute("UPDATE calendar_feeds SET read_at = NULL WHERE id = %s", [ann.feed_id])
    clock.forward(23 * HOUR)
    assert ann.slots()
    clock.forward(2 * HOUR)
    assert ann.slots() == []


def test_one_that_is_off_keeps_nobody_from_being_offered(ann: Clinic, clock: Clock) -> None:
    clock.forward(25 * HOUR)
    with transaction(ann.org_id) as session:
        feeds.change(session, ann.org_id, ann.feed_id, is_on=False)
    assert ann.slots()


@pytest.mark.parametrize(("limit", "is_offered"), [(1, False), (48, True), (336, True)])
def test_the_clinic_chooses_the_limit(ann: Clinic, clock: Clock, limit: int, *, is_offered: bool) -> None:
    ann.sql.execute("UPDATE organizations SET feed_limit_hours = %s WHERE id = %s", [limit, ann.id])
    clock.forward(26 * HOUR)
    assert bool(ann.slots()) is is_offered


def test_a_room_that_is_left_out_is_not_taken_for_one_that_is_not_needed(ann: Clinic, clock: Clock) -> None:
    ann.sql.execute(
        "INSERT INTO resources (org_id, id, kind, name, time_zone)"
        " VALUES (%s, 'room', 'room', 'Room', 'UTC')",
        [ann.id],
    )
    ann.sql.execute(
        "INSERT INTO service_resources (org_id, service_id, resource_id)"
        " SELECT org_id, id, 'room' FROM services WHERE org_id = %s",
        [ann.id],
    )
    ann.sql.execute("UPDATE calendar_feeds SET resource_id = 'room' WHERE id = %s", [ann.feed_id])
    assert ann.slots()
    clock.forward(25 * HOUR)
    assert ann.slots() == []


def test_the_statement_of_the_quick_reference_asks_no_hours_and_no_calendar(
    ann: Clinic, clock: Clock
) -> None:
    clock.forward(25 * HOUR)
    row = ann.sql.execute(
        "SELECT success FROM claim_slot_atomic(%s, 'cal-1', %s, 'call', 'John', '+447700900123', 10)",
        [ann.id, slot()],
    ).fetchone()
    assert row == (True,)


def test_somebody_else_is_offered_in_their_place(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    clinic = Clinic(client, sql, people=("cal-1", "cal-2"))
    sql.execute(
        "INSERT INTO service_resources (org_id, service_id, resource_id)"
        " SELECT c.org_id, c.service_id, 'cal-2' FROM calendars c WHERE c.org_id = %s AND c.id = 'cal-1'"
        " ON CONFLICT DO NOTHING",
        [clinic.id],
    )
    sql.execute("UPDATE calendars SET resource_id = NULL WHERE org_id = %s AND id = 'cal-1'", [clinic.id])
    clock.forward(25 * HOUR)
    assert clinic.slots()
    held = clinic.reserve()["holdId"]
    row = sql.execute("SELECT resource_id FROM appointment_holds WHERE id = %s", [held]).fetchone()
    assert row == ("cal-2",)


def test_the_patients_link_moves_nothing_to_where_nobody_knows_what_is_busy(
    ann: Clinic, sql: psycopg.Connection, clock: Clock
) -> None:
    linked = Linked(ann.client, sql, ann.id)
    with transaction(ann.org_id) as session:
        appointment = appointments.get_or_none(session, ann.org_id, uuid.UUID(linked.appointment))
        assert appointment is not None
        assert appointments.find_bookable(session, appointment)
        clock.forward(25 * HOUR)
        assert appointments.find_bookable(session, appointment) is None


def test_the_desk_still_books(ann: Clinic, clock: Clock) -> None:
    clock.forward(25 * HOUR)
    with transaction(ann.org_id) as session:
        calendar = calendars.get_or_none(session, ann.org_id, "cal-1")
        assert calendar is not None
        assert bookables.find(session, calendar) is None
        found = bookables.find(session, calendar, at_desk=True)
        assert found is not None
        assert found.leaders == ("cal-1",)
