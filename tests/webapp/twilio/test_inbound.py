"""What patients text back, as Twilio posts it."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.base.session import Door, system_transaction
from models.messaging import opt_outs
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, create_clinic, phone_number
from tests.places import free_port
from tests.surroundings import environment


class Patient:
    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.client, self.sql = client, sql
        self.org = create_clinic()
        self.phone = phone_number()

    def texts(self, body: str, *, token: str = AUTH_TOKEN, org: str | None = None, **form: Any) -> Any:
        path = f"/api/twilio/inbound/{org or self.org}"
        sid = "SM" + uuid.uuid4().hex
        fields = {
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsMessageSid": sid,
            "AccountSid": ACCOUNT_SID,
            "From": self.phone,
            "To": "+447700900001",
            "Body": body,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
        } | form
        signature = RequestValidator(token).compute_signature(settings.get().public_base_url + path, fields)
        return self.client.post(path, data=fields, headers={"X-Twilio-Signature": signature})

    def wants_none(self) -> str | None:
        row = self.sql.execute(
            "SELECT source FROM opt_outs WHERE org_id = %s AND phone = %s AND lifted_at IS NULL",
            [self.org, self.phone],
        ).fetchone()
        return row[0] if row else None


@pytest.fixture
def patient(client: FlaskClient, sql: psycopg.Connection) -> Patient:
    return Patient(client, sql)


def test_the_answer_is_empty_twiml(patient: Patient) -> None:
    answer = patient.texts("see you on Monday")
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert answer.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert patient.wants_none() is None


def test_stop_and_start(patient: Patient) -> None:
    patient.texts("STOP", OptOutType="STOP")
    assert patient.wants_none() == "keyword"
    patient.texts("Start")
    assert patient.wants_none() is None
    patient.texts("please stop texting me")
    assert patient.wants_none() == "words"
    patient.texts("unstop")
    assert patient.wants_none() is None


def test_the_same_message_many_times_is_one_opt_out(patient: Patient) -> None:
    for _ in range(3):
        assert patient.texts("Stop", MessageSid="SM" + "1" * 32).status_code == 200
    assert patient.sql.execute(
        "SELECT count(*) FROM opt_outs WHERE org_id = %s", [patient.org]
    ).fetchone() == (1,)


def test_an_old_wish_that_comes_again_does_not_undo_a_newer_one(patient: Patient) -> None:
    old, new, other = ("SM" + digit * 32 for digit in "abc")
    patient.texts("START", MessageSid=old)
    patient.texts("STOP", MessageSid=new)
    assert patient.texts("START", MessageSid=old).status_code == 200
    assert patient.wants_none() == "keyword"
    patient.texts("START", MessageSid=other)
    assert patient.wants_none() is None
    assert patient.texts("STOP", MessageSid=new).status_code == 200
    assert patient.wants_none() is None


def test_of_a_wish_only_its_id_is_kept_and_of_any_other_text_nothing(patient: Patient) -> None:
    patient.texts("see you on Monday")
    patient.texts("please stop texting me", MessageSid="SM" + "d" * 32)
    rows = patient.sql.execute(
        "SELECT to_jsonb(w) - 'created_at' FROM inbound_wishes w WHERE org_id = %s", [patient.org]
    ).fetchall()
    assert rows == [({"org_id": patient.org, "provider_id": "SM" + "d" * 32},)]


def test_a_keyword_of_the_clinics_own_is_what_twilio_says_it_is(patient: Patient) -> None:
    patient.texts("ARRET", OptOutType="STOP")
    assert patient.wants_none() == "keyword"
    patient.texts("please stop texting me", OptOutType="START")
    assert patient.wants_none() is None
    patient.texts("stop", OptOutType="HELP")
    assert patient.wants_none() is None


def test_whoever_opted_out_at_one_clinic_did_so_at_one(
    patient: Patient, client: FlaskClient, sql: Any
) -> None:
    other = Patient(client, sql)
    other.phone = patient.phone
    patient.texts("stop")
    assert (patient.wants_none(), other.wants_none()) == ("keyword", None)


@pytest.mark.parametrize(
    "forged", [{"token": "another"}, {"AccountSid": "AC" + "0" * 32}, {"AccountSid": ""}]
)
def test_a_forged_message_changes_nothing(patient: Patient, forged: dict[str, str]) -> None:
    assert patient.texts("STOP", **forged).status_code == 403
    assert patient.wants_none() is None


def test_an_organisation_that_does_not_exist(patient: Patient) -> None:
    assert patient.texts("STOP", org=str(uuid.uuid4())).status_code == 403
    assert patient.texts("STOP", org="not-an-id").status_code == 404


def test_twilio_is_asked_to_come_again_while_the_database_is_away(patient: Patient) -> None:
    """To a 500 it does not."""
    sid = {"MessageSid": "SM" + uuid.uuid4().hex}
    with environment(DATABASE_URL=f"postgresql://holdline@127.0.0.1:{free_port()}/x"):
        assert patient.texts("STOP", **sid).status_code == 503
    assert patient.wants_none() is None
    assert patient.texts("STOP", **sid).status_code == 200
    assert patient.wants_none() == "keyword"


def test_without_an_auth_token_nobody_can_be_believed(patient: Patient) -> None:
    patient.sql.execute(
        "UPDATE integration_settings SET twilio_auth_token_sealed = NULL WHERE org_id = %s", [patient.org]
    )
    assert patient.texts("STOP").status_code == 403
    assert patient.wants_none() is None


def test_a_signature_of_nothing_is_refused(patient: Patient) -> None:
    path = f"/api/twilio/inbound/{patient.org}"
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "\u00e9"}):
        form = {"AccountSid": ACCOUNT_SID, "From": patient.phone, "Body": "STOP", "MessageSid": "SM1"}
        assert patient.client.post(path, data=form, headers=headers).status_code == 403
    assert patient.client.post(path, json={"AccountSid": ACCOUNT_SID}).status_code == 403
    assert patient.client.get(path).status_code == 405


def test_a_huge_message_is_not_read(patient: Patient) -> None:
    assert patient.texts("STOP " * 50_000).status_code == 413


@pytest.mark.parametrize("sender", ["55512", "Lakeside", "", "+1", "whatsapp:+447700900123", "\0"])
def test_who_has_no_telephone_number_wants_nothing_of_us(patient: Patient, sender: str) -> None:
    assert patient.texts("STOP", From=sender).status_code == 200
    assert patient.sql.execute(
        "SELECT count(*) FROM opt_outs WHERE org_id = %s", [patient.org]
    ).fetchone() == (0,)


def test_nothing_that_was_written_is_kept_or_logged(
    patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    patient.texts("stop texting me. My canary died of a rare disease")
    assert patient.wants_none() is None
    patient.texts("stop texting me.")
    assert patient.wants_none() == "words"
    assert "canary" not in caplog.text
    assert "stop texting me" not in caplog.text
    assert patient.phone not in caplog.text


def test_after_stop_nothing_is_sent_and_after_start_it_is(patient: Patient) -> None:
    patient.texts("stop")
    with system_transaction(Door.OPERATOR) as session:
        assert opt_outs.stands(session, uuid.UUID(patient.org), patient.phone)
    patient.texts("yes")
    with system_transaction(Door.OPERATOR) as session:
        assert not opt_outs.stands(session, uuid.UUID(patient.org), patient.phone)


def test_a_canadian_patient_who_texts_arret_gets_no_more_and_start_brings_them_back(patient: Patient) -> None:
    patient.texts("ARRÊT")
    assert patient.wants_none() == "keyword"
    patient.texts("START")
    assert patient.wants_none() is None
