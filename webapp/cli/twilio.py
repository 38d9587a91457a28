"""`flask twilio set …`: the clinic's account with Twilio, and the sender of its SMS."""

from __future__ import annotations

import re
import uuid

import click

from models.base import sealing
from models.clinics.organizations import IntegrationSettings, integration_settings
from models.messaging import senders
from webapp.cli.common import at, secret, telephone


class Sid(click.ParamType[str]):
    """One of Twilio's ids: two letters and 32 hexadecimal digits."""

    def __init__(self, letters: str) -> None:
        self.letters = letters
        self.name = f"{letters}…"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(self.letters + "[0-9a-fA-F]{32}", str(value)):
            self.fail(f"{value!r} is not {self.letters} and 32 hexadecimal digits", param, ctx)
        return str(value)


@click.group("twilio")
def twilio() -> None:
    """The Twilio account that sends a clinic's SMS."""


@twilio.command("set")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--account-sid", type=Sid("AC"), help="The account; its auth token is asked for, if no API key is named."
)
@click.option(
    "--auth-token-stdin",
    is_flag=True,
    help="Ask for the auth token: to replace it, or to have it beside an API key.",
)
@click.option("--api-key-sid", type=Sid("SK"), help="Send with this API key; its secret is asked for.")
@click.option("--api-key-secret-stdin", is_flag=True, help="Ask for another secret of the same API key.")
@click.option("--no-api-key", is_flag=True, help="Send with the auth token again.")
@click.option("--from", "from_number", help="The number that SMS come from.")
@click.option("--messaging-service", type=Sid("MG"), help="Or the messaging service that chooses it.")
def set_(
    org_id: uuid.UUID,
    account_sid: str | None,
    api_key_sid: str | None,
    from_number: str | None,
    messaging_service: str | None,
    *,
    auth_token_stdin: bool,
    api_key_secret_stdin: bool,
    no_api_key: bool,
) -> None:
    """Change what is given. Secrets are typed, or read from standard input, one per line: token, then key."""
    asks_key = bool(api_key_sid) or api_key_secret_stdin
    asks_token = auth_token_stdin or (bool(account_sid) and not asks_key)
    if from_number and messaging_service:
        raise click.UsageError("--from and --messaging-service exclude each other")
    if no_api_key and asks_key:
        raise click.UsageError("--no-api-key excludes an API key")
    if not any((asks_token, asks_key, no_api_key, from_number, messaging_service)):
        raise click.UsageError("nothing was given to change; see --help")
    # Before the transaction, so that no row is locked while the operator types.
    token = secret("Twilio auth token") if asks_token else None
    key_secret = secret("Secret of the API key") if asks_key else None
    with at(org_id) as (session, clinic):
        row = integration_settings(session, org_id)
        if account_sid and account_sid != row.twilio_account_sid:  # the stored secrets are the old account's
            row.twilio_api_key_sid = row.twilio_api_key_secret_sealed = row.twilio_auth_token_sealed = None
        row.twilio_account_sid = account_sid or row.twilio_account_sid
        row.twilio_api_key_sid = api_key_sid or row.twilio_api_key_sid
        _seal(row, token, key_secret)
        if no_api_key:
            row.twilio_api_key_sid = row.twilio_api_key_secret_sealed = None
        if from_number:
            row.twilio_from_number = telephone(clinic, from_number)
            row.twilio_messaging_service_sid = None
        elif messaging_service:
            row.twilio_messaging_service_sid, row.twilio_from_number = messaging_service, None
        senders.resume(session, org_id)  # the former account may have stopped the sender
    click.echo("changed; try it with: flask doctor " + str(org_id))


def _seal(row: IntegrationSettings, token: str | None, key_secret: str | None) -> None:
    if token and not row.twilio_account_sid:
        raise click.ClickException("there is no account that this token is of; give --account-sid, too")
    if key_secret and not row.twilio_api_key_sid:
        raise click.ClickException("there is no API key that this secret is of; give --api-key-sid, too")
    if token and not re.fullmatch("[0-9a-f]{32}", token.strip()):
        click.echo(
            "note: Twilio's auth tokens are 32 hexadecimal digits, and this is something else", err=True
        )
    if token:
        row.twilio_auth_token_sealed = sealing.seal(row.org_id, "twilio_auth_token", token.strip())
    if key_secret:
        row.twilio_api_key_secret_sealed = sealing.seal(
            row.org_id, "twilio_api_key_secret", key_secret.strip()
        )
