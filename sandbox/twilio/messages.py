"""One message: the request that creates it, its statuses, and its forms for the API and the inbox."""

import re
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any

from sandbox.segments import count_segments
from sandbox.twilio.numbers import FATES, POOL_NUMBER, USUAL_FATE, read_recipient, read_sender
from sandbox.twilio.refusals import RefusedError
from sandbox.twilio.webhooks import Form, read_callback

API_VERSION = "2010-04-01"

ASYNC_ERRORS = {
    30001: "Queue overflow",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30023: "US A2P 10DLC - Daily Message Cap Reached",
    30033: "US A2P 10DLC - Campaign Suspended",
    30035: "US A2P 10DLC - Message from a number still being configured",
    30040: "Destination carrier requires Sender ID pre-registration",
    30454: "Account exceeded the messages limit",
    30006: "Landline or unreachable carrier",
    30032: "Toll-Free Number Has Not Been Verified",
    30034: "Message from an Unregistered Number",
}
NOT_PLAYED = ("MediaUrl", "ContentSid", "SendAt", "ScheduleType", "SmartEncoded")


def rfc2822(moment: datetime | None) -> str | None:
    return format_datetime(moment) if moment else None


@dataclass(eq=False)
class Message:
    account_sid: str
    to: str
    from_: str | None
    body: str
    token: str
    status: str
    service: str | None = None
    callback: str | None = None
    direction: str = "outbound-api"
    ahead: deque[str] = field(default_factory=deque)  # the statuses still to come
    fails_with: int | None = None
    sid: str = field(default_factory=lambda: "SM" + secrets.token_hex(16))
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(init=False)
    sent: datetime | None = None
    error_code: int | None = None
    price: Decimal | None = None
    segments: int = field(init=False)

    def __post_init__(self) -> None:
        self.updated = self.created
        self.segments = count_segments(self.body)

    def advance(self) -> None:
        self.status = self.ahead.popleft()
        self.updated = datetime.now(UTC)
        self.from_ = self.from_ or POOL_NUMBER  # a Messaging Service chooses its sender now
        if self.status == "sent":
            self.sent = self.updated
        if self.status in ("failed", "undelivered"):
            self.error_code = self.fails_with
        if self.status in ("delivered", "undelivered"):
            self.price = Decimal("-0.0079") * self.segments

    @property
    def patient(self) -> str | None:
        return self.from_ if self.direction == "inbound" else self.to

    def resource(self) -> dict[str, Any]:
        path = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{self.sid}"
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created),
            "date_sent": rfc2822(self.sent),
            "date_updated": rfc2822(self.updated),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": ASYNC_ERRORS.get(self.error_code) if self.error_code else None,
            "from": self.from_,
            "messaging_service_sid": self.service,
            "num_media": "0",
            # a Messaging Service cannot count before it has chosen a sender
            "num_segments": "0" if self.status == "accepted" else str(self.segments),
            "price": str(self.price) if self.price is not None else None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": self.to,
            "uri": f"{path}.json",
        }

    def webhook(self, **more: str) -> Form:
        """The fields of every webhook about a message. Twilio also still sends the older Sms… names."""
        return {
            "MessageSid": self.sid,
            "SmsSid": self.sid,
            "SmsStatus": self.status,
            "AccountSid": self.account_sid,
            "From": self.from_ or "",
            "To": self.to,
            "ApiVersion": API_VERSION,
        } | more

    def receipt(self) -> Form:
        form = self.webhook(MessageStatus=self.status)
        if self.service:
            form["MessagingServiceSid"] = self.service
        if self.error_code:
            form |= {"ErrorCode": str(self.error_code)}
            form |= {"ErrorMessage": ASYNC_ERRORS.get(self.error_code, "Not delivered")}
        return form

    def arrival(self, opt_out: str | None) -> Form:
        form = self.webhook(
            SmsMessageSid=self.sid, Body=self.body, NumMedia="0", NumSegments=str(self.segments)
        )
        return form | ({"OptOutType": opt_out} if opt_out else {})

    def inbox_row(self, *, detail: bool) -> dict[str, Any]:
        row: dict[str, Any] = {
            "sid": self.sid,
            "to": self.to,
            "from": self.from_,
            "body": self.body,
            "status": self.status,
            "created_at": self.created.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        if detail:
            row |= {"direction": self.direction, "segments": self.segments, "error_code": self.error_code}
        return row


def read_order(account: str, token: str, form: Form) -> Message:
    """The message that a request to create one asks for. Raises RefusedError."""
    to, service, body = form.get("To"), form.get("MessagingServiceSid"), form.get("Body", "")
    if not to:
        raise RefusedError(21604)
    if not form.get("From") and not service:
        raise RefusedError(21603)
    if unplayed := next((name for name in NOT_PLAYED if name in form), None):
        raise RefusedError(20001, f"The sandbox does not play {unplayed}.")
    if not body:
        raise RefusedError(21602)
    if len(body) > 1600:
        raise RefusedError(21617)
    if service and not re.fullmatch(r"MG[0-9a-f]{32}", service):
        raise RefusedError(21705, service)
    number = read_recipient(to)
    steps, fails_with = FATES.get(number, USUAL_FATE)
    return Message(
        account_sid=account,
        to=number,
        from_=read_sender(form["From"]) if form.get("From") else None,
        body=body,
        token=token,
        status="accepted" if service else "queued",
        service=service or None,
        callback=read_callback(form["StatusCallback"]) if form.get("StatusCallback") else None,
        ahead=deque(["queued", *steps] if service else steps),
        fails_with=fails_with,
    )
