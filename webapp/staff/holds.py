"""Giving back unproved holds: one, or all of one caller or credential."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from flask import abort, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from models.booking import unproved_holds
from webapp.staff import addresses
from webapp.staff.guard import blueprint, in_clinic


@blueprint.post("/holds/<uuid:hold_id>/give-back")
def give_back(hold_id: uuid.UUID) -> ResponseReturnValue:
    """Give one hold back. Does nothing if it was given back before, or a code has been asked for."""
    return _told(in_clinic(lambda at, org_id: unproved_holds.give_back(at, org_id, hold_id=hold_id)))


@blueprint.post("/holds/give-back")
def give_back_all() -> ResponseReturnValue:
    """Give back all unproved holds of the caller or of the credential that the form names."""
    caller = request.form.get("caller", "").replace("\x00", "") or None
    try:
        credential_id = uuid.UUID(request.form["credential"]) if "credential" in request.form else None
    except ValueError:
        credential_id = None
    if (caller is None) == (credential_id is None):
        abort(HTTPStatus.BAD_REQUEST)
    return _told(
        in_clinic(
            lambda at, org_id: unproved_holds.give_back(
                at, org_id, caller=caller, credential_id=credential_id
            )
        )
    )


def _told(count: int) -> ResponseReturnValue:
    if count:
        flash(f"Done: {'one time was' if count == 1 else f'{count} times were'} given back.", "done")
    else:
        flash("Nothing was given back: it is over already, or a code was sent for it meanwhile.", "not_done")
    return redirect(url_for("dashboard.live_page", **addresses.kept()), HTTPStatus.SEE_OTHER)
