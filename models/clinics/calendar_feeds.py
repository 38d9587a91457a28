"""Calendars from elsewhere, whose busy times become blocks (models/booking/feeds.py has the verbs).

The table is in this room because the address is a sealed secret (sealed_columns.py).
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base.tables import Base, CreatedAt, EnumText, Id, one_of

#: The purpose for which addresses are sealed. Stored addresses depend on it, so it must not change.
ADDRESS = "feed_address"

#: Minutes between two readings: the least, what is meant if nothing is said, and the most.
SOONEST, USUAL, LATEST = 5, 10, 1440


class FeedProblem(StrEnum):
    """What was wrong at the last reading."""

    # of the address and the server
    BAD_ADDRESS = "bad_address"
    NOT_PUBLIC = "not_public"
    NO_SUCH_HOST = "no_such_host"
    UNREACHABLE = "unreachable"
    NOT_TRUSTED = "not_trusted"
    TOO_SLOW = "too_slow"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    REFUSED = "refused"
    NOT_FOUND = "not_found"
    SERVER_FAILED = "server_failed"
    BAD_ANSWER = "bad_answer"
    # of the calendar
    NOT_A_CALENDAR = "not_a_calendar"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    TOO_MANY_EVENTS = "too_many_events"
    TOO_MANY_INSTANCES = "too_many_instances"
    TOO_MANY_ZONES = "too_many_zones"
    TOOK_TOO_LONG = "took_too_long"
    # of ours
    CANNOT_UNSEAL = "cannot_unseal"
    INTERRUPTED = "interrupted"


class CalendarFeed(Base):
    __tablename__ = "calendar_feeds"
    __table_args__ = (
        one_of("problem", FeedProblem),
        ForeignKeyConstraint(["org_id", "resource_id"], ["resources.org_id", "resources.id"]),
        UniqueConstraint("org_id", "id"),
        CheckConstraint(r"label ~ '\S'", name="label"),
        CheckConstraint(f"every_minutes BETWEEN {SOONEST} AND {LATEST}", name="every_minutes"),
        Index("ix_calendar_feeds_org_id_resource_id", "org_id", "resource_id"),
        Index("ix_calendar_feeds_due_at", "due_at", postgresql_where=text("is_on")),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID]
    resource_id: Mapped[str]
    #: What the diary shows in place of the titles of the events.
    label: Mapped[str]
    address_sealed: Mapped[str]
    is_on: Mapped[bool] = mapped_column(server_default="true")
    every_minutes: Mapped[int] = mapped_column(server_default=str(USUAL))

    # What the readings have left. These columns are not audited.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now())
    #: When a reading began that has not ended yet.
    taken_at: Mapped[datetime | None]
    asked_at: Mapped[datetime | None]
    #: When it was last read well; an answer that nothing has changed counts.
    read_at: Mapped[datetime | None]
    #: When the busy times were last worked out from the whole calendar.
    worked_out_at: Mapped[datetime | None]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    #: SHA-256 of the last calendar that was read well, in hex.
    digest: Mapped[str | None]
    #: How many readings have failed since.
    failures: Mapped[int] = mapped_column(server_default="0")
    problem: Mapped[FeedProblem | None] = mapped_column(EnumText(FeedProblem))
    #: How many of its events are not over.
    events: Mapped[int | None]
    created_at: Mapped[CreatedAt]


#: On `calendar_feeds f JOIN organizations o`: it was not read well for longer than the clinic allows.
IS_UNREAD = (
    "f.is_on AND coalesce(f.read_at, f.created_at) < app_clock() - make_interval(hours => o.feed_limit_hours)"
)
