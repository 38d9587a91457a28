"""Attacks leave a trace: in the figures, and in a few lines of the log that name nobody."""

from __future__ import annotations

import logging
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, update

from models.base import session
from models.base.session import transaction
from models.clinics.attacks import Kind
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus
from runtime.masking import mask
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.places import ROOT
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.vapi.signing import (
    CHECK,
    WEBHOOK,
    Hands,
    Request,
    bearing,
    check_body,
    make_key,
    make_secret,
)
from tests.webapp.agents.vapi.signing import hands as hands  # the fixture  # noqa: PLC0414
from webapp import attacks, guesses
from webapp.attacks import MOST_NETWORKS, TOLD_EVERY, Trace
from webapp.unit_of_work import DatabaseAway


def figures(client: FlaskClient) -> Counter[str]:
    """What /metrics says of each kind."""
    page = client.get("/metrics", headers={"Authorization": "Bearer token-of-the-metrics-page"}).text
    return Counter(
        {
            sample.labels["kind"]: int(sample.value)
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == "holdline_attacks_total"
        }
    )


class Seen:
    """How much each kind grew since this was made."""

    def __init__(self, client: FlaskClient) -> None:
        self._client, self._before = client, figures(client)

    def grown(self) -> dict[str, int]:
        now = figures(self._client)
        return {kind: now[kind] - self._before[kind] for kind in now if now[kind] != self._before[kind]}


@pytest.fixture
def production(client: FlaskClient) -> Iterator[FlaskClient]:
    with environment(APP_ENV="production", METRICS_TOKEN="token-of-the-metrics-page"):
        yield client


def test_every_kind_is_told_from_the_start(client: FlaskClient) -> None:
    """Or the first ones of a kind would be no increase."""
    assert set(figures(client)) == {kind.value for kind in Kind}


def test_the_runbook_says_what_to_do_about_each_kind() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    part = page.split("### Somebody is attacking")[1].split("\n### ")[0]
    told = set(
        re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in part.splitlines() if "|" in line))
    )
    for kind in Kind:
        assert kind.value in told or kind.value.startswith("limited_"), kind


def test_wrong_credentials_are_counted(production: FlaskClient, hands: Hands) -> None:
    key = make_key()
    org = create_clinic()
    secret = make_secret(org)
    seen = Seen(production)
    for path in (CHECK, WEBHOOK):
        bearing("guess", path=path).post(production)
        Request(path, check_body(), [("X-Vapi-Secret", "guess")]).post(production)
        Request(path, check_body()).post(production)
    assert seen.grown() == {"wrong_credential": 6}
    assert bearing(secret).post(production).status_code == 200
    signed = key.signs(hands.now)
    assert signed.post(production).status_code == 200
    assert seen.grown() == {"wrong_credential": 6}
    signed.changed("X-Signature", lambda text: text[::-1]).post(production)
    key.signs(hands.now - 3000).post(production)
    Request(WEBHOOK, signed.body, signed.headers).post(production)
    assert seen.grown() == {"wrong_credential": 6, "wrong_signature": 2, "replayed_signature": 1}
    production.get("/metrics", headers={"Authorization": "Bearer guess"})
    assert seen.grown()["wrong_credential"] == 7


def test_what_is_too_large_is_counted(client: FlaskClient, hands: Hands) -> None:
    secret = make_secret(create_clinic())
    seen = Seen(client)
    with environment(MAX_BODY_BYTES="4096"):
        large = check_body(patientName="x" * 5000)
        assert bearing(secret, large).post(client).status_code == 413
    assert seen.grown() == {"oversized": 1}


def test_guesses_at_pages_are_counted(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses.unknown(), "_clock", lambda: 100.0)  # however slow the machine is
    seen = Seen(client)
    where = {"REMOTE_ADDR": "198.51.100.44"}
    for number in range(12):
        client.get(f"/a/guess-number-{number}", environ_overrides=where)
    assert seen.grown() == {"guessed_link": 10, "limited_link": 2}


def test_failed_sign_ins_are_counted(client: FlaskClient) -> None:
    page = client.get("/dashboard/sign-in", environ_overrides={"REMOTE_ADDR": "198.51.100.45"}).text
    token = page.split('name="csrf" value="')[1].split('"')[0]
    seen = Seen(client)
    for _ in range(12):
        client.post(
            "/dashboard/sign-in",
            data={"email": "nobody@example.com", "password": "guess", "csrf": token},
            environ_overrides={"REMOTE_ADDR": "198.51.100.45"},
        )
    grown = seen.grown()
    assert sum(grown.values()) == 12
    assert set(grown) == {"failed_sign_in", "limited_sign_in"}


def test_codes_and_times_that_are_refused_and_wrong_codes_are_counted(client: FlaskClient) -> None:
    org, number = create_clinic(codes_per_hold=1, holds_per_phone=1), phone_number()
    call = PhoneCall(client, org, number)
    hold = call.say("reserve_atomic", slotId=slot(), patientName="Ann").split("holdId=")[1].split()[0]
    call.say("send_otp_code")
    seen = Seen(client)
    PhoneCall(client, org, number).say("reserve_atomic", slotId=slot(hour=12), patientName="Ann")
    assert seen.grown() == {"limited_holds": 1}
    with transaction(uuid.UUID(org)) as at:  # the first one has gone out
        at.execute(update(SmsMessage).values(status=SmsStatus.SENT).where(SmsMessage.call_sid == call.id))
    call.say("send_otp_code")
    assert seen.grown() == {"limited_holds": 1, "limited_codes": 1}
    wrong = f"{(int(code_of(hold)) + 1) % 10_000:04}"
    for _ in range(3):  # the last one gives the time back
        call.say("verify_otp", providedOTP=wrong)
    assert seen.grown() == {"limited_holds": 1, "limited_codes": 1, "wrong_codes": 3}


def test_what_twilio_did_not_send_is_counted(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic()
    seen = Seen(client)
    client.post(f"/api/twilio/inbound/{org}", data={"Body": "STOP"})
    client.post("/api/twilio/inbound/00000000-0000-0000-0000-000000000000", data={"Body": "STOP"})
    client.post("/api/twilio/status/00000000-0000-0000-0000-000000000000/1/token", data={})
    assert seen.grown() == {"forged_sms": 2, "forged_receipt": 1}


def test_a_flood_at_twilios_door_costs_the_database_next_to_nothing(client: FlaskClient) -> None:
    org = create_clinic()
    asked: list[str] = []

    def listen(*event_of: object) -> None:
        asked.append(str(event_of[2]))

    event.listen(session.engine(), "before_cursor_execute", listen)
    try:
        for number in range(200):
            forged = {"Body": "STOP", "From": f"+4477009{number:05d}", "MessageSid": f"SM{number:032d}"}
            answer = client.post(
                f"/api/twilio/inbound/{org}", data=forged, headers={"X-Twilio-Signature": "x"}
            )
            assert answer.status_code == 403
    finally:
        event.remove(session.engine(), "before_cursor_execute", listen)
    assert len(asked) < 100


def test_a_flood_makes_few_lines_of_the_log_and_they_name_nobody(
    production: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with attacks._trace()._lock:
        attacks._trace()._untold.clear()
    begun = time.monotonic()
    for number in range(300):
        where = {"REMOTE_ADDR": f"2001:db8:{number % 7:x}:1234::{number:x}"}
        bearing(f"guess-{number}-secret").post(production, environ_overrides=where)
    lines = [record for record in caplog.records if record.name == "webapp.attacks"]
    assert 1 <= len(lines) <= 2 + (time.monotonic() - begun) / TOLD_EVERY
    assert lines[0].getMessage() == "attack: wrong_credential, 1 since the last such line, from 1 networks"
    assert lines[0].network == "2001:db8:0:1234::/64"  # type: ignore[attr-defined]
    assert "secret" not in caplog.text
    assert mask(lines[0].network) == lines[0].network  # type: ignore[attr-defined]


# --- how it is counted --------------------------------------------------------------------------


class Kept:
    """What was written; `away`: the database takes nothing."""

    def __init__(self) -> None:
        self.rows: Counter[Kind] = Counter()
        self.away = False
        self.written = threading.Event()

    def write(self, counted: Counter[Kind]) -> None:
        if self.away:
            raise DatabaseAway
        self.rows += counted
        self.written.set()


def test_the_first_is_told_at_once_and_the_others_together(caplog: pytest.LogCaptureFixture) -> None:
    now = [100.0]
    trace = Trace(Kept().write, clock=lambda: now[0])

    def told() -> list[str]:
        lines = [record.getMessage() for record in caplog.records if record.name == "webapp.attacks"]
        caplog.clear()
        return lines

    trace.count(Kind.GUESSED_LINK, "192.0.2.1")
    assert told() == ["attack: guessed_link, 1 since the last such line, from 1 networks"]
    for number in range(50):
        trace.count(Kind.GUESSED_LINK, f"192.0.2.{number % 5}")
    assert told() == []
    trace.count(Kind.FORGED_SMS, "192.0.2.1")
    assert told() == ["attack: forged_sms, 1 since the last such line, from 1 networks"]
    now[0] += TOLD_EVERY
    trace.tell()
    assert told() == ["attack: guessed_link, 50 since the last such line, from 5 networks"]
    for number in range(2 * MOST_NETWORKS):
        trace.count(Kind.GUESSED_LINK, f"network {number}")
    now[0] += TOLD_EVERY
    trace.tell()
    [line] = told()
    assert line.startswith(f"attack: guessed_link, {2 * MOST_NETWORKS} since")
    assert line.endswith(f"from at least {MOST_NETWORKS} networks")


def test_what_the_database_could_not_take_is_written_later() -> None:
    kept = Kept()
    trace = Trace(kept.write)
    kept.away = True
    for _ in range(3):
        trace.count(Kind.WRONG_CREDENTIAL, "192.0.2.1")
    assert not trace.flush()
    kept.away = False
    trace.count(Kind.WRONG_CREDENTIAL, "192.0.2.1")
    assert trace.flush()
    assert kept.rows == {Kind.WRONG_CREDENTIAL: 4}
    assert trace.flush()
    assert kept.rows == {Kind.WRONG_CREDENTIAL: 4}


@pytest.mark.parametrize("then", ["flush", "forget"])
def test_what_is_being_written_is_waited_for(then: str) -> None:
    """Or a look at the rows just after it would be one too few."""
    begun, go_on, rows = threading.Event(), threading.Event(), Kept()

    def write(counted: Counter[Kind]) -> None:
        begun.set()
        assert go_on.wait(30)
        rows.write(counted)

    trace = Trace(write)
    trace.count(Kind.WRONG_CREDENTIAL, "192.0.2.1")
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(trace.flush)
        assert begun.wait(30)
        after = pool.submit(getattr(trace, then))
        with pytest.raises(TimeoutError):
            after.result(0.2)
        go_on.set()
        after.result(30)
        assert rows.rows == {Kind.WRONG_CREDENTIAL: 1}
        assert writing.result(30)


def test_it_is_written_by_itself_and_the_writer_goes_when_there_is_nothing_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attacks, "WRITTEN_EVERY", 0.01)
    monkeypatch.setattr(attacks, "TOLD_EVERY", 0.01)
    kept = Kept()
    trace = Trace(kept.write)
    for round_ in (1, 2):
        kept.written.clear()
        trace.count(Kind.WRONG_CREDENTIAL, "192.0.2.1")
        writer = trace._writer
        assert kept.written.wait(30)
        assert kept.rows == {Kind.WRONG_CREDENTIAL: round_}
        if writer:
            writer.join(30)
            assert not writer.is_alive()
        assert trace._writer is None


def test_several_processes_add_to_the_same_rows(app: Flask, sql: psycopg.Connection) -> None:
    def total() -> int:
        row = sql.execute("SELECT total FROM attack_counts WHERE kind = 'refused_connection'").fetchone()
        return int(row[0]) if row else 0

    before = total()
    traces = [Trace(attacks._add) for _ in range(3)]
    for trace in traces:
        for _ in range(5):
            trace.count(Kind.REFUSED_CONNECTION, "192.0.2.1")
    assert all(trace.flush() for trace in traces)
    assert total() == before + 15
