"""Turns a wish of a random agent into the arguments of a tool call."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.webapp.agents import agent
from tests.webapp.agents.agent import Ask, Hold, Line
from tests.webapp.agents.stateful.callers import Callers
from tests.webapp.agents.stateful.wishes import (
    NO_CODES,
    NO_DATES,
    RIGHT,
    Again,
    Check,
    Confirm,
    Nonsense,
    Reserve,
    SendCode,
    Verify,
    WhichHold,
    Wish,
    nth,
)


def present(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


class Wording(Callers):
    """Makes a wish's arguments."""

    def _line_for(self, line: Line, wish: Wish) -> Line:
        """The line for a wish: mostly the hold's own; "nobody" only in the bare form and outside a call."""
        if isinstance(wish, Again | SendCode | Verify | Confirm) and wish.hold.line != "any":
            holds = self.booked if isinstance(wish, Confirm) else self.holds
            if holds and wish.hold.how in ("id", "missing"):
                line = agent.on_line_of(line, nth(holds, wish.hold.n))
                line = replace(line, clinic=line.clinic ^ (wish.hold.line == "other clinic"))
        if line.auth == "nobody" and (line.call is not None or line.vapi):
            line = replace(line, auth="tenant")
        return line

    def _asks(self, line: Line, wishes: list[Wish]) -> Iterator[Ask]:
        for wish in wishes:
            match wish:
                case Check():
                    yield self._as_check(line, wish)
                case Reserve():
                    yield self._as_reserve(line, wish)
                case Again():
                    hold: Hold = nth(self.holds, wish.hold.n)
                    starts = hold.starts + agent.STEP * wish.aside
                    values = {"slotId": agent.instant(starts), "calendarId": hold.calendar}
                    values |= {"patientName": "Pat Doe", "patientPhone": hold.phone}
                    yield Ask("reserve_atomic", values, starts=starts)
                case Verify():
                    yield self._as_verify(wish)
                case SendCode():
                    holds = self._id(wish.hold, [hold.id for hold in self.holds])
                    yield Ask("send_otp_code", present(holdId=holds, patientPhone=wish.phone))
                case Confirm():
                    booked = self._id(wish.hold, [hold.appointment for hold in self.booked])
                    contact = self._contact(wish.contact, nth(self.booked, wish.hold.n))
                    values = present(appointmentId=booked, patientPhone=wish.phone, contactId=contact)
                    yield Ask("send_confirmation_sms", values)
                case Nonsense():
                    yield self._as_nonsense(wish)

    def _as_check(self, line: Line, wish: Check) -> Ask:
        today = self.books.now.date()
        ahead = {
            name: (number - today.weekday() - 1) % 7 + 1
            for name, number in (("monday", 0), ("next Friday", 4))
        }
        days = {
            "the day": self.day,
            "instant": self.day,
            "closed": date.fromisoformat(self.closed_on),
            "today": today,
            "tomorrow": today + timedelta(days=1),
            "past": date(2020, 2, 2),
            "far": today + timedelta(days=agent.HORIZON + 1),
            "9999-12-31": date(9999, 12, 31),
            "0001-01-01": date(1, 1, 1),
        } | {name: today + timedelta(days=days) for name, days in ahead.items()}
        day = days[wish.date].isoformat() if wish.date in days else None
        said = wish.date if wish.date in ("today", "tomorrow", *ahead, *NO_DATES) else day
        if wish.date == "instant":
            said = f"{day}T10:00:00Z"
        return Ask(
            "check_availability", present(date=said, calendarId=self._calendar_id(line, wish)), day=day
        )

    def _as_reserve(self, line: Line, wish: Reserve) -> Ask:
        if line.clinic == 0:
            first = datetime.combine(self.day, datetime.min.time(), UTC) + self.clinics[0].opens
        else:  # the next quarters of an hour, so that `time_passes` can reach them
            now = self.books.now
            first = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0) + agent.STEP
        grid = first + agent.STEP * wish.n
        starts = {
            "grid": grid,
            "other zone": grid,
            "off grid": grid + timedelta(minutes=7),
            "at closing": datetime.combine(grid.date(), datetime.min.time(), UTC)
            + self.clinics[line.clinic].closes
            - agent.STEP,
            "closed": datetime.fromisoformat(self.closed_on).replace(hour=10, tzinfo=UTC),
            "past": first - timedelta(days=60),
            "far": first + timedelta(days=60),
            "no zone": grid,
        }.get(wish.slot)
        said = wish.slot if starts is None else agent.instant(starts)
        if starts and wish.slot == "no zone":
            said, starts = said.removesuffix("Z"), None
        elif starts and wish.slot == "other zone":
            said = (starts + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00")
        phone = wish.phone
        if phone is None and (not line.vapi or line.call == 1):
            phone = "07700 900101"
        values = present(
            slotId=said, calendarId=self._calendar_id(line, wish), patientName="Pat Doe", patientPhone=phone
        )
        return Ask("reserve_atomic", values, starts=starts)

    def _as_verify(self, wish: Verify) -> Ask:
        hold = nth(self.holds, wish.hold.n)
        values = present(
            holdId=self._id(wish.hold, [each.id for each in self.holds]),
            contactId=self._contact(wish.contact, hold),
            serviceType="check-up" if wish.n == 1 else None,
        )
        if wish.code == "missing":
            return Ask("verify_otp", values)
        if wish.code in NO_CODES:
            return Ask("verify_otp", values | {"providedOTP": NO_CODES[wish.code]})
        digits = hold.code if hold else "1234"
        if wish.code == "wrong":
            digits = str((int(digits) + wish.n + 1) % 10 ** len(digits)).zfill(len(digits))
        other = nth(self.holds, wish.hold.n + wish.n + 1)
        if wish.code == "other" and other:
            digits = other.code
        how = wish.code if wish.code in RIGHT else "plain"
        if how == "number":  # a number has lost its leading zeros, which the clinic's length restores
            length = self.clinics[hold.clinic].code_length if hold else 4
            if len(str(int(digits))) < len(digits) and len(digits) != length:
                how = "plain"
        return Ask("verify_otp", values | {"providedOTP": agent.spoken(digits, how)}, digits=digits)

    def _as_nonsense(self, wish: Nonsense) -> Ask:
        names = {
            "check_availability": ("date", "calendarId", "patientName"),
            "reserve_atomic": ("slotId", "calendarId", "patientPhone"),
            "send_otp_code": ("holdId", "patientPhone", "date"),
            "verify_otp": ("holdId", "providedOTP", "contactId"),
            "send_confirmation_sms": ("appointmentId", "contactId", "patientPhone"),
        }.get(wish.tool, ("a", "b", "c"))
        return Ask(wish.tool, dict(zip(names, wish.values, strict=True)), nonsense=True)

    def _calendar_id(self, line: Line, wish: Check | Reserve) -> str | None:
        own, foreign = self.clinics[line.clinic].calendars, self.clinics[1 - line.clinic].calendars
        if wish.calendar == "foreign":
            return foreign[0]
        return own[wish.calendar % len(own)] if isinstance(wish.calendar, int) else None

    def _id(self, which: WhichHold, ids: list[str] | list[str | None]) -> str | None:
        if which.how == "missing":
            return None
        if which.how == "garbage":
            return "the one from before"
        return nth(ids, which.n) if which.how == "id" and ids else str(uuid.uuid4())

    def _contact(self, which: str, hold: Hold | None) -> str | None:
        if which == "missing":
            return None
        if which == "own" and hold:
            return hold.contact
        if which == "other" and self.holds:
            return self.holds[0].contact
        return "Pat" if which == "garbage" else str(uuid.uuid4())
