"""What a process says when its environment is incomplete."""

from __future__ import annotations

import pytest

import settings
from runtime import postgres_address
from tests.settings.environment import NEEDED, read


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
        "postgresql://me:pa55word@db/x?schema=clinic",
        "postgresql://me:pa55word@db/x?currentSchema=public,clinic",
        "postgresql://me:pa55word@db/x?sslmode=sometimes",
        "postgresql://me:pa55word@one:5432,two:port/x?target_session_attrs=writable",
        "postgresql://me:pa55word@one,two/x?target_session_attrs=standby",
        "postgresql://me:pa55word@db/x?options=-c%20search_path%3Dclinic",
        "postgresql://me:pa55word@db/x?options=-csearch_path%3Dpublic,clinic",
    ],
    "SYSTEM_DATABASE_URL": ["foo", "https://me:pa55word@db/x"],
    "SENTRY_DSN": [
        "foo",
        "https://",
        "https://pa55word@sentry.example",
        "https://sentry.example/1",
        "https:/x",
    ],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["foo", "https:/x", "https://", "https://x:99999", "otel:4318"],
    "REDIS_URL": ["foo", "http://x", "redis:///0", "redis://:pa55word/1@x:6379", "rediss://x:99999"],
    "PUBLIC_BASE_URL": [
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
        ("DATABASE_URL", "postgresql://me:pa55@one:5432,two:5433/x?sslmode=require"),
        ("DATABASE_URL", "postgres://me:pa55@db/x?pgbouncer=true&schema=public&connection_limit=1"),
        ("SYSTEM_DATABASE_URL", ""),
        ("REDIS_URL", "rediss://:pa%2F55@redis.example:6380/1?ssl_cert_reqs=none"),
        ("REDIS_URL", "unix:///var/run/redis.sock"),
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


#: As Prisma, Supabase, Neon, Rails, Heroku, JDBC and asyncpg write them.
@pytest.mark.parametrize(
    ("parameters", "used", "ignored"),
    [
        ("pgbouncer=true&connection_limit=1&pool_timeout=10", {}, "pgbouncer connection_limit pool_timeout"),
        ("schema=public&sslaccept=strict", {}, "sslaccept"),
        ("supa=base-pooler.x&pool=5&statement_cache_size=0", {}, "supa pool statement_cache_size"),
        ("search_path=%22$user%22,public", {}, ""),
        (
            "sslmode=require&channel_binding=require&options=endpoint%3Dep-1",
            {"sslmode": "require", "channel_binding": "require", "options": "endpoint=ep-1"},
            "",
        ),
        ("ssl=true", {"sslmode": "require"}, ""),
        ("ssl=false&sslmode=", {"sslmode": "prefer"}, ""),
        ("sslmode=no-verify", {"sslmode": "require"}, ""),
        ("sslMode=verify-full&sslrootcert=system", {"sslmode": "verify-full", "sslrootcert": "system"}, ""),
        ("currentSchema=public&prepareThreshold=0&autocommit=true", {}, "prepareThreshold autocommit"),
    ],
)
def test_what_others_write_into_an_address_is_understood_or_ignored(
    parameters: str, used: dict[str, str], ignored: str
) -> None:
    url, left_out = postgres_address.read(f"postgres://me:p/a#55@db:6432/x?{parameters}")
    assert (url.host, url.port, url.password, url.database) == ("db", 6432, "p/a#55", "x")
    assert (dict(url.query), left_out) == (used, ignored.split())


@pytest.mark.parametrize(
    ("said", "attributes"), [("", "read-write"), ("?target_session_attrs=any&pgbouncer=true", "any")]
)
def test_of_several_hosts_the_primary_is_asked_for(said: str, attributes: str) -> None:
    url, _ = postgres_address.read(f"postgresql://me:pa55@one:5432,two:5433/x{said}")
    _, options = url.get_dialect()().create_connect_args(url)
    named = [options[name] for name in ("host", "port", "dbname", "user", "target_session_attrs")]
    assert named == ["one,two", "5432,5433", "x", "me", attributes]
    single, _ = postgres_address.read("postgresql://me:pa55@one:5432/x")
    assert "target_session_attrs" not in single.query


# --- what production refuses --------------------------------------------------------------------


@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name, given in (NEEDED | {"RATE_PER_CALL": value}).items():
        monkeypatch.setenv(name, given)
    with pytest.raises(settings.SettingsError, match="RATE_PER_CALL"):
        read()


# --- the rest -----------------------------------------------------------------------------------


def test_production_is_what_is_not_called_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert not read().development


def test_keys_for_different_purposes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert len({read().subkey(purpose) for purpose in ("otp-code", "otp-check", "sealed-secrets")}) == 3


@pytest.mark.parametrize(
    ("name", "least", "most", "beyond"),
    [
        # A worker's task ends after 20 seconds, and with it what it knows of its request.
        ("TWILIO_TIMEOUT", "0.01", "20", ("0", "-1", "20.1", "200", "inf", "nan")),
        # Vapi waits 20 seconds for a tool.
        ("SMS_WATCH", "0", "10", ("-0.1", "10.1", "inf")),
        ("BROKER_TIMEOUT", "0.01", "5", ("0", "5.1", "inf")),
        ("LOCK_TIMEOUT", "0.01", "60", ("0", "-1", "60.1", "inf")),
        ("STATEMENT_TIMEOUT", "0.01", "60", ("0", "-1", "60.1", "inf")),
        ("DATABASE_POOL", "0", "64", ("-1", "65", "1.5")),
        ("RATE_PER_CREDENTIAL", "0", "100000", ("-1", "inf", "nan")),
        ("RATE_PER_CALL", "0", "100000", ("-1", "inf", "nan")),
        ("RATE_PER_PHONE", "0", "100000", ("-1", "inf", "nan")),
        ("MAX_BODY_BYTES", "1024", "100000000", ("1023", "0", "-1")),
        ("PROXIES", "0", "10", ("-1", "11", "1.5")),
        ("PORT", "0", "65535", ("-1", "65536")),
        ("FLOWER_PORT", "0", "65535", ("-1", "65536")),
    ],
)
def test_a_number_is_taken_within_its_bounds_and_refused_beyond(
    name: str, least: str, most: str, beyond: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for needed, value in NEEDED.items():
        monkeypatch.setenv(needed, value)
    for value in (least, most):
        monkeypatch.setenv(name, value)
        assert getattr(read(), name.lower()) == float(value)
    for value in beyond:
        monkeypatch.setenv(name, value)
        with pytest.raises(settings.SettingsError, match=name):
            read()


def test_what_is_set_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds, tool calls a second, bytes: a clinic that sets nothing has thirty calls at once."""
    for needed, value in NEEDED.items():
        monkeypatch.setenv(needed, value)
    config = read()
    assert (config.twilio_timeout, config.lock_timeout, config.statement_timeout) == (10, 2, 5)
    assert (config.sms_watch, config.broker_timeout) == (2, 1)
    assert (config.rate_per_credential, config.rate_per_call, config.rate_per_phone) == (10, 3, 4)
    assert (config.web_concurrency, config.web_threads, config.max_body_bytes) == (2, 64, 4 * 1024 * 1024)
