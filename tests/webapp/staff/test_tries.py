"""Who is slowed down at the sign-in, and who is not: by e-mail and network, by network, by device."""

from __future__ import annotations

import re
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask import Flask

from models.base.session import Door, system_transaction
from models.clinics import sign_in_limits, staff
from models.clinics.sign_in_limits import (
    DEVICE,
    EMAIL,
    EMAIL_FROM_NETWORK,
    NETWORK,
    NOTED,
    SECOND_FACTOR,
    Limit,
)
from models.clinics.staff import StaffUser
from tests.conftest import Clock
from tests.stack import eventually
from tests.webapp.staff.browsers import PASSWORD, Person
from tests.webapp.staff.test_people import change
from webapp.staff import tries

WRONG = "not this one at all"


def fail(person: Person, times: int, address: str = "192.0.2.1", email: str | None = None) -> list[int]:
    return [person.sign_in(WRONG, email=email, address=address).status_code for _ in range(times)]


def from_everywhere(person: Person, times: int) -> list[int]:
    """Tries at this person's address, each from another network."""
    return [fail(person.elsewhere(), 1, f"198.51.{n // 250}.{n % 250}")[0] for n in range(times)]


# --- by e-mail and network ----------------------------------------------------------------------


def test_after_five_wrong_passwords_from_one_network_one_has_to_wait(stranger: Person, clock: Clock) -> None:
    clock.stop()
    assert fail(stranger, EMAIL_FROM_NETWORK.free) == [403] * EMAIL_FROM_NETWORK.free
    refused = stranger.sign_in(address="192.0.2.1")
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "2"
    assert "Try again in 2 seconds" in refused.text
    clock.forward(2)
    assert stranger.sign_in(WRONG, address="192.0.2.1").status_code == 403
    assert stranger.sign_in(address="192.0.2.1").headers["Retry-After"] == "4"  # longer each time
    clock.forward(4)
    assert stranger.sign_in(address="192.0.2.1").status_code == 303


def test_what_was_refused_counts_for_nothing(stranger: Person, clock: Clock) -> None:
    clock.stop()
    fail(stranger, EMAIL_FROM_NETWORK.free)
    assert set(fail(stranger, 20)) == {429}
    clock.forward(2)
    assert stranger.sign_in(address="192.0.2.1").status_code == 303


def test_an_address_of_nobody_is_slowed_down_likewise(stranger: Person, clock: Clock) -> None:
    clock.stop()
    free = EMAIL_FROM_NETWORK.free
    assert fail(stranger, free + 1, email="no@clinic.example") == [403] * free + [429]
    assert stranger.sign_in(address="192.0.2.1").status_code == 303  # a colleague behind the same network


def test_many_at_once_are_counted_too(app: Flask, stranger: Person, clock: Clock) -> None:
    clock.stop()
    others = [stranger.elsewhere() for _ in range(24)]
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda each: fail(each, 1)[0], others))
    assert answers.count(403) <= EMAIL_FROM_NETWORK.free
    assert set(answers) <= {403, 429, 503}


# --- by network alone ---------------------------------------------------------------------------


def test_one_network_may_not_try_everybody(stranger: Person, clock: Clock) -> None:
    clock.stop()
    statuses = [fail(stranger, 1, email=f"a{n}@clinic.example")[0] for n in range(NETWORK.free + 5)]
    assert statuses == [403] * NETWORK.free + [429] * 5
    assert fail(stranger, 1, "192.0.2.2") == [403]


def test_of_ipv6_a_whole_network_is_one(stranger: Person, clock: Clock) -> None:
    clock.stop()
    statuses = [
        fail(stranger, 1, f"2001:db8::{n:x}", email=f"a{n}@clinic.example")[0] for n in range(NETWORK.free)
    ]
    assert statuses == [403] * NETWORK.free
    assert fail(stranger, 1, "2001:db8::ffff") == [429]
    assert fail(stranger, 1, "2001:db8:1::1") == [403]


def test_signing_in_rightly_is_no_failure(stranger: Person, sql: psycopg.Connection) -> None:
    for _ in range(NETWORK.free + EMAIL.free):
        assert stranger.elsewhere().sign_in().status_code == 303


def test_signing_in_oneself_wipes_out_nothing_that_the_network_has_tried(
    stranger: Person, clock: Clock
) -> None:
    """Or whoever has one account would guess at all the others without an end."""
    clock.stop()
    for number in range(19):
        assert fail(stranger, 1, email=f"nobody{number}@clinic.example") == [403]
    assert stranger.elsewhere().sign_in(address="192.0.2.1").status_code == 303
    assert fail(stranger, 2, email="nobody19@clinic.example") == [403, 429]


def test_signing_in_from_one_network_wipes_out_nothing_that_others_have_tried(
    stranger: Person, clock: Clock
) -> None:
    clock.stop()
    assert from_everywhere(stranger, 9) == [403] * 9
    assert stranger.elsewhere().sign_in(address="203.0.113.9").status_code == 303
    assert from_everywhere(stranger, 2) == [403, 429]


# --- a stranger is no lock ----------------------------------------------------------------------


def test_a_stranger_locks_nobody_out_on_a_known_device(person: Person, clock: Clock) -> None:
    clock.stop()
    person.post("sign-out")
    fail(person.elsewhere(), 30, "127.0.0.1")  # even from the same network
    from_everywhere(person, EMAIL.most + 5)
    assert fail(person.elsewhere(), 1, "203.0.113.77") == [429]
    assert person.sign_in().status_code == 303
    assert person.is_in()


def test_elsewhere_the_wait_is_short_and_said(person: Person, clock: Clock) -> None:
    clock.stop()
    for _ in range(3):
        from_everywhere(person, EMAIL.most)
        clock.forward(EMAIL.longest)
    from_everywhere(person, EMAIL.most)
    new = person.elsewhere()
    refused = new.sign_in(address="203.0.113.7")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= EMAIL.longest
    clock.forward(int(refused.headers["Retry-After"]))
    assert new.sign_in(address="203.0.113.7").status_code == 303


def test_from_many_networks_one_address_is_guessed_at_no_speed(person: Person, clock: Clock) -> None:
    """Ten minutes of an attacker who has a new network for every try."""
    clock.stop()
    looked_at = from_everywhere(person, EMAIL.most).count(403)
    for second in range(0, 600, 5):
        looked_at += fail(person.elsewhere(), 1, f"203.0.{second // 250}.{second % 250}").count(403)
        clock.forward(5)
    assert EMAIL.free < looked_at <= EMAIL.most + 600 / EMAIL.longest


def test_whoever_guesses_on_a_known_device_is_slowed_down_too(person: Person, clock: Clock) -> None:
    clock.stop()
    person.post("sign-out")
    assert fail(person, DEVICE.free + 1) == [403] * DEVICE.free + [429]
    assert person.elsewhere().sign_in().status_code == 303  # and that locks nobody out elsewhere


def test_several_people_are_known_on_one_device(person: Person, other: Person, clock: Clock) -> None:
    clock.stop()
    desk = person.elsewhere()
    for who in (person, other):
        assert desk.sign_in(email=who.email).status_code == 303
        desk.post("sign-out")
    for who in (person, other):
        from_everywhere(who, EMAIL.most)
        assert desk.sign_in(email=who.email).status_code == 303
        desk.post("sign-out")


@pytest.mark.parametrize("what", ["password", "everywhere", "forged", "another's"])
def test_a_device_that_is_not_known_any_more(person: Person, other: Person, clock: Clock, what: str) -> None:
    clock.stop()
    known = person.elsewhere()
    known.sign_in()
    known.post("sign-out")
    if what == "password":
        change(person, lambda _, user: staff.set_password(user, "another horse battery"))
    elif what == "everywhere":
        person.post("sign-out", everywhere="1")
    else:
        cookie = (other if what == "another's" else known).client.get_cookie("holdline-device")
        assert cookie is not None
        known.client.set_cookie("holdline-device", cookie.value + ("x" if what == "forged" else ""))
    from_everywhere(person, EMAIL.most)
    assert known.sign_in().status_code == 429
    if what == "everywhere":
        assert person.sign_in().status_code == 303  # the browser in which that was asked for stays known


# --- what is counted, and for how long ----------------------------------------------------------


def test_failures_are_forgiven_and_their_rows_go(
    stranger: Person, clock: Clock, sql: psycopg.Connection
) -> None:
    clock.stop()
    fail(stranger, EMAIL_FROM_NETWORK.free)
    assert sql.execute("SELECT count(*) > 0 FROM sign_in_limits").fetchone() == (True,)
    kept = sql.execute("SELECT digest FROM sign_in_limits").fetchall()
    assert all(re.fullmatch(r"[0-9a-f]{32}", digest) for (digest,) in kept)  # no address of anybody's
    clock.forward(24 * 3600)
    assert fail(stranger, EMAIL_FROM_NETWORK.free) == [403] * EMAIL_FROM_NETWORK.free
    clock.forward(24 * 3600)
    with system_transaction(Door.SWEEP) as session:
        assert sign_in_limits.forget_the_forgiven(session, 100) == len(kept)
    assert sql.execute("SELECT count(*) FROM sign_in_limits").fetchone() == (0,)


def test_a_clock_that_was_set_back_keeps_nobody_out(stranger: Person, other: Person, clock: Clock) -> None:
    """Neither those who signed in before nor their colleagues; and from then on it counts as ever."""
    clock.stop()
    clock.forward(3600)
    for person in (stranger, other):
        assert person.elsewhere().sign_in().status_code == 303
        assert fail(person.elsewhere(), 1, "127.0.0.1") == [403]
    clock.forward(-3600)
    for person in (stranger, other) * 2:
        assert person.elsewhere().sign_in().status_code == 303
    free = EMAIL_FROM_NETWORK.free
    assert fail(stranger.elsewhere(), free + 1, "127.0.0.1") == [403] * free + [429]


@pytest.mark.parametrize(
    ("limit", "free", "waits", "longest", "forgiven"),
    [
        # Behind one network are all the people of a clinic.
        (NETWORK, 20, (30, 60, 120, 240), 600, 600),
        (EMAIL_FROM_NETWORK, 5, (2, 4, 8, 16, 32, 64, 128, 256), 600, 600),
        # From everywhere together: a stranger must not keep anybody out for long.
        (EMAIL, 10, (1, 2, 4, 8, 16, 20), 20, 60),
        (DEVICE, 5, (2, 4, 8, 16, 32, 64, 128, 256), 600, 600),
        (SECOND_FACTOR, 5, (5, 10, 20, 40, 80, 160, 320, 640), 1800, 1800),
        (NOTED, 5, (60, 120, 240, 480, 960), 3600, 3600),
    ],
    ids=lambda part: part.name if isinstance(part, Limit) else "",
)
def test_how_often_one_may_fail_and_how_long_one_waits(
    limit: Limit,
    free: int,
    waits: tuple[int, ...],
    longest: int,
    forgiven: int,
    clock: Clock,
    sql: psycopg.Connection,
) -> None:
    """The decided figures, in seconds."""

    def try_once() -> int | None:
        with system_transaction(Door.SIGN_IN) as session:
            return sign_in_limits.try_once(session, counted)

    clock.stop()
    counted = limit.of(uuid.uuid4())
    assert [try_once() for _ in range(free)] == [None] * free
    for wait in waits:
        assert try_once() == wait
        clock.forward(wait)
        assert try_once() is None
    # However many there were, and for however long: the longest wait, and then one of them is forgiven.
    sql.execute(
        "UPDATE sign_in_limits SET forgiven_at = app_clock() + interval '100 days', last_at = app_clock()"
        " WHERE digest = %s",
        [counted.digest],
    )
    assert try_once() == longest
    counted = limit.of(uuid.uuid4())
    assert [try_once() for _ in range(free)] == [None] * free
    clock.forward(forgiven)
    assert [try_once(), try_once()] == [None, waits[0]]


@pytest.mark.parametrize("limit", [DEVICE, EMAIL, EMAIL_FROM_NETWORK, NETWORK])
def test_how_many_one_who_goes_on_may_try_in_a_day(limit: Limit, clock: Clock) -> None:
    clock.stop()
    counted, tried, waited = limit.of("somebody"), 0, 0.0
    while waited < 86_400:
        with system_transaction(Door.SIGN_IN) as session:
            wait = sign_in_limits.try_once(session, counted)
        if wait is None:
            tried += 1
        else:
            assert wait <= limit.longest
            clock.forward(wait)
            waited += wait
        if tried > 300:
            break  # the gentle one: the pace is clear
    slowest = min(limit.longest, limit.forgiven)
    assert tried <= limit.most + waited / slowest + 2


def test_few_passwords_are_hashed_at_once(
    app: Flask, stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "LONGEST_WAIT", 0.01)
    with tries.hashing().turn(longest=1), tries.hashing().turn(longest=1):
        assert stranger.sign_in().status_code == 503
    assert stranger.sign_in().status_code == 303


# --- the trace ----------------------------------------------------------------------------------


def test_failed_sign_ins_are_in_the_audit_log_of_that_clinic_and_do_not_fill_it(
    stranger: Person, other: Person, clock: Clock, sql: psycopg.Connection
) -> None:
    clock.stop()
    fail(stranger.elsewhere(), 1, email="nobody@clinic.example")
    from_everywhere(stranger, EMAIL.free)
    for _ in range(50):
        clock.forward(EMAIL.longest)
        fail(stranger.elsewhere(), 1, "203.0.113.9")
    found = sql.execute(
        "SELECT org_id::text, actor, action, row_id = (SELECT id::text FROM staff_users WHERE email = %s)"
        " FROM audit_log WHERE actor = 'sign-in' AND org_id::text IN (%s, %s)",
        [stranger.email, stranger.org, other.org],
    ).fetchall()
    assert set(found) == {(stranger.org, "sign-in", "wrong password", True)}
    assert 1 <= len(found) <= 12
    assert stranger.sign_in(PASSWORD, address="203.0.113.10").status_code in {303, 429}


# --- what a flood takes -------------------------------------------------------------------------


def test_few_sign_ins_wait_for_their_turn_and_the_next_is_refused_at_once(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that waits keeps a thread that a telephone call may need."""
    monkeypatch.setattr(tries, "LONGEST_WAIT", 60.0)
    with ThreadPoolExecutor(8) as pool:
        with tries.hashing().turn(longest=0), tries.hashing().turn(longest=0):
            waits = [pool.submit(fail, stranger.elsewhere(), 1, f"192.0.2.{n}") for n in range(8)]
            eventually(lambda: len(tries.hashing()._waiting) == 8)
            assert fail(stranger.elsewhere(), 1, "192.0.2.9") == [503]
        assert [each.result() for each in waits] == [[403]] * 8


def test_passwords_are_hashed_in_two_threads_whatever_number_asks(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hash took is kept for each thread that ever ran one."""
    seen: set[str] = set()

    def verify(user: StaffUser | None, password: str) -> bool:
        seen.add(threading.current_thread().name)
        return verified(user, password)

    verified = staff.verify
    monkeypatch.setattr(staff, "verify", verify)
    with ThreadPoolExecutor(6) as pool:
        for n in range(6):
            pool.submit(fail, stranger.elsewhere(), 1, f"192.0.2.{n}")
    assert seen
    assert seen <= {"password_0", "password_1"}
