"""A clinic that has everything the doctor looks for, its surroundings, and the doctor's findings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from flask.testing import FlaskClient

import settings
from models.base import sealing
from models.base.session import transaction
from models.clinics.organizations import IntegrationSettings, Organization
from tests.factories import bare, code_of, create_clinic, reserve
from tests.webapp.cli import outside_world
from tests.webapp.cli.commands import Operator, swept
from tests.webapp.cli.outside_world import Outside
from webapp.cli import assistant

Findings = dict[str, dict[str, str]]


def findings(operator: Operator, org: str) -> Findings:
    """The doctor's findings by subject; of several for one subject the worst."""
    result = operator.run("doctor", org, "--json")
    text = result.stdout
    rows = json.loads(text[: text.rindex("]") + 1])
    rank = ["ok", "warning", "missing"]
    rows.sort(key=lambda row: rank.index(row["state"]))
    assert result.exit_code == (1 if any(row["state"] == "missing" for row in rows) else 0)
    return {row["what"]: row for row in rows}


def states(found: Findings, *wanted: str) -> set[str]:
    return {what for what, row in found.items() if row["state"] in wanted}


def push_assistant(org: str) -> None:
    """Store what a push stores; test_assistant.py makes a real push and then asks the doctor."""
    with transaction(uuid.UUID(org)) as session:
        clinic = session.get_one(Organization, uuid.UUID(org))
        row = session.get_one(IntegrationSettings, uuid.UUID(org))
        row.vapi_api_key_sealed = sealing.seal(row.org_id, "vapi_api_key", "key")
        row.vapi_assistant_id = "assistant-1"
        row.vapi_assistant_digest = assistant._digest(assistant.wanted(session, clinic, row), "key")


@pytest.fixture
def _staffed(sql: psycopg.Connection) -> Iterator[None]:
    """The processes of the Procfile are running."""
    swept(sql, done=1, beat=1)
    with outside_world.workers():
        yield


@pytest.fixture
def world() -> Iterator[Outside]:
    with outside_world.outside() as world:
        yield world


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch, world: Outside) -> Iterator[pytest.MonkeyPatch]:
    """The settings of a correct production."""
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://holdline.example.com")
    monkeypatch.setenv("PROXIES", "1")
    monkeypatch.setenv("TWILIO_API_BASE_URL", world.url)
    monkeypatch.setenv("VAPI_API_BASE_URL", world.url)
    settings.of_process.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.of_process.cache_clear()


@pytest.fixture
def complete(operator: Operator, client: FlaskClient) -> str:
    """A clinic that is set up completely and had its test booking. Returns its id."""
    org = create_clinic()
    hold = reserve(client, org)["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    assert bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["success"]
    for statement in (
        """UPDATE sms_messages SET status = 'sent', provider_id = 'SM' || id, sent_at = now()
           WHERE org_id = %s""",
        "UPDATE sms_messages SET status = 'delivered', delivered_at = now() WHERE org_id = %s",
        """UPDATE integration_settings SET hot_lead_alert_phone = '+442079460958'
           WHERE org_id = %s""",
        "INSERT INTO calls (org_id, id, status) VALUES (%s, 'call-1', 'ended')",
        """INSERT INTO hot_lead_alerts (org_id, call_id, lead_score, alert_sent_at)
           VALUES (%s, 'call-1', 80, now())""",
    ):
        operator.sql.execute(statement, [org])
    operator.does("credential", "add", org)
    operator.sql.execute("UPDATE vapi_credentials SET last_used_at = now() WHERE org_id = %s", [org])
    operator.does(
        *("staff", "add", org, f"jo-{org}@example.com", "--name", "Jo"), typed="correct horse battery\n"
    )
    push_assistant(org)
    return org


@pytest.fixture
def live(complete: str, production: pytest.MonkeyPatch) -> str:
    """The complete clinic in production; its assistant is pushed again, because it contains the address."""
    del production
    push_assistant(complete)
    return complete
