"""A confirmed appointment of its own clinic, its SMS, and the sandbox Twilio that receives them; and a worker
whose time the test controls.
"""

from __future__ import annotations

import heapq
import itertools
import json
import time
import urllib.request
import uuid
from datetime import datetime
from typing import Any

import psycopg
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.messaging import receipts
from tests.conftest import Clock
from tests.factories import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    bare,
    code_of,
    create_clinic,
    phone_number,
    reserve,
    slot,
)


class Booking:
    """A confirmed appointment of its own clinic, and its waiting confirmation."""

    def __init__(
        self,
        client: FlaskClient,
        sql: psycopg.Connection,
        number: str | None = None,
        *,
        org: str | None = None,
        days: int = 14,
    ) -> None:
        self.client, self.sql, self.days = client, sql, days
        self.org = org or create_clinic(sandbox=True)
        self.phone = number or phone_number()
        self.hold = reserve(client, self.org, slotId=slot(days=days), patientPhone=self.phone)["holdId"]
        bare(client, "booking/send-otp", holdId=self.hold)
        self.code = code_of(self.hold)
        self.appointment = bare(client, "booking/verify-otp", holdId=self.hold, providedOTP=self.code)[
            "appointmentId"
        ]
        self.otp = self._message("hold_id", self.hold)
        self.confirmation = self._message("appointment_id", self.appointment)

    def next(self) -> Booking:
        """Another patient's booking at the same clinic, a day later."""
        return Booking(self.client, self.sql, org=self.org, days=self.days + 1)

    def _message(self, column: str, value: str) -> str:
        row = self.sql.execute(
            f"SELECT id::text FROM sms_messages WHERE org_id = %s AND {column} = %s", [self.org, value]
        ).fetchone()
        assert row
        return str(row[0])

    def deliver(self, message: str | None = None) -> None:
        from tasks.messaging import deliver_sms  # noqa: PLC0415 (its settings exist only now)

        deliver_sms.run(org_id=self.org, message_id=message or self.confirmation)

    def state(self, columns: str = "status", message: str | None = None) -> Any:
        row = self.sql.execute(
            f"SELECT {columns} FROM sms_messages WHERE id = %s", [message or self.confirmation]
        ).fetchone()
        assert row
        return row if len(row) > 1 else row[0]

    def causes(self, message: str | None = None) -> list[tuple[str, str]]:
        """Every change of a message's status with its cause, oldest first."""
        return self.sql.execute(
            "SELECT to_status, cause FROM sms_events WHERE message_id = %s ORDER BY id",
            [message or self.confirmation],
        ).fetchall()

    def due_now(self, message: str | None = None) -> None:
        """End the message's wait."""
        self.sql.execute(
            "UPDATE sms_messages SET next_attempt_at = app_clock() WHERE id = %s",
            [message or self.confirmation],
        )

    def sender(self, columns: str) -> Any:
        return self.sql.execute(f"SELECT {columns} FROM sms_senders WHERE org_id = %s", [self.org]).fetchone()

    def from_number(self, number: str) -> None:
        self.sql.execute(
            "UPDATE integration_settings SET twilio_from_number = %s WHERE org_id = %s", [number, self.org]
        )

    def receipt(self, status: str) -> None:
        """Twilio sends a receipt for the confirmation."""
        attempt, provider_id = self.state("attempt, provider_id")
        token = receipts.receipt_token(uuid.UUID(self.confirmation), attempt)
        path = f"/api/twilio/status/{self.confirmation}/{attempt}/{token}"
        form = {"MessageSid": provider_id, "AccountSid": ACCOUNT_SID, "MessageStatus": status}
        url = settings.get().public_base_url.rstrip("/") + path
        signature = RequestValidator(AUTH_TOKEN).compute_signature(url, form)
        answer = self.client.post(path, data=form, headers={"X-Twilio-Signature": signature})
        assert answer.status_code == 204

    def opted_out(self, number: str | None = None) -> Any:
        """The source of an opt-out that is in force."""
        row = self.sql.execute(
            "SELECT source FROM opt_outs WHERE org_id = %s AND phone = %s AND lifted_at IS NULL",
            [self.org, number or self.phone],
        ).fetchone()
        return row and row[0]


class PatientWorker:
    """Takes the tasks from the queues, runs each in its turn, and moves the clock to the next task if there
    is a wait. The clock does not go by itself, so that nothing depends on the speed of the machine. Beat's
    sweep comes every five seconds.
    """

    def __init__(self, sql: psycopg.Connection, clock: Clock) -> None:
        from tasks.app import app  # noqa: PLC0415 (its settings exist only now)

        self._app, self._sql, self._clock = app, sql, clock
        self._clock.stop()
        self.forget()

    def forget(self) -> None:
        """Lose the tasks in the queues and those with a countdown."""
        self._tasks: list[tuple[float, int, dict[str, str]]] = []
        self._take(time.time())

    def run(self, seconds: float, *nudged: Booking) -> None:
        from tasks.messaging import deliver_sms, sweep_sms  # noqa: PLC0415

        now, number = self._now(), itertools.count()
        until, sweep_at = now + seconds, now
        for each in nudged:
            task = {"org_id": each.org, "message_id": each.confirmation}
            heapq.heappush(self._tasks, (now, next(number), task))
        while (now := self._now()) < until:
            begun = time.time()
            if sweep_at <= now:
                sweep_sms.run()
                sweep_at = now + 5
            elif self._tasks and self._tasks[0][0] <= now:
                deliver_sms.run(**heapq.heappop(self._tasks)[2])
            else:
                wait = min(sweep_at, *(task[0] for task in self._tasks[:1]), until) - now
                self._clock.forward(max(wait, 0.001))  # the clock counts whole microseconds
            for due, task in self._take(begun):
                heapq.heappush(self._tasks, (due, next(number), task))

    def _take(self, begun: float) -> list[tuple[float, dict[str, str]]]:
        taken = []
        with self._app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            for queue in ("otp", "sms"):
                while message := channel.basic_get(queue, no_ack=True):
                    eta = message.headers["eta"]
                    # A task tells only the end of its countdown, by the real clock.
                    late = (datetime.fromisoformat(eta).timestamp() - begun) if eta else 0.0
                    taken.append((self._now() + late, message.payload[1]))
        return taken

    def _now(self) -> float:
        row = self._sql.execute("SELECT extract(epoch FROM app_clock())::float8").fetchone()
        assert row
        return float(row[0])


def script(twilio: str, kind: str, **fault: Any) -> None:
    """Script the sandbox's next fault."""
    request = urllib.request.Request(
        f"{twilio}/sandbox/faults",
        json.dumps({"kind": kind} | fault).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request).close()


def clear(twilio: str) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{twilio}/sandbox/faults", method="DELETE")).close()


def inbox(twilio: str, number: str) -> list[str]:
    with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
        return [message["body"] for message in json.load(response) if message["to"] == number]


def ended(twilio: str, number: str) -> None:
    """Wait until the SMS to this number have reached their last status at the sandbox."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{twilio}/inbox.json") as response:
            rows = [message["status"] for message in json.load(response) if message["to"] == number]
        if set(rows) <= {"delivered", "undelivered", "failed"}:
            return
        time.sleep(0.01)
    raise AssertionError(f"they are still {rows}")
