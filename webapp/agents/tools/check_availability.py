"""check_availability: the free slots of a day, or the first of each of the next days that have any."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from marshmallow import fields

from models.base import times
from models.booking import availability, services
from models.booking.availability import Closed, Slot
from models.booking.bookables import Bookable
from webapp.agents import asked, days, examples, offers
from webapp.agents.desk import Desk
from webapp.agents.replies import Code, Reply, refusal
from webapp.agents.schemas import WORDS, Answer, Arguments, OfferedSlot, Said
from webapp.agents.tool import Example, Tool

_DATE = "2026-12-07, or as it was said: today, tomorrow, a weekday, 7 December, Monday the 7th"


class CheckAvailabilityArguments(Arguments):
    date = Said(required=True, metadata={WORDS: "the day", "description": _DATE, "example": "2026-12-07"})
    calendarId = Said(metadata={"description": "the clinic's first calendar if left out", "example": "cal-1"})
    service = Said(
        metadata={
            WORDS: "what the appointment is for",
            "description": "what it is for, in the clinic's or the caller's words",
            "example": "cleaning",
        }
    )
    person = Said(
        metadata={
            WORDS: "whom the patient wants to see",
            "description": "only if the caller asks for somebody by name",
            "example": "Anna",
        }
    )
    partOfDay = Said(
        metadata={
            WORDS: "the part of the day",
            "description": "morning, afternoon or evening, only if the caller asks for it",
            "example": "morning",
        }
    )


class CheckAvailabilityAnswer(Answer):
    date = fields.Date()
    today = fields.Date(metadata={"description": "in the clinic's zone"})
    timeZone = fields.String()
    calendarId = fields.String()
    services = fields.List(
        fields.String(), metadata={"description": "what can be booked; in a refusal: what to choose from"}
    )
    service = fields.String(metadata={"description": "only if one was asked for"})
    person = fields.String(metadata={"description": "only if one was asked for"})
    people = fields.List(fields.String(), metadata={"description": "in a refusal: whom to choose from"})
    slots = fields.List(fields.Nested(OfferedSlot))
    nextOpenings = fields.List(
        fields.Nested(OfferedSlot), metadata={"description": "when the day itself has none"}
    )


_CLOSED = {
    Closed.PAST: (Code.DAY_IN_THE_PAST, "That day has passed", "has already passed"),
    Closed.CLOSED: (Code.DAY_CLOSED, "Closed on that day", "is a day on which the clinic is closed"),
    Closed.TOO_FAR: (Code.DAY_TOO_FAR, "Too far ahead", "is further ahead than the diary is open"),
}


def run(desk: Desk, arguments: dict[str, Any]) -> Reply:
    calendar = asked.calendar_of(desk, arguments.get("calendarId"))
    if calendar is None:
        return refusal(Code.UNKNOWN_CALENDAR, "Unknown calendar", "I cannot find that calendar.")
    bookable = asked.by_words(desk, calendar, arguments.get("service"), arguments.get("person"))
    if isinstance(bookable, Reply):
        return bookable
    today = availability.today(bookable, desk.now)
    try:
        day = days.read(arguments["date"], today)
    except days.NotADay as problem:
        return refusal(Code.INVALID_DATE, "Not a date", f"{problem} {_today(today)}", today=today.isoformat())

    facts: dict[str, Any] = {
        "date": day.isoformat(),
        "today": today.isoformat(),
        "timeZone": calendar.time_zone,
        "calendarId": calendar.id,
        "services": services.names_by_calendar(desk.session, calendar),
        "slots": [],
    }
    if arguments.get("service") and bookable.service != services.UNNAMED:
        facts["service"] = bookable.service
    if bookable.person:
        facts["person"] = bookable.name_of(bookable.person)
    part = PartOfDay.read(arguments.get("partOfDay"))
    free: list[Slot] = []
    closed = availability.why_day_is_closed(bookable, day, desk.now)
    if closed is None:
        free = availability.find_free(desk.session, bookable, first=day, days=1, now=desk.now).get(day, [])
    if free:
        wanted = [slot for slot in free if part.covers(slot, bookable)]
        but = "" if wanted else f"Nothing is free in the {part.value} of that day. "
        free = wanted or free
        return Reply(
            f"{times.spoken_day(day)}, {day.year}{_with(bookable)}: {but}{_some(bookable, free)}"
            f" {_today(today)}",
            facts | {"slots": offers.offered(bookable, free, desk.now)},
            line=offers.ids(bookable, free),
        )

    openings = _next_openings(desk, bookable, day, today, part)
    facts["nextOpenings"] = offers.offered(bookable, openings, desk.now)
    instead = (
        f"The next openings are {offers.said(bookable, openings, desk.now)}."
        if openings
        else "I see no openings."
    )
    line = offers.dated_ids(bookable, openings, desk.now)
    if closed is None:
        return Reply(
            f"Nothing is free{_with(bookable)} on {times.spoken_day(day, today)}. {instead} {_today(today)}",
            facts,
            line=line,
        )
    code, error, why = _CLOSED[closed]
    if closed is Closed.CLOSED and bookable.person:
        why = f"is a day on which {bookable.name_of(bookable.person)} is not in"
    say = f"{times.spoken_day(day)}, {day.year}, {why}. {instead} {_today(today)}"
    return Reply(say, facts, code, error, line)


def _some(bookable: Bookable, free: list[Slot]) -> str:
    """Up to four times spread over the day, since a caller cannot keep more in mind."""
    step = max(1, len(free) // 4)
    few = free[::step][:4]
    starts = " or ".join(times.spoken_time(slot.starts_at, bookable.zone) for slot in few)
    return f"{len(free)} times are free, such as {starts}." if len(free) > len(few) else f"free at {starts}."


def _next_openings(desk: Desk, bookable: Bookable, day: date, today: date, part: PartOfDay) -> list[Slot]:
    """The first free slot of each of the next three days that have any; in that part of the day if any."""
    horizon = today + timedelta(days=bookable.horizon_days)
    first = min(max(day, today), horizon)
    free = availability.find_free(
        desk.session, bookable, first=first, days=availability.LOOK_AHEAD.days, now=desk.now
    )
    wanted = [[slot for slot in slots if part.covers(slot, bookable)] for slots in free.values()]
    return [slots[0] for slots in (list(filter(None, wanted)) or list(free.values()))[:3]]


def _with(bookable: Bookable) -> str:
    return f" with {bookable.name_of(bookable.person)}" if bookable.person else ""


class PartOfDay(StrEnum):
    MORNING = "morning"
    AFTERNOON = "afternoon"
    EVENING = "evening"
    ANY = ""

    @classmethod
    def read(cls, said: str | None) -> PartOfDay:
        """The one part that was said; any if none or more than one was."""
        heard = [
            each for each in (cls.MORNING, cls.AFTERNOON, cls.EVENING) if each in (said or "").casefold()
        ]
        return heard[0] if len(heard) == 1 else cls.ANY

    def covers(self, slot: Slot, bookable: Bookable) -> bool:
        hour = slot.starts_at.astimezone(bookable.zone).hour
        return self is PartOfDay.ANY or hour in _HOURS[self]


_HOURS = {
    PartOfDay.MORNING: range(1, 12),
    PartOfDay.AFTERNOON: range(12, 18),
    PartOfDay.EVENING: range(17, 24),
}


def _today(today: date) -> str:
    return f"Today is {times.spoken_day(today)}."


_PHASE = """\
Check availability
Ask what the appointment is for and which day suits, and call check_availability with both. Offer two or \
three of the times that it answers with, in exactly its words: do not convert, reckon or shorten them, and \
offer no others."""

_EXAMPLE = Example(
    {"date": "2026-12-07", "calendarId": "cal-1", "service": "check-up", "partOfDay": "morning"},
    Reply(
        "Monday 7 December, 2026: free at 9:00 in the morning or 9:30 in the morning."
        " Today is Monday 30 November.",
        {
            "date": "2026-12-07",
            "today": "2026-11-30",
            "timeZone": "Europe/London",
            "calendarId": "cal-1",
            "services": ["check-up", "cleaning"],
            "service": "check-up",
            "slots": [examples.SLOT, examples.LATER],
        },
        line="calendarId=cal-1; slotId by time: 9:00 in the morning = 2026-12-07T09:00:00Z,"
        " 9:30 in the morning = 2026-12-07T09:30:00Z",
    ),
    refusal(
        Code.DAY_IN_THE_PAST,
        "That day has passed",
        "Monday 23 November, 2026, has already passed. The next openings are Monday 7 December at 9:00"
        " in the morning. Today is Monday 30 November.",
        nextOpenings=[examples.SLOT],
    ),
)

TOOL = Tool(
    name="check_availability",
    path="calendar/check",
    summary="The free times of a day",
    use="The free times of a day, in the words to say and with their slotId.",
    phase=_PHASE,
    arguments=CheckAvailabilityArguments,
    answer=CheckAvailabilityAnswer,
    example=_EXAMPLE,
    run=run,
    says_not_booked=False,
    is_kept=lambda _desk, _arguments, reply: bool(reply.facts.get("slots")),  # a full day may have room again
)
