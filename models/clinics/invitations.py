"""Links with which a person sets their own password: a new colleague, or one who has forgotten it.

Holdline sends no e-mail: an owner, or the operator, hands the link over. It works once, for LASTS, and ends
when the person gets another link or a password, or is disabled.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

import settings
from models.base import clock
from models.clinics.staff import StaffUser
from models.clinics.staff_sessions import digest

LASTS = timedelta(hours=48)
PATH = "/dashboard/invitation/"


class Disabled(ValueError):
    """A person who may not sign in gets no link."""


def invite(session: Session, user: StaffUser) -> str:
    """Make a link for this person, which ends the one before; returns its token, which is not stored.

    Their password and sessions stay until they set another. Raises Disabled.
    """
    if user.disabled_at is not None:
        raise Disabled
    token, until = secrets.token_hex(24), clock.now(session) + LASTS
    user.invitation_digest, user.invited_until = digest(token), until
    return token


def address(token: str) -> str:
    """The URL to hand over."""
    return f"{settings.get().public_base_url.rstrip('/')}{PATH}{token}"


def find(session: Session, token: str) -> StaffUser | None:
    """The person whose link this is; None if it was never made, was used or has ended.

    Within the person's clinic, or in system scope for any clinic.
    """
    return session.scalar(_live(token))


def find_locked(session: Session, token: str) -> StaffUser | None:
    """The same, locked until the commit, so that of two requests with one link only one succeeds."""
    return session.scalar(_live(token).with_for_update(key_share=True))


def _live(token: str) -> Select[StaffUser]:
    return select(StaffUser).where(
        StaffUser.invitation_digest == digest(token),
        StaffUser.invited_until > func.app_clock(),
        StaffUser.disabled_at.is_(None),
    )
