"""What platforms, containers and tools set of their own accord."""

from __future__ import annotations

import pytest

import settings
from models.base import session
from runtime import web_notices
from runtime.platforms import PROXIES_OF_PLATFORMS
from runtime.web_capacity import THREADS_PER_CONNECTION
from tests.settings.environment import ALL, NEEDED, read


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
