"""/dashboard/settings/record: who changed what in the clinic's settings, and when."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from flask import render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base.audit import AuditEntry
from models.clinics import record as record_of
from models.clinics import staff
from models.clinics.record import PAGE, About, Change
from models.clinics.staff import StaffUser
from webapp.staff import addresses, given
from webapp.staff.guard import in_clinic
from webapp.staff.settings.owners import blueprint

#: What the list can be limited to, in the order of the choice.
ABOUTS = (
    (About.SETTINGS, "Settings"),
    (About.DAILY, "Appointments, patients and calls"),
    (About.SIGN_IN, "Failed sign-ins"),
    (About.ALL, "Everything"),
)


@blueprint.get("/record")
def record() -> ResponseReturnValue:
    asked = request.args.get("about", "")
    about = About(asked) if asked in set(About) else About.SETTINGS
    wanted = given.row_id("who")

    def look(
        at: Session, org_id: uuid.UUID
    ) -> tuple[list[StaffUser], StaffUser | None, list[AuditEntry], list[Change]]:
        people = staff.list_of(at, org_id)
        who = next((user for user in people if user.id == wanted), None)
        rows = record_of.find(
            at,
            org_id,
            about=about,
            staff_email=who.email if who else None,
            after=_after(),
            most=PAGE + 1,
        )
        return people, who, rows, record_of.told(at, org_id, rows[:PAGE])

    people, who, rows, changes = in_clinic(look)
    return render_template(
        "dashboard/settings/record.html",
        people=people,
        who=who and who.id,
        about=about,
        abouts=ABOUTS,
        rows=rows[:PAGE],
        more=len(rows) > PAGE,
        changes=changes,
    )


def _after() -> tuple[datetime, int] | None:
    """Where the previous page ended."""
    after = addresses.after()
    if after is None or not re.fullmatch("[0-9]{1,18}", after.id):
        return None
    return after.created_at, int(after.id)
