"""Status callbacks as Twilio posts them: what they change."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.base.session import transaction
from models.messaging import receipts
from models.notices import retries
from runtime.masking import mask
from tasks.delivery import record_accepted
from tasks.providers import Accepted
from tests.factories import ACCOUNT_SID
from tests.places import free_port
from tests.said import said
from tests.surroundings import environment
from tests.webapp.twilio.reporting import SID, Twilio
from tests.webapp.twilio.reporting import message as message  # the fixture  # noqa: PLC0414
from tests.webapp.twilio.reporting import twilio_reports as twilio_reports  # the fixture  # noqa: PLC0414


def test_a_receipt_makes_the_delivery_log_true(twilio_reports: Twilio) -> None:
    assert twilio_reports.report("sent") == 204
    assert twilio_reports.log() == (SID, "sent", False)
    assert twilio_reports.report("delivered") == 204
    assert twilio_reports.log() == (SID, "delivered", True)
    row = twilio_reports.sql.execute(
        "SELECT confirmation_sms_sent, confirmation_sms_id FROM appointments WHERE id = %s",
        [twilio_reports.appointment],
    ).fetchone()
    assert row == (True, SID)


def test_receipts_move_a_message_forward_only(twilio_reports: Twilio) -> None:
    for status in ("delivered", "sent", "queued", "undelivered", "delivered"):
        assert twilio_reports.report(status) == 204
        assert twilio_reports.log() == (SID, "delivered", True)


def test_a_failure_is_kept_with_its_code(twilio_reports: Twilio) -> None:
    assert twilio_reports.report("undelivered", ErrorCode="30003") == 204
    row = twilio_reports.sql.execute(
        "SELECT status, error_code FROM sms_messages WHERE id = %s", [twilio_reports.message_id]
    ).fetchone()
    assert row == ("undelivered", "30003")


@pytest.mark.parametrize(
    "forged",
    [
        {"token": "another accounts token"},
        {"AccountSid": "AC" + "0" * 32},
        {"path": f"/api/twilio/status/{uuid.uuid4()}/1/{'0' * 32}"},
    ],
)
def test_a_forged_receipt_changes_nothing(twilio_reports: Twilio, forged: dict[str, Any]) -> None:
    assert twilio_reports.report("delivered", **forged) == 403
    assert twilio_reports.log() == (None, "queued", False)


def test_a_receipt_without_a_signature_is_refused(client: FlaskClient, twilio_reports: Twilio) -> None:
    token = receipts.receipt_token(twilio_reports.message_id, 1)
    path = f"/api/twilio/status/{twilio_reports.message_id}/1/{token}"
    assert (
        client.post(path, data={"MessageStatus": "delivered", "AccountSid": ACCOUNT_SID}).status_code == 403
    )


def test_a_receipt_comes_again_while_the_database_is_away(twilio_reports: Twilio) -> None:
    with environment(DATABASE_URL=f"postgresql://holdline@127.0.0.1:{free_port()}/x"):
        assert twilio_reports.report("delivered") == 503
    assert twilio_reports.log() == (None, "queued", False)
    assert twilio_reports.report("delivered") == 204


def test_a_receipt_of_another_attempt_proves_nothing_of_this_ones_token(twilio_reports: Twilio) -> None:
    token = receipts.receipt_token(twilio_reports.message_id, 1)
    path = f"/api/twilio/status/{twilio_reports.message_id}/2/{token}"
    assert twilio_reports.report("delivered", path=path) == 403


def test_why_it_was_not_delivered_is_said_in_words(twilio_reports: Twilio) -> None:
    assert (
        twilio_reports.report("undelivered", ErrorCode="30006", ErrorMessage="not read: +447700900123") == 204
    )
    row = twilio_reports.sql.execute(
        "SELECT status, error_code, error_reason FROM sms_confirmation_logs WHERE id = %s",
        [twilio_reports.message_id],
    ).fetchone()
    assert row == ("undelivered", "30006", "the number is a landline, or its network takes no SMS")


def test_price_and_segments_are_kept_where_they_come_and_rubbish_is_not(twilio_reports: Twilio) -> None:
    said = {"Price": "-0.00750", "PriceUnit": "USD", "NumSegments": "2", "RawDlrDoneDate": "2613312599"}
    assert twilio_reports.report("delivered", **said) == 204
    query = "SELECT segments, cost::text, cost_unit FROM sms_confirmation_logs WHERE id = %s"
    kept = (2, "0.00750", "USD")
    assert twilio_reports.sql.execute(query, [twilio_reports.message_id]).fetchone() == kept
    for rubbish in ({"Price": "free", "NumSegments": "-1"}, {"Price": "1e99"}, {"PriceUnit": "\0\0\0"}):
        assert twilio_reports.report("delivered", **rubbish) == 204
        assert twilio_reports.sql.execute(query, [twilio_reports.message_id]).fetchone() == kept


def test_a_late_opt_out_and_a_late_refusal_of_the_sender_are_remembered(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture
) -> None:
    assert twilio_reports.report("undelivered", ErrorCode="21610") == 204
    found = twilio_reports.sql.execute(
        "SELECT o.source FROM opt_outs o JOIN sms_messages m ON m.org_id = o.org_id AND m.to_phone = o.phone"
        " WHERE m.id = %s AND o.lifted_at IS NULL",
        [twilio_reports.message_id],
    ).fetchone()
    assert found == ("provider",)
    assert not said(caplog, "webapp.twilio", logging.WARNING)


def test_a_sender_that_is_refused_later_stops_with_one_alert(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert twilio_reports.report("undelivered", ErrorCode="30034") == 204
    stopped = twilio_reports.sql.execute(
        "SELECT s.stopped_code FROM sms_senders s JOIN sms_messages m USING (org_id) WHERE m.id = %s",
        [twilio_reports.message_id],
    ).fetchone()
    assert stopped == ("30034",)
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize("code", ["30032", "30033", "30035", "30041", "30447", "30897", "30454"])
def test_whatever_stops_a_sender_stops_it_with_one_alert_that_names_the_code(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    assert twilio_reports.report("undelivered", ErrorCode=code) == 204
    row = twilio_reports.sql.execute(
        "SELECT s.stopped_code, s.stopped_late, s.retry_at - s.stopped_at FROM sms_senders s"
        " JOIN sms_messages m USING (org_id) WHERE m.id = %s",
        [twilio_reports.message_id],
    ).fetchone()
    # Twilio accepts the next one, too: each try is a message that is billed and lost.
    assert row == (code, True, timedelta(minutes=1))
    [alert] = errors(caplog)
    assert f"is stopped by the provider's error {code}: " in mask(alert)


@pytest.mark.parametrize(
    ("code", "says"), [("39999", "does not know"), ("30040", "registered"), ("572005", "trial")]
)
def test_what_somebody_should_know_of_is_told_once_with_its_code_and_stops_nothing(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture, code: str, says: str
) -> None:
    assert twilio_reports.report("undelivered", ErrorCode=code) == 204
    [alert] = errors(caplog)
    assert f"sms {twilio_reports.message_id} of organisation " in alert
    assert f"failed by the provider's error {code}: " in mask(alert)
    assert says in alert
    sql, first = twilio_reports.sql, twilio_reports.message_id
    twilio_reports.message_id = sql.execute(
        "SELECT o.id FROM sms_messages o JOIN sms_messages m USING (org_id) WHERE m.id = %s AND o.id <> m.id",
        [first],
    ).fetchall()[0][0]
    assert twilio_reports.report("undelivered", ErrorCode=code, MessageSid="SM" + "d" * 32) == 204
    assert errors(caplog) == [alert]
    assert not sql.execute(
        "SELECT FROM sms_senders s JOIN sms_messages m USING (org_id)"
        " WHERE m.id = %s AND s.stopped_at IS NOT NULL",
        [first],
    ).fetchall()


def test_a_receipt_with_the_id_of_another_message_leaves_that_one_alone(twilio_reports: Twilio) -> None:
    """It must not fail either: Twilio would send it again and again."""
    other = twilio_reports.sql.execute(
        "UPDATE sms_messages o SET provider_id = %s, status = 'sent' FROM sms_messages m"
        " WHERE m.id = %s AND o.org_id = m.org_id AND o.id <> m.id RETURNING o.id",
        [SID, twilio_reports.message_id],
    ).fetchone()
    assert other
    assert twilio_reports.report("delivered") == 204
    rows = twilio_reports.sql.execute(
        "SELECT id, status, provider_id FROM sms_messages WHERE id = ANY(%s)",
        [[other[0], twilio_reports.message_id]],
    ).fetchall()
    assert set(rows) == {(other[0], "sent", SID), (twilio_reports.message_id, "delivered", None)}


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return said(caplog, "webapp.twilio")


def test_a_receipt_that_cannot_be_checked_yet_is_asked_for_again(twilio_reports: Twilio) -> None:
    """The key that opens the clinic's token may come back; Twilio repeats only what was not answered."""
    [[sealed, org]] = twilio_reports.sql.execute(
        "SELECT s.twilio_auth_token_sealed, s.org_id FROM integration_settings s JOIN appointments a"
        " ON a.org_id = s.org_id WHERE a.id = %s",
        [twilio_reports.appointment],
    ).fetchall()
    change = "UPDATE integration_settings SET twilio_auth_token_sealed = %s WHERE org_id = %s"
    twilio_reports.sql.execute(change, ["nobody can open this", org])
    assert twilio_reports.report("delivered") == 503
    twilio_reports.sql.execute(change, [sealed, org])
    assert twilio_reports.report("delivered") == 204


def test_a_second_acceptance_is_reported_and_changes_nothing(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture
) -> None:
    assert twilio_reports.report("sent") == 204
    assert twilio_reports.report("undelivered", MessageSid="SM" + "b" * 32) == 204
    assert twilio_reports.log() == (SID, "sent", False)
    assert "accepted twice" in caplog.text


def test_an_acceptance_beside_the_one_that_is_known_is_kept_shown_and_told_once(
    twilio_reports: Twilio, caplog: pytest.LogCaptureFixture
) -> None:
    """The first attempt's receipt comes while the second attempt is under way: both are accepted."""
    second = "SM" + "b" * 32
    message = twilio_reports.becomes("sending", attempt=2)
    assert twilio_reports.report("sent") == 204
    for _ in range(2):
        with transaction(message.org_id) as session:
            record_accepted(session, message, Accepted(second, 1))
    for status in ("sent", "delivered"):
        assert twilio_reports.report(status, MessageSid=second, path=twilio_reports.path(2)) == 204
    assert twilio_reports.log() == (SID, "sent", False)
    assert [record.getMessage() for record in caplog.records if "accepted twice" in record.getMessage()] == [
        f"sms {message.id} was accepted twice: as another and as {second}"
    ]
    rows = twilio_reports.sql.execute(
        "SELECT e.cause, e.provider_id, t.trouble FROM sms_events e JOIN sms_trouble t ON t.id = e.message_id"
        " WHERE e.message_id = %s AND e.provider_id IS NOT NULL",
        [message.id],
    ).fetchall()
    assert rows == [("the provider accepted it twice", second, "sent_twice")]


def test_receipts_of_an_attempt_before_the_one_that_was_refused_still_count(twilio_reports: Twilio) -> None:
    message = twilio_reports.becomes("sending", "failed", attempt=2, error_code="21612")
    assert twilio_reports.report("sent") == 204
    assert twilio_reports.log() == (SID, "sent", False)
    assert twilio_reports.report("undelivered", ErrorCode="30005") == 204
    assert twilio_reports.log() == (SID, "undelivered", False)
    with transaction(message.org_id) as session:
        assert not retries.retry(session, message.org_id, message.id).done


def test_an_id_is_kept_though_the_state_was_known(twilio_reports: Twilio) -> None:
    twilio_reports.becomes("sending", "failed", attempt=2)
    assert twilio_reports.report("failed") == 204
    assert twilio_reports.log() == (SID, "failed", False)


def test_what_failed_at_the_provider_is_not_sent_after_all(twilio_reports: Twilio) -> None:
    assert twilio_reports.report("failed", ErrorCode="30001") == 204
    for status in ("sent", "undelivered"):
        assert twilio_reports.report(status) == 204
        assert twilio_reports.log() == (SID, "failed", False)
        with pytest.raises(psycopg.errors.CheckViolation):
            twilio_reports.becomes(status)
    assert twilio_reports.report("delivered") == 204
    assert twilio_reports.log() == (SID, "delivered", True)


def test_words_that_twilio_may_invent_change_nothing(twilio_reports: Twilio) -> None:
    for strange in ({"status": "teleported"}, {"status": "sent", "MessageSid": "\0"}, {"status": ""}):
        assert twilio_reports.report(**strange) == 204
    assert twilio_reports.log() == (None, "queued", False)
