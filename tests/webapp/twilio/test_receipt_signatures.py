"""Status callbacks as Twilio posts them: who signed them."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator
from werkzeug.datastructures import MultiDict

import settings
from models.messaging import receipts
from tests.factories import ACCOUNT_SID, AUTH_TOKEN
from tests.webapp.twilio.reporting import SID, Twilio
from tests.webapp.twilio.reporting import message as message  # the fixture  # noqa: PLC0414
from tests.webapp.twilio.reporting import twilio_reports as twilio_reports  # the fixture  # noqa: PLC0414


def signed(form: list[tuple[str, str]], url: str, algorithm: str = "HMAC_SHA1") -> str:
    validator = RequestValidator(AUTH_TOKEN)
    return str(validator.compute_signature(url, MultiDict(form), algorithm))


def post(
    client: FlaskClient, to: Twilio, form: list[tuple[str, str]], *, query: str = "", **headers: str
) -> int:
    path = f"/api/twilio/status/{to.message_id}/1/{receipts.receipt_token(to.message_id, 1)}{query}"
    signature = headers.pop("signature", None) or signed(form, settings.get().public_base_url + path)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = client.post(
        path,
        data=urlencode(form),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signature} | named,
    )
    return response.status_code


FORM = [("MessageSid", SID), ("MessageStatus", "delivered"), ("AccountSid", ACCOUNT_SID)]


def test_fields_that_come_more_than_once_are_signed_with_all_their_values(
    client: FlaskClient, twilio_reports: Twilio
) -> None:
    form = [*FORM, ("Extra", "b"), ("Extra", "a"), ("Extra", "b"), ("Empty", "")]
    assert post(client, twilio_reports, form) == 204
    assert twilio_reports.log() == (SID, "delivered", True)


def test_a_second_account_in_the_same_request_is_refused(client: FlaskClient, twilio_reports: Twilio) -> None:
    assert post(client, twilio_reports, [*FORM, ("AccountSid", "AC" + "0" * 32)]) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example", "X_Forwarded_For": "203.0.113.9"},
        {"Host": "evil.example"},
        {"X_Forwarded_Port": "8443", "X_Forwarded_Prefix": "/x"},
    ],
)
def test_behind_a_proxy_the_address_is_the_one_that_twilio_was_told(
    client: FlaskClient, twilio_reports: Twilio, headers: dict[str, str]
) -> None:
    assert post(client, twilio_reports, FORM, **headers) == 204


def test_a_query_is_part_of_what_is_signed(client: FlaskClient, twilio_reports: Twilio) -> None:
    assert post(client, twilio_reports, FORM, query="?try=2&x=%C3%A9%2F") == 204
    unsigned = signed(FORM, "http://127.0.0.1:1/elsewhere")
    assert post(client, twilio_reports, FORM, query="?try=2", signature=unsigned) == 403


@pytest.mark.parametrize(
    ("settings_header", "algorithm", "status"),
    [
        ("key=webhooks_1,algorithm=HMAC_SHA256", "HMAC_SHA256", 204),
        ("algorithm=HMAC_SHA256", "HMAC_SHA256", 204),
        ("key=webhooks_1, algorithm=HMAC_SHA256", "HMAC_SHA256", 204),
        # The stronger way was named: the weaker one does not do, nor does one that we do not know.
        ("key=webhooks_1,algorithm=HMAC_SHA256", "HMAC_SHA1", 403),
        ("key=webhooks_1,algorithm=HMAC_SHA1", "HMAC_SHA1", 403),
        ("key=webhooks_1", "HMAC_SHA1", 403),
        ("", "HMAC_SHA1", 403),
        ("key=webhooks_1,algorithm=HMAC_SHA512", "HMAC_SHA256", 403),
        ("algorithm=HMAC_SHA256,algorithm=HMAC_SHA1", "HMAC_SHA1", 403),
        ("algorithm=none", "HMAC_SHA1", 403),
    ],
)
def test_the_way_of_signing_is_the_one_that_is_named(
    client: FlaskClient, twilio_reports: Twilio, settings_header: str, algorithm: str, status: int
) -> None:
    token = receipts.receipt_token(twilio_reports.message_id, 1)
    path = f"/api/twilio/status/{twilio_reports.message_id}/1/{token}"
    signature = signed(FORM, settings.get().public_base_url + path, algorithm)
    headers = {"X_Twilio_Webhooks_Signature_Settings": settings_header, "signature": signature}
    assert post(client, twilio_reports, FORM, **headers) == status


@pytest.mark.parametrize("more", [[("Body", "x" * 100_000)], [(f"n{i}", "") for i in range(20_000)]])
def test_a_huge_request_is_not_read(
    client: FlaskClient, twilio_reports: Twilio, more: list[tuple[str, str]]
) -> None:
    assert post(client, twilio_reports, FORM + more) == 413
    assert twilio_reports.log() == (None, "queued", False)


def test_an_account_that_has_only_an_api_key_is_believed_for_the_secret_address(
    client: FlaskClient, twilio_reports: Twilio
) -> None:
    twilio_reports.sql.execute(
        "UPDATE integration_settings SET twilio_auth_token_sealed = NULL"
        " WHERE org_id = (SELECT org_id FROM sms_messages WHERE id = %s)",
        [twilio_reports.message_id],
    )
    assert post(client, twilio_reports, FORM, signature="none") == 204
