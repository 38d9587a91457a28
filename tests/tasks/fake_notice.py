"""A fake notice, a reminder of an appointment: everything that a new kind of message needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from models.base import times
from models.booking.appointments import Appointment, AppointmentStatus
from models.clinics import calendars
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind
from models.notices import kinds, registry
from models.notices.registry import Notice, Superseded

NAME = "reminder"


def words(session: Session, message: SmsMessage, appointment: Appointment) -> str | None:
    if appointment.status is not AppointmentStatus.CONFIRMED:
        raise Superseded
    zone = calendars.zone(session, message.org_id)
    return f"Reminder: {times.written(appointment.scheduled_at, zone)}."


def entry(kind: SmsKind, **other: Any) -> Notice[Appointment]:
    values: dict[str, Any] = {"segments": 1, "valid_for": timedelta(hours=1)} | other
    return Notice(kind=kind, label="Reminder", about=kinds.APPOINTMENT, words=words, **values)


@contextmanager
def known(sql: psycopg.Connection, **other: Any) -> Iterator[SmsKind]:
    """Add the kind to the product: to the enum, to the registry, and to the database as a migration would."""
    kind = _in_enum()
    registry.add(entry(kind, **other))
    query = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'ck_sms_messages_kind'"
    row = sql.execute(query).fetchone()
    assert row
    names = ", ".join(f"'{each.value}'" for each in SmsKind)
    _alter(sql, "DROP CONSTRAINT ck_sms_messages_kind")
    _alter(sql, f"ADD CONSTRAINT ck_sms_messages_kind CHECK (kind IN ({names}))")
    _alter(
        sql,
        f"ADD CONSTRAINT ck_sms_messages_about_{NAME} CHECK (kind <> '{NAME}' OR appointment_id IS NOT NULL)",
    )
    try:
        yield kind
    finally:
        sql.execute("DELETE FROM sms_messages WHERE kind = %s", [NAME])
        _alter(sql, f"DROP CONSTRAINT ck_sms_messages_about_{NAME}")
        _alter(sql, "DROP CONSTRAINT ck_sms_messages_kind")
        _alter(sql, f"ADD CONSTRAINT ck_sms_messages_kind {row[0]}")
        registry.remove(kind)
        _out_of_enum(kind)


@contextmanager
def forgotten(kind: SmsKind) -> Iterator[None]:
    """The product as it was one release before, when it did not know the kind."""
    notice = registry.of(kind)
    registry.remove(kind)
    _out_of_enum(kind)
    try:
        yield
    finally:
        _into_enum(kind)
        registry.add(notice)


def _alter(sql: psycopg.Connection, how: str) -> None:
    sql.execute(f"ALTER TABLE sms_messages {how}".encode())


def _in_enum() -> SmsKind:
    """The member that `REMINDER = "reminder"` in SmsKind would make; an enum has no public way to add one."""
    kind = str.__new__(SmsKind, NAME)
    kind._name_, kind._value_ = NAME.upper(), NAME
    _into_enum(kind)
    return kind


def _into_enum(kind: SmsKind) -> None:
    SmsKind._member_map_[kind.name] = SmsKind._value2member_map_[NAME] = kind
    SmsKind._member_names_.append(kind.name)


def _out_of_enum(kind: SmsKind) -> None:
    del SmsKind._member_map_[kind.name], SmsKind._value2member_map_[NAME]
    SmsKind._member_names_.remove(kind.name)
