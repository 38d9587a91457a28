"""Secrets at rest, sealed for one clinic and purpose: they cannot be unsealed in the row of another."""

from __future__ import annotations

import base64
import secrets
import uuid

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import settings

_VERSION = "v2"


class CannotUnseal(RuntimeError):
    """The stored secret was sealed with a missing key or for another clinic or purpose, or was altered."""


def seal(org_id: uuid.UUID, purpose: str, plaintext: str) -> str:
    """The secret as `v2.<id of the SECRET_KEY>.<nonce and ciphertext>`, sealed with the current key."""
    key_id = settings.get().key_ids[0]
    nonce = secrets.token_bytes(12)
    sealed = _cipher(key_id).encrypt(nonce, plaintext.encode(), _bound_to(org_id, purpose))
    return ".".join((_VERSION, key_id, base64.urlsafe_b64encode(nonce + sealed).decode()))


def unseal(org_id: uuid.UUID, purpose: str, sealed: str) -> str:
    """The plaintext of a sealed secret. Raises CannotUnseal."""
    try:
        version, key_id, encoded = sealed.split(".")
        if version != _VERSION or not key_id:
            key_id = "none"  # no key has this id; an empty id would mean the current key
        raw = base64.urlsafe_b64decode(encoded)
        return _cipher(key_id).decrypt(raw[:12], raw[12:], _bound_to(org_id, purpose)).decode()
    except (InvalidTag, ValueError, settings.UnknownKey) as error:
        raise CannotUnseal(
            f"the {purpose} of organisation {org_id} cannot be read with this SECRET_KEY"
            " (nor with those of FORMER_SECRET_KEYS)"
        ) from error


def is_current(sealed: str) -> bool:
    """Whether it was sealed with the current SECRET_KEY, so that it needs no former key."""
    return sealed.startswith(f"{_VERSION}.{settings.get().key_ids[0]}.")


def _bound_to(org_id: uuid.UUID, purpose: str) -> bytes:
    return f"{org_id}/{purpose}".encode()


def _cipher(key_id: str) -> AESGCM:
    return AESGCM(settings.get().subkey("sealed-secrets", key_id))
