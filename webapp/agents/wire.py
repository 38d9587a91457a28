"""What every voice platform hands to the runner: who asks, in which telephone call, and for what.

An adapter (webapp/agents/<platform>) makes these from its platform's messages; only it knows their form.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

Object: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True)
class Caller:
    """The clinic that a credential stands for.

    The first two are None only in development, for a request without a credential.
    """

    org_id: uuid.UUID | None
    credential_id: uuid.UUID | None = None
    #: The digest by which a signed request is recognised when it comes again; None for any other request.
    signature: str | None = None
    #: When this signature first came, by the database's clock; None if this is the first time.
    seen_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call. With a `problem` (one sentence) the arguments are empty."""

    id: str | float  # as received, so not yet storable in the database; "" if there is none
    name: str | None  # None if the address decides which tool it is
    arguments: Object = field(default_factory=dict, repr=False)
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a platform, with all of its tool calls in their order."""

    caller: Caller
    tool_calls: tuple[ToolCall, ...]
    call_id: str | None = None  # of the telephone call
    caller_number: str | None = None  # as sent, so perhaps a SIP address; None if withheld
