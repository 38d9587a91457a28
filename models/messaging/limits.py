"""How much is sent: to one number, to the clinic's owner, and by the clinic in all.

A message is counted as it is claimed for its first attempt, in that transaction; a code as it is asked for
(models/booking/codes.py). What is over a limit is not lost: it waits in its row until there is room. A newer
text about the same appointment takes the place of one that waits, and alerts that wait become one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import phonenumbers
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import phones
from models.clinics import allowances, organizations
from models.clinics.allowances import Allowance, ClinicLimit
from models.clinics.organizations import Organization
from models.messaging.states import Cause, SmsKind

if TYPE_CHECKING:
    from models.messaging.messages import SmsMessage

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)

#: Into how many segments a text of each kind goes at most: the templates are bounded, and of GSM characters
#: alone (models/notices/texts.py).
SEGMENTS = {
    SmsKind.OTP: 1,
    SmsKind.CONFIRMATION: 2,
    SmsKind.CANCELLATION: 1,
    SmsKind.HOT_LEAD_ALERT: 2,
}

#: What a segment counts that goes to another country than those of the clinic's own numbering plan.
ABROAD = 4

#: The share of the clinic's segments that codes and alerts may use. The rest is for what is owed to patients
#: whose appointments stand.
OF_CODES = 0.8

#: A text about an appointment waits for room no longer than until so long before the appointment, or half of
#: the time that it had.
BEFORE = timedelta(hours=2)

CLINIC, _NUMBER, _OWNER = "segments of clinic", "text to", "alert to"


def of_clinic(organization: Organization, *, amount: float = 1.0, share: float = 1.0) -> Allowance:
    """All that a clinic sends, in segments: half of a day's at once, filled steadily. So there are never more
    than one and a half times as many in 24 hours.
    """
    return Allowance(CLINIC, "", organization.segments_a_day / 2, DAY / 2, share, amount)


def _of_codes(organization: Organization) -> Allowance:
    return of_clinic(organization, share=OF_CODES)


CLINIC_LIMITS = (
    ClinicLimit(
        "segments",
        "the text messages that the clinic may send",
        "Once none is left, texts to patients wait until there is room again.",
        "--segments-a-day",
        CLINIC,
        of_clinic,
    ),
    ClinicLimit(
        "segments_of_codes",
        "the text messages that codes and alerts may use",
        "Once none is left, callers hear that no code can be sent and to ring again in an hour; texts about"
        " appointments still go.",
        "--segments-a-day",
        CLINIC,
        _of_codes,
    ),
)


def tell(session: Session, organization: Organization, segments: float) -> None:
    """Log it if so many segments, which were just taken, are what made the half, or nearly all."""
    allowances.tell(session, organization, CLINIC_LIMITS, segments)


def of_code(organization: Organization, to_phone: str) -> Allowance:
    """What one code takes of it."""
    return of_clinic(organization, amount=units(organization, SmsKind.OTP, to_phone), share=OF_CODES)


def units(organization: Organization, kind: SmsKind, to_phone: str) -> int:
    """The segments of one text, each as much as the country makes of it."""
    try:
        phones.check_country(to_phone, phones.home_regions(organization.region))
    except phones.CountryNotAllowed:
        return SEGMENTS[kind] * ABROAD
    except phonenumbers.NumberParseException:
        pass  # of a patient who was erased: it is not sent
    return SEGMENTS[kind]


def will_wait(session: Session, organization: Organization, to_phone: str) -> bool:
    """Whether one more text about a change of an appointment to this number has to wait."""
    allowance = _of_number(organization, to_phone)
    return (1 - allowances.used(session, organization.id, allowance)) * allowance.most < 1 - 1e-6


@dataclass(frozen=True, slots=True)
class Held:
    """A message may not go now, and why; `until` is None if another message tells of the same."""

    cause: Cause
    until: datetime | None = None


def hold_back(session: Session, message: SmsMessage, now: datetime) -> Held | None:
    """Count a message that is about to be sent, or say until when it has to wait. The caller has locked its
    row and its clinic's sender.
    """
    if message.attempt or message.kind is SmsKind.OTP:
        return None  # it is counted already
    clinic = organizations.get_or_none(session, message.org_id)
    if clinic is None:
        return None
    is_alert = message.kind is SmsKind.HOT_LEAD_ALERT
    segments = of_clinic(
        clinic,
        amount=units(clinic, message.kind, message.to_phone),
        share=OF_CODES if is_alert else 1.0,
    )
    number = _of_owner(session, message) if is_alert else _of_number(clinic, message.to_phone)
    free = _is_owed_at_once(session, message)
    short = allowances.take(session, clinic.id, [segments] if free else [number, segments])
    latest = _latest(message)
    if short and latest and latest <= now:
        # It would be of no use later. What room there is it takes.
        allowances.take(session, clinic.id, [segments])
        free, short = True, None
    if short is None:
        tell(session, clinic, segments.amount)
        if free:
            allowances.take(session, clinic.id, [number])
        if is_alert:
            _take_along(session, message)
        return None
    if is_alert and _is_told_by_another(session, message):
        return Held(Cause.TOGETHER)
    cause = Cause.CLINIC_HAD_MANY if short.allowance == segments else Cause.NUMBER_HAD_MANY
    until = now + short.wait
    return Held(cause, min(until, latest) if latest else until)


def _of_number(organization: Organization, to_phone: str) -> Allowance:
    return Allowance(_NUMBER, to_phone, organization.texts_per_phone_a_day, DAY)


def _of_owner(session: Session, message: SmsMessage) -> Allowance:
    account = organizations.get_integration_settings(session, message.org_id)
    most = account.hot_lead_alerts_an_hour if account else 1
    return Allowance(_OWNER, message.to_phone, most, HOUR)


def _is_owed_at_once(session: Session, message: SmsMessage) -> bool:
    """Whether the number's limit does not hold it up: the confirmation of a booking, which took a code from
    that telephone, and what a person of the clinic has sent anew.
    """
    if message.cause is Cause.OPERATOR:
        return True
    return (
        message.kind is SmsKind.CONFIRMATION
        and message.appointment_id is not None
        and not session.scalar(_WAS_MOVED, {"org": message.org_id, "appointment": message.appointment_id})
    )


_WAS_MOVED = text("""
    SELECT EXISTS (SELECT FROM appointment_changes
                    WHERE org_id = :org AND appointment_id = :appointment AND change = 'moved')
""")


def _latest(message: SmsMessage) -> datetime | None:
    """The moment from which it waits for no room."""
    if message.expires_at is None:
        return None
    return message.expires_at - min(BEFORE, (message.expires_at - message.created_at) / 2)


# --- alerts ---------------------------------------------------------------------------------------
# An alert's message tells of all the leads that point to it (models/leads/leads.py).

_WAITING = f"""
    SELECT id FROM sms_messages
     WHERE org_id = :org AND to_phone = :number AND id <> :message AND kind = 'hot_lead_alert'
       AND status = 'queued' AND attempt = 0
       AND cause IN ('{Cause.NUMBER_HAD_MANY.value}', '{Cause.CLINIC_HAD_MANY.value}')
     ORDER BY created_at, id
"""
# One that is locked is being claimed, and its claim waits for the sender, which is ours.
_ONE_WAITING = text(f"{_WAITING} LIMIT 1 FOR UPDATE SKIP LOCKED")
_ALL_WAITING = text(f"{_WAITING} FOR UPDATE SKIP LOCKED")
_POINT = text(
    "UPDATE hot_lead_alerts SET message_id = :into WHERE org_id = :org AND message_id = ANY (:others)"
)
_SETTLE = text(
    "UPDATE sms_messages SET status = 'expired', cause = :cause, error_reason = :cause"
    " WHERE org_id = :org AND id = ANY (:others)"
)


def _is_told_by_another(session: Session, message: SmsMessage) -> bool:
    """Have an alert's lead told by a message to the same number that waits already, if there is one."""
    values = {"org": message.org_id, "number": message.to_phone, "message": message.id}
    another = session.scalar(_ONE_WAITING, values)
    if another is None:
        return False
    session.execute(_POINT, {"org": message.org_id, "into": another, "others": [message.id]})
    return True


def _take_along(session: Session, message: SmsMessage) -> None:
    """Have this alert tell of all that wait."""
    values = {"org": message.org_id, "number": message.to_phone, "message": message.id}
    others = list(session.scalars(_ALL_WAITING, values))
    if others:
        session.execute(_POINT, {"org": message.org_id, "into": message.id, "others": others})
        session.execute(_SETTLE, {"org": message.org_id, "cause": Cause.TOGETHER.value, "others": others})
