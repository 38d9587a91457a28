"""An SMS provider that only these two files know sends a clinic's messages over HTTP.

A worker of its own takes the tasks from Redis. The provider is a server in this process, whose answers each
test chooses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.calls import facts
from tasks.messaging import check_receipts, reconcile_sms
from tests.conftest import Clock
from tests.factories import bare, create_clinic, phone_number, reserve
from tests.places import ROOT
from tests.stack import eventually
from tests.tasks.another_provider import NAME
from tests.tasks.test_calls import FACTS, HOT
from tests.webapp.agents.calls import PhoneCall

PATIENCE = 120  # seconds; an event comes within one or two, but later on a busy machine


class Loft:
    """The server of Pigeon: the SMS sent, and the answers to the next requests."""

    def __init__(self) -> None:
        self.letters: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        #: A status with a code, or "drop": the SMS is accepted, and no answer is sent.
        self.next: list[tuple[int, str] | str] = []
        loft = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                letter = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                loft.asked.append(letter)
                if self.headers["Authorization"] != "Key coo":
                    return self._say(401, {"code": "who"})
                how = loft.next.pop(0) if loft.next else None
                if isinstance(how, tuple):
                    return self._say(how[0], {"code": how[1]})
                name = uuid.uuid4().hex
                loft.letters[name] = letter | {"id": name, "at": time.time(), "state": "flying", "code": None}
                if how == "drop":
                    self.close_connection = True
                    return None
                return self._say(201, {"id": name})

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                name = address.path.removeprefix("/letters").strip("/")
                if not name:
                    [to] = parse_qs(address.query)["to"]
                    return self._say(200, [each for each in loft.letters.values() if each["to"] == to])
                found = loft.letters.get(name)
                return self._say(200 if found else 404, found or {})

            def _say(self, status: int, body: Any) -> None:
                written = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def texts(self, number: str) -> list[str]:
        return [each["body"] for each in list(self.letters.values()) if each["to"] == number]


@pytest.fixture(scope="module", autouse=True)
def worker() -> Iterator[None]:
    command = ["-A", "tests.tasks.another_provider", "worker", "-P", "solo", "-Q", "otp,sms,calls"]
    running = subprocess.Popen(
        [sys.executable, "-m", "celery", *command, "-l", "WARNING", "--without-mingle", "--without-gossip"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    yield
    running.terminate()
    running.wait(PATIENCE)


@pytest.fixture
def loft() -> Iterator[Loft]:
    opened = Loft()
    yield opened
    opened.close()


class Clinic:
    """A clinic that sends with Pigeon, and a patient on the telephone to it."""

    def __init__(self, app: Flask, client: FlaskClient, sql: psycopg.Connection, loft: Loft) -> None:
        self.app, self.client, self.sql, self.loft = app, client, sql, loft
        self.org, self.phone = create_clinic(sandbox=True), phone_number()
        self.has_account(key="coo")

    def has_account(self, key: str) -> None:
        account = json.dumps({"url": self.loft.url, "name": "loft-1", "key": key})
        done = self.app.test_cli_runner().invoke(
            args=["sms", "provider", self.org, NAME], input=account + "\n"
        )
        assert done.exit_code == 0, done.output

    def asks_for_code(self) -> None:
        self.hold = reserve(self.client, self.org, patientPhone=self.phone)["holdId"]
        bare(self.client, "booking/send-otp", holdId=self.hold)

    def reads_code(self) -> str:
        """The code in the SMS that arrived."""
        eventually(lambda: self.loft.texts(self.phone), within=PATIENCE)
        found = re.search(r"\b\d{4}\b", self.loft.texts(self.phone)[0])
        assert found
        return found[0]

    def books(self) -> None:
        self.asks_for_code()
        said = bare(self.client, "booking/verify-otp", holdId=self.hold, providedOTP=self.reads_code())
        assert said["success"]

    def state(self, kind: str, columns: str = "status") -> Any:
        row = self.sql.execute(
            f"SELECT {columns} FROM sms_messages WHERE org_id = %s AND kind = %s".encode(), [self.org, kind]
        ).fetchone()
        return row and (row if len(row) > 1 else row[0])

    def becomes(self, kind: str, status: str) -> None:
        eventually(lambda: self.state(kind) == status, within=PATIENCE)


@pytest.fixture
def clinic(app: Flask, client: FlaskClient, sql: psycopg.Connection, loft: Loft) -> Clinic:
    return Clinic(app, client, sql, loft)


def test_code_confirmation_and_alert_go_out_by_the_clinics_own_provider(clinic: Clinic, loft: Loft) -> None:
    owner = phone_number()
    clinic.sql.execute(
        "UPDATE integration_settings SET hot_lead_alert_phone = %s WHERE org_id = %s", [owner, clinic.org]
    )
    clinic.books()
    clinic.becomes("confirmation", "sent")
    assert clinic.state("otp", "status, account_sid, segments") == ("sent", "pigeon:loft-1", 1)
    [code, confirmation] = loft.texts(clinic.phone)
    assert "Test Clinic" in code
    assert "Test Clinic" in confirmation
    assert len({letter["reference"] for letter in loft.letters.values()}) == 2

    call = PhoneCall(clinic.client, clinic.org, phone_number())
    call.say("check_availability", date="2030-01-01")
    report = {
        "type": "end-of-call-report",
        "call": {"id": call.id, "customer": {"number": call.number}},
        "artifact": {
            "messages": [{"role": role, "message": said} for role, said in HOT],
            "structuredOutputs": {"1": {"name": facts.NAME, "result": FACTS}},
        },
        "durationSeconds": 301,
    }
    assert clinic.client.post("/api/vapi/webhook", json={"message": report}).status_code == 200
    clinic.becomes("hot_lead_alert", "sent")
    assert len(loft.texts(owner)) == 1


def test_a_refusal_is_final_and_the_agent_says_why(clinic: Clinic, loft: Loft) -> None:
    loft.next = [(422, "roof")]
    clinic.asks_for_code()
    clinic.becomes("otp", "failed")
    assert clinic.state("otp", "error_code, error_meaning, error_reason") == (
        "roof",
        "landline",
        "pigeons find no roof at a landline",
    )
    told = bare(clinic.client, "booking/send-otp", holdId=clinic.hold)
    assert told["code"] == "cannot_receive_sms"
    assert "is a landline" in told["say"]
    assert len(loft.asked) == 1


def test_a_provider_that_is_away_is_tried_again_until_it_is_back(clinic: Clinic, loft: Loft) -> None:
    loft.next = [(503, ""), (503, "")]
    clinic.asks_for_code()
    clinic.becomes("otp", "sent")
    assert len(loft.asked) == 3
    assert len(loft.texts(clinic.phone)) == 1


def test_not_now_is_tried_again_in_minutes(clinic: Clinic, loft: Loft) -> None:
    loft.next = [(429, "full")]
    clinic.asks_for_code()
    eventually(lambda: clinic.state("otp", "error_meaning") == "not_now", within=PATIENCE)
    assert clinic.state("otp", "status, next_attempt_at > app_clock() + interval '30 s'") == ("queued", True)


def test_a_lost_answer_is_asked_about_and_nothing_is_sent_twice(
    clinic: Clinic, loft: Loft, clock: Clock
) -> None:
    loft.next = ["drop"]
    clinic.asks_for_code()
    clinic.becomes("otp", "unknown")
    clock.forward(91)
    reconcile_sms.run()
    assert clinic.state("otp", "status, cause") == ("sent", "the provider has it")
    assert len(loft.asked) == 1


def test_a_key_that_is_refused_stops_the_sender_until_another_is_set(clinic: Clinic, loft: Loft) -> None:
    clinic.has_account(key="caw")
    clinic.asks_for_code()
    eventually(lambda: clinic.state("otp", "error_meaning") == "misconfigured", within=PATIENCE)
    sender = "SELECT stopped_code, stopped_meaning, stopped_reason FROM sms_senders WHERE org_id = %s"
    assert clinic.sql.execute(sender, [clinic.org]).fetchone() == (
        "who",
        "misconfigured",
        "Pigeon does not know the clinic's key",
    )
    clinic.has_account(key="coo")
    clinic.sql.execute("UPDATE sms_messages SET nudged_at = NULL WHERE org_id = %s", [clinic.org])
    bare(clinic.client, "booking/send-otp", holdId=clinic.hold)
    clinic.becomes("otp", "sent")


@pytest.mark.parametrize(
    ("state", "code", "status", "meaning"),
    [("landed", None, "delivered", None), ("back", "lost", "undelivered", "switched_off")],
)
def test_what_became_of_a_message_is_asked_for_where_no_receipt_comes(
    clinic: Clinic, loft: Loft, clock: Clock, state: str, code: str | None, status: str, meaning: str | None
) -> None:
    clinic.asks_for_code()
    clinic.becomes("otp", "sent")
    [letter] = loft.letters.values()
    letter |= {"state": state, "code": code}
    clock.forward(301)
    check_receipts.run()
    assert clinic.state("otp", "status, cause, error_meaning") == (status, "the provider has it", meaning)


def test_a_provider_that_is_not_there_stops_the_sender_and_says_so(clinic: Clinic, app: Flask) -> None:
    done = app.test_cli_runner().invoke(args=["sms", "provider", clinic.org, "raven"], input="{}\n")
    assert done.exit_code == 0, done.output
    clinic.asks_for_code()
    eventually(lambda: clinic.state("otp", "error_reason"), within=PATIENCE)
    assert clinic.state("otp", "status, error_reason") == ("queued", "there is no SMS provider 'raven'")


def test_an_account_that_cannot_be_read_stops_the_sender_and_says_so(clinic: Clinic, app: Flask) -> None:
    done = app.test_cli_runner().invoke(args=["sms", "provider", clinic.org, NAME], input='{"key": "coo"}\n')
    assert done.exit_code == 0, done.output
    clinic.asks_for_code()
    eventually(lambda: clinic.state("otp", "error_reason"), within=PATIENCE)
    assert clinic.state("otp", "status, error_reason") == (
        "queued",
        "the clinic's account with pigeon cannot be used: KeyError",
    )


def test_an_answer_that_nobody_thought_of_is_no_reason_to_send_again(clinic: Clinic, loft: Loft) -> None:
    loft.next = [(500, "a code that is in no table")]
    clinic.asks_for_code()
    clinic.becomes("otp", "unknown")
    assert clinic.state("otp", "error_reason") == "the request broke off with KeyError"
    assert len(loft.asked) == 1


def test_a_question_that_fails_in_a_way_that_nobody_thought_of_holds_up_no_others(
    app: Flask, client: FlaskClient, sql: psycopg.Connection, loft: Loft, clinic: Clinic, clock: Clock
) -> None:
    other_loft = Loft()
    other = Clinic(app, client, sql, other_loft)
    loft.next, other_loft.next = ["drop"], ["drop"]
    for each in (clinic, other):
        each.asks_for_code()
        each.becomes("otp", "unknown")
    for letter in loft.letters.values():
        letter["at"] = "no time at all"
    clock.forward(91)
    reconcile_sms.run()
    assert clinic.state("otp") == "unknown"
    assert other.state("otp") == "sent"
    other_loft.close()
