"""Tries to prove an identity, at the sign-in and behind it: counted first, and noted when they fail.

On a known device only the tries on that device count. Elsewhere a try counts for the network that it comes
from, for that network and e-mail address together, and, gently, for the address from all networks.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from flask import request
from sqlalchemy.orm import Session

from models.base import clock
from models.base.audit import AuditEntry
from models.base.session import Door
from models.clinics import second_factor, sign_in_limits, staff, staff_sessions
from models.clinics.sign_in_limits import Counted
from models.clinics.staff import StaffUser
from webapp import attacks
from webapp.addresses import group
from webapp.staff.devices import Device
from webapp.staff.people import Signed
from webapp.state import per_app
from webapp.turns import NoTurn, Turns
from webapp.unit_of_work import Busy, in_system_transaction, in_transaction

#: Characters of the longest e-mail address (RFC 5321).
_LONGEST_EMAIL = 254

#: Passwords that are hashed at once, each for some 50 ms and in 19 MiB: a flood of tries must
#: leave the processor to the telephone calls.
hashing = per_app(lambda: Turns(2, waiting=8))
#: The threads that hash passwords. The C library keeps the memory of every thread that ever hashed one.
_hashers = ThreadPoolExecutor(2, thread_name_prefix="password")
#: Seconds that a try may wait for its turn.
LONGEST_WAIT = 3.0


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
    typed = typed if len(typed) <= _LONGEST_EMAIL and typed.isprintable() else ""
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
    try:
        with hashing().turn(longest=LONGEST_WAIT):
            return _hashers.submit(staff.verify, user, password).result()
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
