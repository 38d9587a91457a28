"""What the owners of a clinic do with its staff, so that the clinic never is without an owner."""

from __future__ import annotations

import uuid

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from models.clinics import staff
from models.clinics.staff import StaffRole, StaffUser


class LastOwner(ValueError):
    """Nobody else in the clinic is an owner who can sign in."""


def find_locked(session: Session, org_id: uuid.UUID, staff_id: uuid.UUID) -> StaffUser | None:
    """The person with this id, locked together with every owner of the clinic; None if there is none.

    The locks are taken in one order, so that two owners who disable each other wait for one another.
    """
    rows = session.scalars(
        select(StaffUser)
        .where(StaffUser.org_id == org_id, or_(StaffUser.id == staff_id, StaffUser.role == StaffRole.OWNER))
        .order_by(StaffUser.id)
        .with_for_update(key_share=True)
    )
    return next((user for user in rows if user.id == staff_id), None)


def change_role(session: Session, user: StaffUser, role: StaffRole) -> None:
    """Give a person, found with `find_locked`, another role. Raises LastOwner."""
    if role is not StaffRole.OWNER:
        _keep_an_owner(session, user)
    user.role = role


def disable(session: Session, user: StaffUser) -> None:
    """Disable a person, found with `find_locked`. Raises LastOwner."""
    _keep_an_owner(session, user)
    staff.disable(session, user)


def _keep_an_owner(session: Session, user: StaffUser) -> None:
    if user.role is not StaffRole.OWNER or user.disabled_at is not None:
        return
    others = session.scalar(
        select(func.count()).where(
            StaffUser.org_id == user.org_id,
            StaffUser.id != user.id,
            StaffUser.role == StaffRole.OWNER,
            StaffUser.disabled_at.is_(None),
            StaffUser.password_hash.is_not(None),
        )
    )
    if not others:
        raise LastOwner
