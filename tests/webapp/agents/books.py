"""The books: every row of some clinics, and the promises that rows alone can prove.

This module does not import the code under test, and so judges it independently.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, LiteralString

import psycopg
from psycopg import sql as compose

from tests.webapp.agents.agent import SLOT, TRIES

#: The tables that configure a clinic; they hold telephone numbers and sealed secrets.
_CONSTANT = [
    *("organizations", "integration_settings", "vapi_credentials", "calendars", "services", "resources"),
    *("service_resources", "resource_hours", "hours_exceptions"),
]


class Books:
    """All rows of some clinics, in every table that belongs to a clinic, at one moment."""

    def __init__(self, sql: psycopg.Connection, org_ids: list[str]) -> None:
        self.now: datetime
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.of: dict[str, list[str]] = {org_id: [] for org_id in org_ids}
        for table, now, org_id, text in sql.execute(_query(sql), {"orgs": org_ids}):
            self.now = now.astimezone(UTC)
            if table:
                self.rows.setdefault(table, []).append(_parsed(text))
                self.of[str(org_id)].append(f"{table} {text}")
        for lines in self.of.values():
            lines.sort()

    def __getitem__(self, table: str) -> list[dict[str, Any]]:
        return self.rows.get(table, [])

    def by_id(self, table: str) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self[table]}

    @property
    def lines(self) -> list[str]:
        return [line for lines in self.of.values() for line in lines]


@lru_cache(maxsize=1)
def _query(sql: psycopg.Connection) -> compose.Composed:
    tables = sql.execute(
        "SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t"
        " USING (table_schema, table_name) WHERE c.column_name = 'org_id' AND table_schema = 'public'"
        " AND table_type = 'BASE TABLE' AND table_name <> ALL (%s) ORDER BY 1",
        [_CONSTANT],
    ).fetchall()
    first: LiteralString = "SELECT NULL AS name, app_clock() AS now, NULL::uuid AS org_id, NULL AS line"
    each: LiteralString = (
        "SELECT {name}, app_clock(), org_id, to_jsonb(t)::text FROM {table} t WHERE org_id = ANY (%(orgs)s)"
    )
    return compose.SQL(" UNION ALL ").join(
        [
            compose.SQL(first),
            *(
                compose.SQL(each).format(name=compose.Literal(table), table=compose.Identifier(table))
                for (table,) in tables
            ),
        ]
    )


@lru_cache(maxsize=4096)
def _parsed(text: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(text)
    return row


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _taken_by(row: dict[str, Any]) -> list[str]:
    """Who and what a hold or an appointment takes the time of."""
    return [row["resource_id"], *(row["other_resources"] or ())]


def assert_books_agree(books: Books) -> None:
    """Assert P1 and P2 from the rows alone."""
    holds, appointments, messages = (
        books.by_id(t) for t in ("appointment_holds", "appointments", "sms_messages")
    )
    kept = [row for row in holds.values() if row["status"] == "held"]
    booked = [row for row in appointments.values() if row["status"] != "cancelled"]
    live = [
        (row["org_id"], resource, moment(row[column]), moment(row["ends_at"]), row["id"])
        for rows, column in ((kept, "starts_at"), (booked, "scheduled_at"))
        for row in rows
        for resource in _taken_by(row)
        if rows is booked or moment(row["expires_at"]) > books.now
    ]
    for n, one in enumerate(live):
        assert one[3] - one[2] == SLOT
        for other in live[:n]:
            apart = one[:2] != other[:2] or one[2] >= other[3] or other[2] >= one[3]
            assert apart, f"P1: double booking {one} {other}"
    expected = sorted(
        [
            (r["org_id"], resource, r["seat"], r["starts_at"], r["ends_at"], r["id"], None)
            for r in kept
            for resource in _taken_by(r)
        ]
        + [
            (r["org_id"], resource, r["seat"], r["scheduled_at"], r["ends_at"], None, r["id"])
            for r in booked
            for resource in _taken_by(r)
        ],
        key=str,
    )
    columns = ("org_id", "resource_id", "seat", "starts_at", "ends_at", "hold_id", "appointment_id")
    actual = sorted((tuple(row[c] for c in columns) for row in books["occupancies"]), key=str)
    assert actual == expected, f"P1: occupancies {actual}, not {expected}"

    confirmations: dict[str, list[str]] = {}
    for row in messages.values():
        if row["kind"] == "confirmation":
            confirmations.setdefault(row["appointment_id"], []).append(row["id"])
    assert set(confirmations) <= set(appointments), "P2: a confirmation of nothing"
    for row in appointments.values():
        assert confirmations.get(row["id"]) == [row["confirmation_message_id"]], f"P2: {row}"
        message = messages[row["confirmation_message_id"]]
        assert (message["to_phone"], message["org_id"]) == (row["patient_phone"], row["org_id"]), "P2"
        assert row["confirmation_sms_id"] == message["provider_id"]
        assert row["confirmation_sms_sent"] == (message["provider_id"] is not None)
        hold = holds[row["hold_id"]]
        assert hold["status"] == "confirmed"
        same = (
            "org_id",
            "calendar_id",
            "service_id",
            "resource_id",
            "other_resources",
            "call_sid",
            "contact_id",
            "patient_phone",
        )
        assert all(hold[name] == row[name] for name in same)
        assert (hold["starts_at"], hold["ends_at"]) == (row["scheduled_at"], row["ends_at"])
    confirmed = {row["id"] for row in holds.values() if row["status"] == "confirmed"}
    assert confirmed == {row["hold_id"] for row in appointments.values()}, "P2: confirmed without appointment"

    for row in holds.values():
        assert row["code_tries"] <= TRIES, "P4: more than three tries"
    for row in messages.values():
        if row["kind"] == "otp":
            hold = holds[row["hold_id"]]
            assert row["body"] is None, "P4: the code at rest"
            assert (row["to_phone"], row["org_id"]) == (hold["patient_phone"], hold["org_id"]), (
                "P4: wrong phone"
            )
