"""How long data is kept: each clinic's keep_words_days and keep_patients_days, applied bit by bit."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    delete,
    false,
    func,
    literal,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.expression import cast

from models.base.erased import MARK
from models.booking.appointments import Appointment
from models.booking.blocks import Block
from models.booking.holds import AppointmentHold
from models.booking.services import Service
from models.calls.calls import BY_SIGNATURE, Call, ToolCall
from models.clinics.contacts import Contact
from models.clinics.organizations import Organization
from models.clinics.patient_notes import PatientNote
from models.clinics.signed_requests import SignedRequest
from models.insight import privacy
from models.leads.leads import HotLeadAlert
from models.messaging import handling
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsStatus

#: The reason of an imported block once what the old diary said of it is forgotten.
IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class Tidied:
    """How many answers, texts of SMS, reasons for a visit, words of calls, and patients were erased."""

    answers: int
    texts: int
    visits: int
    calls: int
    patients: int

    def __bool__(self) -> bool:
        return any((self.answers, self.texts, self.visits, self.calls, self.patients))


def tidy(session: Session, *, words: int = 2000, patients: int = 50) -> Tidied:
    """Erase data that is kept too long: at most `words` rows of each kind and `patients` patients; the next
    run goes on. For system scope.

    Rows that another transaction has locked are left for the next run.
    """
    _forget_signatures(session)
    return Tidied(
        answers=_forget_answers(session, words),
        texts=_forget_texts(session, words),
        visits=_forget_visits(session, words) + _forget_blocks(session, min(words, 200)),
        calls=_forget_calls(session, words),
        patients=_forget_patients(session, patients),
    )


#: A signature is good for at most ten minutes: five before and five after its own time
#: (webapp/agents/signatures.py).
_SIGNATURES_KEPT = timedelta(hours=1)


def _forget_signatures(session: Session, limit: int = 50_000) -> None:
    """Delete expired signatures, with the answers to signed requests outside telephone calls."""
    old = (
        select(SignedRequest.org_id, SignedRequest.signature)
        .where(SignedRequest.seen_at < func.app_clock() - _SIGNATURES_KEPT)
        .order_by(SignedRequest.seen_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("old")
    )
    gone = delete(SignedRequest).where(
        tuple_(SignedRequest.org_id, SignedRequest.signature).in_(select(old.c.org_id, old.c.signature))
    )
    of_gone = gone.returning(SignedRequest.org_id, SignedRequest.signature).cte("gone")
    session.execute(
        delete(ToolCall)
        .where(
            ToolCall.org_id == of_gone.c.org_id,
            ToolCall.call_id == literal(BY_SIGNATURE).concat(of_gone.c.signature),
        )
        .execution_options(synchronize_session=False)
    )


def _before(days: InstrumentedAttribute[int | None]) -> ColumnElement[object]:
    """The moment `days` days ago; null if data is kept for ever, and then no row is older."""
    return func.app_clock() - func.make_interval(0, 0, 0, days)


def _forget_answers(session: Session, limit: int) -> int:
    told = cast(ToolCall.reply, JSONB)["error"].astext.is_distinct_from(privacy.ERASED_REPLY["error"])
    return _forget(
        session, ToolCall, ToolCall.created_at, told, limit=limit, reply=privacy.ERASED_REPLY, final=True
    )


def _forget_texts(session: Session, limit: int) -> int:
    return _forget(
        session, SmsMessage, SmsMessage.created_at, SmsMessage.body.is_not(None), limit=limit, body=None
    )


def _forget_visits(session: Session, limit: int) -> int:
    """Forget what the visit was for, unless it is the clinic's own name of a service."""
    own = select(1).where(
        Service.org_id == Appointment.org_id,
        Service.name == Appointment.service_type,
    )
    said = and_(Appointment.service_type.is_not(None), ~own.exists())
    return _forget(session, Appointment, Appointment.ends_at, said, limit=limit, service_type=None)


def _forget_blocks(session: Session, limit: int) -> int:
    """Forget the reasons of imported blocks, which may be patients' names."""
    named = and_(Block.imported_id.is_not(None), Block.reason != IMPORTED)
    return _forget(session, Block, Block.ends_at, named, limit=limit, reason=IMPORTED)


def _forget(
    session: Session,
    entity: type[ToolCall | SmsMessage | Appointment | Block],
    since: InstrumentedAttribute[datetime],
    which: ColumnElement[bool],
    *,
    limit: int,
    **values: object,
) -> int:
    """Set these values in rows older than their clinic's keep_words_days, by `since`. Returns how many."""
    old = (
        select(entity.id)
        .join(Organization, Organization.id == entity.org_id)
        .where(since < _before(Organization.keep_words_days), which)
        .limit(limit)
        .with_for_update(skip_locked=True, of=entity)
    )
    forgotten = session.execute(
        update(entity)
        .where(entity.id.in_(old.scalar_subquery()))
        .values(**values)
        .returning(entity.id)
        .execution_options(synchronize_session=False)
    )
    return len(forgotten.all())


def _forget_calls(session: Session, limit: int) -> int:
    """Forget the words of calls. The score stays with its reasons, without their quotes."""
    spoken = (Call.turns, Call.summary, Call.success, Call.facts)
    quoted = func.jsonb_path_exists(Call.lead_reasons, cast("$[*].quote", JSONPATH))
    old = (
        select(Call.org_id, Call.id)
        .join(Organization, Organization.id == Call.org_id)
        .where(
            Call.created_at < _before(Organization.keep_words_days),
            or_(*(column.is_not(None) for column in spoken), quoted),
        )
        .limit(limit)
        .with_for_update(skip_locked=True, of=Call)
    )
    reason = func.jsonb_array_elements(Call.lead_reasons).column_valued("reason")
    unquoted = select(func.jsonb_agg(reason.op("-")(literal("quote", Text)))).scalar_subquery()
    forgotten = session.execute(
        update(Call)
        .where(tuple_(Call.org_id, Call.id).in_(old))
        .values({column: null() for column in spoken} | {Call.lead_reasons: unquoted})
        .returning(Call.id)
        .execution_options(synchronize_session=False)
    )
    return len(forgotten.all())


def _forget_patients(session: Session, limit: int) -> int:
    due = [
        *_old_contacts(session, limit),
        *_old_numbers(session, HotLeadAlert, HotLeadAlert.lead_phone, limit),
        *_old_numbers(session, Call, Call.caller_number, limit),
    ]
    forgotten = 0
    for org_id, number in list(dict.fromkeys(due))[:limit]:
        try:
            privacy.erase(session, org_id, [number])
        except (privacy.StillExpected, privacy.BeingSent, privacy.NothingHeld):
            continue  # the patient's rows changed after the query
        forgotten += 1
    return forgotten


def _old_contacts(session: Session, limit: int) -> list[tuple[uuid.UUID, str]]:
    until = _before(Organization.keep_patients_days)
    query = (
        select(Contact.org_id, Contact.phone)
        .join(Organization, Organization.id == Contact.org_id)
        .where(
            Contact.created_at < until,
            Contact.phone.not_like(f"{MARK}%"),
            ~_seen_since(Contact.org_id, Contact.phone, Contact.id, until),
        )
        .order_by(Contact.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=Contact)
    )
    return [(row.org_id, row.phone) for row in session.execute(query)]


def _old_numbers(
    session: Session,
    entity: type[HotLeadAlert | Call],
    number: InstrumentedAttribute[str | None],
    limit: int,
) -> list[tuple[uuid.UUID, str]]:
    """Old numbers of calls or leads: a caller who never held a slot has no contact."""
    until = _before(Organization.keep_patients_days)
    query = (
        select(entity.org_id, number)
        .join(Organization, Organization.id == entity.org_id)
        .where(
            entity.created_at < until,
            number.not_like(f"{MARK}%"),
            ~_seen_since(entity.org_id, number, None, until),
        )
        .order_by(entity.created_at)
        .limit(limit)
    )
    return [(org_id, found) for org_id, found in session.execute(query) if found]


def _seen_since(
    org_id: InstrumentedAttribute[uuid.UUID],
    number: InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
    contact_id: InstrumentedAttribute[uuid.UUID] | None,
    until: ColumnElement[object],
) -> ColumnElement[bool]:
    """Whether there was a hold, a visit, an SMS, a call, an alert or a note after `until`."""
    seen = SmsMessage.__table__.alias()
    lead = HotLeadAlert.__table__.alias()
    call = Call.__table__.alias()
    noted = PatientNote.contact_id == contact_id if contact_id is not None else false()
    visit = or_(
        Appointment.patient_phone == number,
        Appointment.contact_id == contact_id if contact_id is not None else false(),
    )
    return or_(
        select(1)
        .where(
            AppointmentHold.org_id == org_id,
            AppointmentHold.patient_phone == number,
            AppointmentHold.created_at >= until,
        )
        .exists(),
        select(1)
        .where(
            Appointment.org_id == org_id,
            visit,
            or_(Appointment.ends_at >= until, Appointment.created_at >= until),
        )
        .exists(),
        select(1)
        .where(
            seen.c.org_id == org_id,
            seen.c.to_phone == number,
            seen.c.kind.not_in(handling.to_clinic()),
            or_(seen.c.created_at >= until, seen.c.status == SmsStatus.SENDING),
        )
        .exists(),
        select(1).where(PatientNote.org_id == org_id, noted, PatientNote.created_at >= until).exists(),
        select(1)
        .where(lead.c.org_id == org_id, lead.c.lead_phone == number, lead.c.created_at >= until)
        .exists(),
        select(1)
        .where(call.c.org_id == org_id, call.c.caller_number == number, call.c.created_at >= until)
        .exists(),
    )
