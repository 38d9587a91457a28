"""The application that gunicorn and the flask command load."""

from __future__ import annotations

import settings
from webapp import create_app

settings.get_or_exit()
app = create_app()
