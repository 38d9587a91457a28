"""Runs one tool call, once, in one transaction of its clinic, whichever platform asks.

The platform's adapter makes a Request of what the platform sends, and puts the Reply into its form.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from functools import cache
from typing import Any

from marshmallow import Schema, ValidationError
from sqlalchemy.orm import Session

from models.base.session import Door
from models.booking import appointments, holds
from models.calls import calls, tenancy
from models.clinics import organizations
from models.messaging import messages
from webapp import attacks
from webapp.agents import repeats, watching
from webapp.agents.desk import Desk, as_uuid
from webapp.agents.replies import Code, Reply, Watched, not_booked, refusal
from webapp.agents.tool import Tool
from webapp.agents.wire import Request, ToolCall
from webapp.nudge import nudge
from webapp.unit_of_work import Busy, DatabaseAway, OutcomeUnknown, in_system_transaction, in_transaction

log = logging.getLogger(__name__)


def serve(tool: Tool, request: Request, call: ToolCall) -> Reply:
    """Answer one tool call. A repeat gets the first answer, and has no effect."""
    try:
        arguments: dict[str, Any] = _schema(tool.arguments).load(call.arguments)
    except ValidationError as error:
        return _not_understood(tool, error)
    try:
        org_id = _organization_of(request, arguments)
        if org_id is None:
            return _unknown_tenant(tool)
        key = repeats.key_of(tool.name, request, call)
        return _serve_in(org_id, tool, request, arguments, key)
    except Busy:
        return busy(tool)
    except DatabaseAway as away:
        return outcome_unknown() if isinstance(away, OutcomeUnknown) else unavailable(tool)
    except Exception:
        log.exception("%s failed in a way that nobody thought of", tool.name)
        return unavailable(tool)  # so that the other tool calls of the message still get answers


def _serve_in(
    org_id: uuid.UUID,
    tool: Tool,
    request: Request,
    arguments: dict[str, Any],
    key: calls.ToolCallKey | None,
) -> Reply:
    """Raises Busy, DatabaseAway or OutcomeUnknown, and nothing after the commit."""
    done = in_transaction(
        org_id,
        lambda session: _work(session, org_id, tool, request, arguments, key),
        actor=actor_of(request),
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


#: Refusals that an honest caller meets now and then, and a caller who guesses or floods all the time. The
#: last wrong code of a hold is answered with HOLD_LOCKED.
_COUNTED_AS = {
    Code.TOO_MANY_CODES: attacks.Kind.LIMITED_CODES,
    Code.TOO_MANY_HOLDS: attacks.Kind.LIMITED_HOLDS,
    Code.TOO_MANY_UNPROVED_HOLDS: attacks.Kind.LIMITED_HOLDS,
    Code.WRONG_CODE: attacks.Kind.WRONG_CODES,
    Code.HOLD_LOCKED: attacks.Kind.WRONG_CODES,
}


def _improved(org_id: uuid.UUID, done: _Done, key: calls.ToolCallKey | None) -> Reply:
    """The reply, with what became of its SMS just after the commit. Raises Busy or DatabaseAway."""
    if done.settled_elsewhere and key is not None:
        return watching.settled(org_id, key) or done.reply
    if done.watched is None:
        return done.reply
    reply = done.watched.tell(watching.watch(org_id, done.watched.message_id))
    if done.kept_as is not None:
        kept_as = done.kept_as.id
        in_transaction(org_id, lambda session: calls.replace_reply(session, kept_as, reply.as_json()))
    return reply


def _is_there(session: Session, org_id: uuid.UUID, key: calls.ToolCallKey | None, done: _Done) -> bool | None:
    """Whether a tool call was committed, by what only its transaction can have written: the kept answer, or
    without a key the message, appointment or hold that it made.

    True if it writes nothing, such as a repeat or most refusals; None if it cannot be told.
    """
    if key is not None:
        return done.kept_as is None or calls.is_kept(session, done.kept_as)
    if done.watched is not None:
        return messages.get_or_none(session, org_id, done.watched.message_id) is not None
    if appointment_id := as_uuid(done.reply.facts.get("appointmentId")):
        return appointments.get_or_none(session, org_id, appointment_id) is not None
    if hold_id := as_uuid(done.reply.facts.get("holdId")):
        return holds.get_or_none(session, org_id, hold_id) is not None
    # The refusal of a wrong code is true, counted or not; that of the last one only if it was counted.
    return None if done.reply.code is Code.HOLD_LOCKED else True


@cache
def _schema(kind: type[Schema]) -> Schema:
    """One instance for all requests, since making one copies all of its fields."""
    return kind()


@dataclass(frozen=True, slots=True)
class _Done:
    """The result of the transaction: a reply that is true at the commit, and what may still update it."""

    reply: Reply
    watched: Watched | None = None
    kept_as: calls.KeptAs | None = None
    #: The first of several equal tool calls is still watching its SMS.
    settled_elsewhere: bool = False
    due: tuple[messages.Due, ...] = ()


def _work(
    session: Session,
    org_id: uuid.UUID,
    tool: Tool,
    request: Request,
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
        request.call_id,
        request.caller_number,
        now,
        request.caller.credential_id,
        call_holds_a_slot=bool(begun and begun.holds_a_slot),
    )
    if key and begun and begun.reply:
        kept = Reply.from_json(begun.reply)
        stands = not begun.final or tool.is_kept(desk, arguments, kept)
        if repeats.came_before(desk, request, key) or (stands and repeats.is_a_repeat(desk, request, key)):
            return _Done(kept, settled_elsewhere=not begun.final)
    outcome = tool.run(desk, arguments)
    watched = outcome if isinstance(outcome, Watched) else None
    reply = outcome.as_it_stands(session) if isinstance(outcome, Watched) else outcome
    kept_as = None
    if key:
        kept_as = calls.keep_reply(session, clinic.id, key, reply.as_json(), final=watched is None)
    return _Done(reply, watched, kept_as, due=tuple(desk.due))


def trouble(tool: Tool | None, code: Code, error: str, why: str) -> Reply:
    """A refusal because of load, an outage or an unreadable request. It is not kept: a repeat may succeed."""
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
    """Without "NOT BOOKED", since it may be booked. A repeat of a committed tool call gets its answer."""
    return refusal(
        Code.OUTCOME_UNKNOWN,
        "Outcome unknown",
        "I could not see whether that went through; it may have. Please ask me exactly the same once more,"
        " and I will tell how it stands.",
    )


# --- whose call it is ---------------------------------------------------------------------------


def _organization_of(request: Request, arguments: dict[str, Any]) -> uuid.UUID | None:
    """The caller's clinic, or None. `tenantId` may agree with the credential, but never chooses the clinic.

    In development a request without a credential belongs to the clinic of its tenantId, else to that of the
    hold, appointment or call that it names. Raises Busy or DatabaseAway.
    """
    given = arguments.get("tenantId")
    tenant = as_uuid(given)
    if given and tenant is None:
        return None
    org_id = request.caller.org_id
    if org_id is not None:
        return org_id if tenant in (None, org_id) else None
    return tenant or in_system_transaction(
        Door.DEVELOPMENT,
        lambda session: tenancy.find_organization_of(
            session,
            hold_id=as_uuid(arguments.get("holdId")),
            appointment_id=as_uuid(arguments.get("appointmentId")),
            call_sid=request.call_id,
        ),
    )


def actor_of(request: Request) -> str:
    """The actor in the audit log."""
    return f"call {request.call_id}" if request.call_id else "tool call"


# --- what was not understood --------------------------------------------------------------------


def _not_understood(tool: Tool, error: ValidationError) -> Reply:
    make = not_booked if tool.says_not_booked else refusal
    problems = error.normalized_messages()  # type: ignore[no-untyped-call]
    missing = [name for name, why in problems.items() if "Missing data for required field." in why]
    if missing:
        wanted = " and ".join(tool.in_words(name) for name in missing)
        return make(Code.MISSING_ARGUMENT, f"Missing: {', '.join(missing)}", f"I still need {wanted}.")
    names = sorted(problems)
    wanted = " and ".join(tool.in_words(name) for name in names)
    return make(
        Code.INVALID_ARGUMENT, f"Not usable: {', '.join(names)}", f"I could not make sense of {wanted}."
    )


def _unknown_tenant(tool: Tool) -> Reply:
    make = not_booked if tool.says_not_booked else refusal
    return make(Code.UNKNOWN_TENANT, "Unknown clinic", "I cannot find that clinic or reservation.")
