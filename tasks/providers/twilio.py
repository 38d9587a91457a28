"""Twilio, through its own client. Every way in which a request can end becomes one of a few answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation

import requests
import urllib3
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

import settings
from models.messaging import twilio_codes
from models.messaging.receipts import Report
from models.messaging.twilio_codes import Action, Meaning
from tasks.providers import (
    Accepted,
    Account,
    Misconfigured,
    OptedOut,
    OutcomeUnknown,
    Problem,
    Refused,
    Text,
    Unavailable,
    Unreachable,
)

#: Messages to one number that are looked through, and of how many Twilio tells at once: for nearly every
#: number one request. All of them, for Twilio promises an order only of those that have left: what it took
#: and has not sent may stand behind what left last year.
_LOOK_THROUGH, _AT_ONCE = 3000, 1000

_UNREADABLE = (TwilioException, ValueError, KeyError, TypeError, AttributeError)


class TwilioSms:
    def __init__(self, account: Account, *, timeout: float | None = None) -> None:
        config = settings.get()
        self._account = account
        # No pool: a connection that Twilio closed meanwhile would end in a reset, which tells nothing.
        self._client = Client(
            account.username,
            account.password,
            account_sid=account.account_sid,
            http_client=TwilioHttpClient(timeout=timeout or config.twilio_timeout, pool_connections=False),
        )
        self._client.api.base_url = config.twilio_api_base_url
        # TWILIO_EDGE and TWILIO_REGION, set for Twilio's own tools, would change the host behind our back.
        self._client.edge = self._client.region = None

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
                status_callback=text.report_to,
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
                error_code=str(message.error_code) if message.error_code else None,
                segments=_whole(message.num_segments),
                price=price(message.price),
                price_unit=message.price_unit,
                at=message.date_updated or message.date_sent,
            )
        except (requests.RequestException, *_UNREADABLE) as error:
            if isinstance(error, TwilioRestException) and error.status == requests.codes.not_found:
                return None
            raise Unavailable("Twilio could not be asked") from error


def _has(body: str | None, bodies: set[str]) -> bool:
    """Whether it is one of these texts, or has it in it: a trial account's has a line of Twilio's before
    it, and others may have one behind it. Each of our texts has what no other has: code, reference or link.
    """
    return any(text in (body or "") for text in bodies)


def price(written: object) -> Decimal | None:
    try:
        return Decimal(str(written)) if written is not None else None
    except InvalidOperation:
        return None


def _whole(written: object) -> int | None:
    """Segments; none yet where a messaging service has not chosen its sender."""
    text = str(written)
    return (int(text) or None) if text.isdecimal() else None


#: Statuses that say of the account, whatever the code, that it may not do this.
_OF_THE_ACCOUNT = (
    requests.codes.unauthorized,
    requests.codes.payment_required,
    requests.codes.forbidden,
    requests.codes.not_found,  # nothing in the path but the account
    requests.codes.gone,
)


def _meaning_of(error: TwilioRestException | TwilioServiceException) -> Problem:
    code = str(error.code) if error.code else None
    if not _is_a_refusal(error.status):
        return OutcomeUnknown(f"Twilio answered {error.status}")
    meaning = twilio_codes.meaning(code)
    if error.status == requests.codes.too_many_requests and (
        not meaning.known or meaning.action is Action.UNKNOWN
    ):
        # Documented as never processed. A code that means more is believed: there are limits of a day, too.
        return Unavailable("Twilio asked to slow down", code=code)
    if not meaning.known and error.status in _OF_THE_ACCOUNT:
        return Misconfigured(code, "Twilio does not accept the clinic's credentials")
    return _PROBLEMS.get(meaning.action, _refused)(code, meaning)


def _refused(code: str | None, meaning: Meaning) -> Problem:
    return Refused(code, meaning.reason, alert=meaning.action is Action.NOT_ALLOWED or not meaning.known)


_PROBLEMS: dict[Action, Callable[[str | None, Meaning], Problem]] = {
    Action.CONFIGURATION: lambda code, meaning: Misconfigured(code, meaning.reason),
    Action.LIMIT: lambda code, meaning: Misconfigured(code, meaning.reason),
    Action.OPT_OUT: lambda code, meaning: OptedOut(code, meaning.reason),
    Action.RETRY: lambda code, meaning: Unavailable(meaning.reason, code=code),
    Action.RETRY_LATER: lambda code, meaning: Unavailable(meaning.reason, code=code, later=True),
    Action.UNKNOWN: lambda _, meaning: OutcomeUnknown(meaning.reason),
}


def _is_a_refusal(status: int) -> bool:
    """Whether this status says that nothing was done; of a request that timed out nobody knows."""
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
