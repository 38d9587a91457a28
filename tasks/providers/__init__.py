"""What an SMS provider does for us, and the ways in which it can fail. Each provider has a file here.

tasks/providers/registry.py makes the provider of a clinic; the tasks know only this protocol.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from models.base import sealing
from models.clinics.organizations import IntegrationSettings
from models.messaging.meanings import Action, Failure, Meaning
from models.messaging.receipts import Report


class Problem(Exception):
    """A request that did not succeed. Its text is a plain sentence of ours, and names no patient.

    `code` is the provider's error code, and `meaning` what it means, where they are known.
    """

    def __init__(self, reason: str, *, code: str | None = None, meaning: Meaning | None = None) -> None:
        super().__init__(reason)
        self.failure = Failure(reason, code, meaning)


class Unavailable(Problem):
    """Certainly not sent, and worth another try: in seconds, or `later`, in minutes."""

    @property
    def later(self) -> bool:
        meaning = self.failure.meaning
        return meaning is not None and meaning.action is Action.RETRY_LATER


class Unreachable(Unavailable):
    """The provider did not answer, and the wait for an answer took the whole time-out."""


class Refused(Problem):
    """The message can never be sent as it stands."""

    @property
    def alert(self) -> bool:
        """Whether a person should know of it."""
        return self.failure.meaning is not None and self.failure.meaning.needs_somebody


class OptedOut(Refused):
    """The provider sends nothing to this number, because the recipient opted out."""


class Misconfigured(Problem):
    """The clinic's account or sender is refused, whatever it sends. Certainly not sent."""

    def __init__(
        self, reason: str, *, code: str | None = None, meaning: Meaning | None = Meaning.MISCONFIGURED
    ) -> None:
        super().__init__(reason, code=code, meaning=meaning)


class OutcomeUnknown(Problem):
    """The message may have been sent: the answer was lost. Never resend it for this alone."""


_PROBLEMS: dict[Action, Callable[..., Problem]] = {
    Action.CONFIGURATION: Misconfigured,
    Action.LIMIT: Misconfigured,
    Action.OPT_OUT: OptedOut,
    Action.RETRY: Unavailable,
    Action.RETRY_LATER: Unavailable,
    Action.UNKNOWN: OutcomeUnknown,
}


def problem(failure: Failure) -> Problem:
    """The Problem for a refusal, by the meaning of its error code."""
    kind = _PROBLEMS.get(failure.meaning.action, Refused) if failure.meaning else Refused
    return kind(failure.reason, code=failure.code, meaning=failure.meaning)


@dataclass(frozen=True, slots=True)
class Text:
    """One SMS. The provider gives up after `valid_for` seconds.

    `receipt` is a path, "message/attempt/token", which no two attempts share. A provider that reports by
    itself is given a URL that ends with it; a provider that takes a reference of ours may be given the path.
    """

    to: str
    body: str
    receipt: str
    valid_for: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has the message. `at` is the provider's time of acceptance, if that is learnt later."""

    provider_id: str
    segments: int | None
    at: datetime | None = None


class SmsProvider(Protocol):
    """A provider with the account of one clinic. Making the object sends no request."""

    @property
    def account(self) -> str:
        """The account's id, unique among all providers: only this account knows the messages sent with it."""

    @property
    def longest(self) -> float:
        """Seconds after which an attempt to send is certainly over."""

    def send(self, text: Text) -> Accepted:
        """Hand one SMS over. Raises only Problems."""

    def find(self, *, to: str, bodies: set[str], since: datetime) -> list[Accepted]:
        """The messages to `to` that have one of these texts and were created since then, the newest first.

        Raises Unavailable when the provider cannot say.
        """

    def fetch(self, provider_id: str) -> Report | None:
        """What became of a message; None if the provider no longer has it. Raises Unavailable."""


def account_of(clinic: IntegrationSettings) -> dict[str, Any]:
    """The account that was given to `flask sms provider`, for providers without columns of their own in
    integration_settings. Raises Misconfigured.
    """
    if clinic.sms_account_sealed is None:
        raise Misconfigured(f"the clinic has no account with {clinic.sms_provider} set")
    try:
        account = json.loads(sealing.unseal(clinic.org_id, "sms_account", clinic.sms_account_sealed))
    except sealing.CannotUnseal as error:
        raise Misconfigured(str(error)) from error
    except ValueError:
        account = None
    if not isinstance(account, dict):
        raise Misconfigured(f"the clinic's account with {clinic.sms_provider} cannot be read")
    return account
