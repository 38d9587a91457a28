"""What production refuses."""

from __future__ import annotations

import pytest

import settings
from runtime import weak_secrets
from tests.settings.environment import ALL, KEY, NEEDED, read

KNOWN = settings.DEVELOPMENT_KEY
PUBLIC = [
    KNOWN,
    KNOWN + "x",
    "my-" + KNOWN,
    KNOWN.upper(),
    KNOWN[::-1],
    KNOWN.replace("-", ""),
    KNOWN.replace("o", "0"),
]
WEAK_KEYS = [
    *("", "short", KEY[:31], *PUBLIC),
    *("s" * 32, "ab" * 20, "abcd" * 8, "k" * 40 + "1234567890", "0123456789" * 4, "0123456789abcdef" * 2),
    *("abcdefghijklmnopqrstuvwxyz0123456789", "changeme" * 4, "change-me-change-me-change-me-please"),
    *(
        "replace-this-with-a-secret-key-ok!",
        "your-secret-key-goes-here-1234567890",
        "qwertyuiopasdfghjklzxcvbnm12345678",
    ),
    *("django-insecure-please-replace-it", "holdline-production-secret-key-2026"),
    *("cGFzc3dvcmQgcGFzc3dvcmQgcGFzc3dvcmQ=", KNOWN.encode().hex(), bytes(range(32)).hex()),
    *("d41d8cd98f00b204e9800998ecf8427e", "5f4dcc3b5aa765d61d8327deb882cf99"),  # of nothing, of "password"
    *("the quick brown fox jumps over the lazy dog", "correct horse battery staple correct"),
    *("123e4567-e89b-12d3-a456-426614174000", "P@$$w0rd!P@$$w0rd!P@$$w0rd!P@$$w0rd!"),
    *("$(openssl rand -hex 32) xxxxxxxxxxxxx", "3.14159265358979323846264338327950288"),
]
GOOD_KEYS = [
    KEY,
    "holdline-production-" + KEY,
    "Zr8-uV1q_XkP0wTn3sYb5mCd7fGh9jLa2eQo4iUx6tB",
    "83610275940182736455019283746510",
]


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> list[str]:
    """The lines about these variables in production. In development they are taken."""
    for name, value in (NEEDED | variables).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("APP_ENV", "development")
    assert read().development
    monkeypatch.delenv("APP_ENV")
    with pytest.raises(settings.SettingsError) as caught:
        read()
    assert not [value for value in variables.values() if len(value) > 12 and value in str(caught.value)]
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


@pytest.mark.parametrize("key", WEAK_KEYS)
def test_production_needs_a_secret_of_its_own(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    [line] = refused(monkeypatch, SECRET_KEY=key)
    assert line.startswith("SECRET_KEY: in production it must be a secret of your own, and this one ")
    assert "openssl rand" in line


@pytest.mark.parametrize("key", [key for key in WEAK_KEYS if key])
def test_production_reads_with_no_key_that_others_know(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    [line] = refused(monkeypatch, FORMER_SECRET_KEYS=f"{GOOD_KEYS[2]}, {key}")
    assert line.startswith("FORMER_SECRET_KEYS: ")


@pytest.mark.parametrize("key", GOOD_KEYS)
def test_a_random_key_of_any_make_is_taken(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    for name, value in (NEEDED | {"SECRET_KEY": key, "FORMER_SECRET_KEYS": key}).items():
        monkeypatch.setenv(name, value)
    assert read().secret_key == key


@pytest.mark.parametrize(
    "name",
    [
        "PUBLIC_BASE_URL",
        "TWILIO_API_BASE_URL",
        "VAPI_API_BASE_URL",
        "SENTRY_DSN",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ],
)
def test_production_speaks_tls_to_every_other_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    login, project = ("key@", "/1") if name == "SENTRY_DSN" else ("", "")
    for host in (
        "clinic.example",
        "10.0.0.7",
        "localhost.example",
        "127.0.0.1.example",
        "[2001:db8::1]",
        ALL,
    ):
        [line] = refused(monkeypatch, **{name: f"http://{login}{host}:8080{project}"})
        assert line.startswith(f"{name}: in production it must be https://")
    for url in (
        "http://127.0.0.1:3001",
        "http://127.8.9.1",
        "http://localhost",
        "http://[::1]:3",
        "https://x.example",
    ):
        written = url.replace("://", f"://{login}") + project
        monkeypatch.setenv(name, written)
        assert getattr(read(), name.lower()) == written


@pytest.mark.parametrize(
    "login",
    [
        *(
            "holdline:holdline",
            "admin:admin",
            "admin:password",
            "ops:short",
            "ops:changeme1234",
            "ops:aaaaaaaaaaaaaaaa",
        ),
        *("ops:123456789012", "margaret:margaret2026", "ops:flowerflower", f"ops:{KEY},admin:admin"),
    ],
)
def test_production_hides_flower_behind_a_password(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    [line] = refused(monkeypatch, FLOWER_BASIC_AUTH=login)
    assert line.startswith("FLOWER_BASIC_AUTH: in production the password must not be guessed")


@pytest.mark.parametrize("login", ["holdline", ":", "user:", ":password"])
def test_a_login_of_flower_is_a_user_and_a_password(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    for name, value in (NEEDED | {"FLOWER_BASIC_AUTH": login, "APP_ENV": "development"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingsError, match="FLOWER_BASIC_AUTH: it must be user:password"):
        read()


@pytest.mark.parametrize("token", ["x", "metrics", "password1234", "aaaaaaaaaaaaaaaaaaaa"])
def test_production_hides_its_figures(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    [line] = refused(monkeypatch, METRICS_TOKEN=token)
    assert line.startswith("METRICS_TOKEN: ")


def test_production_keeps_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCK_TIMEOUT", "STATEMENT_TIMEOUT"):
        with monkeypatch.context() as patch:
            [line] = refused(patch, **{name: "0"})
        assert line.startswith(f"{name}: in production it must be more than 0")
    rates = dict.fromkeys(("RATE_PER_CREDENTIAL", "RATE_PER_CALL", "RATE_PER_PHONE"), "0")
    [line] = refused(monkeypatch, **rates)
    assert "RATE_PER_CREDENTIAL, RATE_PER_CALL and RATE_PER_PHONE are all 0" in line
    monkeypatch.setenv("RATE_PER_CALL", "20")
    assert read().rate_per_phone == 0


def test_a_password_has_twelve_characters_of_its_own_and_a_key_thirty_two() -> None:
    random = "kV7mQ2xRt9bZ4wLc8nHs3pDf6gJy5aTe"
    assert weak_secrets.of_a_password(random[:12]) is None
    assert "fewer than 12" in (weak_secrets.of_a_password(random[:11]) or "")
    assert "user's name" in (weak_secrets.of_a_password(f"ops{random[:11]}", "ops") or "")
    assert weak_secrets.of_a_password(f"ops{random[:12]}", "ops") is None
    assert weak_secrets.of_a_key(random) is None
    assert "fewer than 32" in (weak_secrets.of_a_key(random[:31]) or "")
