"""`flask doctor ORG_ID` walks the deployment checklist: it says what is missing, and how to mend it."""

from __future__ import annotations

import uuid
from dataclasses import asdict

import click

from models.base.session import transaction
from models.clinics import organizations
from models.clinics.organizations import IntegrationSettings
from webapp.cli.common import actor, as_json, at, print_json, spoken_errors
from webapp.cli.doctor import machine, provider, set_up, traffic, vapi
from webapp.cli.doctor.findings import Finding, Findings, State


@click.command("doctor")
@click.argument("org_id", type=click.UUID)
@as_json
def doctor(org_id: uuid.UUID, *, as_json: bool) -> None:
    """Walk the deployment checklist for ORG_ID. Exit 1 if anything required is missing."""
    findings = list(examine(org_id))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            _say(finding)
        click.echo(
            "not checked: whether monitoring watches for failed SMS, and whether the team knows the system"
        )
    lacking = sum(finding.state is State.MISSING for finding in findings)
    if lacking:
        raise click.ClickException(f"{lacking} missing")


def _say(finding: Finding) -> None:
    colours = {State.OK: "green", State.MISSING: "red", State.WARNING: "yellow"}
    state = click.style(f"{finding.state.value:8}", fg=colours[finding.state])
    click.echo(f"{state} {finding.what}{': ' + finding.why if finding.why else ''}")
    if finding.mend:
        click.echo(f"{'':8} -> {finding.mend}")


def examine(org_id: uuid.UUID) -> Findings:
    """All findings, in the best order for mending them."""
    yield from machine.check_surroundings()
    database = list(machine.check_database())
    yield from database
    yield from machine.check_redis_and_workers()
    if any(finding.state is State.MISSING for finding in database):
        return  # the checks of the clinic need the database
    with at(org_id):
        pass  # an unknown clinic is one error, and not an error of each check
    for check in CLINIC_CHECKS:
        with spoken_errors(), transaction(org_id, actor=actor()) as session:
            clinic = organizations.get_or_none(session, org_id)
            row = organizations.get_integration_settings(session, org_id)
            if clinic:
                yield from list(check(session, clinic, row or IntegrationSettings(org_id=org_id)))


CLINIC_CHECKS = (
    set_up.check_calendars,
    set_up.check_diary,
    set_up.check_feeds,
    vapi.check_credentials,
    provider.check_provider,
    set_up.check_alert_phone,
    vapi.check_assistant,
    set_up.check_staff,
    traffic.check_sms,
    set_up.check_limits,
    traffic.check_booking,
    traffic.check_hot_leads,
    vapi.check_facts,
    set_up.check_lead_rules,
    traffic.check_monitoring,
)
