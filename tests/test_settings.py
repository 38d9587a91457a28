"""What a process says when its environment is incomplete."""

from __future__ import annotations

import pytest

import settings

NEEDED = {"DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", "SECRET_KEY": "s" * 32}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def read() -> settings.Settings:
    return settings.get.__wrapped__()


def test_every_missing_or_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCK_TIMEOUT", "soon")
    monkeypatch.setenv("REDIS_URL", "")
    with pytest.raises(settings.SettingsError) as caught:
        read()
    for name in (*NEEDED, "LOCK_TIMEOUT"):
        assert name in str(caught.value)


URLS = {
    "DATABASE_URL": [
        "foo",
        "holdline",
        "mysql://me:pa55word@db/x",
        "postgresql:///x",
        "postgresql://me:pa55word@db:port/x",
    ],
    "SYSTEM_DATABASE_URL": ["foo", "https://me:pa55word@db/x"],
    "REDIS_URL": ["foo", "http://x", "redis:///0", "redis://:pa55word/1@x:6379", "rediss://x:99999"],
    "PUBLIC_BASE_URL": [
        "",
        "foo",
        "example.com",
        "ftp://x",
        "https://",
        "https:/x",
        "https://x/path",
        "https://x?a=b",
        "https://x#y",
        "https://me:pa55word@x",
        "https://x\n",
    ],
    "TWILIO_API_BASE_URL": ["foo", "//x", "https:///x", "https://x:port"],
    "VAPI_API_BASE_URL": ["foo", "ws://x"],
}


@pytest.mark.parametrize(("name", "wrong"), [(name, url) for name, urls in URLS.items() for url in urls])
def test_an_address_that_is_none_is_named_and_no_password_with_it(
    name: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed, value in (NEEDED | {name: wrong}).items():
        monkeypatch.setenv(needed, value)
    with pytest.raises(settings.SettingsError) as caught:
        read()
    _, *lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [name]
    assert "pa55word" not in str(caught.value)


def test_wrong_addresses_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (NEEDED | dict.fromkeys(URLS, "foo")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError) as caught:
        read()
    assert {line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]} == set(URLS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://me:p/a#55@db.example:5432/x?sslmode=require"),
        ("DATABASE_URL", "postgresql+psycopg://[::1]:5433/x"),
        ("DATABASE_URL", "postgresql:///x?host=/var/run/postgresql"),
        ("SYSTEM_DATABASE_URL", ""),
        ("REDIS_URL", "rediss://:pa%2F55@redis.example:6380/1?ssl_cert_reqs=none"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("PUBLIC_BASE_URL", "https://clinic.example:8443"),
        ("PUBLIC_BASE_URL", "https://clinic.example/"),
        ("TWILIO_API_BASE_URL", "http://[::1]:3002"),
        ("VAPI_API_BASE_URL", "http://127.0.0.1:3003/vapi"),
    ],
)
def test_an_address_in_any_of_its_forms_is_taken_as_it_is(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed, given in (NEEDED | {name: value}).items():
        monkeypatch.setenv(needed, given)
    assert getattr(read(), name.lower()) == value


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
