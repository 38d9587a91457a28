"""The SMS providers, and which of them sends for a clinic. Each provider is a line in PROVIDERS."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from billiard.exceptions import SoftTimeLimitExceeded

from models.clinics.organizations import IntegrationSettings
from models.messaging.receipts import Report
from tasks.providers import Accepted, Misconfigured, OutcomeUnknown, Problem, SmsProvider, Text, Unavailable
from tasks.providers.twilio import TwilioSms

log = logging.getLogger(__name__)
T = TypeVar("T")


class Make(Protocol):
    def __call__(self, clinic: IntegrationSettings, *, timeout: float | None = None) -> SmsProvider:
        """The provider with this clinic's account; `timeout` replaces the usual time-out of one request, in
        seconds.

        Raises Misconfigured when the clinic's settings lack something.
        """


#: By the name in `integration_settings.sms_provider`.
PROVIDERS: dict[str, Make] = {"twilio": TwilioSms.of_clinic}


class Guarded:
    """A provider that raises only Problems: any other error would leave its message without an outcome, and
    end a run that asks about the messages of all clinics.
    """

    def __init__(self, provider: SmsProvider) -> None:
        self._provider = provider
        self.account, self.longest = provider.account, provider.longest

    def send(self, text: Text) -> Accepted:
        return _guarded(lambda: self._provider.send(text), OutcomeUnknown)

    def find(self, *, to: str, bodies: set[str], since: datetime) -> list[Accepted]:
        return _guarded(lambda: self._provider.find(to=to, bodies=bodies, since=since), Unavailable)

    def fetch(self, provider_id: str) -> Report | None:
        return _guarded(lambda: self._provider.fetch(provider_id), Unavailable)


def _guarded(ask: Callable[[], T], otherwise: type[Problem], what: str = "the request broke off with") -> T:
    """What `ask` returns. Raises its Problems as they are, and for any other error `otherwise`."""
    try:
        return ask()
    except (Problem, SoftTimeLimitExceeded):
        raise
    except Exception as error:
        log.exception("an SMS provider raised what none may raise")
        raise otherwise(f"{what} {type(error).__name__}") from error


def provider_of(clinic: IntegrationSettings | None, *, timeout: float | None = None) -> SmsProvider:
    """The clinic's provider. Raises Misconfigured: waiting messages go once the settings are put right."""
    if clinic is None:
        raise Misconfigured("the clinic has no account with an SMS provider")
    make = PROVIDERS.get(clinic.sms_provider)
    if make is None:
        raise Misconfigured(f"there is no SMS provider {clinic.sms_provider!r}")
    what = f"the clinic's account with {clinic.sms_provider} cannot be used:"
    return Guarded(_guarded(lambda: make(clinic, timeout=timeout), Misconfigured, what))
