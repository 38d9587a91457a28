"""What patients text back. Only whether they want more SMS is read; nothing they wrote is kept or logged, and
of such a wish only its id at Twilio, so that it is followed once.
"""

from __future__ import annotations

import logging
import re
import uuid

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from models import opt_outs, organizations, sealing
from models.opt_outs import OptOutSource
from webapp import shares
from webapp.twilio.webhooks import form_of, is_genuine, sid
from webapp.twilio.wishes import Wish, wish
from webapp.unit_of_work import Busy, DatabaseAway, in_transaction, repeatable

log = logging.getLogger(__name__)
blueprint = Blueprint("twilio_inbound", __name__, url_prefix="/api/twilio")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@blueprint.post("/inbound/<uuid:org_id>")
def inbound(org_id: uuid.UUID) -> Response:
    """Where a clinic's number or messaging service sends what it receives. Answered with no SMS.

    The same message may come any number of times: a wish is followed once.
    """
    form = form_of(request)
    if not shares.admit("inbound"):
        return Response(status=503)
    try:
        answered = in_transaction(
            org_id,
            lambda session: _take(session, org_id, form),
            actor="twilio",
            happened=repeatable,
            holder="inbound",  # until the signature is checked it may be a stranger who says so
        )
    except (Busy, DatabaseAway):
        return Response(status=503)
    if answered != 200:
        return Response(status=answered)
    return Response('<?xml version="1.0" encoding="UTF-8"?><Response/>', mimetype="text/xml")


def _take(session: Session, org_id: uuid.UUID, form: MultiDict[str, str]) -> int:
    account = organizations.get_integration_settings(session, org_id)
    try:
        genuine = account is not None and is_genuine(request, account)
    except sealing.CannotUnseal:
        log.exception("an SMS from a patient cannot be checked")
        return 503
    if not genuine:
        log.warning("an SMS to organisation %s is not from its account", org_id)
        return 403
    phone, message_sid = form.get("From", ""), sid(form.get("MessageSid"))
    wanted = wish(form.get("Body", ""), form.get("OptOutType"))
    if (
        message_sid
        and _E164.fullmatch(phone)
        and wanted is not Wish.NOTHING
        and opt_outs.is_new(session, org_id, message_sid)
    ):
        _follow(session, org_id, phone, wanted)
    return 200


def _follow(session: Session, org_id: uuid.UUID, phone: str, wanted: Wish) -> None:
    match wanted:
        case Wish.STOP_KEYWORD:
            opt_outs.record(session, org_id, phone, OptOutSource.KEYWORD)
        case Wish.STOP_WORDS:
            opt_outs.record(session, org_id, phone, OptOutSource.WORDS)
        case Wish.START:
            opt_outs.lift(session, org_id, phone)
    log.info("a patient of organisation %s texted: %s", org_id, wanted.value)
