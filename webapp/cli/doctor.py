"""`flask doctor ORG`: the deployment checklist, walked: what is missing, and the command that mends it."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import click
import redis
from sqlalchemy import ColumnElement, func, or_, select, text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

import settings
from celeryconfig import Queue, Task
from models.base import phones, preconditions, sealing
from models.base.session import Door, system_transaction, transaction
from models.booking.appointments import Appointment
from models.calls.calls import Call
from models.calls.facts import SCHEMA
from models.clinics import calendars, organizations, sealed_columns, sweeps
from models.clinics.organizations import IntegrationSettings, Organization, VapiCredential
from models.clinics.staff import StaffUser
from models.insight import clinic_limits
from models.leads import leads
from models.leads.leads import HotLeadAlert
from models.messaging import senders
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind, SmsStatus
from runtime import preflight
from webapp.agents.vapi.assistant import NoCalendar
from webapp.cli import assistant, outside, workers
from webapp.cli.common import actor, as_json, at, print_json, spoken_errors
from webapp.ops.health import FUNCTIONS, missing_functions, newest_revision


class State(StrEnum):
    OK = "ok"
    MISSING = "missing"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the checklist. `mend` is what to type or to do."""

    state: State
    what: str
    why: str = ""
    mend: str = ""


ok = partial(Finding, State.OK)
missing = partial(Finding, State.MISSING)
warning = partial(Finding, State.WARNING)

Findings = Iterator[Finding]

MIGRATE = "alembic upgrade head, with the settings of the web process"

#: Seconds. Beat ticks every five; and while nobody else is there, a worker every fifteen.
BEAT_AWAY = 30.0

#: The quick reference's, to the word: a test compares.
MONITORING = {
    "Daily Report": """
        SELECT
          DATE(created_at) as date,
          COUNT(*) as appointments_created,
          COUNT(*) FILTER (WHERE confirmation_sms_sent = true) as confirmations_sent,
          ROUND(100.0 * COUNT(*) FILTER (WHERE confirmation_sms_sent = true) / COUNT(*), 2)
            as confirmation_rate
        FROM appointments
        WHERE org_id = 'YOUR_ORG_ID'
          AND created_at > NOW() - INTERVAL '7 days'
        GROUP BY DATE(created_at)
        ORDER BY date DESC;
    """,
    "SMS Delivery Status": """
        SELECT
          status,
          COUNT(*) as count
        FROM sms_confirmation_logs
        WHERE created_at > NOW() - INTERVAL '24 hours'
        GROUP BY status;
    """,
    "Hot Leads Generated": """
        SELECT
          lead_name,
          lead_phone,
          lead_score,
          alert_sent_at
        FROM hot_lead_alerts
        WHERE org_id = 'YOUR_ORG_ID'
          AND created_at > NOW() - INTERVAL '24 hours'
        ORDER BY created_at DESC;
    """,
}


@click.command("doctor")
@click.argument("org_id", type=click.UUID)
@as_json
def doctor(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Walk the deployment checklist for ORG_ID. Exit 1 if anything required is missing."""
    findings = list(examine(org_id))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _say(finding)
        click.echo(
            "not asked here: does your monitoring ask for failed SMS, and does the team know the system?"
        )
    lacking = sum(finding.state is State.MISSING for finding in findings)
    if lacking:
        raise click.ClickException(f"{lacking} missing")


def _say(finding: Finding) -> None:
    colours = {State.OK: "green", State.MISSING: "red", State.WARNING: "yellow"}
    state = click.style(f"{finding.state.value:8}", fg=colours[finding.state])
    click.echo(f"{state} {finding.what}{': ' + finding.why if finding.why else ''}")
    if finding.mend:
        click.echo(f"{'':8} -> {finding.mend}")


def examine(org_id: uuid.UUID) -> Findings:
    """Everything, in the order in which it is best mended."""
    yield from _surroundings()
    database = list(_database())
    yield from database
    yield from _redis_and_workers()
    if any(finding.state is State.MISSING for finding in database):
        return  # rows cannot be asked for
    with at(org_id):
        pass  # an unknown organisation is told once
    for check in CLINIC_CHECKS:
        with spoken_errors(), transaction(org_id, actor=actor()) as session:
            clinic = organizations.get_or_none(session, org_id)
            row = organizations.get_integration_settings(session, org_id)
            if clinic:
                yield from list(check(session, clinic, row or IntegrationSettings(org_id=org_id)))


# --- the machine --------------------------------------------------------------------------------


def _surroundings() -> Findings:
    config = settings.get()
    url = urlsplit(config.public_base_url)
    mend = "set PUBLIC_BASE_URL to https://… as Twilio and Vapi reach it, without a path"
    local = _is_local(url.hostname or "")
    if url.scheme == "https" and not local:
        yield ok("PUBLIC_BASE_URL", config.public_base_url)
    elif config.development:
        yield ok("PUBLIC_BASE_URL", f"{config.public_base_url}, which will do for development")
    else:
        why = "nobody outside reaches this machine by it" if local else "it is not https"
        yield missing("PUBLIC_BASE_URL", f"{config.public_base_url}: {why}", mend)
    if config.proxy_is_overlooked:
        yield warning(
            "proxies",
            "PUBLIC_BASE_URL is https, so requests come through a proxy, and PROXIES is 0: everybody behind"
            " it is counted as one address",
            "set PROXIES to how many reverse proxies stand in front, 1 for one nginx",
        )
    else:
        yield ok("proxies", f"{config.proxies_in_front} in front")


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host in ("", "localhost") or host.endswith((".localhost", ".local"))
    return address.is_loopback or address.is_private or address.is_unspecified


def _database() -> Findings:
    try:
        with system_transaction(Door.READINESS) as session:
            revision = session.scalar(text("SELECT version_num FROM alembic_version"))
            lost = missing_functions(session)
    except SQLAlchemyError as error:
        yield missing(
            "database", f"no answer ({type(error).__name__})", "is DATABASE_URL right, and is it migrated?"
        )
        return
    newest = newest_revision()
    if revision == newest:
        yield ok("database", f"at revision {revision}")
    else:
        yield missing("database", f"it is at revision {revision}, the code needs {newest}", MIGRATE)
    if lost:
        yield missing("SQL functions", f"not there: {', '.join(lost)}", MIGRATE)
    else:
        yield ok("SQL functions", ", ".join(FUNCTIONS))
    yield from _backup()
    yield from _preflight()


#: What the role may not read, and pg_dump must.
_UNREADABLE = """
SELECT c.relname::text
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace
   AND CASE c.relkind WHEN 'r' THEN NOT has_table_privilege(c.oid, 'SELECT')
                      WHEN 'S' THEN NOT has_sequence_privilege(c.oid, 'SELECT') END
 ORDER BY c.relname
"""


def _backup() -> Findings:
    """Whether pg_dump, as docs/operations.md has it, would see every row of every table."""
    try:
        with system_transaction(Door.READINESS) as session:
            sees_all = session.scalar(text("SELECT in_system_scope()"))
            unreadable = session.scalars(text(_UNREADABLE)).all()
    except SQLAlchemyError:
        return  # told at the database
    if not sees_all:
        yield missing("backup", "the role does not see every clinic, so pg_dump would fail", MIGRATE)
    elif unreadable:
        yield missing("backup", f"the role may not read {', '.join(unreadable)}: pg_dump would fail", MIGRATE)
    else:
        yield ok("backup", "pg_dump can read everything; the command is in docs/operations.md under Backup")


def _preflight() -> Findings:
    """What every process looks at before it starts: the role, its isolation, row security, Redis' policy."""
    problems, noticed = preflight.problems(preconditions.look), preflight.warnings(preconditions.look)
    for problem in problems:
        yield missing("before the start", problem)
    for notice in noticed:
        yield warning("before the start", notice)
    if not (problems or noticed):
        yield ok("before the start", "row security, isolation and Redis are as they must be")


def _redis_and_workers() -> Findings:
    mend = "is REDIS_URL right, and does the server run? Meanwhile calls are answered, and SMS wait"
    try:
        with preflight.redis_client() as client:
            client.ping()
        yield ok("Redis", "answers")
        served = workers.queues_served()
    except (redis.RedisError, workers.RedisAway) as error:
        yield missing("Redis", f"no answer ({type(error).__name__})", mend)
        return
    for queue in Queue:
        process = "worker_otp" if queue is Queue.OTP else "worker"
        if queue.value in served:
            yield ok(f"queue {queue.value}", "a worker answers")
        else:
            yield missing(f"queue {queue.value}", "no worker answers", f"start {process} of the Procfile")
    if Queue.HOUSEKEEPING.value in served:
        yield from _beat()


def _beat() -> Findings:
    """By the rows that its ticks leave, and so by the database's clock: beat's own may be wrong."""
    try:
        with system_transaction(Door.READINESS) as session:
            ages = sweeps.ages(session, Task.SWEEP_SMS.value)
    except SQLAlchemyError:
        return  # told at the database
    if ages.beat is None:
        yield missing("beat", "no tick of its has ever come", "start beat of the Procfile, once")
    elif ages.beat > BEAT_AWAY:
        yield missing(
            "beat", f"its last tick came {ages.beat:.0f} seconds ago", "start beat of the Procfile, once"
        )
    else:
        yield ok("beat", f"its last tick came {ages.beat:.0f} seconds ago")
    if ages.done is None or ages.done > BEAT_AWAY:
        yield missing(
            "sweeps",
            "none has ever ended" if ages.done is None else f"the last one ended {ages.done:.0f} s ago",
            "is worker of the Procfile running, and what does its log say?",
        )


# --- the clinic ---------------------------------------------------------------------------------


def _required(clinic: Organization) -> Callable[..., Finding]:
    """Of a clinic that speaks to nobody outside, what only the outside needs may be missing."""
    return warning if clinic.sandbox else missing


def _calendars(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    rows = calendars.list_of_clinic(session, clinic.id)
    if not rows:
        yield missing(
            "calendar",
            "there is none",
            f'flask calendar add {clinic.id} cal-1 --name "Main diary" --zone Europe/London'
            ' --hours "mon-fri 09:00-17:00"',
        )
    for row in rows:
        change = f"flask calendar set {clinic.id} {row.id}"
        try:
            ZoneInfo(row.time_zone)
        except (ValueError, OSError, LookupError):
            yield missing(f"calendar {row.id}", f"no such zone: {row.time_zone}", f"{change} --zone …")
            continue
        if not any(row.hours.values()):
            yield missing(f"calendar {row.id}", "it is never open", f'{change} --hours "mon-fri 09:00-17:00"')
        else:
            yield ok(f"calendar {row.id}", f"{row.time_zone}, {len(row.hours)} days a week")


def _credentials(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    last_used, live = session.execute(
        select(func.max(VapiCredential.last_used_at), func.count()).where(
            VapiCredential.org_id == clinic.id, VapiCredential.revoked_at.is_(None)
        )
    ).one()
    if not live:
        yield _required(clinic)(
            "Vapi credential",
            "there is none: every tool call is refused, but in development",
            f"flask credential add {clinic.id}",
        )
    elif last_used is None:
        yield _required(clinic)("Vapi credential", "never used", "enter it in Vapi, then ring the agent")
    else:
        yield ok("Vapi credential", f"{live} live, last used {last_used:%Y-%m-%d %H:%M} UTC")


def _twilio(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    change = f"flask twilio set {clinic.id}"
    if not row.twilio_account_sid:
        yield missing("Twilio account", "none is set", f"{change} --account-sid AC…")
    elif not (row.twilio_auth_token_sealed or (row.twilio_api_key_sid and row.twilio_api_key_secret_sealed)):
        yield missing(
            "Twilio account", "it has neither an auth token nor an API key", f"{change} --auth-token-stdin"
        )
    else:
        yield from _asked_twilio(row, change)
        if not row.twilio_auth_token_sealed:
            yield warning(
                "Twilio auth token",
                "there is none, and Twilio signs with it: incoming requests cannot be checked",
                f"{change} --auth-token-stdin",
            )
    if row.twilio_from_number or row.twilio_messaging_service_sid:
        yield ok("sender", row.twilio_messaging_service_sid or row.twilio_from_number or "")
    else:
        yield missing("sender", "SMS come from nobody", f"{change} --from +44…")
    sender = senders.get_or_none(session, clinic.id)
    if sender and sender.stopped_at:
        yield missing(
            "sender",
            f"Twilio refuses it since {sender.stopped_at:%Y-%m-%d %H:%M} UTC: {sender.stopped_reason}",
            f"put it right at Twilio, or set it anew: {change} …",
        )
    yield from _secrets(session, clinic)


def _asked_twilio(row: IntegrationSettings, change: str) -> Findings:
    try:
        answer, heard = outside.ask_twilio(row)
    except sealing.CannotUnseal:
        return  # told among the stored secrets
    what = "auth token"
    again = f"{change} --auth-token-stdin"
    if row.twilio_api_key_sid and row.twilio_api_key_secret_sealed:
        what, again = f"API key {row.twilio_api_key_sid}", f"{change} --api-key-secret-stdin"
    match answer:
        case outside.Answer.TAKEN:
            yield ok("Twilio account", f"{row.twilio_account_sid}, and Twilio takes its {what}")
        case outside.Answer.NOT_ASKED:
            yield warning(
                "Twilio account",
                f"{row.twilio_account_sid}; Twilio could not be asked whether it takes its {what} ({heard})",
                "look again once this machine reaches Twilio",
            )
        case _:
            yield missing(
                "Twilio account", f"{row.twilio_account_sid}: Twilio refuses its {what} ({heard})", again
            )


def _secrets(session: Session, clinic: Organization) -> Findings:
    found = sealed_columns.find(session, clinic.id)
    former = 0
    for stored in found:
        sealed = sealed_columns.get(session, stored) or ""
        try:
            sealing.unseal(stored.org_id, stored.column.purpose, sealed)
        except sealing.CannotUnseal:
            yield missing(
                "stored secrets",
                f"{stored} cannot be opened",
                "name the SECRET_KEY it was sealed with in FORMER_SECRET_KEYS, or set this secret anew",
            )
            continue
        former += not sealing.is_current(sealed)
    if former:
        yield warning("stored secrets", f"{former} hang on a former SECRET_KEY", "flask secrets rotate")
    elif found:
        yield ok("stored secrets", f"{len(found)} sealed")


def _alert_phone(_: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    change = f"flask organization set {clinic.id} --alert-phone …"
    number = row.hot_lead_alert_phone
    if not number:
        yield missing("hot lead alert phone", "none is set", change)
        return
    try:
        same = phones.e164(number, region=clinic.region, sandbox=clinic.sandbox) == number
    except phones.ImpossibleNumber as error:
        yield missing("hot lead alert phone", f"{number}: {error}", change)
        return
    yield (
        ok("hot lead alert phone", number)
        if same
        else missing("hot lead alert phone", f"{number} is not in the form +44…", change)
    )


def _assistant(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    mend = f"flask vapi assistant {clinic.id} --push"
    if not row.vapi_assistant_id:
        yield _required(clinic)("assistant", "it was never pushed to Vapi", mend)
        return
    try:
        current = assistant.is_pushed(row, assistant.wanted(session, clinic, row))
    except (NoCalendar, sealing.CannotUnseal):
        return  # told at the calendar, or among the stored secrets
    if not row.vapi_api_key_sealed:
        yield warning(
            "assistant",
            f"{row.vapi_assistant_id}; without an API key of Vapi's it cannot be kept as it should be",
            f"flask organization vapi {clinic.id} --api-key-stdin",
        )
    elif current:
        yield from _asked_vapi(clinic, row, mend)
    else:
        yield _required(clinic)(
            "assistant", f"{row.vapi_assistant_id} is not as it would be pushed now", mend
        )


def _asked_vapi(clinic: Organization, row: IntegrationSettings, mend: str) -> Findings:
    answer, heard = outside.ask_vapi(row)
    pushed = f"{row.vapi_assistant_id}, pushed as it should be, made for {clinic.id}"
    match answer:
        case outside.Answer.TAKEN:
            yield ok("assistant", f"{pushed}, and Vapi has it")
        case outside.Answer.NOT_ASKED:
            yield warning(
                "assistant",
                f"{pushed}; Vapi could not be asked whether it has it ({heard})",
                "look again once this machine reaches Vapi",
            )
        case outside.Answer.REFUSED:
            yield _required(clinic)(
                "assistant",
                f"{row.vapi_assistant_id}: Vapi refuses the API key ({heard})",
                f"flask organization vapi {clinic.id} --api-key-stdin",
            )
        case _:
            yield _required(clinic)(
                "assistant", f"Vapi has no assistant {row.vapi_assistant_id} ({heard})", f"{mend} --force"
            )


def _staff(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    people = session.scalar(
        select(func.count()).where(
            StaffUser.org_id == clinic.id,
            StaffUser.disabled_at.is_(None),
            StaffUser.password_hash.is_not(None),
        )
    )
    if people:
        yield ok("staff", f"{people} may sign in")
    else:
        yield _required(clinic)(
            "staff", "nobody may sign in", f"flask staff add {clinic.id} EMAIL --name … --role owner"
        )


def _sms(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    look = f"flask sms trouble {clinic.id}"
    last_week: ColumnElement[bool] = SmsMessage.created_at > func.now() - text("interval '7 days'")
    by_status: dict[SmsStatus, int] = {
        row.status: row.number
        for row in session.execute(
            select(SmsMessage.status, func.count().label("number"))
            .where(SmsMessage.org_id == clinic.id, last_week)
            .group_by(SmsMessage.status)
        )
    }
    went_out = sum(by_status.get(status, 0) for status in (SmsStatus.SENT, SmsStatus.DELIVERED))
    ever = went_out or session.scalar(
        select(func.count()).where(SmsMessage.org_id == clinic.id, SmsMessage.sent_at.is_not(None))
    )
    if went_out:
        yield ok("SMS of the last 7 days", f"{went_out} went out")
    else:  # a clinic may be on holiday; one from which none ever went was not tried
        yield (warning if ever else _required(clinic))(
            "SMS of the last 7 days", "none went out", "ring the agent and book, from your own telephone"
        )
    for status in (SmsStatus.FAILED, SmsStatus.UNDELIVERED, SmsStatus.UNKNOWN):
        if number := by_status.get(status):
            yield warning(f"SMS {status.value}", f"{number} in the last 7 days", look)
    waiting = session.scalar(
        select(func.count()).where(
            SmsMessage.org_id == clinic.id,
            SmsMessage.status == SmsStatus.QUEUED,
            SmsMessage.next_attempt_at < func.now() - text("interval '1 minute'"),
        )
    )
    if waiting:
        yield warning("SMS waiting", f"{waiting} are due for more than a minute", look)


def _booking(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    """The test booking, end to end: an appointment whose confirmation arrived."""
    delivered = session.scalar(
        select(func.max(SmsMessage.delivered_at))
        .join(Appointment, Appointment.confirmation_message_id == SmsMessage.id)
        .where(
            SmsMessage.org_id == clinic.id,
            SmsMessage.kind == SmsKind.CONFIRMATION,
            SmsMessage.status == SmsStatus.DELIVERED,
        )
    )
    if delivered:
        yield ok("test booking", f"a confirmation was delivered on {delivered:%Y-%m-%d %H:%M} UTC")
        return
    booked = session.scalar(select(func.count()).where(Appointment.org_id == clinic.id))
    yield _required(clinic)(
        "test booking",
        f"{booked} appointments, and no confirmation of theirs is known to have arrived"
        if booked
        else "there is no appointment yet",
        "is PUBLIC_BASE_URL what Twilio can reach? Receipts come there"
        if booked
        else "ring the agent, book, and read the SMS",
    )


def _hot_leads(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    alerted = session.scalar(
        select(func.max(HotLeadAlert.alert_sent_at)).where(HotLeadAlert.org_id == clinic.id)
    )
    seconds = 300 if row.hot_lead_min_duration is None else row.hot_lead_min_duration
    if alerted:
        yield ok("hot lead alert", f"the last one went out on {alerted:%Y-%m-%d %H:%M} UTC")
    else:
        yield warning(
            "hot lead alert",
            "none has gone out yet",
            "ring the agent, want a treatment soon, book it, and talk for more than"
            f" {seconds} seconds; what calls so far scored:"
            f" flask leads rescore {clinic.id} --dry-run",
        )


#: So many reports without facts are no chance.
_ENOUGH_REPORTS = 5


def _facts(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    """Whether the platform sends what scores are made of."""
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


def _lead_rules(_: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    if not clinic.lead_rules:
        return
    try:
        leads.own_rules(clinic, row)
    except ValueError:
        yield missing(
            "lead rules",
            "the clinic's own cannot be used, so calls are scored by the usual ones",
            f"flask leads rules {clinic.id} --from FILE, or --reset",
        )
    else:
        yield ok("lead rules", "the clinic's own are in force")


def _limits(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    low = clinic_limits.find_low(session, clinic.id)
    if not low:
        yield ok("limits of the clinic", "less than half of each is used")
    for each in low:
        yield warning(
            f"limit {each.limit.name}",
            f"{each.part:.0%} used. {each.says}",
            f"flask organization set {clinic.id} {each.limit.option} N, if these are patients;"
            " else docs/operations.md, A clinic's codes run low",
        )


def _monitoring(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    for statement in MONITORING.values():
        session.execute(
            text(statement.replace("'YOUR_ORG_ID'", "CAST(:org_id AS uuid)")), {"org_id": clinic.id}
        )
    yield ok("monitoring queries", ", ".join(MONITORING))


CLINIC_CHECKS = (
    _calendars,
    _credentials,
    _twilio,
    _alert_phone,
    _assistant,
    _staff,
    _sms,
    _limits,
    _booking,
    _hot_leads,
    _facts,
    _lead_rules,
    _monitoring,
)
