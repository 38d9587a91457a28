"""What gunicorn and the flask command serve."""

from __future__ import annotations

import sys

import settings
from webapp import create_app

try:
    app = create_app()
except settings.SettingsError as error:
    sys.exit(str(error))
