"""A Twilio for one machine: the Messages resource on loopback, with an inbox to look at.

    python -m sandbox.twilio            # http://127.0.0.1:3002/, or $INBOX_PORT

It speaks the wire of https://api.twilio.com/2010-04-01, so the product talks to it with the ordinary
client and knows no difference. What it does not play (media, scheduling) it refuses aloud. Nothing
leaves the machine: callbacks go to loopback addresses only, and no text is ever sent to a phone.

Where it is kinder than Twilio: any 8 to 15 digits are a reachable number. Twilio answers 21211 to
+15551234, which is too short to exist; our demo clinic's patient has exactly that number.
Any password is a good one; the account's callbacks are signed with it, as with the auth token it is.

Numbers with a fate of their own, besides Twilio's magic ones (``TO_REFUSED``, ``FROM_REFUSED``):
+15005550010 ends undelivered with 30003 (switched off), +15005550011 undelivered with 30006 (landline),
+15005550012 stays ``sent`` for ever (no receipt from the carrier), +15005550013 fails with 30001.
"""

import ipaddress
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from itertools import islice
from queue import SimpleQueue
from typing import Any
from urllib.parse import urldefrag, urlencode, urlsplit

import requests
from flask import Flask, Response, g, jsonify, render_template, request
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from sandbox.segments import count_segments

Form = dict[str, str]

API_VERSION = "2010-04-01"
MESSAGES_URL = f"/{API_VERSION}/Accounts/<account>/Messages"
MAX_MESSAGES = 20_000  # the oldest make room
CALLBACK_WORKERS = 8
CALLBACK_TIMEOUT = (5, 15)  # seconds to connect, to answer: Twilio's own
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
POOL_NUMBER = "+15005550006"  # the one sender in every Messaging Service here

ERRORS = {
    20001: (400, "{}"),
    20003: (401, "Authenticate"),
    20005: (403, "Account not active"),
    20006: (403, "Access Denied"),
    20008: (403, "Resource not accessible with Test Account Credentials"),
    20010: (403, "Action disabled for account"),
    20403: (403, "Forbidden"),
    20404: (404, "The requested resource {} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "Internal Server Error"),
    21211: (400, "The 'To' number {} is not a valid phone number."),
    21212: (400, "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    21408: (
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {}",
    ),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number provided ({}) is not a valid message-capable Twilio phone number."),
    21609: (400, "The 'StatusCallback' URL {} is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (400, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (400, "The 'To' phone number {} is not currently reachable via SMS."),
    21614: (400, "'To' number {} is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21705: (400, "The Messaging Service Sid {} is invalid."),
    30409: (400, "This message cannot be canceled"),
    63038: (429, "Account exceeded the daily messages limit"),
}
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
TO_REFUSED = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
FROM_REFUSED = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
FATES: dict[str, tuple[list[str], int | None]] = {
    "+15005550010": (["sending", "sent", "undelivered"], 30003),
    "+15005550011": (["sending", "sent", "undelivered"], 30006),
    "+15005550012": (["sending", "sent"], None),
    "+15005550013": (["sending", "failed"], 30001),
}
USUAL_FATE: tuple[list[str], int | None] = (["sending", "sent", "delivered"], None)
NOT_PLAYED = ("MediaUrl", "ContentSid", "SendAt", "ScheduleType", "SmartEncoded")
OPT_OUT_TYPES = {
    **dict.fromkeys(["STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"], "STOP"),
    **dict.fromkeys(["START", "UNSTOP", "YES"], "START"),
    **dict.fromkeys(["HELP", "INFO"], "HELP"),
}
FAULTS_BEFORE = ("429", "500", "drop-before", "refuse")  # the message is never accepted
FAULTS_AFTER = ("500-after-accept", "drop-after-accept", "slow")  # it is, but the client cannot tell
FAULTS_LATE = ("undelivered",)  # it is, and then ends badly
FAULTS_ASKING = (
    *("ask-500", "ask-drop", "ask-slow"),  # lists and single messages cannot be read
    *("ask-hidden", "ask-unsent-last"),  # a list shows nothing yet, or last what has not left
)


class RefusedError(Exception):
    """An answer other than success, in the form in which Twilio gives it."""

    def __init__(self, code: int, about: str = "", *, message: str = "") -> None:
        self.status, template = ERRORS.get(code, (400, "Refused, as the script says"))
        self.code = code
        self.message = message or template.format(about)
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}


def phone_number(written: str) -> str | None:
    """E.164 out of what was written, or None if nobody could be called by it."""
    digits = re.sub(r"[\s().-]", "", written)
    if digits.isascii() and digits.isdigit() and len(digits) == 10:
        digits = f"+1{digits}"  # Twilio reads ten bare digits as a US number
    return digits if re.fullmatch(r"\+[1-9][0-9]{7,14}", digits) else None


def read_recipient(written: str) -> str:
    number = phone_number(written)
    if number is None:
        raise RefusedError(21211, written)
    if number in TO_REFUSED:
        raise RefusedError(TO_REFUSED[number], number)
    return number


def read_sender(written: str) -> str:
    """A phone number, a short code, or an alphanumeric sender ID."""
    named = re.fullmatch(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}", written)
    ours = phone_number(written) or (written if named else None)
    if ours is None:
        raise RefusedError(21212, written)
    if ours in FROM_REFUSED:
        raise RefusedError(FROM_REFUSED[ours], ours)
    return ours


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def read_callback(written: str) -> str:
    try:
        parts = urlsplit(written)
        valid = (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "_" not in parts.hostname
            and parts.port != 0
        )
    except ValueError:
        valid = False
    if not valid:
        raise RefusedError(21609, written)
    if not is_loopback(written):
        raise RefusedError(
            21609, message=f"The sandbox calls loopback addresses only, and {written} is not one."
        )
    return written


def span(written: str | None) -> tuple[datetime, datetime]:
    """The day or the second that was written (UTC, if it names no zone); all of time, if none was."""
    if not written:
        return EVER
    try:
        start = datetime.fromisoformat(written)
    except ValueError:
        raise RefusedError(20001, f"{written} is not a date.") from None
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return start, start + (timedelta(days=1) if len(written) == 10 else timedelta(seconds=1))


def whole(query: Form, name: str, otherwise: int) -> int:
    try:
        return int(query.get(name) or otherwise)
    except ValueError:
        raise RefusedError(20001, f"{name} must be a number.") from None


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
        self.from_ = self.from_ or POOL_NUMBER  # a Messaging Service picks its sender now
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
        """What every webhook about a message says; Twilio keeps the Sms names for old times' sake."""
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
    """The message that a create asks for, or Twilio's refusal."""
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


@dataclass
class Fault:
    """What goes wrong with the next ``times`` creates (only those to ``to``, if it is set).

    A fault of FAULTS_ASKING waits for requests that ask instead. ``code`` is what a refusal, or a message
    that ends badly, says. With ``ask-unsent-last`` what has left did so ``seconds`` earlier than it did.
    """

    kind: str
    times: int = 1
    seconds: float = 1.0
    to: str | None = None
    code: int = 21211


def call(url: str, form: Form, token: str) -> int | None:
    """Post one signed webhook; the answer's status, or None if there was none.

    As Twilio does by default: a second attempt only if the connection failed, under the same token.
    """
    address = urldefrag(url).url  # the fragment holds Twilio's retry settings: never sent, never signed
    headers = {
        "X-Twilio-Signature": RequestValidator(token).compute_signature(address, form),
        "I-Twilio-Idempotency-Token": secrets.token_hex(16),
    }
    with requests.Session() as session:
        session.trust_env = False  # neither proxy nor .netrc: this call stays on the machine
        for _ in range(2):
            try:
                return session.post(
                    address, data=form, headers=headers, timeout=CALLBACK_TIMEOUT, allow_redirects=False
                ).status_code
            except requests.RequestException as error:
                if not isinstance(error, requests.ConnectionError):
                    break
    return None


class Exchange:
    """Every message, and the threads that move them. One lock guards all of it."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._tokens: Form = {}  # account -> auth token, as last seen
        self._owners: Form = {}  # our number -> the account that sent from it
        self._opted_out: set[tuple[str, str]] = set()  # (our number, patient)
        self._faults: list[Fault] = []
        # All steps take equally long, so a plain queue is in order of time already.
        self._line: SimpleQueue[tuple[float, Message] | None] = SimpleQueue()
        self._calls: SimpleQueue[tuple[str, Form, str] | None] = SimpleQueue()
        # Daemons: nothing here is worth waiting for when the sandbox stops.
        for target in [self._move, *[self._call_back] * CALLBACK_WORKERS]:
            threading.Thread(target=target, daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._line.put(None)
        for _ in range(CALLBACK_WORKERS):
            self._calls.put(None)

    def _move(self) -> None:
        for due, message in iter(self._line.get, None):
            if self.closing.wait(max(0.0, due - time.monotonic())):
                return
            with self._lock:
                if message.sid not in self._messages:
                    continue
                message.advance()
                self._schedule(message)
                if message.callback:
                    self._calls.put((message.callback, message.receipt(), message.token))

    def _schedule(self, message: Message) -> None:
        if message.ahead:
            self._line.put((time.monotonic() + self.step_seconds, message))

    def _call_back(self) -> None:
        for task in iter(self._calls.get, None):
            if self.closing.is_set():
                return
            call(*task)

    def _keep(self, message: Message) -> None:
        self._messages[message.sid] = message
        if len(self._messages) > MAX_MESSAGES:
            self._messages.popitem(last=False)

    def _find(self, account: str, sid: str) -> Message:
        message = self._messages.get(sid)
        if message is None or message.account_sid != account:
            raise RefusedError(20404, f"/{API_VERSION}/Accounts/{account}/Messages/{sid}.json")
        return message

    def token_for(self, account: str, username: str, password: str) -> str:
        """Whose secret signs callbacks: the account's; an API key's only until that was seen."""
        with self._lock:
            if username == account:
                self._tokens[account] = password
            return self._tokens.setdefault(account, password)

    def create(self, account: str, token: str, form: Form, ends_with: int | None = None) -> dict[str, Any]:
        message = read_order(account, token, form)
        if ends_with is not None:
            message.ahead, message.fails_with = deque(["sending", "sent", "undelivered"]), ends_with
        ours = message.from_ or POOL_NUMBER
        with self._lock:
            if (ours, message.to) in self._opted_out:
                raise RefusedError(21610)
            self._owners[ours] = account
            self._keep(message)
            self._schedule(message)
            return message.resource()

    def fetch(self, account: str, sid: str) -> dict[str, Any]:
        with self._lock:
            return self._find(account, sid).resource()

    def update(self, account: str, sid: str, form: Form) -> dict[str, Any]:
        """The one change there is to a message that was not scheduled: its body may be emptied."""
        with self._lock:
            message = self._find(account, sid)
            if "Status" in form:
                raise RefusedError(30409)
            if form.get("Body") != "":
                raise RefusedError(20001, "Body can only be changed to be empty.")
            message.body, message.updated = "", datetime.now(UTC)
            return message.resource()

    def delete(self, account: str, sid: str) -> None:
        with self._lock:
            del self._messages[self._find(account, sid).sid]

    def search(self, account: str, query: Form, fault: Fault | None = None) -> dict[str, Any]:
        """One page, newest first. A page token names the row beside it, so that new rows shift nothing."""
        size = min(max(whole(query, "PageSize", 50), 1), 1000)
        page = max(whole(query, "Page", 0), 0)
        to, from_ = (phone_number(query.get(name, "")) or query.get(name) for name in ("To", "From"))
        on = span(query.get("DateSent", "")[:10])  # always a whole day, also when a time is given
        before, after = span(query.get("DateSent<")), span(query.get("DateSent>"))
        first, end = max(on[0], after[0]), min(on[1], before[1])
        dated = any(name.startswith("DateSent") for name in query)

        def wanted(message: Message) -> bool:
            return (
                message.account_sid == account
                and (not to or message.to == to)
                and (not from_ or message.from_ == from_)
                # what has not been sent yet has no date, and no date filter can see it
                and (not dated or (message.sent is not None and first <= message.sent < end))
            )

        with self._lock:
            rows = [message for message in reversed(self._messages.values()) if wanted(message)]
            if fault and fault.kind == "ask-hidden":
                rows = []
            if fault and fault.kind == "ask-unsent-last":
                early = timedelta(seconds=fault.seconds)
                rows = [replace(row, sent=row.sent and row.sent - early) for row in rows]
                rows.sort(key=lambda message: message.sent is None)
            side, beside = query.get("PageToken", "")[:2], query.get("PageToken", "")[2:]
            start = page * size
            for place, message in enumerate(rows):
                if message.sid == beside:
                    start = place + 1 if side == "PA" else max(0, place - size)
            found = rows[start : start + size]
            resources = [message.resource() for message in found]

        def uri(number: int, token: str = "") -> str:
            kept = {name: value for name, value in query.items() if name not in ("Page", "PageToken")}
            turned = (
                kept | {"PageSize": str(size), "Page": str(number)} | ({"PageToken": token} if token else {})
            )
            return f"/{API_VERSION}/Accounts/{account}/Messages.json?{urlencode(turned)}"

        return {
            "messages": resources,
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + max(len(found) - 1, 0),
            "uri": uri(page, query.get("PageToken", "")),
            "first_page_uri": uri(0),
            "next_page_uri": uri(page + 1, f"PA{found[-1].sid}") if rows[start + size :] else None,
            "previous_page_uri": uri(page - 1, f"PB{found[0].sid}") if page and found else None,
        }

    def receive(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A patient texts one of our numbers."""
        patient, ours = (phone_number(str(asked.get(name, ""))) for name in ("from", "to"))
        body, url = str(asked.get("body", "")), str(asked.get("url") or "")
        if not patient or not ours:
            raise RefusedError(20001, "'from' and 'to' must be phone numbers.")
        if url:
            read_callback(url)
        opt_out = OPT_OUT_TYPES.get(body.strip().upper())
        with self._lock:
            account = self._owners.get(ours) or next(iter(self._tokens), "")
            if url and not account:
                raise RefusedError(20001, "No account has been here yet: there is no token to sign with.")
            message = Message(
                account_sid=account,
                to=ours,
                from_=patient,
                body=body,
                token=self._tokens.get(account, ""),
                status="received",
                direction="inbound",
            )
            message.sent = message.created
            self._keep(message)
            if opt_out == "STOP":
                self._opted_out.add((ours, patient))
            elif opt_out == "START":
                self._opted_out.discard((ours, patient))
        status = call(url, message.arrival(opt_out), message.token) if url else None
        return {"sid": message.sid, "opt_out_type": opt_out, "webhook_status": status}

    def inbox(self, query: Form) -> list[dict[str, Any]]:
        """What patients got, newest first. ``detail`` adds what the page shows, and what patients wrote."""
        to = query.get("to", "").strip()  # in an address typed by hand, the plus is a space
        patient = phone_number(to) or phone_number(f"+{to}") or to
        since = span(query.get("since"))[0]
        detail = "detail" in query
        with self._lock:
            rows = (
                message.inbox_row(detail=detail)
                for message in reversed(self._messages.values())
                if (detail or message.direction != "inbound")
                and (not patient or message.patient == patient)
                and message.created >= since
            )
            return list(islice(rows, max(whole(query, "limit", MAX_MESSAGES), 0)))

    def script(self, *faults: Fault) -> None:
        """These faults come next, after those already scripted; none clears the script."""
        with self._lock:
            self._faults = [*self._faults, *faults] if faults else []

    def next_fault(self, to: str, *, asking: bool = False) -> Fault | None:
        with self._lock:
            fault = next(
                (
                    fault
                    for fault in self._faults
                    if fault.to in (None, phone_number(to)) and (fault.kind in FAULTS_ASKING) == asking
                ),
                None,
            )
            if fault is None:
                return None
            fault.times -= 1
            if fault.times < 1:
                self._faults.remove(fault)
            return fault

    def __len__(self) -> int:
        return len(self._messages)


def json_object() -> dict[str, Any]:
    asked = request.get_json()
    if not isinstance(asked, dict):
        raise RefusedError(20001, "A JSON object is wanted.")
    return asked


def play(fault: Fault, exchange: Exchange) -> Response | None:
    """The answer that the fault puts in place of the true one."""
    match fault.kind:
        case "429":
            raise RefusedError(20429)
        case "refuse":
            raise RefusedError(fault.code)
        case "500" | "500-after-accept" | "ask-500":
            raise RefusedError(20500)
        case "drop-before" | "drop-after-accept" | "ask-drop":
            # What Flask sends after this reaches nobody.
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return Response()
        case "undelivered" | "ask-hidden" | "ask-unsent-last":
            return None
        case _:
            exchange.closing.wait(fault.seconds)
            return None


def create_app(exchange: Exchange) -> Flask:
    app = Flask(__name__)
    app.register_error_handler(RefusedError, lambda refused: (jsonify(refused.body()), refused.status))
    app.register_error_handler(404, lambda _: (jsonify(RefusedError(20404, request.path).body()), 404))
    add_twilio(app, exchange)
    add_inbox(app, exchange)
    add_controls(app, exchange)
    return app


def add_twilio(app: Flask, exchange: Exchange) -> None:
    """What https://api.twilio.com has too."""

    @app.before_request
    def authenticate() -> None:
        account = (request.view_args or {}).get("account")
        if account is None:
            return
        login = request.authorization
        username, password = (login.username, login.password) if login else (None, None)
        if not username or not password or not (username == account or username.startswith("SK")):
            raise RefusedError(20003)
        g.token = exchange.token_for(account, username, password)

    @app.post(f"{MESSAGES_URL}.json")
    def create(account: str) -> Response | tuple[dict[str, Any], int]:
        form = request.form.to_dict()
        fault = exchange.next_fault(form.get("To", ""))
        accepts = fault is None or fault.kind not in FAULTS_BEFORE
        ends_with = fault.code if fault and fault.kind in FAULTS_LATE else None
        created = exchange.create(account, g.token, form, ends_with) if accepts else {}
        return (play(fault, exchange) if fault else None) or (created, 201)

    @app.get(f"{MESSAGES_URL}.json")
    def search(account: str) -> Response | dict[str, Any]:
        fault = exchange.next_fault(request.args.get("To", ""), asking=True)
        answer = play(fault, exchange) if fault else None
        return answer or exchange.search(account, request.args.to_dict(), fault)

    @app.get(f"{MESSAGES_URL}/<sid>.json")
    def fetch(account: str, sid: str) -> Response | dict[str, Any]:
        fault = exchange.next_fault("", asking=True)
        return (play(fault, exchange) if fault else None) or exchange.fetch(account, sid)

    @app.post(f"{MESSAGES_URL}/<sid>.json")
    def update(account: str, sid: str) -> dict[str, Any]:
        return exchange.update(account, sid, request.form.to_dict())

    @app.delete(f"{MESSAGES_URL}/<sid>.json")
    def delete(account: str, sid: str) -> tuple[str, int]:
        exchange.delete(account, sid)
        return "", 204


def add_inbox(app: Flask, exchange: Exchange) -> None:
    """What a patient would see."""

    @app.get("/")
    def page() -> Response:
        answer = Response(render_template("inbox.html"))
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; connect-src 'self'; img-src data:; "
            "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        )
        return answer

    @app.get("/inbox.json")
    def inbox() -> list[dict[str, Any]]:
        return exchange.inbox(request.args.to_dict())


def add_controls(app: Flask, exchange: Exchange) -> None:
    """What a test asks of the outside world. JSON only: no web page can post it from elsewhere."""

    @app.get("/sandbox/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "messages": len(exchange)}

    @app.post("/sandbox/inbound")
    def inbound() -> tuple[dict[str, Any], int]:
        return exchange.receive(json_object()), 201

    @app.post("/sandbox/faults")
    def add_fault() -> tuple[dict[str, Any], int]:
        asked = json_object()
        try:
            fault = Fault(
                kind=str(asked["kind"]),
                times=int(asked.get("times", 1)),
                seconds=float(asked.get("seconds", 1)),
                to=read_recipient(str(asked["to"])) if asked.get("to") else None,
                code=int(asked.get("code", 21211)),
            )
        except (KeyError, TypeError, ValueError):
            raise RefusedError(20001, "Wanted: kind, and perhaps times, seconds, to, code.") from None
        kinds = FAULTS_BEFORE + FAULTS_AFTER + FAULTS_LATE + FAULTS_ASKING
        if fault.kind not in kinds:
            raise RefusedError(20001, f"kind is one of {', '.join(kinds)}.")
        exchange.script(fault)
        return asdict(fault), 201

    @app.delete("/sandbox/faults")
    def clear_faults() -> tuple[str, int]:
        exchange.script()
        return "", 204


class QuietHandler(WSGIRequestHandler):
    # headers and body go out as two packets, which Nagle's algorithm would hold 40 ms apart
    disable_nagle_algorithm = True

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def make_sandbox(exchange: Exchange, port: int) -> BaseWSGIServer:
    return make_server("127.0.0.1", port, create_app(exchange), threaded=True, request_handler=QuietHandler)


@contextmanager
def running_sandbox(*, port: int = 0, step_seconds: float = 0.01) -> Iterator[str]:
    """A sandbox in a thread of this process, on a free port; yields its base URL."""
    exchange = Exchange(step_seconds)
    server = make_sandbox(exchange, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        exchange.close()
        server.shutdown()
        thread.join()


def main() -> None:
    port = int(os.environ.get("INBOX_PORT", "3002"))
    server = make_sandbox(Exchange(float(os.environ.get("SANDBOX_STEP_SECONDS", "0.15"))), port)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: os._exit(0))  # all state is in memory: nothing to put in order first
    print(f"Sandbox Twilio: its inbox is at http://127.0.0.1:{port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
