"""The changes of a clinic's services that its owners make: on their pages, and by command.

Each verb makes one change within a SetUpChange, which has the appointments that it leaves standing. What
could never work is refused in a sentence (hours.Impossible); the transaction is rolled back.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.booking import retirement, services, set_up, set_up_change, standing
from models.booking.hours import Impossible
from models.booking.services import Service
from models.booking.set_up_change import SetUpChange
from models.clinics import calendars

#: The rules that may be none: as many a day as there is time for; worth what the call suggests.
MAY_BE_NONE = ("most_per_day", "worth")

#: Characters of a name or of a word that callers use, and how many words a service may have.
_LONGEST, _MOST_WORDS = 80, 20


def add(
    session: Session,
    change: SetUpChange,
    *,
    org_id: uuid.UUID,
    who: Collection[str],
    service_id: str | None = None,
    **rules: Any,
) -> Service:
    """Add a service. Offered starts are as far apart as an appointment is long, if nothing else is said.

    Raises Impossible as set_up.add_service, and if callers could not tell it from another.
    """
    set_up_change.lock_clinic(session, org_id)
    if rules.get("step_minutes") is None:
        rules["step_minutes"] = rules.get("minutes")
    _assert_readable(rules)
    row = set_up.add_service(session, org_id=org_id, service_id=service_id, resource_ids=who, **rules)
    set_up.assert_told_apart(session, row)
    change.done()
    return row


def alter(
    session: Session,
    change: SetUpChange,
    service: Service,
    *,
    who: Collection[str] | None = None,
    none: Collection[str] = (),
    **rules: Any,
) -> None:
    """Change the rules that are not None, who can do it, and the rules that shall be none (MAY_BE_NONE).

    What is booked keeps its time, its length and its person. Raises Impossible as `add`.
    """
    _assert_readable(rules)
    set_up.change_service(session, service, **rules)
    for rule in none:
        if rule not in MAY_BE_NONE:
            raise ValueError(rule)
        setattr(service, rule, None)
    if who is not None:
        set_up.set_resources(session, service.org_id, service.id, who)
    set_up.assert_told_apart(session, service)
    stands = who is not None
    change.done(standing.find(session, service.org_id, service_id=service.id) if stands else ())


def facts(session: Session, service: Service) -> dict[str, Any]:
    """All that is set of a service, for programs to read; dates as text."""
    rules = {rule: getattr(service, rule) for rule in services.RULES}
    every = calendars.list_of_clinic(session, service.org_id)
    return {
        "id": service.id,
        "name": service.name,
        "words": service.words,
        "position": service.position,
        **rules,
        "worth": service.worth,
        "who": [each.id for each in services.who_can_do(session, service)],
        "default_of": [each.id for each in every if each.service_id == service.id],
        "retired": service.retired_at and service.retired_at.date().isoformat(),
    }


def retire(session: Session, change: SetUpChange, service: Service) -> None:
    """Offer it no more. Raises Impossible as retirement.retire_service."""
    retirement.retire_service(session, service)
    change.done(standing.find(session, service.org_id, service_id=service.id))


def take_back(session: Session, change: SetUpChange, service: Service) -> None:
    """Offer it again. Raises Impossible as retirement.take_back, and if callers say the same for another."""
    retirement.take_back(session, service)
    set_up.assert_told_apart(session, service)
    change.done(standing.find(session, service.org_id, service_id=service.id))


def move(session: Session, org_id: uuid.UUID, service_id: str, *, up: bool) -> list[str] | None:
    """Name a service one place earlier or later among those that are offered, unless it is at the end.

    Returns the ids in their order; None if no such service is offered.
    """
    set_up_change.lock_clinic(session, org_id)
    query = select(Service).where(Service.org_id == org_id, Service.retired_at.is_(None)).order_by(Service.id)
    session.scalars(query.with_for_update(key_share=True)).all()
    every = services.list_of_clinic(session, org_id)
    place = next((number for number, each in enumerate(every) if each.id == service_id), None)
    if place is None:
        return None
    to = min(max(place + (-1 if up else 1), 0), len(every) - 1)
    every.insert(to, every.pop(place))
    for number, each in enumerate(every, 1):
        each.position = number
    session.flush()
    return [each.id for each in every]


def _assert_readable(rules: dict[str, Any]) -> None:
    """Raises Impossible for a name or word that is too long or cannot be shown, and for too many words."""
    words = rules.get("words") or ()
    if len(words) > _MOST_WORDS:
        raise Impossible(f"callers may have {_MOST_WORDS} words for a service, and not {len(words)}")
    for text in (rules.get("name") or "", *words):
        if len(text) > _LONGEST:
            raise Impossible(f"{text[:20]}… is longer than {_LONGEST} characters")
        if not text.isprintable():
            raise Impossible(f"{text[:20]!r} holds characters that cannot be shown")
