"""After a call: fetch a report that was lost, score the call, and tell the owner of a hot lead."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import InternalError, OperationalError

from celeryconfig import Task
from models.base import sealing
from models.base.session import Door, system_transaction, transaction
from models.booking import holds
from models.calls import calls, reports, syncs
from models.calls.syncs import Fetch
from models.clinics import organizations
from models.leads import leads
from models.messaging import messages
from models.messaging.states import SmsKind
from tasks.app import app
from tasks.beat import Sweep
from tasks.nudges import nudge
from tasks.providers import Unavailable, vapi

log = logging.getLogger(__name__)

#: A clinic's calls are fetched at most this often.
FETCH_EVERY = timedelta(minutes=4)

#: Seconds after which a run begins no other clinic or page; one more answer still fits into the time limit.
RUN = 10.0


@app.task(
    name=Task.SCORE_CALL.value,
    autoretry_for=(OperationalError, InternalError),
    max_retries=3,
    retry_backoff=2,
    retry_backoff_max=10,
    retry_jitter=False,
)
def score_call(*, org_id: str, call_id: str) -> None:
    """Score one call that is due. It is harmless to run twice, or for a call that needs nothing.

    A call that is due soon is nudged again for its time, which is in the row, by the database's clock; a
    nudge from the web does not carry it.
    """
    clinic = uuid.UUID(org_id)
    with transaction(clinic, actor=Task.SCORE_CALL.value) as session:
        scored = leads.score_call(session, clinic, call_id)
        due = None if scored else calls.due_soon(session, clinic, call_id)
    if due and due.wait:
        nudge(due)
    if scored is None:
        return
    log.info("call scored %s (%s)", scored.score.value, scored.score.band.value)
    if scored.alert:
        nudge(messages.Due(clinic, scored.alert.message_id, SmsKind.HOT_LEAD_ALERT))


@app.task(name=Task.SWEEP_CALLS.value, base=Sweep)
def sweep_calls() -> None:
    """Nudge the calls that are over and have no score yet."""
    with system_transaction(Door.SWEEP) as session:
        due = calls.sweep(session)
    for call in due:
        nudge(call)


@app.task(name=Task.FETCH_REPORTS.value, base=Sweep)
def fetch_reports() -> None:
    """Ask Vapi for each clinic's changed calls, and record them as if their reports had come.

    The clinics take turns, the clinic with the oldest turn first; clinics that a run does not reach come
    first in the next. So at most one worker process is busy with this, however slow Vapi is.
    """
    until = time.monotonic() + RUN
    while fetch := _next():
        _fetch(fetch, until)
        if time.monotonic() > until:
            return


def _next() -> Fetch | None:
    with system_transaction(Door.SWEEP) as session:
        return syncs.take_turn(session, every=FETCH_EVERY)


def _fetch(fetch: Fetch, until: float) -> None:
    """Fetch up to the first full page after `until` (monotonic clock); the next turn goes on from there."""
    done: datetime | None = None
    trouble: str | None = None
    try:
        for moment, found in _calls(fetch):
            for call in found:
                _take_in(fetch.org_id, call)
            done = moment
            if time.monotonic() > until:
                break
    except (Unavailable, sealing.CannotUnseal, SoftTimeLimitExceeded) as problem:
        trouble = str(problem) or type(problem).__name__
        log.warning("calls of organisation %s were not fetched: %s", fetch.org_id, trouble)
    with transaction(fetch.org_id) as session:
        syncs.record(session, fetch, until=done, trouble=trouble)


def _calls(fetch: Fetch) -> Iterator[tuple[datetime, list[Mapping[str, Any]]]]:
    """The clinic's calls as vapi.calls_between yields them. Raises Unavailable or CannotUnseal."""
    with transaction(fetch.org_id) as session:
        account = organizations.get_integration_settings(session, fetch.org_id)
    if account is None or account.vapi_api_key_sealed is None:
        return
    key = sealing.unseal(fetch.org_id, "vapi_api_key", account.vapi_api_key_sealed).strip()
    whose = vapi.Whose(account.vapi_assistant_id, account.vapi_phone_number_id)
    yield from vapi.calls_between(key, whose, fetch.since, fetch.now)


def _take_in(org_id: uuid.UUID, call: Mapping[str, Any]) -> None:
    report = reports.read({"call": call})
    if report.status != calls.ENDED:
        return
    call_id = call["id"][:200]
    with transaction(org_id, actor=Task.FETCH_REPORTS.value) as session:
        calls.lock(session, org_id, call_id)
        calls.record_report(session, org_id=org_id, call_id=call_id, report=report, final=True)
        holds.release_of_call(session, org_id=org_id, call_sid=call_id)
