"""One-time codes, derived when needed and never stored. The database has a keyed digest and counts tries."""

from __future__ import annotations

import hashlib
import hmac
import math
import uuid
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

import settings
from models.base import digests, locks
from models.booking.holds import AppointmentHold, HoldStatus
from models.clinics import allowances
from models.clinics.allowances import Allowance, ClinicLimit
from models.clinics.organizations import Organization
from models.messaging import limits, opt_outs
from models.messaging.meanings import Action
from models.messaging.messages import SmsMessage, count_codes, last_code_of_hold, waiting_code_of_hold
from models.messaging.outbox import try_at_once
from models.messaging.states import SmsKind, SmsStatus

#: A hold has the same challenge for its whole life, so that a resent code is the same code.
_CHALLENGE = 1


def derive(hold_id: uuid.UUID, phone: str, *, length: int, key_id: str | None = None) -> str:
    """The code of a hold, which is the same every time, so that it need not be stored.

    `key_id` is the hold's `code_key`. Raises settings.UnknownKey if that SECRET_KEY is gone.
    """
    message = f"{hold_id}|{_CHALLENGE}|{phone}".encode()
    key = settings.get().subkey("otp-code", key_id)
    value = int.from_bytes(hmac.new(key, message, hashlib.sha256).digest())
    return str(value % 10**length).zfill(length)


def digest(hold_id: uuid.UUID, code: str, *, key_id: str | None = None) -> str:
    """The digest that the database compares: useless without the key, and different for every hold.

    Raises settings.UnknownKey.
    """
    return digests.keyed("otp-check", f"{hold_id}|{_CHALLENGE}|{code}", key_id=key_id)


def codes_of_call(session: Session, org_id: uuid.UUID, call_id: str) -> list[str]:
    """The codes that were sent in a call, to be taken out of its transcript."""
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
    """The limit of the clinic that a request for a code has reached."""

    HOLD = "hold"
    CALL = "call"
    PHONE = "phone"  # codes that were sent to the number, or wrong codes that were said for it
    CALLER = "caller"  # codes to numbers other than the caller's own
    UNNAMED = "unnamed"  # codes that one credential asks for without a caller's number
    CLINIC = "clinic"
    SEGMENTS = "segments"  # the segments of all messages of the clinic


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a code or reads one back.

    `number` is the caller's number from the telephone network, in E.164 where possible; None if it is
    withheld or there is no call. `credential` is that of the request.
    """

    number: str | None = None
    credential: uuid.UUID | None = None

    def proves(self, phone: str) -> bool:
        """Whether the call comes from this number, rather than only naming it."""
        return self.number == phone


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """The message that carries the code (`message_id`), or a refusal with the hold's status or the cap."""

    message_id: uuid.UUID | None = None
    refusal: CodeRefusal | None = None
    hold_status: HoldStatus | None = None
    cap: Cap | None = None


#: How long a number that could receive no message is expected to stay so. A landline stays a landline, but a
#: number may be ported or given to another person.
REMEMBERED = timedelta(days=30)

#: Reasons that would also stop a second code for the same hold.
_LASTING = (Action.NUMBER, Action.NOT_ALLOWED, Action.OPT_OUT)


def find_hopeless(session: Session, hold: AppointmentHold) -> SmsMessage | None:
    """The message which shows that no code can reach the number of a hold; None if a code may reach it.

    It is the hold's own last code if that failed for good; else the last message of any kind to that number
    whose outcome is known, if the outcome says that the number can receive no messages at all.
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
    return message.error_meaning.action if message.error_meaning else None


DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)

#: The share of a clinic's codes for callers who name another number than the one they call from.
OF_OTHERS = 0.7


class _Kind:
    """Kinds of allowances."""

    TO_PROVED = "code to, proved"
    TO_SAID = "code to, said"
    WRONG_PROVED = "wrong code, proved"
    WRONG_SAID = "wrong code, said"
    CALLER = "code by caller"
    UNNAMED = "code by credential"
    CLINIC = "codes of clinic"


_CAP_OF = {
    _Kind.CLINIC: Cap.CLINIC,
    _Kind.TO_PROVED: Cap.PHONE,
    _Kind.TO_SAID: Cap.PHONE,
    _Kind.CALLER: Cap.CALLER,
    _Kind.UNNAMED: Cap.UNNAMED,
    limits.CLINIC: Cap.SEGMENTS,
}


def of_clinic(organization: Organization, *, share: float = 1.0) -> Allowance:
    """All codes of a clinic: a third of the day's number at once, filled again steadily over the day."""
    most = math.ceil(organization.codes_a_day / 3)
    return Allowance(_Kind.CLINIC, "", most, DAY * most / max(1, organization.codes_a_day), share)


def of_others(organization: Organization) -> Allowance:
    """The part of `of_clinic` for callers who name another number than their own, or show none."""
    most = of_clinic(organization).most
    # At least one code, however few a clinic allows.
    return of_clinic(organization, share=max(OF_OTHERS, 1 / most) if most else 1.0)


CLINIC_LIMITS = (
    ClinicLimit(
        "codes",
        "the codes that the clinic may text",
        "Once none is left, callers hear that the codes are used up for the moment and to ring again in an"
        " hour.",
        "--codes-a-day",
        _Kind.CLINIC,
        of_clinic,
    ),
    ClinicLimit(
        "codes_to_others",
        "the codes for callers who give another number than the one they ring from, or whose number is"
        " withheld",
        "Once none is left, they hear to ring from the patient's own mobile: codes are kept for those who"
        " do.",
        "--codes-a-day",
        _Kind.CLINIC,
        of_others,
    ),
)


def _wrong_codes(organization: Organization, phone: str, asker: Asker) -> Allowance:
    """The wrong codes that may be said for a number, counted apart for calls from that number and others."""
    kind = _Kind.WRONG_PROVED if asker.proves(phone) else _Kind.WRONG_SAID
    return Allowance(kind, phone, organization.wrong_codes_per_phone_a_day, DAY)


def _allowances(organization: Organization, phone: str, asker: Asker) -> list[Allowance]:
    """The allowances from which one more code is taken, in the order in which a refusal names them."""
    if asker.proves(phone):
        return [
            of_clinic(organization),
            Allowance(_Kind.TO_PROVED, phone, organization.codes_per_phone_a_day, DAY),
        ]
    # Half, because a caller who only names a number may want to disturb its owner.
    said = math.ceil(organization.codes_per_phone_a_day / 2)
    wanted = [of_others(organization), Allowance(_Kind.TO_SAID, phone, said, DAY)]
    if asker.number:
        wanted.append(Allowance(_Kind.CALLER, asker.number, organization.codes_per_caller_an_hour, HOUR))
    else:
        # Filled more slowly than the clinic's, so that these requests alone never use up the share of others.
        most = math.ceil(organization.codes_a_day / 10)
        refill = DAY * most / (organization.codes_a_day * OF_OTHERS)
        wanted.append(Allowance(_Kind.UNNAMED, str(asker.credential or ""), most, refill))
    return wanted


def _lock_codes_of(session: Session, org_id: uuid.UUID, hold_id: uuid.UUID) -> None:
    """Lock the codes of a hold's number and call before its row, as rules.confirm does, against deadlocks."""
    of_hold = select(AppointmentHold.patient_phone, AppointmentHold.call_sid).where(
        AppointmentHold.id == hold_id, AppointmentHold.org_id == org_id
    )
    if found := session.execute(of_hold).one_or_none():
        lock_codes(session, org_id, phone=found.patient_phone, call_sid=found.call_sid)


def lock_codes(session: Session, org_id: uuid.UUID, *, phone: str, call_sid: str | None = None) -> None:
    """Let no other transaction count the codes of this number or of this call until this transaction ends.

    Call it before locking the row of a hold or its calendar. Waits at most the lock timeout.
    """
    if call_sid:
        locks.take(session, func.codes_of_call_lock_key(org_id, call_sid))
    locks.take(session, func.codes_of_phone_lock_key(org_id, phone))


def may_try(session: Session, organization: Organization, phone: str, asker: Asker) -> bool:
    """Whether one more code may be tried for a number. If the code is wrong, call `count_wrong`.

    Locks the number's codes until the transaction ends.
    """
    lock_codes(session, organization.id, phone=phone)
    return not _is_used_up(session, organization.id, _wrong_codes(organization, phone, asker))


def count_wrong(session: Session, organization: Organization, phone: str, asker: Asker) -> None:
    """Count a wrong code for a number, after `may_try` has allowed the try."""
    allowances.take(session, organization.id, [_wrong_codes(organization, phone, asker)])


def _is_used_up(session: Session, org_id: uuid.UUID, allowance: Allowance) -> bool:
    left = (1 - allowances.used(session, org_id, allowance)) * allowance.most
    return left < 1 - 1e-6


def _take(session: Session, organization: Organization, hold: AppointmentHold, asker: Asker) -> Cap | None:
    """Take one code from every allowance; or take none and return the cap that is reached."""
    sent = count_codes(session, org_id=organization.id, hold_id=hold.id, call_sid=hold.call_sid)
    segments = limits.of_code(organization, hold.patient_phone)
    wanted = [*_allowances(organization, hold.patient_phone, asker), segments]
    if none := next((each for each in wanted if each.most < 1), None):
        return _CAP_OF[none.kind]
    if _is_used_up(session, organization.id, _wrong_codes(organization, hold.patient_phone, asker)):
        return Cap.PHONE
    if sent.in_call >= organization.codes_per_call:
        return Cap.CALL
    if sent.for_hold >= organization.codes_per_hold:
        return Cap.HOLD
    short = allowances.take(session, organization.id, wanted)
    if short is None:
        allowances.tell(session, organization, CLINIC_LIMITS)
        limits.tell(session, organization, segments.amount)
        return None
    return _CAP_OF[short.allowance.kind]


def request(
    session: Session, organization: Organization, hold_id: uuid.UUID, asker: Asker | None = None
) -> CodeRequest:
    """Queue the message with the code of a live hold, within the clinic's limits.

    Without an `asker` the request is an operator's or a test's, and counts as one without a caller's number.
    While a code is still waiting to be sent, a further request has it tried at once and makes no new message.
    """
    asker = asker or Asker()
    _lock_codes_of(session, organization.id, hold_id)
    row = session.execute(
        select(AppointmentHold, func.app_clock().label("now"))
        .where(AppointmentHold.id == hold_id, AppointmentHold.org_id == organization.id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return CodeRequest(refusal=CodeRefusal.UNKNOWN_HOLD)
    hold: AppointmentHold = row.AppointmentHold
    if not hold.is_bookable(row.now):
        over = HoldStatus.EXPIRED if hold.status is HoldStatus.HELD else hold.status
        return CodeRequest(refusal=CodeRefusal.HOLD_OVER, hold_status=over)
    if waiting := waiting_code_of_hold(session, organization.id, hold_id):
        try_at_once(session, waiting)
        return CodeRequest(message_id=waiting.id)

    cap = _take(session, organization, hold, asker)
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
