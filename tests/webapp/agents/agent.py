"""The other side of the tools, for test_stateful: an agent's requests and the answers to them.

This module does not import the code under test, and so judges it independently.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from flask.testing import FlaskClient

PATHS = {
    "check_availability": "calendar/check",
    "reserve_atomic": "booking/reserve-atomic",
    "send_otp_code": "booking/send-otp",
    "verify_otp": "booking/verify-otp",
    "send_confirmation_sms": "booking/send-confirmation",
}
SAYS_NOT_BOOKED = {"reserve_atomic", "send_otp_code", "verify_otp"}

#: Numbers as callers say them, with their E.164; None for an impossible number.
PHONES = {
    "+447700900100": "+447700900100",
    "+447700900101": "+447700900101",
    "+447700900102": "+447700900102",
    "07700 900101": "+447700900101",
    "+44 (0)7700-900101": "+447700900101",
    "12": None,
    "+999 123 456 789": None,
    "my mobile": None,
}
CALLERS = ("+447700900100", "anonymous", "+447700900102")  # the customer.number of each of the three calls

SLOT = timedelta(minutes=30)
STEP = timedelta(minutes=15)
HOLD = timedelta(minutes=10)
HORIZON = 30
TRIES = 3


@dataclass(frozen=True)
class Clinic:
    org_id: str
    secret: str
    calendars: tuple[str, ...]
    opens: timedelta
    closes: timedelta
    closed_on: str
    code_length: int
    codes_per_hold: int

    def why_not_offered(self, starts: datetime, now: datetime) -> str | None:
        midnight = starts.replace(hour=0, minute=0, second=0, microsecond=0)
        since_opening = starts - midnight - self.opens
        if starts <= now:
            return "slot_in_the_past"
        if (starts.date() - now.date()).days > HORIZON:
            return "day_too_far"
        if starts.date().isoformat() == self.closed_on:
            return "day_closed"
        on_grid = since_opening >= timedelta(0) and not since_opening % STEP
        tomorrow = (starts + timedelta(days=1)).date().isoformat()
        closes = self.closes
        if closes - self.opens == timedelta(days=1) and tomorrow != self.closed_on:
            closes += SLOT  # it stays open past midnight
        return None if on_grid and starts - midnight + SLOT <= closes else "slot_not_offered"


@dataclass(frozen=True)
class Line:
    """The connection of a request: the clinic, the call if there is one, and the form."""

    clinic: int
    call: int | None  # index of one of three call ids, each of which *both* clinics use
    vapi: bool
    #: "clash" names the other clinic as tenant; "nobody" brings neither credential nor tenant.
    auth: str
    fresh: bool = True  # a new tool call id; else call_0, which models repeat


@dataclass
class Hold:
    """What the answers said about a hold, and its state that follows from them."""

    id: str
    clinic: int
    calendar: str
    starts: datetime
    call: int | None
    phone: str
    contact: str
    until: datetime
    code: str
    #: "stale": it is over, and was released or expired, whichever came first.
    status: str = "held"
    code_sent: bool = False
    tries: int = 0
    appointment: str | None = None
    cancelled: bool = False

    def live(self, now: datetime) -> bool:
        return self.status == "held" and now < self.until

    def takes(self, starts: datetime, now: datetime) -> bool:
        taken = (self.status == "confirmed" and not self.cancelled) or self.live(now)
        return taken and abs(self.starts - starts) < SLOT

    def give_back(self, now: datetime) -> None:
        self.status = "released" if self.live(now) else "stale"


@dataclass(frozen=True)
class Ask:
    """One tool call, and what the test knows about its arguments beyond their text."""

    tool: str
    arguments: dict[str, Any]
    starts: datetime | None = None  # of a readable slotId
    day: str | None = None  # of a readable date
    digits: str | None = None  # of a readable code
    nonsense: bool = False

    def given(self, name: str) -> Any:
        return self.arguments.get(name)


@dataclass(frozen=True)
class Said:
    """One answer, in either form."""

    code: str | None
    say: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def success(self) -> bool:
        return self.code is None


# --- sending and hearing ------------------------------------------------------------------------


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    def post(self, client: FlaskClient) -> Any:
        response = client.post(
            f"/api/vapi/{self.path}",
            data=self.body,
            headers={"Content-Type": "application/json"} | self.headers,
        )
        assert response.status_code == 200, f"P6: {response.status_code} {response.text}"
        return response.get_json()


def headers(clinic: Clinic, line: Line) -> dict[str, str]:
    if line.auth in ("tenant", "nobody"):
        return {}
    return {"Authorization": f"Bearer {clinic.secret}"} if line.clinic else {"X-Vapi-Secret": clinic.secret}


def vapi_form(calls: list[tuple[str, Ask]], call_id: str | None, number: str | None) -> dict[str, Any]:
    call: dict[str, Any] = ({"id": call_id} if call_id else {}) | ({"customer": {"number": number}})
    return {
        "message": {
            "type": "tool-calls",
            "call": call,
            "toolCallList": [
                {"id": key, "type": "function", "function": {"name": ask.tool, "arguments": ask.arguments}}
                for key, ask in calls
            ],
        }
    }


def bare_form(ask: Ask, call_id: str | None) -> dict[str, Any]:
    return {"toolCall": {"arguments": ask.arguments}} | ({"call": {"id": call_id}} if call_id else {})


def hear_vapi(answer: Any, calls: list[tuple[str, Ask]]) -> list[Said]:
    """The answers in Vapi's form; asserts P6: one line of text per tool call, in order."""
    assert set(answer) == {"results"}, answer
    results = answer["results"]
    assert [(each["toolCallId"], each["name"]) for each in results] == [(key, ask.tool) for key, ask in calls]
    heard = []
    for result, (_, ask) in zip(results, calls, strict=True):
        known = ask.tool in PATHS
        assert set(result) == {"toolCallId", "name", "result" if known else "error"}, result
        text = result["result" if known else "error"]
        assert_one_line(text)
        match = re.fullmatch(r"(?P<say>.*?)(?: \[(?P<line>[^\[\]]*)\])?", text)
        assert match, text
        facts: dict[str, Any] = dict(re.findall(r"(\w+)=([^\s;,]+)", match["line"] or ""))
        facts["slots"] = re.findall(r" = (\S+Z)\b", match["line"] or "")
        code = facts.pop("code", None) if known else "unknown_tool"
        heard.append(Said(code, match["say"], facts))
    return heard


def hear_bare(answer: Any) -> Said:
    assert isinstance(answer, dict)
    assert_one_line(answer["say"])
    assert answer["success"] in (True, False)
    if answer["success"]:
        assert not {"error", "code"} & set(answer), answer
    else:
        assert answer["error"], answer
        assert answer["code"], answer
    facts = {name: value for name, value in answer.items() if name not in ("success", "say", "code", "error")}
    facts["slots"] = [offered["slotId"] for offered in facts.get("slots", [])]
    return Said(answer.get("code"), answer["say"], facts)


def assert_one_line(text: Any) -> None:
    assert isinstance(text, str), f"P6: {text!r}"
    assert text.strip(), "P6: silence"
    assert text.isprintable(), f"P6: {text!r}"


# --- P4: a code shows nowhere -------------------------------------------------------------------

#: Groups of digits that may appear in an answer.
_INNOCENT = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # ids
    r"|\b(?:[0-9a-f]{32}){1,2}\b|\bSM[0-9a-f]{32}\b"  # keyed digests, Twilio's ids
    r"|\b\d{4}-\d\d-\d\d(?:[T ][\d:.]+(?:Z|[+-]\d\d:?\d\d))?"  # days and instants
    r"|\+\d[\d ]{6,17}\b"  # telephone numbers
    r"|\b\d{1,2} [A-Z][a-z]+, \d{1,4}\b|\b20\d\d\b|Ref \w{6}\b"  # years, references
    r"|http://127\.0\.0\.1:1/"  # the tests' PUBLIC_BASE_URL
)
_DIGIT_WORD = "(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_CODE = re.compile(rf"\d(?:[ .\-]?\d){{3,}}|\b{_DIGIT_WORD}(?:[ ,]+{_DIGIT_WORD}\b){{3,}}", re.IGNORECASE)


def code_in(text: str) -> str | None:
    """The first digits in a text that could be a code of any hold; None if there are none."""
    match = _CODE.search(_INNOCENT.sub(" ", text))
    return match and match[0]


def texts(value: Any) -> Iterator[str]:
    """Every text and number in a JSON value, its keys included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def spoken(code: str, how: str) -> Any:
    """A code as a patient says it."""
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return {
        "plain": code,
        "spaced": " ".join(code),
        "dashes": "-".join(code),
        "words": " ".join(words[int(digit)] for digit in code),
        "sentence": f"Um, my code is {', '.join(code)}, thanks.",
        "number": int(code),
    }[how]


def instant(starts: datetime) -> str:
    return starts.strftime("%Y-%m-%dT%H:%M:%SZ")


def secret_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def on_line_of(line: Line, hold: Hold) -> Line:
    return replace(line, clinic=hold.clinic, call=hold.call)
