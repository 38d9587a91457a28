"""How the messages of each kind are sent. The rules of this room ask here, and name no kind.

The kinds are described in models/notices, above this room. Each description is a `Handling`, and is added
here when `models` is imported.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from models.messaging.states import SmsKind

if TYPE_CHECKING:
    from models.messaging.messages import SmsMessage


def _never(_session: Session, _message: SmsMessage) -> bool:
    return False


def _nothing(_session: Session, _old: Sequence[SmsMessage], _new: uuid.UUID) -> None:
    """What the messages are about is named in their own rows, and nothing else points to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What the outbox, the limits and the outcomes have to know of one kind of message."""

    kind: SmsKind
    #: The number of segments that its longest text takes: what it counts before it is sent.
    segments: int
    #: Somebody waits for it on the telephone. It goes through a queue of its own, ahead of all other
    #: messages, and is tried again in seconds or not at all. It waits for no room under a limit: its maker
    #: has to count it. In SQL `sms_is_urgent` says the same, for the view of messages in trouble.
    urgent: bool = False
    #: It goes to a telephone of the clinic, and counts for that one's limit. Else it goes to a patient.
    to_clinic: bool = False
    #: Of several to one number that wait for room, one tells what all of them were to tell.
    told_together: bool = False
    #: Whether the limit of its number does not hold this message up.
    owed_at_once: Callable[[Session, SmsMessage], bool] = _never
    #: Have the message with this id tell what those messages told: other tables may point to them.
    take_over: Callable[[Session, Sequence[SmsMessage], uuid.UUID], None] = _nothing


_known: dict[SmsKind, Handling] = {}


def add(handling: Handling) -> None:
    _known[handling.kind] = handling


def remove(kind: SmsKind) -> None:
    del _known[kind]


def of(kind: SmsKind) -> Handling:
    """Raises KeyError for a kind that models/notices does not describe."""
    return _known[kind]


def urgent() -> list[SmsKind]:
    return [kind for kind, handling in _known.items() if handling.urgent]


def to_clinic() -> list[SmsKind]:
    return [kind for kind, handling in _known.items() if handling.to_clinic]
