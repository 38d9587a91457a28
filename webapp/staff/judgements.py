"""“Worth the call?” on a lead, and the page's figures of what the staff answered."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from models.clinics import calendars
from models.insight import lead_record, reports
from models.leads import judgements
from webapp.staff import addresses, csv_files
from webapp.staff.guard import blueprint, in_clinic, signed

_SAID = {"yes": True, "no": False, "unsaid": None}


@blueprint.post("/leads/<path:call_id>/worth-the-call")
def judge(call_id: str) -> ResponseReturnValue:
    """Note a judgement, once however often it is pressed; `unsaid` takes an answer back.

    A script gets the form as it is now; a browser without scripts is sent back to where it was.
    """
    if request.form.get("worth") not in _SAID:
        abort(HTTPStatus.BAD_REQUEST)
    worth_call = _SAID[request.form["worth"]]

    def note(at: Session, org_id: uuid.UUID) -> reports.CallDetails | None:
        known = addresses.known(call_id)
        if worth_call is None:
            judgements.take_back(at, org_id, known)
        else:
            judgements.record(at, org_id, known, worth_call=worth_call, by=signed().id)
        return reports.find_call(at, org_id, known)

    found = in_clinic(note)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    noted = found.row.worth_call is worth_call
    if noted and "HX-Request" in request.headers:
        here = {"from": request.args.get("from", ""), **addresses.kept()}
        return render_template(
            "dashboard/worth_form.html", row=found.row, here=here, in_list="in_list" in request.form
        )
    if not noted:
        flash("Not noted: a call without a score, or of an erased patient, is not judged.", "not_done")
    return redirect(_back_to(call_id), HTTPStatus.SEE_OTHER)


def _back_to(call_id: str) -> str:
    """The row of the list, or the page of the call, in which the button was pressed."""
    if "in_list" in request.form:
        return url_for("dashboard.leads", **addresses.kept(), _anchor=f"lead-{call_id}")
    return url_for("dashboard.lead", call_id=call_id, **addresses.came()["here"])


@blueprint.get("/lead-record.csv")
def lead_record_csv() -> ResponseReturnValue:
    months = in_clinic(lambda at, org_id: lead_record.by_month(at, org_id, zone=calendars.zone(at, org_id)))
    return csv_files.answer("lead-record", csv_files.MONTHS, map(csv_files.month, months))
