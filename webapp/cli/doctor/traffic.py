"""The checks of a clinic's traffic: SMS, bookings, alerts, and the monitoring queries."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.orm import Session

from models.booking.appointments import Appointment
from models.clinics.organizations import IntegrationSettings, Organization
from models.leads.leads import HotLeadAlert
from models.messaging.messages import SmsMessage
from models.messaging.states import SmsKind, SmsStatus
from webapp.cli.doctor.findings import Findings, ok, required, warning

#: The queries of the quick reference, word for word: a test compares them.
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


def check_sms(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
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
    else:  # a clinic on holiday sends no SMS, but a clinic that never sent any was never tried
        yield (warning if ever else required(clinic))(
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
        yield warning("SMS waiting", f"{waiting} have been due for more than a minute", look)


def check_booking(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    """Whether a test booking went through end to end: an appointment whose confirmation arrived."""
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
    yield required(clinic)(
        "test booking",
        f"of {booked} appointments, no confirmation is known to have arrived"
        if booked
        else "there is no appointment yet",
        "check that Twilio can reach PUBLIC_BASE_URL: it sends receipts there"
        if booked
        else "ring the agent, book, and read the SMS",
    )


def check_hot_leads(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
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
            "ring the agent, ask for a treatment soon, book it, and talk for more than"
            f" {seconds} seconds; how the calls so far score:"
            f" flask leads rescore {clinic.id} --dry-run",
        )


def check_monitoring(session: Session, clinic: Organization, _: IntegrationSettings) -> Findings:
    for statement in MONITORING.values():
        session.execute(
            text(statement.replace("'YOUR_ORG_ID'", "CAST(:org_id AS uuid)")), {"org_id": clinic.id}
        )
    yield ok("monitoring queries", ", ".join(MONITORING))
