"""How the messages of each kind are sent. The rules of this room ask here, and name no kind.

models/notices, the room above, describes each kind in a `Handling` and adds it here when `models` is
imported.
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
    """For kinds whose own rows name all that they tell, so that no other table points to them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """What the outbox, the limits and the outcomes have to know about one kind of message."""

    kind: SmsKind
    #: The segments of the longest text of this kind: a message counts as this many before it is sent.
    segments: int
    #: A caller waits for it on the telephone. It goes through a queue of its own, ahead of all other
    #: messages, and is tried again in seconds or not at all. It does not wait for room under a limit: the
    #: code that makes it has to count it. In SQL `sms_is_urgent` says the same, for the view sms_trouble.
    urgent: bool = False
    #: It goes to a telephone of the clinic, and counts for that telephone's limit. Else it goes to a patient.
    to_clinic: bool = False
    #: If several messages to one number wait for room, a single message tells what all of them were to tell.
    told_together: bool = False
    #: Whether this message may go although its number has reached its limit.
    owed_at_once: Callable[[Session, SmsMessage], bool] = _never
    #: Make the message with this id tell what the old messages told: other tables may point to them.
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
