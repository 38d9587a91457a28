"""Whose call this is: the credential decides, and nothing that a language model says.

Three kinds, as Vapi's custom credentials have them: `Authorization: Bearer …`, `X-Vapi-Secret: …`, or a
signature over the raw body with the time it was made at. The first two are looked up by their digest. A
signature names nobody, so the request names a credential of its clinic (`X-Holdline-Credential: <id>`, which
the assistant that we configure sends, or `?credential=<id>` in the server URL), and those of that clinic are
tried; without a name, all that there are.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from functools import lru_cache

from flask import Request
from sqlalchemy.orm import Session

import settings
from models import organizations, sealing
from models.organizations import SignatureAlgorithm, SignatureEncoding, VapiCredential
from models.session import Door
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction

log = logging.getLogger(__name__)


class Unauthorized(Exception):
    """No credential, or none that we know."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Both are None only in development, for a request without a credential."""

    org_id: uuid.UUID | None
    credential_id: uuid.UUID | None = None


#: Seconds for which a credential that was found is not looked up again; so long may a revoked one live.
REMEMBERED = 1.0

#: Seconds for which those that sign are not read again, though none of them made a signature.
READ_AGAIN = 0.2

#: Seconds that a signature's time may lie from ours, either way (Vapi's own advice).
WINDOW = 300

#: Bytes. Trying a key is a pass over the body, and a request that names no credential is tried against as
#: many keys as come to this: 256 for a body of a megabyte, and for an ordinary tool call more than there are.
MOST_HASHED = 256 * 1024 * 1024

CREDENTIAL_HEADER = "X-Holdline-Credential"
SIGNATURE_HEADER = "x-signature"
TIMESTAMP_HEADER = "x-timestamp"
_SECRET_HEADERS = ("Authorization", "X-Vapi-Secret")

_NOTED_EVERY = 60.0

_known: dict[str, tuple[float, Caller]] = {}
_signing: dict[uuid.UUID | None, tuple[float, tuple[Signing, ...]]] = {}
_noted: dict[uuid.UUID, float] = {}


def by_headers(request: Request) -> Caller | None:
    """Whose request it is, as far as its headers say; None where only a signature over the body could.

    Raises Unauthorized, Busy or DatabaseAway.
    """
    return None if _presented(request) is None and _is_signed(request) else resolve(request, b"")


def resolve(request: Request, body: bytes) -> Caller:
    """Raises Unauthorized, Busy or DatabaseAway. A wrong credential is refused in development, too."""
    if (digest := _presented(request)) is not None:
        caller = _by_secret(digest)
    elif _is_signed(request):
        caller = _by_signature(request, body)
    elif settings.get().development and not any(header in request.headers for header in _SECRET_HEADERS):
        return Caller(None)
    else:
        raise Unauthorized
    _note_use(caller)
    return caller


# --- a secret, as it is -------------------------------------------------------------------------


def _presented(request: Request) -> str | None:
    """The digest of the secret that the request brings."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, bearer = authorization.partition(" ")
    secret = (
        bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-Vapi-Secret", "").strip()
    )
    return hashlib.sha256(secret.encode()).hexdigest() if secret else None


def _by_secret(digest: str) -> Caller:
    until, caller = _known.get(digest, (0.0, None))
    if caller and time.monotonic() < until:
        return caller

    def look_up(session: Session) -> Caller | None:
        found = organizations.find_by_secret(session, digest)
        return Caller(found.org_id, found.id) if found else None

    found = in_system_transaction(Door.CREDENTIAL, look_up)
    if found is None:
        _known.pop(digest, None)
        raise Unauthorized
    _known[digest] = (time.monotonic() + REMEMBERED, found)  # only what exists: it cannot be filled up
    return found


# --- a signature --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signing:
    """One signing credential, opened."""

    caller: Caller
    secret: bytes = field(repr=False)
    algorithm: SignatureAlgorithm
    encoding: SignatureEncoding
    prefix: str
    signature_header: str
    timestamp_header: str

    def signed(self, request: Request, body: bytes, now: float) -> bool:
        """Whether these very bytes were signed with the secret, within WINDOW of `now` (seconds, UTC)."""
        stamp = request.headers.get(self.timestamp_header, "")
        given = request.headers.get(self.signature_header, "").strip()
        if not _recent(stamp, now) or not given.startswith(self.prefix):
            return False
        expected = hmac.new(self.secret, stamp.encode() + b".", self.algorithm.value)
        expected.update(body)  # and not joined with the stamp first: a body may be 32 MiB
        return hmac.compare_digest(self._decoded(given.removeprefix(self.prefix)), expected.digest())

    def _decoded(self, signature: str) -> bytes:
        try:
            if self.encoding is SignatureEncoding.HEX:
                return bytes.fromhex(signature)
            return base64.b64decode(signature, validate=True)
        except (ValueError, binascii.Error):
            return b""


def _recent(stamp: str, now: float) -> bool:
    """Vapi does not say whether it counts seconds or milliseconds; twelve digits are never seconds."""
    if not re.fullmatch(r"[0-9]{1,14}", stamp):
        return False
    seconds = int(stamp) / (1000 if len(stamp) > 11 else 1)
    return abs(now - seconds) <= WINDOW


def _is_signed(request: Request) -> bool:
    """Whether it names a credential, or has a signature where any of those is looked for."""
    return (
        CREDENTIAL_HEADER in request.headers
        or "credential" in request.args
        or SIGNATURE_HEADER in request.headers
        or any(signing.signature_header in request.headers for signing in _candidates(None))
    )


def _by_signature(request: Request, body: bytes) -> Caller:
    named = request.headers.get(CREDENTIAL_HEADER) or request.args.get("credential")
    try:
        credential_id = uuid.UUID(named) if named else None
    except ValueError:
        raise Unauthorized from None
    now, most = time.time(), MOST_HASHED // max(len(body), 1)
    tried: set[Signing] = set()
    for anew in (False, True):  # a new credential is good from its first use, whatever is remembered
        candidates = [each for each in _candidates(credential_id, anew=anew) if each not in tried]
        for signing in candidates[: most - len(tried)]:
            if signing.signed(request, body, now):
                return signing.caller
            tried.add(signing)
        if len(tried) == most:
            log.warning("not all signing credentials are tried; let requests name theirs")
            break
    raise Unauthorized


def _candidates(credential_id: uuid.UUID | None, *, anew: bool = False) -> tuple[Signing, ...]:
    until, candidates = _signing.get(credential_id, (0.0, ()))
    read = until - REMEMBERED  # whoever sends wrong signatures must not have them all read each time
    if time.monotonic() < (read + READ_AGAIN if anew else until):
        return candidates
    rows = in_system_transaction(
        Door.CREDENTIAL, lambda session: organizations.find_signing(session, credential_id)
    )
    candidates = tuple(signing for row in rows if (signing := _opened(row)))
    if candidates or credential_id is None:  # else only what exists is remembered
        _signing[credential_id] = (time.monotonic() + REMEMBERED, candidates)
    else:
        _signing.pop(credential_id, None)
    return candidates


def _opened(row: VapiCredential) -> Signing | None:
    if not (row.secret_sealed and row.algorithm and row.encoding):
        return None
    try:
        secret = _secret(row.org_id, row.secret_sealed)
    except sealing.CannotUnseal:
        log.exception("credential %s cannot be used", row.id)
        return None
    return Signing(
        Caller(row.org_id, row.id),
        secret,
        row.algorithm,
        row.encoding,
        row.signature_prefix,
        row.signature_header or SIGNATURE_HEADER,
        row.timestamp_header or TIMESTAMP_HEADER,
    )


@lru_cache(maxsize=4096)
def _secret(org_id: uuid.UUID, sealed: str) -> bytes:
    """Opened once a process, and not every second."""
    return sealing.unseal(org_id, "vapi_hmac", sealed).encode()


def _note_use(caller: Caller) -> None:
    """Once a minute a process, and never at the cost of the call."""
    credential_id, now = caller.credential_id, time.monotonic()
    if credential_id is None or now < _noted.get(credential_id, 0.0):
        return
    _noted[credential_id] = now + _NOTED_EVERY
    try:
        in_system_transaction(
            Door.CREDENTIAL, lambda session: organizations.record_use(session, credential_id)
        )
    except (Busy, DatabaseAway):
        log.warning("the use of credential %s was not recorded", credential_id)
