"""`flask vapi assistant …`: prints a clinic's assistant, or pushes it to Vapi."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy.orm import Session

import settings
from models.base import sealing
from models.booking import services
from models.clinics import calendars, organizations
from models.clinics.organizations import IntegrationSettings, Organization
from webapp.agents.vapi import assistant
from webapp.agents.vapi.envelope import one_line
from webapp.cli.common import at, print_json

if TYPE_CHECKING:
    from vapi.types.assistant import Assistant

#: Seconds for one answer of Vapi.
PATIENCE = 30


@click.group("vapi")
def vapi() -> None:
    """What Holdline configures at Vapi."""


@vapi.command("assistant")
@click.argument("org_id", type=click.UUID)
@click.option("--push", is_flag=True, help="Create it at Vapi, or update it; if unchanged, nothing is sent.")
@click.option(
    "--force", is_flag=True, help="With --push, even if unchanged: undoes what was changed at Vapi."
)
def print_or_push(org_id: uuid.UUID, *, push: bool, force: bool) -> None:
    """Print the assistant of ORG_ID as JSON, or push it to Vapi."""
    if force and not push:
        raise click.UsageError("--force only goes with --push")
    body, account = _build(org_id)
    if not push:
        print_json(body)
        return
    key = _api_key(account)
    digest = _digest(body, key)
    known = account.vapi_assistant_id
    if known and account.vapi_assistant_digest == digest and not force:
        click.echo(f"unchanged: {known}")
        return
    done, assistant_id = _send(body, key, known)
    click.echo(f"{done}: {assistant_id}")  # before it is stored: if that fails, the operator still has the id
    _keep(org_id, assistant_id, digest)


def _build(org_id: uuid.UUID) -> tuple[dict[str, Any], IntegrationSettings]:
    url = settings.get().public_base_url
    if not url.startswith("https://"):
        click.echo(f"PUBLIC_BASE_URL is {url}: Vapi will not reach the tools there.", err=True)
    try:
        with at(org_id) as (session, clinic):
            account = organizations.get_integration_settings(session, org_id) or IntegrationSettings(
                org_id=org_id
            )
            body = wanted(session, clinic, account)
        assistant.check(body)
    except (assistant.NoCalendar, assistant.Misfit) as error:
        raise click.ClickException(str(error)) from error
    return body, account


def wanted(session: Session, clinic: Organization, account: IntegrationSettings) -> dict[str, Any]:
    """The assistant as it should be at Vapi now. Raises NoCalendar."""
    of_clinic = calendars.list_of_clinic(session, clinic.id)
    return assistant.build(
        clinic,
        of_clinic,
        account,
        settings.get().public_base_url,
        services={each.id: services.names_by_calendar(session, each) for each in of_clinic},
        people=services.people_to_ask_for(session, clinic.id),
        signs_as=organizations.signing_name(session, clinic.id),
    )


def _api_key(account: IntegrationSettings) -> str:
    """The API key for the push. Refuses an account without a credential, whose tool calls would all fail."""
    if account.vapi_api_key_sealed is None:
        raise click.ClickException(
            f"no API key of Vapi is stored: flask organization vapi {account.org_id} --api-key-stdin"
        )
    if account.vapi_credential_id is None:
        raise click.ClickException(
            "no credential is named, and without one the tools refuse Vapi:"
            f" flask organization vapi {account.org_id} --credential-id …"
        )
    try:
        return _opened(account.org_id, account.vapi_api_key_sealed)
    except sealing.CannotUnseal as error:
        raise click.ClickException(str(error)) from error


def _opened(org_id: uuid.UUID, sealed: str) -> str:
    return sealing.unseal(org_id, "vapi_api_key", sealed).strip()


def is_pushed(account: IntegrationSettings, body: dict[str, Any]) -> bool:
    """Whether this body was the last to be pushed. Raises CannotUnseal."""
    sealed = account.vapi_api_key_sealed
    return bool(sealed) and account.vapi_assistant_digest == _digest(
        body, _opened(account.org_id, sealed or "")
    )


def _digest(body: dict[str, Any], key: str) -> str:
    """A digest of body, address and key: another account of Vapi does not have this assistant yet."""
    pushed = [settings.get().vapi_api_base_url, key, body]
    return hashlib.sha256(json.dumps(pushed, sort_keys=True).encode()).hexdigest()


def _send(body: dict[str, Any], key: str, known: str | None) -> tuple[str, str]:
    """Update the known assistant, or else create one. Returns what was done, and the assistant's id."""
    # Only here: the SDK's client takes 15 seconds and 300 MB to import its types.
    import httpx  # noqa: PLC0415
    from vapi import Vapi  # noqa: PLC0415
    from vapi.core.api_error import ApiError  # noqa: PLC0415

    assistants = Vapi(
        token=key, base_url=settings.get().vapi_api_base_url, timeout=PATIENCE, follow_redirects=False
    ).assistants
    fields = assistant.as_keywords(body)

    def ask(request: Callable[..., Assistant], *ids: str) -> str | None:
        """The id in Vapi's answer; None if Vapi does not know the assistant."""
        lost = (
            "" if ids else f" If Vapi shows a new assistant “{body['name']}” all the same, delete it first."
        )
        try:
            # No retries: after a lost answer a retry of the SDK would create a second assistant.
            answered = request(*ids, **fields, request_options={"max_retries": 0})
        except ApiError as error:
            if error.status_code == 404:
                return None
            raise click.ClickException(_refusal(error.status_code or 0, error.body, lost)) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise click.ClickException("Vapi cannot be reached. Nothing was changed.") from error
        except httpx.TransportError as error:
            raise click.ClickException(
                f"Vapi broke off, or gave no answer in {PATIENCE} seconds. Push again.{lost}"
            ) from error
        if not answered or not answered.id:
            raise click.ClickException(f"Vapi's answer names no assistant. Push again.{lost}")
        return answered.id

    if known and ask(assistants.update, known):
        return "updated", known
    created = ask(assistants.create)
    if created is None:
        raise click.ClickException("Vapi has no place to create it (404). Is VAPI_API_BASE_URL right?")
    return "created", created


def _refusal(status: int, answer: object, lost: str) -> str:
    """One sentence about an answer that reports no success."""
    if status in (401, 403):
        return f"Vapi refused the API key ({status}). It must be a private key of the clinic's account."
    if 400 <= status < 500:
        said = answer.get("message", "") if isinstance(answer, dict) else ""
        why = "; ".join(map(str, said)) if isinstance(said, list) else str(said)
        return f"Vapi refused the assistant ({status}): {one_line(why)[:500]}"
    return f"Vapi answered {status}, and not what it should. Push again later.{lost}"


def _keep(org_id: uuid.UUID, assistant_id: str, digest: str) -> None:
    with at(org_id) as (session, _):
        account = session.get_one(IntegrationSettings, org_id)
        account.vapi_assistant_id = assistant_id
        account.vapi_assistant_digest = digest
