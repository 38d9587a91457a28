"""/dashboard/settings: what to set up first, and what is still missing."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from webapp.staff.settings.owners import blueprint


@blueprint.get("", strict_slashes=False)
def overview() -> ResponseReturnValue:
    return render_template("dashboard/settings/overview.html")


@blueprint.get("/standing")
def standing() -> ResponseReturnValue:
    """The appointments that stand although nothing would offer them any more."""
    return render_template("dashboard/settings/standing.html")
