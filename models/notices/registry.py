"""The registry of notices: what each kind of message is about, what it says, how it is sent, shown and kept.

A new kind is a `Notice` that is added below the others in kinds.py. It also needs:

- a line in `SmsKind` (models/messaging/states.py);
- a migration that admits its name, with a CHECK of what it is about, and the same CHECK in the model
  (models/messaging/messages.py);
- the code that makes its rows.

Tests compare the entries with the enum and with the database.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from models.booking import links
from models.messaging import handling
from models.messaging.handling import Handling
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind

S = TypeVar("S")


class Superseded(Exception):
    """What the message was to say is no longer true. It is not sent, and no person needs to look at it."""


@dataclass(frozen=True, slots=True)
class About(Generic[S]):
    """The subject of a message, such as an appointment, and how to find it."""

    #: The column of sms_messages with the subject's id, which a CHECK requires; None if another table points
    #: to the message.
    column: str | None
    #: Returns the subject; None if it is gone.
    find: Callable[[Session, SmsMessage], S | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Handling, Generic[S]):
    """One kind of message."""

    #: The name that the staff read.
    label: str
    about: About[S]
    #: The text of a message about a subject; None if it cannot be written. Raises Superseded.
    words: Callable[[Session, SmsMessage, S], str | None]
    #: How long the provider may keep the message before delivery at most: a late code is worse than none.
    valid_for: timedelta = timedelta(hours=4)
    #: Whether the text is kept after it is sent, without the token of a link, until the clinic's
    #: keep_words_days are over or the patient is erased.
    keeps_text: bool = True
    #: A sentence why the staff may not have the message sent again; None if they may (retries.py).
    never_by_hand: str | None = None


_notices: dict[str, Notice[Any]] = {}


def add(notice: Notice[Any]) -> None:
    _notices[notice.kind] = notice
    handling.add(notice)


def remove(kind: SmsKind) -> None:
    del _notices[kind]
    handling.remove(kind)


def of(kind: SmsKind) -> Notice[Any]:
    """Raises KeyError for a kind that has no entry."""
    return _notices[kind]


def kinds() -> set[str]:
    return set(_notices)


def label(kind: str) -> str:
    """The name of a kind that the staff read; its bare name if this release does not know it."""
    return _notices[kind].label if kind in _notices else kind


def why_never_by_hand(kind: str) -> str | None:
    """Why the staff may not have a message of this kind sent again; None if they may."""
    return _notices[kind].never_by_hand if kind in _notices else "This release does not know such messages"


def words(session: Session, message: SmsMessage) -> str | None:
    """The text of a message, made from the rows of its subject; None if it cannot be written.

    Raises Superseded if the text is no longer to be sent.
    """
    notice = of(message.kind)
    subject = notice.about.find(session, message)
    return None if subject is None else notice.words(session, message, subject)


def render(session: Session, message: SmsMessage) -> str | None:
    """As `words`, but returns None also if the text is no longer to be sent."""
    try:
        return words(session, message)
    except Superseded:
        return None


def as_shown(session: Session, message: SmsMessage) -> str | None:
    """The text as it may be kept and shown: None for a code, and a link without its token."""
    if not of(message.kind).keeps_text:
        return None
    text = message.body or render(session, message)
    return text and links.hidden(text)


def as_sent(session: Session, message: SmsMessage) -> str | None:
    """The text as it was sent to the provider, to find the message there; None if it cannot be made again."""
    if message.body is None:
        return render(session, message)
    link = links.get_or_none(session, message.org_id, message.id)
    if link is None or not links.has_hidden(message.body):
        return message.body
    token = links.token_of(link)
    return links.revealed(message.body, token) if token else None  # its SECRET_KEY is gone
