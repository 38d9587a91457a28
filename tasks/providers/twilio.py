"""Twilio, through its own client. Every end of a request becomes an answer or a Problem."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

import requests
import urllib3
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

import settings
from models.base import sealing
from models.clinics.organizations import IntegrationSettings
from models.messaging.meanings import Meaning
from models.messaging.receipts import Report
from tasks.providers import (
    Accepted,
    Misconfigured,
    OutcomeUnknown,
    Problem,
    Text,
    Unavailable,
    Unreachable,
    problem,
)
from vendors import twilio_codes

#: The most messages to one number that are looked through, and how many a page has: nearly every number takes
#: one request. All are looked through, because Twilio promises an order only of messages that have left: a
#: message that it took and has not sent may come after those of last year.
_LOOK_THROUGH, _AT_ONCE = 3000, 1000

_UNREADABLE = (TwilioException, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Account:
    """A clinic's account with Twilio, and what its SMS come from: a number or a messaging service.

    It signs in with the account's own id and auth token, or with an API key and its secret.
    """

    account_sid: str
    username: str
    password: str
    from_number: str | None
    messaging_service_sid: str | None


class TwilioSms:
    def __init__(self, account: Account, *, timeout: float | None = None) -> None:
        config = settings.get()
        self._account = account
        self.account = account.account_sid
        self.longest = float(config.twilio_timeout)
        # No pool: a connection that Twilio closed meanwhile would end in a reset, which leaves all unknown.
        self._client = Client(
            account.username,
            account.password,
            account_sid=account.account_sid,
            http_client=TwilioHttpClient(timeout=timeout or config.twilio_timeout, pool_connections=False),
        )
        self._client.api.base_url = config.twilio_api_base_url
        # TWILIO_EDGE and TWILIO_REGION, set for Twilio's own tools, would change the host.
        self._client.edge = self._client.region = None

    @classmethod
    def of_clinic(cls, clinic: IntegrationSettings, *, timeout: float | None = None) -> TwilioSms:
        """Raises Misconfigured."""
        return cls(_account_of(clinic), timeout=timeout)

    def send(self, text: Text) -> Accepted:
        sender: dict[str, str] = {}
        if self._account.messaging_service_sid:
            sender["messaging_service_sid"] = self._account.messaging_service_sid
        elif self._account.from_number:
            sender["from_"] = self._account.from_number
        try:
            message = self._client.messages.create(
                to=text.to,
                body=text.body,
                status_callback=_receipt_url(text),
                validity_period=text.valid_for,
                **sender,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            raise _meaning_of(error) from error
        except requests.RequestException as error:
            raise _of_the_network(error) from error
        except _UNREADABLE as error:
            raise OutcomeUnknown("Twilio's answer could not be read") from error
        if not message.sid:
            raise OutcomeUnknown("Twilio's answer names no message")
        return Accepted(message.sid, _whole(message.num_segments))

    def find(self, *, to: str, bodies: set[str], since: datetime) -> list[Accepted]:
        # No DateSent: it is empty until a message has left. No From: a messaging service fills it later.
        try:
            looked_at, found = 0, []
            for message in self._client.messages.stream(to=to, limit=_LOOK_THROUGH, page_size=_AT_ONCE):
                looked_at += 1
                if message.date_created and message.date_created >= since and _has(message.body, bodies):
                    found.append(Accepted(message.sid, _whole(message.num_segments), message.date_created))
        except (requests.RequestException, *_UNREADABLE) as error:
            raise Unavailable("Twilio could not be asked") from error
        if looked_at == _LOOK_THROUGH and not found:
            raise Unavailable("there are more messages to that number than can be looked through")
        return found

    def fetch(self, provider_id: str) -> Report | None:
        try:
            message = self._client.messages(provider_id).fetch()
            return Report(
                provider_id,
                twilio_codes.STATUS[message.status],
                why=twilio_codes.failure(message.error_code) if message.error_code else None,
                segments=_whole(message.num_segments),
                price=_price(message.price),
                price_unit=message.price_unit,
                at=message.date_updated or message.date_sent,
            )
        except (requests.RequestException, *_UNREADABLE) as error:
            if isinstance(error, TwilioRestException) and error.status == requests.codes.not_found:
                return None
            raise Unavailable("Twilio could not be asked") from error


def _receipt_url(text: Text) -> str:
    """The address of webapp/twilio/receipts.py for this attempt."""
    return f"{settings.get().public_base_url.rstrip('/')}/api/twilio/status/{text.receipt}"


def _account_of(clinic: IntegrationSettings) -> Account:
    """Raises Misconfigured."""
    if not clinic.twilio_account_sid:
        raise Misconfigured("the clinic has no Twilio account set")
    if not clinic.twilio_from_number and not clinic.twilio_messaging_service_sid:
        raise Misconfigured("the clinic has no number to send from")
    try:
        username, password = _signs_in_with(clinic, clinic.twilio_account_sid)
    except sealing.CannotUnseal as error:
        raise Misconfigured(str(error)) from error
    return Account(
        clinic.twilio_account_sid,
        username,
        password,
        clinic.twilio_from_number,
        clinic.twilio_messaging_service_sid,
    )


def _signs_in_with(clinic: IntegrationSettings, account_sid: str) -> tuple[str, str]:
    """User name and password: an API key if there is one, else the account and its auth token.

    Raises Misconfigured or sealing.CannotUnseal.
    """
    if clinic.twilio_api_key_sid and clinic.twilio_api_key_secret_sealed:
        secret = sealing.unseal(clinic.org_id, "twilio_api_key_secret", clinic.twilio_api_key_secret_sealed)
        return clinic.twilio_api_key_sid, secret
    if clinic.twilio_auth_token_sealed:
        token = sealing.unseal(clinic.org_id, "twilio_auth_token", clinic.twilio_auth_token_sealed)
        return account_sid, token
    raise Misconfigured("the clinic has no auth token and no API key for Twilio set")


def _has(body: str | None, bodies: set[str]) -> bool:
    """Whether Twilio's text is or contains one of ours: a trial account's text has a line of Twilio's before
    it, and others may have a line after it. Each of our texts has something unique: code, reference or link.
    """
    return any(text in (body or "") for text in bodies)


def _price(written: object) -> Decimal | None:
    """Twilio writes what it charges as a negative amount; here it is a cost."""
    try:
        return abs(Decimal(str(written))) if written is not None else None
    except InvalidOperation:
        return None


def _whole(written: object) -> int | None:
    """The number of segments; None while a messaging service has not chosen its sender."""
    text = str(written)
    return (int(text) or None) if text.isdecimal() else None


#: Statuses by which the account may not do this, unless the error code explains it.
_OF_THE_ACCOUNT = (
    requests.codes.unauthorized,
    requests.codes.payment_required,
    requests.codes.forbidden,
    requests.codes.not_found,  # nothing in the path but the account
    requests.codes.gone,
)


def _meaning_of(error: TwilioRestException | TwilioServiceException) -> Problem:
    if not _is_a_refusal(error.status):
        return OutcomeUnknown(f"Twilio answered {error.status}")
    failure = twilio_codes.failure(error.code)
    unexplained = failure.meaning is Meaning.UNEXPLAINED
    if error.status == requests.codes.too_many_requests and (
        unexplained or failure.meaning is Meaning.MAYBE_SENT
    ):
        # Documented as never processed. An error code that says more prevails: there are daily limits, too.
        return Unavailable("Twilio asked to slow down", code=failure.code, meaning=Meaning.SLOW_DOWN)
    if unexplained and error.status in _OF_THE_ACCOUNT:
        return Misconfigured("Twilio does not accept the clinic's credentials", code=failure.code)
    return problem(failure)


def _is_a_refusal(status: int) -> bool:
    """Whether this status says that nothing was done; after a time-out (408) that is unknown."""
    return 400 <= status < 500 and status != requests.codes.request_timeout


def _of_the_network(error: requests.RequestException) -> Problem:
    if isinstance(error, requests.ConnectTimeout):
        return Unreachable("Twilio could not be reached in time")
    if isinstance(error, requests.ConnectionError):
        if _never_connected(error):
            return Unavailable("Twilio could not be reached")
        return OutcomeUnknown("the connection to Twilio broke")
    return OutcomeUnknown("Twilio did not answer in time")


def _never_connected(error: requests.ConnectionError) -> bool:
    """Whether the request certainly never left: refused, no route, or no such host."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError)
