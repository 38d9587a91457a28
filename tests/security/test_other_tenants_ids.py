"""Every route, with every id of another clinic that can be put into it, is answered as with an id of nobody.

Byte for byte, so that nobody learns which ids there are. A route that is new, or a tool with a new field,
fails until it is listed here.
"""

from __future__ import annotations

import json
import re
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.messaging import receipts
from tests.factories import code_of
from tests.security import ground
from tests.security.ground import Clinic, Everything, bare_body, found, instant, post, vapi_body
from tests.security.routes import PATIENT_PAGES, ROUTES, WEBHOOK
from webapp import guesses
from webapp.agents.tools import BY_NAME, TOOLS

#: The fields that name nothing of a clinic's.
NO_IDS = {"date", "partOfDay", "patientName", "patientPhone", "providedOTP", "serviceType"}
FIELDS = [(tool.name, name) for tool in TOOLS for name in ROUTES[f"/api/vapi/tools/{tool.path}"]]
FREE = instant(ground.slot(0, 0))


def _slug(service: str) -> str:
    """The id that a service is given by its name."""
    return service.replace(" ", "-")


@dataclass(frozen=True)
class Booked:
    """A clinic where one patient has booked, in a telephone call, and another holds a time."""

    clinic: Clinic
    call: str
    appointment: str
    contact: str
    hold: str
    hold_call: str
    code: str

    def id_of(self, field: str) -> str:
        return {
            "tenantId": self.clinic.org_id,
            "calendarId": self.clinic.calendars[1],
            "service": self.clinic.services[1],
            "person": self.clinic.calendars[1],
            "slotId": f"{FREE}/{_slug(self.clinic.services[1])}/{self.clinic.calendars[1]}",
            "holdId": self.hold,
            "contactId": self.contact,
            "appointmentId": self.appointment,
            "call.id": self.hold_call,
            "toolCall.id": "reserve_atomic of zq",
        }[field]


@pytest.fixture
def ours(client: FlaskClient) -> Booked:
    return book(client, found("a", "bearer"))


@pytest.fixture
def theirs(client: FlaskClient) -> Booked:
    return book(client, found("b", "vapi_secret"))


def book(client: FlaskClient, clinic: Clinic) -> Booked:
    def ask(call: str, tool: str, **arguments: Any) -> dict[str, str]:
        body = vapi_body([(f"{tool} of zq", tool, arguments)], call)
        answer = post(client, f"/api/vapi/tools/{BY_NAME[tool].path}", body, clinic.headers(body))
        [line] = answer.get_json()["results"]
        facts = line["result"].rpartition(" [")[2].removesuffix("]")
        return dict(fact.split("=", 1) for fact in facts.split() if "=" in fact)

    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    for call, n in ((first, 0), (second, 1)):
        held = ask(
            call,
            "reserve_atomic",
            slotId=instant(ground.slot(0, n)),
            patientName="Pat",
            patientPhone=f"+4474008800{n:02}",
            calendarId=clinic.calendars[1],
        )
        ask(call, "send_otp_code")
        if call == first:
            booked = ask(call, "verify_otp", providedOTP=code_of(held["holdId"]))
            assert booked["appointmentId"]
    return Booked(
        clinic,
        first,
        booked["appointmentId"],
        held["contactId"],
        held["holdId"],
        second,
        code_of(held["holdId"]),
    )


def test_every_route_is_listed(app: Flask) -> None:
    assert {rule.rule for rule in app.url_map.iter_rules()} <= set(ROUTES), (
        "say which ids the new route takes"
    )


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_field_of_a_tool_is_listed(tool: Any) -> None:
    assert set(tool.arguments().fields) - NO_IDS <= set(ROUTES[f"/api/vapi/tools/{tool.path}"])


def request_of(
    tool: str, booked: Booked, field: str, value: str, *, vapi: bool, lead: Booked, number: str | None = None
) -> bytes:
    """What could work for `booked`, but for the one id; `lead` gives the other ids of a good request."""
    arguments: dict[str, Any] = {
        "check_availability": {"date": ground.slot(0, 0).date().isoformat()},
        "reserve_atomic": {
            "slotId": FREE,
            "calendarId": lead.clinic.calendars[1],
            "patientName": "Pat",
            "patientPhone": "+447400880009",
        },
        "send_otp_code": {"holdId": lead.hold},
        "verify_otp": {"holdId": lead.hold, "providedOTP": "000000"},
        "send_confirmation_sms": {"appointmentId": lead.appointment},
    }[tool]
    call: str | None = None
    key = "call_1"
    if field == "call.id":
        call = value
        arguments = {
            name: given for name, given in arguments.items() if not name.endswith("Id") or name == "slotId"
        }
    elif field == "toolCall.id":
        key, call = value, booked.hold_call
    else:
        arguments[field] = value
    if tool == "verify_otp":
        arguments["providedOTP"] = booked.code
    if number and "patientPhone" in BY_NAME[tool].arguments().fields:
        arguments["patientPhone"] = number
    return vapi_body([(key, tool, arguments)], call) if vapi else bare_body(arguments, call)


@pytest.mark.parametrize("number", [None, "+447400881111"], ids=["no number", "some number"])
@pytest.mark.parametrize("vapi", [True, False], ids=["vapi", "bare"])
@pytest.mark.parametrize(("tool", "field"), FIELDS)
def test_anothers_id_is_answered_like_nobodys(
    client: FlaskClient,
    sql: psycopg.Connection,
    ours: Booked,
    theirs: Booked,
    tool: str,
    field: str,
    number: str | None,
    *,
    vapi: bool,
) -> None:
    """With the other clinic's right code, call and tool call id; and one's own ids in all other fields."""
    nobodys = {
        "calendarId": "zq-none",
        "slotId": f"{FREE}/zq-none/zq-none",
        "toolCall.id": "reserve_atomic of zq",
    }.get(field, str(uuid.uuid4()))
    nobody = str(uuid.uuid4())
    stranger = Booked(theirs.clinic, nobody, nobody, nobody, nobody, nobody, theirs.code)
    before = Everything(sql, [theirs.clinic.org_id]).lines

    def ask(of: Booked, value: str) -> tuple[int, bytes]:
        body = request_of(tool, of, field, value, vapi=vapi, lead=ours, number=number)
        answer = post(client, f"/api/vapi/tools/{BY_NAME[tool].path}", body, ours.clinic.headers(body))
        return answer.status_code, answer.data.replace(value.encode(), b"the id")

    anothers = ask(theirs, theirs.id_of(field))
    _let_go(sql, ours)
    assert _without_own_ids(anothers, sql, ours) == _without_own_ids(ask(stranger, nobodys), sql, ours)
    assert Everything(sql, [theirs.clinic.org_id]).lines == before, "P5: another clinic's rows changed"


def _let_go(sql: psycopg.Connection, ours: Booked) -> None:
    """What the first of two requests took for itself, so that the second finds things as they were."""
    sql.execute(
        "UPDATE appointment_holds SET status = 'released' WHERE org_id = %s AND status = 'held' AND id <> %s",
        [ours.clinic.org_id, ours.hold],
    )


def _without_own_ids(answer: tuple[int, bytes], sql: psycopg.Connection, ours: Booked) -> tuple[int, bytes]:
    """New rows of one's own have ids and times of their own: they may differ."""
    text = answer[1]
    for line in Everything(sql, [ours.clinic.org_id]).lines:
        for mark in ground.marks(line):
            text = text.replace(mark.encode(), b"an id of ours")
    return answer[0], _moments(text)


def _moments(text: bytes) -> bytes:
    """When a hold ends is told to the second, and two requests may lie on either side of one."""
    return re.sub(rb"(expiresAt\W+)[\d:TZ-]+", rb"\1soon", text)


@pytest.mark.parametrize("kind", ["status-update", "end-of-call-report"])
def test_the_end_of_anothers_call_ends_nothing(
    client: FlaskClient, sql: psycopg.Connection, ours: Booked, theirs: Booked, kind: str
) -> None:
    before = Everything(sql, [theirs.clinic.org_id]).lines

    def end(call: str) -> tuple[int, bytes]:
        message = {"type": kind, "status": "ended", "call": {"id": call}}
        body = json.dumps({"message": message}).encode()
        answer = post(client, WEBHOOK, body, ours.clinic.headers(body))
        return answer.status_code, answer.data

    assert end(theirs.hold_call) == end(str(uuid.uuid4()))
    assert Everything(sql, [theirs.clinic.org_id]).lines == before


@pytest.mark.parametrize("token", ["guessed", "of one's own message", "leaked"])
def test_a_receipt_for_anothers_message_is_refused_like_one_for_nobodys(
    client: FlaskClient, sql: psycopg.Connection, ours: Booked, theirs: Booked, token: str
) -> None:
    """Signed with one's own Twilio account."""
    before = Everything(sql, [theirs.clinic.org_id]).lines
    row = next(iter(Everything(sql, [theirs.clinic.org_id])["sms_messages"]))
    own = next(iter(Everything(sql, [ours.clinic.org_id])["sms_messages"]))

    def report(message: str) -> tuple[int, bytes]:
        tokens: dict[str, Callable[[], str]] = {
            "guessed": lambda: "0" * 32,
            "of one's own message": lambda: receipts.receipt_token(uuid.UUID(own["id"]), 1),
            "leaked": lambda: receipts.receipt_token(uuid.UUID(message), 1),
        }
        path = f"/api/twilio/status/{message}/1/{tokens[token]()}"
        sid = ours.clinic.account_sid
        form = {"MessageSid": "SM" + "0" * 32, "MessageStatus": "delivered", "AccountSid": sid}
        signature = RequestValidator(ours.clinic.auth_token).compute_signature(
            settings.get().public_base_url + path, form
        )
        answer = client.post(path, data=form, headers={"X-Twilio-Signature": signature})
        return answer.status_code, answer.data

    assert report(row["id"]) == report(str(uuid.uuid4())) == (403, b"")
    assert Everything(sql, [theirs.clinic.org_id]).lines == before


def test_a_text_message_to_another_clinic_is_refused_like_one_to_nobody(
    client: FlaskClient, sql: psycopg.Connection, ours: Booked, theirs: Booked
) -> None:
    """Signed with one's own Twilio account: nobody takes another clinic's patients off its list."""
    before = Everything(sql, [theirs.clinic.org_id]).lines

    def text(org_id: str) -> tuple[int, bytes]:
        path = f"/api/twilio/inbound/{org_id}"
        form = {
            "AccountSid": ours.clinic.account_sid,
            "MessageSid": "SM" + "0" * 32,
            "From": "+447400880000",
            "To": theirs.clinic.from_number,
            "Body": "STOP",
        }
        url = settings.get().public_base_url + path
        signature = RequestValidator(ours.clinic.auth_token).compute_signature(url, form)
        answer = client.post(path, data=form, headers={"X-Twilio-Signature": signature})
        return answer.status_code, answer.data

    assert text(theirs.clinic.org_id) == text(str(uuid.uuid4())) == (403, b"")
    assert text(ours.clinic.org_id)[0] == 200
    assert Everything(sql, [theirs.clinic.org_id]).lines == before


@pytest.mark.parametrize("page", PATIENT_PAGES)
def test_no_id_of_a_booking_opens_its_patients_page(
    client: FlaskClient,
    sql: psycopg.Connection,
    ours: Booked,
    theirs: Booked,
    page: str,
) -> None:
    """Its link alone does, which only the patient was sent."""
    before = Everything(sql, [theirs.clinic.org_id])
    ids = [row["id"] for table in ("appointments", "sms_messages") for row in before[table]]
    digests = [row["token_digest"] for row in before["patient_links"]]
    assert digests

    def ask(token: str) -> list[tuple[int, bytes]]:
        guesses.unknown().forget()  # so many unknown links of one address are too many
        address = page.replace("<token>", token)
        headers = ours.clinic.headers(b"")
        answers = [client.get(address, headers=headers), client.post(address, headers=headers)]
        return [(each.status_code, each.data.replace(token.encode(), b"the token")) for each in answers]

    for token in (*ids, *digests, digests[0][:12]):
        assert ask(token) == ask(secrets.token_hex(len(token) // 2))
    assert Everything(sql, [theirs.clinic.org_id]).lines == before.lines


def test_the_same_ids_do_work_for_their_own_clinic(client: FlaskClient, theirs: Booked) -> None:
    """Or all of the above would prove nothing."""
    answers = {}
    for tool, field in (
        ("check_availability", "tenantId"),
        ("check_availability", "calendarId"),
        ("send_confirmation_sms", "appointmentId"),
        ("send_otp_code", "holdId"),
        ("verify_otp", "contactId"),
    ):
        body = request_of(tool, theirs, field, theirs.id_of(field), vapi=False, lead=theirs)
        path = f"/api/vapi/tools/{BY_NAME[tool].path}"
        answers[tool, field] = post(client, path, body, theirs.clinic.headers(body)).get_json()["success"]
    assert all(answers.values()), answers
