"""SMS that patients send back. They are read only for a wish to stop or to start. Their text is neither kept
nor logged; of a wish its id at Twilio is kept, so that it is followed once.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping

from flask import Blueprint, Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from models.base import sealing
from models.base.session import Door
from models.clinics import organizations
from models.clinics.organizations import IntegrationSettings
from models.messaging import opt_outs
from models.messaging.opt_outs import OptOutSource
from webapp import attacks, shares
from webapp.addresses import group
from webapp.snapshots import Snapshot
from webapp.state import per_app
from webapp.twilio.webhooks import form_of, is_genuine, sid
from webapp.twilio.wishes import Wish, wish
from webapp.unit_of_work import Busy, DatabaseAway, in_system_transaction, in_transaction, repeatable

log = logging.getLogger(__name__)
blueprint = Blueprint("twilio_inbound", __name__, url_prefix="/api/twilio")

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


def _read() -> dict[uuid.UUID, IntegrationSettings]:
    rows = in_system_transaction(Door.CREDENTIAL, organizations.every_twilio_account)
    return {row.org_id: row for row in rows}


@per_app
def accounts() -> Snapshot[dict[uuid.UUID, IntegrationSettings]]:
    """Every clinic's account with Twilio, in memory: a forged request costs the database nothing."""
    return Snapshot(_read)


@blueprint.post("/inbound/<uuid:org_id>")
def inbound(org_id: uuid.UUID) -> Response:
    """The webhook for SMS that a clinic's number or messaging service receives. No SMS goes back.

    Twilio may send the same SMS several times; its wish is followed once.
    """
    form = form_of(request)

    def of_its_account(known: Mapping[uuid.UUID, IntegrationSettings]) -> bool | None:
        return (org_id in known and is_genuine(request, known[org_id])) or None

    try:
        if not accounts().ask(of_its_account, group(request.remote_addr or "")):
            attacks.count(attacks.Kind.FORGED_SMS, org_id=org_id)
            return Response(status=403)
        if not shares.admit(org_id):
            return Response(status=503)
        in_transaction(
            org_id, lambda session: _take(session, org_id, form), actor="twilio", happened=repeatable
        )
    except sealing.CannotUnseal:
        log.exception("an SMS from a patient cannot be checked")
        return Response(status=503)
    except (Busy, DatabaseAway):
        return Response(status=503)
    return Response('<?xml version="1.0" encoding="UTF-8"?><Response/>', mimetype="text/xml")


def _take(session: Session, org_id: uuid.UUID, form: MultiDict[str, str]) -> None:
    phone, message_sid = form.get("From", ""), sid(form.get("MessageSid"))
    wanted = wish(form.get("Body", ""), form.get("OptOutType"))
    if (
        message_sid
        and _E164.fullmatch(phone)
        and wanted is not Wish.NOTHING
        and opt_outs.is_new(session, org_id, message_sid)
    ):
        _follow(session, org_id, phone, wanted)


def _follow(session: Session, org_id: uuid.UUID, phone: str, wanted: Wish) -> None:
    match wanted:
        case Wish.STOP_KEYWORD:
            opt_outs.record(session, org_id, phone, OptOutSource.KEYWORD)
        case Wish.STOP_WORDS:
            opt_outs.record(session, org_id, phone, OptOutSource.WORDS)
        case Wish.START:
            opt_outs.lift(session, org_id, phone)
    log.info("a patient of organisation %s texted: %s", org_id, wanted.value)
