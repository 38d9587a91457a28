"""Which SMS providers there are, and which of them sends for a clinic. A provider is a line in PROVIDERS."""

from __future__ import annotations

from typing import Protocol

from models.clinics.organizations import IntegrationSettings
from tasks.providers import Misconfigured, SmsProvider
from tasks.providers.twilio import TwilioSms


class Make(Protocol):
    def __call__(self, clinic: IntegrationSettings, *, timeout: float | None = None) -> SmsProvider:
        """The provider with this clinic's account; `timeout`, if it is not the usual one, is for one request,
        in seconds.

        Raises Misconfigured when the clinic's settings lack something.
        """


#: By the name that `integration_settings.sms_provider` has.
PROVIDERS: dict[str, Make] = {"twilio": TwilioSms.of_clinic}


def provider_of(clinic: IntegrationSettings | None, *, timeout: float | None = None) -> SmsProvider:
    """Raises Misconfigured: what waits is sent once the settings are put right."""
    if clinic is None:
        raise Misconfigured("the clinic has no account with an SMS provider")
    make = PROVIDERS.get(clinic.sms_provider)
    if make is None:
        raise Misconfigured(f"there is no SMS provider {clinic.sms_provider!r}")
    return make(clinic, timeout=timeout)
