"""Tries to prove an identity, at the sign-in and behind it: counted first, and noted when they fail.

On a known device only the tries on that device count. Elsewhere a try counts for the network that it comes
from, for that network and e-mail address together, and, gently, for the address from all networks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from flask import request
from sqlalchemy.orm import Session

from models.base import clock
from models.base.audit import AuditEntry
from models.base.session import Door
from models.clinics import invitations, second_factor, sign_in_limits, staff, staff_sessions
from models.clinics.sign_in_limits import Counted
from models.clinics.staff import StaffUser
from webapp import attacks
from webapp.addresses import group
from webapp.staff.devices import Device
from webapp.staff.people import Signed
from webapp.state import per_app
from webapp.turns import NoTurn, Turns
from webapp.unit_of_work import Busy, in_system_transaction, in_transaction

#: Passwords that are hashed at once, each for some 50 ms and in 19 MiB: a flood of tries must
#: leave the processor to the telephone calls.
hashing = per_app(lambda: Turns(2, waiting=8))
#: The threads that hash passwords. The C library keeps the memory of every thread that ever hashed one.
_hashers = ThreadPoolExecutor(2, thread_name_prefix="password")
#: Seconds that a try may wait for its turn.
LONGEST_WAIT = 3.0


T = TypeVar("T")
U = TypeVar("U")


class Failure(StrEnum):
    """Why a try failed."""

    PASSWORD = "wrong password"  # noqa: S105 (no password)
    CODE = "wrong code"
    TOO_SOON = "too soon"


@dataclass
class TooSoon(Exception):
    """The try was not checked; the next one may be made in `seconds` seconds."""

    seconds: int


def find(email: str, password: str, device: Device) -> StaffUser | None:
    """The person with this address and password, or None. Takes as long for an unknown address.

    Raises TooSoon, Busy or DatabaseAway.
    """
    typed = staff.normal_email(email)
    typed = typed if len(typed) <= staff.LONGEST_EMAIL and typed.isprintable() else ""
    network = group(request.remote_addr or "")

    def count(at: Session) -> tuple[StaffUser | None, list[Counted], int | None]:
        user = staff.find_by_email(at, typed)
        if device.knows(user):
            counted = [sign_in_limits.DEVICE.of(f"{device.id} {typed}")]
        else:
            counted = [
                sign_in_limits.NETWORK.of(network),
                sign_in_limits.EMAIL_FROM_NETWORK.of(f"{network} {typed}"),
                sign_in_limits.EMAIL.of(typed),
            ]
        return user, counted, sign_in_limits.try_once(at, *counted)

    user, counted, wait = in_system_transaction(Door.SIGN_IN, count)
    if wait:
        failed(Failure.TOO_SOON, typed, user)
        raise TooSoon(wait)
    if not _verified(user, password):  # outside the transaction: it takes long, and connections are few
        failed(Failure.PASSWORD, typed, user)
        return None
    in_system_transaction(Door.SIGN_IN, lambda at: sign_in_limits.succeeded(at, *counted))
    return user


def invited(token: str) -> StaffUser | None:
    """The person whose link to set a password has this token, or None. A wrong token counts for its network
    like a wrong password.

    Raises TooSoon, Busy or DatabaseAway.
    """
    counted = sign_in_limits.NETWORK.of(group(request.remote_addr or ""))

    def look(at: Session) -> tuple[StaffUser | None, int | None]:
        wait = sign_in_limits.try_once(at, counted)
        user = None if wait else invitations.find(at, token)
        if user:
            sign_in_limits.succeeded(at, counted)
        return user, wait

    user, wait = in_system_transaction(Door.SIGN_IN, look)
    if user is None:
        attacks.count(attacks.Kind.LIMITED_SIGN_IN if wait else attacks.Kind.FAILED_SIGN_IN)
    if wait:
        raise TooSoon(wait)
    return user


def set_password(user: StaffUser, token: str, password: str) -> StaffUser | None:
    """Set the password of the person whose link has this token, which ends the link. Returns the row as it is
    now; None if the link has ended meanwhile.

    Raises WeakPassword, Busy or DatabaseAway.
    """
    staff.check_password(password, email=user.email, name=user.name)  # before it waits for its turn
    hashed = _in_turn(staff.hash_of, user, password)

    def put(at: Session) -> StaffUser | None:
        row = invitations.find_locked(at, token)
        if row is not None:
            staff.set_hash(row, hashed)
            at.flush()
        return row

    def happened(at: Session, _: StaffUser | None) -> bool:
        return at.get_one(StaffUser, user.id).password_hash == hashed

    return in_transaction(user.org_id, put, actor=f"staff {user.email}", happened=happened)


def code_is_right(user: StaffUser, code: str, device: Device) -> bool:
    """Whether this is a code of this person's app, or a recovery code. Their password was right before.

    Raises TooSoon, Busy or DatabaseAway.
    """
    where = f" on {device.id}" if device.knows(user) else ""
    counted = sign_in_limits.SECOND_FACTOR.of(f"{user.id}{where}")
    return _try(user, counted, lambda: _has_code(user, code), Failure.CODE)


def is_the_person(signed: Signed, typed: str) -> bool:
    """Whether the user of a signed-in browser has the password, a code of the app or a recovery code.

    Raises TooSoon, Busy or DatabaseAway.
    """
    user, counted = _counted(signed)
    return _try(user, counted, lambda: _verified(user, typed) or _has_code(user, typed), Failure.PASSWORD)


def confirm(signed: Signed, code: str) -> list[str] | None:
    """Turn the second factor on with the first code of the app; returns the recovery codes, or None.

    Raises TooSoon, Busy or DatabaseAway.
    """
    user, counted = _counted(signed)
    made: list[str] = []

    def turn_on(at: Session) -> bool:
        row = at.get_one(StaffUser, user.id, with_for_update=True)
        made[:] = second_factor.confirm(row, code, clock.now(at)) or []
        if made:
            staff_sessions.end_others(at, signed.org_id, signed.id, signed.session_id)
        return bool(made)

    looked = _try(
        user, counted, lambda: in_transaction(user.org_id, turn_on, actor=signed.actor), Failure.CODE
    )
    return made if looked else None


def _counted(signed: Signed) -> tuple[StaffUser, Counted]:
    """The row of the signed-in person, and the count of failures in this session."""
    user = in_transaction(signed.org_id, lambda at: at.get_one(StaffUser, signed.id))
    return user, sign_in_limits.SECOND_FACTOR.of(f"{user.id} in {signed.session_id}")


def _try(user: StaffUser, counted: Counted, look: Callable[[], bool], failure: Failure) -> bool:
    wait = in_transaction(user.org_id, lambda at: sign_in_limits.try_once(at, counted))
    if wait:
        failed(Failure.TOO_SOON, user.email, user)
        raise TooSoon(wait)
    if not look():
        failed(failure, user.email, user)
        return False
    in_transaction(user.org_id, lambda at: sign_in_limits.succeeded(at, counted))
    return True


def _has_code(user: StaffUser, code: str) -> bool:
    def check(at: Session) -> bool:
        return second_factor.check(at, at.get_one(StaffUser, user.id), code, clock.now(at))

    return in_transaction(user.org_id, check, actor=f"staff {user.email}")


def _verified(user: StaffUser | None, password: str) -> bool:
    return _in_turn(staff.verify, user, password)


def _in_turn(work: Callable[[U, str], T], user: U, password: str) -> T:
    """Hash a password on one of the threads for it. Raises Busy after LONGEST_WAIT."""
    try:
        with hashing().turn(longest=LONGEST_WAIT):
            return _hashers.submit(work, user, password).result()
    except NoTurn:
        raise Busy from None


def failed(how: Failure, email: str, user: StaffUser | None) -> None:
    """Count and note a failed try, with the typed address and the person with that address, if any.

    The audit log of that person's clinic gets the first few and then one an hour, so that a flood does not
    fill it. An unknown address is counted the same way, or the time taken would show which addresses exist.
    """
    too_soon = how is Failure.TOO_SOON
    attacks.count(attacks.Kind.LIMITED_SIGN_IN if too_soon else attacks.Kind.FAILED_SIGN_IN)
    if too_soon:
        return  # the try was not checked, and must stay cheap

    def note(at: Session) -> None:
        if sign_in_limits.try_once(at, sign_in_limits.NOTED.of(email)) is None and user is not None:
            at.add(
                AuditEntry(
                    org_id=user.org_id,
                    actor="sign-in",
                    action=how.value,
                    table_name="staff_users",
                    row_id=str(user.id),
                    columns=[],
                )
            )

    in_system_transaction(Door.SIGN_IN, note)
