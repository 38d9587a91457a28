"""/dashboard/settings/team."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings.owners import blueprint


@blueprint.get("/team")
def team() -> ResponseReturnValue:
    return render_template("dashboard/settings/team.html")
