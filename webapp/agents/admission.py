"""Limits on the requests of every platform, and the answers to refused requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

from models.base import phones
from webapp import attacks, limits, shares
from webapp.agents.credentials import Replayed, Unauthorized, WrongSignature
from webapp.agents.replies import Code, Reply, refusal
from webapp.agents.runner import busy, trouble
from webapp.agents.tool import Tool
from webapp.agents.wire import Caller, Request

#: This many bytes of a body count as one event.
BYTES_OF_AN_EVENT = 64 * 1024

_COUNTED_AS = {
    limits.Kind.EVENTS: attacks.Kind.LIMITED_CREDENTIAL,
    limits.Kind.CREDENTIAL: attacks.Kind.LIMITED_CREDENTIAL,
    limits.Kind.CALL: attacks.Kind.LIMITED_CALL,
    limits.Kind.PHONE: attacks.Kind.LIMITED_PHONE,
}


def unauthorized(error: Unauthorized) -> Reply:
    """The same answer to every wrong credential; only the owner of a valid one learns of a replay."""
    if isinstance(error, Replayed):
        attacks.count(attacks.Kind.REPLAYED_SIGNATURE)
        return refusal(
            Code.REPLAYED,
            "This signature was used at another path before",
            "That request was made for something else. Please ask me once more.",
        )
    wrong = isinstance(error, WrongSignature)
    attacks.count(attacks.Kind.WRONG_SIGNATURE if wrong else attacks.Kind.WRONG_CREDENTIAL)
    return refusal(Code.UNAUTHORIZED, "No valid credential", "This line is not connected to a clinic.")


def too_much(caller: Caller, size: int) -> Callable[[Tool | None], Reply] | None:
    """The function that makes the refusal of a request of `size` bytes; None if the request may go on.

    Decided before the body is parsed: a clinic that has its share of threads, or sends too much, is refused.
    """
    if not shares.admit(caller.org_id):
        attacks.count(attacks.Kind.LIMITED_CLINIC, org_id=caller.org_id)
        return busy
    units = size // BYTES_OF_AN_EVENT
    if caller.credential_id and not may(limits.Kind.EVENTS, caller.credential_id, units):
        return too_fast
    return None


def within_limits(request: Request) -> bool:
    """Whether this credential, call and telephone may make the tool calls of this request now.

    The narrowest limit comes first: what one call or telephone is refused does not use up its clinic's limit.
    """
    for telephone, count in _telephones(request).items():
        if not may(limits.Kind.PHONE, telephone, count):
            return False
    caller, many = request.caller, len(request.tool_calls)
    if request.call_id and not may(limits.Kind.CALL, (caller.org_id, request.call_id), many):
        return False
    return not caller.credential_id or may(limits.Kind.CREDENTIAL, caller.credential_id, many)


def may(kind: limits.Kind, key: Hashable, cost: int = 1) -> bool:
    """Whether `cost` more may be worked on now. A refusal is counted as an attack."""
    allowed = limits.allow(kind, key, cost)
    if not allowed:
        attacks.count(_COUNTED_AS[kind])
    return allowed


def _telephones(request: Request) -> Counter[str]:
    """The number of tool calls of each telephone, by its key for the limits: that of the caller's number, or
    without one, separate keys for the numbers that the tool calls name.
    """
    found: Counter[str] = Counter()
    for call in request.tool_calls:
        said = request.caller_number or call.arguments.get("patientPhone")
        number = phones.of_caller(str(said)) if isinstance(said, str | int) else None
        if number:
            org = request.caller.org_id or call.arguments.get("tenantId")
            # A number that a tool call only names must not use up its owner's limit.
            whose = (org, "caller" if request.caller_number else "said")
            found[limits.telephone(whose, number)] += 1
    return found


def too_fast(tool: Tool | None) -> Reply:
    return trouble(
        tool, Code.RATE_LIMITED, "Too many requests", "one moment please, that was too much at once."
    )
