"""reserve_atomic: hold one slot for one caller, for ten minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from marshmallow import fields

from models.base import phones, times
from models.booking import availability, rules
from models.booking.appointments import Appointment
from models.booking.availability import Closed
from models.booking.bookables import Bookable
from models.booking.resources import ResourceKind
from models.booking.rules import Held, Refusal, Refused, Wish
from models.calls import calls, redaction
from models.clinics.calendars import Calendar
from webapp.agents import asked, examples, offers
from webapp.agents.desk import Desk
from webapp.agents.replies import Code, Reply, not_booked
from webapp.agents.schemas import WORDS, Answer, Arguments, OfferedSlot, Said
from webapp.agents.tool import Example, Tool


class ReserveArguments(Arguments):
    slotId = Said(
        required=True,
        metadata={
            WORDS: "which time was chosen",
            "description": "from calendar/check, whole, with all that stands behind a /",
            "example": "2026-12-07T10:00:00Z",
        },
    )
    calendarId = Said(metadata={"example": "cal-1"})
    patientName = Said(120, required=True, metadata={WORDS: "the patient's name", "example": "John"})
    patientPhone = Said(
        metadata={
            WORDS: "the patient's telephone number",
            "description": "the caller's own number if left out in a call",
            "example": "+442079460123",
        },
    )


class ReserveAnswer(Answer):
    holdId = fields.UUID()
    contactId = fields.UUID()
    calendarId = fields.String()
    slotId = fields.String()
    expiresAt = fields.String(metadata={"description": "UTC; missing where the call has booked this time"})
    appointmentId = fields.UUID(metadata={"description": "only where the call has booked this time"})
    label = fields.String()
    person = fields.String(metadata={"description": "whom it is with, where the calendar does not tell"})
    services = fields.List(fields.String(), metadata={"description": "in a refusal: what to choose from"})
    people = fields.List(fields.String(), metadata={"description": "in a refusal: whom to choose from"})
    nearest = fields.List(fields.Nested(OfferedSlot), metadata={"description": "in a refusal: free instead"})


#: Refusals that do not depend on the chosen slot: code, error, and what to say.
_NO_OTHER_TIME_HELPS: dict[Refusal | Closed, tuple[Code, str, str]] = {
    Refusal.COUNTRY_NOT_ALLOWED: (
        Code.COUNTRY_NOT_ALLOWED,
        "Country not allowed",
        "I cannot send a text message to a number of that country. Is there another number?",
    ),
    Refusal.NOT_A_MOBILE: (
        Code.NOT_A_MOBILE,
        "Not a mobile number",
        (
            "I can only send the code to a mobile telephone, and that is not a mobile number."
            " What is the patient's mobile number?"
        ),
    ),
    Refusal.NOT_BY_PHONE: (
        Code.NOT_BY_PHONE,
        "Not booked by phone",
        "that service is booked at the clinic's desk only. Would you like an appointment for something else?",
    ),
    Refusal.TOO_MANY_HOLDS_OF_NUMBER: (
        Code.TOO_MANY_HOLDS,
        "Too many reservations",
        (
            "there are already several times reserved for that number. They are given back if they are"
            " not confirmed in a few minutes."
        ),
    ),
    Refusal.TOO_MANY_HOLDS_OF_CALLER: (
        Code.TOO_MANY_HOLDS,
        "Too many reservations",
        (
            "several times are reserved from this telephone for other numbers already. Confirm one of them"
            " with its code first, or give the number that you are calling from."
        ),
    ),
    Refusal.TOO_MANY_UNPROVED_HOLDS: (
        Code.TOO_MANY_UNPROVED_HOLDS,
        "Too many reservations without a code",
        (
            "others are reserving times of that day at this moment. Try again in a minute, or choose another"
            " day."
        ),
    ),
}
_GONE = "that time has just gone"
#: Refusals of the chosen slot: code, error, and what is said before the nearest free slots.
_CHOOSE_ANOTHER: dict[Refusal | Closed, tuple[Code, str, str]] = {
    Closed.PAST: (Code.SLOT_IN_THE_PAST, "That time has passed", "that time has already passed"),
    Closed.TOO_SOON: (Code.SLOT_TOO_SOON, "Too soon", "that is too soon for the clinic"),
    Closed.TOO_FAR: (Code.DAY_TOO_FAR, "Too far ahead", "the diary is not open that far ahead"),
    Closed.CLOSED: (Code.DAY_CLOSED, "Closed on that day", "the clinic is closed on that day"),
    Closed.OFF_THE_GRID: (
        Code.SLOT_NOT_OFFERED,
        "Not an offered time",
        "appointments do not start at that time",
    ),
    # What may have changed between the check of the diary and the claim.
    Refusal.SLOT_TAKEN: (Code.SLOT_TAKEN, "Slot already held", _GONE),
    Refusal.SLOT_IN_THE_PAST: (Code.SLOT_IN_THE_PAST, "That time has passed", _GONE),
    Refusal.INVALID_SLOT: (Code.INVALID_SLOT, "Not a time", _GONE),
    Refusal.UNKNOWN_CALENDAR: (Code.UNKNOWN_CALENDAR, "Unknown calendar", _GONE),
    Refusal.NOBODY_DOES_IT: (Code.NOBODY_DOES_IT, "Nobody does that service", _GONE),
    Refusal.DAY_IS_FULL: (
        Code.DAY_IS_FULL,
        "No more of that service on that day",
        "the clinic does no more of these on that day",
    ),
}


def run(desk: Desk, arguments: dict[str, Any]) -> Reply:
    calendar = asked.calendar_of(desk, arguments.get("calendarId"))
    if calendar is None:
        return not_booked(Code.UNKNOWN_CALENDAR, "Unknown calendar", "I cannot find that calendar.")
    wished = asked.by_slot_id(desk, calendar, arguments["slotId"])
    if isinstance(wished, Reply):
        return replace(wished, say=f"NOT BOOKED: {wished.say}")
    starts_at, bookable = wished
    number = _number(desk, arguments.get("patientPhone"))
    if isinstance(number, Reply):
        return number
    name = redaction.redact(arguments["patientName"])
    wish = Wish(desk.clinic, bookable, starts_at, name, number, desk.asker, desk.call_id)
    outcome = rules.reserve(desk.session, wish, desk.now, call_holds_a_slot=desk.call_holds_a_slot)
    match outcome:
        case Held():
            return _held(desk, calendar, bookable, starts_at, outcome)
        case Appointment():
            return _booked_before(desk, bookable, outcome)
        case Refused():
            return _refused(desk, bookable, starts_at, outcome)


def _number(desk: Desk, said: str | None) -> str | Reply:
    """The number for the hold, in E.164, by default the caller's; or the refusal if it cannot be read."""
    own = said is None or phones.says_nothing(said) or phones.means_the_callers(said)
    number = _read(desk, desk.caller_number or "" if own else said or "")
    if isinstance(number, str):
        return number
    if own:  # withheld, or an address that is not a number: no mistake of the patient's
        return not_booked(
            Code.MISSING_ARGUMENT,
            "Missing: patientPhone",
            "I still need the patient's telephone number. The number of this call is not known."
            if said
            else "I still need the patient's telephone number.",
        )
    return not_booked(
        Code.IMPOSSIBLE_PHONE,
        "Impossible phone number",
        f"that telephone number cannot be right: {number}. {_ask_for_it(desk)}",
    )


def _read(desk: Desk, said: str) -> str | phones.ImpossibleNumber:
    try:
        return desk.read_number(said)
    except phones.ImpossibleNumber as problem:
        return problem


def _ask_for_it(desk: Desk) -> str:
    """What the agent can do to get a readable number: another way the second time in a call."""
    if not (
        desk.call_id
        and calls.was_answered(
            desk.session, desk.org_id, desk.call_id, tool="reserve_atomic", code=Code.IMPOSSIBLE_PHONE
        )
    ):
        return "Could you repeat it with its area code?"
    one_by_one = "Ask for it one digit at a time, area code first, and pass on the digits alone."
    own = _read(desk, desk.caller_number or "")
    if not isinstance(own, str) or not rules.can_be_texted(desk.clinic, own):
        return one_by_one
    return (
        f"{one_by_one} Or ask whether the text message may go to the number that this call comes from, which"
        f" ends in {phones.last_digits(own)}: then leave patientPhone out."
    )


def _held(desk: Desk, calendar: Calendar, bookable: Bookable, starts_at: datetime, held: Held) -> Reply:
    label = times.spoken(starts_at, bookable.zone, desk.now)
    expires_at = times.instant(held.expires_at)
    name = _whom(calendar, bookable, held)
    what = f"{label} with {name}" if name else label
    return Reply(
        f"{what} is held for {bookable.hold_minutes} minutes, but not booked yet: a code by text message"
        " comes next, which the patient reads back.",
        {
            "holdId": str(held.hold_id),
            "contactId": str(held.contact_id),
            "calendarId": bookable.calendar_id,
            "slotId": offers.slot_id(bookable, starts_at),
            "expiresAt": expires_at,
            "label": label,
            **({"person": name} if name else {}),
        },
        line=f"holdId={held.hold_id} contactId={held.contact_id} expiresAt={expires_at}",
    )


def _whom(calendar: Calendar, bookable: Bookable, held: Held) -> str | None:
    """The name of the person who does it, unless the calendar is that person's and nobody was asked for."""
    if bookable.led_by is not ResourceKind.PERSON:
        return None
    if held.resource_id == calendar.resource_id and not bookable.person:
        return None
    timetable = bookable.timetables.get(held.resource_id or "")
    return timetable.name if timetable else None


def _booked_before(desk: Desk, bookable: Bookable, appointment: Appointment) -> Reply:
    label = times.spoken(appointment.scheduled_at, bookable.zone, desk.now)
    return Reply(
        f"{label} is already booked in this call, and that appointment stands. Nothing more is needed.",
        {
            "holdId": str(appointment.hold_id),
            "contactId": str(appointment.contact_id),
            "calendarId": bookable.calendar_id,
            "slotId": offers.slot_id(bookable, appointment.scheduled_at),
            "appointmentId": str(appointment.id),
            "label": label,
        },
        line=f"holdId={appointment.hold_id} appointmentId={appointment.id}",
    )


def _refused(desk: Desk, bookable: Bookable, wanted: datetime, refused: Refused) -> Reply:
    if refused.why in _NO_OTHER_TIME_HELPS:
        return not_booked(*_NO_OTHER_TIME_HELPS[refused.why])
    code, error, why = _CHOOSE_ANOTHER[refused.why]
    if refused.why is Closed.CLOSED and bookable.person:
        why = f"{bookable.name_of(bookable.person)} is not in on that day"
    nearest = availability.find_nearest(desk.session, bookable, wanted=wanted, now=desk.now)
    instead = f" The nearest free times are {offers.said(bookable, nearest, desk.now)}." if nearest else ""
    facts = {"nearest": offers.offered(bookable, nearest, desk.now)}
    reply = not_booked(code, refused.error or error, f"{why}.{instead}", **facts)
    return replace(reply, line=offers.dated_ids(bookable, nearest, desk.now))


_PHASE = """\
Reserve atomic ({hold}-minute hold)
Ask for the patient's name. Call reserve_atomic with the slotId of the chosen time, exactly as it was given. \
Leave patientPhone out: the number that the caller rings from is known. Ask for a number, and pass it on, \
only if the tool says that it needs one or another one, or if the caller wants the text messages on another \
telephone, for instance because this one is a landline or the appointment is somebody else's. \
This reserves the time; it books nothing."""

_EXAMPLE = Example(
    {
        "slotId": "2026-12-07T09:00:00Z",
        "calendarId": "cal-1",
        "patientName": "John",
        "patientPhone": "+442079460123",
    },
    Reply(
        "Monday 7 December, 9:00 in the morning is held for 10 minutes, but not booked yet: a code by"
        " text message comes next, which the patient reads back.",
        {
            "holdId": examples.HOLD,
            "contactId": examples.CONTACT,
            **examples.SLOT,
            "expiresAt": "2026-11-30T10:10:00Z",
        },
        line=f"holdId={examples.HOLD} contactId={examples.CONTACT} expiresAt=2026-11-30T10:10:00Z",
    ),
    not_booked(
        Code.SLOT_TAKEN,
        "Slot already held",
        "that time has just gone. The nearest free times are Monday 7 December at 9:30 in the morning.",
        nearest=[examples.LATER],
    ),
)

TOOL = Tool(
    name="reserve_atomic",
    path="booking/reserve-atomic",
    summary="Hold one time for ten minutes",
    use="Hold one of the offered times. This does not book it yet.",
    phase=_PHASE,
    arguments=ReserveArguments,
    answer=ReserveAnswer,
    example=_EXAMPLE,
    run=run,
)
