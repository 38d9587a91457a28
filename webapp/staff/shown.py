"""Words for what the pages show: times in the clinic's zone, and states and reasons in plain words."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from models.base import phones, times
from models.base.erased import ERASED, is_erased
from models.notices import registry

_SMS = {
    "queued": "text waiting",
    "sending": "text being sent",
    "sent": "text sent",
    "delivered": "text delivered",
    "undelivered": "text not delivered",
    "unconfirmed": "text sent, delivery not known",
    "failed": "text failed",
    "unknown": "text: outcome not known",
    "expired": "text not sent in time",
    "imported": "no text",
}
_OWNERS_TEXT = {
    "sending": "on its way",
    "undelivered": "not delivered",
    "unconfirmed": "sent, delivery not known",
    "failed": "failed",
    "unknown": "outcome not known",
    "expired": "not sent in time",
}
#: By the call types of Vapi.
_WAYS = {
    "webCall": "a web page, and no telephone",
    "outboundPhoneCall": "the agent, which rang the patient",
}
_TROUBLE = {
    "late": "Late",
    "held": "Held",
    "sent_twice": "Sent twice",
    "failed": "Failed",
    "unknown": "Unknown",
    "undelivered": "Not delivered",
    "unconfirmed": "No receipt",
    "expired": "Not sent in time",
}
_ENDED = {
    "customer-ended-call": "Caller hung up",
    "assistant-ended-call": "Agent ended the call",
    "assistant-said-end-call-phrase": "Agent said goodbye",
    "assistant-ended-call-after-message-spoken": "Agent said goodbye",
    "assistant-forwarded-call": "Put through to the clinic",
    "silence-timed-out": "Nobody spoke",
    "exceeded-max-duration": "Reached the longest duration",
    "customer-did-not-answer": "Nobody answered",
    "customer-busy": "Line was busy",
    "voicemail": "Voicemail",
}
#: Of models/leads/scoring.py.
_HIGHEST_SCORE = 100
_APPOINTMENT = {
    "confirmed": "Booked",
    "moved": "Booked, then moved",
    "cancelled": "Booked, then cancelled",
    "arrived": "Booked",
    "completed": "Booked",
    "no_show": "Booked, did not come",
}
#: By actor, or its first word.
_ACTORS = {
    "patient link": "the patient, by the link",
    "call": "the phone agent",
    "tool call": "the phone agent",
    "operator": "an operator",
    "sql": "an operator",
}


def sentence(words: str) -> str:
    """What the domain says of a problem, as a sentence of its own."""
    return f"{words[:1].upper()}{words[1:]}."


class Words:
    """The functions of the templates' variable `words`."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone

    def clock(self, moment: datetime) -> str:
        """10:00 am."""
        return times.written(moment, self.zone).partition(" at ")[2]

    def moment(self, moment: datetime) -> str:
        """Mon 7 Dec 2026 at 10:00 am."""
        return times.written(moment, self.zone)

    def short(self, moment: datetime) -> str:
        """Mon 7 Dec, 10:00 am."""
        local = moment.astimezone(self.zone)
        return f"{local:%a} {local.day} {local:%b}, {self.clock(moment)}"

    @staticmethod
    def instant(moment: datetime) -> str:
        return times.instant(moment)

    @staticmethod
    def number(number: str | None) -> str:
        if is_erased(number):
            return ERASED
        return phones.readable(number) if number else "number withheld"

    @staticmethod
    def person(name: str | None, number: str | None) -> str:
        """The name for a heading."""
        return "Erased patient" if is_erased(number) else name or "Unknown caller"

    @staticmethod
    def dial(number: str | None) -> str | None:
        """The number for a tel: link; None if it is not a number in E.164."""
        return number if number and number.startswith("+") and number[1:].isdigit() else None

    @staticmethod
    def length(seconds: int | None) -> str:
        """4:05."""
        return "not known" if seconds is None else f"{seconds // 60}:{seconds % 60:02d}"

    @staticmethod
    def age(age: timedelta) -> str:
        minutes = int(age.total_seconds()) // 60
        if minutes < 1:
            return f"{max(int(age.total_seconds()), 0)} s"
        if minutes < 60:
            return f"{minutes} min"
        return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"

    @staticmethod
    def seconds(seconds: float) -> str:
        return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

    @staticmethod
    def money(amount: Decimal, unit: str = "USD") -> str:
        return f"{'$' if unit == 'USD' else unit + ' '}{amount:,.2f}"

    @staticmethod
    def sum_of(points: int, score: int) -> str:
        """The sum of a score's reasons, and the score that it became, which is from 0 to 100."""
        if points > score == _HIGHEST_SCORE:
            return f"Together {points}, shown as {score}: no score is higher"
        if points < score == 0:
            return f"Together {points}, shown as {score}: no score is lower"
        return f"Together {points}" if points == score else f"Together {points}; the score is {score}"

    @staticmethod
    def sms(status: str) -> str:
        return _SMS.get(status, status)

    def owners_text(
        self, sent_at: datetime | None, none: str | None, status: str | None, due_at: datetime | None
    ) -> str:
        """What became of the SMS that tells the owner of a hot lead, after the words "owner's text"."""
        if none:
            return f"not sent: {none}"
        if status is None:
            return "not sent"
        if status == "queued" and due_at:
            return f"waits; next try at {self.clock(due_at)}"
        if sent_at and status in ("sent", "delivered"):
            return f"sent at {self.clock(sent_at)}"
        return _OWNERS_TEXT.get(status, status)

    @staticmethod
    def way(call_type: str | None) -> str | None:
        """How a call came, if not by the clinic's telephone; else None."""
        return _WAYS.get(call_type or "")

    @staticmethod
    def by(actor: str, name: str | None = None) -> str:
        """Who booked or changed an appointment, from the actor of its audit log.

        `name`: that of the member of staff, if it was one.
        """
        who, _, rest = actor.partition(" ")
        if who == "staff":
            return f"{name or rest} at the desk"
        return _ACTORS.get(actor) or _ACTORS.get(who) or actor

    @staticmethod
    def kind(kind: str) -> str:
        return registry.label(kind)

    @staticmethod
    def trouble(trouble: str) -> str:
        return _TROUBLE.get(trouble, trouble)

    @staticmethod
    def outcome(booked: str | None, status: str, ended_reason: str | None) -> str:
        """The outcome of a call: its appointment, if there is one, else how the call ended."""
        if booked:
            return _APPOINTMENT.get(booked, booked)
        if status != "ended":
            return "Under way"
        reason = ended_reason or ""
        return _ENDED.get(reason) or reason.replace("-", " ").replace("_", " ").capitalize() or "Ended"
