"""After the call: fetch a report that was lost, score the call, and tell the owner of a hot lead."""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta

from sqlalchemy.exc import OperationalError

from celeryconfig import Queue, Task
from models import call_reports, calls, holds, leads, organizations, sealing, vapi_syncs
from models.session import Door, system_transaction, transaction
from models.vapi_syncs import Fetch
from tasks.app import app
from tasks.providers import Unavailable, vapi
from tasks.sms import deliver_sms

log = logging.getLogger(__name__)

#: A clinic is asked for at most this often.
FETCH_EVERY = timedelta(minutes=5)


@app.task(
    name=Task.SCORE_CALL.value,
    autoretry_for=(OperationalError,),
    max_retries=3,
    retry_backoff=2,
    retry_backoff_max=10,
    retry_jitter=False,
)
def score_call(*, org_id: str, call_id: str) -> None:
    """Score one call that is due. Harmless to run twice, or for a call that needs nothing."""
    clinic = uuid.UUID(org_id)
    with transaction(clinic, actor=Task.SCORE_CALL.value) as session:
        scored = leads.score_call(session, clinic, call_id)
    if scored is None:
        return
    log.info("call scored %s (%s)", scored.score.value, scored.score.band.value)
    if scored.alert:
        deliver_sms.apply_async(
            kwargs={"org_id": org_id, "message_id": str(scored.alert.message_id)}, queue=Queue.SMS.value
        )


@app.task(name=Task.SWEEP_CALLS.value)
def sweep_calls() -> None:
    """Have the calls scored that are over, and that nobody has scored yet."""
    with system_transaction(Door.SWEEP) as session:
        due = calls.sweep(session)
    for org_id, call_id in due:
        score_call.apply_async(kwargs={"org_id": str(org_id), "call_id": call_id})


@app.task(name=Task.FETCH_REPORTS.value)
def fetch_reports() -> None:
    """Ask Vapi for the calls of each clinic that changed, and take them in like reports that came."""
    with system_transaction(Door.SWEEP) as session:
        fetches = vapi_syncs.find_to_fetch(session, every=FETCH_EVERY)
    for fetch in fetches:
        try:
            _fetch(fetch)
        except (Unavailable, sealing.CannotUnseal) as problem:
            log.warning("calls of organisation %s were not fetched: %s", fetch.org_id, problem)
            with transaction(fetch.org_id) as session:
                vapi_syncs.record_trouble(session, fetch.org_id, since=fetch.since, why=str(problem))
        else:
            with transaction(fetch.org_id) as session:
                vapi_syncs.record(session, fetch.org_id, until=fetch.now)


def _fetch(fetch: Fetch) -> None:
    """Raises Unavailable or CannotUnseal."""
    with transaction(fetch.org_id) as session:
        account = organizations.get_integration_settings(session, fetch.org_id)
    if account is None or account.vapi_api_key_sealed is None:
        return
    key = sealing.unseal(fetch.org_id, "vapi_api_key", account.vapi_api_key_sealed)
    for call in vapi.calls_between(key, account.vapi_assistant_id, fetch.since, fetch.now):
        report = call_reports.read({"call": call})
        if report.status != calls.ENDED:
            continue
        with transaction(fetch.org_id, actor=Task.FETCH_REPORTS.value) as session:
            calls.lock(session, fetch.org_id, call["id"])
            calls.record_report(
                session, org_id=fetch.org_id, call_id=call["id"][:200], report=report, final=True
            )
            holds.release_of_call(session, org_id=fetch.org_id, call_sid=call["id"])
