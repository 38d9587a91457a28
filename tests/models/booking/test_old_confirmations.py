"""What a worker does with the old confirmation of an appointment that was changed."""

from __future__ import annotations

import uuid

import pytest

from models.base.session import transaction
from models.messaging import messages, outbox, outcomes
from models.messaging.meanings import Failure
from models.messaging.states import Cause, SmsStatus
from tests.linked import Linked
from tests.models.booking.changing import SUPERSEDED, move
from tests.models.booking.changing import linked as linked  # the fixture  # noqa: PLC0414


@pytest.fixture
def sending(linked: Linked) -> messages.SmsMessage:
    """The old confirmation, claimed by a worker while the appointment is moved."""
    org = uuid.UUID(linked.org)
    with transaction(org) as session:
        message = outbox.claim_for_sending(session, org, linked.message)
    assert message is not None
    assert move(linked).success
    assert linked.sms(columns="status") == "sending"
    return message


def test_what_a_worker_could_not_hand_over_is_not_tried_again(
    linked: Linked, sending: messages.SmsMessage
) -> None:
    with transaction(uuid.UUID(linked.org)) as session:
        outcomes.record_unavailable(session, sending, Failure("no answer"))
    assert linked.sms() == SUPERSEDED
    last = linked.one(
        "SELECT to_status, cause FROM sms_events WHERE message_id = %s ORDER BY id DESC LIMIT 1",
        linked.message,
    )
    assert last == SUPERSEDED


def test_what_the_provider_took_is_sent_all_the_same(linked: Linked, sending: messages.SmsMessage) -> None:
    with transaction(uuid.UUID(linked.org)) as session:
        outcomes.record_sent(session, sending, provider_id="SMold", segments=1)
    assert linked.sms(columns="status, provider_id") == ("sent", "SMold")
    assert linked.row("confirmation_sms_sent") is False


@pytest.mark.parametrize("before", ["unknown", "failed", "expired"])
def test_an_old_confirmation_cannot_be_queued_again(
    linked: Linked, sending: messages.SmsMessage, before: str
) -> None:
    del sending
    linked.sql.execute("UPDATE sms_messages SET status = %s WHERE id = %s", [before, linked.message])
    linked.sql.execute(
        "UPDATE sms_messages SET status = 'queued', cause = 'an operator asked for it' WHERE id = %s",
        [linked.message],
    )
    status = "failed" if before == "failed" else "expired"
    assert linked.sms() == (status, Cause.SUPERSEDED.value)


def test_the_newest_confirmation_can(linked: Linked, sending: messages.SmsMessage) -> None:
    del sending
    newest = linked.newest()
    for status in (SmsStatus.FAILED, SmsStatus.QUEUED):
        linked.sql.execute("UPDATE sms_messages SET status = %s WHERE id = %s", [status.value, newest])
    assert linked.sms(newest, "status") == "queued"
