"""Links that do not work: those that are over, and those that are guessed."""

from __future__ import annotations

import html
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from tests.conftest import Clock
from tests.linked import Linked, at
from tests.stack import eventually
from tests.webapp.patient.reading import NEW, NO_SUCH, state_of, words
from tests.webapp.patient.reading import linked as linked  # the fixture  # noqa: PLC0414
from tests.webapp.patient.reading import often as often  # the fixture  # noqa: PLC0414
from webapp import guesses, unit_of_work
from webapp.guesses import MOST_UNKNOWN
from webapp.limits import Limiter
from webapp.patient import pages
from webapp.state import per_app


def test_an_appointment_that_has_begun_says_that_the_link_is_over(linked: Linked, clock: Clock) -> None:
    clock.forward((at(linked.start) - datetime.now(UTC)).total_seconds() + 1)
    before = state_of(linked)
    for method, path in (("GET", ""), ("GET", "/move"), ("POST", "/cancel"), ("POST", "/move")):
        response = linked.client.open(
            linked.path + path, method=method, data={"slot": NEW} if method == "POST" else None
        )
        assert response.status_code == 410
        assert "This link has expired" in words(response)
        assert "10:00" not in words(response)
    assert state_of(linked) == before


def test_a_link_that_was_ended_early_is_over(linked: Linked) -> None:
    linked.sql.execute("UPDATE patient_links SET expires_at = now() WHERE message_id = %s", [linked.message])
    assert "This link has expired" in words(linked.client.get(linked.path))
    assert linked.client.get(f"{linked.path}/move").status_code == 410


@pytest.mark.parametrize("verb", ["cancel", "move"])
def test_a_link_that_was_ended_early_does_nothing(linked: Linked, verb: str) -> None:
    linked.sql.execute("UPDATE patient_links SET expires_at = now() WHERE message_id = %s", [linked.message])
    before = state_of(linked)
    assert linked.client.post(f"{linked.path}/{verb}", data={"slot": NEW}).status_code == 410
    assert state_of(linked) == before


def test_every_wrong_token_gets_the_same_page(linked: Linked) -> None:
    near = linked.token[:-1] + ("0" if linked.token[-1] != "0" else "1")
    pages_ = {
        (response.status_code, response.text)
        for token in (NO_SUCH, near, "x", "x" * 3000, "%00", linked.token + "0", "\u00e9" * 12)
        for response in (linked.client.get(f"/a/{token}"),)
    }
    [(status, text)] = pages_
    assert status == 404
    assert "We cannot find this appointment" in html.unescape(text)


@pytest.fixture
def guesses_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, by which guesses are counted. It stands still, however slow the machine is."""
    now = [100.0]
    monkeypatch.setattr(guesses.unknown(), "_clock", lambda: now[0])
    return now


@pytest.mark.parametrize("path", ["", "/cancel", "/move"])
@pytest.mark.usefixtures("guesses_at")
def test_guesses_are_counted_by_address(linked: Linked, path: str) -> None:
    client = linked.client

    def ask(token: str, address: str = "192.0.2.1") -> int:
        return client.get(f"/a/{token}{path}", environ_base={"REMOTE_ADDR": address}).status_code

    assert [ask(NO_SUCH) for _ in range(MOST_UNKNOWN + 2)] == [404] * MOST_UNKNOWN + [429] * 2
    assert ask(linked.token) == 200  # whoever else is behind this address did not guess
    assert ask(NO_SUCH) == 429
    assert ask(linked.token, "192.0.2.2") == 200
    assert ask(NO_SUCH, "192.0.2.2") == 404
    limited = client.get(f"/a/{NO_SUCH}", environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert limited.headers["Retry-After"] == "6"
    assert "Please wait a minute" in words(limited)


@pytest.mark.usefixtures("guesses_at")
def test_guessing_by_post_is_counted_too_and_does_nothing(linked: Linked) -> None:
    for _ in range(MOST_UNKNOWN):
        assert linked.client.post(f"/a/{NO_SUCH}/cancel").status_code == 404
    assert linked.client.post(f"/a/{NO_SUCH}/cancel").status_code == 429
    assert linked.row("status") == "confirmed"
    assert linked.client.post(f"{linked.path}/cancel").status_code == 200  # a patient behind the same address


def test_a_good_link_is_never_counted(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MOST_UNKNOWN * 3):
        assert linked.client.get(linked.path).status_code == 200
    assert not len(guesses.unknown())

    def away(*_: object) -> None:
        raise unit_of_work.DatabaseAway

    with monkeypatch.context() as patch:
        patch.setattr(pages, "in_system_transaction", away)
        for _ in range(MOST_UNKNOWN * 3):
            assert linked.client.get(linked.path).status_code == 503
    assert linked.client.get(f"/a/{NO_SUCH}").status_code == 404


@pytest.mark.usefixtures("guesses_at")
def test_many_guesses_at_once_are_counted_too(app: Flask, linked: Linked) -> None:
    with ThreadPoolExecutor(24) as pool:
        answers = list(
            pool.map(lambda _: app.test_client().get(f"/a/{NO_SUCH}").status_code, range(MOST_UNKNOWN * 6))
        )
    assert answers.count(404) <= MOST_UNKNOWN
    assert set(answers) == {404, 429}


@pytest.mark.usefixtures("guesses_at")
def test_guesses_at_once_are_counted_before_they_are_looked_up(
    app: Flask, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, looking, answers, go_on = 30, list[str](), list[int](), threading.Event()
    real = pages._find

    def find(token: str) -> Any:
        looking.append(token)
        go_on.wait(180)
        return real(token)

    monkeypatch.setattr(pages, "_find", find)
    monkeypatch.setattr(guesses, "LONGEST_WAIT", 0.01)
    with ThreadPoolExecutor(many) as pool:
        for _ in range(many):
            pool.submit(lambda: answers.append(app.test_client().get(f"/a/{NO_SUCH}").status_code))
        try:
            eventually(lambda: len(looking) + len(answers) == many)
            assert len(looking) <= MOST_UNKNOWN + guesses.MOST_LOOK_UPS
        finally:
            go_on.set()


@pytest.mark.usefixtures("guesses_at")
def test_a_flood_of_guesses_looks_up_two_at_once_and_a_good_link_still_opens(
    app: Flask, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, lock, over = [0], [0], threading.Lock(), threading.Event()
    real = pages._find

    def find(token: str) -> Any:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            return real(token)
        finally:
            with lock:
                under_way[0] -= 1

    def guess(_: int) -> None:
        while not over.is_set():
            assert app.test_client().get(f"/a/{NO_SUCH}").status_code == 429

    for _ in range(MOST_UNKNOWN):
        linked.client.get(f"/a/{NO_SUCH}")
    monkeypatch.setattr(pages, "_find", find)
    monkeypatch.setattr(guesses, "LONGEST_WAIT", 30.0)  # however slow the machine is
    with ThreadPoolExecutor(8) as pool:
        guessing = [pool.submit(guess, n) for n in range(8)]
        try:
            assert [linked.client.get(linked.path).status_code for _ in range(10)] == [200] * 10
        finally:
            over.set()
        for each in guessing:
            each.result()
    assert most[0] <= guesses.MOST_LOOK_UPS


@pytest.mark.usefixtures("guesses_at")
def test_where_no_turn_comes_the_link_is_not_counted(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "LONGEST_WAIT", 0.01)
    for _ in range(MOST_UNKNOWN):
        linked.client.get(f"/a/{NO_SUCH}")
    with guesses.look_ups().turn(longest=1), guesses.look_ups().turn(longest=1):
        assert linked.client.get(linked.path).status_code == 429
    assert linked.client.get(linked.path).status_code == 200


def test_good_links_may_be_opened_often_but_not_without_end(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "requests", per_app(lambda: Limiter(0.01)))
    other = Linked(linked.client, linked.sql)
    assert [linked.client.get(linked.path).status_code for _ in range(2)] == [200, 429]
    assert linked.client.get(other.path).status_code == 200  # another's, behind the same address


def test_an_address_that_guessed_may_be_mistaken_once_more_every_six_seconds(
    linked: Linked, guesses_at: list[float]
) -> None:
    def statuses(tries: int) -> list[int]:
        return [linked.client.get(f"/a/{NO_SUCH}").status_code for _ in range(tries)]

    assert statuses(MOST_UNKNOWN + 2) == [404] * MOST_UNKNOWN + [429] * 2
    guesses_at[0] += 5.9
    assert statuses(1) == [429]
    guesses_at[0] += 0.2
    assert statuses(3) == [404, 429, 429]
    guesses_at[0] += 60
    assert statuses(MOST_UNKNOWN + 2) == [404] * MOST_UNKNOWN + [429] * 2


@pytest.mark.parametrize(
    ("addresses", "another"),
    [
        ([f"2001:db8:1:2::{number:x}" for number in range(1, 12)], "2001:db8:1:3::1"),
        (["192.0.2.77", "::ffff:192.0.2.77", "::ffff:c000:24d"] * 4, "192.0.2.78"),
    ],
)
@pytest.mark.usefixtures("guesses_at")
def test_one_who_has_a_whole_network_is_one(linked: Linked, addresses: list[str], another: str) -> None:
    def guess(address: str) -> int:
        where = {"REMOTE_ADDR": address}
        return linked.client.get(f"/a/{NO_SUCH}", environ_base=where).status_code

    answers = [guess(address) for address in addresses]
    assert answers == [404] * MOST_UNKNOWN + [429] * (len(addresses) - MOST_UNKNOWN)
    assert guess(another) == 404
