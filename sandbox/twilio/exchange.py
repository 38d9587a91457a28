"""All messages of the sandbox, and the threads that move them along and call back."""

import threading
import time
from collections import OrderedDict, deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlencode

from sandbox.twilio.faults import FAULTS_ASKING, Fault
from sandbox.twilio.messages import API_VERSION, Message, read_order
from sandbox.twilio.numbers import POOL_NUMBER, phone_number
from sandbox.twilio.refusals import RefusedError
from sandbox.twilio.webhooks import Form, call, read_callback

MAX_MESSAGES = 20_000  # beyond that, the oldest are dropped
CALLBACK_WORKERS = 8
EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

OPT_OUT_TYPES = {
    **dict.fromkeys(["STOP", "STOPALL", "UNSUBSCRIBE", "END", "QUIT", "CANCEL", "REVOKE", "OPTOUT"], "STOP"),
    **dict.fromkeys(["START", "UNSTOP", "YES"], "START"),
    **dict.fromkeys(["HELP", "INFO"], "HELP"),
}


def span(written: str | None) -> tuple[datetime, datetime]:
    """Start and end of a day or a second (UTC unless it names a zone), or EVER without a text."""
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


class Exchange:
    """Every message, and the threads that move them. One lock guards all state."""

    def __init__(self, step_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._tokens: Form = {}  # account -> auth token, as last seen
        self._owners: Form = {}  # our number -> the account that sent from it
        self._opted_out: set[tuple[str, str]] = set()  # (our number, patient)
        self._faults: list[Fault] = []
        # All steps take the same time, so a plain queue is in order of time.
        self._line: SimpleQueue[tuple[float, Message] | None] = SimpleQueue()
        self._calls: SimpleQueue[tuple[str, Form, str] | None] = SimpleQueue()
        # Daemons, because the sandbox need not wait for them when it stops.
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
        """The secret that signs callbacks: the auth token, or an API key's secret until the token is seen."""
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
        """Empty the body, which is the only change that Twilio allows to a message that was not scheduled."""
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
        """One page, newest first. A page token names a row, so that new messages do not shift the pages."""
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
                # a message that has not been sent has no date, so it matches no date filter
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
        """Take in an SMS from a patient to one of our numbers."""
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
        """The SMS that patients got, newest first. ``detail`` adds more columns, and what patients wrote."""
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
        """Add faults after those already scripted; without any, clear the script."""
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
