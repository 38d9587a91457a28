"""The checks of a clinic's Vapi: its credential, its assistant, and the facts in its reports."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session

from models.base import sealing
from models.calls.calls import Call
from models.calls.facts import SCHEMA
from models.clinics.organizations import IntegrationSettings, Organization, VapiCredential
from webapp.agents.vapi.assistant import NoCalendar
from webapp.cli import assistant, outside
from webapp.cli.doctor.findings import Findings, ok, required, warning


def check_credentials(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    last_used, live = session.execute(
        select(func.max(VapiCredential.last_used_at), func.count()).where(
            VapiCredential.org_id == clinic.id, VapiCredential.revoked_at.is_(None)
        )
    ).one()
    if not live:
        yield required(clinic)(
            "Vapi credential",
            "there is none: outside development every tool call is refused",
            f"flask credential add {clinic.id}",
        )
    elif last_used is None:
        yield required(clinic)("Vapi credential", "never used", "enter it in Vapi, then ring the agent")
    else:
        yield ok("Vapi credential", f"{live} live, last used {last_used:%Y-%m-%d %H:%M} UTC")


def check_assistant(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    mend = f"flask vapi assistant {clinic.id} --push"
    if not row.vapi_assistant_id:
        yield required(clinic)("assistant", "it was never pushed to Vapi", mend)
        return
    try:
        current = assistant.is_pushed(row, assistant.wanted(session, clinic, row))
    except (NoCalendar, sealing.CannotUnseal):
        return  # reported with the calendars, or with the stored secrets
    if not row.vapi_api_key_sealed:
        yield warning(
            "assistant",
            f"{row.vapi_assistant_id}; without a Vapi API key it cannot be kept up to date",
            f"flask organization vapi {clinic.id} --api-key-stdin",
        )
    elif current:
        yield from _asked_vapi(clinic, row, mend)
    else:
        yield required(clinic)(
            "assistant", f"{row.vapi_assistant_id} differs from what would be pushed now", mend
        )


def _asked_vapi(clinic: Organization, row: IntegrationSettings, mend: str) -> Findings:
    answer, heard = outside.ask_vapi(row)
    pushed = f"{row.vapi_assistant_id}, up to date, made for {clinic.id}"
    match answer:
        case outside.Answer.TAKEN:
            yield ok("assistant", f"{pushed}, and Vapi has it")
        case outside.Answer.NOT_ASKED:
            yield warning(
                "assistant",
                f"{pushed}; Vapi could not be asked about it ({heard})",
                "run this again once the machine can reach Vapi",
            )
        case outside.Answer.REFUSED:
            yield required(clinic)(
                "assistant",
                f"{row.vapi_assistant_id}: Vapi refuses the API key ({heard})",
                f"flask organization vapi {clinic.id} --api-key-stdin",
            )
        case _:
            yield required(clinic)(
                "assistant", f"Vapi has no assistant {row.vapi_assistant_id} ({heard})", f"{mend} --force"
            )


#: With fewer reports than this, missing facts may be chance.
_ENOUGH_REPORTS = 5


def check_facts(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    """Whether Vapi's reports contain the facts that calls are scored by."""
    reports, with_facts = session.execute(
        select(
            func.count(),
            func.count().filter(or_(Call.facts.has_any(array([*SCHEMA["properties"]])), Call.facts == {})),
        ).where(
            Call.org_id == clinic.id,
            Call.reported_at > func.app_clock() - timedelta(days=7),
            Call.turns.is_not(None),
        )
    ).one()
    if 2 * with_facts > reports:
        yield ok("facts about calls", f"{with_facts} of {reports} reports of the last 7 days have them")
    elif reports >= _ENOUGH_REPORTS:
        yield warning(
            "facts about calls",
            f"{with_facts} of {reports} reports of the last 7 days have them; the other calls are scored by"
            " the caller's words alone",
            f"flask vapi assistant {clinic.id} --push; in Vapi's HIPAA mode structured outputs are dropped"
            " unless compliancePlan.forceStoreOnHipaaEnabled is set (docs/leads.md)",
        )
