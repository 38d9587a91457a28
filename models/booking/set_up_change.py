"""One change of a clinic's set-up: the rows it locks, and what it leaves behind.

A change cancels nothing. It names the appointments that now stand outside hours, or with somebody or
something that is retired, and it says in sentences what is newly set up in a way that offers nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.booking import gaps
from models.booking.resources import Resource
from models.booking.services import Service
from models.booking.standing import Standing
from models.clinics.calendars import Calendar
from models.clinics.organizations import Organization

T = TypeVar("T", Resource, Service, Calendar)


class SetUpChange:
    """Made before the change; `done` is called after it, in the same transaction."""

    def __init__(self, session: Session, org_id: uuid.UUID) -> None:
        self._session, self._org_id = session, org_id
        self._before = set(gaps.find(session, org_id))
        #: What the change has newly left without an offer, each in a sentence that says what to change.
        self.notes: list[str] = []
        #: The appointments that stand, as the caller of `done` found them.
        self.standing: list[Standing] = []

    def done(self, standing: Sequence[Standing] = ()) -> None:
        """Look at what the change has left."""
        self._session.flush()
        self.standing = list(standing)
        self.notes += [each for each in gaps.find(self._session, self._org_id) if each not in self._before]


def find_locked(session: Session, entity: type[T], org_id: uuid.UUID, row_id: str) -> T | None:
    """A resource, service or calendar, locked until the commit so that two people do not undo each other's
    work; None if there is none. Claims refer to these rows, and do not wait for the lock.
    """
    query = select(entity).where(entity.org_id == org_id, entity.id == row_id)
    query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return session.scalar(query)


def lock_clinic(session: Session, org_id: uuid.UUID) -> None:
    """Lock the clinic until the commit, for changes that must see all of its rows of a kind: what two people
    add or rename at once is done one after the other. Claims refer to the row, and do not wait for the lock.
    """
    query = select(Organization.id).where(Organization.id == org_id)
    session.scalar(query.with_for_update(key_share=True))
