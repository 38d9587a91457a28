"""One of many who take and free people, rooms and devices by every way there is, and what it was told."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from models.booking import holds, unproved_holds
from tests.claimed import Claimed
from tests.concurrency.racing import (
    QUARTER,
    RIGHT,
    SLOT,
    Connection,
    confirm,
    release,
)
from tests.concurrency.several import (
    CALENDARS,
    MINUTE,
    RESOURCES,
    SERVICES,
    STARTS,
    claim,
    insert_block,
)
from tests.factories import phone_number


@dataclass
class Taken:
    """That a booking got a time, in a statement that began then (time.monotonic)."""

    id: uuid.UUID
    start: datetime
    began: float


@dataclass
class Racer:
    """One of those who use the diary at the same moment; each acts a few times, at random."""

    connection: Connection
    org: str
    number: int
    app: Flask
    engine: Engine
    seed: object
    took: list[Taken] = field(default_factory=list)
    #: When the commit of a block had returned, and the ids of those that were changed or removed.
    blocked: dict[uuid.UUID, float] = field(default_factory=dict)
    unblocked: set[uuid.UUID] = field(default_factory=set)
    did: Counter[str] = field(default_factory=Counter)
    #: What was raised, and what a caller of HTTP was told that is no answer to the question.
    trouble: list[tuple[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.seed}/{self.number}")  # noqa: S311 (no secret)

    def run(self) -> None:
        verbs = self.verbs()
        for turn in range(3):
            # Each of the verbs begins some racer's turn in each round.
            verb = verbs[(self.number + turn * 5) % len(verbs)] if turn == 0 else self.random.choice(verbs)
            try:
                self.did[verb.__name__] += bool(verb())
            except psycopg.Error as error:
                self.trouble.append((verb.__name__, error))

    def verbs(self) -> list[Callable[[], object]]:
        return [
            self.claim_with_seven_arguments,
            self.claim_with_options,
            self.reserve_by_http,
            self.insert_hold,
            self.insert_bare_hold,
            self.insert_appointment,
            self.insert_block,
            self.claim_with_seven_arguments,
            self.claim_with_options,
            self.reserve_by_http,
            self.change_block,
            self.move,
            self.move_by_hand,
            self.cancel,
            self.cancel_by_hand,
            self.confirm,
            self.release,
            self.expire,
            self.give_back,
            self.age,
        ]

    # Those who take time.

    def claim_with_seven_arguments(self) -> bool:
        began = time.monotonic()
        return self._claimed(
            began, claim(self.connection, self.org, self._one(CALENDARS), self._start(), caller=self.number)
        )

    def claim_with_options(self) -> bool:
        """As reserve_atomic claims: perhaps with some only of those who can do it."""
        service = self._one(SERVICES)
        options = [each for each in SERVICES[service].options() if self.random.random() < 0.7]
        asked = {"service": service, "options": options or SERVICES[service].options()[:1]}
        began = time.monotonic()
        return self._claimed(
            began, claim(self.connection, self.org, "anyone", self._start(), caller=self.number, asked=asked)
        )

    def _claimed(self, began: float, answer: Claimed) -> bool:
        if answer.success:
            assert answer.hold_id
            self.took.append(Taken(answer.hold_id, self.start, began))
        elif answer.code != "slot_taken":
            self.trouble.append(("claim", answer))
        return answer.success

    def reserve_by_http(self) -> bool:
        service, start = self._one(SERVICES), self._start()
        person = self.random.choice(["", *SERVICES[service].needs[0]])
        began = time.monotonic()
        response = self.app.test_client().post(
            "/api/vapi/tools/booking/reserve-atomic",
            json={
                "toolCall": {
                    "arguments": {
                        "tenantId": self.org,
                        "calendarId": "anyone",
                        "slotId": f"{start:%Y-%m-%dT%H:%M:%SZ}/{service}/{person}".rstrip("/"),
                        "patientName": "John",
                        "patientPhone": phone_number(),
                    }
                }
            },
        )
        answer = response.get_json()
        if answer.get("success"):
            self.took.append(Taken(uuid.UUID(answer["holdId"]), start, began))
        elif answer.get("code") not in ("slot_taken", "busy"):  # busy: this machine was too slow
            self.trouble.append(("http", answer))
        return bool(answer.get("success"))

    def insert_hold(self) -> bool:
        """As an operator might who says everything."""
        return self._insert_hold(whole=True)

    def insert_bare_hold(self) -> bool:
        """As an operator might who leaves to the calendar what it knows."""
        return self._insert_hold(whole=False)

    def _insert_hold(self, *, whole: bool) -> bool:
        calendar = self._one(CALENDARS)
        values = self._values(CALENDARS[calendar][1]) if whole else {}
        return self._insert(
            "appointment_holds",
            {
                "calendar_id": calendar,
                "starts_at": self._start() if not whole else self.start,
                "expires_at": datetime.now(SLOT.tzinfo) + 10 * MINUTE,
            }
            | values,
        )

    def insert_appointment(self) -> bool:
        calendar = self._one(CALENDARS)
        values = self._values(CALENDARS[calendar][1])
        values["scheduled_at"] = self.start
        return self._insert("appointments", {"calendar_id": calendar} | values)

    def _values(self, service: str) -> dict[str, object]:
        kind = SERVICES[service]
        chosen = [self.random.choice(need) for need in kind.needs]
        return {
            "service_id": service,
            "resource_id": chosen[0],
            "other_resources": chosen[1:],
            "ends_at": self._start() + kind.minutes * MINUTE,
            "minutes_before": kind.before,
            "minutes_after": kind.after,
        }

    def _insert(self, table: str, values: dict[str, object]) -> bool:
        id_, contact, message = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
        values |= {
            "id": id_,
            "org_id": self.org,
            "contact_id": contact,
            "patient_name": "Raw",
            "patient_phone": "+447700900000",
        }
        if table == "appointments":
            values["confirmation_message_id"] = message
        began = time.monotonic()
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO contacts (id, org_id, phone) VALUES (%s, %s, %s)",
                [contact, self.org, str(contact)],
            )
            self.connection.execute(
                f"INSERT INTO {table} ({', '.join(values)})"
                f" VALUES ({', '.join(['%s'] * len(values))})".encode(),
                list(values.values()),
            )
            if table == "appointments":
                self.connection.execute(
                    "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id)"
                    " VALUES (%s, %s, 'confirmation', '+447700900000', %s)",
                    [message, self.org, id_],
                )
        self.took.append(Taken(id_, self.start, began))
        return True

    def insert_block(self) -> bool:
        begins = self._start()
        ends = begins + self.random.choice((1, 1, 2, 3, 3, 6, 6, 8, 10, 200)) * QUARTER
        block = insert_block(self.connection, self.org, self.random.choice(RESOURCES), begins, ends)
        self.blocked[block] = time.monotonic()
        return True

    def change_block(self) -> bool:
        """Two at once are removed or moved, so that the order of their locks counts."""
        some = self._some("blocks", "true", most=2)
        self.unblocked |= set(some)
        # The rows in one order, as any two statements on the same rows.
        which = " WHERE id IN (SELECT id FROM blocks WHERE id = ANY (%s) ORDER BY id FOR UPDATE)"
        what = self.random.choice(
            ("DELETE FROM blocks", "UPDATE blocks SET ends_at = ends_at + interval '1 h'")
        )
        return self.connection.execute((what + which).encode(), [some]).rowcount > 0

    def move(self) -> bool:
        for appointment in self._some("appointments", "status = 'confirmed'"):
            began = time.monotonic()
            row = self.connection.execute(
                "SELECT success, code FROM move_appointment(%s, %s, %s)",
                [appointment, self.org, self._start()],
            ).fetchone()
            assert row is not None
            if row[0]:
                self.took.append(Taken(appointment, self.start, began))
            elif row[1] not in ("slot_taken", "same_time", "appointment_cancelled"):
                self.trouble.append(("move", row))
            return bool(row[0])
        return False

    def move_by_hand(self) -> bool:
        for appointment in self._some("appointments", "status = 'confirmed'"):
            start = self._start()
            began = time.monotonic()
            moved = self.connection.execute(
                "UPDATE appointments SET scheduled_at = %(to)s, ends_at = %(to)s + (ends_at - scheduled_at)"
                " WHERE id = %(id)s AND status = 'confirmed'",
                {"to": start, "id": appointment},
            ).rowcount
            if moved:
                self.took.append(Taken(appointment, start, began))
            return moved > 0
        return False

    # Those who give it back.

    def cancel(self) -> bool:
        for appointment in self._some("appointments", "status = 'confirmed'"):
            row = self.connection.execute(
                "SELECT success FROM cancel_appointment(%s, %s)", [appointment, self.org]
            ).fetchone()
            return row is not None and bool(row[0])
        return False

    def cancel_by_hand(self) -> bool:
        some = self._some("appointments", "status = 'confirmed'")
        return (
            self.connection.execute(
                "UPDATE appointments SET status = 'cancelled' WHERE id = ANY (%s)", [some]
            ).rowcount
            > 0
        )

    def confirm(self) -> bool:
        for hold in self._some("appointment_holds", "status = 'held'"):
            (contact,) = self.connection.execute(
                "UPDATE appointment_holds SET code_digest = %s WHERE id = %s RETURNING contact_id",
                [RIGHT, hold],
            ).fetchone() or (None,)
            return confirm(self.connection, self.org, hold, contact=contact).success
        return False

    def release(self) -> bool:
        for hold in self._some("appointment_holds", "status = 'held'"):
            return release(self.connection, self.org, hold)[0]
        return False

    def give_back(self) -> bool:
        with Session(self.engine) as session, session.begin():
            for hold in self._some("appointment_holds", "status = 'held'"):
                return unproved_holds.give_back(session, uuid.UUID(self.org), hold_id=hold) > 0
        return False

    def expire(self) -> bool:
        """As the beat does."""
        with Session(self.engine) as session, session.begin():
            return holds.expire(session) > 0

    def age(self) -> bool:
        """Time passes for two of the holds."""
        aged = self.connection.execute(
            "UPDATE appointment_holds SET expires_at = clock_timestamp() WHERE id IN (SELECT id"
            " FROM appointment_holds WHERE org_id = %s AND status = 'held' ORDER BY random() LIMIT 2"
            " FOR UPDATE SKIP LOCKED)",
            [self.org],
        )
        return aged.rowcount > 0

    def _start(self) -> datetime:
        self.start = self.random.choice(STARTS)
        return self.start

    def _one(self, of: Mapping[str, object]) -> str:
        return self.random.choice(sorted(of))

    def _some(self, table: str, which: str, most: int = 1) -> list[uuid.UUID]:
        rows = self.connection.execute(
            f"SELECT id FROM {table} WHERE org_id = %s AND {which} ORDER BY random() LIMIT %s".encode(),
            [self.org, most],
        )
        return [row[0] for row in rows]
