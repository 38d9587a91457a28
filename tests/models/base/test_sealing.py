"""A secret opens only with its key, for the clinic and the purpose that it was sealed for."""

from __future__ import annotations

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from models.base import sealing
from models.base.sealing import CannotUnseal

ORG = uuid.uuid4()
TOKEN = "token-of-a-clinic"

#: The beginning of a sealed secret, which names its key.
HEAD = sealing.seal(ORG, "token", TOKEN).rpartition(".")[0] + "."


@given(st.text(), st.uuids(), st.text(max_size=20))
def test_what_was_sealed_comes_back(plaintext: str, org_id: uuid.UUID, purpose: str) -> None:
    sealed = sealing.seal(org_id, purpose, plaintext)
    assert sealing.unseal(org_id, purpose, sealed) == plaintext
    assert sealed.startswith("v2.")


def test_a_sealed_secret_shows_nothing_and_never_looks_the_same() -> None:
    sealed = {sealing.seal(ORG, "token", TOKEN) for _ in range(50)}
    assert len(sealed) == 50
    for text in sealed:
        assert TOKEN not in text
        assert TOKEN.encode() not in base64.urlsafe_b64decode(text.rpartition(".")[2])


def test_another_organisation_or_purpose_cannot_open_it() -> None:
    sealed = sealing.seal(ORG, "token", TOKEN)
    for org_id, purpose in ((uuid.uuid4(), "token"), (ORG, "other"), (ORG, "")):
        with pytest.raises(CannotUnseal, match=str(org_id)):
            sealing.unseal(org_id, purpose, sealed)


def test_a_change_of_any_byte_is_noticed() -> None:
    raw = bytearray(base64.urlsafe_b64decode(sealing.seal(ORG, "token", TOKEN).rpartition(".")[2]))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        with pytest.raises(CannotUnseal):
            sealing.unseal(ORG, "token", HEAD + base64.urlsafe_b64encode(changed).decode())
    for length in range(len(raw)):
        with pytest.raises(CannotUnseal):
            sealing.unseal(ORG, "token", HEAD + base64.urlsafe_b64encode(raw[:length]).decode())


@pytest.mark.parametrize(
    "nonsense",
    ["", "v2.", "v2..=", "v1.AAAA", "v2.AAAA.AAAA", TOKEN, "v2.\u00e4\u00f6.x", "v2.00000000." + "A" * 100],
)
def test_what_was_never_sealed_cannot_be_opened(nonsense: str) -> None:
    with pytest.raises(CannotUnseal) as raised:
        sealing.unseal(ORG, "token", nonsense)
    assert TOKEN not in str(raised.value)


def test_another_key_cannot_open_it(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = sealing.seal(ORG, "token", TOKEN)
    settings.of_process.cache_clear()
    try:
        monkeypatch.setenv("SECRET_KEY", "another-key-" + "x" * 32)
        with pytest.raises(CannotUnseal):
            sealing.unseal(ORG, "token", sealed)
    finally:
        monkeypatch.undo()
        settings.of_process.cache_clear()
    assert sealing.unseal(ORG, "token", sealed) == TOKEN
