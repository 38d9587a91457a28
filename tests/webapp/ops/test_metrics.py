"""/metrics tells what the rows say, names nobody, and is not open to the world."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

import settings
from models.booking import links
from models.clinics.attacks import Kind
from models.messaging.states import SmsStatus
from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.linked import Linked
from tests.places import ROOT
from webapp.ops.metrics import COUNTERS, GAUGES

TOKEN = "token-of-the-metrics-page"


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("METRICS_TOKEN", TOKEN)
    settings.of_process.cache_clear()
    yield
    monkeypatch.undo()
    settings.of_process.cache_clear()


def samples(text: str) -> dict[tuple[str, frozenset[str]], float]:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_late_and_stopped_are_counted_by_clinic(client: FlaskClient, sql: psycopg.Connection) -> None:
    org, number = create_clinic(sandbox=True), phone_number()
    hold = reserve(client, org, patientPhone=number, patientName="Canary Metric")["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    sql.execute("UPDATE sms_messages SET created_at = now() - interval '20 s' WHERE org_id = %s", [org])
    sql.execute(
        "INSERT INTO sms_senders (org_id, stopped_at, stopped_code) VALUES (%s, now(), '20003')", [org]
    )
    page = client.get("/metrics").text
    found = samples(page)
    assert found["holdline_sms_trouble", frozenset({org, "late"})] == 1
    assert found["holdline_sender_stopped", frozenset({org, "20003"})] == 1
    assert found["holdline_sms_oldest_waiting_seconds", frozenset({"otp"})] >= 20
    assert found["holdline_holds", frozenset({"held"})] >= 1
    assert number not in page
    assert "Canary" not in page


def test_changes_are_counted_and_a_superseded_text_is_no_failed_one(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    def found(name: str, *labels: str) -> float:
        return samples(client.get("/metrics").text).get((name, frozenset(labels)), 0)

    figures = (
        ("holdline_appointment_changes", "moved"),
        ("holdline_appointment_changes", "cancelled"),
        ("holdline_sms_messages", "confirmation", "superseded"),
        ("holdline_sms_messages", "cancellation", "queued"),
        ("holdline_sms_messages", "confirmation", "expired"),
    )
    before = [found(*figure) for figure in figures]
    linked = Linked(client, sql)
    client.post(f"{linked.path}/move", data={"slot": slot(hour=15)})
    client.post(f"/a/{links.derive(linked.newest())}/cancel")
    after = [found(*figure) for figure in figures]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 2, 1, 0]


def test_whoever_waits_for_a_lock_is_counted(
    client: FlaskClient, sql: psycopg.Connection, database_url: str
) -> None:
    def waiting() -> float:
        return samples(client.get("/metrics").text)["holdline_lock_waits", frozenset()]

    before = waiting()
    with psycopg.connect(database_url) as holder, psycopg.connect(database_url) as waiter:
        holder.execute("SELECT pg_advisory_xact_lock(20261128)")
        with ThreadPoolExecutor(1) as pool:
            blocked = pool.submit(waiter.execute, "SELECT pg_advisory_xact_lock(20261128)")
            until = time.monotonic() + 10
            while waiting() == before:
                assert time.monotonic() < until
            holder.rollback()
            blocked.result(10)
    assert waiting() == before


def test_what_nobody_knows_of_is_counted_however_old_it_is(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic(sandbox=True)
    for status in ("sending", "unknown"), ("failed",):
        bare(client, "booking/send-otp", holdId=reserve(client, org, slotId=slot(days=len(status)))["holdId"])
        for each in status:
            sql.execute(
                "UPDATE sms_messages SET status = %s, created_at = now() - interval '8 days'"
                " WHERE org_id = %s AND (status = 'queued' OR status = 'sending')",
                [each, org],
            )
    found = samples(client.get("/metrics").text)
    assert found["holdline_sms_trouble", frozenset({org, "unknown"})] == 1
    assert ("holdline_sms_trouble", frozenset({org, "failed"})) not in found


def test_what_a_clinic_has_used_of_its_limits_is_told(client: FlaskClient, clock: Clock) -> None:
    org, other = create_clinic(codes_a_day=30), create_clinic(codes_a_day=30)  # ten at once
    clock.stop()
    for hour in (9, 10, 11):
        bare(client, "booking/send-otp", holdId=reserve(client, org, slotId=slot(hour=hour))["holdId"])
    found = samples(client.get("/metrics").text)
    assert found["holdline_limit_used", frozenset({org, "codes"})] == pytest.approx(0.3)
    assert found["holdline_limit_used", frozenset({org, "codes_to_others"})] == pytest.approx(3 / 7)
    assert ("holdline_limit_used", frozenset({other, "codes"})) not in found
    clock.forward(24 * 3600)
    assert ("holdline_limit_used", frozenset({org, "codes"})) not in samples(client.get("/metrics").text)


#: Figures of the newest rows of a table, and of how many minutes.
OF_A_TIME = [
    ("holdline_sms_messages", ("otp", "queued"), "sms_messages", 24 * 60),
    ("holdline_holds", ("held",), "appointment_holds", 24 * 60),
    ("holdline_calls", ("forwarding", ""), "calls", 24 * 60),
    ("holdline_hot_lead_alerts", ("waiting",), "hot_lead_alerts", 24 * 60),
    ("holdline_code_tries", ("wrong",), "appointment_holds", 24 * 60),
    ("holdline_sms_trouble", ("late",), "sms_messages", 7 * 24 * 60),
]


@pytest.mark.parametrize(("name", "labels", "table", "minutes"), OF_A_TIME)
def test_a_figure_has_the_rows_of_its_time_and_no_older_ones(
    client: FlaskClient,
    sql: psycopg.Connection,
    name: str,
    labels: tuple[str, ...],
    table: str,
    minutes: int,
) -> None:
    org = create_clinic(sandbox=True)
    hold = reserve(client, org)["holdId"]
    bare(client, "booking/send-otp", holdId=hold)
    bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(hold))
    sql.execute("INSERT INTO calls (org_id, id, status) VALUES (%s, 'c', 'forwarding')", [org])
    sql.execute("INSERT INTO hot_lead_alerts (org_id, call_id, lead_score) VALUES (%s, 'c', 80)", [org])
    found = []
    for age in (minutes - 10, minutes + 10):
        sql.execute(
            f"UPDATE {table} SET created_at = app_clock() - make_interval(mins => %s)"
            " WHERE org_id = %s".encode(),
            [age, org],
        )
        told = samples(client.get("/metrics").text)
        key = frozenset({org, *labels} if name == "holdline_sms_trouble" else labels)
        found.append(told.get((name, key), 0))
    assert found[0] - found[1] == 1


def wrong(hold: str) -> str:
    return f"{(int(code_of(hold)) + 1) % 10_000:04}"


def test_how_long_others_took_is_told(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(sandbox=True)
    sql.execute(
        "INSERT INTO calls (org_id, id, status, ended_at, reported_at, score_due_at)"
        " VALUES (%s, 'c', 'ended', now() - interval '40 s', now() - interval '30 s',"
        " now() - interval '28 s')",
        [org],
    )
    bare(client, "booking/send-otp", holdId=reserve(client, org)["holdId"])
    for status in ("sending", "sent", "delivered"):
        sql.execute(
            "UPDATE sms_messages SET status = %s, sent_at = coalesce(sent_at, now()),"
            " delivered_at = CASE WHEN %s = 'delivered' THEN now() + interval '4 s' END WHERE org_id = %s",
            [status, status, org],
        )
    found = samples(client.get("/metrics").text)
    assert found["holdline_webhook_lag_seconds", frozenset({"0.99"})] >= 0
    assert found["holdline_calls_oldest_unscored_seconds", frozenset()] >= 28
    assert found["holdline_provider_seconds", frozenset({"otp", "0.5"})] >= 0
    assert found["holdline_receipt_seconds", frozenset({"0.99"})] > 0
    assert found["holdline_calls", frozenset({"ended", ""})] >= 1


def test_the_alert_rules_speak_of_what_is_told() -> None:
    rules = [
        rule
        for group in yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert len(rules) > 5
    operations = (ROOT / "docs/operations.md").read_text()
    headings = re.findall(r"^#+ (.*)$", operations, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    gauges = {name: set(labels) for name, _, labels, _ in (*GAUGES, *COUNTERS)}
    kinds = set(Kind)
    troubles = {"late", "held", *SmsStatus}
    for rule in rules:
        for name, labels in re.findall(r"(holdline_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            given = dict(re.findall(r'(\w+)=~?"([^"]*)"', labels))
            assert set(given) <= gauges[name], rule
            for label in {"status", "trouble"} & set(given):
                assert set(given[label].split("|")) <= troubles, rule
            if name == "holdline_attacks_total" and "kind" in given:
                assert set(given["kind"].split("|")) <= kinds, rule
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / "docs" / page).exists()
        assert not anchor or anchor in anchors, rule
        assert rule["labels"]["severity"] in {"page", "look"}


@pytest.mark.usefixtures("guarded")
def test_without_the_token_there_is_no_such_page(client: FlaskClient) -> None:
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 404
    assert client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_production_has_no_page_without_a_token(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    settings.of_process.cache_clear()
    try:
        assert client.get("/metrics").status_code == 404
    finally:
        monkeypatch.undo()
        settings.of_process.cache_clear()
