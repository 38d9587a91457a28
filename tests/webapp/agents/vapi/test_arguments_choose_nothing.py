"""The arguments of a tool call choose no clinic, and reach nothing of another one."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from models.base import session
from tests.factories import bare, code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.modes import in_development, in_production
from tests.webapp.agents.vapi.modes import mode as mode  # the fixture  # noqa: PLC0414
from tests.webapp.agents.vapi.signing import (
    WEBHOOK,
    Hands,
    accepted,
    bearing,
    check_body,
    make_key,
    make_secret,
)
from tests.webapp.agents.vapi.signing import hands as hands  # the fixture  # noqa: PLC0414


@in_production
def test_a_tenant_in_the_arguments_may_agree_and_never_choose(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    key, other = make_key(), make_key()
    secret = make_secret(key.org)

    def ask(tenant: object) -> Iterator[TestResponse]:
        body = check_body(tenantId=tenant)
        yield bearing(secret, body).post(client)
        yield key.signs(hands.now, body).post(client)
        yield key.signs(hands.now, body, named="nowhere").post(client)

    for agrees in (key.org, key.org.upper(), f" {key.org} ", "", None):
        for response in ask(agrees):
            accepted(response, key.calendar)
    answers = {
        response.data for no in (other.org, str(uuid.uuid4()), "x", 7, "cal-1") for response in ask(no)
    }
    assert len(answers) == 1
    assert json.loads(answers.pop())["code"] == "unknown_tenant"
    arguments = {
        "tenantId": other.org,
        "slotId": slot(),
        "calendarId": other.calendar,
        "patientName": "John",
        "patientPhone": phone_number(),
    }
    call = message(tool_call("reserve_atomic", **arguments), call_id=str(uuid.uuid4()))
    for path, body in (
        ("/api/vapi/tools/booking/reserve-atomic", {"toolCall": {"arguments": arguments}}),
        (WEBHOOK, call),
    ):
        assert "cannot find that clinic" in bearing(secret, json.dumps(body).encode(), path).post(client).text
    held = sql.execute(
        "SELECT count(*) FROM appointment_holds WHERE org_id = ANY (%s)", [[key.org, other.org]]
    )
    assert held.fetchone() == (0,)


@dataclass(frozen=True)
class Clinic:
    """With a hold whose code was sent, and an appointment."""

    org: str
    calendar: str
    hold: str
    contact: str
    code: str
    appointment: str


def make_clinic(client: FlaskClient) -> Clinic:
    calendar = f"cal-{uuid.uuid4().hex[:8]}"
    org = create_clinic(calendars=(calendar,))
    made = []
    for hour in (10, 12):
        held = bare(
            client,
            "booking/reserve-atomic",
            tenantId=org,
            slotId=slot(hour=hour),
            patientName="John",
            patientPhone=phone_number(),
        )
        assert bare(client, "booking/send-otp", holdId=held["holdId"])["success"]
        made.append(held)
    booked = bare(
        client, "booking/verify-otp", holdId=made[1]["holdId"], providedOTP=code_of(made[1]["holdId"])
    )
    hold = made[0]["holdId"]
    return Clinic(org, calendar, hold, made[0]["contactId"], code_of(hold), booked["appointmentId"])


NAMES = {
    "calendar/check": "check_availability",
    "booking/reserve-atomic": "reserve_atomic",
    "booking/send-otp": "send_otp_code",
    "booking/verify-otp": "verify_otp",
    "booking/send-confirmation": "send_confirmation_sms",
}


def asks(own: Clinic, other: Clinic) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A tool, its arguments, and those of them that name what is the other clinic's."""
    reserve = {"slotId": slot(hour=15), "patientName": "John", "patientPhone": phone_number()}
    verify = {"providedOTP": other.code, "holdId": own.hold}
    yield "calendar/check", {"date": slot()[:10]}, {"calendarId": other.calendar}
    yield "booking/reserve-atomic", reserve, {"calendarId": other.calendar}
    yield "booking/send-otp", {}, {"holdId": other.hold}
    yield "booking/verify-otp", {"providedOTP": other.code}, {"holdId": other.hold}
    yield (
        "booking/verify-otp",
        {"providedOTP": other.code},
        {"holdId": other.hold, "contactId": other.contact},
    )
    yield "booking/verify-otp", verify | {"providedOTP": own.code}, {"contactId": other.contact}
    yield "booking/send-confirmation", {}, {"appointmentId": other.appointment}
    yield "booking/send-confirmation", {"appointmentId": own.appointment}, {"contactId": other.contact}


@in_development
@pytest.mark.parametrize("by", ["credential", "tenantId"])
def test_what_is_another_clinics_is_what_there_is_not(
    client: FlaskClient, mode: str, sql: psycopg.Connection, by: str
) -> None:
    """To the byte, in both forms; and with the same statements, so that the time it takes tells nothing."""
    own, other = make_clinic(client), make_clinic(client)
    secret = make_secret(own.org)
    said: list[str] = []

    ours = threading.get_ident()  # another thread writes what attacks were counted

    def listen(*event_of: Any) -> None:
        if threading.get_ident() == ours:
            said.append(event_of[2])

    def answer(path: str, arguments: dict[str, Any], *, vapi: bool) -> tuple[bytes, list[str]]:
        if by == "tenantId":
            arguments = arguments | {"tenantId": own.org}
        call = tool_call(NAMES[path], id="same", **arguments)
        body = message(call, call_id=str(uuid.uuid4())) if vapi else {"toolCall": {"arguments": arguments}}
        said.clear()
        response = client.post(
            f"/api/vapi/tools/{path}",
            json=body,
            headers={"Authorization": f"Bearer {secret}"} if by == "credential" else {},
        )
        assert response.status_code == 200
        return response.data, list(said)

    rows = "SELECT t::text FROM {} t WHERE org_id = %s ORDER BY 1"
    tables = ("appointment_holds", "appointments", "sms_messages", "contacts", "occupancies", "audit_log")

    def books() -> list[Any]:
        return [sql.execute(rows.format(table).encode(), [other.org]).fetchall() for table in tables]

    before = books()
    event.listen(session.engine(), "before_cursor_execute", listen)
    try:
        answer("calendar/check", {"date": slot()[:10]}, vapi=False)  # whoever asks is known from here on
        for path, arguments, foreign in asks(own, other):
            unknown = {name: "cal-none" if name == "calendarId" else str(uuid.uuid4()) for name in foreign}
            for vapi in (False, True):
                of_another = answer(path, arguments | foreign, vapi=vapi)
                of_nobody = answer(path, arguments | unknown, vapi=vapi)
                assert of_another == of_nobody, path
                assert b'success":false' in of_another[0] or b"code=" in of_another[0], of_another
                assert of_another[1]
    finally:
        event.remove(session.engine(), "before_cursor_execute", listen)
    assert books() == before
