"""`flask leads export-labelled`: what the staff judged, and nothing that tells who rang."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.base.session import transaction
from models.insight import privacy
from tasks.calls import score_call
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.cli.commands import Operator
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.rows import add_call

FIRST, LAST = "Wilhelmina", "Quarterstaff"
MAIL = "w.quarterstaff@mail.example"
KEYS = ["id", "messages", "facts", "booked", "duration_seconds", "ended_reason", "worth_call"]


@dataclass
class Rang:
    """A patient who booked, and whose name, number, code and address were said in every way."""

    person: Person
    call: str
    phone: str
    code: str

    @property
    def org(self) -> str:
        return self.person.org

    @property
    def secrets(self) -> list[str]:
        """In small letters."""
        phone = self.phone.removeprefix("+44")
        spaced = f"{phone[:4]} {phone[4:]}"
        return [FIRST.lower(), LAST.lower(), "q-u-a-r", phone, spaced, self.code, " ".join(self.code), MAIL]


@pytest.fixture(autouse=True)
def _forgetful(sql: psycopg.Connection) -> None:
    """Each test signs in as from an address that was never seen."""
    sql.execute("DELETE FROM sign_in_limits")


def signed_in(app: Flask, org: str) -> Person:
    person = employ(app, org)
    person.sign_in()
    return person


def judge(person: Person, call: str, worth: str = "yes") -> None:
    assert person.post(f"leads/{call}/worth-the-call", worth=worth).status_code == 303


def export(operator: Operator, org: str, *more: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in operator.does("leads", "export-labelled", org, *more).splitlines()]


@pytest.fixture
def rang(app: Flask, client: FlaskClient, sql: psycopg.Connection, clock: Clock) -> Rang:
    org, phone = create_clinic(calendar={"service_names": ["implants"]}), phone_number()
    call = PhoneCall(client, org, phone)
    call.say("reserve_atomic", slotId=slot(), patientName=f"{FIRST} {LAST}", serviceType="implants")
    call.say("send_otp_code")
    [[hold]] = sql.execute("SELECT id::text FROM appointment_holds WHERE org_id = %s", [org]).fetchall()
    code = code_of(hold)
    assert "appointmentId=" in call.say("verify_otp", providedOTP=code)
    turns = [
        ("bot", "Good morning, how can I help?"),
        ("user", f"Hi, I'm {FIRST} and I want two implants. {FIRST} {LAST}."),
        ("bot", f"Thank you, {FIRST}. Could you spell your surname?"),
        ("user", f"{'-'.join(LAST.upper())}. My number is {phone}, or 0{phone[3:7]} {phone[7:]}."),
        ("bot", "Which code did you get?"),
        ("user", f"It's {' '.join(code)}. And my mail is {MAIL}."),
        ("bot", f"You are booked, {FIRST.lower()} {LAST.lower()}."),
    ]
    report = {
        "type": "end-of-call-report",
        "call": {"id": call.id, "customer": {"number": phone}},
        "endedReason": "customer-ended-call",
        "durationSeconds": 321,
        "artifact": {"messages": [{"role": role, "message": text} for role, text in turns]},
    }
    assert client.post("/api/vapi/webhook", json={"message": report}).status_code == 200
    clock.forward(3)
    score_call.run(org_id=org, call_id=call.id)
    facts = {"intent": "book", "booked": True, "reasons": [f"this is {FIRST} on {phone}", "two implants"]}
    sql.execute("UPDATE calls SET facts = %s WHERE org_id = %s", [json.dumps(facts), org])
    return Rang(signed_in(app, org), call.id, phone, code)


def test_a_judged_call_is_in_the_form_that_the_training_reads(rang: Rang, operator: Operator) -> None:
    assert export(operator, rang.org) == []
    judge(rang.person, rang.call)
    [call] = export(operator, rang.org)
    assert list(call) == KEYS
    assert [message["role"] for message in call["messages"]] == ["bot", "user"] * 3 + ["bot"]
    assert call["messages"][0]["message"] == "Good morning, how can I help?"
    assert call["messages"][1]["message"] == "Hi, I'm [...] and I want two implants. [...]."
    assert call["facts"]["intent"] == "book"
    assert call["facts"]["booked"] is True
    assert call["facts"]["reasons"][1] == "two implants"
    rest = call["booked"], call["duration_seconds"], call["ended_reason"], call["worth_call"]
    assert rest == (True, 321, "customer-ended-call", True)
    judge(rang.person, rang.call, "no")
    assert [call["worth_call"] for call in export(operator, rang.org)] == [False]
    judge(rang.person, rang.call, "unsaid")
    assert export(operator, rang.org) == []


def test_nothing_that_tells_who_rang_gets_out(
    rang: Rang, operator: Operator, sql: psycopg.Connection
) -> None:
    kept = str(sql.execute("SELECT turns, facts FROM calls WHERE id = %s", [rang.call]).fetchone()).lower()
    assert FIRST.lower() in kept  # what is taken out was there
    judge(rang.person, rang.call)
    text = operator.run("leads", "export-labelled", rang.org).output.lower()
    for secret in rang.secrets:
        assert secret not in text
    squeezed = re.sub(r"[\s().,-]", "", text)
    for digits in (rang.phone[1:], rang.phone[3:], rang.code):
        assert digits not in squeezed
    rows = sql.execute(
        "SELECT id::text FROM appointments WHERE org_id = %(org)s UNION SELECT id::text FROM contacts"
        " WHERE org_id = %(org)s UNION SELECT id::text FROM staff_users WHERE org_id = %(org)s",
        {"org": rang.org},
    ).fetchall()
    for secret in (rang.call, rang.org, rang.person.email, "test clinic", *(row for (row,) in rows)):
        assert secret not in text


def test_a_name_known_from_another_day_goes_as_well(
    rang: Rang, operator: Operator, sql: psycopg.Connection
) -> None:
    """Who rings again is known by the number, and by whichever name they had."""
    turns = [{"who": "caller", "text": f"It is {LAST.lower()} again. Will you ring me?", "at": 1}]
    again = add_call(sql, rang.org, caller_number=rang.phone, turns=turns)
    judge(rang.person, again)
    [call] = export(operator, rang.org)
    assert call["messages"] == [{"role": "user", "message": "It is [...] again. Will you ring me?"}]
    assert (call["facts"], call["booked"]) == (None, False)


def test_the_id_is_the_same_each_time_and_nobody_elses(
    rang: Rang, operator: Operator, app: Flask, sql: psycopg.Connection
) -> None:
    other = signed_in(app, create_clinic())
    add_call(sql, other.org, id=rang.call)
    for person in (rang.person, other):
        judge(person, rang.call)
    [first], [again], [others] = (export(operator, org) for org in (rang.org, rang.org, other.org))
    assert first["id"] == again["id"]
    assert re.fullmatch(r"[0-9a-f]{32}", first["id"])
    assert others["id"] != first["id"]


def test_the_clinic_next_door_is_not_in_it(rang: Rang, operator: Operator, app: Flask) -> None:
    judge(rang.person, rang.call)
    other = create_clinic()
    done = operator.run("leads", "export-labelled", other)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "nobody of the staff has judged a call" in done.stderr
    assert "no organisation" in operator.fails("leads", "export-labelled", uuid.uuid4())


def test_what_has_no_words_is_left_out_and_said_so(
    rang: Rang, operator: Operator, app: Flask, sql: psycopg.Connection
) -> None:
    gone, erased, uncapital = (add_call(sql, rang.org, caller_number=phone_number()) for _ in range(3))
    for call in (rang.call, gone, erased, uncapital):
        judge(rang.person, call)
    sql.execute("UPDATE calls SET turns = NULL WHERE id = %s", [gone])
    [[number]] = sql.execute("SELECT caller_number FROM calls WHERE id = %s", [erased]).fetchall()
    with transaction(uuid.UUID(rang.org)) as session:
        privacy.erase(session, uuid.UUID(rang.org), [number])
    small = json.dumps([{"who": "caller", "text": "it is sarah jones", "at": 1}])
    sql.execute("UPDATE calls SET turns = %s WHERE id = %s", [small, uncapital])
    done = operator.run("leads", "export-labelled", rang.org)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr.strip() == (
        "1 of 4 judged calls written; left out: 2 without words, 1 in which no name could be told"
    )
    assert "sarah" not in done.output


def test_only_the_last_days_and_the_oldest_first(
    operator: Operator, app: Flask, sql: psycopg.Connection
) -> None:
    person = signed_in(app, create_clinic())
    for days in (1, 40, 400):
        call = add_call(sql, person.org, duration=days)
        sql.execute(
            "UPDATE calls SET created_at = app_clock() - make_interval(days => %s) WHERE id = %s",
            [days, call],
        )
        judge(person, call)
    for more, lengths in (((), [40, 1]), (("--days", 30), [1]), (("--days", 3650), [400, 40, 1])):
        found = export(operator, person.org, *more)
        assert [call["duration_seconds"] for call in found] == lengths
    assert "--days" in operator.fails("leads", "export-labelled", person.org, "--days", 0)


def test_a_reason_for_the_end_that_says_more_is_cut_to_its_name(
    operator: Operator, app: Flask, sql: psycopg.Connection
) -> None:
    person = signed_in(app, create_clinic())
    for reason in ("call.in-progress.error-sip-503", "+447700900123 hung up", "customer-busy: +447700900123"):
        judge(person, add_call(sql, person.org, ended_reason=reason))
    reasons = [call["ended_reason"] for call in export(operator, person.org)]
    assert sorted(reasons, key=str) == [None, "call.in-progress.error-sip-503", "customer-busy"]


def test_the_help_says_what_leaves_the_house(operator: Operator) -> None:
    help_text = " ".join(operator.does("leads", "export-labelled", "--help").split())
    for words in ("What leaves the house", "names", "telephone numbers", "read the file before"):
        assert words in help_text
