"""A booking that is moved and cancelled, and the SMS about it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from models.base.session import transaction
from models.booking import appointments
from models.booking.appointments import Change
from models.messaging import messages, outbox, outcomes
from models.notices import retries
from tasks.delivery import Outgoing, prepare, record_accepted, record_problem
from tasks.messaging import deliver_sms
from tasks.providers import Problem
from tests.factories import slot
from tests.linked import Linked, at
from tests.tasks.bookings import inbox

Faults = Callable[..., None]
NEW = slot(hour=15)


class Diary(Linked):
    """A booking that changes, and the SMS about it."""

    @property
    def clinic(self) -> uuid.UUID:
        return uuid.UUID(self.org)

    def move(self, to: str = NEW) -> Change:
        with transaction(self.clinic, actor="patient link") as session:
            return appointments.move(
                session, org_id=self.clinic, appointment_id=uuid.UUID(self.appointment), starts_at=at(to)
            )

    def cancel(self) -> Change:
        with transaction(self.clinic, actor="patient link") as session:
            return appointments.cancel(
                session, org_id=self.clinic, appointment_id=uuid.UUID(self.appointment)
            )

    def deliver(self, message: uuid.UUID | None) -> None:
        """End the message's wait; a worker then takes it, and sends it if it may go now."""
        due = "next_attempt_at = app_clock(), slot_at = NULL"
        self.sql.execute(f"UPDATE sms_messages SET {due} WHERE id = %s".encode(), [message])
        deliver_sms.run(org_id=self.org, message_id=str(message))

    def take(self, message: uuid.UUID | None = None) -> tuple[messages.SmsMessage, Outgoing] | None:
        """A worker claims the message and has not sent it yet; None if it gets no claim."""
        with transaction(self.clinic) as session:
            taken = outbox.claim_for_sending(session, self.clinic, message or self.message)
            outgoing = prepare(session, taken) if taken else None
        return (taken, outgoing) if taken and outgoing else None

    def send(self, taken: tuple[messages.SmsMessage, Outgoing]) -> None:
        """The same worker sends the message and records the outcome."""
        message, outgoing = taken
        try:
            accepted = outgoing.provider.send(outgoing.text)
        except Problem as problem:
            with transaction(self.clinic) as session:
                record_problem(session, message, problem)
                outcomes.record_end(session, message, slow=False)
        else:
            with transaction(self.clinic) as session:
                record_accepted(session, message, accepted)
                outcomes.record_end(session, message, slow=False)

    def rows(self, kind: str) -> list[tuple[Any, ...]]:
        return self.sql.execute(
            "SELECT id, status, cause FROM sms_messages WHERE appointment_id = %s AND kind = %s"
            " ORDER BY created_at",
            [self.appointment, kind],
        ).fetchall()


def spoken(slot_id: str) -> str:
    moment = at(slot_id)
    hour = moment.hour % 12 or 12
    half = "am" if moment.hour < 12 else "pm"
    return f"{moment:%a} {moment.day} {moment:%b %Y} at {hour}:{moment:%M} {half}"


def texts(twilio: str, diary: Diary) -> list[str]:
    """The SMS that the patient got, oldest first."""
    return inbox(twilio, diary.phone)[::-1]


def retry(diary: Diary, message: uuid.UUID | None) -> retries.Retry:
    assert message is not None
    with transaction(diary.clinic) as session:
        return retries.retry(session, diary.clinic, message)
