"""Requests with a secret or a signature, and the credentials for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

import settings
from models.base import sealing
from models.base.session import Door, system_transaction
from models.clinics.organizations import (
    CredentialKind,
    PayloadFormat,
    SignatureAlgorithm,
    SignatureEncoding,
    VapiCredential,
)
from tests import afresh
from tests.factories import create_clinic, slot
from webapp.agents import credentials
from webapp.agents.credentials import CREDENTIAL_HEADER

CHECK, WEBHOOK = "/api/vapi/tools/calendar/check", "/api/vapi/webhook"
OWN_HEADERS = ("X-Clinic-Signature", "X-Clinic-Time")


class Hands:
    """The clock of webapp/agents/credentials.py, which only the test moves."""

    def __init__(self) -> None:
        self.now, self.passed = float(int(time.time())), 0.0
        self._began = time.monotonic()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self._began + self.passed


@pytest.fixture(autouse=True)
def hands(monkeypatch: pytest.MonkeyPatch, sql: psycopg.Connection) -> Hands:
    """The clock; revokes other tests' signing credentials, and empties the application's memory of them."""
    sql.execute("UPDATE vapi_credentials SET revoked_at = now() WHERE kind = 'hmac' AND revoked_at IS NULL")
    hands = Hands()
    monkeypatch.setattr(credentials, "time", hands)
    afresh.start_anew()
    return hands


# --- what a caller sends ------------------------------------------------------------------------


@dataclass
class Request:
    path: str
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    query: dict[str, str] = field(default_factory=dict)

    def post(self, client: FlaskClient, **more: Any) -> TestResponse:
        return client.post(
            self.path,
            data=self.body,
            query_string=self.query,
            headers=Headers([("Content-Type", "application/json"), *self.headers]),
            **more,
        )

    def without(self, name: str) -> Request:
        return replace(self, headers=[each for each in self.headers if each[0] != name])

    def changed(self, name: str, change: Callable[[str], str]) -> Request:
        headers = [(each, change(value) if each == name else value) for each, value in self.headers]
        assert headers != self.headers
        return replace(self, headers=headers)

    def twice(self, name: str) -> Request:
        return replace(self, headers=self.headers + [each for each in self.headers if each[0] == name])


def check_body(**arguments: Any) -> bytes:
    return json.dumps({"toolCall": {"arguments": {"date": slot()[:10], **arguments}}}).encode()


@dataclass(frozen=True)
class Key:
    """A signing credential of one clinic, as Vapi was told to use it."""

    org: str
    calendar: str  # a name that no other clinic's calendar has
    id: uuid.UUID
    secret: str
    algorithm: SignatureAlgorithm = SignatureAlgorithm.SHA256
    encoding: SignatureEncoding = SignatureEncoding.HEX
    prefix: str = ""
    names: tuple[str, str] = ("X-Signature", "X-Timestamp")
    payload: PayloadFormat = PayloadFormat.BODY

    def signature(self, stamp: str, body: bytes, url: str = "") -> str:
        signed = stamp.encode() + b"." + body
        if self.payload is PayloadFormat.REQUEST:
            signed = f"{stamp}.POST.{url}.".encode() + body
        made = hmac.new(self.secret.encode(), signed, self.algorithm.value).digest()
        hexed = self.encoding is SignatureEncoding.HEX
        return self.prefix + (made.hex() if hexed else base64.b64encode(made).decode())

    def signs(
        self, stamp: str | float, body: bytes | None = None, *, named: str = "header", path: str = CHECK
    ) -> Request:
        body = check_body() if body is None else body
        stamp = stamp if isinstance(stamp, str) else f"{stamp:.0f}"
        url = settings.get().public_base_url + path + (f"?credential={self.id}" if named == "query" else "")
        headers = [(self.names[0], self.signature(stamp, body, url)), (self.names[1], stamp)]
        headers += [(CREDENTIAL_HEADER, str(self.id))] if named == "header" else []
        return Request(path, body, headers, {"credential": str(self.id)} if named == "query" else {})


def make_key(org: str | None = None, calendar: str = "", **how: Any) -> Key:
    if org is None:
        calendar = f"cal-{uuid.uuid4().hex[:8]}"
        org = create_clinic(calendars=(calendar,))
    key = Key(org, calendar, uuid.uuid4(), uuid.uuid4().hex, **how)
    with system_transaction(Door.OPERATOR) as session:
        session.add(
            VapiCredential(
                id=key.id,
                org_id=uuid.UUID(org),
                kind=CredentialKind.HMAC,
                secret_sealed=sealing.seal(uuid.UUID(org), "vapi_hmac", key.secret),
                algorithm=key.algorithm,
                encoding=key.encoding,
                signature_prefix=key.prefix,
                signature_header=key.names[0],
                timestamp_header=key.names[1],
                payload_format=key.payload,
            )
        )
    return key


def make_secret(org: str, kind: CredentialKind = CredentialKind.BEARER) -> str:
    secret = uuid.uuid4().hex
    with system_transaction(Door.OPERATOR) as session:
        digest = hashlib.sha256(secret.encode()).hexdigest()
        session.add(VapiCredential(org_id=uuid.UUID(org), kind=kind, secret_digest=digest))
    return secret


def bearing(secret: str, body: bytes | None = None, path: str = CHECK) -> Request:
    return Request(path, check_body() if body is None else body, [("Authorization", f"Bearer {secret}")])


def accepted(response: TestResponse, calendar: str) -> None:
    assert response.status_code == 200, response.text
    assert response.get_json()["calendarId"] == calendar  # and so it is this clinic's


def refused(response: TestResponse) -> None:
    assert response.status_code == 401, response.text
    answer = response.get_json()
    assert (answer["success"], answer["code"]) == (False, "unauthorized")
    assert answer["say"]
