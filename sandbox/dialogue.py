"""A patient and the agent in one call, and the addresses that they use."""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sandbox.answers import Answer, Slot, read_code
from sandbox.caller import Call
from sandbox.phone import SMS_PATIENCE, Phone, Sms
from sandbox.seed import CALENDAR, LONDON
from sandbox.steps import must
from sandbox.story import Teller

DAYS_AHEAD = 7
LOOK_AHEAD = 21  # days in which one answer of check_availability looks for openings


@dataclass(frozen=True, slots=True)
class World:
    """Where callers find the clinic and their SMS, and the teller that narrates."""

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
    """A booking as the caller heard it."""

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
        """Ask for a check-up some days ahead; returns one of the free slots."""
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
        """Look at the slot's day again; returns whether the slot is offered."""
        answer = self.call.tool("check_availability", date=slot.id[:10])
        return slot.id in {offered.id for offered in answer.slots}

    def asks_for(self, slot: Slot) -> Answer:
        """Ask for the slot, and have the agent claim it; returns the answer unchecked."""
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
        """Ask for a slot that another call holds; returns the slots that are offered instead."""
        answer = self.asks_for(slot)
        must(
            answer.text.startswith("NOT BOOKED") and answer.facts.get("code") == "slot_taken",
            "a time that another call holds is refused: NOT BOOKED, code=slot_taken",
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
        """Give a wrong code."""
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
        """Give the right code; returns the appointment's id."""
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
        """Have the agent ask until the confirmation has gone out; returns the SMS that the patient reads."""
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
        """Go from the hold to the confirmation without a mistake."""
        appointment_id = self.reads_back(hold_id, self.is_sent_a_code(hold_id))
        return Booking(appointment_id, slot, self.is_confirmed(appointment_id))

    def hangs_up(self) -> None:
        self.call.hang_up()


def _is_uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) is not None
