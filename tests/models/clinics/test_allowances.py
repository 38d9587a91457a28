"""An allowance gives a limited amount at once, refills steadily, and gives concurrent takers no more."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from models.base.session import transaction
from models.clinics import allowances
from models.clinics.allowances import Allowance, Short
from tests.conftest import Clock
from tests.factories import create_clinic

HOUR = timedelta(hours=1)


def taken(org: str, *wanted: Allowance) -> Short | None:
    with transaction(uuid.UUID(org)) as session:
        return allowances.take(session, uuid.UUID(org), wanted)


def used(org: str, allowance: Allowance) -> float:
    with transaction(uuid.UUID(org)) as session:
        return allowances.used(session, uuid.UUID(org), allowance)


def test_so_much_at_once_and_then_as_it_is_filled_again(clock: Clock) -> None:
    org, six = create_clinic(), Allowance("codes", "+447700900123", 6, HOUR)
    clock.stop()
    assert [taken(org, six) for _ in range(6)] == [None] * 6
    assert taken(org, six) == Short(six, timedelta(minutes=10))
    clock.forward(599)
    assert taken(org, six) == Short(six, timedelta(seconds=1))
    clock.forward(1)
    assert taken(org, six) is None
    assert taken(org, six) == Short(six, timedelta(minutes=10))
    clock.forward(7200)
    assert [taken(org, six) is None for _ in range(7)] == [True] * 6 + [False]  # never more than its capacity


def test_each_has_its_own(clock: Clock) -> None:
    one, other = create_clinic(), create_clinic()
    clock.stop()
    mine = Allowance("codes", "a", 1, HOUR)
    assert taken(one, mine) is None
    assert taken(one, Allowance("codes", "b", 1, HOUR)) is None
    assert taken(one, Allowance("alerts", "a", 1, HOUR)) is None
    assert taken(other, mine) is None
    assert taken(one, mine) == Short(mine, HOUR)


def test_all_or_none_and_the_first_that_is_short_is_named(clock: Clock) -> None:
    org = create_clinic()
    clock.stop()
    wide, narrow = Allowance("z", "", 10, HOUR), Allowance("a", "", 1, HOUR)
    assert taken(org, wide, narrow) is None
    assert taken(org, wide, narrow) == Short(narrow, HOUR)
    assert used(org, wide) == pytest.approx(0.1)
    empty = Allowance("m", "", 1, HOUR, amount=2)
    refused = taken(org, empty, narrow)
    assert refused is not None
    assert refused.allowance == empty


def test_a_share_leaves_the_rest_to_others(clock: Clock) -> None:
    org = create_clinic()
    clock.stop()
    some, all_of_it = Allowance("codes", "", 10, HOUR, share=0.7), Allowance("codes", "", 10, HOUR)
    assert [taken(org, some) is None for _ in range(8)] == [True] * 7 + [False]
    assert [taken(org, all_of_it) is None for _ in range(4)] == [True] * 3 + [False]
    assert used(org, all_of_it) == pytest.approx(1.0)


def test_an_amount_may_be_any(clock: Clock) -> None:
    org = create_clinic()
    clock.stop()
    cost = Allowance("cost", "", 5.0, timedelta(days=1), amount=1.7)
    assert [taken(org, cost) is None for _ in range(3)] == [True, True, False]


def test_what_is_rolled_back_was_not_taken(clock: Clock) -> None:
    org, one = create_clinic(), Allowance("codes", "", 1, HOUR)
    clock.stop()
    with transaction(uuid.UUID(org)) as session:
        assert allowances.take(session, uuid.UUID(org), [one]) is None
        session.rollback()
    assert taken(org, one) is None


def test_many_at_once_get_no_more_and_none_waits_for_another_in_a_ring(clock: Clock) -> None:
    """Half of the takers name the allowances in the opposite order."""
    org = create_clinic()
    clock.stop()
    wanted = [Allowance("a", "", 7, HOUR), Allowance("b", "", 100, HOUR), Allowance("c", "", 100, HOUR)]
    racers = 4
    barrier = threading.Barrier(racers)

    def race(number: int) -> int:
        barrier.wait()
        order = wanted if number % 2 else wanted[::-1]
        return sum(taken(org, *order) is None for _ in range(10))

    with ThreadPoolExecutor(racers) as pool:
        assert sum(pool.map(race, range(racers))) == 7
    assert used(org, wanted[1]) == pytest.approx(0.07)


def test_the_table_names_nobody(clock: Clock) -> None:
    org, phone = create_clinic(), "+447700900123"
    clock.stop()
    assert taken(org, Allowance("codes", phone, 3, HOUR)) is None
    with transaction(uuid.UUID(org)) as session:
        rows = session.query(allowances.AllowanceRow).all()
        assert [(row.kind, phone[-6:] in row.whose) for row in rows] == [("codes", False)]
