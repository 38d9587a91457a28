"""Leads: a call that is over is scored, and a hot call makes one alert to the clinic's owner."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock
from models.base.tables import Base, CreatedAt, Id
from models.booking import appointments, services
from models.booking.appointments import Appointment
from models.calls.calls import Call
from models.calls.facts import parse_facts
from models.clinics import organizations
from models.clinics.contacts import Contact
from models.clinics.organizations import IntegrationSettings, Organization
from models.leads.scoring import (
    Evidence,
    Rules,
    Score,
    Speaker,
    Turn,
    as_objects,
    score,
    service_named,
)
from models.messaging.messages import Due, SmsMessage
from models.messaging.states import SmsKind


class HotLeadAlert(Base):
    __tablename__ = "hot_lead_alerts"
    __table_args__ = (
        UniqueConstraint("org_id", "call_id"),
        ForeignKeyConstraint(["org_id", "call_id"], ["calls.org_id", "calls.id"]),
        Index("ix_hot_lead_alerts_org_id_created_at", "org_id", text("created_at DESC")),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    call_id: Mapped[str]
    lead_name: Mapped[str | None]
    lead_phone: Mapped[str | None]
    lead_score: Mapped[int]
    message_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sms_messages.id"))
    #: Null until the provider has accepted the SMS; suppressed_reason says why there is none.
    alert_sent_at: Mapped[datetime | None]
    suppressed_reason: Mapped[str | None]
    created_at: Mapped[CreatedAt]


@dataclass(frozen=True, slots=True)
class Scored:
    """`alert` is the SMS to the owner, if this scoring made one."""

    score: Score
    alert: Due | None


def score_call(session: Session, org_id: uuid.UUID, call_id: str) -> Scored | None:
    """Score a call that is due, store it with its reasons, and alert the owner if it is hot.

    None when there is nothing to do: the call is not due (any more), or another worker is scoring it.
    """
    call = session.scalar(
        select(Call)
        .where(Call.org_id == org_id, Call.id == call_id, Call.score_due_at <= func.app_clock())
        .with_for_update(skip_locked=True)
    )
    clinic = organizations.get_or_none(session, org_id)
    if call is None or clinic is None:
        return None
    account = organizations.get_integration_settings(session, org_id) or _usual(org_id)
    scored = score(evidence(session, call), rules(clinic, account))
    _keep(call, scored)
    call.scored_at = clock.now(session)
    call.score_due_at = None
    session.flush()
    return Scored(scored, _alert(session, call, account, scored))


@dataclass(frozen=True, slots=True)
class Rescored:
    """One call, with its score before and its score by the rules now."""

    call_id: str
    created_at: datetime
    before: int
    after: Score


def rescore(session: Session, org_id: uuid.UUID, by: Rules, *, days: int, keep: bool) -> list[Rescored]:
    """Score the calls of the last `days` days again, by other rules. The scores are stored only if `keep`; no
    alert is sent.

    A call whose transcript is gone keeps its score.
    """
    scored = session.scalars(
        select(Call)
        .where(
            Call.org_id == org_id,
            Call.lead_score.is_not(None),
            Call.turns.is_not(None),
            Call.created_at > func.app_clock() - timedelta(days=days),
        )
        .order_by(Call.created_at)
    )
    found = []
    for call in scored:
        after = score(evidence(session, call), by)
        found.append(Rescored(call.id, call.created_at, call.lead_score or 0, after))
        if keep:
            _keep(call, after)
    session.flush()
    return found


def _keep(call: Call, scored: Score) -> None:
    """Store the score, and its reasons in the order in which a person should read them."""
    call.lead_score, call.lead_band, call.lead_service = scored.value, scored.band.value, scored.service
    call.lead_call_back = scored.call_back
    call.lead_reasons = as_objects(
        sorted(scored.reasons, key=lambda reason: (reason.code == "base", -abs(reason.points)))
    )


def rules(clinic: Organization, account: IntegrationSettings) -> Rules:
    """The clinic's own points and thresholds; the defaults if they cannot be used, as flask doctor says."""
    try:
        return own_rules(clinic, account)
    except ValueError:
        return _with_hot(Rules(), account)


def own_rules(clinic: Organization, account: IntegrationSettings) -> Rules:
    """The clinic's own points and thresholds. Raises ValueError if they cannot be used.

    Hot begins at the account's hot_lead_threshold, and warm below it. Another value for `hot` in the clinic's
    rules, which only an edit by hand can have put there, is an error.
    """
    own = dict(clinic.lead_rules or {})
    hot = own.pop("hot", account.hot_lead_threshold)
    if hot != account.hot_lead_threshold:
        raise ValueError(f"hot is {hot}, and the clinic's hot_lead_threshold {account.hot_lead_threshold}")
    return _with_hot(Rules.model_validate({**own, "hot": 100}), account)


def _with_hot(own: Rules, account: IntegrationSettings) -> Rules:
    hot = account.hot_lead_threshold
    return own.model_copy(update={"hot": hot, "warm": max(0, min(own.warm, hot - 1))})


def evidence(session: Session, call: Call) -> Evidence:
    """What is known about a call, from its report and from our own rows."""
    booked = appointments.latest_of_call(session, call.org_id, call.id)
    offered = services.names_of_clinic(session, call.org_id)
    return Evidence(
        turns=tuple(Turn(Speaker(turn["who"]), turn["text"]) for turn in call.turns or ()),
        duration=call.duration,
        booked=booked is not None and booked.status is not appointments.AppointmentStatus.CANCELLED,
        service=service_named(booked.service_type, offered) if booked and booked.service_type else None,
        services=sorted(offered),
        worths=services.worths_of_clinic(session, call.org_id),
        returning=_returning(session, call),
        facts=parse_facts(call.facts),
    )


def _returning(session: Session, call: Call) -> bool | None:
    """Whether this number had an appointment before this call; None if the number was withheld.

    An earlier call does not make the caller a patient: a price shopper rings twice.
    """
    if not call.caller_number:
        return None
    before = select(Appointment.id).where(
        Appointment.org_id == call.org_id,
        Appointment.patient_phone == call.caller_number,
        Appointment.call_sid.is_distinct_from(call.id),
        Appointment.created_at < call.created_at,
    )
    return bool(session.scalar(select(before.exists())))


def _usual(org_id: uuid.UUID) -> IntegrationSettings:
    return IntegrationSettings(org_id=org_id, hot_lead_threshold=70, hot_lead_min_duration=300)


# --- the alert ----------------------------------------------------------------------------------


def _alert(session: Session, call: Call, account: IntegrationSettings, scored: Score) -> Due | None:
    """Store an alert if the score passes; make its SMS if the call was long enough, a person should call
    back, and there is a number for alerts.

    One alert a call: a better report may still turn a suppressed alert into a sent alert, never into two.
    """
    if scored.value < account.hot_lead_threshold:
        return None
    lead = _who(session, call)
    suppressed = _why_not(call, account, scored)
    known = {
        "lead_name": lead["name"],
        "lead_phone": lead["phone"],
        "lead_score": scored.value,
        "suppressed_reason": suppressed,
    }
    session.execute(
        insert(HotLeadAlert)
        .values(org_id=call.org_id, call_id=call.id, **known)
        .on_conflict_do_update(
            index_elements=["org_id", "call_id"], set_=known, where=HotLeadAlert.message_id.is_(None)
        )
    )
    alert = session.scalars(
        select(HotLeadAlert)
        .where(HotLeadAlert.org_id == call.org_id, HotLeadAlert.call_id == call.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one()
    if alert.message_id is not None or suppressed is not None:
        return None
    message = SmsMessage(
        id=uuid.uuid4(),
        org_id=call.org_id,
        kind=SmsKind.HOT_LEAD_ALERT,
        to_phone=account.hot_lead_alert_phone or "",
        call_sid=call.id,
        next_attempt_at=call.scored_at,
        created_at=call.scored_at,
    )
    session.add(message)
    session.flush()
    alert.message_id = message.id
    session.flush()
    return Due(call.org_id, message.id, message.kind)


def _why_not(call: Call, account: IntegrationSettings, scored: Score) -> str | None:
    if not scored.call_back:
        if scored.refuses_calls:
            return "the caller wants no calls"
        return "no call back is needed: the appointment is booked"
    if not account.hot_lead_alert_phone:
        return "no number for alerts is set"
    if call.duration is None:
        return "nobody said how long the call was"
    if call.duration <= account.hot_lead_min_duration:
        return f"the call lasted {call.duration} seconds, not over {account.hot_lead_min_duration}"
    return None


def _who(session: Session, call: Call) -> Mapping[str, str | None]:
    """Name and number of the lead: as booked in this call, else the caller's number and its contact."""
    booked = appointments.latest_of_call(session, call.org_id, call.id)
    if booked:
        return {"name": booked.patient_name, "phone": booked.patient_phone}
    name = session.scalar(
        select(Contact.name).where(Contact.org_id == call.org_id, Contact.phone == call.caller_number)
    )
    return {"name": name, "phone": call.caller_number}


def alerts_of_message(session: Session, org_id: uuid.UUID, message_id: uuid.UUID) -> list[HotLeadAlert]:
    """The alerts that a message tells, oldest first. A message that had to wait may tell several."""
    return list(
        session.scalars(
            select(HotLeadAlert)
            .where(HotLeadAlert.org_id == org_id, HotLeadAlert.message_id == message_id)
            .order_by(HotLeadAlert.created_at, HotLeadAlert.id)
        )
    )


def alert_by(
    session: Session, org_id: uuid.UUID, message_id: uuid.UUID, *, instead_of: Collection[uuid.UUID]
) -> None:
    """Make this message tell the owner what the messages `instead_of` told."""
    session.execute(
        update(HotLeadAlert)
        .where(HotLeadAlert.org_id == org_id, HotLeadAlert.message_id.in_(instead_of))
        .values(message_id=message_id, alert_sent_at=None)
    )
