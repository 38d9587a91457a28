"""Those who want one time of a diary, and what must hold afterwards, judged without its occupancies."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from psycopg.types.json import Jsonb

from tests.concurrency.racing import (
    Connection,
)
from tests.factories import create_clinic, phone_number

SERVICE = "check-up"


@dataclass(frozen=True)
class Told:
    """What one of them was told: `id` is of what they have now."""

    success: bool
    code: str | None
    error: str | None
    id: uuid.UUID | None = None


def clinic(*calendars: str, **calendar: Any) -> str:
    return create_clinic(calendars or ("cal-1",), calendar={"service_names": ("Check-up",)} | calendar)


def book_by_hand(
    connection: Connection,
    org: str,
    slot: datetime,
    *,
    options: list[list[list[str]]] | None = None,
    overrule: str | None = None,
) -> Told:
    row = connection.execute(
        "SELECT success, code, error, appointment_id FROM book_by_hand("
        "%s, 'cal-1', %s, %s, %s, 'Ann Desk', %s, 'staff jo', %s)",
        [org, SERVICE, slot, Jsonb(options or [[["cal-1"]]]), phone_number(), overrule],
    ).fetchone()
    assert row is not None
    return Told(*row)


def claim(connection: Connection, org: str, slot: datetime) -> Told:
    row = connection.execute(
        "SELECT success, code, error, hold_id FROM claim_slot_atomic(%s, 'cal-1', %s, %s, 'Cal', %s, 10)",
        [org, slot, str(uuid.uuid4()), phone_number()],
    ).fetchone()
    assert row is not None
    return Told(*row)


def move_by_link(connection: Connection, org: str, appointment: uuid.UUID, slot: datetime) -> Told:
    row = connection.execute(
        "SELECT success, code, error, NULL::uuid FROM move_appointment(%(appointment)s, %(org)s, %(slot)s,"
        " (SELECT confirmation_message_id FROM appointments WHERE id = %(appointment)s), 1000)",
        {"appointment": appointment, "org": org, "slot": slot},
    ).fetchone()
    assert row is not None
    return Told(row[0], row[1], row[2], appointment)


def block(connection: Connection, org: str, begin: datetime, end: datetime) -> Told:
    row = connection.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason)"
        " VALUES (%s, 'cal-1', %s, %s, 'Meeting') RETURNING id",
        [org, begin, end],
    ).fetchone()
    assert row is not None
    return Told(success=True, code=None, error=None, id=row[0])


# --- the checker ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sitting:
    """What takes up time of one resource, buffers included, as its own row says."""

    owner: uuid.UUID
    kind: str
    resource: str
    seat: int
    begins: datetime
    ends: datetime


def sittings(sql: Connection, org: str) -> list[Sitting]:
    """From holds and appointments alone; occupancies are not asked."""
    rows = sql.execute(
        "SELECT id, 'appointment', resource_id, other_resources, seat, scheduled_at, ends_at, minutes_before,"
        " minutes_after FROM appointments WHERE org_id = %(org)s AND status <> 'cancelled'"
        " UNION ALL "
        "SELECT id, 'hold', resource_id, other_resources, seat, starts_at, ends_at, minutes_before,"
        " minutes_after FROM appointment_holds WHERE org_id = %(org)s AND status = 'held'",
        {"org": org},
    ).fetchall()
    return [
        Sitting(
            owner,
            kind,
            resource,
            seat,
            begins - timedelta(minutes=before),
            ends + timedelta(minutes=after),
        )
        for owner, kind, first, others, seat, begins, ends, before, after in rows
        for resource in (first, *others)
    ]


def check(sql: Connection, org: str) -> None:
    """Nobody sits on another's seat, only the overruled sit beside, and everything has its confirmation."""
    by_seat: dict[tuple[str, int], list[Sitting]] = defaultdict(list)
    for sitting in sittings(sql, org):
        by_seat[sitting.resource, sitting.seat].append(sitting)
    for of_seat in by_seat.values():
        of_seat.sort(key=lambda each: each.begins)
        for one, after in pairwise(of_seat):
            assert one.ends <= after.begins, (one, after)
    taken = sql.execute(
        "SELECT coalesce(hold_id, appointment_id), resource_id, seat, starts_at, ends_at FROM occupancies"
        " WHERE org_id = %s AND block_id IS NULL",
        [org],
    ).fetchall()
    assert sorted(taken, key=str) == sorted(
        ((each.owner, each.resource, each.seat, each.begins, each.ends) for each in sittings(sql, org)),
        key=str,
    )
    unmarked = sql.execute(
        "SELECT id FROM appointments WHERE org_id = %s AND (seat > 0) <> (overruled IS NOT NULL)", [org]
    ).fetchall()
    assert unmarked == []
    unconfirmed = sql.execute(
        "SELECT a.id FROM appointments a LEFT JOIN sms_messages m ON m.id = a.confirmation_message_id"
        " AND m.appointment_id = a.id AND m.org_id = a.org_id AND m.kind = 'confirmation'"
        " WHERE a.org_id = %s AND (m.id IS NULL OR m.to_phone <> a.patient_phone)",
        [org],
    ).fetchall()
    assert unconfirmed == []
    # Nothing is left of those who lost: no patient without a booking, no text without an appointment.
    [strays] = sql.execute(
        "SELECT (SELECT count(*) FROM contacts c WHERE c.org_id = %(org)s"
        "   AND NOT EXISTS (SELECT FROM appointments a WHERE a.contact_id = c.id)"
        "   AND NOT EXISTS (SELECT FROM appointment_holds h WHERE h.contact_id = c.id)),"
        " (SELECT count(*) FROM sms_messages m WHERE m.org_id = %(org)s AND m.kind = 'confirmation'"
        "   AND NOT EXISTS (SELECT FROM appointments a WHERE a.id = m.appointment_id))",
        {"org": org},
    ).fetchall()
    assert strays == (0, 0)


def has_whole_time(sql: Connection, org: str, owner: uuid.UUID, begin: datetime, end: datetime) -> bool:
    """Whether a block has all of a time."""
    [[taken]] = sql.execute(
        "SELECT coalesce(sum(least(ends_at, %(end)s) - greatest(starts_at, %(begin)s)), '0') FROM occupancies"
        " WHERE org_id = %(org)s AND block_id = %(owner)s AND starts_at < %(end)s AND ends_at > %(begin)s",
        {"org": org, "owner": owner, "begin": begin, "end": end},
    ).fetchall()
    return bool(taken == end - begin)
