"""What gunicorn and the flask command serve."""

from __future__ import annotations

import sys

import settings

try:
    from webapp import create_app  # already its modules read the settings

    app = create_app()
except settings.SettingsError as error:
    sys.exit(str(error))
