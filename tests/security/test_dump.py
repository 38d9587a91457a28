"""Whole bookings, and then everything that is kept of them: the database, Redis and the log.

A code, a credential, a Twilio token and the SECRET_KEY are in none of them. A name or a number is in the
database alone, and there in the columns that are listed here and in no other.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import os
import re
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from psycopg import sql as compose

import settings
from models.messaging import receipts
from runtime import logs
from tasks import providers
from tasks.messaging import deliver_sms, reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.security import ground
from tests.security.ground import KINDS, Clinic, bare_body, found, instant, post, vapi_body
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PATHS

#: Where something of a patient or a clinic may stand, as table.column. It must be found there, too.
ALLOWED: dict[str, set[str]] = {
    "patient's name": {"contacts.name", "appointment_holds.patient_name", "appointments.patient_name"},
    "patient's number": {
        "contacts.phone",
        "appointment_holds.patient_phone",
        "appointments.patient_phone",
        "sms_messages.to_phone",
        "calls.caller_number",
    },
    # Twilio's own sentence names the number that it refuses; ours does not.
    "refused number": {"contacts.phone", "appointment_holds.patient_phone", "sms_messages.to_phone"},
    # What was booked, and as the confirmation says it: in the SMS, and in the answer that repeats it.
    "service": {"appointments.service_type", "calendars.services", "tool_calls.reply"},
    "clinic's name": {"organizations.name", "sms_messages.body", "tool_calls.reply"},
    "clinic's number": {"organizations.phone", "sms_messages.body", "tool_calls.reply"},
    "sender's number": {"integration_settings.twilio_from_number"},
    "owner's number": {"integration_settings.hot_lead_alert_phone"},
    "lead's name": {"hot_lead_alerts.lead_name"},
    "lead's number": {"hot_lead_alerts.lead_phone"},
    "staff's name": {"staff_users.name"},
}

#: Twilio answers 21614 to it: no mobile.
REFUSED = "+15005550009"


@dataclass
class Booking:
    """One patient's, in one clinic and form."""

    clinic: Clinic
    name: str
    number: str
    call: str | None
    hold: str = ""
    code: str = ""
    appointment: str = ""
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """A text, and where it stands: a column, a key of Redis, or the log."""

    where: str
    text: str


@dataclass
class Story:
    """What was played, and what is left of it."""

    bookings: list[Booking] = field(default_factory=list)
    database: list[Kept] = field(default_factory=list)
    redis: list[Kept] = field(default_factory=list)
    log: list[Kept] = field(default_factory=list)

    @property
    def everything(self) -> list[Kept]:
        return [*self.database, *self.redis, *self.log]

    def places(self, needles: set[str], kept: list[Kept] | None = None) -> set[str]:
        """Where any of these stands; of a number, however it is written."""
        squeezed = {needle for needle in needles if needle.isdecimal()}
        return {
            each.where
            for each in (self.everything if kept is None else kept)
            if any(needle in each.text for needle in needles)
            or any(needle in re.sub(r"[\s().-]", "", each.text) for needle in squeezed)
        }


# --- the story ----------------------------------------------------------------------------------


class Voice:
    """Books as an agent does: with a code that is resent, said wrong, said in a sentence, and said right."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, twilio: str) -> None:
        self.client, self.sql, self.twilio = client, sql, twilio

    def ask(self, booking: Booking, tool: str, **arguments: Any) -> str:
        if booking.call is None:
            body = bare_body(arguments)
        else:
            body = vapi_body([(f"call_{uuid.uuid4()}", tool, arguments)], booking.call, booking.number)
        return self._post(booking.clinic, f"/api/vapi/tools/{PATHS[tool]}", body)

    def _post(self, clinic: Clinic, path: str, body: bytes) -> str:
        response = post(self.client, path, body, clinic.headers(body))
        assert response.status_code == 200
        return response.text

    def reserve(self, booking: Booking, n: int) -> None:
        starts = instant(ground.slot(0, n))
        self.ask(booking, "check_availability", date=starts[:10])
        held = self.ask(
            booking, "reserve_atomic", slotId=starts, patientName=booking.name, patientPhone=booking.number
        )
        booking.hold = _id("holdId", held)

    def book(self, booking: Booking, n: int, *, fault: str | None = None) -> None:
        self.reserve(booking, n)
        named = {} if booking.call else {"holdId": booking.hold}
        for _ in range(2):
            self.ask(booking, "send_otp_code", **named)
            self.deliver(booking.clinic)
        read = [each["body"] for each in ground.inbox(self.twilio, "") if each["to"] == booking.number]
        booking.code = read[0].split()[0]
        assert [each.split()[0] for each in read] == [booking.code] * 2
        wrong = str((int(booking.code) + 1) % 10**8).zfill(8)
        self.ask(booking, "verify_otp", **named, providedOTP=agent.spoken(wrong, "words"))
        self.ask(booking, "verify_otp", **named, providedOTP=f"{booking.name}, {booking.code}, I believe")
        booked = self.ask(
            booking,
            "verify_otp",
            **named,
            providedOTP=agent.spoken(booking.code, ("plain", "spaced", "words")[n % 3]),
            serviceType=booking.clinic.services[0],
        )
        booking.appointment = _id("appointmentId", booked)
        if fault:
            self.fault(fault)
        self.deliver(booking.clinic)
        given = {} if booking.call else {"appointmentId": booking.appointment}
        self.ask(booking, "send_confirmation_sms", **given)
        booking.texts = [
            each["body"] for each in ground.inbox(self.twilio, "") if each["to"] == booking.number
        ]

    def hang_up(self, booking: Booking) -> None:
        """The report of a call holds every word of it."""
        message = {
            "type": "end-of-call-report",
            "endedReason": "customer-ended-call",
            "call": {"id": booking.call, "customer": {"number": booking.number}},
            "artifact": {"transcript": f"My name is {booking.name}, {booking.number}; {booking.code}."},
            "customer": {"name": booking.name, "number": booking.number},
        }
        self._post(booking.clinic, "/api/vapi/webhook", json.dumps({"message": message}).encode())

    def deliver(self, clinic: Clinic) -> None:
        for (message,) in self.sql.execute(
            "SELECT id::text FROM sms_messages WHERE org_id = %s AND status = 'queued'", [clinic.org_id]
        ).fetchall():
            try:
                deliver_sms.run(org_id=clinic.org_id, message_id=message)
            except providers.Unavailable:
                logging.getLogger("celery.app.trace").exception("as a worker tells of it")

    def fault(self, kind: str) -> None:
        request = urllib.request.Request(
            f"{self.twilio}/sandbox/faults",
            json.dumps({"kind": kind}).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()


def _id(name: str, answer: str) -> str:
    match = re.search(rf"{name}\W+([0-9a-f]{{8}}-[0-9a-f-]{{27}})", answer)
    assert match, answer
    return match[1]


@pytest.fixture(scope="module")
def story(app: Flask, database_url: str, twilio: str) -> Story:
    """Played once, with all that can go wrong at Twilio; then read by every test here."""
    told = Story()
    with (
        psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as sql,
        _written() as written,
        ground.listening() as ears,
    ):
        voice = Voice(app.test_client(), sql, twilio)
        clinics = [found(letter, kind, code_length=8) for letter, kind in zip("def", KINDS, strict=True)]
        for n, clinic in enumerate(clinics):
            for call in (None, str(uuid.uuid4())):
                place = len(told.bookings)
                # A name of its own for each: what is found must be this patient's.
                booking = Booking(
                    clinic, f"Pat{'abcdef'[place]}zqx Quillfeather", f"+44740099{place:04}", call
                )
                told.bookings.append(booking)
                voice.book(booking, n * 2 + bool(call), fault="500-after-accept" if call else None)
                if call:
                    voice.hang_up(booking)
        _misfortunes(voice, clinics[0])
        told.database = [Kept(f"{table}.{column}", text) for table, column, text in _columns(sql)]
    told.redis = list(_redis())
    told.log = [
        Kept("our own records", text) for text in ears.heard if text.startswith(("webapp", "models", "tasks"))
    ]
    told.log += [Kept("the log", line) for line in written.getvalue().splitlines()]
    assert told.redis
    assert told.log
    return told


def _misfortunes(voice: Voice, clinic: Clinic) -> None:
    """A number that is none; and a Twilio that is away, too busy, or whose answer is lost."""
    refused = Booking(clinic, "Nobody Zqx", REFUSED, None)
    voice.sql.execute(
        'UPDATE organizations SET allowed_countries = \'["GB", "US"]\' WHERE id = %s', [clinic.org_id]
    )
    voice.reserve(refused, 12)
    voice.ask(refused, "send_otp_code", holdId=refused.hold)
    voice.deliver(clinic)
    clock = Clock(voice.sql)
    try:
        for n, kind in enumerate(("429", "500", "500-after-accept", "drop-after-accept")):
            unlucky = Booking(clinic, "Nobody Zqx", f"+44740098{n:04}", None)
            voice.reserve(unlucky, 8 + n)
            voice.ask(unlucky, "send_otp_code", holdId=unlucky.hold)
            voice.fault(kind)
            voice.deliver(clinic)
            attempts = voice.sql.execute(
                "SELECT attempt FROM sms_messages WHERE hold_id = %s", [unlucky.hold]
            ).fetchall()
            assert attempts == [(1,)], kind
        clock.forward(91)
        reconcile_sms.run()  # asks Twilio for what it has for a number
        sweep_sms.run()
    finally:
        voice.sql.execute("UPDATE test_clock SET shift = '0'")
        over = urllib.request.Request(f"{voice.twilio}/sandbox/faults", method="DELETE")
        urllib.request.urlopen(over).close()


@contextmanager
def _written() -> Iterator[io.StringIO]:
    """What a process of production writes to its log."""
    root, before = logging.getLogger(), logging.getLogger().handlers[:]
    level, stderr, sys.stderr = root.level, sys.stderr, io.StringIO()
    try:
        logs.configure()
        yield sys.stderr
    finally:
        sys.stderr = stderr
        root.setLevel(level)
        for handler in [each for each in root.handlers if each not in before]:
            root.removeHandler(handler)


def _columns(sql: psycopg.Connection) -> Iterator[tuple[str, str, str]]:
    """Every value of every table, as a dump has it."""
    tables = sql.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    ).fetchall()
    assert ("public", "tool_calls") in tables
    for schema, table in tables:
        query = compose.SQL("SELECT key, value FROM {} t, jsonb_each_text(to_jsonb(t))")
        for column, text in sql.execute(query.format(compose.Identifier(schema, table))):
            if text is not None:
                yield table, column, text


def _redis() -> Iterator[Kept]:
    """Every key with all that is in it, and what is packed in base64 unpacked."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    read: dict[Any, Any] = {
        b"string": client.get,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    queued = 0
    for key in client.scan_iter():
        held = repr(read[client.type(key)](key))
        packed = re.findall(r"[A-Za-z0-9+/]{40,}={0,2}", held)
        queued += "sms.deliver_sms" in held
        yield Kept(f"redis {key!r}", f"{key!r} {held} {[base64.b64decode(each + '==') for each in packed]}")
    client.close()
    assert queued, "no nudge lies in Redis: this would prove nothing"


# --- what must be nowhere -----------------------------------------------------------------------


def test_every_patient_booked(story: Story) -> None:
    assert len(story.bookings) == 6
    assert all(booking.code and booking.appointment for booking in story.bookings)


def test_no_code_is_kept_anywhere(story: Story) -> None:
    """P4: not in digits, not in words, and not as a digest that could be tried out without the key."""
    for booking in story.bookings:
        code = booking.code
        spelled = {code, *(joint.join(code) for joint in (" ", "-", ", ", ",")), agent.spoken(code, "words")}
        digests = {
            hashlib.new(name, text.encode()).hexdigest()
            for name in ("md5", "sha1", "sha256", "sha512")
            for text in (code, booking.hold + code, f"{booking.hold}|{code}", f"{booking.hold}|1|{code}")
        }
        assert story.places(spelled) == set(), "P4: a code"
        assert story.places(digests) == set(), "P4: a digest without a key"


def test_no_secret_is_kept_anywhere(story: Story) -> None:
    secrets = {"SECRET_KEY": settings.get().secret_key}
    for purpose in ("otp-code", "otp-check", "sealed-secrets", "sms-receipts", "tool-arguments"):
        secrets[purpose] = settings.get().subkey(purpose).decode("latin-1")
    for clinic in {booking.clinic.org_id: booking.clinic for booking in story.bookings}.values():
        secrets |= {f"{name} of {clinic.letter}": secret for name, secret in clinic.secrets().items()}
    for name, secret in secrets.items():
        raw = secret.encode("latin-1")
        ways = {
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        }
        assert story.places({secret, raw.hex(), secret[:20], *ways}) == set(), name


def test_no_receipt_can_be_made_from_what_is_kept(story: Story) -> None:
    """The token in the address that Twilio reports to is told to Twilio alone."""
    queued = [kept.text for kept in story.database if kept.where == "sms_messages.id"]
    assert queued
    tokens = {
        receipts.receipt_token(uuid.UUID(message), attempt) for message in queued[-40:] for attempt in (1, 2)
    }
    assert story.places(tokens) == set()


def test_no_link_of_a_patients_is_kept_anywhere(story: Story) -> None:
    """Who has it may cancel the appointment."""
    for booking in story.bookings:
        [token] = [found for text in booking.texts for found in re.findall(r"/a/(\w+)", text)]
        assert story.places({token}) == set()


# --- what may be in the database alone ----------------------------------------------------------


def _needles(story: Story) -> dict[str, set[str]]:
    clinics = [booking.clinic for booking in story.bookings]

    def numbers(*written: str) -> set[str]:
        return {number.removeprefix("+44").removeprefix("+1") for number in written}

    return {
        "patient's name": {booking.name for booking in story.bookings}
        | {booking.name.split()[0] for booking in story.bookings},
        "patient's number": numbers(*(booking.number for booking in story.bookings)),
        "refused number": numbers(REFUSED),
        "service": {clinic.services[0] for clinic in clinics},
        "clinic's name": {clinic.name for clinic in clinics},
        "clinic's number": numbers(*(clinic.phone for clinic in clinics)),
        "sender's number": numbers(*(clinic.from_number for clinic in clinics)),
        "owner's number": numbers(*(clinic.owner_phone for clinic in clinics)),
        "lead's name": {f"{clinic.canary} lead" for clinic in clinics},
        "lead's number": numbers(*(clinic.lead_phone for clinic in clinics)),
        "staff's name": {f"{clinic.canary} owner" for clinic in clinics},
    }


@pytest.mark.parametrize("what", ALLOWED)
def test_names_and_numbers_stand_in_the_columns_that_are_listed(story: Story, what: str) -> None:
    # The number that Twilio refuses is the same for everybody: another test may have booked with it.
    elsewhere = {"appointments.patient_phone"} if what == "refused number" else set()
    assert story.places(_needles(story)[what], story.database) - elsewhere == ALLOWED[what]


@pytest.mark.parametrize("what", ALLOWED)
def test_redis_has_no_name_and_no_number(story: Story, what: str) -> None:
    assert story.places(_needles(story)[what], story.redis) == set()


@pytest.mark.parametrize("what", ALLOWED)
def test_the_log_has_no_name_and_no_number(story: Story, what: str) -> None:
    log = [kept for kept in story.log if kept.where == "the log"]
    assert story.places(_needles(story)[what], log) == set()


def test_our_own_code_logs_no_patient_even_before_anything_is_masked(story: Story) -> None:
    """The last line of defence is not the only one. What Twilio said of a number is the exception."""
    records = [kept for kept in story.log if kept.where == "our own records"]
    assert records
    for what in ("patient's name", "patient's number", "service"):
        assert story.places(_needles(story)[what], records) == set()


def test_a_task_is_told_ids_and_nothing_else(story: Story) -> None:
    broker = ground.broker()
    for queue in ("otp", "sms"):
        for arguments, keywords, _ in ground.payloads(broker, queue, 0):
            assert arguments == []
            assert {name: str(uuid.UUID(value)) for name, value in keywords.items()} == keywords
            assert set(keywords) == {"org_id", "message_id"}
    broker.close()
