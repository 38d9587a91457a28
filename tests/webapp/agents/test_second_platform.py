"""A second voice platform, all of it in this file: another JSON, another header, the same runner and rules.

Parrot sends what its agent wants as `actions` of a `conversation`, and wants as many `outcomes` back.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from flask import Blueprint, jsonify, request
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from tests.factories import code_of, create_clinic, slot
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.vapi.signing import Key, make_key, make_secret
from webapp import create_app
from webapp.agents import admission, credentials, platforms, standing
from webapp.agents.credentials import CREDENTIAL_HEADER, Unauthorized
from webapp.agents.platform import Platform
from webapp.agents.runner import serve
from webapp.agents.tools import BY_NAME
from webapp.agents.wire import Request, ToolCall
from webserver.standing import Standing

# --- the platform -------------------------------------------------------------------------------

MOST = 64 * 1024
SECRET_HEADERS = ("X-Parrot-Key",)
blueprint = Blueprint("parrot", __name__, url_prefix="/api/parrot")
PARROT = Platform(blueprint, MOST, SECRET_HEADERS)


@blueprint.post("/act")
def act() -> ResponseReturnValue:
    body = request.stream.read(MOST)
    try:
        caller = credentials.resolve(request, body, SECRET_HEADERS)
    except Unauthorized as error:
        return jsonify(problem=admission.unauthorized(error).say), 401
    if (refuse := admission.too_much(caller, len(body))) is not None:
        return jsonify(problem=refuse(None).say), 503
    read = json.loads(body)
    actions = tuple(ToolCall(each["ref"], each["do"], each["with"]) for each in read["actions"])
    asked = Request(caller, actions, read["conversation"]["id"], read["conversation"]["from"])
    if not admission.within_limits(asked):
        return jsonify(problem=admission.too_fast(None).say), 429
    replies = [serve(BY_NAME[action.name or ""], asked, action) for action in actions]
    return jsonify(
        outcomes=[
            {
                "ref": action.id,
                "ok": reply.success,
                "words": reply.say,
                "code": reply.code,
                "facts": reply.facts,
            }
            for action, reply in zip(actions, replies, strict=True)
        ]
    )


# --- its other side -----------------------------------------------------------------------------


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    """Of an application with the platform in its list, in production: nobody asks without a credential."""
    monkeypatch.setattr(platforms, "PLATFORMS", [*platforms.PLATFORMS, PARROT])
    with environment(APP_ENV="production"):
        yield create_app().test_client()


def _mobile() -> str:
    """One that can be a mobile in production, too."""
    return f"+44740{uuid.uuid4().int % 10**7:07d}"


@dataclass
class Conversation:
    client: FlaskClient
    secret: str
    number: str | None = field(default_factory=_mobile)
    id: str = field(default_factory=lambda: f"conversation {uuid.uuid4()}")

    def body(self, *actions: tuple[str, dict[str, Any]], ref: str = "") -> dict[str, Any]:
        return {
            "conversation": {"id": self.id, "from": self.number},
            "actions": [
                {"ref": ref or uuid.uuid4().hex, "do": name, "with": given} for name, given in actions
            ],
        }

    def send(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        response = self.client.post("/api/parrot/act", json=body, headers={"X-Parrot-Key": self.secret})
        assert response.status_code == 200, response.text
        outcomes: list[dict[str, Any]] = response.get_json()["outcomes"]
        return outcomes

    def does(self, name: str, **given: Any) -> dict[str, Any]:
        [outcome] = self.send(self.body((name, given)))
        return outcome


def test_a_whole_call_books(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic()
    call = Conversation(client, make_secret(org))
    free = call.does("check_availability", date=slot()[:10])
    assert free["ok"]
    chosen = free["facts"]["slots"][2]
    held = call.does("reserve_atomic", slotId=chosen["slotId"], patientName="Amelia")
    assert held["words"].startswith(chosen["label"])
    sent = call.does("send_otp_code")
    assert sent["words"].startswith("A code is on its way")
    spoken = " ".join(code_of(held["facts"]["holdId"]))
    verify = call.body(("verify_otp", {"providedOTP": spoken}))
    [booked] = call.send(verify)
    assert booked["words"].startswith("Booked: ")
    assert call.does("send_confirmation_sms")["facts"]["status"] == "queued"

    rows = sql.execute(
        "SELECT id::text, org_id::text, patient_phone, call_sid FROM appointments WHERE call_sid = %s",
        [call.id],
    )
    assert rows.fetchall() == [(booked["facts"]["appointmentId"], org, call.number, call.id)]


def test_a_repeat_is_given_the_answer_that_was_kept(client: FlaskClient, sql: psycopg.Connection) -> None:
    call = Conversation(client, make_secret(create_clinic()))
    body = call.body(
        ("check_availability", {"date": slot()[:10]}),
        ("reserve_atomic", {"slotId": slot(), "patientName": "Amelia"}),
    )
    assert call.send(body) == call.send(body)
    made = sql.execute("SELECT count(*) FROM appointment_holds WHERE call_sid = %s", [call.id])
    assert made.fetchall() == [(1,)]
    kept = sql.execute("SELECT tool FROM tool_calls WHERE call_id = %s ORDER BY tool", [call.id])
    assert kept.fetchall() == [("check_availability",), ("reserve_atomic",)]


@pytest.mark.parametrize("header", [None, "X-Parrot-Key", "X-Vapi-Secret", "Authorization"])
def test_without_a_credential_of_its_own_nobody_is_answered(client: FlaskClient, header: str | None) -> None:
    """Another platform's header counts for nothing here, even with a good secret."""
    secret = make_secret(create_clinic()) if header == "X-Vapi-Secret" else "guessed"
    body = Conversation(client, "").body(("check_availability", {"date": slot()[:10]}))
    response = client.post("/api/parrot/act", json=body, headers={header: secret} if header else {})
    assert response.status_code == 401
    assert response.get_json() == {"problem": "This line is not connected to a clinic."}


def test_its_own_header_counts_for_nothing_elsewhere(client: FlaskClient) -> None:
    secret = make_secret(create_clinic())
    answer = client.post("/api/vapi/tools/calendar/check", json={}, headers={"X-Parrot-Key": secret})
    assert answer.status_code == 401


def test_its_own_signature_is_one(client: FlaskClient) -> None:
    key = make_key(names=("X-Parrot-Signature", "X-Parrot-Time"))
    body = Conversation(client, "").body(("check_availability", {"date": slot()[:10]}))

    def status(key: Key, tampered: bytes = b"") -> int:
        raw, stamp = json.dumps(body).encode(), str(int(time.time()))
        headers = {
            "X-Parrot-Signature": key.signature(stamp, raw),
            "X-Parrot-Time": stamp,
            CREDENTIAL_HEADER: str(key.id),
        }
        return client.post("/api/parrot/act", data=raw + tampered, headers=headers).status_code

    assert status(key) == 200
    assert status(key, b" ") == 401


@pytest.mark.parametrize(
    ("clinic", "given", "code"),
    [
        ({}, {"patientPhone": "+33612345678"}, "country_not_allowed"),
        ({"landlines_allowed": False}, {"patientPhone": "+442079460123"}, "not_a_mobile"),
        ({"holds_per_phone": 0}, {}, "too_many_holds"),
        ({}, {"slotId": slot(hour=3)}, "slot_not_offered"),
        ({}, {"patientName": None}, "missing_argument"),
    ],
)
def test_the_rules_refuse_the_same_in_the_same_words(
    client: FlaskClient, clinic: dict[str, Any], given: dict[str, Any], code: str
) -> None:
    secret = make_secret(create_clinic(**clinic))
    number, wish = _mobile(), {"slotId": slot(), "patientName": "Amelia"} | given
    refused = Conversation(client, secret, number).does("reserve_atomic", **wish)
    assert (refused["ok"], refused["code"]) == (False, code)

    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    line = PhoneCall(client, "", number).say("reserve_atomic", **wish)
    assert re.sub(r" \[.*\]$", "", line) == refused["words"]


def test_a_call_may_not_name_what_another_platforms_call_holds(client: FlaskClient) -> None:
    org = create_clinic()
    secret = make_secret(org)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    line = PhoneCall(client, org, _mobile()).say("reserve_atomic", slotId=slot(), patientName="Amelia")
    hold = re.search(r"holdId=(\S+)", line)
    assert hold is not None
    del client.environ_base["HTTP_AUTHORIZATION"]
    other = Conversation(client, secret, _mobile())
    assert other.does("send_otp_code", holdId=hold[1])["code"] == "unknown_hold"
    taken = other.does("reserve_atomic", slotId=slot(), patientName="Theo")
    assert taken["code"] == "slot_taken"


def test_the_web_server_knows_whose_large_body_is_worth_waiting_for(client: FlaskClient) -> None:
    door = standing.Door(client.application)  # type: ignore[arg-type]
    secret = make_secret(create_clinic())
    headers = [("X-PARROT-KEY", secret)]
    assert door.judge("/api/parrot/act", "", headers, "192.0.2.1") is Standing.KNOWN
    assert door.judge("/api/parrot/act", "", [("X-PARROT-KEY", "guessed")], "192.0.2.1") is Standing.REFUSED
    assert door.judge("/api/owl/act", "", headers, "192.0.2.1") is Standing.SMALL
    assert door.key(headers, "") != door.key([("X-PARROT-KEY", "guessed")], "")
