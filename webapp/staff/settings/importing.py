"""/dashboard/settings/importing."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings.owners import blueprint


@blueprint.get("/importing")
def importing() -> ResponseReturnValue:
    return render_template("dashboard/settings/importing.html")
