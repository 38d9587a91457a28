"""What the staff look up and count: leads, calls and messages in trouble.

Each page of a list begins after the last row of the page before.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.booking import changes
from models.booking.changes import AppointmentChange
from models.calls.calls import Call
from models.leads.leads import HotLeadAlert
from models.messaging import messages
from models.messaging.meanings import Meaning
from models.notices import registry, retries

#: Rows of one page.
PAGE = 50


@dataclass(frozen=True, slots=True)
class After:
    """The last row of a page. Several rows may have the same time, so the id is needed as well."""

    created_at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call in a list, with the caller's name and number as far as our rows have them."""

    id: str
    created_at: datetime
    name: str | None
    phone: str | None
    #: The patient was erased: there is no number to ring back, and the score is only counted.
    erased: bool
    status: str
    ended_reason: str | None
    duration: int | None
    cost: Decimal | None
    summary: str | None
    score: int | None
    band: str | None
    reasons: list[dict[str, Any]] | None
    #: What the caller wants, if that was understood.
    service: str | None
    #: Whether a person should ring the caller.
    call_back: bool
    called_back_at: datetime | None
    called_back_by: str | None
    #: The staff's judgement, who made it, when, and the score at that time (models/leads/judgements.py).
    worth_call: bool | None
    judged_by: str | None
    judged_at: datetime | None
    judged_score: int | None
    #: The state of the appointment that was made in this call, or "moved" if it stands at another time; null
    #: if none was made.
    booked: str | None


@dataclass(frozen=True, slots=True)
class CallDetails:
    row: CallRow
    call: Call
    alert: HotLeadAlert | None
    #: The SMS that tells the owner.
    alert_sms: messages.SmsMessage | None
    service: str | None
    appointment_at: datetime | None
    #: The changes of the appointment since, oldest first.
    changes: list[AppointmentChange]


_CALLS = """
    SELECT c.id, c.created_at, coalesce(a.patient_name, l.lead_name, p.name) AS name,
           coalesce(a.patient_phone, l.lead_phone, c.caller_number) AS phone,
           c.erased_at IS NOT NULL AS erased, c.status, c.ended_reason,
           c.duration, c.cost, c.summary, c.lead_score AS score, c.lead_band AS band,
           c.lead_reasons AS reasons, c.lead_service AS service,
           coalesce(c.lead_call_back, c.lead_band = 'hot', false) AS call_back,
           c.called_back_at, c.called_back_by,
           c.worth_call, s.name AS judged_by, c.judged_at, c.judged_score, a.status AS booked
      FROM calls c
      LEFT JOIN LATERAL (
        SELECT patient_name, patient_phone,
               CASE WHEN status = 'confirmed' AND EXISTS (SELECT FROM appointment_changes
                      WHERE appointment_id = b.id AND change = 'moved')
                    THEN 'moved' ELSE status END AS status
          FROM appointments b
         WHERE org_id = c.org_id AND call_sid = c.id ORDER BY created_at DESC LIMIT 1) a ON true
      LEFT JOIN hot_lead_alerts l ON l.org_id = c.org_id AND l.call_id = c.id
      LEFT JOIN contacts p ON p.org_id = c.org_id AND p.phone = c.caller_number
      LEFT JOIN staff_users s ON s.org_id = c.org_id AND s.id = c.judged_by
     WHERE c.org_id = :org
"""
_NEWEST_FIRST = """
       AND (CAST(:before AS timestamptz) IS NULL OR (c.created_at, c.id) < (:before, :last))
     ORDER BY c.created_at DESC, c.id DESC LIMIT :most
"""
_LIST = text(_CALLS + _NEWEST_FIRST)
_LEADS = text(
    _CALLS
    + """
       AND c.lead_score IS NOT NULL AND c.erased_at IS NULL
       AND (CAST(:band AS text) IS NULL OR c.lead_band = :band)
       AND (NOT :waiting OR (c.called_back_at IS NULL AND coalesce(c.lead_call_back, c.lead_band = 'hot')))
"""
    + _NEWEST_FIRST
)
_ONE = text(_CALLS + " AND c.id = :call")


def _going_on(after: After | None, most: int) -> dict[str, object]:
    return {"before": after and after.created_at, "last": after.id if after else "", "most": most}


def list_calls(
    session: Session, org_id: uuid.UUID, *, after: After | None = None, most: int = PAGE
) -> list[CallRow]:
    rows = session.execute(_LIST, {"org": org_id} | _going_on(after, most))
    return [CallRow(**row._mapping) for row in rows]


def list_leads(
    session: Session,
    org_id: uuid.UUID,
    *,
    band: str | None = None,
    waiting: bool = False,
    after: After | None = None,
    most: int = PAGE,
) -> list[CallRow]:
    """Scored calls, except calls of erased patients; `waiting`: only the calls to ring back."""
    values = {"org": org_id, "band": band, "waiting": waiting} | _going_on(after, most)
    return [CallRow(**row._mapping) for row in session.execute(_LEADS, values)]


def find_call(session: Session, org_id: uuid.UUID, call_id: str) -> CallDetails | None:
    found = session.execute(_ONE, {"org": org_id, "call": call_id}).one_or_none()
    if found is None:
        return None
    call = session.scalars(select(Call).where(Call.org_id == org_id, Call.id == call_id)).one()
    alert = session.scalar(
        select(HotLeadAlert).where(HotLeadAlert.org_id == org_id, HotLeadAlert.call_id == call_id)
    )
    sms = session.get(messages.SmsMessage, alert.message_id) if alert and alert.message_id else None
    booked = session.execute(
        text(
            "SELECT id, service_type, scheduled_at FROM appointments WHERE org_id = :org AND call_sid = :call"
            " ORDER BY created_at DESC LIMIT 1"
        ),
        {"org": org_id, "call": call_id},
    ).one_or_none()
    appointment_id, service, starts_at = booked or (None, None, None)
    changed = changes.list_of(session, org_id, appointment_id) if appointment_id else []
    return CallDetails(CallRow(**found._mapping), call, alert, sms, service, starts_at, changed)


# --- messages -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trouble:
    """One message that a person should look at (sms_trouble), and for whom it is."""

    id: uuid.UUID
    kind: str
    status: str
    trouble: str
    created_at: datetime
    age: timedelta
    attempt: int
    next_attempt_at: datetime
    error_code: str | None
    error_meaning: str | None
    error_reason: str | None
    provider_id: str | None
    cause: str
    to_phone: str
    name: str | None
    #: Too late to be of use.
    over: bool

    @property
    def anew(self) -> bool:
        """Whether the provider had the message and another message may take its place."""
        meaning = Meaning(self.error_meaning) if self.error_meaning else None
        return self.provider_id is not None and retries.may_be_sent_anew(self.status, meaning)

    @property
    def never_by_hand(self) -> str | None:
        """A sentence that says why a person may not have it sent again; None if a person may."""
        return registry.why_never_by_hand(self.kind)


@dataclass(frozen=True, slots=True)
class SmsHealth:
    waiting: int
    delivered_today: int
    #: How many messages of list_trouble are late or held, and how many have another trouble.
    late: int
    in_trouble: int
    sender_stopped_at: datetime | None
    sender_stopped_reason: str | None


_TROUBLE = text("""
    SELECT t.id, t.kind, t.status, t.trouble, t.created_at, t.age, t.attempt, t.next_attempt_at,
           t.error_code, m.error_meaning, t.error_reason, t.provider_id, m.cause, m.to_phone,
           coalesce(a.patient_name, h.patient_name) AS name,
           coalesce(m.expires_at <= app_clock(), false) AS over
      FROM sms_trouble t
      JOIN sms_messages m ON m.id = t.id AND m.org_id = t.org_id
      LEFT JOIN appointments a ON a.id = m.appointment_id AND a.org_id = m.org_id
      LEFT JOIN appointment_holds h ON h.id = m.hold_id AND h.org_id = m.org_id
     WHERE t.org_id = :org
       AND (CAST(:before AS timestamptz) IS NULL OR (t.created_at, t.id::text) < (:before, :last))
     ORDER BY t.created_at DESC, t.id::text DESC LIMIT :most
""")
_HEALTH = text("""
    SELECT h.waiting, h.delivered_today, h.sender_stopped_at, h.sender_stopped_reason, t.late, t.in_trouble
      FROM sms_health h,
           (SELECT count(*) FILTER (WHERE trouble IN ('late', 'held')) AS late,
                   count(*) FILTER (WHERE trouble NOT IN ('late', 'held')) AS in_trouble
              FROM sms_trouble WHERE org_id = :org) t
     WHERE h.org_id = :org
""")


def list_trouble(
    session: Session, org_id: uuid.UUID, *, after: After | None = None, most: int = PAGE
) -> list[Trouble]:
    rows = session.execute(_TROUBLE, {"org": org_id} | _going_on(after, most))
    return [Trouble(**row._mapping) for row in rows]


def is_a_message(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> bool:
    """Whether this clinic has the message, in any state."""
    return messages.get_or_none(session, org_id, message_id) is not None


def sms_health(session: Session, org_id: uuid.UUID) -> SmsHealth:
    return SmsHealth(**session.execute(_HEALTH, {"org": org_id}).one()._mapping)
