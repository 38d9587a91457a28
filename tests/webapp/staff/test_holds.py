"""The staff see what is held without a code, and give it back."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.booking import unproved_holds
from models.booking.holds import HoldStatus
from tests.factories import bare, create_clinic, phone_number, reserve, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.browsers import Person, employ


def status(sql: psycopg.Connection, hold: str) -> str:
    row = sql.execute("SELECT status FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    assert row is not None
    return str(row[0])


def held_by(client: FlaskClient, org: str, caller: str, *, hour: int) -> str:
    """One time that a call from there holds for a number that it names; its id."""
    said = PhoneCall(client, org, caller).say(
        "reserve_atomic", slotId=slot(hour=hour), patientName="Ann Held", patientPhone=phone_number()
    )
    return said.split("holdId=")[1].split()[0]


def of_credential(sql: psycopg.Connection, hold: str, credential: uuid.UUID) -> None:
    """As if it had come by that credential; in development none is needed."""
    sql.execute("UPDATE appointment_holds SET credential_id = %s WHERE id = %s", [credential, hold])


def audit(sql: psycopg.Connection, hold: str) -> list[tuple[str, str]]:
    return sql.execute(
        "SELECT actor, action FROM audit_log WHERE table_name = 'appointment_holds' AND row_id = %s", [hold]
    ).fetchall()


def test_one_time_is_given_back(client: FlaskClient, sql: psycopg.Connection, person: Person) -> None:
    hold = held_by(client, person.org, phone_number(), hour=10)
    page = person.get("live").text
    assert f"/dashboard/holds/{hold}/give-back" in page
    assert "number only said" in page
    assert person.post(f"holds/{hold}/give-back").location == "/dashboard/live"
    assert "one time was given back" in person.get("live").text
    assert status(sql, hold) == HoldStatus.RELEASED
    assert audit(sql, hold) == [(f"staff {person.email}", "update")]
    # Its time is free, and its call is told.
    assert reserve(client, person.org, slotId=slot(hour=10))["success"]
    assert bare(client, "booking/send-otp", holdId=hold, tenantId=person.org)["code"] == "hold_released"
    person.post(f"holds/{hold}/give-back")
    assert "Nothing was given back" in person.get("live").text


def test_all_of_one_caller_are_given_back(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    caller, others = phone_number(), held_by(client, person.org, phone_number(), hour=9)
    holds = [held_by(client, person.org, caller, hour=hour) for hour in (10, 11, 12)]
    digest = unproved_holds.caller_digest(caller)
    page = person.get("live").text
    assert "3 without a code" in page
    assert f'value="{digest}"' in page
    # For one of them a code is asked: it is the patient's from now on.
    assert bare(client, "booking/send-otp", holdId=holds[2], tenantId=person.org)["success"]
    person.post("holds/give-back", caller=digest)
    assert "2 times were given back" in person.get("live").text
    assert [status(sql, hold) for hold in (*holds, others)] == ["released", "released", "held", "held"]


def test_all_of_one_credential_are_given_back(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    credential = uuid.uuid4()
    holds = [reserve(client, person.org, slotId=slot(hour=hour))["holdId"] for hour in (10, 11, 12)]
    for hold in holds[:2]:
        of_credential(sql, hold, credential)
    assert f'value="{credential}"' in person.get("live").text
    person.post("holds/give-back", credential=str(credential))
    assert [status(sql, hold) for hold in holds] == ["released", "released", "held"]


def test_a_hold_with_a_code_has_no_button_and_stays(
    client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    hold = held_by(client, person.org, phone_number(), hour=10)
    assert bare(client, "booking/send-otp", holdId=hold, tenantId=person.org)["success"]
    assert "give-back" not in person.get("live").text
    person.post(f"holds/{hold}/give-back")
    assert status(sql, hold) == HoldStatus.HELD


@pytest.mark.parametrize(
    "form", [{}, {"credential": "x"}, {"caller": ""}, {"caller": "a", "credential": str(uuid.uuid4())}]
)
def test_a_form_that_names_neither_or_both_gives_nothing_back(
    client: FlaskClient, sql: psycopg.Connection, person: Person, form: dict[str, str]
) -> None:
    hold = held_by(client, person.org, phone_number(), hour=10)
    assert person.post("holds/give-back", **form).status_code == 400
    assert status(sql, hold) == HoldStatus.HELD


def test_no_other_clinic_and_no_other_site_gives_anything_back(
    app: Flask, client: FlaskClient, sql: psycopg.Connection, person: Person
) -> None:
    caller = phone_number()
    hold = held_by(client, person.org, caller, hour=10)
    credential = uuid.uuid4()
    of_credential(sql, hold, credential)
    stranger = employ(app, create_clinic())
    stranger.sign_in()
    stranger.post(f"holds/{hold}/give-back")
    stranger.post("holds/give-back", caller=unproved_holds.caller_digest(caller))
    stranger.post("holds/give-back", credential=str(credential))
    for path in (f"holds/{hold}/give-back", "holds/give-back"):
        forged = person.client.post(
            f"/dashboard/{path}", data={"csrf": "made up", "credential": str(credential)}
        )
        assert forged.status_code == 400
        signed_out = app.test_client().post(f"/dashboard/{path}", data={"credential": str(credential)})
        assert signed_out.status_code == 303
        assert "sign-in" in (signed_out.location or "")
    assert status(sql, hold) == HoldStatus.HELD
