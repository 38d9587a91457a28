"""What a process says when its environment is incomplete."""

from __future__ import annotations

import pytest

import settings

NEEDED = {"DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", "SECRET_KEY": "s" * 32}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("APP_ENV", "LOCK_TIMEOUT", *NEEDED):
        monkeypatch.delenv(name, raising=False)


def read() -> settings.Settings:
    return settings.get.__wrapped__()


def test_every_missing_or_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCK_TIMEOUT", "soon")
    monkeypatch.setenv("REDIS_URL", "")
    with pytest.raises(settings.SettingsError) as caught:
        read()
    for name in (*NEEDED, "LOCK_TIMEOUT"):
        assert name in str(caught.value)


@pytest.mark.parametrize("secret", ["", "short", settings.DEVELOPMENT_KEY])
def test_production_needs_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    for name, value in (NEEDED | {"SECRET_KEY": secret}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match="SECRET_KEY"):
        read()
    monkeypatch.setenv("APP_ENV", "development")
    assert read().development


def test_production_is_what_is_not_called_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert not read().development


def test_keys_for_different_purposes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert len({read().subkey(purpose) for purpose in ("otp-code", "otp-check", "sealed-secrets")}) == 3


@pytest.mark.parametrize("former", ["development-only-key-never-in-production", "k" * 40 + ",short"])
def test_production_reads_with_no_key_that_others_know(former: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("SECRET_KEY", "s" * 40)
    monkeypatch.setenv("FORMER_SECRET_KEYS", former)
    with pytest.raises(settings.SettingsError, match="FORMER_SECRET_KEYS"):
        read()
