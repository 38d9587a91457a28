"""The checks of a clinic's SMS provider: its account, its sender, and the secrets that are stored."""

from __future__ import annotations

from sqlalchemy.orm import Session

from models.base import sealing
from models.clinics import sealed_columns
from models.clinics.organizations import IntegrationSettings, Organization
from models.messaging import senders
from webapp.cli import outside
from webapp.cli.doctor.findings import Findings, missing, ok, warning


def check_provider(session: Session, clinic: Organization, row: IntegrationSettings) -> Findings:
    if row.sms_provider == "twilio":
        change = f"flask twilio set {clinic.id}"
        yield from _twilio(row, change)
    else:
        change = f"flask sms provider {clinic.id} {row.sms_provider}"
        if row.sms_account_sealed:
            yield ok("SMS provider", row.sms_provider)
        else:
            yield missing("SMS provider", f"there is no account with {row.sms_provider}", change)
    sender = senders.get_or_none(session, clinic.id)
    if sender and sender.stopped_at:
        yield missing(
            "sender",
            f"the provider has refused it since {sender.stopped_at:%Y-%m-%d %H:%M} UTC:"
            f" {sender.stopped_reason}",
            f"put it right at the provider, or set another: {change} …",
        )
    yield from _secrets(session, clinic)


def _twilio(row: IntegrationSettings, change: str) -> Findings:
    if not row.twilio_account_sid:
        yield missing("Twilio account", "none is set", f"{change} --account-sid AC…")
    elif not (row.twilio_auth_token_sealed or (row.twilio_api_key_sid and row.twilio_api_key_secret_sealed)):
        yield missing(
            "Twilio account", "it has neither an auth token nor an API key", f"{change} --auth-token-stdin"
        )
    else:
        yield from _asked_twilio(row, change)
        if not row.twilio_auth_token_sealed:
            yield warning(
                "Twilio auth token",
                "there is none, so the signature of incoming requests cannot be checked",
                f"{change} --auth-token-stdin",
            )
    if row.twilio_from_number or row.twilio_messaging_service_sid:
        yield ok("sender", row.twilio_messaging_service_sid or row.twilio_from_number or "")
    else:
        yield missing("sender", "none is set, so no SMS can be sent", f"{change} --from +44…")


def _asked_twilio(row: IntegrationSettings, change: str) -> Findings:
    try:
        answer, heard = outside.ask_twilio(row)
    except sealing.CannotUnseal:
        return  # reported by _secrets
    what = "auth token"
    again = f"{change} --auth-token-stdin"
    if row.twilio_api_key_sid and row.twilio_api_key_secret_sealed:
        what, again = f"API key {row.twilio_api_key_sid}", f"{change} --api-key-secret-stdin"
    match answer:
        case outside.Answer.TAKEN:
            yield ok("Twilio account", f"{row.twilio_account_sid}, and Twilio accepts its {what}")
        case outside.Answer.NOT_ASKED:
            yield warning(
                "Twilio account",
                f"{row.twilio_account_sid}; Twilio could not be asked about its {what} ({heard})",
                "run this again once the machine can reach Twilio",
            )
        case _:
            yield missing(
                "Twilio account", f"{row.twilio_account_sid}: Twilio refuses its {what} ({heard})", again
            )


def _secrets(session: Session, clinic: Organization) -> Findings:
    found = sealed_columns.find(session, clinic.id)
    former = 0
    for stored in found:
        sealed = sealed_columns.get(session, stored) or ""
        try:
            sealing.unseal(stored.org_id, stored.column.purpose, sealed)
        except sealing.CannotUnseal:
            yield missing(
                "stored secrets",
                f"{stored} cannot be opened",
                "name the SECRET_KEY it was sealed with in FORMER_SECRET_KEYS, or set this secret again",
            )
            continue
        former += not sealing.is_current(sealed)
    if former:
        yield warning(
            "stored secrets", f"{former} are sealed with a former SECRET_KEY", "flask secrets rotate"
        )
    elif found:
        yield ok("stored secrets", f"{len(found)} sealed")
