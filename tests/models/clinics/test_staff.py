"""Passwords: stored as argon2id, checked in the same time if right or wrong, rehashed at new costs."""

from __future__ import annotations

import time
import unicodedata
import uuid
from statistics import median

import pytest
from argon2 import PasswordHasher

from models.clinics import staff
from models.clinics.staff import StaffRole, StaffUser, WeakPassword

PASSWORD = "correct horse battery"


def somebody(password: str | None = PASSWORD) -> StaffUser:
    user = StaffUser(
        id=uuid.uuid4(),
        org_id=uuid.uuid4(),
        email="jo@example.com",
        name="Joanna Example",
        role=StaffRole.STAFF,
        session_epoch=0,
    )
    if password:
        staff.set_password(user, password)
    return user


def test_only_the_password_itself_comes_in() -> None:
    user = somebody()
    assert staff.verify(user, PASSWORD)
    for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "x" * 5000, user.password_hash or ""):
        assert not staff.verify(user, wrong)


def test_nobody_and_somebody_without_a_password_never_come_in() -> None:
    for guess in (PASSWORD, "", "the password of nobody"):
        assert not staff.verify(None, guess)
        assert not staff.verify(somebody(None), guess)


def test_a_hash_that_is_none_is_no_error() -> None:
    user = somebody()
    user.password_hash = "nonsense"
    assert not staff.verify(user, PASSWORD)


def test_an_unknown_address_takes_as_long_as_a_wrong_password() -> None:
    def seconds(user: StaffUser | None) -> float:
        begun = time.thread_time()
        staff.verify(user, "a wrong password")
        return time.thread_time() - begun

    user = somebody()
    staff.verify(None, "warm")
    known, unknown = [], []
    for _ in range(9):
        known.append(seconds(user))
        unknown.append(seconds(None))
    # The CPU time of this thread, whatever else the machine does; without the hash it is a thousandth.
    assert 0.2 < median(unknown) / median(known) < 5


def test_two_keyboards_write_the_same_letter() -> None:
    user = somebody(unicodedata.normalize("NFC", "crème brûlée für alle"))
    assert staff.verify(user, unicodedata.normalize("NFD", "crème brûlée für alle"))


def test_it_is_argon2id_and_salted() -> None:
    hashes = {somebody().password_hash for _ in range(3)}
    assert len(hashes) == 3
    assert all(kept and kept.startswith("$argon2id$") and PASSWORD not in kept for kept in hashes)


def test_other_costs_are_noticed_and_put_right() -> None:
    user = somebody()
    assert not staff.needs_rehash(user)
    user.password_hash = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    assert staff.verify(user, PASSWORD)
    assert staff.needs_rehash(user)
    epoch = user.session_epoch
    staff.rehash(user, PASSWORD)
    assert not staff.needs_rehash(user)
    assert staff.verify(user, PASSWORD)
    assert user.session_epoch == epoch  # no session ends


@pytest.mark.parametrize(
    "weak", ["elevenchars", "x" * 1025, "ababababababab", "JO@example.com", " joanna EXAMPLE "]
)
def test_what_everybody_would_try_first_is_refused(weak: str) -> None:
    user = somebody()
    kept = user.password_hash
    with pytest.raises(WeakPassword):
        staff.set_password(user, weak)
    assert user.password_hash == kept


def test_another_password_ends_every_session() -> None:
    user = somebody()
    epoch = user.session_epoch
    staff.set_password(user, "a new one, long enough")
    assert user.session_epoch == epoch + 1
