"""Status callbacks: what became of an SMS after Twilio accepted it."""

from __future__ import annotations

import logging
import re
import uuid
from decimal import Decimal

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from models.base import sealing
from models.base.session import Door
from models.clinics import organizations
from models.messaging import messages, receipts
from models.messaging.receipts import Report
from vendors import twilio_codes
from webapp import attacks, shares
from webapp.twilio.webhooks import form_of, is_genuine, sid
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction, in_transaction, repeatable

log = logging.getLogger(__name__)
blueprint = Blueprint("twilio_receipts", __name__, url_prefix="/api/twilio")

_CODE = re.compile(r"[1-9][0-9]{2,5}")
_PRICE = re.compile(r"-?[0-9]{1,4}(\.[0-9]{1,8})?")
_UNIT = re.compile(r"[A-Za-z]{3}")


@blueprint.post("/status/<uuid:message_id>/<int:attempt>/<token>")
def status(message_id: uuid.UUID, attempt: int, token: str) -> Response:
    """204 for a receipt of our own message, known or new; 403 for any other; 503 has Twilio try again."""
    if not receipts.is_receipt_token(token, message_id, attempt):
        attacks.count(attacks.Kind.FORGED_RECEIPT)
        return Response(status=403)
    form = form_of(request)
    try:
        org_id = in_system_transaction(Door.RECEIPT, lambda session: messages.find_owner(session, message_id))
        if org_id is None:
            attacks.count(attacks.Kind.FORGED_RECEIPT)
            return Response(status=403)
        if not shares.admit(org_id):
            return Response(status=503)
        return Response(
            status=in_transaction(
                org_id,
                lambda session: _apply(session, org_id, message_id, form),
                actor="twilio",
                happened=repeatable,
            )
        )
    except (Busy, DatabaseAway):
        return Response(status=503)


def _apply(session: Session, org_id: uuid.UUID, message_id: uuid.UUID, form: MultiDict[str, str]) -> int:
    account = organizations.get_integration_settings(session, org_id)
    message = messages.get_or_none(session, org_id, message_id)
    if account is None or message is None:
        return 403
    try:
        genuine = is_genuine(request, account, secret_address=True)
    except sealing.CannotUnseal:
        log.exception("a receipt cannot be checked")
        return 503
    if not genuine:
        attacks.count(attacks.Kind.FORGED_RECEIPT, org_id=message.org_id)
        return 403
    if report := _read(form):
        for alert in receipts.apply(session, message, report):
            log.error("%s", alert)
    return 204


def _read(form: MultiDict[str, str]) -> Report | None:
    """The fields that are used, each only if it has the right form; None if the state or the id is unknown.

    RawDlrDoneDate is not read: it has no time zone, and only some networks give it.
    """
    became = twilio_codes.STATUS.get(form.get("MessageStatus", ""))
    provider_id = sid(form.get("MessageSid"))
    if became is None or provider_id is None:
        return None
    code = _matching(_CODE, form.get("ErrorCode"))
    price = _matching(_PRICE, form.get("Price"))
    return Report(
        provider_id,
        became,
        why=twilio_codes.failure(code) if code else None,
        segments=_whole(form.get("NumSegments")),
        price=abs(Decimal(price)) if price else None,  # Twilio writes a charge as a negative amount
        price_unit=_matching(_UNIT, form.get("PriceUnit")),
    )


def _matching(pattern: re.Pattern[str], written: str | None) -> str | None:
    return written if written and pattern.fullmatch(written) else None


def _whole(written: str | None) -> int | None:
    found = _matching(re.compile(r"[0-9]{1,2}"), written)
    return (int(found) or None) if found else None
