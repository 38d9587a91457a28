"""/dashboard/settings/calendars."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings import feeds_in
from webapp.staff.settings.owners import blueprint


@blueprint.get("/calendars")
def calendars() -> ResponseReturnValue:
    return render_template("dashboard/settings/calendars.html", **feeds_in.context())
