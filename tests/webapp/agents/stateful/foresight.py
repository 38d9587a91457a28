"""What a tool must answer, predicted from its earlier answers, and what follows from the answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.factories import code_of
from tests.webapp.agents import agent
from tests.webapp.agents.agent import PHONES, Ask, Hold, Line, Said
from tests.webapp.agents.books import Books, moment
from tests.webapp.agents.stateful.wording import Wording

_OF_NONSENSE = (
    *("invalid_argument", "missing_argument", "unknown_tenant", "unknown_tool", "unknown_calendar"),
    *("invalid_date", "invalid_slot", "unknown_hold", "unknown_appointment", "wrong_code", "code_unreadable"),
)


class Foresight(Wording):
    """Predicts the codes of correct refusals, and learns from each answer."""

    # --- what the answer must be ----------------------------------------------------------------

    def foretell(
        self, line: Line, whose: int | None, ask: Ask, before: Books, after: Books
    ) -> set[str | None]:
        """The codes of the refusals that are correct; None in the set stands for success."""
        if ask.nonsense:
            return {*_OF_NONSENSE}
        if ask.tool == "verify_otp" and ask.given("providedOTP") is None:
            return {"missing_argument"}
        if whose is None:
            return {"unknown_tenant"}
        line = replace(line, clinic=whose)
        foretold = {
            "check_availability": lambda: self._foretell_check(line, ask, after.now),
            "reserve_atomic": lambda: self._foretell_reserve(line, ask, after.now),
            "send_otp_code": lambda: self._foretell_send_code(line, ask, before, after),
            "verify_otp": lambda: (
                self._foretell_undelivered(line, ask, before) or self._foretell_verify(line, ask, after.now)
            ),
            "send_confirmation_sms": lambda: self._foretell_confirm(line, ask, after),
        }
        return foretold[ask.tool]()

    def _foretell_check(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        if self._calendar(line, ask) is None:
            return {"unknown_calendar"}
        if ask.day is None:
            return {"invalid_date"}
        if ask.day < now.date().isoformat():
            return {"day_in_the_past"}
        if ask.day > (now.date() + timedelta(days=agent.HORIZON)).isoformat():
            return {"day_too_far"}
        return {"day_closed"} if ask.day == self.closed_on else {None}

    def _foretell_reserve(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        calendar = self._calendar(line, ask)
        if calendar is None:
            return {"unknown_calendar"}
        if ask.starts is None:
            return {"invalid_slot", "slot_in_the_past", "day_too_far"}
        number = self._number(line, ask)
        if number is None:
            return {"impossible_phone", "missing_argument"}
        if why := self.clinics[line.clinic].why_not_offered(ask.starts, now):
            return {why}
        instead_of = self._own(line)
        taken = any(
            hold.takes(ask.starts, now)
            for hold in self.holds
            if (hold.clinic, hold.calendar) == (line.clinic, calendar) and hold not in instead_of
        )
        own = self._booked_before(line, calendar, ask.starts, number)
        return {"slot_taken"} if taken and not own else {None}

    def _booked_before(self, line: Line, calendar: str, starts: datetime, phone: str) -> Hold | None:
        """This call's own booking at that time, unless it was cancelled."""
        wanted = (line.clinic, line.call, calendar, starts, phone)
        standing = [hold for hold in self.booked if line.call is not None and not hold.cancelled]
        return next(
            (h for h in standing if (h.clinic, h.call, h.calendar, h.starts, h.phone) == wanted), None
        )

    def _foretell_send_code(self, line: Line, ask: Ask, before: Books, after: Books) -> set[str | None]:
        hold, refused = self._named(line, ask)
        if hold is None:
            return {refused}
        given = ask.given("patientPhone")
        if given is not None and PHONES[given] != hold.phone:
            return {"phone_mismatch"}
        if hold.cancelled:
            return {"appointment_cancelled"}
        if over := self._over(hold, after.now):
            return over
        codes = [row for row in after["sms_messages"] if row["kind"] == "otp" and row["hold_id"] == hold.id]
        ids = {row["id"] for row in codes}
        waiting = any(row["status"] in ("queued", "sending") for row in codes)
        known = sum(row["id"] in ids for row in before["sms_messages"])
        used_up = len(codes) >= self.clinics[line.clinic].codes_per_hold and known == len(codes)
        if hold.starts <= after.now:
            return {"hold_expired"}  # the slot has begun, so a code is of no use
        return {"too_many_codes"} if used_up and not waiting else {None}

    def _foretell_undelivered(self, line: Line, ask: Ask, before: Books) -> set[str | None]:
        """The refusals of a wrong code if the last SMS never arrived: they say so instead of "wrong"."""
        hold, _ = self._named(line, ask)
        sent = [row for row in before["sms_messages"] if hold and row["hold_id"] == hold.id]
        last = max(sent, key=lambda row: row["created_at"], default=None)
        if hold is None or last is None or last["status"] not in ("failed", "undelivered"):
            return set()
        contact = ask.given("contactId")
        unread = self._digits(line, ask) is None
        wrong = not unread and contact in (None, hold.contact) and self._digits(line, ask) != hold.code
        live = hold.live(before.now) and hold.starts > before.now
        if live and wrong and hold.tries + 1 == agent.TRIES:
            return {"hold_locked"}
        if live and wrong:
            return {"sms_failed", "cannot_receive_sms"}
        return {"sms_failed", "cannot_receive_sms"} if live and unread else set()

    def _digits(self, line: Line, ask: Ask) -> str | None:
        """The code that was said, if it has the clinic's length."""
        digits, length = ask.digits, self.clinics[line.clinic].code_length
        if digits is not None and isinstance(ask.arguments.get("providedOTP"), int):
            digits = str(int(digits)).zfill(length)  # a number has lost its leading zeros
        return digits if digits is not None and len(digits) == length else None

    def _foretell_verify(self, line: Line, ask: Ask, now: datetime) -> set[str | None]:
        hold, refused = self._named(line, ask)
        contact = ask.given("contactId")
        if hold is None and refused == "missing_argument":
            return {refused}
        digits = self._digits(line, ask)
        meant = hold is not None and contact in (None, hold.contact)
        if hold and (meant or digits is None) and (told := self._past_reading(line, hold, digits)):
            return {told}
        if digits is None or hold is None or not meant:
            return {"code_unreadable" if digits is None else "wrong_code"}
        if hold.status == "confirmed":
            told = "appointment_cancelled" if hold.cancelled else None  # each time the answer is "booked"
            return {told if digits == hold.code else "wrong_code"}  # only the telephone's owner may learn it
        if (hold.status == "held" and hold.starts <= now) or self._over(hold, now):
            return {"wrong_code"}  # a slot that has begun cannot be booked
        return self._foretell_code(hold, digits)

    def _past_reading(self, line: Line, hold: Hold, digits: str | None) -> str | None:
        """The refusal in place of "wrong" or "unreadable" if it is of no use to read the code again."""
        if hold.status == "confirmed" and digits != hold.code and hold.call == line.call is not None:
            return "appointment_cancelled" if hold.cancelled else "hold_confirmed"
        return "hold_locked" if hold.status == "locked" else None

    def _foretell_code(self, hold: Hold, digits: str) -> set[str | None]:
        if not hold.code_sent:
            return {"code_not_sent"}
        if digits == hold.code:
            return {None}
        return {"hold_locked" if hold.tries + 1 == agent.TRIES else "wrong_code"}

    def _foretell_confirm(self, line: Line, ask: Ask, after: Books) -> set[str | None]:
        hold = self._named_booking(line, ask)
        if hold is None:
            nameless = ask.given("appointmentId") is None and line.call is None
            return {"missing_argument" if nameless else "unknown_appointment"}
        contact, number = ask.given("contactId"), ask.given("patientPhone")
        if contact is not None and contact != hold.contact:
            return {"unknown_appointment"}
        if number is not None and PHONES[number] != hold.phone:
            return {"phone_mismatch"}
        if hold.cancelled:
            return {"appointment_cancelled"}
        failed = self._confirmation(hold, after)["status"] in ("failed", "undelivered", "expired")
        return {"sms_failed"} if failed else {None}

    def _over(self, hold: Hold, now: datetime) -> set[str | None]:
        if hold.live(now):
            return set()
        if hold.status == "stale":
            return {"hold_expired", "hold_released"}
        if hold.status == "confirmed" and hold.cancelled:
            return {"appointment_cancelled"}
        return {"hold_expired" if hold.status == "held" else f"hold_{hold.status}"}

    # --- what follows from the answer -----------------------------------------------------------

    def _learn(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        match ask.tool:
            case "check_availability" if said.success:
                self._learn_free(line, ask, said, after.now)
            case "reserve_atomic" if said.success:
                self._learn_hold(line, ask, said, before, after)
            case "send_otp_code" if said.success:
                hold, _ = self._named(line, ask)
                assert hold
                hold.code_sent = True
                assert any(row["hold_id"] == hold.id for row in after["sms_messages"]), (
                    "P2: no SMS was queued"
                )
            case "verify_otp":
                self._learn_verified(line, ask, said, before, after)
            case "send_confirmation_sms" if said.success:
                hold = self._named_booking(line, ask)
                assert hold
                message = self._confirmation(hold, after)
                gone = message["status"] in ("sent", "delivered")
                assert str(said.facts["messageSent"]).lower() == str(gone).lower()
                if gone:
                    assert said.facts["messageId"] == message["provider_id"]

    def _learn_free(self, line: Line, ask: Ask, said: Said, now: datetime) -> None:
        clinic = self.clinics[line.clinic]
        assert ask.day
        midnight = datetime.fromisoformat(ask.day).replace(tzinfo=UTC)
        calendar = self._calendar(line, ask)
        taken = [h for h in self.holds if (h.clinic, h.calendar) == (line.clinic, calendar)]
        free = [
            agent.instant(starts)
            for starts in (midnight + agent.STEP * n for n in range(96))
            if not clinic.why_not_offered(starts, now) and not any(h.takes(starts, now) for h in taken)
        ]
        if free or not line.vapi:  # the line about a full day lists the next openings instead
            assert said.facts["slots"] == free

    def _learn_hold(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        calendar, phone, own = self._calendar(line, ask), self._number(line, ask), self._own(line)
        assert calendar
        assert phone
        assert ask.starts
        hold_id: str = said.facts["holdId"]
        if booked := self._booked_before(line, calendar, ask.starts, phone):
            assert (hold_id, said.facts["appointmentId"]) == (booked.id, booked.appointment)
            return
        wanted = (calendar, ask.starts, phone)
        for hold in own:
            if hold.live(after.now) and (hold.calendar, hold.starts, hold.phone) == wanted:
                assert hold_id == hold.id, "the same call asking again did not get its own hold back"
                return
        for hold in own:
            hold.give_back(after.now)
        row = after.by_id("appointment_holds")[hold_id]
        assert hold_id not in before.by_id("appointment_holds")
        call_id = None if line.call is None else self.calls[line.call]
        assert (row["org_id"], row["call_sid"], row["patient_phone"], row["calendar_id"]) == (
            self.clinics[line.clinic].org_id, call_id, phone, calendar
        )  # fmt: skip
        until = moment(row["expires_at"])
        assert moment(row["starts_at"]) == ask.starts
        assert before.now + agent.HOLD <= until <= after.now + agent.HOLD
        contact: str = said.facts["contactId"]
        self.holds.append(
            Hold(
                hold_id, line.clinic, calendar, ask.starts, line.call, phone, contact, until, code_of(hold_id)
            )
        )

    def _learn_verified(self, line: Line, ask: Ask, said: Said, before: Books, after: Books) -> None:
        hold, _ = self._named(line, ask)
        if said.success:
            assert hold
            assert hold.code == ask.digits, "P4: confirmed with another code"
            appointment: str = said.facts["appointmentId"]
            row = after.by_id("appointments")[appointment]
            assert row["hold_id"] == hold.id
            if hold.status == "confirmed":
                assert appointment == hold.appointment, "P2: told as another booking"
                return
            assert appointment not in before.by_id("appointments"), "P2: booked twice"
            hold.status, hold.appointment = "confirmed", appointment
            self.booked.append(hold)
        elif hold and hold.status == "held" and self._meant(hold, ask) and self._guessed(line, ask, said):
            if not hold.live(after.now) or hold.starts <= after.now:
                hold.give_back(max(after.now, hold.until))
                return
            hold.tries += 1
            if hold.tries == agent.TRIES:
                hold.status = "locked"

    def _guessed(self, line: Line, ask: Ask, said: Said) -> bool:
        """Whether the answer cost a try, in whichever words it refused."""
        return said.code in ("wrong_code", "hold_locked", "sms_failed", "cannot_receive_sms") and bool(
            self._digits(line, ask)
        )

    def _meant(self, hold: Hold, ask: Ask) -> bool:
        contact = ask.given("contactId")
        return contact is None or contact == hold.contact
