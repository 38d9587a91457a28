"""What all webhooks for Twilio share: how much of a request is read, and whether Twilio signed it."""

from __future__ import annotations

import re

from flask import Request
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, SIGNATURE_SETTINGS_HEADER, RequestValidator
from werkzeug.datastructures import MultiDict

from models.base import sealing
from models.clinics.organizations import IntegrationSettings
from webapp.addresses import url_of

#: Twilio's own requests have about 2 KB; an SMS has 1,600 characters at most.
MOST_BYTES = 64 * 1024
MOST_FIELDS = 1000

_ALGORITHM = re.compile(r"(?:[^,=]+=[^,=]*,)*\s*algorithm\s*=\s*([^,=]+?)\s*(?:,[^,=]+=[^,=]*)*")
_SID = re.compile(r"[A-Z]{2}[0-9a-zA-Z]{1,40}")


def form_of(request: Request) -> MultiDict[str, str]:
    """The fields of a webhook, each with all its values. Raises RequestEntityTooLarge (413)."""
    request.max_content_length = request.max_form_memory_size = MOST_BYTES
    request.max_form_parts = MOST_FIELDS
    return request.form


def sid(written: str | None) -> str | None:
    """The id, if it has the form of Twilio's ids; else None."""
    return written if written and _SID.fullmatch(written) else None


def is_genuine(request: Request, account: IntegrationSettings, *, secret_address: bool = False) -> bool:
    """Whether this clinic's account with Twilio sent the request.

    Twilio signs with the auth token, never with an API key. If the clinic gave only a key, there is nothing
    to check, and only a request to a secret address, known to Twilio alone, passes. Raises CannotUnseal.
    """
    form = form_of(request)
    if not account.twilio_account_sid or form.getlist("AccountSid") != [account.twilio_account_sid]:
        return False
    if not account.twilio_auth_token_sealed:
        return secret_address
    algorithm = _algorithm(request)
    if algorithm is None:
        return False
    token = sealing.unseal(account.org_id, "twilio_auth_token", account.twilio_auth_token_sealed)
    signature = request.headers.get("X-Twilio-Signature", "")
    return bool(RequestValidator(token).validate(url_of(request), form, signature, algorithm))


def _algorithm(request: Request) -> str | None:
    """The algorithm that the request names, HMAC_SHA1 if it names none; None for an unknown one.

    The header is not itself signed. So a request that names an algorithm is checked with that one or refused:
    no value of the header leads back to the weaker default.
    """
    named = request.headers.getlist(SIGNATURE_SETTINGS_HEADER)
    if not named:
        return str(HMAC_SHA1)
    found = _ALGORITHM.fullmatch(named[0]) if len(named) == 1 else None
    return str(HMAC_SHA256) if found and found[1] == HMAC_SHA256 else None
