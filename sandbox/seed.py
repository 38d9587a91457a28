"""The two demonstration clinics. A second run does not change existing rows."""

from __future__ import annotations

import os
import uuid

from sqlalchemy.dialects.postgresql import insert

from models.base import sealing
from models.base.session import Door, system_transaction
from models.booking import set_up
from models.clinics import calendars, organizations, staff
from models.clinics.organizations import IntegrationSettings, Organization
from models.clinics.staff import StaffRole

LONDON = uuid.UUID("a0000000-0000-4000-8000-000000000001")
NEW_YORK = uuid.UUID("a0000000-0000-4000-8000-000000000002")
CALENDAR = "cal-1"
TWILIO_ACCOUNT = "AC" + "5a" * 16
TWILIO_TOKEN = "sandbox-auth-token"  # noqa: S105 (the sandbox takes any token; it signs with the one it is sent)

#: Signs in at /dashboard of the London clinic. Both clinics exist in the sandbox only.
OWNER = "owner@brightsmile.example"
OWNER_PASSWORD = os.environ.get("DEMO_PASSWORD") or "bright smile demo"

_EVERY_DAY = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Wide enough for load tests, in which one telephone asks for many codes.
_NO_LIMIT = 1_000_000


def main() -> None:
    _clinic(
        LONDON,
        name="Bright Smile Dental",
        phone="+442079460958",
        region="GB",
        sender="+447700900001",
        time_zone="Europe/London",
        days=_EVERY_DAY,
        services=["check-up", "cleaning", "whitening", "implants", "emergency"],
    )
    _owner(LONDON)
    _clinic(
        NEW_YORK,
        name="Hudson Skin Clinic",
        phone="+12125550142",
        region="US",
        sender="+12125550143",
        time_zone="America/New_York",
        days=_EVERY_DAY[:5],
        services=["consultation", "skin check", "botox"],
    )


def _clinic(
    org_id: uuid.UUID,
    *,
    name: str,
    phone: str,
    region: str,
    sender: str,
    time_zone: str,
    days: tuple[str, ...],
    services: list[str],
) -> None:
    with system_transaction(Door.OPERATOR, actor="sandbox") as session:
        session.execute(
            insert(Organization)
            .values(
                id=org_id,
                name=name,
                phone=phone,
                region=region,
                sandbox=True,
                codes_per_hold=_NO_LIMIT,
                codes_per_call=_NO_LIMIT,
                codes_per_phone_a_day=_NO_LIMIT,
                codes_a_day=_NO_LIMIT,
                codes_per_caller_an_hour=_NO_LIMIT,
                wrong_codes_per_phone_a_day=_NO_LIMIT,
                holds_per_phone=_NO_LIMIT,
                moves_per_appointment_a_day=_NO_LIMIT,
                texts_per_phone_a_day=_NO_LIMIT,
                segments_a_day=_NO_LIMIT,
            )
            .on_conflict_do_nothing()
        )
        session.execute(
            insert(IntegrationSettings)
            .values(
                org_id=org_id,
                twilio_account_sid=TWILIO_ACCOUNT,
                twilio_auth_token_sealed=sealing.seal(org_id, "twilio_auth_token", TWILIO_TOKEN),
                twilio_from_number=sender,
                hot_lead_alert_phone=phone,
                hot_lead_alerts_an_hour=_NO_LIMIT,
            )
            .on_conflict_do_nothing()
        )
        if calendars.get_or_none(session, org_id, CALENDAR) is None:
            set_up.add_calendar(
                session,
                org_id=org_id,
                calendar_id=CALENDAR,
                name="Main diary",
                time_zone=time_zone,
                opening={day: [["09:00", "17:00"]] for day in days},
                service_names=services,
                horizon_days=730,
            )


def _owner(org_id: uuid.UUID) -> None:
    with system_transaction(Door.OPERATOR, actor="sandbox") as session:
        clinic = organizations.get_or_none(session, org_id)
        if clinic and clinic.sandbox and staff.find(session, org_id, OWNER) is None:
            user = staff.add(session, org_id=org_id, email=OWNER, name="Olivia Bright", role=StaffRole.OWNER)
            staff.set_password(user, OWNER_PASSWORD)


if __name__ == "__main__":
    main()
