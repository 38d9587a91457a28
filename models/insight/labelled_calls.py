"""Calls that the staff judged, without what identifies the caller, in the form used to train the score."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from models.base import digests
from models.booking import appointments, codes, services
from models.booking.appointments import AppointmentStatus
from models.calls import redaction
from models.calls.calls import Call
from models.calls.reports import CALLER
from models.clinics import calendars
from models.clinics.organizations import Organization
from models.clinics.staff import StaffUser
from models.insight import names_said
from models.insight.names_said import Nameless


@dataclass(slots=True)
class Labelled:
    """The judged calls, oldest first, and how many judged calls are left out."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    #: Left out: erased, or the words are gone or never came.
    wordless: int = 0
    #: Left out: names in them could not be recognised (names_said.can_be_told).
    untold: int = 0


#: Every name under which our rows know the people that the call was about.
_NAMES = text("""
    WITH said AS (
      SELECT patient_phone AS phone, patient_name AS name FROM appointments
       WHERE org_id = :org AND call_sid = :call
       UNION SELECT patient_phone, patient_name FROM appointment_holds
       WHERE org_id = :org AND call_sid = :call
       UNION SELECT lead_phone, lead_name FROM hot_lead_alerts WHERE org_id = :org AND call_id = :call),
    numbers AS (SELECT phone FROM said UNION SELECT CAST(:caller AS text))
    SELECT name FROM said
     UNION SELECT name FROM contacts WHERE org_id = :org AND phone IN (SELECT phone FROM numbers)
     UNION SELECT patient_name FROM appointments
     WHERE org_id = :org AND patient_phone IN (SELECT phone FROM numbers)
     UNION SELECT patient_name FROM appointment_holds
     WHERE org_id = :org AND patient_phone IN (SELECT phone FROM numbers)
     UNION SELECT lead_name FROM hot_lead_alerts
     WHERE org_id = :org AND lead_phone IN (SELECT phone FROM numbers)
""")

#: A reason as the voice platform writes it. A provider's sentence may follow, which could name a number.
_REASON = re.compile(r"[a-z]+(?:[-.](?:[a-z]+|\d{1,3}\b))*")


def read(session: Session, org_id: uuid.UUID, *, days: int) -> Labelled:
    """The judged calls of the last `days` days."""
    judged = session.scalars(
        select(Call)
        .where(
            Call.org_id == org_id,
            Call.worth_call.is_not(None),
            Call.created_at > func.app_clock() - timedelta(days=days),
        )
        .order_by(Call.created_at, Call.id)
    )
    others, services = _of_the_clinic(session, org_id)
    found = Labelled()
    for call in judged:
        if call.erased_at or not call.turns:
            found.wordless += 1
        elif not names_said.can_be_told([turn["text"] for turn in call.turns if turn["who"] == CALLER]):
            found.untold += 1
        else:
            found.calls.append(_labelled(session, call, others, services))
    return found


def _of_the_clinic(session: Session, org_id: uuid.UUID) -> tuple[set[str], set[str]]:
    """The names of the clinic, its calendars and its staff; and the names of its services."""
    of_clinic = calendars.list_of_clinic(session, org_id)
    names = {calendar.name for calendar in of_clinic}
    names |= set(session.scalars(select(StaffUser.name).where(StaffUser.org_id == org_id)))
    names |= set(session.scalars(select(Organization.name).where(Organization.id == org_id)))
    return names, set(services.names_of_clinic(session, org_id))


def _labelled(
    session: Session, call: Call, others: Collection[str], services: Collection[str]
) -> dict[str, Any]:
    turns = call.turns or []
    texts = redaction.without_codes(
        [turn["text"] for turn in turns], codes.codes_of_call(session, call.org_id, call.id)
    )
    values = {"org": call.org_id, "call": call.id, "caller": call.caller_number}
    nameless = Nameless(
        [(turn["who"], said) for turn, said in zip(turns, texts, strict=True)],
        known=[name for name in session.scalars(_NAMES, values) if name],
        others=others,
        kept=services,
    )
    booked = appointments.latest_of_call(session, call.org_id, call.id)
    return {
        "id": _id(call),
        "messages": [
            {"role": "user" if turn["who"] == CALLER else "bot", "message": nameless.clean(said)}
            for turn, said in zip(turns, texts, strict=True)
        ],
        "facts": None if call.facts is None else _cleaned(call.facts, nameless),
        "booked": booked is not None and booked.status is not AppointmentStatus.CANCELLED,
        "duration_seconds": call.duration,
        "ended_reason": (reason := _REASON.match(call.ended_reason or "")) and reason[0],
        "worth_call": call.worth_call,
    }


def _id(call: Call) -> str:
    """The same id each time, so that no call is learnt twice; without our key it leads to no call."""
    return digests.keyed("labelled-calls", f"{call.org_id}/{call.id}")[:32]


def _cleaned(fact: object, nameless: Nameless) -> object:
    """A fact with its texts cleaned at any depth: calls of version 0.1.0 have facts of another shape."""
    if isinstance(fact, str):
        return nameless.clean(fact)
    if isinstance(fact, list):
        return [_cleaned(each, nameless) for each in fact]
    if isinstance(fact, dict):
        return {name: _cleaned(value, nameless) for name, value in fact.items()}
    return fact
