"""An API key in place of the auth token: the sign-in, and the proof that a receipt is Twilio's."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.base import sealing
from models.messaging import receipts
from sandbox.twilio.exchange import Exchange
from sandbox.twilio.server import make_sandbox
from tasks.messaging import deliver_sms
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, bare, create_clinic, reserve
from tests.surroundings import environment

KEY_SID, KEY_SECRET = "SK" + "7b" * 16, "secret-of-the-api-key"
PATH = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"


@pytest.fixture(scope="module")
def requests_to_twilio() -> Iterator[list[tuple[str, str | None, str | None]]]:
    """A sandbox Twilio that records each request's path, user name and password."""
    seen: list[tuple[str, str | None, str | None]] = []
    exchange = Exchange(step_seconds=0.01)
    server = make_sandbox(exchange, 0)
    assert isinstance(server.app, Flask)

    @server.app.before_request
    def note() -> None:
        login = request.authorization
        seen.append((request.path, login.username if login else None, login.password if login else None))

    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with environment(TWILIO_API_BASE_URL=f"http://127.0.0.1:{server.server_port}"):
        yield seen
    exchange.close()
    server.shutdown()
    thread.join()
    server.server_close()


class Clinic:
    """A clinic with one waiting code."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.sql = sql
        self.org = create_clinic(sandbox=True)
        hold = reserve(client, self.org)["holdId"]
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        [message] = sql.execute("SELECT id FROM sms_messages WHERE hold_id = %s", [hold]).fetchall()
        self.message: uuid.UUID = message[0]

    def has(self, *, api_key: bool, auth_token: bool) -> None:
        secret = sealing.seal(uuid.UUID(self.org), "twilio_api_key_secret", KEY_SECRET)
        self.sql.execute(
            "UPDATE integration_settings SET twilio_api_key_sid = %s, twilio_api_key_secret_sealed = %s,"
            " twilio_auth_token_sealed = CASE WHEN %s THEN twilio_auth_token_sealed END WHERE org_id = %s",
            [KEY_SID if api_key else None, secret if api_key else None, auth_token, self.org],
        )

    def deliver(self) -> None:
        deliver_sms.run(org_id=self.org, message_id=str(self.message))

    def status(self) -> str:
        [row] = self.sql.execute("SELECT status FROM sms_messages WHERE id = %s", [self.message]).fetchall()
        return str(row[0])


@pytest.fixture
def clinic(client: FlaskClient, sql: psycopg.Connection) -> Clinic:
    return Clinic(client, sql)


@pytest.mark.parametrize(
    ("api_key", "auth_token", "username", "password"),
    [
        (True, False, KEY_SID, KEY_SECRET),
        (True, True, KEY_SID, KEY_SECRET),
        (False, True, ACCOUNT_SID, AUTH_TOKEN),
    ],
)
def test_the_key_signs_in_on_the_accounts_path(
    clinic: Clinic,
    requests_to_twilio: list[tuple[str, str | None, str | None]],
    *,
    api_key: bool,
    auth_token: bool,
    username: str,
    password: str,
) -> None:
    clinic.has(api_key=api_key, auth_token=auth_token)
    requests_to_twilio.clear()
    clinic.deliver()
    assert requests_to_twilio == [(PATH, username, password)]
    assert clinic.status() == "sent"


def test_a_key_without_its_secret_is_no_key(
    clinic: Clinic, requests_to_twilio: list[tuple[str, str | None, str | None]]
) -> None:
    clinic.has(api_key=True, auth_token=True)
    clinic.sql.execute(
        "UPDATE integration_settings SET twilio_api_key_secret_sealed = NULL WHERE org_id = %s", [clinic.org]
    )
    requests_to_twilio.clear()
    clinic.deliver()
    assert requests_to_twilio == [(PATH, ACCOUNT_SID, AUTH_TOKEN)]


def report(client: FlaskClient, clinic: Clinic, *, signed_with: str | None, token: str | None = None) -> int:
    token = token or receipts.receipt_token(clinic.message, 1)
    path = f"/api/twilio/status/{clinic.message}/1/{token}"
    form = {"MessageSid": "SM" + "c" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT_SID}
    headers = {}
    if signed_with is not None:
        url = settings.get().public_base_url + path
        headers["X-Twilio-Signature"] = RequestValidator(signed_with).compute_signature(url, form)
    return client.post(path, data=form, headers=headers).status_code


@pytest.mark.parametrize("signed_with", [None, AUTH_TOKEN, KEY_SECRET])
def test_without_an_auth_token_the_token_in_the_address_is_the_proof(
    client: FlaskClient, clinic: Clinic, signed_with: str | None
) -> None:
    clinic.has(api_key=True, auth_token=False)
    assert report(client, clinic, signed_with=signed_with, token="0" * 32) == 403
    assert clinic.status() == "queued"
    assert report(client, clinic, signed_with=signed_with) == 204
    assert clinic.status() == "delivered"


@pytest.mark.parametrize("signed_with", [None, KEY_SECRET, ""])
def test_with_an_auth_token_a_receipt_must_be_signed_with_it(
    client: FlaskClient, clinic: Clinic, signed_with: str | None
) -> None:
    clinic.has(api_key=True, auth_token=True)
    assert report(client, clinic, signed_with=signed_with) == 403
    assert clinic.status() == "queued"
    assert report(client, clinic, signed_with=AUTH_TOKEN, token="0" * 32) == 403
    assert report(client, clinic, signed_with=AUTH_TOKEN) == 204
    assert clinic.status() == "delivered"
