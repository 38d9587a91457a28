"""/dashboard/settings/people."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings.owners import blueprint


@blueprint.get("/people")
def people() -> ResponseReturnValue:
    return render_template("dashboard/settings/people.html")
