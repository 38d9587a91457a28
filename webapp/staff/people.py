"""Who is signed in: the session's cookie, its check on every request, and the token of every form.

The cookie is signed and holds the token of a session; the session's row decides
(models/clinics/staff_sessions.py). So a session that was ended is over at the next request, also for a copy
of its cookie.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta

from flask import Flask, request, session
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import settings
from models.clinics import staff, staff_sessions
from models.clinics.organizations import Organization
from models.clinics.staff import StaffRole, StaffUser
from models.clinics.staff_sessions import LONGEST
from webapp import shares
from webapp.staff import devices
from webapp.unit_of_work import Busy, in_transaction

#: How often `last_seen_at` is updated, instead of with every request.
SEEN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Signed:
    """The signed-in person who makes this request."""

    id: uuid.UUID
    org_id: uuid.UUID
    session_id: uuid.UUID
    name: str
    email: str
    clinic: str
    role: StaffRole = StaffRole.STAFF

    @property
    def actor(self) -> str:
        """The name of this person in the audit log."""
        return f"staff {self.email}"


def register(app: Flask) -> None:
    """Set up the session cookie: signed with its own key, hidden from scripts, not set by other hosts."""
    config = settings.get()
    current, *former = (config.subkey("session", key_id) for key_id in config.key_ids)
    app.secret_key = current
    app.config.update(
        SECRET_KEY_FALLBACKS=former,
        SESSION_COOKIE_NAME=config.cookie_name("holdline-session"),
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=not config.development,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LONGEST,
    )


def begin(user: StaffUser, *, password: str | None = None) -> None:
    """Begin a new session, which keeps nothing of the one before, and end that. Its epoch is that of the
    checked password. `password` is given where it may have to be hashed again with today's costs.
    """
    _end_the_one_before()

    def note(at: Session) -> str:
        row = at.get_one(StaffUser, user.id)
        if password is not None and row.session_epoch == user.session_epoch and staff.needs_rehash(row):
            staff.rehash(row, password)
        return staff_sessions.begin(
            at, row, user.session_epoch, device=devices.described(), address=request.remote_addr or ""
        )

    made = in_transaction(user.org_id, note, actor=f"staff {user.email}")
    session.clear()
    session.permanent = True
    session["org"] = str(user.org_id)
    session["token"] = made
    token()


def _end_the_one_before() -> None:
    if signed := current():
        end(signed, signed.session_id)


def end(signed: Signed, session_id: uuid.UUID) -> bool:
    """End one session of this person, here or in another browser; False if there is no such session."""
    return in_transaction(
        signed.org_id,
        lambda at: staff_sessions.end(at, signed.org_id, signed.id, session_id),
        actor=signed.actor,
    )


def end_all(signed: Signed) -> StaffUser:
    """End every session of this person, and make every device unknown. Returns the row as it is now."""

    def count_up(at: Session) -> StaffUser:
        user = at.get_one(StaffUser, signed.id)
        user.session_epoch += 1
        at.flush()
        return user

    return in_transaction(signed.org_id, count_up, actor=signed.actor)


def current() -> Signed | None:
    """The person whose session the cookie names, if its row still stands. Raises Busy or DatabaseAway."""
    try:
        org_id, given = uuid.UUID(session["org"]), str(session["token"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    if not shares.admit(org_id):  # the cookie is signed, so this is its clinic
        raise Busy
    return in_transaction(org_id, lambda at: _signed(at, org_id, given))


def still(signed: Signed) -> bool:
    """Whether this session still stands, for an answer that goes on for minutes."""
    return in_transaction(
        signed.org_id, lambda at: staff_sessions.stands(at, signed.org_id, signed.session_id)
    )


def _signed(at: Session, org_id: uuid.UUID, given: str) -> Signed | None:
    found = staff_sessions.find(at, org_id, given)
    if found is None:
        return None
    row, user = found
    clinic, now = at.execute(
        select(Organization.name, func.app_clock()).where(Organization.id == org_id)
    ).one()
    if now - row.last_seen_at > SEEN:
        row.last_seen_at = user.last_seen_at = now
    return Signed(user.id, org_id, row.id, user.name, user.email, clinic, user.role)


# --- forms --------------------------------------------------------------------------------------


def token() -> str:
    """The token that every form of this session carries, and that no other site can know."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def token_is_right() -> bool:
    given, kept = request.form.get("csrf", ""), str(session.get("csrf", ""))
    return bool(kept) and hmac.compare_digest(given.encode(), kept.encode())
