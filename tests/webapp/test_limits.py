"""How often one may ask, by a clock in the test's hands."""

from __future__ import annotations

import logging
import random
import threading

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

import settings
from tests.factories import create_clinic, phone_number, slot
from tests.said import said
from tests.webapp.agents.calls import PhoneCall
from webapp import limits
from webapp.limits import BURST, Kind, Limiter


class Clock:
    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def allowed(limiter: Limiter, key: str, tries: int) -> int:
    return sum(limiter.allow(key) for _ in range(tries))


@pytest.mark.parametrize("rate", [0.5, 1, 20, 100, 333.3])
def test_ten_seconds_worth_come_at_once_and_then_the_rate(rate: float) -> None:
    clock = Clock()
    limiter = Limiter(rate, clock=clock)
    assert allowed(limiter, "a", 10_000) == int(rate * BURST)
    for _ in range(20):
        clock.now += 4
        assert allowed(limiter, "a", 10_000) == pytest.approx(rate * 4, abs=1)
    clock.now += BURST
    assert allowed(limiter, "a", 10_000) == int(rate * BURST)


def test_a_steady_rate_is_never_refused() -> None:
    clock = Clock()
    limiter = Limiter(20, clock=clock)
    for _ in range(5000):
        clock.now += 1 / 20
        assert limiter.allow("a")


def test_what_is_refused_counts_for_nothing() -> None:
    clock = Clock()
    limiter = Limiter(10, clock=clock)
    assert allowed(limiter, "a", 5000) == 100
    clock.now += 0.1001
    assert allowed(limiter, "a", 5000) == 1


def test_what_is_given_back_was_not_counted() -> None:
    clock = Clock()
    limiter = Limiter(1, clock=clock)
    for _ in range(50):
        assert limiter.allow("a")
        limiter.give_back("a")
    assert len(limiter) == 0
    assert allowed(limiter, "a", 50) == 10
    limiter.give_back("a")
    assert allowed(limiter, "a", 50) == 1
    limiter.give_back("b")  # which was counted before the limiter forgot it
    assert allowed(limiter, "b", 50) == 10


def test_keys_do_not_know_of_each_other() -> None:
    limiter = Limiter(1, clock=Clock())
    assert allowed(limiter, "a", 50) == 10
    assert allowed(limiter, "b", 50) == 10


def test_zero_is_no_limit_and_remembers_nothing() -> None:
    limiter = Limiter(0, clock=Clock())
    assert allowed(limiter, "a", 5000) == 5000
    assert len(limiter) == 0


def test_a_rate_below_one_in_ten_seconds_still_lets_one_through() -> None:
    clock = Clock()
    limiter = Limiter(0.05, clock=clock)
    assert allowed(limiter, "a", 50) == 1
    clock.now += 20.001
    assert allowed(limiter, "a", 50) == 1


def test_memory_is_bounded_and_who_asks_is_not_forgotten() -> None:
    clock = Clock()
    limiter = Limiter(1, most_keys=100, clock=clock)
    assert allowed(limiter, "busy", 10) == 10
    for number in range(1, 10_001):
        limiter.allow(f"call-{number}")
        clock.now += 0.001
        if number % 50 == 0:
            clock.now += 0.95
            assert limiter.allow("busy")
            assert not limiter.allow("busy")
    assert len(limiter) == 100


def test_a_clock_that_begins_below_zero_limits_nobody_more() -> None:
    assert allowed(Limiter(1, clock=Clock(-5e6)), "a", 50) == 10


def test_threads_together_get_no_more_than_one() -> None:
    limiter = Limiter(50, clock=Clock())
    passed: list[int] = []
    begin = threading.Barrier(8)

    def ask() -> None:
        begin.wait()
        passed.append(allowed(limiter, "a", 1000))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(passed) == 500


@given(rate=st.floats(0.2, 200), seed=st.integers())
def test_in_no_stretch_of_time_more_than_burst_and_rate_get_through(rate: float, seed: int) -> None:
    clock = Clock()
    limiter = Limiter(rate, clock=clock)
    rolls = random.Random(seed)  # noqa: S311 (no secret is made of it)
    passed = []
    for _ in range(300):
        clock.now += rolls.expovariate(rate * rolls.choice([0.5, 1, 5, 50]))
        if limiter.allow("a"):
            passed.append(clock.now)
    for first in range(0, len(passed), 25):
        for last in range(first, len(passed), 25):
            most = rate * (BURST + passed[last] - passed[first]) + 1
            assert last - first + 1 <= most + 1e-3


# --- as the routes ask --------------------------------------------------------------------------


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = {"rate_per_credential": 2 / 3, "rate_per_call": 1 / 3, "rate_per_phone": 0.5 / 3}
    config = settings.get().model_copy(update=rates)
    monkeypatch.setattr(settings, "get", lambda: config)


@pytest.mark.usefixtures("rates")
def test_credentials_calls_and_phones_have_limits_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert sum(limits.allow(Kind.CREDENTIAL, "same") for _ in range(100)) in (20, 21)
        assert sum(limits.allow(Kind.CALL, "same") for _ in range(100)) in (10, 11)
        assert sum(limits.allow(Kind.PHONE, "same") for _ in range(100)) in (5, 6)
    assert said(caplog, limits.log.name, logging.WARNING) == [
        "a credential asks too often and is refused",
        "a call asks too often and is refused",
        "a phone asks too often and is refused",
    ]
    assert {each.__dict__["limited"] for each in caplog.records if each.name == limits.log.name} == {"same"}


#: What is let through at once of a telephone, and one more should the machine be slow.
SOME = (5, 6)


def reserved(client: FlaskClient, org: str, said: object) -> int:
    """A reservation in the form without a call: the number is what was said."""
    arguments = {"tenantId": org, "slotId": slot(), "patientName": "John", "patientPhone": said}
    path = "/api/vapi/tools/booking/reserve-atomic"
    return client.post(path, json={"toolCall": {"arguments": arguments}}).status_code


@pytest.mark.usefixtures("rates")
def test_one_telephone_in_many_calls_is_bounded_too(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    org, other, number = create_clinic(), create_clinic(), phone_number()

    def hears(org: str, number: str | None) -> str:
        return PhoneCall(client, org, number).say("check_availability", date=slot()[:10])

    answers = [hears(org, number) for _ in range(20)]
    assert sum("times are free" in answer for answer in answers) in SOME
    assert "too much at once" in answers[-1]
    assert "too much at once" in hears(org, f"sip:{number}@switch.example;user=phone")
    assert "times are free" in hears(org, phone_number())
    assert "times are free" in hears(other, number)
    for withheld in (None, "anonymous"):
        assert all("times are free" in hears(org, withheld) for _ in range(10))
    told = [record for record in caplog.records if record.name == limits.log.name]
    assert [record.getMessage() for record in told] == ["a phone asks too often and is refused"]
    assert not any(number[3:] in str(record.__dict__) for record in told)


@pytest.mark.usefixtures("rates")
def test_where_no_call_tells_the_number_it_is_the_one_that_was_said(client: FlaskClient) -> None:
    org, number = create_clinic(), phone_number()
    national = f"0{number[3:7]} {number[7:]}"
    written = [number, f"+44 (0){number[3:]}", national, int(number[1:])]
    assert sum(reserved(client, org, said) == 200 for said in written * 5) in SOME
    assert reserved(client, org, number) == 429
    assert reserved(client, org, phone_number()) == 200


@pytest.mark.usefixtures("rates")
def test_what_is_no_number_is_counted_and_never_a_server_error(client: FlaskClient) -> None:
    org = create_clinic()
    for spoken in (None, "", True, 1.5, [1], {"a": 1}, "John", "\ud800", "x" * 100_000, 10**400):
        assert reserved(client, org, spoken) == 200
