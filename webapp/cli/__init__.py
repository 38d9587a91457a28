"""Commands for operators: `flask …`, with the settings of the application. One file per subject."""

from __future__ import annotations

from copy import copy

from flask import Flask
from flask.cli import with_appcontext

from webapp.cli import (
    assistant,
    audit,
    blocks,
    calendars,
    closures,
    credentials,
    diary,
    doctor,
    feeds,
    holds,
    holidays,
    imports,
    leads,
    organizations,
    patients,
    published,
    resources,
    secrets,
    services,
    sms,
    staff,
    twilio,
)

COMMANDS = (
    organizations.organization,
    resources.resource,
    services.service,
    calendars.calendar,
    closures.closure,
    holidays.holidays,
    blocks.block,
    feeds.feed,
    diary.diary,
    published.published_calendar,
    credentials.credential,
    twilio.twilio,
    staff.staff,
    audit.audit,
    sms.sms,
    secrets.secrets,
    patients.patient,
    doctor.doctor,
    assistant.vapi,
    leads.leads,
    holds.hold,
    imports.import_,
)


def register(app: Flask) -> None:
    """Add the commands. Each enters the application's context, which `app.cli` by itself does not."""
    for command in COMMANDS:
        inside = copy(command)
        inside.callback = command.callback and with_appcontext(command.callback)
        app.cli.add_command(inside)
