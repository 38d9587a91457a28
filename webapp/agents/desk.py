"""Where a tool call is worked on: whose it is, once and once only, and what may be waited for.

A tool itself sees a Desk: an open transaction, the clinic, and the telephone call it happens in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError
from sqlalchemy.orm import Session

import settings
from models.base import phones
from models.base.json_values import storable
from models.base.session import Door
from models.booking import appointments, holds, rules
from models.booking.appointments import Appointment
from models.booking.codes import Asker
from models.booking.holds import AppointmentHold
from models.calls import calls, tenancy
from models.clinics import organizations
from models.clinics.organizations import Organization
from models.messaging import messages
from models.messaging.states import SmsStatus
from webapp import attacks
from webapp.agents.credentials import Caller
from webapp.agents.replies import Code, Reply, Watched, not_booked, refusal
from webapp.agents.vapi.envelope import Envelope, ToolCall
from webapp.nudge import nudge
from webapp.shares import Shares
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown, in_system_transaction, in_transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    session: Session
    clinic: Organization
    call_id: str | None
    caller_number: str | None
    now: datetime
    credential_id: uuid.UUID | None = None
    call_holds_a_slot: bool = False
    #: SMS that this made, to be nudged once it is committed.
    due: list[messages.Due] = field(default_factory=list)

    @property
    def org_id(self) -> uuid.UUID:
        return self.clinic.id

    @property
    def asker(self) -> Asker:
        """Who asks for a hold or a code: the caller's number is the envelope's, never what was said."""
        try:
            number = phones.e164(
                self.caller_number or "", region=self.clinic.region, sandbox=self.clinic.sandbox
            )
        except phones.ImpossibleNumber:
            return Asker(None, self.credential_id)  # withheld, or an address that is no number
        return Asker(number, self.credential_id)

    def nudge_afterwards(self, due: messages.Due) -> None:
        self.due.append(due)

    def hold(self, given: str | None) -> AppointmentHold | None:
        """The hold that is meant; None for an id that is none, or that this call may not name."""
        hold_id = as_uuid(given)
        if given is not None and hold_id is None:
            return None
        return rules.find_hold(self.session, self.org_id, call_id=self.call_id, hold_id=hold_id)

    def appointment(self, given: str | None) -> Appointment | None:
        """Likewise of appointments."""
        appointment_id = as_uuid(given)
        if given is not None and appointment_id is None:
            return None
        return rules.find_appointment(
            self.session, self.org_id, call_id=self.call_id, appointment_id=appointment_id
        )


def _succeeded(_desk: Desk, _arguments: dict[str, Any], reply: Reply) -> bool:
    return reply.success


@dataclass(frozen=True, slots=True)
class Tool:
    """`says_not_booked`: a failure of this tool is a booking that did not happen. `is_kept`: whether a repeat
    is given this answer. If not, as after most refusals, it is worked on once more, for by now it may be
    otherwise.
    """

    name: str
    path: str
    summary: str
    arguments: type[Schema]
    answer: type[Schema]
    run: Callable[[Desk, dict[str, Any]], Reply | Watched]
    says_not_booked: bool = True
    is_kept: Callable[[Desk, dict[str, Any], Reply], bool] = _succeeded


def serve(tool: Tool, caller: Caller, envelope: Envelope, call: ToolCall) -> Reply:
    """Answer one tool call. A repeat of it is given the first answer, and has no effect."""
    try:
        arguments: dict[str, Any] = _schema(tool.arguments).load(call.arguments)
    except ValidationError as error:
        return _not_understood(tool, error)
    try:
        org_id = _organization_of(caller, envelope, arguments)
        if org_id is None:
            return _unknown_tenant(tool)
        key = _key_of(tool, caller, envelope, call)
        return _serve_in(org_id, tool, caller, envelope, arguments, key)
    except Busy:
        return busy(tool)
    except DatabaseAway as away:
        return outcome_unknown() if isinstance(away, OutcomeUnknown) else unavailable(tool)
    except Exception:
        log.exception("%s failed in a way that nobody thought of", tool.name)
        return unavailable(tool)  # the other calls of the message have their answers all the same


def _serve_in(
    org_id: uuid.UUID,
    tool: Tool,
    caller: Caller,
    envelope: Envelope,
    arguments: dict[str, Any],
    key: calls.ToolCallKey | None,
) -> Reply:
    """Raises Busy, DatabaseAway or OutcomeUnknown, and nothing else once it is committed."""
    done = in_transaction(
        org_id,
        lambda session: _work(session, org_id, tool, caller, envelope, arguments, key),
        actor=actor_of(envelope),
        happened=lambda session, done: _is_there(session, org_id, key, done),
    )
    try:
        if done.reply.code and (kind := _COUNTED_AS.get(done.reply.code)):
            attacks.count(kind, org_id=org_id)
        for due in done.due:
            nudge(due)
        return _improved(org_id, done, key)
    except Exception:
        log.exception("%s: what was committed is answered as it stood then", tool.name)
        return done.reply


#: Refusals that an honest caller meets now and then, and one who guesses or floods all the time. HOLD_LOCKED
#: is what the last wrong code of a hold is answered with.
_COUNTED_AS = {
    Code.TOO_MANY_CODES: attacks.Kind.LIMITED_CODES,
    Code.TOO_MANY_HOLDS: attacks.Kind.LIMITED_HOLDS,
    Code.TOO_MANY_UNPROVED_HOLDS: attacks.Kind.LIMITED_HOLDS,
    Code.WRONG_CODE: attacks.Kind.WRONG_CODES,
    Code.HOLD_LOCKED: attacks.Kind.WRONG_CODES,
}


def _improved(org_id: uuid.UUID, done: _Done, key: calls.ToolCallKey | None) -> Reply:
    """The reply, with what an SMS came to in the moments after it. Raises Busy or DatabaseAway."""
    if done.settled_elsewhere and key is not None:
        return _settled(org_id, key) or done.reply
    if done.watched is None:
        return done.reply
    reply = done.watched.tell(watch(org_id, done.watched.message_id))
    if done.kept_as is not None:
        kept_as = done.kept_as.id
        in_transaction(org_id, lambda session: calls.replace_reply(session, kept_as, reply.as_json()))
    return reply


def _is_there(session: Session, org_id: uuid.UUID, key: calls.ToolCallKey | None, done: _Done) -> bool | None:
    """Whether a tool call was committed, by what only its transaction can have written.

    That is the answer that it keeps, and without a call id what it made. What makes nothing, such as a repeat
    or most refusals, is true in any case; None if that cannot be told.
    """
    if key is not None:
        return done.kept_as is None or calls.is_kept(session, done.kept_as)
    if done.watched is not None:
        return messages.get_or_none(session, org_id, done.watched.message_id) is not None
    if appointment_id := as_uuid(done.reply.facts.get("appointmentId")):
        return appointments.get_or_none(session, org_id, appointment_id) is not None
    if hold_id := as_uuid(done.reply.facts.get("holdId")):
        return holds.get_or_none(session, org_id, hold_id) is not None
    # Of a wrong code it is true, too, counted or not; of the last one only if it was counted.
    return None if done.reply.code is Code.HOLD_LOCKED else True


@cache
def _schema(kind: type[Schema]) -> Schema:
    """One instance serves every request: making one copies all of its fields."""
    return kind()


@dataclass(frozen=True, slots=True)
class _Done:
    """What the transaction came to: a reply that is true as it commits, and what may still improve it."""

    reply: Reply
    watched: Watched | None = None
    kept_as: calls.KeptAs | None = None
    #: The first of several equal calls is still watching its SMS.
    settled_elsewhere: bool = False
    due: tuple[messages.Due, ...] = ()


def _work(
    session: Session,
    org_id: uuid.UUID,
    tool: Tool,
    caller: Caller,
    envelope: Envelope,
    arguments: dict[str, Any],
    key: calls.ToolCallKey | None,
) -> _Done:
    found = organizations.get_with_clock(session, org_id)
    if found is None:
        return _Done(_unknown_tenant(tool))
    clinic, now = found
    begun = calls.begin(session, clinic.id, key) if key else None
    desk = Desk(
        session,
        clinic,
        envelope.call_id,
        envelope.caller_number,
        now,
        caller.credential_id,
        call_holds_a_slot=bool(begun and begun.holds_a_slot),
    )
    if key and begun and begun.reply:
        kept = Reply.from_json(begun.reply)
        stands = not begun.final or tool.is_kept(desk, arguments, kept)
        if _came_before(desk, caller, key) or (stands and _is_a_repeat(desk, envelope, key)):
            return _Done(kept, settled_elsewhere=not begun.final)
    outcome = tool.run(desk, arguments)
    watched = outcome if isinstance(outcome, Watched) else None
    reply = outcome.as_it_stands(session) if isinstance(outcome, Watched) else outcome
    kept_as = None
    if key:
        kept_as = calls.keep_reply(session, clinic.id, key, reply.as_json(), final=watched is None)
    return _Done(reply, watched, kept_as, due=tuple(desk.due))


def trouble(tool: Tool | None, code: Code, error: str, why: str) -> Reply:
    """An answer that is nobody's fault, and that was not kept: a repeat may well succeed."""
    make = not_booked if tool is None or tool.says_not_booked else refusal
    return make(code, error, why)


def busy(tool: Tool | None) -> Reply:
    return trouble(tool, Code.BUSY, "Busy", "one moment please, I will try that again.")


def unavailable(tool: Tool | None) -> Reply:
    return trouble(
        tool,
        Code.UNAVAILABLE,
        "Unavailable",
        "I cannot reach the diary right now. Please try again in a moment.",
    )


def outcome_unknown() -> Reply:
    """Not "NOT BOOKED": it may be. Asked again, a tool call that was committed gets its answer."""
    return refusal(
        Code.OUTCOME_UNKNOWN,
        "Outcome unknown",
        "I could not see whether that went through; it may have. Please ask me exactly the same once more,"
        " and I will tell how it stands.",
    )


# --- whose call it is ---------------------------------------------------------------------------


def _organization_of(caller: Caller, envelope: Envelope, arguments: dict[str, Any]) -> uuid.UUID | None:
    """The caller's clinic. `tenantId` may agree with the credential, never choose.

    In development a request without a credential is its tenantId's, else that of what it names.
    Raises Busy or DatabaseAway.
    """
    given = arguments.get("tenantId")
    tenant = as_uuid(given)
    if given and tenant is None:
        return None
    if caller.org_id is not None:
        return caller.org_id if tenant in (None, caller.org_id) else None
    return tenant or in_system_transaction(
        Door.DEVELOPMENT,
        lambda session: tenancy.find_organization_of(
            session,
            hold_id=as_uuid(arguments.get("holdId")),
            appointment_id=as_uuid(arguments.get("appointmentId")),
            call_sid=envelope.call_id,
        ),
    )


def actor_of(envelope: Envelope) -> str:
    """Who the audit log says it was."""
    return f"call {envelope.call_id}" if envelope.call_id else "tool call"


# --- once and once only -------------------------------------------------------------------------


def _key_of(tool: Tool, caller: Caller, envelope: Envelope, call: ToolCall) -> calls.ToolCallKey | None:
    """How a tool call is recognised when it comes again: within its telephone call, or else by its signature.

    None without either: then nothing tells a repeat from somebody else's first.
    """
    if envelope.call_id is not None:
        return _key(tool.name, envelope.call_id, call)
    return _key(tool.name, calls.BY_SIGNATURE + caller.signature, call) if caller.signature else None


def _key(tool: str, call_id: str, call: ToolCall) -> calls.ToolCallKey:
    canonical = json.dumps(call.arguments, sort_keys=True).encode()
    digest = hmac.new(settings.get().subkey("tool-arguments"), canonical, hashlib.sha256).hexdigest()
    return calls.ToolCallKey(call_id, _bounded(storable(str(call.id))), tool, digest)


#: The longest time between a tool call and its repeat. Vapi gives a tool call 20 seconds.
REPEATED_WITHIN = timedelta(seconds=30)


def _came_before(desk: Desk, caller: Caller, key: calls.ToolCallKey) -> bool:
    """Whether the answer that is kept was given after this very signature came for the first time.

    A new wish is signed anew. So what brings an old signature is a repeat, however late it comes and whatever
    was asked in between, and even a refusal is given again.
    """
    if caller.seen_at is None:
        return False
    answered_at, _ = calls.answered_since(desk.session, desk.org_id, key)
    return answered_at >= caller.seen_at


def _is_a_repeat(desk: Desk, envelope: Envelope, key: calls.ToolCallKey) -> bool:
    """Whether a tool call that was answered before is the same request once more, and not a new wish.

    Its id does not tell, because models reuse ids ("call_0"). It is the same request if it comes soon after
    its answer and nothing else was asked in the telephone call since. What follows it in its own message
    does not count: a message that is repeated brings all of its tool calls again.
    """
    answered_at, since = calls.answered_since(desk.session, desk.org_id, key)
    if desk.now - answered_at > REPEATED_WITHIN:
        return False
    message = [_key(each.name or "", envelope.call_id or "", each) for each in envelope.calls]
    following = message[message.index(key) + 1 :] if key in message else []
    return since <= set(following)


def _bounded(tool_call_id: str) -> str:
    """An index takes no text of any length."""
    long = len(tool_call_id) > 200
    return hashlib.sha256(tool_call_id.encode()).hexdigest() if long else tool_call_id


# --- what may be waited for ---------------------------------------------------------------------

#: Threads of a process that may watch an SMS at once, and half of its threads at most: each looks at its row
#: several times a second, and the others answer new calls. One clinic has half of the places at most.
MOST_WATCHERS = 16

_ON_ITS_WAY = (SmsStatus.QUEUED, SmsStatus.SENDING)


def watch(org_id: uuid.UUID, message_id: uuid.UUID) -> messages.SmsMessage:
    """Nudge an SMS, and look at its row until the provider has it or SMS_WATCH seconds are over.

    No transaction is open while it waits.
    """
    pauses = _pauses(org_id, time.monotonic() + settings.get().sms_watch)
    message = _look(org_id, message_id)
    if message.status in _ON_ITS_WAY:
        nudge(messages.Due(org_id, message_id, message.kind))
    while message.status in _ON_ITS_WAY and next(pauses, False):
        message = _look(org_id, message_id)
    pauses.close()
    return message


def _settled(org_id: uuid.UUID, key: calls.ToolCallKey) -> Reply | None:
    """The answer that the first of several equal calls comes to; None if it takes too long."""
    pauses = _pauses(org_id, time.monotonic() + settings.get().sms_watch + 0.5)
    kept = None
    while kept is None and next(pauses, False):
        kept = in_transaction(org_id, lambda session: calls.get_final_reply(session, org_id, key))
    pauses.close()
    return Reply.from_json(kept) if kept else None


@cache
def _watchers() -> Shares:
    return Shares(max(1, min(MOST_WATCHERS, settings.get().threads_of_web // 2)))


def _pauses(org_id: uuid.UUID, until: float) -> Generator[bool, None, None]:
    """Short sleeps until that moment; none at all when as many of its clinic wait already as may."""
    with _watchers().place(org_id) as got:
        pause = 0.02
        while got and time.monotonic() < until:
            time.sleep(pause)
            yield True
            pause = min(pause * 1.5, 0.2)


def _look(org_id: uuid.UUID, message_id: uuid.UUID) -> messages.SmsMessage:
    message = in_transaction(org_id, lambda session: messages.get_or_none(session, org_id, message_id))
    if message is None:
        raise DatabaseAway
    return message


# --- what was not understood --------------------------------------------------------------------

_NAMES = {
    "date": "the day",
    "slotId": "which time was chosen",
    "patientName": "the patient's name",
    "patientPhone": "the patient's telephone number",
    "providedOTP": "the code from the text message",
    "holdId": "which reservation is meant",
    "appointmentId": "which appointment is meant",
}


def _not_understood(tool: Tool, error: ValidationError) -> Reply:
    make = not_booked if tool.says_not_booked else refusal
    problems = error.normalized_messages()  # type: ignore[no-untyped-call]
    missing = [name for name, why in problems.items() if "Missing data for required field." in why]
    if missing:
        wanted = " and ".join(_NAMES.get(name, name) for name in missing)
        return make(Code.MISSING_ARGUMENT, f"Missing: {', '.join(missing)}", f"I still need {wanted}.")
    names = sorted(problems)
    wanted = " and ".join(_NAMES.get(name, name) for name in names)
    return make(
        Code.INVALID_ARGUMENT, f"Not usable: {', '.join(names)}", f"I could not make sense of {wanted}."
    )


def _unknown_tenant(tool: Tool) -> Reply:
    make = not_booked if tool.says_not_booked else refusal
    return make(Code.UNKNOWN_TENANT, "Unknown clinic", "I cannot find that clinic or reservation.")


def as_uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None
