"""One lock order for everybody: whatever the verbs do to each other, none ends in a deadlock."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from models.base.session import sqlalchemy_url
from models.booking import appointments, holds, unproved_holds
from models.booking.holds import AppointmentHold, HoldStatus
from models.booking.unproved_holds import Asked, Day
from models.clinics.organizations import Organization
from tests.concurrency.racing import (
    QUARTER,
    RIGHT,
    SLOT,
    WAIT,
    WRONG,
    Connection,
    claim,
    connections,
    double_bookings,
    make_clinic,
    meanwhile,
    stray_occupancies,
)

SECONDS = 2.0
#: A slow machine goes on until each verb was used as often as it must be, but no longer than this.
AT_MOST = 60.0
THREADS = 12
CALENDARS = ("one", "two", "three")


class Caller:
    """One thread's call: it books, changes its mind, hangs up, and tidies like the beat, at random."""

    def __init__(self, org: str, number: int) -> None:
        self.org_id = uuid.UUID(org)
        self.number = number
        self.random = random.Random(number)  # noqa: S311 (no secret)
        self.verbs: tuple[Callable[[Session], object], ...] = (
            self.claim,
            self.claim,
            self.move,
            self.move,
            self.send_code,
            self.confirm,
            self.confirm,
            self.release,
            self.give_back,
            self.expire,
            self.age,
            self.cancel,
        )

    def _wish(self) -> dict[str, Any]:
        return {
            "starts_at": SLOT + QUARTER * self.random.randrange(16),
            "call_sid": f"call-{self.number}",
            "patient_name": "John",
            "patient_phone": f"+447700900{self.random.randrange(6):03d}",
        }

    def _any_hold(self, session: Session, *status: HoldStatus) -> AppointmentHold | None:
        found = session.scalars(
            select(AppointmentHold).where(
                AppointmentHold.org_id == self.org_id,
                AppointmentHold.status.in_(status or (HoldStatus.HELD,)),
            )
        ).all()
        return self.random.choice(found) if found else None

    def _asked(self, session: Session, calendar: str, wish: dict[str, Any]) -> Asked:
        """As reserve_atomic asks: with the number locked, and some in calls from that number."""
        holds.lock_phone(session, self.org_id, wish["patient_phone"])
        clinic = session.get_one(Organization, self.org_id)
        begins = SLOT.replace(hour=0)
        own = self.random.random() < 0.3
        caller = wish["patient_phone"] if own else f"+44770090100{self.random.randrange(3)}"
        day = Day(begins, begins + timedelta(days=1), dict.fromkeys(CALENDARS, 8))
        credential, options = uuid.UUID(int=self.number % 2), (((calendar,),),)
        return Asked(clinic, credential, caller, own, day, service_id=calendar, options=options)

    def claim(self, session: Session) -> object:
        name, wish = self.random.choice(CALENDARS), self._wish()
        wish["asked"] = self._asked(session, name, wish)
        claimed = holds.claim(session, org_id=self.org_id, calendar_id=name, hold_minutes=10, **wish)
        return claimed.success

    def give_back(self, session: Session) -> object:
        """The staff free everything of a credential."""
        credential = uuid.UUID(int=self.random.randrange(2))
        return unproved_holds.give_back(session, self.org_id, credential_id=credential)

    def move(self, session: Session) -> object:
        name, wish = self.random.choice(CALENDARS), self._wish()
        wish["asked"] = self._asked(session, name, wish)
        before = holds.find_held_of_call(session, self.org_id, f"call-{self.number}")
        moved = holds.claim_instead(
            session, before, org_id=self.org_id, calendar_id=name, hold_minutes=10, **wish
        )
        return bool(before) and moved.success

    def send_code(self, session: Session) -> object:
        hold = self._any_hold(session)
        if hold is None:
            return False
        session.refresh(hold, with_for_update=True)
        if hold.status is not HoldStatus.HELD:
            return False
        hold.code_digest = RIGHT
        return True

    def confirm(self, session: Session) -> object:
        hold = self._any_hold(session)
        if hold is None:
            return False
        return appointments.confirm(
            session,
            org_id=self.org_id,
            hold_id=hold.id,
            contact_id=hold.contact_id,
            code_digest=self.random.choice((RIGHT, RIGHT, RIGHT, WRONG)),
            service_type=None,
            max_tries=3,
        ).success

    def release(self, session: Session) -> object:
        hold = self._any_hold(session)
        return hold is not None and holds.release(session, org_id=self.org_id, hold_id=hold.id)

    def expire(self, session: Session) -> object:
        return holds.expire(session)

    def age(self, session: Session) -> object:
        """Time passes for two of the holds, so that claims and the beat find stale ones."""
        aged = session.execute(
            text(
                "UPDATE appointment_holds SET expires_at = clock_timestamp() WHERE id IN (SELECT id"
                " FROM appointment_holds WHERE org_id = :org AND status = 'held'"
                " AND expires_at > clock_timestamp() ORDER BY random() LIMIT 2"
                " FOR UPDATE SKIP LOCKED) RETURNING id"
            ),
            {"org": self.org_id},
        )
        return len(aged.all())

    def cancel(self, session: Session) -> object:
        cancelled = session.execute(
            text(
                "UPDATE appointments SET status = 'cancelled' WHERE id IN (SELECT id FROM appointments"
                " WHERE org_id = :org AND status = 'confirmed' ORDER BY random() LIMIT 6"
                " FOR UPDATE SKIP LOCKED) RETURNING id"
            ),
            {"org": self.org_id},
        )
        return len(cancelled.all())


def count_deadlocks(sql: Connection) -> int:
    row = sql.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def wait_until_gone(sql: Connection, application: str) -> None:
    """A session reports what it counted when it ends, at the latest."""
    deadline = time.monotonic() + 10
    while sql.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = %s", [application]).fetchall():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_claims_moves_confirmations_releases_and_the_beat_never_deadlock(
    database_url: str, sql: Connection
) -> None:
    application = f"deadlocks-{uuid.uuid4().hex[:8]}"
    org = make_clinic(sql, **{name: {"minutes": 60} for name in CALENDARS})
    sql.execute(
        "UPDATE organizations SET unproved_holds = 2, unproved_holds_per_caller = 3 WHERE id = %s", [org]
    )
    # A limit for each day that nobody reaches, for its lock.
    sql.execute("UPDATE services SET most_per_day = 1000 WHERE org_id = %s", [org])
    before = count_deadlocks(sql)
    # No lock timeout: it would turn a deadlock into something else before Postgres sees it.
    engine = create_engine(
        sqlalchemy_url(database_url),
        isolation_level="READ COMMITTED",
        pool_size=THREADS,
        connect_args={"application_name": application, "options": "-c app.scope=system"},
    )
    start = threading.Barrier(THREADS, timeout=120)
    verbs = {verb.__name__ for verb in Caller(org, 0).verbs}
    done, counting = Counter[str](), threading.Lock()

    def has_given_way() -> bool:
        found = text(
            "SELECT EXISTS (SELECT FROM appointment_holds WHERE org_id = :org AND status = 'displaced')"
        )
        with Session(engine) as session:
            return bool(session.scalar(found, {"org": org}))

    def run(number: int) -> None:
        caller = Caller(org, number)
        start.wait()
        began = time.monotonic()
        while (passed := time.monotonic() - began) < AT_MOST:
            if passed > SECONDS and all(done[verb] > 5 for verb in verbs) and has_given_way():
                return
            verb = caller.random.choice(caller.verbs)
            with Session(engine) as session, session.begin():
                effect = verb(session)
            with counting:
                done[verb.__name__] += bool(effect)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(run, range(THREADS)))  # a deadlock would be raised here
    finally:
        engine.dispose()
    wait_until_gone(sql, application)
    assert count_deadlocks(sql) == before
    assert double_bookings(sql, org) == 0
    assert stray_occupancies(sql, org) == []
    # What gave way to others had no code, and was never booked.
    displaced = sql.execute(
        "SELECT count(*), count(h.code_digest), count(a.id) FROM appointment_holds h"
        " LEFT JOIN appointments a ON a.hold_id = h.id WHERE h.org_id = %s AND h.status = 'displaced'",
        [org],
    ).fetchone()
    assert displaced is not None
    assert displaced[0] > 0
    assert displaced[1:] == (0, 0)
    # Each verb had something to do, again and again: it was no still life.
    assert {verb for verb in verbs if done[verb] <= 5} == set(), done
    parted = sql.execute(
        "SELECT count(*) FROM appointments a LEFT JOIN sms_messages m ON m.id = a.confirmation_message_id"
        " AND m.appointment_id = a.id AND m.kind = 'confirmation' WHERE a.org_id = %s AND m.id IS NULL",
        [org],
    )
    assert parted.fetchone() == (0,)


def test_hanging_up_and_moving_take_the_locks_of_two_calendars_in_one_order(
    database_url: str, sql: Connection
) -> None:
    engine = create_engine(sqlalchemy_url(database_url), connect_args={"options": "-c app.scope=system"})
    try:
        with connections(database_url, 1) as (blocker,):
            for this, other in (("a", "B"), ("B", "a")):
                hang_up_and_move(engine, sql, blocker, this, other)
    finally:
        engine.dispose()


def hang_up_and_move(engine: Engine, sql: Connection, blocker: Connection, this: str, other: str) -> None:
    """One call holds two calendars and ends, while another call moves between the same two.

    Both must wait for `this`, which a third has; who has taken the lock of `other` by then would never
    get on with the one who comes to wait first.
    """
    org = make_clinic(sql, **{this: {}, other: {}})
    org_id = uuid.UUID(org)
    for calendar in (other, this):
        assert claim(sql, org, calendar, call_sid="hangs up").success
    assert claim(sql, org, other, SLOT + 8 * QUARTER, call_sid="moves", caller=2).success

    def move() -> bool:
        with Session(engine) as session, session.begin():
            clinic = session.get_one(Organization, org_id)
            return holds.claim_instead(
                session,
                holds.find_held_of_call(session, org_id, "moves"),
                org_id=org_id,
                calendar_id=this,
                starts_at=SLOT + 12 * QUARTER,
                call_sid="moves",
                patient_name="John",
                patient_phone="+447700000002",
                hold_minutes=10,
                asked=Asked(clinic, service_id=this, options=(((this,),),)),
            ).success

    def hang_up() -> int:
        with Session(engine) as session, session.begin():
            return holds.release_of_call(session, org_id=org_id, call_sid="hangs up")

    def wait_for(waiting: int) -> None:
        deadline = time.monotonic() + WAIT
        while sql.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'advisory'"
        ).fetchone() != (waiting,):
            assert time.monotonic() < deadline
            time.sleep(0.002)

    with blocker.transaction():
        assert claim(blocker, org, this, SLOT + 20 * QUARTER, caller=3).success  # has the lock
        moved = meanwhile(move)
        wait_for(1)
        freed = meanwhile(hang_up)
        wait_for(2)
    assert (moved.result(120), freed.result(120)) == (True, 2)
    assert stray_occupancies(sql, org) == []
