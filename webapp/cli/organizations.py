"""`flask organization …`: clinics, their limits, the alert phone, and how long data is kept."""

from __future__ import annotations

import uuid
from typing import Any

import click
import phonenumbers
from sqlalchemy import select

from models.base import sealing
from models.base.session import transaction
from models.clinics import limits
from models.clinics.limits import LEADS, LIMITS, PACE
from models.clinics.organizations import IntegrationSettings, Organization, integration_settings
from webapp.cli.common import (
    Words,
    actor,
    as_heard,
    as_json,
    at,
    everywhere,
    print_facts,
    print_json,
    print_rows,
    secret,
    spoken_errors,
    telephone,
    whole_numbers,
)


class Days(click.ParamType[int]):
    """A number of days, or `ever`, which becomes 0."""

    name = "days|ever"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return limits.days(str(value)) or 0
        except limits.Unfit as error:
            self.fail(str(error), param, ctx)


class Country(click.ParamType[str]):
    """An ISO 3166 code that telephone numbers can belong to."""

    name = "country"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        country = str(value).strip().upper()
        if country not in phonenumbers.SUPPORTED_REGIONS:
            self.fail(f"{value!r} is no country code such as GB or US", param, ctx)
        return country


same_name = click.option("--same-name", is_flag=True, help="Though there is a clinic of that name already.")


def _refuse_a_second(name: str, org_id: uuid.UUID | None = None) -> None:
    """Refuse another clinic's name, in any spelling: the operator most likely means that clinic."""
    with everywhere() as session:
        clinics = session.execute(
            select(Organization.id, Organization.name).order_by(Organization.created_at)
        ).all()
    # Compared here, because the database's locale would decide which letters count as the same.
    others = [each.id for each in clinics if each.id != org_id and as_heard(each.name) == as_heard(name)]
    if others:
        known = ", ".join(map(str, others))
        raise click.ClickException(
            f"there is a clinic called {name} already ({known}); give --same-name if this is another one"
        )


@click.group("organization")
def organization() -> None:
    """Clinics: make one, show it, change its limits."""


@organization.command("create")
@click.argument("name", type=Words())
@click.option("--region", type=Country(), required=True, help="Whose numbers need no country code: GB, US, …")
@click.option("--phone", required=True, help="Where patients ring to change an appointment.")
@click.option("--sandbox", is_flag=True, help="Its SMS go nowhere, and impossible numbers are taken.")
@same_name
def create(name: str, region: str, phone: str, *, sandbox: bool, same_name: bool) -> None:
    """Make a clinic called NAME, and print its id. `flask doctor` says what is still missing."""
    org_id = uuid.uuid4()
    clinic = Organization(id=org_id, name=name, region=region, sandbox=sandbox)
    clinic.phone = telephone(clinic, phone)
    if not same_name:
        _refuse_a_second(name)
    with spoken_errors(), transaction(org_id, actor=actor()) as session:
        session.add(clinic)
        session.flush()
        session.add(IntegrationSettings(org_id=org_id))
    click.echo(org_id)
    click.echo(f"next: flask doctor {org_id}", err=True)


@organization.command("list")
@as_json
def list_(*, as_json: bool) -> None:
    """Every clinic."""
    with everywhere() as session:
        clinics = session.scalars(select(Organization).order_by(Organization.created_at))
        rows = [
            {
                "id": clinic.id,
                "name": clinic.name,
                "region": clinic.region,
                "phone": clinic.phone,
                "sandbox": clinic.sandbox,
            }
            for clinic in clinics
        ]
    print_rows(rows, json_wanted=as_json, none="there is none yet: flask organization create NAME …")


@organization.command("show")
@click.argument("org_id", type=click.UUID)
@as_json
def show(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The settings of ORG_ID; for a secret only whether it is stored."""
    with at(org_id) as (session, clinic):
        facts = _facts(clinic, integration_settings(session, org_id))
    print_facts(facts, json_wanted=as_json)


def _facts(clinic: Organization, settings: IntegrationSettings) -> dict[str, object]:
    """What `show` prints; of a secret only whether it is stored."""
    return {
        "id": clinic.id,
        "name": clinic.name,
        "region": clinic.region,
        "phone": clinic.phone,
        "sandbox": clinic.sandbox,
        **{name: getattr(clinic, name) for name in LIMITS},
        "allowed_countries": clinic.countries,
        "landlines_allowed": clinic.landlines_allowed,
        "keep_words_days": clinic.keep_words_days or "ever",
        "keep_patients_days": clinic.keep_patients_days or "ever",
        "hot_lead_alert_phone": settings.hot_lead_alert_phone,
        **{name: getattr(settings, name) for name in LEADS | PACE},
        "sms_provider": settings.sms_provider,
        "twilio_account_sid": settings.twilio_account_sid,
        "twilio_auth_token": settings.twilio_auth_token_sealed is not None,
        "twilio_api_key_sid": settings.twilio_api_key_sid,
        "twilio_from_number": settings.twilio_from_number,
        "twilio_messaging_service_sid": settings.twilio_messaging_service_sid,
        "vapi_api_key": settings.vapi_api_key_sealed is not None,
        "vapi_credential_id": settings.vapi_credential_id,
        "vapi_phone_number_id": settings.vapi_phone_number_id,
        "vapi_assistant_id": settings.vapi_assistant_id,
    }


@organization.command("set")
@click.argument("org_id", type=click.UUID)
@click.option("--name", type=Words(), help="As patients read it in their SMS.")
@same_name
@click.option("--phone", help="Where patients ring to change an appointment.")
@click.option("--region", type=Country(), help="Whose numbers need no country code.")
@whole_numbers(LIMITS)
@click.option(
    "--allow-country",
    type=Country(),
    multiple=True,
    help="Codes go to these countries and no others; once for each one. GB is without JE, GG and IM here.",
)
@click.option(
    "--only-own-country",
    is_flag=True,
    help="Codes go to the region and what shares its numbering plan, as at first: GB with JE, GG and IM,"
    " US with its territories and CA.",
)
@click.option(
    "--landlines-allowed/--no-landlines-allowed",
    default=None,
    help="Codes also go to fixed lines and VoIP, and not to mobiles alone.",
)
@click.option("--keep-words-days", type=Days(), help="Answers and texts of SMS are erased after so long.")
@click.option("--keep-patients-days", type=Days(), help="A patient is erased so long after the last visit.")
@click.option("--alert-phone", help="Whose telephone hears of a hot lead; none: no telephone.")
@whole_numbers(LEADS | PACE)
@as_json
def set_(org_id: uuid.UUID, *, same_name: bool, as_json: bool, **given: Any) -> None:
    """Change the settings that are given, and nothing else."""
    countries, only_own = given.pop("allow_country"), given.pop("only_own_country")
    changed = {name: value for name, value in given.items() if value is not None}
    if countries and only_own:
        raise click.UsageError("--allow-country and --only-own-country exclude each other")
    if not (changed or countries or only_own):
        raise click.UsageError("nothing was given to change; see --help")
    if "name" in changed and not same_name:
        _refuse_a_second(changed["name"], org_id)
    with at(org_id) as (session, clinic):
        settings = integration_settings(session, org_id)
        if countries or only_own:
            clinic.allowed_countries = list(dict.fromkeys(countries))
        _put(clinic, settings, changed)
        facts = _facts(clinic, settings)
    if as_json:
        print_json(facts)
    else:
        click.echo("changed; see it with: flask organization show " + str(org_id))


def _put(clinic: Organization, settings: IntegrationSettings, changed: dict[str, Any]) -> None:
    clinic.region = changed.pop("region", clinic.region)  # first, since numbers are read by it
    for name, value in changed.items():
        if name == "phone":
            clinic.phone = telephone(clinic, value)
        elif name == "alert_phone":
            settings.hot_lead_alert_phone = _alert_phone(clinic, value)
        elif name in ("keep_words_days", "keep_patients_days"):
            setattr(clinic, name, value or None)
        else:
            setattr(settings if name in LEADS | PACE else clinic, name, value)


def _alert_phone(clinic: Organization, said: str) -> str | None:
    if said.strip().lower() == "none":
        return None
    try:
        return limits.alert_phone(clinic, said)
    except limits.Unfit as error:
        raise click.ClickException(str(error)) from None


@organization.command("vapi")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--credential-id", type=Words(), help="The credential in Vapi's keeping that it calls our tools with."
)
@click.option("--phone-number-id", type=Words(), help="The number in Vapi that the assistant answers.")
@click.option("--api-key-stdin", is_flag=True, help="Ask for Vapi's private API key, or read it from stdin.")
def vapi(
    org_id: uuid.UUID, credential_id: str | None, phone_number_id: str | None, *, api_key_stdin: bool
) -> None:
    """Set what a push of the assistant to Vapi needs."""
    if not (credential_id or phone_number_id or api_key_stdin):
        raise click.UsageError("nothing was given to change; see --help")
    api_key = secret("Vapi's private API key") if api_key_stdin else None
    with at(org_id) as (session, _):
        settings = integration_settings(session, org_id)
        settings.vapi_credential_id = credential_id or settings.vapi_credential_id
        settings.vapi_phone_number_id = phone_number_id or settings.vapi_phone_number_id
        if api_key:
            settings.vapi_api_key_sealed = sealing.seal(org_id, "vapi_api_key", api_key.strip())
    click.echo("changed; see it with: flask organization show " + str(org_id))
