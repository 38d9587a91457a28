"""Clinics that can be recognised wherever their data leaks, and a reader of all stored data.

The expectations of these tests are written here again, and do not come from the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import logging
import os
import re
import secrets
import time
import traceback
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, LiteralString

import psycopg
import redis
from flask.testing import FlaskClient
from psycopg import sql as compose
from werkzeug.test import TestResponse

import settings
from models.base import sealing
from models.base.session import Door, system_transaction
from models.booking import set_up
from models.booking.hours import WEEKDAYS
from models.calls.calls import Call
from models.clinics.organizations import IntegrationSettings, Organization, VapiCredential
from models.clinics.staff import StaffUser
from models.leads.leads import HotLeadAlert
from tests.webapp.agents.books import Books

KINDS = ("bearer", "vapi_secret", "hmac")


@dataclass(frozen=True)
class Clinic:
    """One clinic. All its texts begin with its canary; no other clinic has its secrets."""

    letter: str
    kind: str
    code_length: int
    code_tries: int
    org_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    credential_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    account_sid: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    auth_token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    api_key_secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    vapi_api_key: str = field(default_factory=lambda: str(uuid.uuid4()), repr=False)

    @property
    def canary(self) -> str:
        return f"zq{self.letter}canary"

    @property
    def name(self) -> str:
        return f"{self.canary} Clinic"

    @property
    def phone(self) -> str:
        return f"+44207946{ord(self.letter):04}"

    @property
    def readable_phone(self) -> str:
        return f"+44 20 7946 {ord(self.letter):04}"

    @property
    def owner_phone(self) -> str:
        return f"+44207947{ord(self.letter):04}"

    @property
    def lead_phone(self) -> str:
        return f"+44207948{ord(self.letter):04}"

    @property
    def from_number(self) -> str:
        return f"+44770080{ord(self.letter):04}"

    @property
    def calendars(self) -> tuple[str, str]:
        return (f"{self.canary}-diary", f"{self.canary}-room")

    @property
    def services(self) -> list[str]:
        return [f"{self.canary} check-up", f"{self.canary} cleaning"]

    @property
    def old_call(self) -> str:
        return f"{self.canary}-call-of-yesterday"

    def headers(self, body: bytes, **other: str) -> dict[str, str]:
        """The headers that Vapi sends with a body; `other` replaces the secret or the credential id."""
        secret = other.get("secret", self.secret)
        if self.kind == "bearer":
            return {"Authorization": f"Bearer {secret}"}
        if self.kind == "vapi_secret":
            return {"X-Vapi-Secret": secret}
        stamp = str(time.time_ns() // 1_000_000)  # milliseconds: the same signature twice is a repeat
        return {
            "X-Holdline-Credential": other.get("credential_id", self.credential_id),
            "x-timestamp": stamp,
            "x-signature": hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256").hex(),
        }

    def secrets(self) -> dict[str, str]:
        """The secrets that must appear nowhere, in any spelling."""
        return {
            "credential": self.secret,
            "Twilio auth token": self.auth_token,
            "Twilio API key": self.api_key_secret,
            "Vapi API key": self.vapi_api_key,
        }


def found(letter: str, kind: str, *, code_length: int = 4, code_tries: int = 3, **limits: Any) -> Clinic:
    """Make a clinic, with rows in every table that a clinic needs before its first call."""
    clinic = Clinic(letter, kind, code_length, code_tries)
    org_id, canary = uuid.UUID(clinic.org_id), clinic.canary
    signed = kind == "hmac"
    with system_transaction(Door.OPERATOR) as session:
        session.add(
            Organization(
                id=org_id,
                name=clinic.name,
                phone=clinic.phone,
                region="GB",
                code_length=code_length,
                code_tries=code_tries,
                **limits,
            )
        )
        session.flush()
        session.add(
            IntegrationSettings(
                org_id=org_id,
                twilio_account_sid=clinic.account_sid,
                twilio_auth_token_sealed=sealing.seal(org_id, "twilio_auth_token", clinic.auth_token),
                twilio_from_number=clinic.from_number,
                hot_lead_alert_phone=clinic.owner_phone,
                vapi_api_key_sealed=sealing.seal(org_id, "vapi_api_key", clinic.vapi_api_key),
                vapi_credential_id=f"{canary}-credential",
                vapi_phone_number_id=f"{canary}-number",
                vapi_assistant_id=f"{canary}-assistant",
            )
        )
        session.add(
            VapiCredential(
                id=uuid.UUID(clinic.credential_id),
                org_id=org_id,
                kind=kind,
                label=f"{canary} label",
                secret_digest=None if signed else hashlib.sha256(clinic.secret.encode()).hexdigest(),
                secret_sealed=sealing.seal(org_id, "vapi_hmac", clinic.secret) if signed else None,
                algorithm="sha256" if signed else None,
                encoding="hex" if signed else None,
                signature_header="x-signature" if signed else None,
                timestamp_header="x-timestamp" if signed else None,
            )
        )
        session.add(StaffUser(org_id=org_id, email=f"{org_id}@{canary}.test", name=f"{canary} owner"))
        for calendar in clinic.calendars:
            set_up.add_calendar(
                session,
                org_id=org_id,
                calendar_id=calendar,
                name=f"{calendar} of Dr {canary}",
                time_zone="UTC",
                opening={day: [["09:00", "17:00"]] for day in WEEKDAYS},
                service_names=clinic.services,
                horizon_days=400,
            )
        session.add(Call(org_id=org_id, id=clinic.old_call, status="ended", ended_reason=f"{canary} hung up"))
        session.flush()
        session.add(
            HotLeadAlert(
                org_id=org_id,
                call_id=clinic.old_call,
                lead_name=f"{canary} lead",
                lead_phone=clinic.lead_phone,
                lead_score=90,
            )
        )
    return clinic


# --- requests -----------------------------------------------------------------------------------


def slot(day: int, half_hour: int) -> datetime:
    """The start of a slot on the grid of these clinics."""
    first = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=14 + day)
    return first + timedelta(minutes=30 * (half_hour % 16))


def instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def bare_body(arguments: dict[str, Any], call_id: str | None = None) -> bytes:
    call = {"call": {"id": call_id}} if call_id is not None else {}
    return json.dumps({"toolCall": {"arguments": arguments}} | call).encode()


def vapi_body(
    calls: list[tuple[str, str, dict[str, Any]]], call_id: str | None, number: str | None = None
) -> bytes:
    """A message of Vapi's with tool calls, each with an id, a name and arguments."""
    call: dict[str, Any] = {"type": "inboundPhoneCall"}
    call |= {"id": call_id} if call_id is not None else {}
    call |= {"customer": {"number": number}} if number is not None else {}
    entries = [
        {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
        for key, name, arguments in calls
    ]
    return json.dumps({"message": {"type": "tool-calls", "call": call, "toolCallList": entries}}).encode()


def post(client: FlaskClient, path: str, body: bytes, headers: dict[str, str]) -> TestResponse:
    return client.post(path, data=body, headers={"Content-Type": "application/json"} | headers)


def inbox(twilio: str, since: str) -> list[dict[str, str]]:
    """The SMS that patients got since then, oldest first."""
    with urllib.request.urlopen(f"{twilio}/inbox.json?since={since}") as response:
        messages: list[dict[str, str]] = json.load(response)
    return messages[::-1]


# --- what an SMS may say ------------------------------------------------------------------------


def code_sms(clinic: Clinic, code: str) -> str:
    return (
        f"{code} is your {clinic.name} code."
        " Read it to the assistant on the phone. Not calling us? Ignore this text."
    )


def confirmation_sms(clinic: Clinic, starts: datetime) -> re.Pattern[str]:
    hour = starts.hour % 12 or 12
    half = "am" if starts.hour < 12 else "pm"
    said = f"{starts:%a} {starts.day} {starts:%b %Y} at {hour}:{starts:%M} {half}"
    begin, call = f"Confirmed: {said}, {clinic.name}.", f"call {clinic.readable_phone}"
    link = f"{settings.get().public_base_url}/a/"
    return re.compile(
        f"{re.escape(begin)} Ref [A-Z2-7]{{6}}. To change or cancel:"
        f" {re.escape(link)}[0-9a-z]{{12}} or {re.escape(call)}"
        f"|{re.escape(begin)} To change it, {re.escape(call)}. Ref [A-Z2-7]{{6}}"
    )


def alert_sms(clinic: Clinic) -> re.Pattern[str]:
    """The alert's words: a name of letters, a number of digits, a service of the clinic, our reasons."""
    known = "|".join(map(re.escape, clinic.services))
    return re.compile(
        r"Hot lead \d{1,3}/100: (?:[^\W\d_]|[ '’-]){1,33}, (?:\+?\d{3,15}|number withheld|number not shown)"  # noqa: RUF001
        rf"(?:, for (?:{known}))?\.(?: \d{{1,4}} min call\.)?(?: [A-Za-z][A-Za-z0-9 ,':;()-]*\.)*"
        r"|\d+ more hot leads since \d{1,2}:\d\d [ap]m, the best \d{1,3}/100\."
        rf" See {re.escape(settings.get().public_base_url)}/dashboard/live"
    )


# --- all that is kept ---------------------------------------------------------------------------


class Everything(Books):
    """All rows of some clinics, in every table, at one moment."""

    def __init__(self, sql: psycopg.Connection, org_ids: list[str]) -> None:
        self.rows = {}
        self.of = {org_id: [] for org_id in org_ids}
        for table, now, org_id, text in sql.execute(_every_table(sql), {"orgs": org_ids}):
            self.now = now.astimezone(UTC)
            if table:
                self.rows.setdefault(table, []).append(_row(text))
                self.of[str(org_id)].append(f"{table} {text}")
        for lines in self.of.values():
            lines.sort()


@lru_cache(maxsize=1)
def _every_table(sql: psycopg.Connection) -> compose.Composed:
    tables = sql.execute(
        "SELECT t.table_name, c.column_name FROM information_schema.tables t"
        " JOIN information_schema.columns c USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        " AND c.column_name = CASE table_name WHEN 'organizations' THEN 'id' ELSE 'org_id' END ORDER BY 1"
    ).fetchall()
    first: LiteralString = "SELECT NULL AS name, app_clock() AS now, NULL::uuid AS org_id, NULL AS line"
    each: LiteralString = (
        "SELECT {name}, app_clock(), {org}, to_jsonb(t)::text FROM {table} t WHERE {org} = ANY (%(orgs)s)"
    )
    return compose.SQL(" UNION ALL ").join(
        [
            compose.SQL(first),
            *(
                compose.SQL(each).format(
                    name=compose.Literal(table), table=compose.Identifier(table), org=compose.Identifier(org)
                )
                for table, org in tables
            ),
        ]
    )


@lru_cache(maxsize=8192)
def _row(text: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(text)
    return row


_MARKS = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
    r"|\+\d{8,15}|\b(?:SM|AC)[0-9a-f]{32}\b|\b[0-9a-f]{64}\b|\bv2\.[\w.=-]+|zq[a-z]canary"
)


def marks(text: str) -> set[str]:
    """The parts of a text that tell its clinic: ids, telephone numbers, digests, sealed secrets, canaries."""
    return set(_MARKS.findall(re.sub(r"(?<=\d) (?=\d)", "", text).lower())) | set(_MARKS.findall(text))


def shown(codes: set[str], text: str) -> set[str]:
    """The codes that stand in a text by themselves, whole or digit by digit."""
    groups = re.findall(r"(?<![\w.+-])\d+(?:[ ,-]\d+)*(?![\w-])", text)
    parts = {part for group in groups for part in re.split(r"\D", group)}
    return codes & (parts | {re.sub(r"\D", "", group) for group in groups})


def payloads(broker: redis.Redis, queue: str, seen: int) -> list[tuple[list[Any], dict[str, Any], Any]]:
    """The tasks that entered a queue after the first `seen`, as Celery would read them."""
    new = int(broker.llen(queue)) - seen
    raw: list[bytes] = broker.lrange(queue, 0, new - 1) if new > 0 else []  # type: ignore[assignment]
    return [json.loads(base64.b64decode(json.loads(message)["body"])) for message in raw]


def broker() -> redis.Redis:
    return redis.Redis.from_url(os.environ["REDIS_URL"])


class Ears(logging.Handler):
    """Keeps every log record, with the text of exceptions and all attributes of the record."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = io.StringIO()
        text.write(record.getMessage())
        if record.exc_info and record.exc_info[0]:
            traceback.print_exception(*record.exc_info, file=text)
        extra = {name: value for name, value in vars(record).items() if name not in _USUAL}
        self.heard.append(f"{record.name} {text.getvalue()} {extra or ''}")


_USUAL = {*vars(logging.makeLogRecord({})), "message"}


@contextmanager
def listening(level: int = logging.INFO) -> Iterator[Ears]:
    """Listen to all logs at the level of production, and to those of our own code at DEBUG."""
    ears = Ears()
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("webapp", "models", "tasks")]
    before = [(logger, logger.level) for logger in (root, *ours)]
    others = [handler for handler in root.handlers if type(handler).__module__.startswith("_pytest")]
    root.addHandler(ears)
    for handler in others:
        root.removeHandler(handler)  # pytest would print the log of every example
    root.setLevel(level)
    for logger in ours:
        logger.setLevel(logging.DEBUG)
    try:
        yield ears
    finally:
        root.removeHandler(ears)
        for handler in others:
            root.addHandler(handler)
        for logger, was in before:
            logger.setLevel(was)
