"""The door of the settings: owners only, whether they look or change; and what a change says afterwards."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from flask import Blueprint, abort, flash
from sqlalchemy.orm import Session

from models.booking.hours import Impossible
from models.booking.set_up_change import SetUpChange
from models.clinics.staff import StaffRole
from webapp.staff import shown
from webapp.staff.guard import in_clinic, signed
from webapp.unit_of_work import repeatable

T = TypeVar("T")

#: Within the dashboard's blueprint, whose checks come first: its endpoints are dashboard.settings.<name>.
blueprint = Blueprint("settings", __name__, url_prefix="/settings")

#: How many notes of one change are shown: they travel in a cookie, for which browsers have 4 KB.
MOST_NOTES = 4

#: The pages by endpoint, in the order of the tabs.
PAGES = (
    ("overview", "First steps"),
    ("people", "People and rooms"),
    ("services", "Services"),
    ("phone", "Telephone"),
    ("closures", "Closed days"),
    ("calendars", "Other calendars"),
    ("importing", "Import"),
    ("clinic", "Clinic"),
    ("team", "Team"),
    ("record", "Record of changes"),
)


@blueprint.before_request
def _check() -> None:
    if signed().role is not StaffRole.OWNER:
        abort(HTTPStatus.FORBIDDEN, "Only an owner of the clinic may see and change its settings.")


@blueprint.context_processor
def _for_settings() -> dict[str, object]:
    return {"pages": PAGES}


def change(
    work: Callable[[Session, uuid.UUID, SetUpChange], T],
    done: str,
    *,
    happened: Callable[[Session, T], bool | None] = repeatable,
) -> T | None:
    """Make one change in one transaction; the next page says that it is `done`, and what it left behind.

    `work` calls `done` of its SetUpChange with the appointments that the change has left standing. If it
    raises Impossible, nothing is changed, the next page says why, and the answer is None.
    """
    made: list[SetUpChange] = []

    def within(at: Session, org_id: uuid.UUID) -> T:
        made[:] = [SetUpChange(at, org_id)]
        return work(at, org_id, made[0])

    try:
        result = in_clinic(within, happened=happened)
    except Impossible as problem:
        said = str(problem)
        flash(f"Nothing was changed: {said}{'' if said.endswith('.') else '.'}", "not_done")
        return None
    flash(done, "done")
    if count := len({each.appointment.id for each in made[0].standing}):
        which = "1 appointment stands" if count == 1 else f"{count} appointments stand"
        flash(f"{which} that would no longer be offered. Ring the patients, or move them.", "stands")
    notes = made[0].notes
    for note in notes[:MOST_NOTES]:
        flash(shown.sentence(note), "not_done")
    if len(notes) > MOST_NOTES:
        flash(f"First steps has {len(notes) - MOST_NOTES} more things that offer nothing now.", "not_done")
    return result
