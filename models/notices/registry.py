"""The registry of notices: what each kind of message is about, what it says, how it is sent, shown and kept.

A new kind is one entry, a `Notice` that is added below those in kinds.py. An entry cannot stand for these:

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
    """What the message was to say is no longer so. It is not sent, and nobody has to look at it."""


@dataclass(frozen=True, slots=True)
class About(Generic[S]):
    """What a message is about, and how that is found."""

    #: The column of sms_messages that names it, and that a CHECK requires; None if another table points to
    #: the message.
    column: str | None
    #: None if it is gone.
    find: Callable[[Session, SmsMessage], S | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Handling, Generic[S]):
    """One kind of message."""

    #: What the staff read.
    label: str
    about: About[S]
    #: The text of a message, given what it is about; None if it cannot be written. Raises Superseded.
    words: Callable[[Session, SmsMessage, S], str | None]
    #: For how long at most the provider may hold on to it: a late code is worse than none.
    valid_for: timedelta = timedelta(hours=4)
    #: Whether its text is kept once it is sent, without the token of a link: until the clinic's
    #: keep_words_days are over, or the patient is erased.
    keeps_text: bool = True
    #: Why the staff may not have one sent again, as a sentence; None if they may (retries.py).
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
    """What the staff read for a kind; its bare name where only a later release knows it."""
    return _notices[kind].label if kind in _notices else kind


def why_never_by_hand(kind: str) -> str | None:
    """Why the staff may not have a message of this kind sent again; None if they may."""
    return _notices[kind].never_by_hand if kind in _notices else "This release does not know such messages"


def words(session: Session, message: SmsMessage) -> str | None:
    """The text of a message, made from the rows it is about; None if it cannot be written.

    Raises Superseded if it is not to be said any more.
    """
    notice = of(message.kind)
    subject = notice.about.find(session, message)
    return None if subject is None else notice.words(session, message, subject)


def render(session: Session, message: SmsMessage) -> str | None:
    """Likewise, and None also if it is not to be said any more."""
    try:
        return words(session, message)
    except Superseded:
        return None


def as_shown(session: Session, message: SmsMessage) -> str | None:
    """The text as it may be kept, shown and told: never a code, and a link without its token."""
    if not of(message.kind).keeps_text:
        return None
    text = message.body or render(session, message)
    return text and links.hidden(text)


def as_sent(session: Session, message: SmsMessage) -> str | None:
    """The text as the provider was given it, to find the message there; None if it cannot be made again."""
    if message.body is None:
        return render(session, message)
    link = links.get_or_none(session, message.org_id, message.id)
    if link is None or not links.has_hidden(message.body):
        return message.body
    token = links.token_of(link)
    return links.revealed(message.body, token) if token else None  # its SECRET_KEY is gone
