"""Vapi's events of a call, and its one question: which assistant is to answer.

When a call has ended, its holds are given back and it is stored to be scored. Reports come more than once, in
any order and with different bodies; models/calls/calls.py merges them.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from sqlalchemy.orm import Session

from models.base.session import Door
from models.booking import holds
from models.calls import calls, reports, tenancy
from models.clinics import organizations
from models.clinics.organizations import IntegrationSettings
from webapp.agents.vapi.envelope import Envelope
from webapp.agents.wire import Caller
from webapp.nudge import nudge
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction, in_transaction, repeatable

log = logging.getLogger(__name__)

REPORT, STATUS, ASSISTANT_REQUEST = "end-of-call-report", "status-update", "assistant-request"

#: The message types with tool calls; every other type is an event.
TOOL_CALLS = ("tool-calls", "function-call")

#: The answer to an assistant-request that cannot be looked up now. Vapi says it to the caller.
CLOSED = {"error": "We cannot take calls right now. Please try again in a few minutes."}


def is_read(event: Envelope) -> bool:
    """Whether this event must be taken in. All but these two types need no work."""
    return event.event in (REPORT, STATUS)


def note(caller: Caller, event: Envelope) -> bool:
    """Take in an event. False if the database cannot now, so that Vapi has to send the event again."""
    call_id = event.call_id
    if not is_read(event) or call_id is None:
        return True
    report = reports.read(event.message)
    final = event.event == REPORT

    def work(session: Session, org_id: uuid.UUID) -> tuple[int, calls.Due | None]:
        calls.lock(session, org_id, call_id)
        calls.record_report(session, org_id=org_id, call_id=call_id, report=report, final=final)
        if not final and report.status != calls.ENDED:
            return 0, None
        released = holds.release_of_call(session, org_id=org_id, call_sid=call_id)
        return released, calls.due_soon(session, org_id, call_id)

    try:
        org_id = caller.org_id or in_system_transaction(
            Door.DEVELOPMENT,
            lambda session: tenancy.find_organization_of(
                session, hold_id=None, appointment_id=None, call_sid=call_id
            ),
        )
        if org_id is None:
            return True
        released, due = in_transaction(
            org_id, lambda session: work(session, org_id), actor=f"call {call_id}", happened=repeatable
        )
    except (Busy, DatabaseAway):
        log.warning("an event of call %s could not be noted; Vapi is asked to send it again", call_id)
        return False
    if due:
        nudge(due)
    if released:
        log.info("a call ended; %d holds were given back", released)
    return True


def assistant_for(caller: Caller, event: Envelope) -> dict[str, Any]:
    """The answer to an assistant-request, at top level as Vapi wants it.

    The credential decides the clinic; the dialled number must be the clinic's, if the clinic has named one.
    Only in development, without a credential, the number decides.
    """
    dialled = reports.dialled(event.message)
    try:
        account = _account(caller, dialled)
    except (Busy, DatabaseAway):
        return dict(CLOSED)
    ours = account and account.vapi_phone_number_id
    if account is None or account.vapi_assistant_id is None or (ours and dialled and ours != dialled):
        return {"error": "This number is not connected to a clinic yet."}
    return {"assistantId": account.vapi_assistant_id}


def _account(caller: Caller, dialled: str | None) -> IntegrationSettings | None:
    org_id = caller.org_id
    if org_id is None and dialled:
        org_id = in_system_transaction(
            Door.DEVELOPMENT, lambda session: organizations.find_by_dialled_number(session, dialled)
        )
    if org_id is None:
        return None
    clinic = org_id
    return in_transaction(clinic, lambda session: organizations.get_integration_settings(session, clinic))
