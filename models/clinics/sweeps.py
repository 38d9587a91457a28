"""When each of the tasks that beat starts last ran, by the database's clock, and when it may run again.

Ticks may come late, twice, in a pile, or from several places; none of them is judged by the clock of whoever
sent it. What a tick finds here decides whether it is worth anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base.tables import Base

#: A run that has not said that it ended is taken to be dead after this: longer than any task may take.
LONGEST = timedelta(seconds=30)


class Sweep(Base):
    """Belongs to no organisation: it says nothing about any."""

    __tablename__ = "sweeps"

    task: Mapped[str] = mapped_column(primary_key=True)
    #: No run begins before this.
    next_at: Mapped[datetime]
    #: When a run last ended well.
    done_at: Mapped[datetime | None]
    #: When a tick of beat's last arrived, whether it was worth a run or not.
    beat_at: Mapped[datetime | None]


def take(session: Session, task: str, *, every: timedelta, from_beat: bool) -> bool:
    """Whether this tick is worth a run, which is then the caller's. The caller commits, and runs.

    Nothing is run while it runs elsewhere, nor until half of `every` has passed since it last ended. A tick
    that is not beat's counts only when beat's fail to come: once two periods have passed without a run.
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
            # A moment further away than any that is ever set: the database's clock was set back.
            where=or_(Sweep.next_at <= now - late, Sweep.next_at > now + max(LONGEST, every)),
        )
        .returning(literal(True))  # noqa: FBT003 (SQLAlchemy's own signature)
    )
    return bool(taken)


def end(session: Session, task: str, *, every: timedelta, well: bool) -> None:
    """A run that was taken is over."""
    now = func.app_clock()
    values = {"next_at": now + every / 2} | ({"done_at": now} if well else {})
    session.execute(update(Sweep).where(Sweep.task == task).values(values))


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds since the last good run and since beat's last tick; None where there was none yet."""

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
