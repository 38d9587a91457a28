"""HTTP for the tools and Vapi's events: reading bodies, and answering each in its own form."""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Sequence

from flask import Blueprint, Response, g, jsonify, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue

import settings
from runtime import logs
from webapp import attacks, limits
from webapp.agents import admission, credentials
from webapp.agents.admission import may, too_fast, too_much
from webapp.agents.credentials import Unauthorized
from webapp.agents.platform import Platform
from webapp.agents.replies import Code, Reply
from webapp.agents.runner import busy, serve, trouble, unavailable
from webapp.agents.tool import Tool
from webapp.agents.tools import BY_NAME, TOOLS
from webapp.agents.vapi import envelope, events
from webapp.agents.vapi.envelope import Answer, Envelope, Form, TooLarge, Unreadable
from webapp.agents.wire import Caller, Request, ToolCall
from webapp.shares import Shares
from webapp.unit_of_work import Busy, DatabaseAway

log = logging.getLogger(__name__)
blueprint = Blueprint("vapi", __name__, url_prefix="/api/vapi")

#: The header with Vapi's server secret.
SECRET_HEADERS = ("X-Vapi-Secret",)

#: The HTTP status of some refusals in the bare form; all others are 200 with success false.
_STATUS = {
    Code.UNREADABLE: 400,
    Code.UNAUTHORIZED: 401,
    Code.REPLAYED: 401,
    Code.TOO_LARGE: 413,
    Code.RATE_LIMITED: 429,
    Code.BUSY: 503,
    Code.UNAVAILABLE: 503,
    Code.OUTCOME_UNKNOWN: 503,
}
#: The headers of statuses after which the request may be sent again.
_LATER = {429: {"Retry-After": "1"}, 503: {"Retry-After": "1"}}
_PEEK = 64 * 1024

#: Seconds after which no further tool call of a message is begun. Vapi ignores answers after 20 seconds.
BUDGET = 5.0

#: Bytes of an event that are read. A report holds the whole call, several times over.
MOST_OF_AN_EVENT = 32 * 1024 * 1024

PLATFORM = Platform(blueprint, MOST_OF_AN_EVENT, SECRET_HEADERS)

#: Bytes of a too large body that are read and dropped, since many clients read no answer before they have
#: sent everything.
_DRAIN = 64 * 1024 * 1024

#: The bodies beyond max_body_bytes that are read at once: two from clinics whose secret is known, one of each
#: clinic, and one from all other senders.
_LARGE = {True: Shares(2), False: Shares(1)}

#: Bytes up to which a refused message is parsed, for the ids of its tool calls.
_READ_TO_REFUSE = 256 * 1024


def _tool_view(tool: Tool) -> ResponseReturnValue:
    return _handle(tool)


@blueprint.record
def _add_tools(state: BlueprintSetupState) -> None:
    """Add an address for each tool that exists when the application is made."""
    for tool in TOOLS:
        state.add_url_rule(
            f"/tools/{tool.path}", tool.name, _tool_view, methods=["POST"], defaults={"tool": tool}
        )


@blueprint.post("/webhook")
def webhook() -> ResponseReturnValue:
    """Every event of a call, and tool calls. Vapi sends again what does not get 200 (docs/decisions/0019)."""
    return _handle(None)


def _handle(tool: Tool | None) -> ResponseReturnValue:
    """Handle one request: the bare form calls the path's tool, Vapi's form the tools that it names."""
    most = settings.get().max_body_bytes
    body = b""
    try:
        # With a wrong secret the body is not read.
        known = credentials.by_headers(request, SECRET_HEADERS)
        body, rest = _read_body(most)
        g.body = body  # for _last_resort: a stream can be read only once
        if not rest:
            caller = known or credentials.resolve(request, body, SECRET_HEADERS)
            g.body = plain = _inflated(body, most)
        if rest or len(plain) > most:
            return _large(tool, body)
    except Unauthorized as error:
        return jsonify(admission.unauthorized(error).bare()), 401
    except (Busy, DatabaseAway):
        return _away(tool, _inflated(body or _read_body(most)[0], most))
    if (refuse := too_much(caller, len(plain))) is not None:
        return _not_now(tool, plain, refuse)
    try:
        read = envelope.read(plain)
    except Unreadable as error:
        return _broken(tool, caller, plain, error)
    with logs.bound(org_id=caller.org_id, call_id=read.call_id):
        return _bare(tool, caller, read) if read.form is Form.BARE else _message(caller, read)


def _large(tool: Tool | None, start: bytes) -> ResponseReturnValue:
    """Handle a body beyond max_body_bytes: an event is read up to MOST_OF_AN_EVENT, a tool call is refused.

    Few are read at a time in this process, to save memory. A signature can be checked only over the whole
    body, so senders that only claim to sign share a place of their own. Raises Unauthorized, Busy or
    DatabaseAway.
    """
    known = credentials.by_headers(request, SECRET_HEADERS)
    if known and (refuse := too_much(known, request.content_length or MOST_OF_AN_EVENT)) is not None:
        return _not_now(tool, start, refuse)
    with _LARGE[known is not None].place(known and known.org_id, wait=BUDGET if known else 0) as got:
        if not got:
            raise Busy
        body, rest = _read_body(max(MOST_OF_AN_EVENT, len(start)), start)
        if known is None and rest:
            attacks.count(attacks.Kind.OVERSIZED)
            return _not_received(Code.TOO_LARGE, "That is too large for its signature to be checked.")
        caller = known or credentials.resolve(request, body, SECRET_HEADERS)
        if known is None and (refuse := too_much(caller, len(body))) is not None:
            return _not_now(tool, start, refuse)
        body = _inflated(body, MOST_OF_AN_EVENT)
        read, whole = envelope.salvaged(body)
        form, ids = envelope.guess(body[:_PEEK])
        del body
    if _is_event(tool, read, ids):
        return _salvaged(caller, read, Code.TOO_LARGE, "That event was too large.", taken=whole or rest)
    attacks.count(attacks.Kind.OVERSIZED, org_id=caller.org_id)
    reply = trouble(tool, Code.TOO_LARGE, "Request too large", "that request was too large to be read.")
    return _unreadable(tool, form, ids, reply)


def _broken(tool: Tool | None, caller: Caller, body: bytes, error: Unreadable) -> ResponseReturnValue:
    """Handle an unreadable body: an event is taken in as far as it can be read, a tool call is refused."""
    code = Code.TOO_LARGE if isinstance(error, TooLarge) else Code.UNREADABLE
    if caller.credential_id and not may(limits.Kind.EVENTS, caller.credential_id):
        return _not_now(tool, body[:_PEEK], too_fast)
    read, whole = envelope.salvaged(b"" if error.tool_call_ids else body)
    if _is_event(tool, read, error.tool_call_ids):
        if read.event is None and error.form is Form.BARE:  # sent again it would be no clearer
            said = {"received": False, "code": code.value, "error": str(error)}
            return jsonify({**envelope.results([]), **said})
        return _salvaged(caller, read, code, str(error), taken=whole)
    if code is Code.TOO_LARGE:
        reply = trouble(tool, code, "Request too large", f"that was too much in one request. {error}")
    else:
        reply = trouble(tool, code, "Unreadable request", f"I could not read that request. {error}")
    return _unreadable(tool, error.form, error.tool_call_ids, reply)


def _is_event(tool: Tool | None, read: Envelope, ids: Sequence[str]) -> bool:
    """Whether a partly read body is an event. At the webhook every body without tool calls is an event."""
    if read.event is not None:
        return read.event not in events.TOOL_CALLS
    return tool is None and not ids


def _salvaged(caller: Caller, read: Envelope, code: Code, error: str, *, taken: bool) -> ResponseReturnValue:
    """Store what could be read of an event; if that may not be all of it, have Vapi send it again.

    `taken`: another delivery would bring no more. A later report of the call, or the list of calls that is
    fetched from Vapi, adds what is missing.
    """
    if read.event == events.ASSISTANT_REQUEST:
        return jsonify(events.assistant_for(caller, read))
    with logs.bound(org_id=caller.org_id, call_id=read.call_id):
        log.warning("an event was read in part: %s", code.value)
        if not events.note(caller, read):
            return _not_received(Code.UNAVAILABLE, "The database is away; please send it again.")
    known = read.event is not None and (read.call_id is not None or not events.is_read(read))
    return _vapi(read, []) if taken and known else _not_received(code, error)


def _message(caller: Caller, read: Envelope) -> ResponseReturnValue:
    """Handle a message of Vapi's: tool calls, an event, or its one question."""
    if not _within_limits(caller, read):
        return _refused(read, too_fast)
    if read.event == events.ASSISTANT_REQUEST:
        return jsonify(events.assistant_for(caller, read))
    if not events.note(caller, read):
        return _not_received(Code.UNAVAILABLE, "The database is away; please send it again.")
    asked, until = read.asked_by(caller), time.monotonic() + BUDGET
    return _vapi(read, [_answer(asked, call, until) for call in read.calls])


def _within_limits(caller: Caller, read: Envelope) -> bool:
    """Whether the limits allow this message now. An event counts only if it causes work."""
    if read.calls:
        return admission.within_limits(read.asked_by(caller))
    is_work = events.is_read(read) or read.event == events.ASSISTANT_REQUEST
    key = caller.credential_id
    return not is_work or key is None or may(limits.Kind.EVENTS, key)


def _bare(tool: Tool | None, caller: Caller, read: Envelope) -> ResponseReturnValue:
    if tool is None:
        return jsonify(received=True)
    call = read.calls[0]
    if call.problem:
        return _as_bare(trouble(tool, Code.UNREADABLE, "Unreadable request", call.problem))
    if not _within_limits(caller, read):
        return _as_bare(too_fast(tool))
    return _as_bare(serve(tool, read.asked_by(caller), call))


def _answer(asked: Request, call: ToolCall, until: float) -> Answer:
    tool = BY_NAME.get(call.name or "")
    if tool is None:
        named = "The call names no tool." if call.name is None else f"There is no tool {call.name!r}."
        return Answer(call.id, call.name, f"{named} There are: {', '.join(BY_NAME)}.", is_error=True)
    if call.problem:
        text = trouble(tool, Code.UNREADABLE, "Unreadable arguments", call.problem).say
        return Answer(call.id, call.name, text, is_error=True)
    with logs.bound(tool_call_id=call.id):
        reply = serve(tool, asked, call) if time.monotonic() < until else busy(tool)
    return Answer(call.id, call.name, reply.spoken())


# --- answers ------------------------------------------------------------------------------------


def _vapi(read: Envelope, answers: Sequence[Answer]) -> ResponseReturnValue:
    return jsonify(envelope.results(answers, read.form))


def _as_bare(reply: Reply) -> ResponseReturnValue:
    status = _STATUS.get(reply.code, 200) if reply.code else 200
    return jsonify(reply.bare()), status, _LATER.get(status, {})


def _not_received(code: Code, error: str) -> ResponseReturnValue:
    """The answer to an event that was not taken in. Its status has Vapi send the event again."""
    status = _STATUS[code]
    return jsonify(received=False, code=code.value, error=error), status, _LATER.get(status, {})


def _unreadable(tool: Tool | None, form: Form, ids: Sequence[str], reply: Reply) -> ResponseReturnValue:
    """The answer to an unreadable request. Vapi ignores any status but 200, so it gets 200 with a line for
    each tool call whose id could be read.
    """
    if tool is None or form is not Form.BARE:
        answers = [Answer(tool_call_id, None, reply.say, is_error=True) for tool_call_id in ids]
        return jsonify({**envelope.results(answers), "error": envelope.one_line(reply.say)})
    return _as_bare(reply)


def _away(tool: Tool | None, body: bytes) -> ResponseReturnValue:
    """The answer while the database is away, so that not even the clinic of the request is known."""
    try:
        read = envelope.read(body)
    except Unreadable as error:
        read, _ = envelope.salvaged(body)
        if not _is_event(tool, read, error.tool_call_ids):
            return _unreadable(tool, error.form, error.tool_call_ids, unavailable(tool))
        if error.form is Form.BARE and tool:
            return _as_bare(unavailable(tool))
    return _refused(read, unavailable, tool)


def _not_now(tool: Tool | None, body: bytes, refuse: Callable[[Tool | None], Reply]) -> ResponseReturnValue:
    """The answer to a request beyond a limit, with only the work that finds the ids of its tool calls."""
    try:
        if len(body) <= _READ_TO_REFUSE:
            return _refused(envelope.read(body), refuse, tool)
        form, ids = envelope.guess(body)
    except Unreadable as error:
        form, ids = error.form, error.tool_call_ids
    reply = refuse(tool)
    if ids or (tool and form is Form.BARE):
        return _unreadable(tool, form, ids, reply)
    return _not_received(reply.code or Code.BUSY, "That is too much at once; please send it again.")


def _refused(
    read: Envelope, refuse: Callable[[Tool | None], Reply], tool: Tool | None = None
) -> ResponseReturnValue:
    """The answer to a parsed message that is not worked on."""
    if read.form is Form.BARE and tool:
        return _as_bare(refuse(tool))
    if read.event == events.ASSISTANT_REQUEST:
        return jsonify(events.CLOSED)
    if read.form is Form.BARE or read.event is None or events.is_read(read):
        reply = refuse(None)
        return _not_received(reply.code or Code.BUSY, f"{reply.error}; please send it again.")
    replies = [(call, refuse(BY_NAME.get(call.name or ""))) for call in read.calls]
    return _vapi(read, [Answer(call.id, call.name, reply.spoken()) for call, reply in replies])


def _read_body(limit: int, start: bytes = b"") -> tuple[bytes, bool]:
    """`start` and the rest of the body, up to one byte beyond `limit`, and whether that byte exists."""
    body = start + request.stream.read(limit + 1 - len(start))
    return body, len(body) > limit


def _inflated(body: bytes, limit: int) -> bytes:
    """The inflated body, as far as it goes and up to one byte beyond `limit`; any other body unchanged."""
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit + 1)
    except zlib.error:
        return body


@blueprint.after_request
def _read_to_the_end(response: Response) -> Response:
    """Read the rest of a body that is too large, whatever the answer to it."""
    drained = 0
    while drained < _DRAIN and (chunk := request.stream.read(_PEEK)):
        drained += len(chunk)
    return response


@blueprint.errorhandler(Exception)
def _last_resort(error: Exception) -> ResponseReturnValue:
    """Answer after any other error, so that the caller does not hear silence."""
    log.error("tool request failed", exc_info=error)
    tool: Tool | None = (request.view_args or {}).get("tool")
    return _away(tool, g.get("body", b""))
