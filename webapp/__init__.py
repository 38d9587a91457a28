"""The synchronous half: tool calls, receipts, pages. A thin adapter over models/."""

from __future__ import annotations

import settings
from models.base import preconditions
from runtime import logs, preflight, telemetry
from webapp import cli, errors, proxies, security_headers, shares
from webapp.agents import platforms
from webapp.feeds import published
from webapp.ops import api_page, health, metrics, openapi
from webapp.patient import pages
from webapp.staff import pages as dashboard
from webapp.state import Application
from webapp.twilio import inbound, receipts


def create_app(config: settings.Settings | None = None) -> Application:
    """Build the application. Raises SettingsError when the environment is incomplete.

    With `config` the application uses these settings alone, so several can live in one process; without it,
    the process's settings. Logs and telemetry belong to the process: the application created last sets them.
    In production the process ends here if the database or Redis is set up so that a promise cannot be kept.
    """
    app = Application(__name__, config)
    with app.state.at_work():
        _set_up(app)
    return app


def _set_up(app: Application) -> None:
    logs.configure()
    preflight.refuse_to_start(preconditions.look_at_start)
    app.json.ensure_ascii = True  # type: ignore[attr-defined]  # so that any id that came in can be sent back
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.config["MAX_CONTENT_LENGTH"] = None  # webapp/agents/vapi reads at most max_body_bytes itself
    in_front = settings.get().proxies_in_front
    app.wsgi_app = proxies.BehindProxies(app.wsgi_app, in_front)  # type: ignore[method-assign]
    app.register_blueprint(health.blueprint)
    for platform in platforms.PLATFORMS:
        app.register_blueprint(platform.blueprint)
    app.register_blueprint(receipts.blueprint)
    app.register_blueprint(inbound.blueprint)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(published.blueprint)
    dashboard.register(app)
    app.register_blueprint(openapi.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.register_blueprint(api_page.blueprint)
    errors.register(
        app,
        {"/dashboard": dashboard.refused, "/a": pages.refused, "/calendar": published.refused},
        elsewhere=dashboard.refused,
    )
    security_headers.register(app)
    shares.register(app)
    cli.register(app)
    telemetry.configure("web", app)
