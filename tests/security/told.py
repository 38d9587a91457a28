"""Every kind of booking once, and all traces of it: in the database, in Redis and in the log."""

from __future__ import annotations

import base64
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

from runtime import logs
from tasks import providers
from tasks.messaging import deliver_sms, reconcile_sms, sweep_sms
from tests.conftest import Clock
from tests.security import ground
from tests.security.ground import KINDS, Clinic, bare_body, found, instant, post, vapi_body
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PATHS

#: Twilio answers 21614 to this number: no mobile.
REFUSED = "+15005550009"


@dataclass
class Booking:
    """One patient's booking, in one clinic and one form."""

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
    """A text, and its place: a column, a key of Redis, or the log."""

    where: str
    text: str


@dataclass
class Story:
    """The bookings that were played, and all traces of them."""

    bookings: list[Booking] = field(default_factory=list)
    database: list[Kept] = field(default_factory=list)
    redis: list[Kept] = field(default_factory=list)
    log: list[Kept] = field(default_factory=list)

    @property
    def everything(self) -> list[Kept]:
        return [*self.database, *self.redis, *self.log]

    def places(self, needles: set[str], kept: list[Kept] | None = None) -> set[str]:
        """The places of any of these texts; a number is found in any spelling."""
        squeezed = {needle for needle in needles if needle.isdecimal()}
        return {
            each.where
            for each in (self.everything if kept is None else kept)
            if any(needle in each.text for needle in needles)
            or any(needle in re.sub(r"[\s().-]", "", each.text) for needle in squeezed)
        }


class Voice:
    """Books as an agent does: a code is sent again, said wrongly, said in a sentence, and said right."""

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
        """Send the report of a call, which contains every word of it."""
        message = {
            "type": "end-of-call-report",
            "endedReason": "customer-ended-call",
            "call": {"id": booking.call, "customer": {"number": booking.number}},
            "artifact": {"transcript": f"My name is {booking.name}, {booking.number}; {booking.code}."},
            "customer": {"name": booking.name, "number": booking.number},
        }
        self._post(booking.clinic, "/api/vapi/webhook", json.dumps({"message": message}).encode())

    def deliver(self, clinic: Clinic, *, hold: str | None = None) -> None:
        """Deliver the clinic's queued messages, or only the code of this hold."""
        for (message,) in self.sql.execute(
            "SELECT id::text FROM sms_messages WHERE org_id = %s AND status = 'queued'"
            " AND hold_id IS NOT DISTINCT FROM coalesce(%s::uuid, hold_id)",
            [clinic.org_id, hold],
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
    """All bookings, played once with Twilio's faults, for every test to read."""
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
                # Each has a name of its own, so that a find is this patient's.
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
    """Book with a refused number, and with a Twilio that is away, too busy, or whose answer is lost."""
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
            voice.deliver(clinic, hold=unlucky.hold)  # or the fault may meet one that is tried again
            attempts = voice.sql.execute(
                "SELECT attempt FROM sms_messages WHERE hold_id = %s", [unlucky.hold]
            ).fetchall()
            assert attempts == [(1,)], kind
        clock.forward(91)
        reconcile_sms.run()  # asks Twilio for its messages to a number
        sweep_sms.run()
    finally:
        voice.sql.execute("UPDATE test_clock SET shift = '0'")
        over = urllib.request.Request(f"{voice.twilio}/sandbox/faults", method="DELETE")
        urllib.request.urlopen(over).close()


@contextmanager
def _written() -> Iterator[io.StringIO]:
    """Yields the log as a process of production writes it."""
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
    """Every value of every table, as in a dump: table, column, text."""
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
    """Every key with its contents, base64 decoded."""
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
