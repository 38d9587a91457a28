"""/dashboard/patients: find a patient; what the clinic has of one; export and erase it."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import clock
from models.base.erased import is_erased
from models.clinics.staff import StaffRole
from models.insight import patients, privacy
from webapp.staff import given
from webapp.staff.guard import blueprint, in_clinic, signed


@blueprint.get("/patients")
def find_patients() -> ResponseReturnValue:
    sought = given.text("q", 80)
    found = in_clinic(lambda at, org_id: patients.search(at, org_id, sought)) if sought else None
    return render_template("dashboard/patients.html", found=found, sought=sought, lit="diary")


@blueprint.get("/patients/<uuid:contact_id>")
def patient(contact_id: uuid.UUID) -> ResponseReturnValue:
    found, now = in_clinic(lambda at, org_id: (_known(at, org_id, contact_id), clock.now(at)))
    return render_template(
        "dashboard/patient.html",
        found=found,
        now=now,
        may_erase=signed().role is StaffRole.OWNER,
        lit="diary",
    )


@blueprint.get("/patients/<uuid:contact_id>.json")
def patient_json(contact_id: uuid.UUID) -> ResponseReturnValue:
    """Everything that the clinic holds about the number, for the patient who asks for it."""

    def export(at: Session, org_id: uuid.UUID) -> tuple[str, dict[str, object]]:
        phone = _known(at, org_id, contact_id).contact.phone
        return phone, privacy.export(at, org_id, [phone])

    phone, about = in_clinic(export)
    response = jsonify({"clinic": signed().clinic, "phone": phone, **about})
    response.headers["Content-Disposition"] = "attachment; filename=patient.json"
    return response


@blueprint.post("/patients/<uuid:contact_id>/erase")
def erase(contact_id: uuid.UUID) -> ResponseReturnValue:
    """Erase name, number and words everywhere. There is no way back; only owners may (guard.FOR_OWNERS)."""

    def work(at: Session, org_id: uuid.UUID) -> str | None:
        phone = _known(at, org_id, contact_id).contact.phone
        try:
            privacy.erase(at, org_id, [phone], cancel="cancel" in request.form)
        except privacy.StillExpected:
            return (
                "the patient is expected: cancel the appointments to come, too, or wait until they are over"
            )
        except privacy.BeingSent:
            return "a text to the patient is being sent at this moment; try again in a minute"
        return None

    def is_erased_now(at: Session, why_not: str | None) -> bool:
        found = patients.find(at, org_id=signed().org_id, contact_id=contact_id)
        return why_not is None and (found is None or is_erased(found.contact.phone))

    why_not = in_clinic(work, happened=is_erased_now)
    if why_not:
        flash(f"Nothing was erased: {why_not}.", "not_done")
        return redirect(url_for("dashboard.patient", contact_id=contact_id), HTTPStatus.SEE_OTHER)
    flash("Erased: name, number and words are gone everywhere.", "done")
    return redirect(url_for("dashboard.find_patients"), HTTPStatus.SEE_OTHER)


def _known(at: Session, org_id: uuid.UUID, contact_id: uuid.UUID) -> patients.Patient:
    found = patients.find(at, org_id, contact_id)
    if found is None or is_erased(found.contact.phone):
        abort(HTTPStatus.NOT_FOUND)
    return found
