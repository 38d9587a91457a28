"""The constraints on rows written by hand: on bookings, on an appointment and its confirmation, on enums."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import errors

import models.booking.holds
from models.base.tables import Base, EnumText
from tests.factories import create_clinic, slot
from tests.models.by_hand import Sql, booked, claim, confirm, held, one, taken

# Raw rows


def contact_of(sql: Sql, org: str) -> Any:
    statement = "INSERT INTO contacts (org_id, phone) VALUES (%s, gen_random_uuid()::text) RETURNING id"
    return one(sql, statement, org)


def insert_hold(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "calendar_id": "cal-1",
        "starts_at": slot(),
        "expires_at": slot(),
        "contact_id": contact_of(sql, org),
        "patient_name": "Raw",
        "patient_phone": "+447700900000",
    }
    insert(sql, "appointment_holds", values | changes)
    hold: uuid.UUID = (values | changes)["id"]
    return hold


def insert_appointment(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    """Without its confirmation, which the same transaction must bring."""
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "calendar_id": "cal-1",
        "scheduled_at": slot(),
        "contact_id": contact_of(sql, org),
        "patient_name": "Raw",
        "patient_phone": "+447700900000",
        "confirmation_message_id": uuid.uuid4(),
    }
    insert(sql, "appointments", values | changes)
    appointment: uuid.UUID = (values | changes)["id"]
    return appointment


def insert_sms(sql: Sql, org: str, **changes: Any) -> uuid.UUID:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "org_id": org,
        "kind": "confirmation",
        "to_phone": "+447700900000",
    }
    insert(sql, "sms_messages", values | changes)
    message: uuid.UUID = (values | changes)["id"]
    return message


def insert(sql: Sql, table: str, values: dict[str, Any]) -> None:
    names, places = ", ".join(values), ", ".join(["%s"] * len(values))
    sql.execute(f"INSERT INTO {table} ({names}) VALUES ({places})".encode(), list(values.values()))


def test_raw_rows_are_filled_in_from_the_calendar(sql: Sql) -> None:
    org = create_clinic(calendar={"room": "room 4", "minutes": 45})
    insert_hold(sql, org)
    length = timedelta(minutes=45)
    rows = sql.execute(
        "SELECT resource_id, ends_at - starts_at FROM occupancies WHERE org_id = %s ORDER BY 1", [org]
    ).fetchall()
    assert rows == [("cal-1", length), ("room 4", length)]
    with sql.transaction():
        appointment = insert_appointment(sql, org, scheduled_at=slot(hour=12))
        message = insert_sms(sql, org, appointment_id=appointment)
        sql.execute(
            "UPDATE appointments SET confirmation_message_id = %s WHERE id = %s", [message, appointment]
        )
    row = sql.execute(
        "SELECT service_id, resource_id, other_resources, ends_at - scheduled_at, booked_by FROM appointments"
        " WHERE id = %s",
        [appointment],
    ).fetchone()
    service = one(sql, "SELECT service_id FROM calendars WHERE org_id = %s", org)
    assert row == (service, "cal-1", ["room 4"], length, "desk")
    assert taken(sql, org) == [(slot(), "hold")] * 2 + [(slot(hour=12), "appointment")] * 2


@pytest.mark.parametrize("make", [insert_hold, insert_appointment])
@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"resource_id": "another room", "ends_at": slot(hour=11)}, errors.ForeignKeyViolation),
        ({"resource_id": "another room"}, errors.ForeignKeyViolation),
        ({"calendar_id": "cal-2"}, errors.NotNullViolation),
        (
            {"calendar_id": "cal-2", "resource_id": "cal-1", "ends_at": slot(hour=11)},
            errors.ForeignKeyViolation,
        ),
        ({"seat": 1}, errors.CheckViolation),
        ({"seat": -1}, errors.CheckViolation),
        ({"ends_at": slot(hour=10)}, errors.CheckViolation),
        ({"ends_at": slot(hour=9)}, errors.CheckViolation),
        ({"ends_at": slot(days=15, hour=10, minute=1)}, errors.CheckViolation),
        ({"status": "half"}, errors.CheckViolation),
        ({"contact_id": uuid.uuid4()}, errors.ForeignKeyViolation),
        ({"service_id": "another"}, errors.ForeignKeyViolation),
        # What it takes besides, and its buffers, which could make its time shorter.
        (
            {"resource_id": "cal-1", "other_resources": ["nowhere"], "ends_at": slot(hour=11)},
            errors.ForeignKeyViolation,
        ),
        (
            {"resource_id": "cal-1", "other_resources": ["cal-1"], "ends_at": slot(hour=11)},
            errors.ExclusionViolation,
        ),
        (
            {"resource_id": "cal-1", "ends_at": slot(hour=11), "minutes_before": -30},
            errors.CheckViolation,
        ),
        (
            {"resource_id": "cal-1", "ends_at": slot(hour=11), "minutes_after": -30},
            errors.CheckViolation,
        ),
    ],
)
def test_raw_rows_cannot_get_round_the_constraint(
    sql: Sql, make: Any, changes: dict[str, Any], refusal: type[psycopg.Error]
) -> None:
    org = create_clinic()
    with pytest.raises(refusal):
        make(sql, org, **changes)
    assert taken(sql, org) == []


@pytest.mark.parametrize(
    "change",
    [
        "seat = 1",
        "resource_id = 'elsewhere'",
        "ends_at = scheduled_at",
        "minutes_before = -10",
        "minutes_after = -10",
    ],
)
def test_an_appointment_cannot_be_changed_out_of_the_way(sql: Sql, change: str) -> None:
    org = create_clinic()
    appointment = booked(sql, org)
    with pytest.raises(errors.IntegrityError):
        sql.execute(f"UPDATE appointments SET {change} WHERE id = %s".encode(), [appointment])
    assert taken(sql, org) == [(slot(), "appointment")]


def test_what_is_booked_stays_with_its_person_when_the_calendar_has_another(sql: Sql) -> None:
    org = create_clinic(("cal-1", "cal-2"))
    booked(sql, org)
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("UPDATE calendars SET resource_id = 'elsewhere' WHERE org_id = %s", [org])
    sql.execute("UPDATE calendars SET resource_id = 'cal-2' WHERE org_id = %s AND id = 'cal-1'", [org])
    booked(sql, org)
    rows = sql.execute("SELECT resource_id FROM occupancies WHERE org_id = %s ORDER BY 1", [org])
    assert rows.fetchall() == [("cal-1",), ("cal-2",)]
    assert claim(sql, org).code == "slot_taken"


def test_a_person_cannot_be_removed_under_their_bookings(sql: Sql) -> None:
    org = create_clinic()
    booked(sql, org)
    for statement in (
        "DELETE FROM resources WHERE org_id = %s",
        "UPDATE resources SET id = 'elsewhere' WHERE org_id = %s",
    ):
        with pytest.raises(errors.ForeignKeyViolation):
            sql.execute(statement.encode(), [org])


@pytest.mark.parametrize(
    ("seat", "overruled"),
    [(1, None), (0, "An emergency"), (1, ""), (1, " "), (-1, None), (-1, "An emergency")],
)
def test_only_a_reason_puts_an_appointment_beside_another(sql: Sql, seat: int, overruled: str | None) -> None:
    org = create_clinic()
    with pytest.raises(errors.CheckViolation):
        insert_appointment(sql, org, seat=seat, overruled=overruled)
    assert taken(sql, org) == []


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"booked_by": "phone"}, errors.CheckViolation),  # it has no hold
        ({"booked_by": "desk"}, errors.CheckViolation),  # nobody's name
        ({"booked_by": "fax", "booker": "Jo"}, errors.CheckViolation),
    ],
)
def test_an_appointment_has_what_the_one_who_booked_it_must_have(
    sql: Sql, changes: dict[str, Any], refusal: type[psycopg.Error]
) -> None:
    org = create_clinic()
    with pytest.raises(refusal):
        insert_appointment(sql, org, **changes)
    assert taken(sql, org) == []


def test_who_booked_is_filled_in(sql: Sql) -> None:
    org = create_clinic()
    told = "SELECT booked_by, booker FROM appointments WHERE id = %s"
    by_call = booked(sql, org)
    assert sql.execute(told, [by_call]).fetchall() == [("phone", None)]
    with sql.transaction(force_rollback=True):
        sql.execute("SELECT set_config('app.actor', 'staff jo', true)")
        by_staff = insert_appointment(sql, org, scheduled_at=slot(hour=12))
        assert sql.execute(told, [by_staff]).fetchall() == [("desk", "staff jo")]
    with sql.transaction(force_rollback=True):
        by_hand = insert_appointment(sql, org, scheduled_at=slot(hour=12))
        assert sql.execute(told, [by_hand]).fetchall() == [("desk", "sql holdline")]


# An appointment and its confirmation


def test_an_appointment_without_its_confirmation_cannot_commit(sql: Sql) -> None:
    org = create_clinic()
    sql.execute("BEGIN")
    appointment = insert_appointment(sql, org)
    assert taken(sql, org) == [(slot(), "appointment")]  # until the commit it stands
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("COMMIT")
    assert one(sql, "SELECT count(*) FROM appointments WHERE id = %s", appointment) == 0
    assert taken(sql, org) == []
    with pytest.raises(errors.NotNullViolation):
        insert_appointment(sql, org, confirmation_message_id=None)


def test_the_confirmation_of_another_appointment_is_not_accepted(sql: Sql) -> None:
    org = create_clinic()
    other = booked(sql, org)
    others = one(sql, "SELECT confirmation_message_id FROM appointments WHERE id = %s", other)
    with pytest.raises(errors.ForeignKeyViolation), sql.transaction():
        insert_appointment(sql, org, scheduled_at=slot(hour=12), confirmation_message_id=others)
    mine = booked(sql, org, slot=slot(hour=14))
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("UPDATE appointments SET confirmation_message_id = %s WHERE id = %s", [others, mine])


def test_a_confirmation_cannot_be_deleted_or_given_away_later(sql: Sql) -> None:
    org = create_clinic()
    appointment, other = booked(sql, org), booked(sql, org, slot=slot(hour=12))
    for statement in (
        "DELETE FROM sms_messages WHERE appointment_id = %(id)s",
        "UPDATE sms_messages SET appointment_id = %(other)s WHERE appointment_id = %(id)s",
        "UPDATE sms_messages SET id = gen_random_uuid() WHERE appointment_id = %(id)s",
        "UPDATE appointments SET confirmation_message_id = NULL WHERE id = %(id)s",
        "DELETE FROM appointments WHERE id = %(id)s",
    ):
        with pytest.raises(errors.IntegrityError):
            sql.execute(statement, {"id": appointment, "other": other})
    found = one(
        sql,
        "SELECT count(*) FROM appointments a JOIN sms_messages m ON m.id = a.confirmation_message_id"
        " AND m.appointment_id = a.id WHERE a.org_id = %s",
        org,
    )
    assert found == 2


@pytest.mark.parametrize("kind", ["hot_lead_alert", "otp"])
def test_only_a_confirmation_counts_as_one(sql: Sql, kind: str) -> None:
    org = create_clinic()
    appointment, hold = booked(sql, org), held(sql, org, slot=slot(hour=12))
    with pytest.raises(errors.IntegrityError):
        sql.execute(
            "UPDATE sms_messages SET kind = %s, hold_id = %s WHERE appointment_id = %s",
            [kind, hold, appointment],
        )
    with pytest.raises(errors.IntegrityError):
        insert_sms(sql, org, kind=kind, hold_id=hold, appointment_id=appointment)


def test_no_row_of_one_clinic_points_at_one_of_another(sql: Sql) -> None:
    org, other = create_clinic(), create_clinic()
    mine, theirs = booked(sql, org), booked(sql, other)
    strange = {
        "appointment_holds": ("contact_id",),
        "appointments": ("contact_id", "hold_id", "confirmation_message_id"),
    }
    for table, columns in strange.items():
        for column in columns:
            strangers = f"(SELECT {column} FROM {table} WHERE org_id = %s)"
            statement = f"UPDATE {table} SET {column} = {strangers} WHERE org_id = %s"
            with pytest.raises(errors.IntegrityError):
                sql.execute(statement.encode(), [other, org])
    hold = one(sql, "SELECT hold_id FROM appointments WHERE id = %s", theirs)
    with pytest.raises(errors.ForeignKeyViolation):
        insert_sms(sql, org, appointment_id=theirs)
    with pytest.raises(errors.ForeignKeyViolation):
        insert_sms(sql, org, kind="otp", hold_id=hold)
    assert insert_sms(sql, org, appointment_id=mine)


def test_a_hold_becomes_one_appointment_also_by_hand(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    confirm(sql, org, hold)
    with pytest.raises(errors.UniqueViolation):
        insert_appointment(sql, org, scheduled_at=slot(hour=12), hold_id=hold)


def test_the_row_of_a_code_holds_no_text(sql: Sql) -> None:
    org = create_clinic()
    hold = held(sql, org)
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="otp", hold_id=hold, body="1234 is your code")
    message = insert_sms(sql, org, kind="otp", hold_id=hold)
    with pytest.raises(errors.CheckViolation):
        sql.execute("UPDATE sms_messages SET body = '1234 is your code' WHERE id = %s", [message])
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="otp")
    with pytest.raises(errors.CheckViolation):
        insert_sms(sql, org, kind="confirmation")


# Enums


def enum_columns() -> list[tuple[str, str, list[str]]]:
    assert models.booking.holds  # the import fills the metadata
    return [
        (table.name, column.name, [member.value for member in column.type.enum])
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, EnumText)
    ]


@pytest.mark.parametrize(("table", "column", "values"), enum_columns(), ids=lambda part: str(part)[:20])
def test_the_check_of_a_column_knows_exactly_the_values_of_its_enum(
    sql: Sql, table: str, column: str, values: list[str]
) -> None:
    definition = one(
        sql,
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
        " WHERE t.relname = %s AND c.conname = %s AND c.contype = 'c' AND c.convalidated",
        table,
        f"ck_{table}_{column}",
    )
    assert f"({column} = " in definition
    assert sorted(re.findall(r"'([^']*)'", definition)) == sorted(values)


def test_every_enum_column_was_walked() -> None:
    assert {(table, column) for table, column, _ in enum_columns()} == {
        ("appointments", "booked_by"),
        ("appointments", "status"),
        ("appointment_changes", "change"),
        ("appointment_holds", "status"),
        ("blocks", "source"),
        ("calendar_feeds", "problem"),
        ("import_files", "kind"),
        ("opt_outs", "source"),
        ("patient_links", "outcome"),
        ("resources", "kind"),
        ("services", "worth"),
        ("sms_messages", "cause"),
        ("sms_messages", "error_meaning"),
        ("sms_messages", "kind"),
        ("sms_messages", "status"),
        ("sms_senders", "stopped_meaning"),
        ("staff_users", "role"),
        ("vapi_credentials", "algorithm"),
        ("vapi_credentials", "encoding"),
        ("vapi_credentials", "kind"),
        ("vapi_credentials", "payload_format"),
    }


@pytest.mark.parametrize(
    ("table", "column"),
    [("appointments", "status"), ("appointment_holds", "status"), ("sms_messages", "status")],
)
@pytest.mark.parametrize("value", ["HELD", "", "confirmed ", "booked"])
def test_a_status_outside_its_enum_is_refused(sql: Sql, table: str, column: str, value: str) -> None:
    org = create_clinic()
    booked(sql, org)
    with pytest.raises(errors.CheckViolation):
        sql.execute(f"UPDATE {table} SET {column} = %s WHERE org_id = %s".encode(), [value, org])
