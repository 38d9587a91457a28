"""Everything held about one telephone number of one clinic: shown, or erased for good.

When a person is erased the rows stay, for the counts, and what identifies the person goes. Other parties have
to erase what they hold: the SMS provider the texts, the voice platform the recordings. The export has the ids
to name in the request.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Text,
    and_,
    cast,
    delete,
    func,
    inspect,
    literal,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from models.base import clock
from models.base.erased import ERASED, MARK
from models.base.tables import Base
from models.booking import holds
from models.booking.appointments import EXPECTED, Appointment, AppointmentStatus
from models.booking.changes import AppointmentChange
from models.booking.holds import AppointmentHold, HoldStatus
from models.booking.imports import uploads
from models.booking.links import PatientLink
from models.calls.calls import BY_SIGNATURE, Call, ToolCall
from models.clinics.contacts import Contact
from models.clinics.patient_notes import PatientNote
from models.insight import named
from models.insight.named import Names
from models.leads.leads import HotLeadAlert
from models.messaging.messages import SmsMessage
from models.messaging.opt_outs import OptOut
from models.messaging.states import Cause, SmsStatus

#: What a kept answer becomes: readable when a tool call is replayed, and never a success.
ERASED_REPLY: dict[str, Any] = {
    "say": "What was answered here has been erased.",
    "facts": {},
    "code": "unavailable",
    "error": "Erased",
    "line": None,
}

#: The columns that identify a person or say what was said, by table. A test looks for missing columns.
PERSONAL = {
    "contacts": {"phone", "name"},
    "appointment_holds": {"patient_phone", "patient_name", "code_digest", "caller"},
    "appointments": {"patient_phone", "patient_name", "service_type", "overruled"},
    "sms_messages": {"to_phone", "body", "error_reason"},
    "calls": {"caller_number", "turns", "summary", "success", "facts", "lead_reasons", "lead_service"},
    "tool_calls": {"reply"},
    "hot_lead_alerts": {"lead_name", "lead_phone"},
    "opt_outs": {"phone"},
    "patient_notes": {"body"},
    "import_files": {"file_name", "choices"},
}

#: Columns that are of no use outside, and better not handed out.
_NOT_SHOWN = {"code_digest", "code_key", "caller", "arguments_digest", "org_id", "lease_until", "nudged_at"}


class NothingHeld(LookupError):
    """The clinic holds nothing about this number."""


class StillExpected(Exception):
    """The patient has appointments to come, and once erased could be told nothing more about them."""

    def __init__(self, starts: list[datetime]) -> None:
        super().__init__(f"{len(starts)} appointments are still to come")
        self.starts = starts


class BeingSent(Exception):
    """An SMS to the patient is with a worker at this moment."""


@dataclass(frozen=True, slots=True)
class Held:
    """The rows about one person."""

    contacts: list[Contact] = field(default_factory=list)
    holds: list[AppointmentHold] = field(default_factory=list)
    appointments: list[Appointment] = field(default_factory=list)
    changes: list[AppointmentChange] = field(default_factory=list)
    sms: list[SmsMessage] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    tool_calls: list[ToolCall] = field(default_factory=list)
    lead_alerts: list[HotLeadAlert] = field(default_factory=list)
    opt_outs: list[OptOut] = field(default_factory=list)
    notes: list[PatientNote] = field(default_factory=list)
    #: The person's numbers in these rows: the numbers asked for, and others under which the contact booked.
    numbers: frozenset[str] = frozenset()

    @property
    def names(self) -> Names:
        """How the person is named in these rows."""
        names = [
            *(row.name for row in self.contacts),
            *(row.patient_name for row in self.holds),
            *(row.patient_name for row in self.appointments),
            *(row.lead_name for row in self.lead_alerts),
        ]
        return Names.of(names, self.numbers)

    def counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in self.__slots__ if name != "numbers"}


def find(session: Session, org_id: uuid.UUID, phones: Collection[str], *, for_update: bool = False) -> Held:
    """The rows about one number; `phones` has it in each form in which it may be written.

    Raises NothingHeld.
    """

    def rows(entity: type[Any], *where: Any) -> list[Any]:
        query = select(entity).where(entity.org_id == org_id, *where)
        query = query.order_by(*inspect(entity).primary_key)
        if for_update:
            query = query.with_for_update().execution_options(populate_existing=True)
        return list(session.scalars(query))

    contacts = rows(Contact, Contact.phone.in_(phones))
    known = [contact.id for contact in contacts]
    of_holds = rows(
        AppointmentHold,
        or_(AppointmentHold.patient_phone.in_(phones), AppointmentHold.contact_id.in_(known)),
    )
    of_appointments = rows(
        Appointment, or_(Appointment.patient_phone.in_(phones), Appointment.contact_id.in_(known))
    )
    numbers = {
        *phones,
        *(row.patient_phone for row in [*of_holds, *of_appointments] if row.contact_id in known),
    }
    booked_in = {row.call_sid for row in [*of_holds, *of_appointments] if row.call_sid}
    leads = rows(
        HotLeadAlert,
        or_(
            HotLeadAlert.lead_phone.in_(phones),
            and_(HotLeadAlert.call_id.in_(booked_in), HotLeadAlert.lead_phone.in_(numbers)),
        ),
    )
    messages = rows(
        SmsMessage,
        or_(
            SmsMessage.to_phone.in_(phones),
            SmsMessage.id.in_(_naming(session, org_id, leads)),
            SmsMessage.hold_id.in_([hold.id for hold in of_holds]),
            SmsMessage.appointment_id.in_([appointment.id for appointment in of_appointments]),
        ),
    )
    in_calls = booked_in | {row.call_sid for row in messages if row.call_sid}
    in_calls |= {lead.call_id for lead in leads}
    calls = rows(Call, or_(Call.id.in_(in_calls), Call.caller_number.in_(phones)))
    in_calls |= {call.id for call in calls}
    held = Held(
        contacts=contacts,
        holds=of_holds,
        appointments=of_appointments,
        changes=rows(
            AppointmentChange,
            AppointmentChange.appointment_id.in_([appointment.id for appointment in of_appointments]),
        ),
        sms=messages,
        calls=calls,
        tool_calls=rows(
            ToolCall,
            or_(
                ToolCall.call_id.in_(in_calls),
                and_(
                    ToolCall.call_id.startswith(BY_SIGNATURE),  # outside a telephone call; deleted in hours
                    or_(
                        ToolCall.reply["facts"]["holdId"].as_string().in_(_texts(of_holds)),
                        ToolCall.reply["facts"]["appointmentId"].as_string().in_(_texts(of_appointments)),
                    ),
                ),
            ),
        ),
        lead_alerts=leads,
        opt_outs=rows(OptOut, OptOut.phone.in_(phones)),
        notes=rows(PatientNote, PatientNote.contact_id.in_(known)),
        numbers=frozenset(numbers),
    )
    if not any(held.counts().values()):
        raise NothingHeld
    return held


def _naming(session: Session, org_id: uuid.UUID, leads: Collection[HotLeadAlert]) -> set[uuid.UUID]:
    """The messages that tell of these leads only, so that their texts name the patient. A message that tells
    of other leads as well names no patient, and is still owed for the others.
    """
    told = {lead.message_id for lead in leads if lead.message_id}
    of_others = session.scalars(
        select(HotLeadAlert.message_id).where(
            HotLeadAlert.org_id == org_id,
            HotLeadAlert.message_id.in_(told),
            HotLeadAlert.id.not_in([lead.id for lead in leads]),
            func.coalesce(HotLeadAlert.lead_phone, "").not_like(f"{MARK}%"),
        )
    )
    return told - {each for each in of_others if each}


def _texts(rows: Collection[AppointmentHold | Appointment]) -> list[str]:
    return [str(row.id) for row in rows]


def export(session: Session, org_id: uuid.UUID, phones: Collection[str]) -> dict[str, Any]:
    """Everything held, as JSON values. Raises NothingHeld.

    The text of a code is not in it, because it is stored nowhere.
    """
    held = find(session, org_id, phones)
    about = {name: [_shown(row) for row in getattr(held, name)] for name in held.counts()}
    return json.loads(json.dumps(about, default=_as_text))  # type: ignore[no-any-return]


def _shown(row: Base) -> dict[str, Any]:
    names = (column.key for column in inspect(type(row)).column_attrs)
    return {name: getattr(row, name) for name in names if name not in _NOT_SHOWN}


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def erase(
    session: Session, org_id: uuid.UUID, phones: Collection[str], *, cancel: bool = False
) -> dict[str, int]:
    """Take name, number and words out of every row. Returns how many rows of each kind there were.

    With `cancel` appointments to come are cancelled. Raises NothingHeld, StillExpected or BeingSent before
    it changes anything.
    """
    uploads.lock(session, org_id)  # before the resources, as an import does
    _lock_diaries(session, org_id, phones)
    _lock_sms(session, org_id, find(session, org_id, phones))
    held = find(session, org_id, phones, for_update=True)
    now = clock.now(session)
    expected = [row for row in held.appointments if row.status in EXPECTED and row.ends_at > now]
    if expected and not cancel:
        raise StillExpected([row.scheduled_at for row in expected])
    if any(message.status is SmsStatus.SENDING for message in held.sms):
        raise BeingSent
    for appointment in expected:
        appointment.status = AppointmentStatus.CANCELLED
    for hold in held.holds:
        if hold.status is HoldStatus.HELD:
            holds.release(session, org_id=org_id, hold_id=hold.id)
    session.flush()
    names = held.names
    # Kept for an hour at most; whether the patient is in it is not looked for.
    uploads.forget(session, org_id)
    _settle_sms(session, org_id, held)
    _erase_rows(session, org_id, held)
    named.erase(session, org_id, names)
    session.expire_all()
    return held.counts()


def _lock_diaries(session: Session, org_id: uuid.UUID, phones: Collection[str]) -> None:
    """Lock the resources whose times may become free, in order; rows are locked only after them."""
    contacts = select(Contact.id).where(Contact.org_id == org_id, Contact.phone.in_(phones))
    live = (
        select(_resources(AppointmentHold))
        .where(
            AppointmentHold.org_id == org_id,
            or_(AppointmentHold.patient_phone.in_(phones), AppointmentHold.contact_id.in_(contacts)),
            AppointmentHold.status == HoldStatus.HELD,
        )
        .union(
            select(_resources(Appointment)).where(
                Appointment.org_id == org_id,
                or_(Appointment.patient_phone.in_(phones), Appointment.contact_id.in_(contacts)),
                Appointment.status.in_(EXPECTED),
                Appointment.ends_at > func.app_clock(),
            )
        )
    )
    holds.lock_resources(session, org_id, session.scalars(live))


def _resources(entity: type[AppointmentHold | Appointment]) -> ColumnElement[str]:
    """The person, room and device that each row takes up, a row for each."""
    return func.unnest(func.all_resources(entity.resource_id, entity.other_resources))


def _lock_sms(session: Session, org_id: uuid.UUID, held: Held) -> None:
    """Lock the messages before the appointments: a worker that records an SMS locks its row first, then the
    appointment's.
    """
    ids = [message.id for message in held.sms]
    session.execute(
        select(SmsMessage.id)
        .where(SmsMessage.org_id == org_id, SmsMessage.id.in_(ids))
        .order_by(SmsMessage.id)
        .with_for_update()
    )


def _settle_sms(session: Session, org_id: uuid.UUID, held: Held) -> None:
    """Expire the queued messages, and fail the unknown ones, about which the provider can no longer be asked.

    Messages that failed before leave the list of messages in trouble, and are not tried again. The error that
    the provider wrote goes, too: it often repeats the number.
    """
    of_these = (SmsMessage.org_id == org_id, SmsMessage.id.in_([message.id for message in held.sms]))
    session.execute(update(SmsMessage).where(*of_these).values(error_reason=None, cause=Cause.ERASED))
    for before, after in ((SmsStatus.QUEUED, SmsStatus.EXPIRED), (SmsStatus.UNKNOWN, SmsStatus.FAILED)):
        session.execute(
            update(SmsMessage)
            .where(*of_these, SmsMessage.status == before)
            .values(
                status=after,
                error_reason=Cause.ERASED.value,
                unknown_since=None,
                check_at=None,
            )
        )


def _erase_rows(session: Session, org_id: uuid.UUID, held: Held) -> None:
    # Each contact has a mark of its own, because a clinic has each number only once.
    nobody = f"{MARK}{held.contacts[0].id if held.contacts else uuid.uuid4()}"

    def every(entity: type[Any], rows: list[Any], **values: object) -> None:
        ids = [row.id for row in rows]
        session.execute(
            update(entity)
            .where(entity.org_id == org_id, entity.id.in_(ids))
            .values(**values)
            .execution_options(synchronize_session=False)
        )

    every(Contact, held.contacts, phone=literal(MARK).concat(cast(Contact.id, Text)), name=ERASED)
    every(
        AppointmentHold, held.holds, patient_phone=nobody, patient_name=ERASED, code_digest=None, caller=None
    )
    every(Appointment, held.appointments, patient_phone=nobody, patient_name=ERASED, service_type=None)
    # That it was put beside another stays to be seen.
    every(Appointment, [row for row in held.appointments if row.overruled], overruled=ERASED)
    every(HotLeadAlert, held.lead_alerts, lead_phone=nobody, lead_name=ERASED)
    untold = [alert for alert in held.lead_alerts if not (alert.alert_sent_at or alert.suppressed_reason)]
    every(HotLeadAlert, untold, suppressed_reason=Cause.ERASED.value)
    every(
        Call,
        held.calls,
        **dict.fromkeys(
            ("turns", "summary", "success", "facts", "lead_reasons", "lead_service", "score_due_at"), null()
        ),
        erased_at=func.coalesce(Call.erased_at, func.app_clock()),
    )
    # A relative may have rung for the patient: a relative's number stays.
    every(Call, [call for call in held.calls if call.caller_number in held.numbers], caller_number=nobody)
    every(ToolCall, held.tool_calls, reply=ERASED_REPLY, final=True)
    every(SmsMessage, held.sms, body=None)
    # An alert went to the clinic: its number stays.
    to_patient = [message for message in held.sms if message.to_phone in held.numbers]
    every(SmsMessage, to_patient, to_phone=nobody)
    # Of a note nothing is left that could be counted.
    session.execute(
        delete(PatientNote).where(
            PatientNote.org_id == org_id, PatientNote.id.in_([note.id for note in held.notes])
        )
    )
    for opted_out in held.opt_outs:
        # A patient who rings again asks for a code, and so for SMS: the old opt-out does not stand then.
        opted_out.phone = f"{MARK}{uuid.uuid4()}"
    session.execute(
        update(PatientLink)
        .where(
            PatientLink.org_id == org_id,
            PatientLink.appointment_id.in_([appointment.id for appointment in held.appointments]),
        )
        .values(expires_at=func.least(PatientLink.expires_at, func.app_clock()))
    )
    session.flush()
