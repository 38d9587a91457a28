"""The periodic task that erases data that is kept too long."""

from __future__ import annotations

import logging

from celeryconfig import Task
from models.base.session import Door, system_transaction
from models.booking.imports import uploads
from models.clinics import allowances, sign_in_limits, staff_sessions
from models.insight import retention
from tasks.app import app
from tasks.beat import Sweep

log = logging.getLogger(__name__)

#: The most rows of the sign-in and of allowances that one run deletes; they no longer matter.
MOST = 5000


@app.task(name=Task.KEEP_HOUSE.value, base=Sweep)
def keep_house() -> None:
    """Erase a bounded number of the words and patients whose time is over; the next run goes on."""
    with system_transaction(Door.SWEEP, actor=Task.KEEP_HOUSE.value) as session:
        tidied = retention.tidy(session)
        staff_sessions.forget_the_old(session, MOST)
        sign_in_limits.forget_the_forgiven(session, MOST)
        allowances.forget_the_full(session, MOST)
        uploads.forget_the_old(session, MOST)
    if tidied:
        log.info(
            "erased %d answers, %d texts, what %d visits were for, the words of %d calls, and %d patients",
            tidied.answers,
            tidied.texts,
            tidied.visits,
            tidied.calls,
            tidied.patients,
        )
