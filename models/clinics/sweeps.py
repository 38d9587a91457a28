"""When each of the tasks that beat starts last ran, by the database's clock, and when it may run again.

Ticks may come late, twice, many at once, or from several places. The rows here decide whether a tick starts a
run; the clock of the sender does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base

#: A run whose end was not recorded counts as dead after this time, which is longer than any task may take.
LONGEST = timedelta(seconds=30)


class Sweep(Base):
    """The state of one task; it belongs to no clinic and says nothing about any."""

    __tablename__ = "sweeps"

    task: Mapped[str] = mapped_column(primary_key=True)
    #: No run begins before this moment.
    next_at: Mapped[datetime]
    #: When a run last succeeded.
    done_at: Mapped[datetime | None]
    #: When beat's last tick arrived, whether it started a run or not.
    beat_at: Mapped[datetime | None]


def take(session: Session, task: str, *, every: timedelta, from_beat: bool) -> bool:
    """Whether this tick starts a run. If so, the caller commits and then runs the task.

    A task does not run while it runs elsewhere, nor until half of `every` has passed since its last end. A
    tick from elsewhere than beat counts only when beat fails: once two periods have passed without a run.
    """
    now = func.app_clock()
    if from_beat:
        session.execute(
            insert(Sweep)
            .values(task=task, next_at=now, beat_at=now)
            .on_conflict_do_update(index_elements=[Sweep.task], set_={"beat_at": now})
        )
    late = timedelta() if from_beat else every * 1.5
    taken = session.scalar(
        insert(Sweep)
        .values(task=task, next_at=now + LONGEST)
        .on_conflict_do_update(
            index_elements=[Sweep.task],
            set_={"next_at": now + LONGEST},
            # A moment further away than is ever set means that the database's clock was set back.
            where=or_(Sweep.next_at <= now - late, Sweep.next_at > now + max(LONGEST, every)),
        )
        .returning(literal(True))  # noqa: FBT003 (SQLAlchemy's own signature)
    )
    return bool(taken)


def end(session: Session, task: str, *, every: timedelta, well: bool) -> None:
    """Record the end of a run; `well` if it succeeded."""
    now = func.app_clock()
    values = {"next_at": now + every / 2} | ({"done_at": now} if well else {})
    session.execute(update(Sweep).where(Sweep.task == task).values(values))


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds since the last successful run and since beat's last tick; None where there was none yet."""

    done: float | None
    beat: float | None


def ages(session: Session, task: str) -> Ages:
    now = func.app_clock()
    row = session.execute(
        select(
            func.extract("epoch", now - Sweep.done_at).label("done"),
            func.extract("epoch", now - Sweep.beat_at).label("beat"),
        ).where(Sweep.task == task)
    ).one_or_none()
    if row is None:
        return Ages(None, None)
    return Ages(*(None if age is None else float(age) for age in row))
