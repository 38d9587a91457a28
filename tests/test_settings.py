"""What a process says when its environment is incomplete."""

from __future__ import annotations

import pytest

import settings
from models.base import session
from runtime import postgres_address, weak_secrets, web_notices
from runtime.platforms import PROXIES_OF_PLATFORMS
from runtime.web_capacity import THREADS_PER_CONNECTION

ALL = "0.0.0.0"  # noqa: S104
KEY = "6b0e3f9a17d24c85be602f1d7a94c3e8"
NEEDED = {"DATABASE_URL": "postgresql://x/y", "REDIS_URL": "redis://x", "SECRET_KEY": KEY}


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def read() -> settings.Settings:
    return settings.of_process.__wrapped__()


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


@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_limit_is_a_number(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name, given in (NEEDED | {"RATE_PER_CALL": value}).items():
        monkeypatch.setenv(name, given)
    with pytest.raises(settings.SettingsError, match="RATE_PER_CALL"):
        read()


# --- what platforms set -------------------------------------------------------------------------


@pytest.mark.parametrize("second_role", ["", "postgresql://second/y"])
def test_connections_stay_within_a_small_plan_for_every_size(
    monkeypatch: pytest.MonkeyPatch, second_role: str
) -> None:
    """Small plans allow 20; the workers' five processes hold one for each role; two are left to a release."""
    for name, value in (NEEDED | {"SYSTEM_DATABASE_URL": second_role}).items():
        monkeypatch.setenv(name, value)
    for size in range(-1, 65):
        monkeypatch.setenv("WEB_CONCURRENCY", str(size))
        asked = read()
        assert 1 <= asked.web_processes <= max(1, size)
        assert asked.web_pool >= 2
        assert asked.web_pool - asked.system_pool >= 1
        assert asked.system_pool == 0 if not second_role else asked.system_pool >= 1
        workers = 5 * (2 if second_role else 1)
        assert asked.web_processes * asked.web_pool + workers + 2 <= 20
        assert 2 <= asked.threads_of_web <= THREADS_PER_CONNECTION * asked.web_pool
        assert any("WEB_CONCURRENCY" in notice for notice in web_notices.find(asked)) is (
            size not in range(1, 5)
        )


@pytest.mark.parametrize(
    "name", sorted(set(settings.Settings.model_fields) - {name.lower() for name in NEEDED})
)
def test_what_is_empty_is_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for needed, given in (NEEDED | {name.upper(): " "}).items():
        monkeypatch.setenv(needed, given)
    assert getattr(read(), name) == settings.Settings.model_fields[name].default
    assert not list(web_notices.find(read()))


@pytest.mark.parametrize("asked", ["auto", "$(nproc)", "2.5", "1e2", "None"])
def test_what_a_platform_writes_for_a_number_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    for name in ("WEB_CONCURRENCY", "WEB_THREADS"):
        for needed, given in (NEEDED | {name: asked}).items():
            monkeypatch.setenv(needed, given)
        assert getattr(read(), name.lower()) == settings.Settings.model_fields[name.lower()].default
        assert f"{name} is ignored: {asked!r} is not a number." in web_notices.find(read())


@pytest.mark.parametrize(("asked", "threads"), [("100000", 128), ("1", 2), ("-5", 2), ("20", 20)])
def test_threads_are_as_many_as_can_work(monkeypatch: pytest.MonkeyPatch, asked: str, threads: int) -> None:
    for needed, given in (NEEDED | {"WEB_THREADS": asked}).items():
        monkeypatch.setenv(needed, given)
    assert read().threads_of_web == threads
    assert any(asked in notice for notice in web_notices.find(read())) is (asked != "20")


def test_each_role_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    second = {"SYSTEM_DATABASE_URL": "postgresql://second/y", "DATABASE_POOL": "1"}
    for needed, given in (NEEDED | second).items():
        monkeypatch.setenv(needed, given)
    assert (read().web_pool, read().system_pool) == (2, 1)


def test_a_wait_that_is_short_is_not_one_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    for needed, given in (NEEDED | {"LOCK_TIMEOUT": "0.0001"}).items():
        monkeypatch.setenv(needed, given)
    made = read()
    monkeypatch.setattr(settings, "get", lambda: made)
    assert session.asked_of_a_session()["lock_timeout"] == "1"


@pytest.mark.parametrize("value", ["", " ", "tcp://10.0.0.1:5555", "udp://10.0.0.1:5555"])
@pytest.mark.parametrize(
    "name", ["PORT", "FLOWER_PORT", "WEB_CONCURRENCY", "RATE_PER_CALL", "REDIS_SELF_SIGNED"]
)
def test_what_nobody_set_on_purpose_is_not_set(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for needed, given in (NEEDED | {name: value}).items():
        monkeypatch.setenv(needed, given)
    assert getattr(read(), name.lower()) == settings.Settings.model_fields[name.lower()].default


@pytest.mark.parametrize(
    ("variables", "web", "flower"),
    [
        ({}, (ALL, 3001), (ALL, 5555)),
        ({"PORT": "8080"}, (ALL, 8080), (ALL, 8080)),
        ({"PORT": "8080", "FLOWER_PORT": "9"}, (ALL, 8080), (ALL, 9)),
        ({"HOST": "::", "FLOWER_PORT": "tcp://10.0.0.1:5555"}, ("::", 3001), ("::", 5555)),
        ({"HOST": "x86_64-conda-linux-gnu"}, (ALL, 3001), (ALL, 5555)),
        ({"HOST": "127.0.0.1"}, ("127.0.0.1", 3001), ("127.0.0.1", 5555)),
    ],
)
def test_where_web_and_flower_listen(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], web: tuple[str, int], flower: tuple[str, int]
) -> None:
    for needed, given in (NEEDED | variables).items():
        monkeypatch.setenv(needed, given)
    found = read()
    assert (found.listen_host, found.web_port) == web
    assert (found.listen_host, found.port_of_flower) == flower


# --- the rest -----------------------------------------------------------------------------------


def test_production_is_what_is_not_called_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert not read().development


def test_keys_for_different_purposes_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NEEDED.items():
        monkeypatch.setenv(name, value)
    assert len({read().subkey(purpose) for purpose in ("otp-code", "otp-check", "sealed-secrets")}) == 3


def test_a_password_has_twelve_characters_of_its_own_and_a_key_thirty_two() -> None:
    random = "kV7mQ2xRt9bZ4wLc8nHs3pDf6gJy5aTe"
    assert weak_secrets.of_a_password(random[:12]) is None
    assert "fewer than 12" in (weak_secrets.of_a_password(random[:11]) or "")
    assert "user's name" in (weak_secrets.of_a_password(f"ops{random[:11]}", "ops") or "")
    assert weak_secrets.of_a_password(f"ops{random[:12]}", "ops") is None
    assert weak_secrets.of_a_key(random) is None
    assert "fewer than 32" in (weak_secrets.of_a_key(random[:31]) or "")


@pytest.mark.parametrize(
    ("variables", "proxies"),
    [
        ({}, 0),
        ({"DYNO": "web.1"}, 1),
        ({"RENDER": "true"}, 2),
        ({"FLY_APP_NAME": "holdline"}, 2),
        ({"RAILWAY_ENVIRONMENT_ID": "x"}, 1),
        ({"K_SERVICE": "holdline"}, 1),
        ({"WEBSITE_SITE_NAME": "holdline"}, 1),
        ({"DYNO": ""}, 0),
        ({"DYNO": "web.1", "PROXIES": "2"}, 2),
        ({"DYNO": "web.1", "PROXIES": "0"}, 0),
        ({"DYNO": "web.1", "PROXIES": " "}, 1),
        ({"PROXIES": "1"}, 1),
    ],
)
def test_how_many_proxies_stand_in_front(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxies: int
) -> None:
    for name in PROXIES_OF_PLATFORMS:
        monkeypatch.delenv(name, raising=False)
    for name, value in (NEEDED | variables | {"PUBLIC_BASE_URL": "https://holdline.example.com"}).items():
        monkeypatch.setenv(name, value)
    assert read().proxies_in_front == proxies
    assert any("PROXIES" in notice for notice in web_notices.find(read())) is (proxies == 0)


@pytest.mark.parametrize("value", ["-1", "11", "some"])
def test_a_number_of_proxies_that_will_not_do(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name, given in (NEEDED | {"PROXIES": value}).items():
        monkeypatch.setenv(name, given)
    with pytest.raises(settings.SettingsError, match="PROXIES"):
        read()


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
