"""A Vapi that phones, and the patient at the other end: real envelopes in, codes read from the inbox.

`python -m sandbox.caller --play booking` plays one caller; sandbox/demo.py is what `make demo` shows.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any

import requests

from models.calls.facts import NAME
from sandbox.seed import CALENDAR, LONDON
from sandbox.story import Teller, Terminal

WEB, INBOX = "http://127.0.0.1:3001", "http://127.0.0.1:3002"  # where make demo has them
VAPI_PATIENCE = 20.0  # seconds that Vapi waits for a tool, if it is not told otherwise
SMS_PATIENCE = 30.0

DAYS_AHEAD = 7
LOOK_AHEAD = 21  # days that one answer of check_availability looks for openings

_ORGANIZATION, _ASSISTANT, _PHONE_NUMBER = (
    str(uuid.uuid5(uuid.NAMESPACE_URL, f"holdline/sandbox/{name}"))
    for name in ("organization", "assistant", "phone-number")
)


class DidNotHold(Exception):
    """A step that did not come out as promised."""

    def __init__(self, step: str, instead: str) -> None:
        super().__init__(f"{step}; instead: {instead}")
        self.step = step
        self.instead = instead


def must(held: object, step: str, instead: object) -> None:
    """Go on only if it held; `step` says what was promised, `instead` what came."""
    if not held:
        raise DidNotHold(step, str(instead))


# --- what the tools answer ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Slot:
    """A time on offer: its start in UTC, and the words for it."""

    id: str
    label: str

    def with_its_day(self) -> Slot:
        """Within one day's answer the label is the time alone."""
        day = date.fromisoformat(self.id[:10])
        return self if "," in self.label else Slot(self.id, f"{day:%A} {day.day} {day:%B}, {self.label}")


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of text, as the agent is given it, and the facts that stand at its end."""

    text: str
    status: int = HTTPStatus.OK
    ms: float = 0.0

    @property
    def facts(self) -> dict[str, str]:
        """The `name=value` pairs, without the list of times."""
        return dict(_FACT.findall(self._bracket()[0]))

    @property
    def slots(self) -> list[Slot]:
        """The times on offer, in order."""
        return [Slot(slot_id, label) for label, slot_id in _SLOT.findall(self._bracket()[1])]

    def _bracket(self) -> tuple[str, str]:
        found = _BRACKET.search(self.text)
        facts, _, times = (found[1] if found else "").partition("slotId by time:")
        return facts, times


_BRACKET = re.compile(r"\[([^\[\]]*)\]$")
_FACT = re.compile(r"(\w+)=([^\s;,]+)")
_SLOT = re.compile(r"\s*([^;=]+?) = ([\dT:-]+Z)[;,]?")


def read_code(body: str) -> str:
    """The code in an SMS, as a person finds it: the one group of four digits."""
    groups = re.findall(r"(?<!\d)\d{4}(?!\d)", body)
    must(len(groups) == 1, "the SMS has one group of four digits, the code", body)
    return str(groups[0])


# --- the telephone call -------------------------------------------------------------------------


@dataclass(slots=True)
class Call:
    """One telephone call, as Vapi reports it to us."""

    web_url: str
    customer: str | None
    tenant_id: str = str(LONDON)
    credential: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    teller: Teller = field(default_factory=Teller)

    def tool(self, name: str, **arguments: object) -> Answer:
        """The agent uses a tool."""
        return self.send(self.envelope(name, **arguments))

    def envelope(self, name: str, **arguments: object) -> dict[str, Any]:
        """The message of one tool call.

        As in observed traffic the call stands in three lists at once, and its arguments are an object that
        the static parameters were merged into.
        """
        tool_call = {
            "id": f"call_{uuid.uuid4().hex[:24]}",
            "type": "function",
            "function": {"name": name, "arguments": {**arguments, "tenantId": self.tenant_id}},
            "isPrecededByText": False,
        }
        with_tool = {
            "type": "function",
            "async": False,
            "function": {"name": name, "parameters": {"type": "object", "properties": {}}},
            "server": {"url": self._server, "timeoutSeconds": int(VAPI_PATIENCE)},
            "parameters": [{"key": "tenantId", "value": self.tenant_id}],
            "messages": [],
            "toolCall": tool_call,
        }
        return self._message(
            "tool-calls",
            toolCalls=[tool_call],
            toolCallList=[tool_call],
            toolWithToolCallList=[with_tool],
        )

    def send(self, envelope: dict[str, Any]) -> Answer:
        """Send the message of one tool call; sending one again is a repeat, as after a lost answer."""
        tool_call = envelope["message"]["toolCallList"][0]
        name, arguments = tool_call["function"]["name"], tool_call["function"]["arguments"]
        began = time.monotonic()
        response = self._post(self._server, envelope)
        ms = (time.monotonic() - began) * 1000
        answer = Answer(_result(response, tool_call["id"]), response.status_code, ms)
        self.teller.tool(name, arguments, answer.text, ms)
        return answer

    def hang_up(self, reason: str = "customer-ended-call") -> None:
        """The call ends; Vapi reports it."""
        self.teller.event(f"the call ends: {reason}")
        event = self._message("status-update", status="ended", endedReason=reason)
        response = self._post(self._server, event)
        must(response.ok, "the end of the call is taken in", f"{response.status_code} {response.text[:300]}")

    def report(self, said: list[dict[str, str]], seconds: int, facts: Mapping[str, object]) -> None:
        """What Vapi sends after the call: who said what, for how long, and what it was asked to find out."""
        self.teller.event(f"the report of the call arrives: {seconds} seconds, {len(said)} turns")
        event = self._message(
            "end-of-call-report",
            endedReason="customer-ended-call",
            durationSeconds=float(seconds),
            artifact={
                "messages": said,
                "structuredOutputs": {str(uuid.uuid4()): {"name": NAME, "result": facts}},
            },
            analysis={"summary": "", "successEvaluation": "true"},
        )
        response = self._post(self._server, event)
        must(response.ok, "the report is taken in", f"{response.status_code} {response.text[:300]}")

    @property
    def _server(self) -> str:
        """The one server URL of the assistant: it takes the calls of all tools, and every event."""
        return f"{self.web_url}/api/vapi/webhook"

    def _message(self, kind: str, **rest: object) -> dict[str, Any]:
        customer = {"number": self.customer} if self.customer else {}
        call = {
            "id": self.id,
            "orgId": _ORGANIZATION,
            "type": "inboundPhoneCall" if self.customer else "webCall",
            "assistantId": _ASSISTANT,
            "phoneNumberId": _PHONE_NUMBER,
            "customer": customer,
        }
        common = {"timestamp": time.time_ns() // 1_000_000, "type": kind, "call": call, "customer": customer}
        return {"message": {**common, "phoneNumber": {"id": _PHONE_NUMBER}, **rest}}

    def _post(self, url: str, body: dict[str, Any]) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.credential}"} if self.credential else {}
        try:
            return _http("POST", url, timeout=VAPI_PATIENCE, json=body, headers=headers)
        except requests.RequestException as error:
            raise DidNotHold(f"{url} answers", _reason(error)) from error


def _result(response: requests.Response, tool_call_id: str) -> str:
    """The text of the one result, or the whole body where there is none."""
    try:
        (result,) = response.json()["results"]
        must(result["toolCallId"] == tool_call_id, f"the answer is for {tool_call_id}", result)
        return str(result.get("result") or result["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {response.status_code}: {response.text[:300]}"


def _http(method: str, url: str, *, timeout: float, **options: Any) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no way to this machine's own ports
        return session.request(method, url, timeout=timeout, **options)


def _reason(error: Exception) -> str:
    match error:
        case requests.Timeout():
            return "no answer in time"
        case requests.ConnectionError():
            return "no connection"
        case _:
            return repr(error)


# --- the patient's telephone --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sms:
    sid: str
    body: str
    status: str


@dataclass(slots=True)
class Phone:
    """A patient's mobile. It shows what arrives from now on."""

    inbox_url: str
    number: str
    teller: Teller = field(default_factory=Teller)
    read: set[str] = field(default_factory=set)
    old: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.old = {row["sid"] for row in _inbox(self.inbox_url, self.number)}

    @classmethod
    def fresh(cls, inbox_url: str, teller: Teller | None = None) -> Phone:
        """One of the numbers that Ofcom keeps free for fiction, with nothing on it yet if there is one."""
        for _ in range(50):
            number = f"+447700900{random.randint(100, 999)}"
            if not _inbox(inbox_url, number):
                break
        return cls(inbox_url, number, teller or Teller())

    def messages(self) -> list[Sms]:
        """What has arrived, oldest first."""
        rows = reversed(_inbox(self.inbox_url, self.number))
        return [Sms(row["sid"], row["body"], row["status"]) for row in rows if row["sid"] not in self.old]

    def wait_for_sms(self, containing: str, *, within: float = SMS_PATIENCE) -> Sms:
        """The first SMS with these words that was not read before."""
        until = time.monotonic() + within
        while True:
            for sms in self.messages():
                if sms.sid not in self.read and containing.casefold() in sms.body.casefold():
                    self.read.add(sms.sid)
                    self.teller.sms(self.number, sms.body)
                    return sms
            must(
                time.monotonic() < until,
                f"an SMS with “{containing}” reaches {self.number} within {within:.0f} s",
                f"the inbox holds {[sms.body for sms in self.messages()] or 'nothing for that number'}",
            )
            time.sleep(0.05)


def _inbox(inbox_url: str, number: str) -> list[dict[str, str]]:
    url = f"{inbox_url}/inbox.json"
    try:
        response = _http("GET", url, timeout=5, params={"to": number})
        response.raise_for_status()
        return list(response.json())
    except (requests.RequestException, ValueError) as error:
        raise DidNotHold(f"{url} answers", _reason(error)) from error


# --- callers ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """Where callers find the clinic and their SMS, and who tells what happens."""

    web_url: str
    inbox_url: str
    tenant_id: str = str(LONDON)
    credential: str | None = None
    teller: Teller = field(default_factory=Teller)

    def caller(self, name: str, label: str = "Patient") -> Caller:
        phone = Phone.fresh(self.inbox_url, self.teller)
        call = Call(self.web_url, phone.number, self.tenant_id, self.credential, teller=self.teller)
        return Caller(name, label, call, phone, self.teller)


@dataclass(frozen=True, slots=True)
class Booking:
    """What a caller was told, in the end."""

    appointment_id: str
    slot: Slot
    confirmation: Sms


@dataclass(frozen=True, slots=True)
class Caller:
    """A patient and the agent on one line, talking and using the tools. Every step checks its outcome."""

    name: str
    label: str
    call: Call
    phone: Phone
    teller: Teller
    #: The conversation so far, as Vapi would report it.
    said: list[dict[str, str]] = field(default_factory=list)

    def says(self, words: str) -> None:
        self.said.append({"role": "user", "message": words})
        self.teller.says(self.label, words)

    def hears(self, words: str) -> None:
        self.said.append({"role": "bot", "message": words})
        self.teller.says("Agent", words)

    def finds_a_time(self) -> Slot:
        """One of the free times some days ahead."""
        day = datetime.now(UTC).date() + timedelta(days=DAYS_AHEAD)
        self.says(f"Hello, could I have a check-up next {day:%A}?")
        self.hears("Let me look.")
        for ahead in range(0, 700, LOOK_AHEAD):
            answer = self.call.tool("check_availability", date=str(day + timedelta(days=ahead)))
            must(answer.status == HTTPStatus.OK, "check_availability answers 200", answer.text)
            if answer.slots:
                break
        must(answer.slots, "check_availability offers times, each with its slotId", answer.text)
        offered = sorted(random.sample(answer.slots, min(3, len(answer.slots))), key=lambda slot: slot.id)
        self.hears(f"I have {' or '.join(slot.label for slot in offered)}.")
        return offered[len(offered) // 2].with_its_day()

    def is_free(self, slot: Slot) -> bool:
        """Whether another look at that day shows the time."""
        answer = self.call.tool("check_availability", date=slot.id[:10])
        return slot.id in {offered.id for offered in answer.slots}

    def asks_for(self, slot: Slot) -> Answer:
        """The claim itself, whatever comes of it."""
        self.says(f"{slot.label}, please. My name is {self.name}.")
        return self.call.tool(
            "reserve_atomic",
            slotId=slot.id,
            calendarId=CALENDAR,
            patientName=self.name,
            patientPhone=self.phone.number,
        )

    def holds(self, slot: Slot) -> str:
        answer = self.asks_for(slot)
        hold_id = answer.facts.get("holdId", "")
        must(_is_uuid(hold_id), "reserve_atomic holds the time and answers with a holdId", answer.text)
        self.hears("I am holding that for you for ten minutes.")
        return hold_id

    def is_refused(self, slot: Slot) -> list[Slot]:
        """Ask for a time that somebody else holds; gives back what is offered instead."""
        answer = self.asks_for(slot)
        must(
            answer.text.startswith("NOT BOOKED") and answer.facts.get("code") == "slot_taken",
            "a time that somebody else holds is refused: NOT BOOKED, code=slot_taken",
            answer.text,
        )
        must(answer.slots, "the refusal offers the nearest free times", answer.text)
        offered = {slot.id for slot in answer.slots}
        must(slot.id not in offered, "the refusal does not offer the time that it refuses", answer.text)
        return answer.slots

    def is_sent_a_code(self, hold_id: str) -> str:
        """Have the code sent, and read it as the patient does."""
        self.hears("I am texting you a code now. Please read it back to me.")
        answer = self.call.tool("send_otp_code", holdId=hold_id, patientPhone=self.phone.number)
        must(
            answer.facts.get("codeSent") in ("true", "false") and "code" not in answer.facts,
            "send_otp_code says that the code is sent or on its way",
            answer.text,
        )
        sms = self.phone.wait_for_sms("code")
        code = read_code(sms.body)
        must(code not in answer.text, "the code stands in the SMS only, never in an answer", answer.text)
        return code

    def reads_wrongly(self, hold_id: str, code: str) -> None:
        """Give a code that is not the one in the SMS."""
        wrong = f"{(int(code) + 1) % 10_000:04d}"
        self.says(f"It says {', '.join(wrong)}.")
        answer = self.call.tool("verify_otp", holdId=hold_id, providedOTP=wrong)
        must(
            answer.text.startswith("NOT BOOKED") and answer.facts.get("code") == "wrong_code",
            "a wrong code is refused: NOT BOOKED, code=wrong_code",
            answer.text,
        )
        self.hears("That is not the code I sent. Could you read it once more?")

    def reads_back(self, hold_id: str, code: str) -> str:
        """Give the right code; gives back the appointment's id."""
        self.says(f"It says {', '.join(code)}.")
        answer = self.call.tool(
            "verify_otp", holdId=hold_id, providedOTP=" ".join(code), serviceType="check-up"
        )
        appointment_id = answer.facts.get("appointmentId", "")
        must(
            answer.text.startswith("Booked") and _is_uuid(appointment_id),
            "verify_otp answers “Booked” with an appointmentId",
            answer.text,
        )
        self.hears("Thank you, that is booked. Let me see that your confirmation has gone out.")
        return appointment_id

    def is_confirmed(self, appointment_id: str) -> Sms:
        """The agent asks after the confirmation until it has gone out; the patient reads it."""
        until = time.monotonic() + SMS_PATIENCE
        while True:
            answer = self.call.tool("send_confirmation_sms", appointmentId=appointment_id)
            if answer.facts.get("messageSent") != "false" or time.monotonic() > until:
                break
            self.hears("Your confirmation is on its way, one moment.")
            time.sleep(0.5)
        message_id = answer.facts.get("messageId", "")
        must(
            answer.facts.get("messageSent") == "true" and message_id.startswith("SM"),
            "send_confirmation_sms answers messageSent=true with Twilio's id",
            answer.text,
        )
        sms = self.phone.wait_for_sms("confirmed")
        must(
            sms.sid == message_id,
            f"the confirmation in the inbox is {message_id}, as the tool said",
            f"the inbox has {sms.sid}",
        )
        return sms

    def books(self, slot: Slot, hold_id: str) -> Booking:
        """From the hold to the confirmation, without a slip."""
        appointment_id = self.reads_back(hold_id, self.is_sent_a_code(hold_id))
        return Booking(appointment_id, slot, self.is_confirmed(appointment_id))

    def hangs_up(self) -> None:
        self.call.hang_up()


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None


# --- plays --------------------------------------------------------------------------------------


def play_booking(world: World) -> Booking:
    """Books, without a slip."""
    patient = world.caller("Amelia Hart")
    slot = patient.finds_a_time()
    booking = patient.books(slot, patient.holds(slot))
    patient.hangs_up()
    return booking


def play_wrong_code(world: World) -> Booking:
    """Reads the code wrongly first, and books at the second try."""
    patient = world.caller("Noah Reid")
    slot = patient.finds_a_time()
    hold_id = patient.holds(slot)
    code = patient.is_sent_a_code(hold_id)
    patient.reads_wrongly(hold_id, code)
    appointment_id = patient.reads_back(hold_id, code)
    booking = Booking(appointment_id, slot, patient.is_confirmed(appointment_id))
    patient.hangs_up()
    return booking


def play_hang_up(world: World) -> Slot:
    """Hangs up while the time is held; it is free for others again."""
    patient, other = world.caller("Isla Grant"), world.caller("Oscar Webb", "Caller 2")
    slot = patient.finds_a_time()
    patient.holds(slot)
    other.says("Is that time free?")
    must(not other.is_free(slot), "a time that is held is not offered to others", slot)
    patient.hangs_up()
    other.says("And now?")
    must(other.is_free(slot), "a time is offered again once the call that held it has ended", slot)
    other.hears("Yes, it has just become free.")
    other.hangs_up()
    return slot


def play_taken_slot(world: World) -> Booking:
    """Asks for a time that another call holds, and books one of the nearest instead."""
    holder, patient = world.caller("Ruby Shaw", "Caller 1"), world.caller("Theo Lane", "Caller 2")
    slot = holder.finds_a_time()
    holder.holds(slot)
    instead, *_ = patient.is_refused(slot)
    patient.hears(f"I am sorry, that has just gone. I could offer {instead.label}.")
    booking = patient.books(instead, patient.holds(instead))
    patient.hangs_up()
    holder.hangs_up()
    return booking


PLAYS: dict[str, Callable[[World], object]] = {
    "booking": play_booking,
    "wrong-code": play_wrong_code,
    "hang-up": play_hang_up,
    "taken-slot": play_taken_slot,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.caller", description=__doc__)
    parser.add_argument("--web", default=WEB, help="where Holdline answers")
    parser.add_argument("--inbox", default=INBOX, help="where the sandbox Twilio is")
    parser.add_argument("--tenant", default=str(LONDON), help="the clinic that is called")
    parser.add_argument("--credential", help="sent as a bearer token, as a Vapi credential would be")
    parser.add_argument("--play", choices=PLAYS, default="booking")
    chosen = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `… | head` ends it without a traceback
    world = World(
        chosen.web.rstrip("/"), chosen.inbox.rstrip("/"), chosen.tenant, chosen.credential, Terminal()
    )
    play = PLAYS[chosen.play]
    world.teller.scene(str(play.__doc__).rstrip("."))
    try:
        play(world)
    except DidNotHold as failure:
        world.teller.failed(failure.step, failure.instead)
        return 1
    world.teller.held("Every step held.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
