"""The audit log in words that the owner of a clinic understands: what changed, and never a value."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from sqlalchemy import ColumnElement, TextClause, select, text, tuple_
from sqlalchemy.orm import Session

from models.base.audit import DAILY, AuditEntry
from models.clinics import staff

#: Entries of one page.
PAGE = 50


class About(StrEnum):
    """What the record can be limited to."""

    SETTINGS = "settings"
    DAILY = "daily"
    SIGN_IN = "sign-in"
    ALL = "all"


#: The actor of failed sign-ins (webapp/staff/tries.py).
_SIGN_IN = "sign-in"

_ONLY: dict[About, tuple[ColumnElement[bool] | TextClause, ...]] = {
    About.SETTINGS: (text(f"NOT ({DAILY})"), AuditEntry.actor != _SIGN_IN),
    About.DAILY: (text(DAILY),),
    About.SIGN_IN: (AuditEntry.actor == _SIGN_IN,),
    About.ALL: (),
}


@dataclass(frozen=True, slots=True)
class Change:
    """What one person or call changed in one transaction."""

    at: datetime
    actor: str
    who: str
    #: Each thing that was changed, as a sentence without a full stop.
    what: list[str]
    entries: list[AuditEntry]


def find(
    session: Session,
    org_id: uuid.UUID,
    *,
    about: About = About.SETTINGS,
    staff_email: str | None = None,
    since: datetime | None = None,
    after: tuple[datetime, int] | None = None,
    most: int = PAGE,
) -> list[AuditEntry]:
    """Entries of this clinic, newest first, at most so many: of one member of staff, since a moment, or those
    that follow the entry with this time and id.
    """
    query = select(AuditEntry).where(AuditEntry.org_id == org_id, *_ONLY[about])
    if staff_email is not None:
        query = query.where(AuditEntry.actor == f"staff {staff_email}")
    if since is not None:
        query = query.where(AuditEntry.created_at >= since)
    if after is not None:
        query = query.where(tuple_(AuditEntry.created_at, AuditEntry.id) < after)
    newest_first = query.order_by(AuditEntry.created_at.desc(), AuditEntry.id.desc())
    return list(session.scalars(newest_first.limit(most)))


def told(session: Session, org_id: uuid.UUID, entries: Sequence[AuditEntry]) -> list[Change]:
    """These entries as changes: what one actor did in one transaction is one change."""
    people = {user.email: user.name for user in staff.list_of(session, org_id)}
    names = _names(session, org_id, entries)
    changes = []
    for (at, actor), group in groupby(entries, key=lambda each: (each.created_at, each.actor)):
        made = list(group)
        what = list(dict.fromkeys(_sentence(each, names) for each in reversed(made)))
        changes.append(Change(at, actor, _who(actor, people), what, made))
    return changes


# --- who ----------------------------------------------------------------------------------------


def _who(actor: str, people: dict[str, str]) -> str:
    kind, _, name = actor.partition(" ")
    if kind == "staff":
        return people.get(name, name)
    if kind == "operator":
        return f"The operator of Holdline ({name})" if name else "The operator of Holdline"
    known = {
        "call": "A caller",
        "patient": "A patient, by the link in an SMS",
        "twilio": "The provider of SMS",
        _SIGN_IN: "Somebody at the sign-in",
        "sql": "An SQL prompt",
    }
    return known.get(kind, "Holdline itself")


# --- what ---------------------------------------------------------------------------------------

#: The thing that a row of an audited table is.
THINGS = {
    "organizations": "the clinic",
    "integration_settings": "alerts and connections",
    "vapi_credentials": "credential",
    "staff_users": "team member",
    "calendars": "calendar",
    "resources": "person, room or device",
    "services": "service",
    "service_resources": "who or what does a service",
    "resource_hours": "opening hours",
    "hours_exceptions": "closed or special day",
    "blocks": "blocked time",
    "appointments": "appointment",
    "contacts": "patient",
    "calls": "call",
    "appointment_holds": "hold",
    "sms_senders": "sending of SMS",
    "opt_outs": "patients who want no SMS",
    "patient_notes": "note on a patient",
    "import_files": "file to import",
    "calendar_feeds": "calendar from elsewhere",
    "published_calendars": "published calendar",
}

#: Columns whose names say too little, or too much of the machinery.
COLUMNS = {
    "phone": "telephone",
    "patient_phone": "telephone",
    "patient_name": "name",
    "region": "country",
    "sandbox": "practice mode",
    "code_tries": "wrong codes per hold",
    "keep_words_days": "how long words are kept",
    "keep_patients_days": "how long patients are kept",
    "lead_rules": "points for scoring leads",
    "hot_lead_alert_phone": "alert phone for hot leads",
    "hot_lead_threshold": "score of a hot lead",
    "hot_lead_min_duration": "shortest call for an alert",
    "hot_lead_alerts_an_hour": "alerts an hour",
    "sms_per_second": "pace of SMS",
    "email": "e-mail address",
    "password_hash": "password",
    "session_epoch": "sessions ended",
    "disabled_at": "may sign in",
    "totp_since": "second factor",
    "totp_sealed": "second factor",
    "totp_last_step": "second factor",
    "recovery_digests": "recovery codes",
    "invitation_digest": "link to set a password",
    "invited_until": "link to set a password",
    "revoked_at": "revoked",
    "retired_at": "retired",
    "service_id": "service",
    "resource_id": "person, room or device",
    "calendar_id": "calendar",
    "room_id": "room",
    "scheduled_at": "time",
    "called_back_at": "called back",
    "called_back_by": "called back",
    "worth_call": "worth the call",
    "min_notice_minutes": "notice",
    "horizon_days": "how far ahead",
    "step_minutes": "steps between starts",
    "by_phone": "bookable by phone",
    "by_link": "bookable by link",
    "words": "other names",
    "address_sealed": "address",
    "is_on": "turned on or off",
    "every_minutes": "how often it is read",
    "token_digest": "link",
    "with_names": "with names or busy times only",
    "feed_limit_hours": "how old a calendar from elsewhere may be",
}

#: Not of interest beside what caused them.
_LEFT_OUT = {"last_seen_at", "judged_by", "judged_at", "judged_score", "judged_band"}

#: The present names of rows, by the id in their entries. Patients are never named.
_BY_TEXT = "SELECT id, name FROM {table} WHERE org_id = :org AND id = ANY (:ids)"
_BY_UUID = (
    "SELECT CAST(id AS text) AS id, {name} AS name FROM {table}"
    " WHERE org_id = :org AND id = ANY (CAST(:ids AS uuid[]))"
)
_OF_RESOURCE = (
    "SELECT CAST(t.id AS text) AS id, r.name FROM {table} t"
    " JOIN resources r ON r.org_id = t.org_id AND r.id = t.resource_id"
    " WHERE t.org_id = :org AND t.id = ANY (CAST(:ids AS uuid[]))"
)
_WITH_OF = ("resource_hours", "hours_exceptions", "blocks")
_NAMES = {
    **{
        each: text(_BY_TEXT.format(table=each, name="name"))
        for each in ("resources", "services", "calendars")
    },
    "staff_users": text(_BY_UUID.format(table="staff_users", name="name")),
    **{
        each: text(_BY_UUID.format(table=each, name="label"))
        for each in ("vapi_credentials", "calendar_feeds")
    },
    **{each: text(_OF_RESOURCE.format(table=each)) for each in _WITH_OF},
}

_VERBS = {"insert": "Added", "update": "Changed", "delete": "Removed"}


def _names(session: Session, org_id: uuid.UUID, entries: Sequence[AuditEntry]) -> dict[tuple[str, str], str]:
    names: dict[tuple[str, str], str] = {}
    for table, query in _NAMES.items():
        ids = sorted({each.row_id for each in entries if each.table_name == table})
        if ids:
            rows = session.execute(query, {"org": org_id, "ids": ids})
            names |= {(table, row_id): name for row_id, name in rows if name}
    return names


def _sentence(entry: AuditEntry, names: dict[tuple[str, str], str]) -> str:
    name = names.get((entry.table_name, entry.row_id))
    thing = THINGS[entry.table_name]
    if name:
        thing += f" of {name}" if entry.table_name in _WITH_OF else f" {name}"
    if entry.action not in _VERBS:  # a failed sign-in, which says itself what it is
        return f"{entry.action[:1].upper()}{entry.action[1:]}: {thing}"
    columns = dict.fromkeys(_column(each) for each in entry.columns if each not in _LEFT_OUT)
    return f"{_VERBS[entry.action]} {thing}{': ' if columns else ''}{', '.join(columns)}"


def _column(name: str) -> str:
    plain = name.removesuffix("_sealed").removesuffix("_digest")
    return COLUMNS.get(name) or plain.replace("_", " ").replace("vapi", "Vapi").replace("twilio", "Twilio")
