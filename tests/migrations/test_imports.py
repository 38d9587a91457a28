"""What was imported goes down to the schema before it, and up again: booked and blocked, and no trouble."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
from alembic import command
from alembic.config import Config

from models.base.session import transaction
from models.booking.imports import matching, putting
from models.booking.imports.entries import Kind
from models.clinics import calendars
from models.clinics.organizations import Organization
from tests.concurrency.databases import new_database
from tests.factories import create_clinic
from tests.places import ROOT
from tests.surroundings import environment

BEFORE = "0029_worth"


def test_imported_appointments_and_blocks_go_down_and_up(database_url: str) -> None:
    config = Config(str(ROOT / "alembic.ini"))
    day = (datetime.now(UTC) + timedelta(days=14)).date()
    data = (
        "Date,Time,Duration,Name,Mobile,With\n"
        f"{day},09:00,30,Anna,07700 900101,cal-1\n"
        f"{day},10:00,30,Ben,,cal-1\n"
    )
    with new_database(database_url) as url, environment(DATABASE_URL=url):
        command.upgrade(config, "head")
        org = uuid.UUID(create_clinic(calendar={"service_names": ("Check-up",)}))
        with transaction(org) as session:
            clinic = session.get_one(Organization, org)
            file = matching.ground(session, clinic).read(data.encode(), Kind.CSV)
            choices = matching.guess(session, org, file)
            zone = calendars.zone(session, org)
            report = putting.put(session, clinic, file, choices, zone, booker="staff jo", seen=None)
            assert (len(report.appointments), len(report.blocks)) == (1, 1)
        with psycopg.connect(url, autocommit=True, options="-c app.scope=system") as sql:
            command.downgrade(config, BEFORE)
            assert sql.execute("SELECT booked_by, booker, patient_name FROM appointments").fetchall() == [
                ("desk", "staff jo", "Anna")
            ]
            assert sql.execute("SELECT reason FROM blocks").fetchall() == [("Ben (no telephone number)",)]
            assert sql.execute("SELECT count(*) FROM sms_trouble").fetchall() == [(0,)]
            command.upgrade(config, "head")
            assert sql.execute("SELECT count(*) FROM occupancies").fetchall() == [(2,)]
