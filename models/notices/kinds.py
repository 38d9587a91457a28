"""The entries of the registry, each of which finds the values for its text. The sentences are in texts.py."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

import settings
from models.base.erased import is_erased
from models.booking import appointments, changes, codes, holds, links
from models.booking.appointments import Appointment, AppointmentStatus
from models.booking.holds import AppointmentHold
from models.booking.links import LinkOutcome
from models.calls import calls
from models.clinics import calendars, organizations
from models.leads import leads
from models.leads.leads import HotLeadAlert
from models.messaging import messages
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind
from models.notices import registry, texts
from models.notices.registry import About, Notice, Superseded

# --- what messages are about ----------------------------------------------------------------------


def _hold(session: Session, message: SmsMessage) -> AppointmentHold | None:
    return holds.get_or_none(session, message.org_id, message.hold_id) if message.hold_id else None


def _appointment(session: Session, message: SmsMessage) -> Appointment | None:
    if message.appointment_id is None:
        return None
    return appointments.get_or_none(session, message.org_id, message.appointment_id)


def _alerts(session: Session, message: SmsMessage) -> list[HotLeadAlert] | None:
    """The alerts of a message whose leads have not been erased, oldest first; None if there are none."""
    found = leads.alerts_of_message(session, message.org_id, message.id)
    return [alert for alert in found if not is_erased(alert.lead_phone)] or None


HOLD = About("hold_id", _hold)
APPOINTMENT = About("appointment_id", _appointment)
LEADS = About(None, _alerts)  # hot_lead_alerts.message_id


# --- codes ----------------------------------------------------------------------------------------


def _code(session: Session, message: SmsMessage, hold: AppointmentHold) -> str | None:
    clinic = organizations.get_or_none(session, message.org_id)
    if clinic is None:
        return None
    length = hold.code_length or clinic.code_length
    try:
        digits = codes.derive(hold.id, hold.patient_phone, length=length, key_id=hold.code_key)
    except settings.UnknownKey:
        return None  # the SECRET_KEY of this code is gone: another code can be asked for
    return texts.code(clinic.name, digits)


registry.add(
    Notice(
        kind=SmsKind.OTP,
        label="Code",
        about=HOLD,
        words=_code,
        segments=1,
        urgent=True,
        valid_for=timedelta(minutes=5),
        keeps_text=False,
        never_by_hand="The agent offers another code",
    )
)


# --- appointments ---------------------------------------------------------------------------------


class _Facts(TypedDict):
    """The values in every message about an appointment."""

    clinic: str
    clinic_phone: str | None
    starts_at: datetime
    zone: ZoneInfo
    appointment_id: uuid.UUID


def _facts(session: Session, appointment: Appointment) -> _Facts | None:
    clinic = organizations.get_or_none(session, appointment.org_id)
    calendar = calendars.get_or_none(session, appointment.org_id, appointment.calendar_id)
    if clinic is None or calendar is None:
        return None
    return _Facts(
        clinic=clinic.name,
        clinic_phone=clinic.phone,
        starts_at=appointment.scheduled_at,
        zone=calendar.zone,
        appointment_id=appointment.id,
    )


def _confirmation(session: Session, message: SmsMessage, appointment: Appointment) -> str | None:
    """The confirmation of a booking or a move.

    Raises Superseded if the appointment is cancelled or has another confirmation. The trigger
    keep_back_superseded applies the same rule (migrations/sql/newer_confirmation_v3.sql).
    """
    if appointment.status is AppointmentStatus.CANCELLED or appointment.confirmation_message_id != message.id:
        raise Superseded
    facts = _facts(session, appointment)
    if facts is None:
        return None
    link = links.address(session, message.org_id, message.id)
    moved_from = messages.time_told_before(session, message)
    if moved_from and moved_from != appointment.scheduled_at:
        return texts.move(**facts, moved_from=moved_from, link=link)
    return texts.confirmation(**facts, link=link)


def _is_of_a_booking(session: Session, message: SmsMessage) -> bool:
    """Whether a confirmation is of a booking, not of a move.

    The agent has promised it to the caller, and a code has proved the telephone.
    """
    if message.appointment_id is None:
        return False
    changed = changes.list_of(session, message.org_id, message.appointment_id)
    return not any(each.change is LinkOutcome.MOVED for each in changed)


def _confirm_by(session: Session, old: Sequence[SmsMessage], new: uuid.UUID) -> None:
    for message in old:
        if message.appointment_id:
            appointments.confirm_by(session, message.org_id, message.appointment_id, new)


registry.add(
    Notice(
        kind=SmsKind.CONFIRMATION,
        label="Confirmation",
        about=APPOINTMENT,
        words=_confirmation,
        segments=2,
        owed_at_once=_is_of_a_booking,
        take_over=_confirm_by,
    )
)


def _cancellation(session: Session, _message: SmsMessage, appointment: Appointment) -> str | None:
    if appointment.status is not AppointmentStatus.CANCELLED:
        raise Superseded
    facts = _facts(session, appointment)
    return facts and texts.cancellation(**facts)


registry.add(
    Notice(
        kind=SmsKind.CANCELLATION,
        label="Cancellation",
        about=APPOINTMENT,
        words=_cancellation,
        segments=1,
    )
)


# --- leads ----------------------------------------------------------------------------------------


def _alert(session: Session, message: SmsMessage, alerts: list[HotLeadAlert]) -> str | None:
    """The alert about one lead, with what is known of it, or about several: how many, and on which page."""
    if len(alerts) > 1:
        return texts.hot_leads(
            count=len(alerts),
            since=alerts[0].created_at,
            zone=calendars.zone(session, message.org_id),
            best=max(alert.lead_score for alert in alerts),
            page=f"{settings.get().public_base_url.rstrip('/')}/dashboard/live",
        )
    [alert] = alerts
    call = session.get(calls.Call, (alert.org_id, alert.call_id))
    if call is None:
        return None
    return texts.hot_lead(
        name=alert.lead_name,
        number=alert.lead_phone,
        service=call.lead_service,
        score=alert.lead_score,
        # The base points are left out because every call has them; equal reasons are said once.
        reasons=list(
            dict.fromkeys(
                str(reason["why"]).rstrip(".")
                for reason in call.lead_reasons or ()
                if int(reason["points"]) > 0 and reason["code"] != "base"
            )
        ),
        seconds=call.duration,
    )


def _alert_by(session: Session, old: Sequence[SmsMessage], new: uuid.UUID) -> None:
    for org_id in {message.org_id for message in old}:
        leads.alert_by(session, org_id, new, instead_of=[message.id for message in old])


registry.add(
    Notice(
        kind=SmsKind.HOT_LEAD_ALERT,
        label="Hot-lead alert",
        about=LEADS,
        words=_alert,
        segments=2,
        to_clinic=True,
        told_together=True,
        take_over=_alert_by,
    )
)
