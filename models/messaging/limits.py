"""How much is sent: to one number, to the clinic's owner, and by the clinic in all.

A message is counted when it is claimed for its first attempt, in the same transaction; a code when it is
asked for (models/booking/codes.py). A message over a limit is not lost: it waits in its row until there is
room. A newer text about the same appointment replaces an older one that waits, and waiting alerts become one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from models.base import phones
from models.clinics import allowances, organizations
from models.clinics.allowances import Allowance, ClinicLimit
from models.clinics.organizations import Organization
from models.messaging import handling
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause, SmsKind, SmsStatus

HOUR, DAY = timedelta(hours=1), timedelta(hours=24)

#: A segment to a country outside the clinic's own numbering plan counts as this many.
ABROAD = 4

#: The share of the clinic's segments that codes and messages to the clinic, such as alerts, may use. The rest
#: is for texts to patients who have an appointment.
OF_CODES = 0.8

#: A text about an appointment stops waiting for room this long before the appointment, or when half of the
#: time that it had is over, whichever is later.
BEFORE = timedelta(hours=2)

CLINIC, _NUMBER, _OWNER = "segments of clinic", "text to", "alert to"


def of_clinic(organization: Organization, *, amount: float = 1.0, share: float = 1.0) -> Allowance:
    """All that a clinic sends, in segments: half a day's allowance at once, filled again steadily. So it
    never sends more than one and a half times a day's allowance in 24 hours.
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
    """Log it if these segments, which were just taken, are what half or nearly used up a limit."""
    allowances.tell(session, organization, CLINIC_LIMITS, segments)


def of_code(organization: Organization, to_phone: str) -> Allowance:
    """What one code takes from the clinic's segments."""
    return of_clinic(organization, amount=units(organization, SmsKind.OTP, to_phone), share=OF_CODES)


def units(organization: Organization, kind: SmsKind, to_phone: str) -> int:
    """The segments of the longest text of this kind, times ABROAD if the number is abroad."""
    segments = handling.of(kind).segments
    try:
        phones.check_country(to_phone, phones.home_regions(organization.region))
    except phones.CountryNotAllowed:
        return segments * ABROAD
    except phonenumbers.NumberParseException:
        pass  # the patient was erased, and the message is not sent
    return segments


def will_wait(session: Session, organization: Organization, to_phone: str) -> bool:
    """Whether one more text about a change of an appointment to this number has to wait."""
    allowance = _of_number(organization, to_phone)
    return (1 - allowances.used(session, organization.id, allowance)) * allowance.most < 1 - 1e-6


@dataclass(frozen=True, slots=True)
class Held:
    """Why a message may not go now, and until when; `until` is None if another message tells the same."""

    cause: Cause
    until: datetime | None = None


def hold_back(session: Session, message: SmsMessage, now: datetime) -> Held | None:
    """Count a message that is about to be sent, or say until when it has to wait. The caller has locked the
    message's row and its clinic's sender.
    """
    kind = handling.of(message.kind)
    if message.attempt or kind.urgent:
        return None  # it is counted already
    clinic = organizations.get_or_none(session, message.org_id)
    if clinic is None:
        return None
    segments = of_clinic(
        clinic,
        amount=units(clinic, message.kind, message.to_phone),
        share=OF_CODES if kind.to_clinic else 1.0,
    )
    number = _of_owner(session, message) if kind.to_clinic else _of_number(clinic, message.to_phone)
    # A message that a person had sent again does not wait for the limit of its number, either.
    free = message.cause is Cause.OPERATOR or kind.owed_at_once(session, message)
    short = allowances.take(session, clinic.id, [segments] if free else [number, segments])
    latest = _latest(message)
    if short and latest and latest <= now:
        # Later it would be of no use: it goes now, and takes as much room as there is.
        allowances.take(session, clinic.id, [segments])
        free, short = True, None
    if short is None:
        tell(session, clinic, segments.amount)
        if free:
            allowances.take(session, clinic.id, [number])
        if kind.told_together:
            _take_along(session, message)
        return None
    if kind.told_together and _is_told_by_another(session, message):
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


def _latest(message: SmsMessage) -> datetime | None:
    """The moment from which the message no longer waits for room."""
    if message.expires_at is None:
        return None
    return message.expires_at - min(BEFORE, (message.expires_at - message.created_at) / 2)


# --- told together --------------------------------------------------------------------------------
# If several alerts to the owner wait for room, a single alert tells of all their leads.


def _waiting(message: SmsMessage) -> Select[SmsMessage]:
    """The other messages of this kind to this number that wait for room.

    A locked message is skipped: it is being claimed, and its claim waits for our lock of the sender.
    """
    return (
        select(SmsMessage)
        .where(
            SmsMessage.org_id == message.org_id,
            SmsMessage.to_phone == message.to_phone,
            SmsMessage.id != message.id,
            SmsMessage.kind == message.kind,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.attempt == 0,
            SmsMessage.cause.in_((Cause.NUMBER_HAD_MANY, Cause.CLINIC_HAD_MANY)),
        )
        .order_by(SmsMessage.created_at, SmsMessage.id)
        .with_for_update(skip_locked=True)
    )


def _is_told_by_another(session: Session, message: SmsMessage) -> bool:
    """Make another waiting message tell what this message was to tell; False if no other message waits."""
    another = session.scalar(_waiting(message).limit(1))
    if another is None:
        return False
    handling.of(message.kind).take_over(session, [message], another.id)
    return True


def _take_along(session: Session, message: SmsMessage) -> None:
    """Make this message tell what all waiting messages were to tell, and expire them."""
    others = list(session.scalars(_waiting(message)))
    if not others:
        return
    handling.of(message.kind).take_over(session, others, message.id)
    for other in others:
        other.status, other.cause = SmsStatus.EXPIRED, Cause.TOGETHER
        other.error_reason = Cause.TOGETHER.value
    session.flush()
