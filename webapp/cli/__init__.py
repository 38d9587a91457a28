"""Commands for operators: `flask …`, with the settings of the web process. One file a subject."""

from __future__ import annotations

from flask import Flask

from webapp.cli import (
    assistant,
    calendars,
    credentials,
    doctor,
    holds,
    leads,
    organizations,
    patients,
    secrets,
    sms,
    staff,
    twilio,
)

COMMANDS = (
    organizations.organization,
    calendars.calendar,
    credentials.credential,
    twilio.twilio,
    staff.staff,
    sms.sms,
    secrets.secrets,
    patients.patient,
    doctor.doctor,
    assistant.vapi,
    leads.leads,
    holds.hold,
)


def register(app: Flask) -> None:
    for command in COMMANDS:
        app.cli.add_command(command)
