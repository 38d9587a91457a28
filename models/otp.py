"""One-time codes: derived when needed, never kept. The database has a keyed digest and counts tries."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

import settings
from models import allowances, holds, opt_outs, sms_limits, twilio_codes
from models.holds import AppointmentHold, HoldStatus
from models.organizations import Organization
from models.sms import (
    SmsKind,
    SmsMessage,
    SmsStatus,
    count_codes,
    last_code_of_hold,
    try_at_once,
    waiting_code_of_hold,
)
from models.twilio_codes import Action

#: A hold has one challenge for its whole life: a resent code is the same code.
_CHALLENGE = 1


def derive(hold_id: uuid.UUID, phone: str, *, length: int, key_id: str | None = None) -> str:
    """The code of a hold. The same every time, so that it need be stored nowhere.

    `key_id` is the hold's `code_key`. Raises settings.UnknownKey if that SECRET_KEY is gone.
    """
    message = f"{hold_id}|{_CHALLENGE}|{phone}".encode()
    key = settings.get().subkey("otp-code", key_id)
    value = int.from_bytes(hmac.new(key, message, hashlib.sha256).digest())
    return str(value % 10**length).zfill(length)


def digest(hold_id: uuid.UUID, code: str, *, key_id: str | None = None) -> str:
    """What the database compares: useless without the key, and another for every hold.

    Raises settings.UnknownKey.
    """
    message = f"{hold_id}|{_CHALLENGE}|{code}".encode()
    key = settings.get().subkey("otp-check", key_id)
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def codes_of_call(session: Session, org_id: uuid.UUID, call_id: str) -> list[str]:
    """Every code that was texted in a telephone call, for taking them out of what was said in it."""
    texted = session.scalars(
        select(AppointmentHold).where(
            AppointmentHold.org_id == org_id,
            AppointmentHold.call_sid == call_id,
            AppointmentHold.code_length.is_not(None),
        )
    )
    known = settings.get().key_ids
    return [
        derive(hold.id, hold.patient_phone, length=hold.code_length, key_id=hold.code_key)
        for hold in texted
        if hold.code_length and hold.code_key in known
    ]


class CodeRefusal(StrEnum):
    UNKNOWN_HOLD = "unknown_hold"
    HOLD_OVER = "hold_over"
    TOO_MANY_CODES = "too_many_codes"


class Cap(StrEnum):
    """What has had as many codes as the clinic allows."""

    HOLD = "hold"
    CALL = "call"
    PHONE = "phone"  # in 24 hours, of codes that were sent to it or of wrong ones that were said
    CLINIC = "clinic"  # in 24 hours
    SEGMENTS = "segments"  # of all the texts of the clinic


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """`message_id` is the SMS that carries the code; or a refusal, with the hold's state or the cap."""

    message_id: uuid.UUID | None = None
    refusal: CodeRefusal | None = None
    hold_status: HoldStatus | None = None
    cap: Cap | None = None


#: For so long a number that could receive no SMS is taken to be like that still. A landline stays one, but
#: a number may be ported or given out again.
REMEMBERED = timedelta(days=30)

#: What a second code for the same hold would meet, too.
_LASTING = (Action.NUMBER, Action.NOT_ALLOWED, Action.OPT_OUT)


def find_hopeless(session: Session, hold: AppointmentHold) -> SmsMessage | None:
    """The message that shows that no code reaches the number of a hold; None where one may.

    It is the hold's own last code if that failed for good, or else the last message of any kind to that
    number of which the outcome is known, if it says that the number receives no SMS at all.
    """
    own = last_code_of_hold(session, hold.org_id, hold.id)
    if own and own.status in _NOT_ARRIVED and _action(own) in _LASTING:
        wanted_again = _action(own) is Action.OPT_OUT and opt_outs.lifted_since(
            session, hold.org_id, hold.patient_phone, own.created_at
        )
        return None if wanted_again else own
    last = session.scalar(
        select(SmsMessage)
        .where(
            SmsMessage.org_id == hold.org_id,
            SmsMessage.to_phone == hold.patient_phone,
            SmsMessage.created_at > func.app_clock() - REMEMBERED,
            or_(
                SmsMessage.status == SmsStatus.DELIVERED,
                and_(SmsMessage.status.in_(_NOT_ARRIVED), SmsMessage.error_code.is_not(None)),
            ),
        )
        .order_by(SmsMessage.created_at.desc())
        .limit(1)
    )
    return last if last and last.status in _NOT_ARRIVED and _action(last) is Action.NUMBER else None


_NOT_ARRIVED = (SmsStatus.FAILED, SmsStatus.UNDELIVERED)


def _action(message: SmsMessage) -> Action | None:
    return twilio_codes.meaning(message.error_code).action if message.error_code else None


def request(session: Session, organization: Organization, hold_id: uuid.UUID) -> CodeRequest:
    """Queue the SMS with the code of a live hold, within the clinic's limits.

    While one is still waiting to be sent, asking again has it tried at once and makes no other.
    """
    row = session.execute(
        select(AppointmentHold, func.app_clock().label("now"))
        .where(AppointmentHold.id == hold_id, AppointmentHold.org_id == organization.id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return CodeRequest(refusal=CodeRefusal.UNKNOWN_HOLD)
    hold: AppointmentHold = row.AppointmentHold
    if hold.status is not HoldStatus.HELD:
        return CodeRequest(refusal=CodeRefusal.HOLD_OVER, hold_status=hold.status)
    if min(hold.expires_at, hold.starts_at) <= row.now:
        return CodeRequest(refusal=CodeRefusal.HOLD_OVER, hold_status=HoldStatus.EXPIRED)
    if waiting := waiting_code_of_hold(session, organization.id, hold_id):
        try_at_once(session, waiting)
        return CodeRequest(message_id=waiting.id)

    sent = count_codes(
        session,
        org_id=organization.id,
        hold_id=hold_id,
        call_sid=hold.call_sid,
        phone=hold.patient_phone,
    )
    wrong = holds.count_of_phone(session, organization.id, hold.patient_phone).wrong_codes
    cap = next(
        (
            cap
            for cap, count, limit in (
                (Cap.CLINIC, sent.in_all, organization.codes_a_day),
                (Cap.PHONE, sent.to_phone, organization.codes_per_phone_a_day),
                (Cap.PHONE, wrong, organization.wrong_codes_per_phone_a_day),
                (Cap.CALL, sent.in_call, organization.codes_per_call),
                (Cap.HOLD, sent.for_hold, organization.codes_per_hold),
            )
            if count >= limit
        ),
        None,
    )
    if cap is None and allowances.take(
        session, organization.id, [sms_limits.of_code(organization, hold.patient_phone)]
    ):
        cap = Cap.SEGMENTS
    if cap is not None:
        return CodeRequest(refusal=CodeRefusal.TOO_MANY_CODES, cap=cap)

    if hold.code_key not in settings.get().key_ids:
        hold.code_key = settings.get().key_ids[0]
    hold.code_length = hold.code_length or organization.code_length
    code = derive(hold_id, hold.patient_phone, length=hold.code_length, key_id=hold.code_key)
    hold.code_digest = digest(hold_id, code, key_id=hold.code_key)
    message = SmsMessage(
        id=uuid.uuid4(),
        org_id=organization.id,
        kind=SmsKind.OTP,
        to_phone=hold.patient_phone,
        hold_id=hold_id,
        call_sid=hold.call_sid,
        next_attempt_at=row.now,
        expires_at=hold.expires_at,
        created_at=row.now,
    )
    session.add(message)
    session.flush()
    return CodeRequest(message_id=message.id)
