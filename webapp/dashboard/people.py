"""Who is signed in: the session's cookie, its check on every request, and the token of every form.

The cookie is signed and says who it is, of which clinic, and of which session_epoch; the row decides. So a
password that is changed, or a person who is disabled, ends every session at the next request.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flask import Flask, request, session
from sqlalchemy import func, select
from sqlalchemy.orm import Session

import settings
from models import staff
from models.organizations import Organization
from models.session import Door
from models.staff import StaffUser
from webapp.unit_of_work import in_system_transaction, in_transaction

#: A working day; then the password is asked for again, however busy the page was.
LONGEST = timedelta(hours=12)

#: Seen is noted to so many minutes, not with every request.
SEEN = timedelta(minutes=5)

#: An address of e-mail has no more characters (RFC 5321).
_LONGEST_EMAIL = 254


@dataclass(frozen=True, slots=True)
class Signed:
    """Whoever makes this request."""

    id: uuid.UUID
    org_id: uuid.UUID
    name: str
    email: str
    clinic: str

    @property
    def actor(self) -> str:
        """As the audit log names it."""
        return f"staff {self.email}"


def register(app: Flask) -> None:
    """The cookie: signed with a key of its own, for these pages only, and never read by a script."""
    config = settings.get()
    current, *former = (config.subkey("session", key_id) for key_id in config.key_ids)
    app.secret_key = current
    app.config.update(
        SECRET_KEY_FALLBACKS=former,
        SESSION_COOKIE_NAME="holdline",
        SESSION_COOKIE_PATH="/dashboard",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=not config.development,
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LONGEST,
    )


def find(email: str, password: str) -> StaffUser | None:
    """Whose address and password these are. Takes as long if they are nobody's."""
    typed = email if len(email) <= _LONGEST_EMAIL and email.isprintable() else ""
    user = in_system_transaction(Door.SIGN_IN, lambda session: staff.find_by_email(session, typed))
    # Outside the transaction: hashing takes long, and connections are few.
    return user if staff.verify(user, password) else None


def begin(user: StaffUser, password: str) -> None:
    """A new session, with nothing of the one before. Its epoch is that of the password that was checked."""

    def note(at: Session) -> None:
        row = at.get_one(StaffUser, user.id)
        row.last_seen_at = at.scalars(select(func.app_clock())).one()
        if row.session_epoch == user.session_epoch and staff.needs_rehash(row):
            staff.rehash(row, password)

    in_transaction(user.org_id, note, actor=f"staff {user.email}")
    session.clear()
    session.permanent = True
    session["staff"] = str(user.id)
    session["org"] = str(user.org_id)
    session["epoch"] = user.session_epoch
    session["since"] = datetime.now(UTC).isoformat()
    token()


def end(signed: Signed, *, everywhere: bool) -> None:
    """Sign out here; `everywhere` ends the sessions of all other browsers, too."""

    def count_up(at: Session) -> None:
        at.get_one(StaffUser, signed.id).session_epoch += 1

    if everywhere:
        in_transaction(signed.org_id, count_up, actor=signed.actor)
    session.clear()


def current() -> Signed | None:
    """Who this request's cookie says it is, if the row agrees."""
    try:
        staff_id, org_id = uuid.UUID(session["staff"]), uuid.UUID(session["org"])
        epoch, since = int(session["epoch"]), datetime.fromisoformat(session["since"])
    except (KeyError, TypeError, ValueError):
        return None
    if datetime.now(UTC) - since > LONGEST:
        return None
    return in_transaction(org_id, lambda at: _signed(at, org_id, staff_id, epoch))


def still(signed: Signed, epoch: int) -> bool:
    """Whether this session still stands, for an answer that goes on for minutes."""
    return in_transaction(signed.org_id, lambda at: _signed(at, signed.org_id, signed.id, epoch) is not None)


def _signed(at: Session, org_id: uuid.UUID, staff_id: uuid.UUID, epoch: int) -> Signed | None:
    found = at.execute(
        select(StaffUser, Organization.name, func.app_clock().label("now"))
        .join(Organization, Organization.id == StaffUser.org_id)
        .where(
            StaffUser.org_id == org_id,
            StaffUser.id == staff_id,
            StaffUser.session_epoch == epoch,
            StaffUser.disabled_at.is_(None),
        )
    ).one_or_none()
    if found is None:
        return None
    user, clinic, now = found
    if user.last_seen_at is None or now - user.last_seen_at > SEEN:
        user.last_seen_at = now
    return Signed(user.id, org_id, user.name, user.email, clinic)


# --- forms --------------------------------------------------------------------------------------


def token() -> str:
    """What every form of this session carries, and no other site can know."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def token_is_right() -> bool:
    given, kept = request.form.get("csrf", ""), str(session.get("csrf", ""))
    return bool(kept) and hmac.compare_digest(given.encode(), kept.encode())
