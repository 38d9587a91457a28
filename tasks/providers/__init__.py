"""What an SMS provider is asked, and its kinds of bad answer. One file a provider beside this."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from models.messaging.receipts import Report


class Problem(Exception):
    """A bad answer, or none. Its text is a plain sentence of ours, and names nobody."""


class Unavailable(Problem):
    """Certainly not sent, and worth another try: in seconds, or `later`, in minutes."""

    def __init__(self, reason: str, *, code: str | None = None, later: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.later = later


class Unreachable(Unavailable):
    """Nobody answered, and the wait for it took its time."""


class Refused(Problem):
    """Never to be sent as it stands. `code` is the provider's own; `alert`: somebody should know of it."""

    def __init__(self, code: str | None, reason: str, *, alert: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.alert = alert


class OptedOut(Refused):
    """The provider sends this number nothing any more, because it asked for that."""


class Misconfigured(Problem):
    """The clinic's account or sender is refused, whatever it sends. Certainly not sent."""

    def __init__(self, code: str | None, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class OutcomeUnknown(Problem):
    """It may have been sent: the answer was lost. Never resend on this alone."""


@dataclass(frozen=True, slots=True)
class Account:
    """A clinic's account with the provider, and who its SMS come from: a number or a messaging service.

    It signs in with the account's own id and auth token, or with an API key and its secret.
    """

    account_sid: str
    username: str
    password: str
    from_number: str | None
    messaging_service_sid: str | None


@dataclass(frozen=True, slots=True)
class Text:
    """One SMS. The provider reports to `report_to`, and gives up after `valid_for` seconds."""

    to: str
    body: str
    report_to: str
    valid_for: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """`at` is the provider's time of it, where it is learnt only later."""

    provider_id: str
    segments: int | None
    at: datetime | None = None


class SmsProvider(Protocol):
    def send(self, text: Text) -> Accepted:
        """Hand one SMS over. Raises one of the Problems, and nothing else."""

    def find(self, *, to: str, bodies: set[str], since: datetime) -> list[Accepted]:
        """The messages that have one of these texts and were created since then, the newest first.

        Raises Unavailable when the provider cannot say.
        """

    def fetch(self, provider_id: str) -> Report | None:
        """What became of a message; None if the provider has it no more. Raises Unavailable."""
