"""A retry by hand sends an unsent message, asks the provider first, or refuses; it never sends twice."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import messages, outbox, reconciling
from models.messaging.states import SmsKind
from models.notices import retries
from models.notices.retries import Retry
from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, reserve

Sql = psycopg.Connection


class Confirmation:
    """The queued confirmation of an appointment, whose status a test sets."""

    def __init__(self, client: FlaskClient, sql: Sql) -> None:
        self.sql = sql
        self.org = create_clinic(sandbox=True)
        hold = reserve(client, self.org)["holdId"]
        bare(client, "booking/send-otp", holdId=hold)
        bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
        query = "SELECT id FROM sms_messages WHERE org_id = %s AND kind = %s"
        self.otp, self.id = (
            str(row[0])
            for kind in ("otp", "confirmation")
            for row in sql.execute(query, [self.org, kind]).fetchall()
        )

    def becomes(self, *statuses: str, **values: object) -> None:
        for status in statuses:
            self.sql.execute("UPDATE sms_messages SET status = %s WHERE id = %s", [status, self.id])
        for column, value in values.items():
            self.sql.execute(
                f"UPDATE sms_messages SET {column} = %s WHERE id = %s".encode(), [value, self.id]
            )

    def retry(self, message: str | None = None, org: str | None = None) -> Retry:
        org_id = uuid.UUID(org or self.org)
        with transaction(org_id) as session:
            return retries.retry(session, org_id, uuid.UUID(message or self.id))

    def row(self) -> messages.SmsMessage:
        with transaction(uuid.UUID(self.org)) as session:
            found = messages.get_or_none(session, uuid.UUID(self.org), uuid.UUID(self.id))
        assert found
        return found

    def answer_no(self, asked_about: messages.SmsMessage) -> None:
        """Record that the provider does not have the message; `asked_about` is its row at the question."""
        with transaction(uuid.UUID(self.org)) as session:
            reconciling.record_never_sent(session, asked_about)

    @property
    def status(self) -> str:
        row = self.sql.execute("SELECT status FROM sms_messages WHERE id = %s", [self.id]).fetchone()
        assert row
        return str(row[0])

    @property
    def is_claimed(self) -> bool:
        org_id = uuid.UUID(self.org)
        with transaction(org_id) as session:
            return outbox.claim_for_sending(session, org_id, uuid.UUID(self.id)) is not None


@pytest.fixture
def confirmation(client: FlaskClient, sql: Sql) -> Confirmation:
    return Confirmation(client, sql)


def test_what_failed_before_it_reached_the_provider_is_queued_and_can_be_sent(
    confirmation: Confirmation,
) -> None:
    confirmation.becomes("sending", "failed", error_code="21606", error_reason="not our number")
    outcome = confirmation.retry()
    assert (outcome.done, confirmation.status) == (True, "queued")
    assert outcome.due == messages.Due(
        uuid.UUID(confirmation.org), uuid.UUID(confirmation.id), SmsKind.CONFIRMATION
    )
    assert confirmation.is_claimed


@pytest.mark.parametrize("status", ["sent", "delivered", "undelivered", "failed"])
def test_what_the_provider_accepted_is_never_sent_again(confirmation: Confirmation, status: str) -> None:
    confirmation.becomes(status, provider_id="SM1")
    assert confirmation.retry() == Retry(done=False, why=f"the provider accepted it as SM1: it is {status}")
    assert confirmation.status == status
    assert not confirmation.is_claimed


def test_of_what_is_unknown_the_provider_is_asked_first(confirmation: Confirmation) -> None:
    confirmation.becomes("sending", "unknown", attempt=1)
    outcome = confirmation.retry()
    assert (outcome.done, outcome.due, confirmation.status) == (True, None, "unknown")
    assert not confirmation.is_claimed
    with transaction(uuid.UUID(confirmation.org)) as session:
        assert str(confirmation.id) in {str(row.id) for row in reconciling.find_unsettled(session)}


def test_a_person_may_order_one_more_and_the_provider_is_asked_once_again_before(
    confirmation: Confirmation,
) -> None:
    confirmation.becomes("sending", "unknown", attempt=1)
    for _ in range(reconciling.MOST_ATTEMPTS - 1):
        confirmation.becomes("queued", "sending", "unknown")
    confirmation.becomes(check_at=None, unknown_since="2026-01-01")
    parked = confirmation.row()
    outcome = confirmation.retry()
    assert (outcome.done, outcome.due, confirmation.status) == (True, None, "unknown")
    confirmation.answer_no(parked)  # the answer to an earlier question
    assert (confirmation.status, confirmation.row().check_at is not None) == ("unknown", True)
    confirmation.answer_no(confirmation.row())
    assert confirmation.status == "queued"
    confirmation.becomes("sending", "unknown", cause="its answer was lost")
    confirmation.answer_no(confirmation.row())
    assert confirmation.status == "unknown"  # one more attempt, and no more


def test_a_code_and_what_is_on_its_way_are_left_alone(confirmation: Confirmation) -> None:
    assert not confirmation.retry(confirmation.otp).done
    assert not confirmation.retry().done
    confirmation.becomes("sending")
    assert not confirmation.retry().done
    assert confirmation.status == "sending"


def test_what_has_begun_needs_no_confirmation(confirmation: Confirmation, clock: Clock) -> None:
    confirmation.becomes("failed")
    clock.forward(30 * 24 * 3600)
    assert not confirmation.retry().done
    assert confirmation.status == "failed"


def test_another_clinics_message_is_no_message(confirmation: Confirmation) -> None:
    confirmation.becomes("failed")
    assert confirmation.retry(org=create_clinic()) == Retry(done=False, why="there is no such message")
    assert confirmation.status == "failed"


def test_what_a_later_message_has_replaced_is_not_sent_again(confirmation: Confirmation) -> None:
    confirmation.becomes("expired", cause="a later message says something else")
    assert not confirmation.retry().done
    assert confirmation.status == "expired"
