"""reserve_atomic: hold one time for ten minutes, for one caller and nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import settings
from models.base import phones, times
from models.booking import appointments, availability, holds
from models.booking.availability import Closed
from models.booking.unproved_holds import Asked
from models.calls import calls, redaction
from models.clinics import calendars
from models.clinics.calendars import Calendar
from webapp.agents import offers
from webapp.agents.desk import Desk, Tool
from webapp.agents.replies import Code, Reply, not_booked
from webapp.agents.schemas import ReserveAnswer, ReserveArguments

_NOT_OFFERED = {
    Closed.PAST: (Code.SLOT_IN_THE_PAST, "That time has passed", "that time has already passed"),
    Closed.TOO_SOON: (Code.SLOT_TOO_SOON, "Too soon", "that is too soon for the clinic"),
    Closed.TOO_FAR: (Code.DAY_TOO_FAR, "Too far ahead", "the diary is not open that far ahead"),
    Closed.CLOSED: (Code.DAY_CLOSED, "Closed on that day", "the clinic is closed on that day"),
    Closed.OFF_THE_GRID: (
        Code.SLOT_NOT_OFFERED,
        "Not an offered time",
        "appointments do not start at that time",
    ),
}


#: The codes of claim_slot_atomic that can still be met here, after all that was looked at before it.
_CLAIM = {
    each.value: each
    for each in (Code.SLOT_TAKEN, Code.SLOT_IN_THE_PAST, Code.INVALID_SLOT, Code.UNKNOWN_CALENDAR)
}


def run(desk: Desk, arguments: dict[str, Any]) -> Reply:
    calendar = calendars.get_or_none(desk.session, desk.org_id, arguments.get("calendarId"))
    if calendar is None:
        return not_booked(Code.UNKNOWN_CALENDAR, "Unknown calendar", "I cannot find that calendar.")
    starts_at = times.parsed(arguments["slotId"])
    if starts_at is None:
        return not_booked(
            Code.INVALID_SLOT, "Not a slotId", "I need one of the times that calendar/check offered."
        )
    number = _number(desk, arguments.get("patientPhone"))
    if isinstance(number, Reply):
        return number
    if closed := availability.why_not_offered(calendar, starts_at, desk.now):
        code, error, why = _NOT_OFFERED[closed]
        return _refused(desk, calendar, starts_at, code, error, why)
    return _hold(desk, calendar, starts_at, redaction.redact(arguments["patientName"]), number)


def _number(desk: Desk, said: str | None) -> str | Reply:
    """The number that the hold will fix, in E.164, by default the caller's; or why it cannot be that one."""
    own = said is None or phones.says_nothing(said) or phones.means_the_callers(said)
    number = _read(desk, desk.caller_number or "" if own else said or "")
    if isinstance(number, str):
        return _too_much(desk, number) or number
    if own:  # withheld, or an address that is no number: nothing that the patient got wrong
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
        return phones.e164(said, region=desk.clinic.region, sandbox=desk.clinic.sandbox)
    except phones.ImpossibleNumber as problem:
        return problem


def _ask_for_it(desk: Desk) -> str:
    """How to get a number that can be read: the second time in a call another way than the first."""
    if not (
        desk.call_id
        and calls.was_answered(
            desk.session, desk.org_id, desk.call_id, tool="reserve_atomic", code=Code.IMPOSSIBLE_PHONE
        )
    ):
        return "Could you repeat it with its area code?"
    one_by_one = "Ask for it one digit at a time, area code first, and pass on the digits alone."
    own = _read(desk, desk.caller_number or "")
    if not isinstance(own, str) or not _can_be_a_mobile(desk, own):
        return one_by_one
    return (
        f"{one_by_one} Or ask whether the text message may go to the number that this call comes from, which"
        f" ends in {phones.last_digits(own)}: then leave patientPhone out."
    )


def _can_be_a_mobile(desk: Desk, number: str) -> bool:
    """Numbers of films and examples are for sandbox clinics, and for whoever develops."""
    clinic = desk.clinic
    try:
        phones.check_mobile(
            number,
            landlines=clinic.landlines_allowed or clinic.sandbox,
            fiction=clinic.sandbox or settings.get().development,
        )
    except phones.NotAMobile:
        return False
    return True


def _too_much(desk: Desk, number: str) -> Reply | None:
    """The limits that keep a clinic's diary, and its bill for SMS, from whoever rings to harm it."""
    clinic = desk.clinic
    # A sandbox clinic's numbers are of no country; a list that was set is kept to even there.
    if clinic.allowed_countries or not clinic.sandbox:
        try:
            phones.check_country(number, clinic.countries)
        except phones.CountryNotAllowed:
            return not_booked(
                Code.COUNTRY_NOT_ALLOWED,
                "Country not allowed",
                "I cannot send a text message to a number of that country. Is there another number?",
            )
    if not _can_be_a_mobile(desk, number):
        return not_booked(
            Code.NOT_A_MOBILE,
            "Not a mobile number",
            "I can only send the code to a mobile telephone, and that is not a mobile number."
            " What is the patient's mobile number?",
        )
    holds.lock_phone(desk.session, desk.org_id, number)
    # What this call holds already gives way to the new time.
    own = desk.asker.proves(number)
    held = holds.count_of_phone(desk.session, desk.org_id, number, but_for_call=desk.call_id, own=own)
    if held >= clinic.holds_per_phone:
        return not_booked(
            Code.TOO_MANY_HOLDS,
            "Too many reservations",
            "there are already several times reserved for that number. They are given back if they are"
            " not confirmed in a few minutes.",
        )
    return None


def _asked(desk: Desk, calendar: Calendar, starts_at: datetime, number: str) -> Asked:
    """Who asks for a hold. What the language model says proves nothing, and is not asked."""
    asker = desk.asker
    day = availability.day_of(calendar, starts_at, desk.now)
    return Asked(desk.clinic, asker.credential, asker.number, asker.proves(number), day)


def _too_many_unproved(code: str) -> Reply:
    """What a claim was refused for the sake of other callers."""
    if code == Code.TOO_MANY_HOLDS:
        return not_booked(
            Code.TOO_MANY_HOLDS,
            "Too many reservations",
            "several times are reserved from this telephone for other numbers already. Confirm one of them"
            " with its code first, or give the number that you are calling from.",
        )
    return not_booked(
        Code.TOO_MANY_UNPROVED_HOLDS,
        "Too many reservations without a code",
        "others are reserving times of that day at this moment. Try again in a minute, or choose another"
        " day.",
    )


def _hold(desk: Desk, calendar: Calendar, starts_at: datetime, name: str, number: str) -> Reply:
    before = []
    if desk.call_id and desk.call_holds_a_slot:
        before = holds.find_held_of_call(desk.session, desk.org_id, desk.call_id)
    for hold in before:
        if (hold.calendar_id, hold.starts_at, hold.patient_phone) == (
            calendar.id,
            starts_at,
            number,
        ) and hold.expires_at > desk.now:
            hold.patient_name = name  # a name that was misheard may be put right
            return _held(desk, calendar, starts_at, hold.id, hold.contact_id, hold.expires_at)
    claim = holds.claim_instead(
        desk.session,
        before,
        org_id=desk.org_id,
        calendar=calendar,
        starts_at=starts_at,
        call_sid=desk.call_id,
        patient_name=name,
        patient_phone=number,
        asked=_asked(desk, calendar, starts_at, number),
    )
    if not claim.success and claim.code in (Code.TOO_MANY_HOLDS, Code.TOO_MANY_UNPROVED_HOLDS):
        return _too_many_unproved(claim.code)
    if not claim.success and (booked := _booked_before(desk, calendar, starts_at, number)):
        return booked
    if not claim.success or claim.expires_at is None:
        return _refused(
            desk,
            calendar,
            starts_at,
            _CLAIM.get(claim.code or "", Code.SLOT_TAKEN),
            claim.error or "",
            "that time has just gone",
        )
    return _held(desk, calendar, starts_at, claim.hold_id, claim.contact_id, claim.expires_at)


def _held(
    desk: Desk,
    calendar: Calendar,
    starts_at: datetime,
    hold_id: object,
    contact_id: object,
    expires_at: datetime,
) -> Reply:
    label = times.spoken(starts_at, calendar.zone, desk.now)
    return Reply(
        f"{label} is held for {calendar.hold_minutes} minutes, but not booked yet: "
        "a code by text message comes next, which the patient reads back.",
        {
            "holdId": str(hold_id),
            "contactId": str(contact_id),
            "calendarId": calendar.id,
            "slotId": times.instant(starts_at),
            "expiresAt": times.instant(expires_at),
            "label": label,
        },
        line=f"holdId={hold_id} contactId={contact_id} expiresAt={times.instant(expires_at)}",
    )


def _booked_before(desk: Desk, calendar: Calendar, starts_at: datetime, number: str) -> Reply | None:
    """Where this call itself has booked that time: that, for "taken" would send the patient elsewhere."""
    appointment = desk.call_id and appointments.find_in_call(
        desk.session,
        desk.org_id,
        desk.call_id,
        calendar_id=calendar.id,
        starts_at=starts_at,
        patient_phone=number,
    )
    if not appointment:
        return None
    label = times.spoken(starts_at, calendar.zone, desk.now)
    return Reply(
        f"{label} is already booked in this call, and that appointment stands. Nothing more is needed.",
        {
            "holdId": str(appointment.hold_id),
            "contactId": str(appointment.contact_id),
            "calendarId": calendar.id,
            "slotId": times.instant(starts_at),
            "appointmentId": str(appointment.id),
            "label": label,
        },
        line=f"holdId={appointment.hold_id} appointmentId={appointment.id}",
    )


def _refused(desk: Desk, calendar: Calendar, wanted: datetime, code: Code, error: str, why: str) -> Reply:
    nearest = availability.find_nearest(desk.session, calendar, wanted=wanted, now=desk.now)
    instead = f" The nearest free times are {offers.said(calendar, nearest, desk.now)}." if nearest else ""
    reply = not_booked(code, error, f"{why}.{instead}", nearest=offers.offered(calendar, nearest, desk.now))
    return Reply(
        reply.say, reply.facts, reply.code, reply.error, offers.dated_ids(calendar, nearest, desk.now)
    )


TOOL = Tool(
    name="reserve_atomic",
    path="booking/reserve-atomic",
    summary="Hold one time for ten minutes",
    arguments=ReserveArguments,
    answer=ReserveAnswer,
    run=run,
)
