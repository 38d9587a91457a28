"""How a tool call is recognised when it comes again, and when it counts as a repeat."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

from models.base import digests
from models.base.json_values import storable
from models.calls import calls
from webapp.agents.desk import Desk
from webapp.agents.wire import Request, ToolCall


def key_of(tool: str, request: Request, call: ToolCall) -> calls.ToolCallKey | None:
    """The key by which a repeat of a tool call is found: within its telephone call, or by its signature.

    None without either: a repeat then cannot be told from another caller's first tool call.
    """
    if request.call_id is not None:
        return _key(tool, request.call_id, call)
    signature = request.caller.signature
    return _key(tool, calls.BY_SIGNATURE + signature, call) if signature else None


def _key(tool: str, call_id: str, call: ToolCall) -> calls.ToolCallKey:
    digest = digests.keyed("tool-arguments", json.dumps(call.arguments, sort_keys=True))
    return calls.ToolCallKey(call_id, _bounded(storable(str(call.id))), tool, digest)


#: The longest time between a tool call and its repeat: platforms give a tool call some 20 seconds.
REPEATED_WITHIN = timedelta(seconds=30)


def came_before(desk: Desk, request: Request, key: calls.ToolCallKey) -> bool:
    """Whether the kept answer was given after this signature came for the first time.

    A new wish has a new signature. So a request with an old signature is a repeat, however late it comes and
    whatever was asked in between, and even a refusal is given again.
    """
    seen_at = request.caller.seen_at
    if seen_at is None:
        return False
    answered_at, _ = calls.answered_since(desk.session, desk.org_id, key)
    return answered_at >= seen_at


def is_a_repeat(desk: Desk, request: Request, key: calls.ToolCallKey) -> bool:
    """Whether a tool call that was answered before is a repeat of the same request, and not a new wish.

    The id does not tell, because models reuse ids ("call_0"). It is a repeat if it comes within
    REPEATED_WITHIN of its answer and no other tool call of the telephone call was answered since. Tool calls
    that follow it in its own message do not count: a repeated message brings all of its tool calls again.
    """
    answered_at, since = calls.answered_since(desk.session, desk.org_id, key)
    if desk.now - answered_at > REPEATED_WITHIN:
        return False
    message = [_key(each.name or "", request.call_id or "", each) for each in request.tool_calls]
    following = message[message.index(key) + 1 :] if key in message else []
    return since <= set(following)


def _bounded(tool_call_id: str) -> str:
    """A long id as a digest, since an index cannot take text of any length."""
    long = len(tool_call_id) > 200
    return hashlib.sha256(tool_call_id.encode()).hexdigest() if long else tool_call_id
