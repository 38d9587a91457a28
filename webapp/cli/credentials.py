"""`flask credential …`: the credentials of Vapi's tool calls. A secret is shown once, when it is made."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass, replace

import click
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.base import sealing
from models.clinics.organizations import (
    SIGNING_KEY,
    CredentialKind,
    PayloadFormat,
    SignatureAlgorithm,
    SignatureEncoding,
    VapiCredential,
)
from webapp.agents.credentials import CREDENTIAL_HEADER, REMEMBERED
from webapp.agents.signatures import SIGNATURE_HEADER, TIMESTAMP_HEADER
from webapp.cli.common import Words, as_heard, as_json, at, print_rows


@dataclass(frozen=True, slots=True)
class Signature:
    """How Vapi must sign its requests."""

    algorithm: SignatureAlgorithm
    encoding: SignatureEncoding
    prefix: str
    signature_header: str
    timestamp_header: str
    payload: PayloadFormat


class Header(click.ParamType[str]):
    """The name of an HTTP header."""

    name = "header"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}", str(value)):
            self.fail(f"{value!r} is no name of a header, such as {SIGNATURE_HEADER}", param, ctx)
        return str(value)


@click.group("credential")
def credential() -> None:
    """Credentials for Vapi: make, list, rotate, revoke."""


@credential.command("add")
@click.argument("org_id", type=click.UUID)
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in CredentialKind]),
    default=CredentialKind.BEARER.value,
    show_default=True,
    help="bearer: Authorization: Bearer …; vapi_secret: X-Vapi-Secret: …; hmac: a signature.",
)
@click.option("--label", type=Words(), help="What you call it; no two that are good are called the same.")
@click.option(
    "--algorithm",
    type=click.Choice([name.value for name in SignatureAlgorithm]),
    help="Of hmac; sha256 if not given.",
)
@click.option(
    "--encoding",
    type=click.Choice([name.value for name in SignatureEncoding]),
    help="Of hmac; hex if not given.",
)
@click.option("--prefix", help="Of hmac: what stands before the signature, such as sha256=.")
@click.option("--signature-header", type=Header(), help=f"Of hmac; {SIGNATURE_HEADER} if not given.")
@click.option("--timestamp-header", type=Header(), help=f"Of hmac; {TIMESTAMP_HEADER} if not given.")
@click.option(
    "--payload",
    type=click.Choice([form.value for form in PayloadFormat]),
    help="Of hmac: what is signed, as Vapi's payload format writes it; with method and url, if not given."
    " Then a request is good for its own tool only; without them its first use binds it to that tool.",
)
def add(
    org_id: uuid.UUID,
    kind: str,
    label: str | None,
    algorithm: str | None,
    encoding: str | None,
    prefix: str | None,
    signature_header: str | None,
    timestamp_header: str | None,
    payload: str | None,
) -> None:
    """Make a credential for Vapi to call the tools of ORG_ID with, and print its secret this once."""
    signature = None
    if CredentialKind(kind) is CredentialKind.HMAC:
        signature = Signature(
            SignatureAlgorithm(algorithm or SignatureAlgorithm.SHA256.value),
            SignatureEncoding(encoding or SignatureEncoding.HEX.value),
            prefix or "",
            signature_header or SIGNATURE_HEADER,
            timestamp_header or TIMESTAMP_HEADER,
            PayloadFormat(payload or PayloadFormat.REQUEST.value),
        )
    elif algorithm or encoding or prefix or signature_header or timestamp_header or payload:
        raise click.UsageError("only --kind hmac is signed")
    with at(org_id) as (session, _):
        if label:
            _refuse_a_second(session, org_id, label)
        made, secret = _make(session, org_id, CredentialKind(kind), label, signature)
    _show(made, secret)


@credential.command("list")
@click.argument("org_id", type=click.UUID)
@as_json
def list_(org_id: uuid.UUID, *, as_json: bool) -> None:
    """The credentials of ORG_ID, without their secrets."""
    with at(org_id) as (session, _):
        found = session.scalars(
            select(VapiCredential).where(VapiCredential.org_id == org_id).order_by(VapiCredential.created_at)
        )
        rows = [
            {
                "id": row.id,
                "kind": row.kind.value,
                "signs": row.payload_format.value if row.kind is CredentialKind.HMAC else None,
                "label": row.label,
                "made": f"{row.created_at:%Y-%m-%d %H:%M}",
                "last_used": f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else None,
                "revoked": f"{row.revoked_at:%Y-%m-%d %H:%M}" if row.revoked_at else None,
            }
            for row in found
        ]
    print_rows(rows, json_wanted=as_json, none=f"there is none yet: flask credential add {org_id}")


@credential.command("rotate")
@click.argument("org_id", type=click.UUID)
@click.argument("credential_id", type=click.UUID)
@click.option(
    "--payload",
    type=click.Choice([form.value for form in PayloadFormat]),
    help="Of hmac: what the new one signs; the same as the old one, if not given.",
)
def rotate(org_id: uuid.UUID, credential_id: uuid.UUID, payload: str | None) -> None:
    """Make a new credential of the kind of CREDENTIAL_ID. Both are valid until you revoke the old one."""
    with at(org_id) as (session, _):
        old = _find(session, org_id, credential_id)
        if old.revoked_at:
            raise click.ClickException(f"{credential_id} is revoked already; flask credential add {org_id}")
        signature = _signature_of(old)
        if payload and signature is None:
            raise click.UsageError("only --kind hmac is signed")
        if payload and signature:
            signature = replace(signature, payload=PayloadFormat(payload))
        made, secret = _make(session, org_id, old.kind, old.label, signature)
    _show(made, secret)
    click.echo(
        "enter it in Vapi; when `flask credential list` shows that it is used, end the old one with:\n"
        f"  flask credential revoke {org_id} {credential_id}",
        err=True,
    )


@credential.command(
    "revoke",
    help=f"End CREDENTIAL_ID. A web process may remember it for {REMEMBERED:g} second more.",
)
@click.argument("org_id", type=click.UUID)
@click.argument("credential_id", type=click.UUID)
def revoke(org_id: uuid.UUID, credential_id: uuid.UUID) -> None:
    with at(org_id) as (session, _):
        row = _find(session, org_id, credential_id)
        row.revoked_at = row.revoked_at or session.scalar(select(func.now()))
        left = session.scalar(
            select(func.count())
            .select_from(VapiCredential)
            .where(
                VapiCredential.org_id == org_id,
                VapiCredential.revoked_at.is_(None),
                VapiCredential.id != credential_id,
            )
        )
    click.echo(f"revoked {credential_id}; {left} left")
    if not left:
        click.echo(f"the agent has no tools until there is another: flask credential add {org_id}", err=True)


def _refuse_a_second(session: Session, org_id: uuid.UUID, label: str) -> None:
    """Refuse a label in use: only `rotate` makes a second credential with the label of a valid one."""
    good = session.execute(
        select(VapiCredential.id, VapiCredential.label).where(
            VapiCredential.org_id == org_id, VapiCredential.revoked_at.is_(None)
        )
    )
    known = next((each.id for each in good if as_heard(each.label or "") == as_heard(label)), None)
    if known:
        raise click.ClickException(
            f"there is a credential called {label} already ({known}); give this one another label, or have it"
            f" replace that one: flask credential rotate {org_id} {known}"
        )


def _make(
    session: Session,
    org_id: uuid.UUID,
    kind: CredentialKind,
    label: str | None,
    signature: Signature | None,
) -> tuple[VapiCredential, str]:
    secret = secrets.token_urlsafe(32)
    made = VapiCredential(id=uuid.uuid4(), org_id=org_id, kind=kind, label=label)
    if signature:
        made.secret_sealed = sealing.seal(org_id, SIGNING_KEY, secret)
        made.algorithm = signature.algorithm
        made.encoding = signature.encoding
        made.signature_prefix = signature.prefix
        made.signature_header = signature.signature_header
        made.timestamp_header = signature.timestamp_header
        made.payload_format = signature.payload
    else:
        made.secret_digest = hashlib.sha256(secret.encode()).hexdigest()
    session.add(made)
    return made, secret


def _signature_of(row: VapiCredential) -> Signature | None:
    if row.algorithm is None or row.encoding is None:
        return None
    return Signature(
        row.algorithm,
        row.encoding,
        row.signature_prefix,
        row.signature_header or SIGNATURE_HEADER,
        row.timestamp_header or TIMESTAMP_HEADER,
        row.payload_format,
    )


def _find(session: Session, org_id: uuid.UUID, credential_id: uuid.UUID) -> VapiCredential:
    row = session.scalar(
        select(VapiCredential)
        .where(VapiCredential.org_id == org_id, VapiCredential.id == credential_id)
        .with_for_update()
    )
    if row is None:
        raise click.ClickException(
            f"there is no credential {credential_id}; `flask credential list {org_id}` shows those there are"
        )
    return row


def _show(made: VapiCredential, secret: str) -> None:
    """Print the secret alone to standard output, and what to do with it to standard error."""
    click.echo(secret)
    match made.kind:
        case CredentialKind.BEARER:
            how = "In Vapi: a Bearer Token credential with this token, header Authorization, prefix Bearer."
        case CredentialKind.VAPI_SECRET:
            how = "In Vapi: the server's secret, which it sends as X-Vapi-Secret."
        case CredentialKind.HMAC:
            prefix = f'"{made.signature_prefix}"' if made.signature_prefix else "none"
            how = (
                "In Vapi: an HMAC credential with this secret key;"
                f" algorithm {made.algorithm}, encoding {made.encoding}, prefix {prefix},\n"
                f"signature header {made.signature_header}, timestamp header {made.timestamp_header},"
                f" payload format {made.payload_format.value};"
                " and with every request the header\n"
                f"{CREDENTIAL_HEADER}: {made.id}"
            )
    click.echo(f"This is credential {made.id}; its secret is not shown again.\n{how}", err=True)
