"""What a claimed SMS needs before it can be handed over, and what is recorded of what came of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

import settings
from models.base import sealing
from models.booking import links
from models.clinics import organizations
from models.clinics.organizations import IntegrationSettings
from models.messaging import messages, outcomes, receipts
from models.messaging.states import Cause
from models.notices import registry
from tasks import providers
from tasks.providers import Accepted, Account, Misconfigured, Text

log = logging.getLogger(__name__)

#: How far Twilio's clock may be behind ours.
CLOCK_SKEW = timedelta(seconds=60)


class CannotPrepare(Exception):
    """There is nothing to send: the message is for a person to look at."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    account: Account
    text: Text


# --- before -------------------------------------------------------------------------------------


def prepare(session: Session, message: messages.SmsMessage) -> Outgoing | None:
    """None when it cannot be sent now, or ever; then its row says so."""
    try:
        return _outgoing(session, message)
    except Misconfigured as problem:
        record_problem(session, message, problem)
    except registry.Superseded:
        outcomes.record_superseded(session, message)
    except CannotPrepare as problem:
        log.error("sms %s cannot be sent: %s", message.id, problem)  # noqa: TRY400 (a fact, not a crash)
        outcomes.record_refused(session, message, code=None, reason=str(problem), cause=Cause.CANNOT_PREPARE)
    return None


def _outgoing(session: Session, message: messages.SmsMessage) -> Outgoing:
    """Raises CannotPrepare, Misconfigured or registry.Superseded."""
    account = account_of(session, message)
    body = registry.words(session, message)
    if body is None:
        raise CannotPrepare("what it is about is gone")
    if registry.of(message.kind).keeps_text:
        outcomes.record_body(session, message, links.hidden(body))
    outcomes.record_account(session, message, account.account_sid)
    token = receipts.receipt_token(message.id, message.attempt)
    public = settings.get().public_base_url.rstrip("/")
    report_to = f"{public}/api/twilio/status/{message.id}/{message.attempt}/{token}"
    return Outgoing(account, Text(message.to_phone, body, report_to, _valid_for(session, message)))


def _valid_for(session: Session, message: messages.SmsMessage) -> int:
    """Seconds, at least the one that Twilio asks for: a claim leaves alone what is of no use any more."""
    usual = int(registry.of(message.kind).valid_for.total_seconds())
    if message.expires_at is None:
        return usual
    left = message.expires_at - session.scalars(select(func.app_clock())).one()
    return max(1, min(usual, int(left.total_seconds())))


def account_of(session: Session, message: messages.SmsMessage) -> Account:
    """Raises Misconfigured: what waits is sent once the account is put right."""
    config = organizations.get_integration_settings(session, message.org_id)
    if config is None or not config.twilio_account_sid:
        raise Misconfigured(None, "the clinic has no Twilio account set")
    if not config.twilio_from_number and not config.twilio_messaging_service_sid:
        raise Misconfigured(None, "the clinic has no number to send from")
    try:
        username, password = _signs_in_with(config)
    except sealing.CannotUnseal as error:
        raise Misconfigured(None, str(error)) from error
    return Account(
        config.twilio_account_sid,
        username,
        password,
        config.twilio_from_number,
        config.twilio_messaging_service_sid,
    )


def asked_of(session: Session, message: messages.SmsMessage) -> Account | None:
    """The account that knows of a message; None if the clinic has another one now. Raises Misconfigured."""
    account = account_of(session, message)
    return account if message.account_sid in (None, account.account_sid) else None


def _signs_in_with(config: IntegrationSettings) -> tuple[str, str]:
    """User name and password for Twilio: an API key if there is one, else account and auth token.

    Raises Misconfigured or sealing.CannotUnseal.
    """
    if config.twilio_api_key_sid and config.twilio_api_key_secret_sealed:
        secret = sealing.unseal(config.org_id, "twilio_api_key_secret", config.twilio_api_key_secret_sealed)
        return config.twilio_api_key_sid, secret
    if config.twilio_account_sid and config.twilio_auth_token_sealed:
        token = sealing.unseal(config.org_id, "twilio_auth_token", config.twilio_auth_token_sealed)
        return config.twilio_account_sid, token
    raise Misconfigured(None, "the clinic has no auth token and no API key for Twilio set")


# --- after --------------------------------------------------------------------------------------


def record_problem(session: Session, message: messages.SmsMessage, problem: BaseException) -> None:
    """What a bad answer means for the message and for the clinic's sender; the log has what needs somebody.

    Whatever is not one of the providers' Problems broke off in the middle: nobody knows what came of it.
    """
    why = str(problem)
    match problem:
        case providers.Misconfigured():
            if outcomes.record_misconfigured(session, message, code=problem.code, reason=why):
                log.error("%s", receipts.stopped(message.org_id, problem.code, why))
        case providers.Unreachable():
            outcomes.record_unreachable(session, message, why)
        case providers.Unavailable():
            outcomes.record_unavailable(session, message, why, code=problem.code, later=problem.later)
        case providers.OptedOut():
            outcomes.record_opted_out(session, message, code=problem.code or "", reason=why)
        case providers.Refused():
            if problem.alert and outcomes.is_news(session, message, problem.code):
                log.error("%s", receipts.failed(message, problem.code, why))
            outcomes.record_refused(session, message, code=problem.code, reason=why)
        case _:
            why = why if isinstance(problem, providers.OutcomeUnknown) else "the provider took too long"
            log.warning("sms %s may or may not have been sent: %s", message.id, why)
            outcomes.record_unknown(session, message, why)


def record_accepted(
    session: Session, message: messages.SmsMessage, accepted: Accepted, *, cause: Cause = Cause.ACCEPTED
) -> None:
    """The provider has it; the log has it if it has it twice."""
    twice = outcomes.record_sent(
        session,
        message,
        provider_id=accepted.provider_id,
        segments=accepted.segments,
        accepted_at=accepted.at,
        cause=cause,
    )
    if twice:
        log.error("%s", receipts.sent_twice(message, accepted.provider_id))


# --- asking -------------------------------------------------------------------------------------


def words_of(session: Session, message: messages.SmsMessage) -> set[str]:
    """The texts by which the provider's copy of a message is known; none if they cannot be made again."""
    text = registry.as_sent(session, message)
    return {text} if text else set()
