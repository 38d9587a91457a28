"""Which clinic a request belongs to: the credential decides, and nothing that a language model says.

A credential is presented in one of three ways: as `Authorization: Bearer …`, as the secret alone in a header
of the platform's own (`secret_headers` below), or as a signature over the raw body and the signing time, and
over method and address if the credential was made so. The first two are looked up by their digest. A
signature does not say whose it is, so the request names a credential of its clinic
(`X-Holdline-Credential: <id>`, which the assistant that we configure sends, or `?credential=<id>` in the
server URL), and all signing credentials of that clinic are tried; without a name, as many of all clinics' as
the effort allows.

All credentials are in the application's memory, read once a second: a wrong one costs the database no work.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flask import Request
from sqlalchemy import Row

import settings
from models.base import sealing
from models.base.session import Door
from models.clinics import organizations, signed_requests
from models.clinics.signed_requests import Use
from webapp import snapshots
from webapp.addresses import group
from webapp.agents.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER, Effort, Signing, Writing
from webapp.agents.wire import Caller
from webapp.snapshots import Snapshot
from webapp.state import per_app
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction, in_transaction, repeatable

log = logging.getLogger(__name__)


class Unauthorized(Exception):
    """There is no credential, or an unknown one."""


class WrongSignature(Unauthorized):
    """A signature of this request that none of the credentials made."""


class Replayed(Unauthorized):
    """A signature that was used at another path before, and does not cover the path."""


#: Seconds for which the credentials that were read count. A revoked one may live on for as long.
REMEMBERED = snapshots.REMEMBERED

#: Bytes that may be hashed at once for requests that name no credential, beyond the tries always made.
MOST_HASHED = 256 * 1024 * 1024

#: Signatures that an application remembers, so that a replay costs no look-up; the rows hold all of them.
MOST_USED = 10_000

CREDENTIAL_HEADER = "X-Holdline-Credential"

_NOTED_EVERY = 60.0


@dataclass(slots=True)
class _Told:
    """Until when, by time.monotonic(), uses are not recorded again and warnings not logged again."""

    noted: dict[uuid.UUID, float] = field(default_factory=dict)
    quiet_until: float = 0.0


_told = per_app(_Told)


def by_headers(request: Request, secret_headers: Collection[str] = ()) -> Caller | None:
    """Whose request it is, by its headers alone; None if it is signed, so that the body is needed.

    Raises Unauthorized, Busy or DatabaseAway.
    """
    if _presented(request, secret_headers) is None and _is_signed(request):
        return None
    return resolve(request, b"", secret_headers)


def resolve(request: Request, body: bytes, secret_headers: Collection[str] = ()) -> Caller:
    """Whose request it is. A wrong credential is refused in development, too.

    Raises Unauthorized, Busy or DatabaseAway.
    """
    if (digest := _presented(request, secret_headers)) is not None:
        caller = _credentials().ask(lambda known: known.by_digest.get(digest), _network(request))
        if caller is None:
            raise Unauthorized
    elif _is_signed(request):
        caller = _by_signature(request, body)
    elif settings.get().development and not any(
        header in request.headers for header in ("Authorization", *secret_headers)
    ):
        return Caller(None)
    else:
        raise Unauthorized
    _note_use(caller)
    return caller


def _network(request: Request) -> str:
    return group(request.remote_addr or "")


# --- what is in memory --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """Every credential, by the keys of the look-ups."""

    by_digest: dict[str, Caller] = field(default_factory=dict)
    signing: dict[uuid.UUID, list[Signing]] = field(default_factory=lambda: defaultdict(list))
    signature_headers: set[str] = field(default_factory=set)
    #: The clinic of each credential. Revoked ones are included: while a key is rotated, requests still name
    #: the old one.
    owners: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)

    def signing_for(self, credential_id: uuid.UUID | None) -> list[Signing]:
        """The signing credentials of the clinic that owns this credential; without an id, of all clinics."""
        if credential_id is None:
            return [each for of_clinic in self.signing.values() for each in of_clinic]
        owner = self.owners.get(credential_id)
        return self.signing.get(owner, []) if owner else []


def _read() -> Known:
    known = Known()
    for row in in_system_transaction(Door.CREDENTIAL, organizations.every_credential):
        known.owners[row.id] = row.org_id
        if row.revoked_at:
            continue
        if row.secret_digest:
            known.by_digest[row.secret_digest] = Caller(row.org_id, row.id)
        elif signing := _opened(row):
            known.signing[row.org_id].append(signing)
            known.signature_headers.add(signing.writing.signature_header)
    return known


def _opened(row: Row[Any]) -> Signing | None:
    if not (row.secret_sealed and row.algorithm and row.encoding):
        return None
    try:
        secret = _secret()(row.org_id, row.secret_sealed)
    except sealing.CannotUnseal:
        log.exception("credential %s cannot be used", row.id)
        return None
    return Signing(
        row.org_id,
        row.id,
        secret,
        Writing(
            row.algorithm,
            row.encoding,
            row.signature_prefix,
            row.signature_header or SIGNATURE_HEADER,
            row.timestamp_header or TIMESTAMP_HEADER,
        ),
        row.payload_format,
    )


def _unseal(org_id: uuid.UUID, sealed: str) -> bytes:
    return sealing.unseal(org_id, organizations.SIGNING_KEY, sealed).encode()


@per_app
def _secret() -> Callable[[uuid.UUID, str], bytes]:
    """Unseals a secret, and keeps it, so that each is unsealed once and not every second."""
    return lru_cache(maxsize=4096)(_unseal)


def _clock() -> float:
    return time.monotonic()


@per_app
def _credentials() -> Snapshot[Known]:
    return Snapshot(_read, _clock)


@per_app
def _effort() -> Effort:
    return Effort(MOST_HASHED, clock=_clock)


# --- a secret, as it is -------------------------------------------------------------------------


def _presented(request: Request, secret_headers: Collection[str]) -> str | None:
    """The digest of the secret that the request brings."""
    authorization = request.headers.get("Authorization", "")
    scheme, _, bearer = authorization.partition(" ")
    if scheme.lower() == "bearer":
        secret = bearer.strip()
    else:
        secret = next(filter(None, (request.headers.get(name, "").strip() for name in secret_headers)), "")
    return hashlib.sha256(secret.encode()).hexdigest() if secret else None


# --- a signature --------------------------------------------------------------------------------


def _is_signed(request: Request) -> bool:
    """Whether the request names a credential, or has a header in which a credential's signature stands."""

    def looks_signed(known: Known) -> bool | None:
        return any(header in request.headers for header in known.signature_headers) or None

    return (
        CREDENTIAL_HEADER in request.headers
        or "credential" in request.args
        or SIGNATURE_HEADER in request.headers
        or bool(_credentials().ask(looks_signed, None))
    )


def names_a_signer(request: Request) -> bool | None:
    """Whether the clinic of the named credential has signing credentials; None if the request names none.

    Raises Busy or DatabaseAway.
    """
    try:
        credential_id = _named(request)
    except WrongSignature:
        return False
    if credential_id is None:
        return None
    return bool(_credentials().ask(lambda known: known.signing_for(credential_id) or None, _network(request)))


def _named(request: Request) -> uuid.UUID | None:
    """The id of the credential that the request names, if any. Raises WrongSignature if it is not a UUID."""
    named = request.headers.get(CREDENTIAL_HEADER) or request.args.get("credential")
    try:
        return uuid.UUID(named) if named else None
    except ValueError:
        raise WrongSignature from None


def _by_signature(request: Request, body: bytes) -> Caller:
    credential_id = _named(request)
    now = time.time()
    presented: dict[Writing, bytes | None] = {}
    tried: set[uuid.UUID] = set()

    def try_each(known: Known) -> tuple[Signing, bytes] | None:
        signing = known.signing_for(credential_id)
        for each in signing if credential_id else _effort().order(signing):
            if each.writing not in presented:
                presented[each.writing] = each.writing.presented(request, now)
            given = presented[each.writing]
            if given is None or each.id in tried:
                continue
            if credential_id is None and not _effort().affords(len(tried), len(body)):
                _tell_that_not_all_are_tried()
                return None
            tried.add(each.id)
            if each.made(given, request, body):
                return each, given
        return None

    found = _credentials().ask(try_each, _network(request))
    if found is None:
        raise WrongSignature
    signing, signature = found
    if credential_id is None:
        _effort().was_right(signing)
    return _first_of(request, signing, signing.known_as(signature))


def _tell_that_not_all_are_tried() -> None:
    now, told = time.monotonic(), _told()
    if now >= told.quiet_until:
        told.quiet_until = now + _NOTED_EVERY
        log.warning("not all signing credentials are tried; let requests name theirs")


# --- once and at one path -----------------------------------------------------------------------


class _Used:
    """The first use of each of the most recent signatures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: OrderedDict[str, Use] = OrderedDict()

    def get(self, signature: str) -> Use | None:
        return self._first.get(signature)

    def add(self, signature: str, first: Use) -> None:
        with self._lock:
            self._first[signature] = first
            while len(self._first) > MOST_USED:
                self._first.popitem(last=False)


_used = per_app(_Used)


def _first_of(request: Request, signing: Signing, signature: str) -> Caller:
    """The caller, and when this signature was first used, in any process.

    Raises Replayed, Busy or DatabaseAway.
    """
    first = _used().get(signature)
    if first is None:
        first = in_transaction(
            signing.org_id,
            lambda session: signed_requests.use(session, signing.org_id, signature, request.path),
            happened=repeatable,
        )
        _used().add(signature, Use(first.path, first.seen_at, new=False))
    if first.path != request.path and not signing.covers_path:
        raise Replayed
    return Caller(signing.org_id, signing.id, signature, None if first.new else first.seen_at)


def _note_use(caller: Caller) -> None:
    """Record the use of a credential, once a minute in each application. A failure is only logged."""
    credential_id, now = caller.credential_id, time.monotonic()
    noted = _told().noted
    if credential_id is None or now < noted.get(credential_id, 0.0):
        return
    noted[credential_id] = now + _NOTED_EVERY
    try:
        in_system_transaction(
            Door.CREDENTIAL, lambda session: organizations.record_use(session, credential_id)
        )
    except (Busy, DatabaseAway):
        log.warning("the use of credential %s was not recorded", credential_id)
