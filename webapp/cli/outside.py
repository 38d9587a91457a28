"""Asks Twilio and Vapi whether they accept a clinic's stored credentials, for `flask doctor` only."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

import settings
from models.base import sealing
from models.clinics.organizations import IntegrationSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

#: Seconds for one answer.
PATIENCE = 5


class Answer(StrEnum):
    """What became of the question."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # the account or assistant that we name is not there
    NOT_ASKED = "not asked"  # no answer, or an answer that says nothing of the credentials


def ask_twilio(row: IntegrationSettings) -> tuple[Answer, str]:
    """Whether Twilio lists a message of the account for the credentials that SMS are sent with.

    Any key that may send SMS may list them, while most keys may not read the account itself. Returns the
    answer, and what came back in a few words. Raises CannotUnseal.
    """
    user, sealed, purpose = row.twilio_account_sid, row.twilio_auth_token_sealed, "twilio_auth_token"
    if row.twilio_api_key_sid and row.twilio_api_key_secret_sealed:
        user, sealed = row.twilio_api_key_sid, row.twilio_api_key_secret_sealed
        purpose = "twilio_api_key_secret"
    password = sealing.unseal(row.org_id, purpose, sealed or "")
    base = settings.get().twilio_api_base_url.rstrip("/")
    return _ask(
        f"{base}/2010-04-01/Accounts/{row.twilio_account_sid}/Messages.json",
        params={"PageSize": "1"},
        auth=(user or "", password),
    )


def ask_vapi(row: IntegrationSettings) -> tuple[Answer, str]:
    """Whether Vapi shows the assistant for the stored key. Returns and raises as `ask_twilio`."""
    key = sealing.unseal(row.org_id, "vapi_api_key", row.vapi_api_key_sealed or "").strip()
    base = settings.get().vapi_api_base_url.rstrip("/")
    return _ask(f"{base}/assistant/{row.vapi_assistant_id}", auth=_bearer(key))


def _bearer(key: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """The key as an auth: in place of a plain header, the operator's .netrc would be sent."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {key}"
        return request

    return sign


def _ask(url: str, **how: Any) -> tuple[Answer, str]:
    import requests  # noqa: PLC0415 -- costs a tenth of a second, which the web and most commands save

    try:
        status = requests.get(url, timeout=PATIENCE, allow_redirects=False, **how).status_code
    except (requests.RequestException, ValueError) as error:  # also a header that cannot be sent
        return Answer.NOT_ASKED, type(error).__name__
    if status in (401, 403):
        return Answer.REFUSED, f"it answered {status}"
    if status == 404:
        return Answer.UNKNOWN, f"it answered {status}"
    return (Answer.TAKEN if status == 200 else Answer.NOT_ASKED), f"it answered {status}"
