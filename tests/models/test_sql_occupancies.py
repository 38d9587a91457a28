"""The occupancies, which nobody writes: they follow the holds and the appointments."""

from __future__ import annotations

import uuid
from datetime import timedelta

import psycopg
import pytest
from psycopg import errors

from tests.factories import create_clinic, slot
from tests.models.by_hand import Sql, booked, claim, held, release, taken


def delete_with_sms(sql: Sql, appointment: uuid.UUID) -> None:
    """Each points at the other; the way out is to delete both in one statement."""
    sql.execute(
        "WITH gone AS (DELETE FROM sms_messages WHERE appointment_id = %(id)s)"
        " DELETE FROM appointments WHERE id = %(id)s",
        {"id": appointment},
    )


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO occupancies (org_id, resource_id, ends_at) SELECT org_id, id, now() FROM calendars",
        "UPDATE occupancies SET resource_id = 'elsewhere'",
        "UPDATE occupancies SET ends_at = ends_at WHERE false",
        "DELETE FROM occupancies",
        "DELETE FROM occupancies WHERE false",
        "TRUNCATE occupancies",
        "MERGE INTO occupancies o USING (SELECT 1) s ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_occupancies_cannot_be_written_directly(sql: Sql, statement: str) -> None:
    org = create_clinic()
    held(sql, org)
    with pytest.raises(errors.InsufficientPrivilege), sql.transaction(force_rollback=True):
        sql.execute(statement.encode())
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize(
    "table",
    [
        "appointment_holds",
        "appointments",
        "blocks",
        "calendars",
        "contacts",
        "organizations",
        "resources",
        "services",
    ],
)
def test_truncate_is_refused_also_when_it_cascades(sql: Sql, table: str) -> None:
    org = create_clinic()
    booked(sql, org)
    with (
        pytest.raises(psycopg.Error, match=r"TRUNCATE would leave occupancies behind|occupancies follows"),
        sql.transaction(force_rollback=True),
    ):
        sql.execute(f"TRUNCATE {table} CASCADE".encode())
    assert taken(sql, org) == [(slot(), "appointment")]


def test_deleting_a_hold_frees_its_time(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    sql.execute("DELETE FROM appointment_holds WHERE id = %s", [hold])
    assert taken(sql, org) == []
    assert claim(sql, org).success


def test_cancelling_an_appointment_frees_its_time_and_reviving_it_needs_it_free(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert taken(sql, org) == []
    sql.execute("UPDATE appointments SET status = 'confirmed' WHERE id = %s", [appointment])
    assert taken(sql, org) == [(slot(), "appointment")]
    sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [appointment])
    assert claim(sql, org).success
    with pytest.raises(errors.IntegrityError):
        sql.execute("UPDATE appointments SET status = 'confirmed' WHERE id = %s", [appointment])
    assert taken(sql, org) == [(slot(), "hold")]


@pytest.mark.parametrize("status", ["completed", "no_show"])
def test_an_appointment_that_took_place_or_was_missed_keeps_its_time(sql: Sql, status: str) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    sql.execute("UPDATE appointments SET status = %s WHERE id = %s", [status, appointment])
    assert taken(sql, org) == [(slot(), "appointment")]


def test_deleting_an_appointment_with_its_sms_frees_its_time(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    delete_with_sms(sql, appointment)
    assert taken(sql, org) == []
    assert claim(sql, org).success


MOVE = (
    "UPDATE appointments SET scheduled_at = scheduled_at + %(by)s, ends_at = ends_at + %(by)s"
    " WHERE id = %(id)s"
)


def test_moving_an_appointment_moves_its_time_and_is_refused_where_it_would_overlap(sql: Sql) -> None:
    org = create_clinic(calendar={"minutes": 60})
    appointment = booked(sql, org, slot=slot(hour=10))
    held(sql, org, slot=slot(hour=13))
    for minutes in (180, 135, 225):
        with pytest.raises(errors.IntegrityError):
            sql.execute(MOVE, {"by": timedelta(minutes=minutes), "id": appointment})
    assert taken(sql, org) == [(slot(hour=10), "appointment"), (slot(hour=13), "hold")]
    sql.execute(MOVE, {"by": timedelta(minutes=30), "id": appointment})  # over its own old time
    assert taken(sql, org) == [(slot(hour=10, minute=30), "appointment"), (slot(hour=13), "hold")]
    sql.execute(MOVE, {"by": timedelta(minutes=90), "id": appointment})  # up to the hold's start
    assert taken(sql, org) == [(slot(hour=12), "appointment"), (slot(hour=13), "hold")]


def test_moving_a_hold_moves_its_time_and_is_refused_where_it_would_overlap(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org, slot=slot(hour=10))
    booked(sql, org, slot=slot(hour=11))
    move = "UPDATE appointment_holds SET starts_at = starts_at + %s, ends_at = ends_at + %s WHERE id = %s"
    hour = timedelta(hours=1)
    with pytest.raises(errors.IntegrityError):
        sql.execute(move, [hour, hour, hold])
    sql.execute(move, [2 * hour, 2 * hour, hold])
    assert taken(sql, org) == [(slot(hour=11), "appointment"), (slot(hour=12), "hold")]


def test_lengthening_an_appointment_into_the_next_is_refused(sql: Sql) -> None:
    org = create_clinic()
    appointment = booked(sql, org, slot=slot(hour=10))
    booked(sql, org, slot=slot(hour=11))
    longer = "UPDATE appointments SET ends_at = ends_at + %s WHERE id = %s"
    with pytest.raises(errors.ExclusionViolation):
        sql.execute(longer, [timedelta(minutes=31), appointment])
    sql.execute(longer, [timedelta(minutes=30), appointment])
    assert claim(sql, org, slot=slot(hour=10, minute=30)).code == "slot_taken"


def test_a_released_hold_cannot_be_revived_onto_a_taken_time(sql: Sql) -> None:
    org = create_clinic()
    old = held(sql, org)
    release(sql, org, old)
    held(sql, org)
    with pytest.raises(errors.IntegrityError):
        sql.execute("UPDATE appointment_holds SET status = 'held' WHERE id = %s", [old])
