"""The doctor finds what a clinic lacks, says how to mend it, and is content once it is mended."""

from __future__ import annotations

import os
import shlex
import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

import settings
from models.base import sealing
from models.base.session import transaction
from models.booking import codes
from models.clinics import allowances
from models.clinics.organizations import Organization
from models.messaging import senders
from models.messaging.meanings import Failure
from tests.conftest import Clock
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, create_clinic
from tests.places import ROOT
from tests.webapp.cli.commands import Operator
from tests.webapp.cli.doctor.checklist import _staffed as _staffed  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import complete as complete  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import findings, push_assistant, states
from tests.webapp.cli.doctor.checklist import live as live  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import production as production  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import world as world  # the fixture  # noqa: PLC0414
from tests.webapp.staff.rows import add_call, now
from webapp.cli.doctor.traffic import MONITORING


@pytest.mark.usefixtures("_staffed", "production")
def test_what_it_says_mends_what_it_found(operator: Operator, clinic: str, client: FlaskClient) -> None:
    """Its own commands are typed as it printed them, with what they leave open filled in."""
    found = findings(operator, clinic)
    assert states(found, "missing") == {
        "calendar",
        "Vapi credential",
        "Twilio account",
        "sender",
        "hot lead alert phone",
        "assistant",
        "staff",
        "SMS of the last 7 days",
        "test booking",
    }
    assert states(found, "warning") == {"hot lead alert"}
    email = f"jo-{uuid.uuid4()}@example.com"
    fill = {"AC…": ACCOUNT_SID, "+44…": "+447700900001", "EMAIL": email, "--name …": "--name Jo"}
    for what, last in (
        ("calendar", ""),
        ("Twilio account", ""),
        ("sender", ""),
        ("hot lead alert phone", " +447700900123"),
        ("staff", ""),
        ("Vapi credential", ""),
    ):
        mend = found[what]["mend"]
        for placeholder, value in fill.items():
            mend = mend.replace(placeholder, value)
        words = shlex.split(mend.removesuffix(" …") + last)
        assert words[0] == "flask"
        printed = operator.does(*words[1:], typed="a secret, typed or piped\n")
        if what == "Vapi credential":
            client.post(
                "/api/vapi/tools/calendar/check", json={}, headers={"Authorization": f"Bearer {printed}"}
            )
    push_assistant(clinic)
    found = findings(operator, clinic)
    assert states(found, "missing") == {"SMS of the last 7 days", "test booking"}
    assert found["calendar cal-1"]["why"] == "Europe/London, 5 days a week"
    assert "last used" in found["Vapi credential"]["why"]
    assert found["stored secrets"]["why"] == "2 sealed"


@pytest.mark.usefixtures("_staffed")
def test_a_clinic_that_has_all_is_content(operator: Operator, live: str) -> None:
    found = findings(operator, live)
    assert states(found, "missing", "warning") == set()
    assert len(found) >= 22
    said = operator.run("doctor", live)
    assert said.exit_code == 0
    assert "missing" not in said.stdout
    assert "-> " not in said.stdout


def delete(table: str, resource_id: str) -> tuple[str, object]:
    return f"DELETE FROM {table} WHERE resource_id = %s AND org_id = %s", resource_id


def change(table: str, what: str, value: object) -> tuple[str, object]:
    key = "id" if table == "organizations" else "org_id"
    return f"UPDATE {table} SET {what} = %s WHERE {key} = %s", value


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize(
    ("broken", "what", "state", "mend"),
    [
        (change("calendars", "time_zone", "Europe/Nowhere"), "calendar cal-1", "missing", "--zone"),
        (delete("resource_hours", "cal-1"), "calendar cal-1", "missing", "--hours"),
        (delete("service_resources", "cal-1"), "calendar cal-1", "missing", "--service"),
        (change("vapi_credentials", "revoked_at", "now"), "Vapi credential", "missing", "credential add"),
        (change("vapi_credentials", "last_used_at", None), "Vapi credential", "missing", "ring the agent"),
        (change("integration_settings", "twilio_account_sid", None), "Twilio account", "missing", "AC…"),
        (
            change("integration_settings", "twilio_auth_token_sealed", None),
            "Twilio account",
            "missing",
            "--auth-token-stdin",
        ),
        (
            change("integration_settings", "twilio_auth_token_sealed", "v2.00000000.AAAA"),
            "stored secrets",
            "missing",
            "FORMER_SECRET_KEYS",
        ),
        (change("integration_settings", "twilio_from_number", None), "sender", "missing", "--from"),
        (
            change("integration_settings", "hot_lead_alert_phone", None),
            "hot lead alert phone",
            "missing",
            "--alert-phone",
        ),
        (
            change("integration_settings", "hot_lead_alert_phone", "+4479"),
            "hot lead alert phone",
            "missing",
            "--alert-phone",
        ),
        (
            change("integration_settings", "hot_lead_alert_phone", "020 7946 0958"),
            "hot lead alert phone",
            "missing",
            "--alert-phone",
        ),
        (change("integration_settings", "vapi_assistant_id", None), "assistant", "missing", "--push"),
        (
            change("integration_settings", "vapi_assistant_digest", "of another"),
            "assistant",
            "missing",
            "--push",
        ),
        (
            change("integration_settings", "vapi_api_key_sealed", None),
            "assistant",
            "warning",
            "--api-key-stdin",
        ),
        (change("organizations", "name", "Another name"), "assistant", "missing", "--push"),
        (change("staff_users", "disabled_at", "now"), "staff", "missing", "staff add"),
        (change("staff_users", "password_hash", None), "staff", "missing", "staff add"),
        (change("sms_messages", "created_at", "2020-01-01"), "SMS of the last 7 days", "warning", "book"),
        (change("hot_lead_alerts", "alert_sent_at", None), "hot lead alert", "warning", "leads rescore"),
    ],
)
def test_each_thing_that_is_broken_is_found(
    operator: Operator, live: str, broken: tuple[str, object], what: str, state: str, mend: str
) -> None:
    statement, value = broken
    operator.sql.execute(statement.encode(), [value, live])
    found = findings(operator, live)
    besides = {"assistant"} if "time_zone" in statement else {"diary"} if "DELETE" in statement else set()
    assert states(found, "missing", "warning") - {"appointments"} == {what} | besides
    assert found[what]["state"] == state
    assert mend in found[what]["mend"]


@pytest.mark.usefixtures("_staffed")
def test_sms_in_trouble_are_warned_of(operator: Operator, live: str) -> None:
    for status, age in (("failed", "1 hour"), ("unknown", "1 hour"), ("queued", "5 minutes")):
        operator.sql.execute(
            "INSERT INTO sms_messages (org_id, kind, to_phone, status, created_at, next_attempt_at)"
            " VALUES (%s, 'hot_lead_alert', '+442079460958', %s, now() - %s::interval, now() - %s::interval)",
            [live, status, age, age],
        )
    found = findings(operator, live)
    assert states(found, "warning") == {"SMS failed", "SMS unknown", "SMS waiting"}
    assert states(found, "missing") == set()
    # It is the clinic's own trouble, not another's.
    other = create_clinic()
    assert "SMS failed" not in findings(operator, other)


@pytest.mark.usefixtures("_staffed")
def test_a_clinic_whose_codes_run_low_is_warned_of(operator: Operator, live: str, clock: Clock) -> None:
    operator.sql.execute("UPDATE organizations SET codes_a_day = 60 WHERE id = %s", [live])
    clock.stop()
    with transaction(uuid.UUID(live)) as session:
        clinic = session.get_one(Organization, uuid.UUID(live))
        for _ in range(11):  # of twenty
            assert allowances.take(session, clinic.id, [codes.of_clinic(clinic)]) is None
    found = findings(operator, live)
    assert states(found, "warning") == {"limit codes", "limit codes_to_others"}
    assert found["limit codes"]["why"].startswith("55% used. More than half of the codes")
    assert "--codes-a-day" in found["limit codes"]["mend"]
    clock.forward(3600)
    assert states(findings(operator, live), "warning") == {"limit codes_to_others"}
    clock.forward(2 * 3600)
    assert states(findings(operator, live), "warning") == set()


@pytest.mark.usefixtures("_staffed")
def test_a_clinic_whose_calls_come_without_facts_is_warned_of(
    operator: Operator, live: str, sql: psycopg.Connection
) -> None:
    """As in Vapi's HIPAA mode, or with an assistant that was pushed before the facts were what they are."""
    what = "facts about calls"
    for _ in range(4):
        add_call(sql, live, reported_at=now(sql))
    assert what not in findings(operator, live)
    add_call(sql, live, reported_at=now(sql), facts='{"intent": "book"}')  # as version 0.1.0 asked for them
    found = findings(operator, live)[what]
    assert found["state"] == "warning"
    assert "0 of 5 reports of the last 7 days" in found["why"]
    assert "forceStoreOnHipaaEnabled" in found["mend"]
    for facts in ("{}", *['{"decision": {"value": "wants", "quote": "I want"}}'] * 5):
        assert findings(operator, live)[what]["state"] == "warning"
        add_call(sql, live, reported_at=now(sql), facts=facts)
    assert findings(operator, live)[what]["state"] == "ok"


@pytest.mark.usefixtures("_staffed")
def test_a_sender_that_twilio_refuses_is_found_and_resumes_when_it_is_set_anew(
    operator: Operator, live: str
) -> None:
    with transaction(uuid.UUID(live)) as session:
        senders.record_stop(session, uuid.UUID(live), Failure("Authenticate", "20003"))
    found = findings(operator, live)
    assert states(found, "missing") == {"sender"}
    assert "Authenticate" in found["sender"]["why"]
    operator.does("twilio", "set", live, "--auth-token-stdin", typed=AUTH_TOKEN + "\n")
    assert states(findings(operator, live), "missing") == set()


@pytest.mark.usefixtures("_staffed")
def test_a_clinic_with_another_provider_needs_an_account_with_that_and_none_with_twilio(
    operator: Operator, live: str, sql: psycopg.Connection
) -> None:
    operator.does("sms", "provider", live, "pigeon", typed='{"key": "coo"}\n')
    sql.execute("UPDATE integration_settings SET twilio_account_sid = NULL WHERE org_id = %s", [live])
    found = findings(operator, live)
    assert (found["SMS provider"]["state"], found["SMS provider"]["why"]) == ("ok", "pigeon")
    assert "Twilio account" not in found
    assert states(found, "missing") == set()
    sql.execute("UPDATE integration_settings SET sms_account_sealed = NULL WHERE org_id = %s", [live])
    found = findings(operator, live)
    assert found["SMS provider"]["mend"] == f"flask sms provider {live} pigeon"
    assert states(found, "missing") == {"SMS provider"}


@pytest.mark.usefixtures("_staffed")
def test_a_former_key_is_a_warning(operator: Operator, complete: str, production: pytest.MonkeyPatch) -> None:
    production.setenv("FORMER_SECRET_KEYS", os.environ["SECRET_KEY"])
    production.setenv("SECRET_KEY", "9b27e4d05f1c8a36720de94bf51a6c83")
    settings.of_process.cache_clear()
    found = findings(operator, complete)
    assert states(found, "warning") == {"stored secrets"}
    assert found["stored secrets"]["mend"] == "flask secrets rotate"
    sealed = operator.value(
        "SELECT twilio_auth_token_sealed FROM integration_settings WHERE org_id = %s", complete
    )
    assert sealing.unseal(uuid.UUID(complete), "twilio_auth_token", sealed) == AUTH_TOKEN


@pytest.mark.usefixtures("_staffed")
def test_where_nobody_outside_is_spoken_to_less_is_required(operator: Operator) -> None:
    """The demonstration clinic of `make up`, fresh: it has no credential, no assistant and no staff."""
    found = findings(operator, create_clinic(sandbox=True))
    assert states(found, "missing") == {"hot lead alert phone"}
    assert {"Vapi credential", "assistant", "staff", "test booking"} <= states(found, "warning")
    # A real clinic lacks what it lacks, also where it is set up in development.
    found = findings(operator, create_clinic())
    assert {"Vapi credential", "assistant", "staff", "test booking"} <= states(found, "missing")


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_monitoring_queries_are_those_of_the_quick_reference() -> None:
    document = one_line((ROOT / "docs/quick-reference.md").read_text())
    for heading, statement in MONITORING.items():
        assert f"### {heading}" in document
        assert one_line(statement) in document


def test_it_shows_no_secret(operator: Operator, complete: str) -> None:
    result: Any = operator.run("doctor", complete)
    assert AUTH_TOKEN not in result.output
    for (sealed,) in operator.sql.execute(
        "SELECT twilio_auth_token_sealed FROM integration_settings WHERE org_id = %s", [complete]
    ).fetchall():
        assert sealed not in result.output
