"""What a caller asks for: a calendar, a service and a person, as they were said, or as a slotId names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from models.base import times
from models.booking import bookables, resources, services
from models.booking.availability import Slot
from models.booking.bookables import Bookable
from models.booking.resources import ResourceKind
from models.clinics import calendars
from models.clinics.calendars import Calendar
from webapp.agents.desk import Desk
from webapp.agents.replies import Code, Reply, refusal


def calendar_of(desk: Desk, arguments: dict[str, Any]) -> Calendar | None:
    return calendars.get_or_none(desk.session, desk.org_id, arguments.get("calendarId"))


def read(desk: Desk, calendar: Calendar, arguments: dict[str, Any]) -> Bookable | Reply:
    """What is asked for, by the words for the service and the person; or the refusal that says which there are."""
    service_id = person_id = None
    if said := arguments.get("service"):
        offered = [each for each in services.list_of_clinic(desk.session, desk.org_id) if each.by_phone]
        found = _meant(said, {each.id: (each.id, each.name, *each.words) for each in offered})
        if found is None:
            names = [each.name for each in offered]
            return refusal(
                Code.UNKNOWN_SERVICE,
                "Unknown service",
                f"I cannot find that service. {_there_is(names)}",
                services=names,
            )
        service_id = found
    if said := arguments.get("person"):
        people = [
            each
            for each in resources.list_of_clinic(desk.session, desk.org_id)
            if each.kind is ResourceKind.PERSON
        ]
        person_id = _meant(said, {each.id: (each.id, each.name) for each in people})
        bookable = person_id and bookables.find(
            desk.session, calendar, service_id=service_id, person=person_id
        )
        if not bookable:
            able = bookables.find(desk.session, calendar, service_id=service_id)
            names = [able.name_of(each) for each in able.leaders] if able else []
            return refusal(
                Code.UNKNOWN_PERSON,
                "Nobody of that name does it",
                f"Nobody of that name does this. {_there_is(names)}",
                people=names,
            )
        return bookable
    return find(desk, calendar, service_id, None)


def find(desk: Desk, calendar: Calendar, service_id: str | None, person: str | None) -> Bookable | Reply:
    """What two ids name, or the refusal."""
    bookable = bookables.find(desk.session, calendar, service_id=service_id, person=person)
    if bookable is None:
        return refusal(
            Code.NOBODY_DOES_IT,
            "Nobody does that service",
            "the clinic does not offer that at the moment. Please ask for another service or person.",
        )
    return bookable


def slot_id(bookable: Bookable, slot: Slot) -> str:
    """The start, and behind it the service and the person where these are not what the calendar means anyway."""
    parts = [times.instant(slot.starts_at)]
    if not bookable.is_default or bookable.person:
        parts.append(bookable.service_id)
    if bookable.person:
        parts.append(bookable.person)
    return "/".join(parts)


def parts_of(slot_id: str) -> tuple[str, str | None, str | None]:
    """The start, the service and the person of a slotId."""
    start, service, person = (*slot_id.split("/", 2), "", "")[:3]
    return start, service or None, person or None


def _there_is(names: list[str]) -> str:
    if not names:
        return "There is none to choose from."
    return f"There is {' or '.join(filter(None, [', '.join(names[:-1]), names[-1]]))}."


def _meant(said: str, names: dict[str, Iterable[str]]) -> str | None:
    """The id whose name was said; else the only one whose name is part of what was said, or the other way."""
    heard = _words(said)
    for fits in (lambda name: name == heard, lambda name: _is_part(name, heard) or _is_part(heard, name)):
        found = {key for key, known in names.items() if any(fits(_words(each)) for each in known)}
        if len(found) == 1:
            return found.pop()
    return None


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text.casefold()))


def _is_part(some: tuple[str, ...], all_: tuple[str, ...]) -> bool:
    return bool(some) and any(
        all_[place : place + len(some)] == some for place in range(len(all_) - len(some) + 1)
    )
