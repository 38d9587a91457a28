"""/dashboard/settings/phone."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings.owners import blueprint


@blueprint.get("/phone")
def phone() -> ResponseReturnValue:
    return render_template("dashboard/settings/phone.html")
