"""/dashboard/patients: find a patient; what the clinic has of one; notes; export and erase it."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.base import clock
from models.base.erased import is_erased
from models.clinics import patient_notes
from models.clinics.staff import StaffRole
from models.insight import patients, privacy
from models.messaging.states import Cause
from webapp.staff import given, sought
from webapp.staff.guard import blueprint, in_clinic, signed


@blueprint.get("/patients")
def find_patients() -> ResponseReturnValue:
    words, skip = sought.words(), request.args.get("skip", type=int) or 0
    found = in_clinic(lambda at, org_id: patients.search(at, org_id, words, skip=skip)) if words else None
    return render_template("dashboard/patients.html", found=found, words_sought=words, lit="diary")


@blueprint.post("/patients")
def seek_patients() -> ResponseReturnValue:
    """Only look, for which a form is sent all the same (webapp/staff/sought.py); so everybody may."""
    return redirect(url_for("dashboard.find_patients", sought=sought.to_address()), HTTPStatus.SEE_OTHER)


@blueprint.get("/patients/<uuid:contact_id>")
def patient(contact_id: uuid.UUID) -> ResponseReturnValue:
    return _page(contact_id)


def _page(contact_id: uuid.UUID, body: str = "") -> str:
    """The patient's page, with the words of a note that could not be kept."""
    found, now = in_clinic(lambda at, org_id: (_known(at, org_id, contact_id), clock.now(at)))
    return render_template(
        "dashboard/patient.html",
        found=found,
        now=now,
        body=body,
        once=uuid.uuid4(),
        longest=patient_notes.LONGEST,
        imported=Cause.IMPORTED,
        may_erase=signed().role is StaffRole.OWNER,
        lit="diary",
    )


@blueprint.post("/patients/<uuid:contact_id>/notes")
def write_note(contact_id: uuid.UUID) -> ResponseReturnValue:
    """Keep a note about the patient, or take one away."""
    away = given.row_id("away")
    body = request.form.get("body", "").replace("\x00", "").replace("\r\n", "\n").strip()

    def work(at: Session, org_id: uuid.UUID) -> str | None:
        _known(at, org_id, contact_id)
        if away:
            removed = patient_notes.remove(at, org_id, contact_id, away)
            return None if removed else "it was taken away before"
        try:
            patient_notes.write(
                at,
                org_id=org_id,
                contact_id=contact_id,
                body=body,
                writer=signed().actor,
                form=given.row_id("once"),
            )
        except ValueError as problem:
            return str(problem)
        return None

    # Both may run twice: the same words of the same form are kept once.
    problem = in_clinic(work)
    if problem:
        flash(f"Nothing was changed: {problem}.", "not_done")
        if body and not away:
            return _page(contact_id, body), HTTPStatus.BAD_REQUEST
    else:
        flash("The note was taken away." if away else "Noted.", "done")
    where = url_for("dashboard.patient", contact_id=contact_id, _anchor="notes")
    return redirect(where, HTTPStatus.SEE_OTHER)


@blueprint.get("/patients/<uuid:contact_id>.json")
def patient_json(contact_id: uuid.UUID) -> ResponseReturnValue:
    """Everything that the clinic holds about the number, for the patient who asks for it."""
    if signed().role is StaffRole.READ_ONLY:
        abort(HTTPStatus.FORBIDDEN, "Only the desk and the owners of the clinic may download that.")

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
