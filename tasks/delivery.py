"""Prepares a claimed SMS for its provider, and records the outcome."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from models.base import clock
from models.booking import links
from models.clinics import organizations
from models.messaging import messages, outcomes, receipts
from models.messaging.meanings import Failure
from models.messaging.states import Cause
from models.notices import registry
from tasks import providers
from tasks.providers import Accepted, Misconfigured, SmsProvider, Text
from tasks.providers import registry as sms_providers

log = logging.getLogger(__name__)

#: How far a provider's clock may be behind ours.
CLOCK_SKEW = timedelta(seconds=60)


class CannotPrepare(Exception):
    """There is nothing to send. The staff see the message."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    provider: SmsProvider
    text: Text


# --- before -------------------------------------------------------------------------------------


def prepare(session: Session, message: messages.SmsMessage) -> Outgoing | None:
    """Account and text for this attempt. None if it cannot be sent now, or ever; then its row says why."""
    try:
        return _outgoing(session, message)
    except Misconfigured as problem:
        record_problem(session, message, problem)
    except registry.Superseded:
        outcomes.record_superseded(session, message)
    except CannotPrepare as problem:
        log.error("sms %s cannot be sent: %s", message.id, problem)  # noqa: TRY400 (a fact, not a crash)
        outcomes.record_refused(session, message, Failure(str(problem)), cause=Cause.CANNOT_PREPARE)
    return None


def _outgoing(session: Session, message: messages.SmsMessage) -> Outgoing:
    """Raises CannotPrepare, Misconfigured or registry.Superseded."""
    provider = provider_of(session, message)
    body = registry.words(session, message)
    if body is None:
        raise CannotPrepare("what it is about is gone")
    if registry.of(message.kind).keeps_text:
        outcomes.record_body(session, message, links.hidden(body))
    outcomes.record_account(session, message, provider.account)
    token = receipts.receipt_token(message.id, message.attempt)
    receipt = f"{message.id}/{message.attempt}/{token}"
    return Outgoing(provider, Text(message.to_phone, body, receipt, _valid_for(session, message)))


def _valid_for(session: Session, message: messages.SmsMessage) -> int:
    """Seconds for which the text is of use; at least one, because a claim refuses an expired message."""
    usual = int(registry.of(message.kind).valid_for.total_seconds())
    if message.expires_at is None:
        return usual
    left = message.expires_at - clock.now(session)
    return max(1, min(usual, int(left.total_seconds())))


def provider_of(
    session: Session, message: messages.SmsMessage, *, timeout: float | None = None
) -> SmsProvider:
    """The provider that sends for the clinic. Raises Misconfigured."""
    clinic = organizations.get_integration_settings(session, message.org_id)
    return sms_providers.provider_of(clinic, timeout=timeout)


def asked_of(session: Session, message: messages.SmsMessage, *, timeout: float) -> SmsProvider | None:
    """The provider, with the account that knows a message; None if the clinic has another account now.

    Raises Misconfigured.
    """
    provider = provider_of(session, message, timeout=timeout)
    return provider if message.account_sid in (None, provider.account) else None


# --- after --------------------------------------------------------------------------------------


def record_problem(session: Session, message: messages.SmsMessage, problem: BaseException) -> None:
    """Record what a problem means for the message and for the clinic's sender, and log what needs a person.

    An exception other than the providers' Problems broke off the request: the outcome is unknown.
    """
    match problem:
        case providers.Misconfigured(failure=why):
            if outcomes.record_misconfigured(session, message, why):
                log.error("%s", receipts.stopped(message.org_id, why))
        case providers.Unreachable(failure=why):
            outcomes.record_unreachable(session, message, why)
        case providers.Unavailable(failure=why):
            outcomes.record_unavailable(session, message, why)
        case providers.OptedOut(failure=why):
            outcomes.record_opted_out(session, message, why)
        case providers.Refused(failure=why):
            if problem.alert and outcomes.is_news(session, message, why.code):
                log.error("%s", receipts.failed(message, why))
            outcomes.record_refused(session, message, why)
        case _:
            unknown = isinstance(problem, providers.OutcomeUnknown)
            reason = str(problem) if unknown else "the provider took too long"
            log.warning("sms %s may or may not have been sent: %s", message.id, reason)
            outcomes.record_unknown(session, message, reason)


def record_accepted(
    session: Session, message: messages.SmsMessage, accepted: Accepted, *, cause: Cause = Cause.ACCEPTED
) -> None:
    """Record that the provider has the message; log an error if it turns out to have it twice."""
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
    """The texts that identify the provider's copy of a message; empty if they cannot be made again."""
    text = registry.as_sent(session, message)
    return {text} if text else set()
