"""What a caller asks for: a calendar, a service and a person, as said or as a slotId names them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

from models.base import phones, times
from models.booking import bookables, services
from models.booking.bookables import Bookable
from models.booking.resources import ResourceKind
from models.booking.services import UNNAMED, Service
from models.calls import calls
from models.clinics import calendars
from models.clinics.calendars import Calendar
from webapp.agents import offers
from webapp.agents.desk import Desk
from webapp.agents.replies import Code, Reply, refusal


def calendar_of(desk: Desk, given: str | None) -> Calendar | None:
    return calendars.get_or_none(desk.session, desk.org_id, given)


def by_words(desk: Desk, calendar: Calendar, service: str | None, person: str | None) -> Bookable | Reply:
    """What these words for a service and a person mean, by default the calendar's own service and whoever is
    free; or the refusal, which says what there is to choose from.
    """
    service_id = _service(desk, calendar, service) if service and not phones.says_nothing(service) else None
    if isinstance(service_id, Reply):
        return service_id
    if service_id is None and calendar.service_id is None:
        names = _names(_by_phone(desk))
        say = _choice("I need to know what the appointment is for.", "I can offer", names)
        return refusal(Code.UNKNOWN_SERVICE, "No service was named", say, services=names)
    who = _person(desk, service_id or calendar.service_id or "", person) if person else None
    if isinstance(who, Reply):
        return who
    bookable = bookables.find(desk.session, calendar, service_id=service_id, person=who)
    if bookable is None:
        names = _names(each for each in _by_phone(desk) if each.id != (service_id or calendar.service_id))
        say = _choice("Nobody at the clinic does that at the moment.", "I can offer", names)
        return refusal(Code.NOBODY_DOES_IT, "Nobody does that service", say, services=names)
    if not bookable.by_phone:
        names = _names(_by_phone(desk))
        say = _choice("That is booked at the clinic's desk only.", "By phone I can offer", names)
        return refusal(Code.NOT_BY_PHONE, "Not booked by phone", say, services=names)
    return bookable


def by_slot_id(desk: Desk, calendar: Calendar, slot_id: str) -> tuple[datetime, Bookable] | Reply:
    """The start that a slotId names, and what is booked then; or the refusal."""
    start, service, person = offers.parts_of(slot_id)
    starts_at = times.parsed(start)
    if starts_at is None:
        return refusal(
            Code.INVALID_SLOT, "Not a slotId", "I need one of the times that calendar/check offered."
        )
    bookable = bookables.find(desk.session, calendar, service_id=service, person=person)
    if desk.call_id and service is None and (bookable is None or bookable.has_others):
        # A model may pass on the time alone.
        service, person = _as_offered(desk, desk.call_id, calendar, starts_at)
        if service is not None:
            bookable = bookables.find(desk.session, calendar, service_id=service, person=person)
    # Not ids, or no longer: it may still be the words of somebody who knows them.
    found = bookable or by_words(desk, calendar, service, person)
    return found if isinstance(found, Reply) else (starts_at, found)


#: The facts of an answer that are lists of slots.
_OFFERS = ("slots", "nextOpenings", "nearest")


def _as_offered(
    desk: Desk, call_id: str, calendar: Calendar, starts_at: datetime
) -> tuple[str | None, str | None]:
    """The service and the person with which this call was last offered a start; None where none was named."""
    for answer in calls.answers_of(
        desk.session, desk.org_id, call_id, tools=("check_availability", "reserve_atomic")
    ):
        for slot in (slot for name in _OFFERS for slot in answer["facts"].get(name, ())):
            start, service, person = offers.parts_of(slot["slotId"])
            if slot["calendarId"] == calendar.id and times.parsed(start) == starts_at:
                return service, person
    return None, None


# --- a service ------------------------------------------------------------------------------------


def _by_phone(desk: Desk) -> list[Service]:
    return [each for each in services.list_of_clinic(desk.session, desk.org_id) if each.by_phone]


def _service(desk: Desk, calendar: Calendar, said: str) -> str | Reply | None:
    """The id of the service that was said; None for the calendar's own."""
    known = services.list_of_clinic(desk.session, desk.org_id)
    found = _meant(said, {each.id: (each.name, *each.words) for each in known})
    if len(found) != 1 and calendar.resource_id is not None:
        # Several people may have a service of the same name, each by rules of their own.
        known = services.done_by(desk.session, desk.org_id, calendar.resource_id)
        found &= {each.id for each in known}
    if len(found) == 1:
        return found.pop()
    if found:
        alike = [each for each in known if each.id in found]
        names = _names(alike)
        if len(names) < 2:  # no question tells these apart
            return next((each.id for each in alike if each.id == calendar.service_id), alike[0].id)
        say = f"I know several services like that. Is it {offers.either(names)}?"
        return refusal(Code.UNKNOWN_SERVICE, "Several services", say, services=names)
    known = [each for each in known if each.by_phone]
    if _makes_no_difference(desk, calendar, known):
        return None
    names = _names(known)
    say = _choice("I cannot find that service.", "I can offer", names)
    return refusal(Code.UNKNOWN_SERVICE, "Unknown service", say, services=names)


def _makes_no_difference(desk: Desk, calendar: Calendar, known: Sequence[Service]) -> bool:
    """Whether all of these services are offered at the same times, so that any word for one will do."""
    if len(known) == 1:
        return known[0].id == calendar.service_id
    found = [bookables.find(desk.session, calendar, service_id=each.id) for each in known]
    rules = {
        (
            *(each.minutes, each.minutes_before, each.minutes_after, each.step_minutes),
            *(each.min_notice_minutes, each.horizon_days, each.most_per_day, each.leaders, each.needs),
        )
        for each in found
        if each
    }
    return None not in found and len(rules) == 1


def _names(known: Iterable[Service]) -> list[str]:
    return list(dict.fromkeys(each.name for each in known if each.name != UNNAMED))


# --- a person -------------------------------------------------------------------------------------

#: In these words a caller, or a model, says that it may be anybody.
_ANYBODY = frozenset({"any", "anyone", "anybody", "whoever", "someone", "somebody", "preference"})


def _person(desk: Desk, service_id: str, said: str) -> str | Reply | None:
    """The id of the person who was said; None for whoever is free."""
    service = services.get_or_none(desk.session, desk.org_id, service_id)
    able = services.who_can_do(desk.session, service) if service else []
    people = {
        each.id: each.name for each in able if each.kind is ResourceKind.PERSON and each.retired_at is None
    }
    found = _meant(said, {person: [name] for person, name in people.items()})
    if len(found) == 1:
        return found.pop()
    if not found and (phones.says_nothing(said) or _ANYBODY & set(_words(said))):
        return None
    if not people:
        return refusal(Code.UNKNOWN_PERSON, "Not by a person", "Nobody in particular can be chosen for that.")
    names = sorted(name for person, name in people.items() if person in (found or people))
    say = (
        f"There is more than one of that name. Is it {offers.either(names)}?"
        if found
        else _choice("Nobody of that name does that.", "It can be with", names)
    )
    return refusal(Code.UNKNOWN_PERSON, "Unknown person", say, people=names)


# --- words ----------------------------------------------------------------------------------------

#: As many names as a caller can keep in mind.
_SPOKEN = 6


def _choice(why: str, so: str, names: Sequence[str]) -> str:
    if not names:
        return f"{why} Please ring the clinic's desk."
    few = [*names[:_SPOKEN], *(["something else"] if len(names) > _SPOKEN else [])]
    return f"{why} {so} {offers.either(few)}."


def _meant(said: str, names: Mapping[str, Iterable[str]]) -> set[str]:
    """The ids whose names fit best what was said, or the id that was said; none if nothing fits.

    Best is the same name; then a name of which every word was said, the longer the better; then a name that
    has every word that was said.
    """
    heard = _words(said)
    fits = {key: max(_fit(_words(each), heard) for each in known) for key, known in names.items()}
    best = max(fits.values(), default=_NO_FIT)
    return {key for key, fit in fits.items() if fit == best} if best > _NO_FIT else {said} & set(names)


_NO_FIT = (0, 0)


def _fit(name: Sequence[str], heard: Sequence[str]) -> tuple[int, int]:
    if not name or not heard:
        return _NO_FIT
    if "".join(name) == "".join(heard):
        return 3, 0
    joined = {*heard, *map("".join, pairwise(heard))}  # a checkup, a check up, a check-up
    if set(name) <= joined or "".join(name) in joined:
        return 2, len(name)
    return (1, 0) if set(heard) <= set(name) else _NO_FIT


_TITLES = frozenset({"dr", "doctor", "prof", "professor", "mr", "mrs", "ms", "miss", "nurse"})


def _words(text: str) -> list[str]:
    """The words of a name in small letters, without accents, and without titles if anything else is left."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    words = re.findall(r"\w+", "".join(each for each in letters if not unicodedata.combining(each)))
    return [each for each in words if each not in _TITLES] or words
