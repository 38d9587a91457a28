"""The HTTP side of the tools and of Vapi's events: bodies in, the right form of answer out."""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Sequence

from flask import Blueprint, Response, g, jsonify, make_response, request
from flask.typing import ResponseReturnValue

import logs
import settings
from models import phone
from webapp import attacks, limits
from webapp.unit_of_work import Busy, DatabaseAway
from webapp.vapi import credentials, envelope, events
from webapp.vapi.credentials import Caller, Replayed, Unauthorized, WrongSignature
from webapp.vapi.desk import Tool, busy, serve, trouble, unavailable
from webapp.vapi.envelope import Answer, Envelope, Form, ToolCall, Unreadable
from webapp.vapi.replies import Code, Reply, refusal
from webapp.vapi.tools import BY_NAME, TOOLS

log = logging.getLogger(__name__)
blueprint = Blueprint("vapi", __name__, url_prefix="/api/vapi")

#: Where the bare form's few troubles have a status of their own; all else is 200 with success false.
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
_PEEK = 64 * 1024

#: Seconds after which no further call of one message is begun. Vapi ignores all answers after 20.
BUDGET = 5.0

#: Bytes of an event that are read. A report holds the whole call, several times over.
MOST_OF_AN_EVENT = 32 * 1024 * 1024

#: What is read and thrown away of a body that is too large: many clients hear no answer before they
#: have sent it all.
_DRAIN = 64 * 1024 * 1024

#: Whose turn it is to be read beyond max_body_bytes: of those whose secret we know, and of all others.
_LARGE = {known: threading.BoundedSemaphore() for known in (True, False)}


def _tool_view(tool: Tool) -> ResponseReturnValue:
    return _handle(tool)


for _tool in TOOLS:
    blueprint.add_url_rule(
        f"/tools/{_tool.path}", _tool.name, _tool_view, methods=["POST"], defaults={"tool": _tool}
    )


@blueprint.post("/webhook")
def webhook() -> ResponseReturnValue:
    """Every event of a call, and tool calls too. What is not 200 comes again (docs/decisions/0019)."""
    return _handle(None)


def _handle(tool: Tool | None) -> ResponseReturnValue:
    """One request: the path's tool in the bare form, the tools that are named in Vapi's."""
    most = settings.get().max_body_bytes
    body = b""
    try:
        caller = credentials.by_headers(request)  # a wrong secret is not worth reading a body for
        body, rest = _read_body(most)
        g.body = (
            body  # a stream is read once, and whatever goes wrong still wants an answer in the right form
        )
        if rest:
            return _large(tool, body)
        caller = caller or credentials.resolve(request, body)
        g.body = plain = _inflated(body, most)
        if len(plain) > most:
            return _large(tool, body)
    except Unauthorized as error:
        return _unauthorized(error)
    except (Busy, DatabaseAway):
        return _away(tool, _inflated(body or _read_body(most)[0], most))
    try:
        read = envelope.read(plain)
    except Unreadable as error:
        return _broken(tool, caller, plain, error)
    with logs.bound(org_id=caller.org_id, call_id=read.call_id):
        return _bare(tool, caller, read) if read.form is Form.BARE else _message(caller, read)


def _unauthorized(error: Unauthorized) -> ResponseReturnValue:
    """The same for whatever is wrong about a credential; only whoever has a good one learns of a replay."""
    if isinstance(error, Replayed):
        attacks.count(attacks.Kind.REPLAYED_SIGNATURE)
        reply = refusal(
            Code.REPLAYED,
            "This signature was used at another path before",
            "That request was made for something else. Please ask me once more.",
        )
    else:
        wrong = isinstance(error, WrongSignature)
        attacks.count(attacks.Kind.WRONG_SIGNATURE if wrong else attacks.Kind.WRONG_CREDENTIAL)
        reply = refusal(Code.UNAUTHORIZED, "No valid credential", "This line is not connected to a clinic.")
    return jsonify(reply.bare()), 401


def _large(tool: Tool | None, start: bytes) -> ResponseReturnValue:
    """A body beyond max_body_bytes: an event is taken in as far as MOST_OF_AN_EVENT, a tool call refused.

    One at a time in this process, for the memory; a signature is only known once all of it is there, and so
    whoever merely says that it is signed waits in another line. Raises Unauthorized, Busy or DatabaseAway.
    """
    caller = credentials.by_headers(request)
    turn = _LARGE[caller is not None]
    if not turn.acquire(timeout=BUDGET if caller else 0):
        raise Busy
    try:
        body, rest = _read_body(max(MOST_OF_AN_EVENT, len(start)), start)
        if caller is None and rest:
            attacks.count(attacks.Kind.OVERSIZED)
            return _not_received(Code.TOO_LARGE, "That is too large for its signature to be checked.")
        caller = caller or credentials.resolve(request, body)
        body = _inflated(body, MOST_OF_AN_EVENT)
        read, whole = envelope.salvaged(body)
        form, ids = envelope.guess(body[:_PEEK])
        del body
    finally:
        turn.release()
    if _is_event(tool, read, ids):
        return _salvaged(caller, read, Code.TOO_LARGE, "That event was too large.", taken=whole or rest)
    attacks.count(attacks.Kind.OVERSIZED, org_id=caller.org_id)
    reply = trouble(tool, Code.TOO_LARGE, "Request too large", "that request was too large to be read.")
    return _unreadable(tool, form, ids, reply)


def _broken(tool: Tool | None, caller: Caller, body: bytes, error: Unreadable) -> ResponseReturnValue:
    """A body that cannot be read: an event is taken in as far as it goes, a tool call is refused."""
    read, whole = envelope.salvaged(body)
    if _is_event(tool, read, error.tool_call_ids):
        if read.event is None and error.form is Form.BARE:  # sent again it would say no more of what it is
            said = {"received": False, "code": Code.UNREADABLE.value, "error": str(error)}
            return jsonify({**envelope.results([]), **said})
        return _salvaged(caller, read, Code.UNREADABLE, str(error), taken=whole)
    reply = trouble(tool, Code.UNREADABLE, "Unreadable request", f"I could not read that request. {error}")
    return _unreadable(tool, error.form, error.tool_call_ids, reply)


def _is_event(tool: Tool | None, read: Envelope, ids: Sequence[str]) -> bool:
    """Whether a body that was not read as a whole is an event: at the webhook all that asks for no tool."""
    if read.event is not None:
        return read.event not in events.TOOL_CALLS
    return tool is None and not ids


def _salvaged(caller: Caller, read: Envelope, code: Code, error: str, *, taken: bool) -> ResponseReturnValue:
    """What could be made out of an event is stored; it comes again if that may not be all of it.

    `taken`: it would not be more another time. A later report of the call, or the list of calls that is
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
    """A message of Vapi's: tool calls, an event, or its one question."""
    if read.event == events.ASSISTANT_REQUEST:
        return jsonify(events.assistant_for(caller, read))
    if not events.note(caller, read):
        return _not_received(Code.UNAVAILABLE, "The database is away; please send it again.")
    if read.calls and not _within_limits(caller, read):
        replies = [(call, _too_fast(BY_NAME.get(call.name or ""))) for call in read.calls]
        return _vapi(read, [Answer(call.id, call.name, reply.spoken()) for call, reply in replies])
    until = time.monotonic() + BUDGET
    return _vapi(read, [_answer(caller, read, call, until) for call in read.calls])


def _within_limits(caller: Caller, read: Envelope) -> bool:
    """Whether this credential, call and telephone may ask once more now. Events are never refused."""
    if caller.credential_id and not limits.allow(limits.Kind.CREDENTIAL, caller.credential_id):
        return False
    if read.call_id and not limits.allow(limits.Kind.CALL, (caller.org_id, read.call_id)):
        return False
    return all(limits.allow(limits.Kind.PHONE, telephone) for telephone in _telephones(caller, read))


def _telephones(caller: Caller, read: Envelope) -> set[str]:
    """Whose request it is, as keys of limits: the caller's number, or else each that the arguments name."""
    found = set()
    for call in read.calls:
        said = read.caller_number or call.arguments.get("patientPhone")
        number = phone.of_caller(str(said)) if isinstance(said, str | int) else None
        if number:
            found.add(limits.telephone(caller.org_id or call.arguments.get("tenantId"), number))
    return found


def _too_fast(tool: Tool | None) -> Reply:
    return trouble(
        tool, Code.RATE_LIMITED, "Too many requests", "one moment please, that was too much at once."
    )


def _bare(tool: Tool | None, caller: Caller, read: Envelope) -> ResponseReturnValue:
    if tool is None:
        return jsonify(received=True)
    call = read.calls[0]
    if call.problem:
        return _as_bare(trouble(tool, Code.UNREADABLE, "Unreadable request", call.problem))
    if not _within_limits(caller, read):
        response = make_response(_as_bare(_too_fast(tool)))
        response.headers["Retry-After"] = "1"
        return response
    return _as_bare(serve(tool, caller, read, call))


def _answer(caller: Caller, read: Envelope, call: ToolCall, until: float) -> Answer:
    tool = BY_NAME.get(call.name or "")
    if tool is None:
        named = "The call names no tool." if call.name is None else f"There is no tool {call.name!r}."
        return Answer(call.id, call.name, f"{named} There are: {', '.join(BY_NAME)}.", is_error=True)
    if call.problem:
        text = trouble(tool, Code.UNREADABLE, "Unreadable arguments", call.problem).say
        return Answer(call.id, call.name, text, is_error=True)
    with logs.bound(tool_call_id=call.id):
        reply = serve(tool, caller, read, call) if time.monotonic() < until else busy(tool)
    return Answer(call.id, call.name, reply.spoken())


# --- answers ------------------------------------------------------------------------------------


def _vapi(read: Envelope, answers: Sequence[Answer]) -> ResponseReturnValue:
    return jsonify(envelope.results(answers, read.form))


def _as_bare(reply: Reply) -> ResponseReturnValue:
    return jsonify(reply.bare()), _STATUS.get(reply.code, 200) if reply.code else 200


def _not_received(code: Code, error: str) -> ResponseReturnValue:
    """An event that was not taken in. Nobody hears the answer; its status has Vapi send the event again."""
    return jsonify(received=False, code=code.value, error=error), _STATUS[code]


def _unreadable(tool: Tool | None, form: Form, ids: Sequence[str], reply: Reply) -> ResponseReturnValue:
    """Vapi ignores any answer but 200; it gets one, with a line for each call that could be made out."""
    if tool is None or form is not Form.BARE:
        answers = [Answer(tool_call_id, None, reply.say, is_error=True) for tool_call_id in ids]
        return jsonify({**envelope.results(answers), "error": envelope.one_line(reply.say)})
    return _as_bare(reply)


def _away(tool: Tool | None, body: bytes) -> ResponseReturnValue:
    """The answer while nothing can be looked up: whose request it is, too, is not known."""
    reply = unavailable(tool)
    try:
        read = envelope.read(body)
        form = read.form
    except Unreadable as error:
        read, _ = envelope.salvaged(body)
        form = error.form
        if not _is_event(tool, read, error.tool_call_ids):
            return _unreadable(tool, form, error.tool_call_ids, reply)
    if form is Form.BARE and tool:
        return _as_bare(reply)
    if read.event == events.ASSISTANT_REQUEST:
        return jsonify(events.CLOSED)
    if form is Form.BARE or read.event is None or events.is_read(read):
        return _not_received(Code.UNAVAILABLE, "The database is away; please send it again.")
    replies = [(call, unavailable(BY_NAME.get(call.name or ""))) for call in read.calls]
    return _vapi(read, [Answer(call.id, call.name, reply.say) for call, reply in replies])


def _read_body(limit: int, start: bytes = b"") -> tuple[bytes, bool]:
    """`start` and what follows it, to the first byte beyond `limit`, and whether there is that."""
    body = start + request.stream.read(limit + 1 - len(start))
    return body, len(body) > limit


def _inflated(body: bytes, limit: int) -> bytes:
    """What was compressed, to the first byte beyond `limit` and as far as it goes; else the body as it is."""
    if request.headers.get("Content-Encoding", "").strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(body, limit + 1)
    except zlib.error:
        return body


@blueprint.after_request
def _read_to_the_end(response: Response) -> Response:
    """Whatever the answer to a body that is too large."""
    drained = 0
    while drained < _DRAIN and (chunk := request.stream.read(_PEEK)):
        drained += len(chunk)
    return response


@blueprint.errorhandler(Exception)
def _last_resort(error: Exception) -> ResponseReturnValue:
    """Nothing that goes wrong in here may reach the caller as silence."""
    log.error("tool request failed", exc_info=error)
    tool: Tool | None = (request.view_args or {}).get("tool")
    return _away(tool, g.get("body", b""))
