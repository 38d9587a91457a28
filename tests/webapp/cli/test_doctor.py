"""The doctor finds what is missing, says how to mend it, and is content once it is mended."""

from __future__ import annotations

import json
import os
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

import settings
from celeryconfig import Queue
from models.base import sealing
from models.base.session import transaction
from models.booking import codes
from models.clinics import allowances
from models.clinics.organizations import IntegrationSettings, Organization
from models.messaging import senders
from models.messaging.meanings import Failure
from tests.conftest import Clock
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, bare, code_of, create_clinic, reserve
from tests.places import ROOT, free_port
from tests.webapp.cli import outside_world
from tests.webapp.cli.commands import Operator, swept
from tests.webapp.cli.outside_world import Outside
from tests.webapp.staff.rows import add_call, now
from webapp.cli import assistant
from webapp.cli.doctor.traffic import MONITORING

Findings = dict[str, dict[str, str]]


def findings(operator: Operator, org: str) -> Findings:
    """By what they are about; of several the worst."""
    result = operator.run("doctor", org, "--json")
    text = result.stdout
    rows = json.loads(text[: text.rindex("]") + 1])
    rank = ["ok", "warning", "missing"]
    rows.sort(key=lambda row: rank.index(row["state"]))
    assert result.exit_code == (1 if any(row["state"] == "missing" for row in rows) else 0)
    return {row["what"]: row for row in rows}


def states(found: Findings, *wanted: str) -> set[str]:
    return {what for what, row in found.items() if row["state"] in wanted}


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
    """The settings as they should be outside of one machine."""
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://holdline.example.com")
    monkeypatch.setenv("PROXIES", "1")
    monkeypatch.setenv("TWILIO_API_BASE_URL", world.url)
    monkeypatch.setenv("VAPI_API_BASE_URL", world.url)
    settings.of_process.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    settings.of_process.cache_clear()


# --- a clinic with nothing, mended line by line -------------------------------------------------


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


def push_assistant(org: str) -> None:
    """As a push leaves it; test_assistant.py pushes to a Vapi, and asks the doctor then."""
    with transaction(uuid.UUID(org)) as session:
        clinic = session.get_one(Organization, uuid.UUID(org))
        row = session.get_one(IntegrationSettings, uuid.UUID(org))
        row.vapi_api_key_sealed = sealing.seal(row.org_id, "vapi_api_key", "key")
        row.vapi_assistant_id = "assistant-1"
        row.vapi_assistant_digest = assistant._digest(assistant.wanted(session, clinic, row), "key")


@pytest.fixture
def complete(operator: Operator, client: FlaskClient) -> str:
    """A clinic that has all, and had its test booking."""
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


@pytest.mark.usefixtures("_staffed")
def test_a_clinic_that_has_all_is_content(operator: Operator, live: str) -> None:
    found = findings(operator, live)
    assert states(found, "missing", "warning") == set()
    assert len(found) >= 22
    said = operator.run("doctor", live)
    assert said.exit_code == 0
    assert "missing" not in said.stdout
    assert "-> " not in said.stdout


@pytest.fixture
def live(complete: str, production: pytest.MonkeyPatch) -> str:
    """That clinic in production; it was set up before, but for the assistant, which is told the address."""
    del production
    push_assistant(complete)
    return complete


def change(table: str, what: str, value: object) -> tuple[str, object]:
    key = "id" if table == "organizations" else "org_id"
    return f"UPDATE {table} SET {what} = %s WHERE {key} = %s", value


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize(
    ("broken", "what", "state", "mend"),
    [
        (change("calendars", "time_zone", "Europe/Nowhere"), "calendar cal-1", "missing", "--zone"),
        (change("calendars", "hours", "{}"), "calendar cal-1", "missing", "--hours"),
        (change("calendars", "hours", '{"mon": []}'), "calendar cal-1", "missing", "--hours"),
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
    tells_the_assistant = {"assistant"} if "time_zone" in statement else set()
    assert states(found, "missing", "warning") == {what} | tells_the_assistant
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


# --- the machine --------------------------------------------------------------------------------


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://127.0.0.1:3001", "cannot be reached from outside"),
        ("https://localhost", "cannot be reached from outside"),
        ("https://192.168.1.5", "cannot be reached from outside"),
        ("https://[::1]", "cannot be reached from outside"),
    ],
)
def test_an_address_that_twilio_cannot_reach(
    operator: Operator, complete: str, production: pytest.MonkeyPatch, url: str, why: str
) -> None:
    production.setenv("PUBLIC_BASE_URL", url)
    settings.of_process.cache_clear()
    found = findings(operator, complete)
    assert states(found, "missing") == {"PUBLIC_BASE_URL", "assistant"}  # which is told the address
    assert why in found["PUBLIC_BASE_URL"]["why"]


def test_without_workers_every_queue_is_missing(operator: Operator, complete: str) -> None:
    """Nobody runs beside these tests: this asks the real Redis."""
    found = findings(operator, complete)
    assert states(found, "missing") == {f"queue {queue.value}" for queue in Queue}
    assert "worker_otp" in found["queue otp"]["mend"]
    assert found["Redis"]["state"] == "ok"
    assert "beat" not in found  # nobody could have noticed it


def test_without_redis_the_rest_is_still_looked_at(
    operator: Operator, live: str, production: pytest.MonkeyPatch
) -> None:
    production.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    settings.of_process.cache_clear()
    found = findings(operator, live)
    assert states(found, "missing") == {"Redis"}
    assert found["test booking"]["state"] == "ok"


@pytest.fixture
def wrong(sql: psycopg.Connection) -> Iterator[Callable[[str, str], None]]:
    """Do something to the schema that is put right again afterwards."""
    with ExitStack() as afterwards:

        def do(statement: str, cure: str) -> None:
            afterwards.callback(sql.execute, cure.encode())
            sql.execute(statement.encode())

        yield do


@pytest.mark.usefixtures("_staffed")
def test_a_role_that_cannot_make_a_backup_is_told(
    operator: Operator, complete: str, sql: psycopg.Connection
) -> None:
    assert findings(operator, complete)["backup"]["state"] == "ok"
    # What another role made since: its owner may read it, and this one may not.
    sql.execute("REVOKE SELECT ON sweeps FROM CURRENT_USER")
    try:
        told = findings(operator, complete)["backup"]
    finally:
        sql.execute("GRANT SELECT ON sweeps TO CURRENT_USER")
    assert told["state"] == "missing"
    assert "sweeps" in told["why"]


@pytest.mark.usefixtures("_staffed")
def test_beat_and_sweeps_that_stay_away_are_told_apart(
    operator: Operator, complete: str, sql: psycopg.Connection
) -> None:
    told = {}
    for done, beat in ((4, 3), (14, 400), (None, 3), (400, 400), (None, None)):
        swept(sql, done=done, beat=beat)
        found = findings(operator, complete)
        told[done, beat] = states(found, "missing")
    assert told == {
        (4, 3): set(),
        (14, 400): {"beat"},
        (None, 3): {"sweeps"},
        (400, 400): {"beat", "sweeps"},
        (None, None): {"beat", "sweeps"},
    }


@pytest.mark.usefixtures("_staffed")
def test_a_database_that_is_not_as_the_code_needs_it(
    operator: Operator, live: str, sql: psycopg.Connection, wrong: Callable[[str, str], None]
) -> None:
    (revision,) = sql.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
    wrong(
        "UPDATE alembic_version SET version_num = '0001_first_call'",
        f"UPDATE alembic_version SET version_num = '{revision}'",
    )
    signature = "(uuid, uuid)"
    wrong(
        f"ALTER FUNCTION release_hold{signature} RENAME TO release_hold_of_yesterday",
        f"ALTER FUNCTION release_hold_of_yesterday{signature} RENAME TO release_hold",
    )
    found = findings(operator, live)
    assert {"database", "SQL functions"} <= states(found, "missing")
    assert "0001_first_call" in found["database"]["why"]
    assert "release_hold" in found["SQL functions"]["why"]
    assert "alembic upgrade head" in found["database"]["mend"]


@pytest.mark.usefixtures("_staffed")
def test_a_wall_that_is_down_is_found(
    operator: Operator, live: str, wrong: Callable[[str, str], None]
) -> None:
    wrong("ALTER TABLE contacts NO FORCE ROW LEVEL SECURITY", "ALTER TABLE contacts FORCE ROW LEVEL SECURITY")
    text = operator.fails("doctor", live)
    assert re.search(
        r"^missing +before the start: Row security is not forced on contacts:", text, re.MULTILINE
    )
    assert "Error: 1 missing" in text


# --- what is asked of those outside -------------------------------------------------------------


@pytest.mark.usefixtures("_staffed")
def test_a_token_is_right_only_if_twilio_takes_it(operator: Operator, live: str, world: Outside) -> None:
    """Any thirty-two characters look like one."""
    found = findings(operator, live)["Twilio account"]
    assert found["state"] == "ok"
    assert "accepts its auth token" in found["why"]
    assert world.asked[0] == (f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json?PageSize=1", AUTH_TOKEN)
    for status in (401, 403, 404):
        world.status = status
        found = findings(operator, live)["Twilio account"]
        assert (found["state"], found["mend"]) == ("missing", f"flask twilio set {live} --auth-token-stdin")
        assert str(status) in found["why"]


@pytest.mark.usefixtures("_staffed")
def test_an_api_key_is_asked_for_in_place_of_the_token(operator: Operator, live: str, world: Outside) -> None:
    key = "SK" + "4b" * 16
    operator.does("twilio", "set", live, "--api-key-sid", key, typed="the secret of the key\n")
    found = findings(operator, live)["Twilio account"]
    assert (found["state"], key in found["why"]) == ("ok", True)
    world.refused = {"the secret of the key"}
    found = findings(operator, live)["Twilio account"]
    assert (found["state"], found["mend"]) == ("missing", f"flask twilio set {live} --api-key-secret-stdin")
    assert "the secret of the key" not in str(found)


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_what_could_not_be_asked_is_no_ok(operator: Operator, live: str, world: Outside, status: int) -> None:
    world.status = status
    found = findings(operator, live)
    assert states(found, "warning") == {"Twilio account", "assistant"}
    assert states(found, "missing") == set()
    for what in ("Twilio account", "assistant"):
        assert "could not be asked" in found[what]["why"]


@pytest.mark.usefixtures("_staffed")
def test_without_a_way_outside_it_says_so(
    operator: Operator, live: str, production: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    production.setenv("TWILIO_API_BASE_URL", nowhere)
    production.setenv("VAPI_API_BASE_URL", nowhere)
    settings.of_process.cache_clear()
    push_assistant(live)  # which knows where it was pushed
    found = findings(operator, live)
    assert states(found, "warning") == {"Twilio account", "assistant"}
    assert "ConnectionError" in found["Twilio account"]["why"]


@pytest.mark.usefixtures("_staffed")
def test_an_assistant_is_right_only_if_vapi_has_it(operator: Operator, live: str, world: Outside) -> None:
    assert "Vapi has it" in findings(operator, live)["assistant"]["why"]
    assert ("/assistant/assistant-1", "key") in world.asked
    world.unknown = {"assistant-1"}
    assert findings(operator, live)["assistant"]["mend"].endswith("--push --force")
    world.refused = {"key"}
    found = findings(operator, live)["assistant"]
    assert (found["state"], found["mend"]) == (
        "missing",
        f"flask organization vapi {live} --api-key-stdin",
    )


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


@pytest.mark.usefixtures("_staffed")
def test_a_proxy_that_is_overlooked(operator: Operator, clinic: str, production: pytest.MonkeyPatch) -> None:
    assert findings(operator, clinic)["proxies"]["state"] == "ok"
    production.delenv("PROXIES")
    settings.of_process.cache_clear()
    found = findings(operator, clinic)["proxies"]
    assert found["state"] == "warning"
    assert "set PROXIES" in found["mend"]
    production.setenv("DYNO", "web.1")
    settings.of_process.cache_clear()
    assert findings(operator, clinic)["proxies"]["state"] == "ok"
