"""Bookables: a service by a calendar, its rules, and who and what can do it. Read in one statement."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Date, Text, bindparam, text
from sqlalchemy.orm import Session

from models.booking.openings import A_DAY, Different, Period, Timetable
from models.booking.resources import ResourceKind
from models.clinics.calendar_feeds import IS_UNREAD
from models.clinics.calendars import Calendar


@dataclass(frozen=True)
class Bookable:
    """What may be booked, and by which rules; the times are in minutes.

    One of the `leaders` does it: the people who can, or the rooms where no person is needed, or else the
    devices. It takes one of each of `needs` besides. `timetables` has the hours of all of these, and of the
    rooms that the leaders' hours name. `person` is the one that was asked for, if any was.
    """

    org_id: uuid.UUID
    calendar_id: str
    zone: ZoneInfo
    hold_minutes: int
    service_id: str
    service: str
    minutes: int
    minutes_before: int
    minutes_after: int
    step_minutes: int
    min_notice_minutes: int
    horizon_days: int
    most_per_day: int | None
    by_phone: bool
    by_link: bool
    leaders: tuple[str, ...]
    needs: tuple[tuple[ResourceKind, tuple[str, ...]], ...]
    timetables: Mapping[str, Timetable]
    is_default: bool
    person: str | None = None
    led_by: ResourceKind = ResourceKind.PERSON
    #: Whether callers could ask for another service, or for somebody else.
    has_others: bool = False
    #: The slots of each day as models/booking/availability.py works them out: a claim asks for them twice.
    slots: dict[date, list[Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def time_zone(self) -> str:
        """The IANA name of the zone."""
        return self.zone.key

    def name_of(self, resource_id: str) -> str:
        return self.timetables[resource_id].name


_READ = text(f"""
    WITH asked AS (
        SELECT c.id AS calendar, c.time_zone AS zone, c.resource_id AS resource, c.hold_minutes,
               c.service_id AS own, s.*
          FROM calendars c
          JOIN services s ON s.org_id = c.org_id AND s.id = coalesce(:service, c.service_id)
         WHERE c.org_id = :org AND c.id = :calendar AND (s.retired_at IS NULL OR :retired)
    ), able AS (
        SELECT r.* FROM asked a
          JOIN service_resources x ON x.org_id = :org AND x.service_id = a.id
          JOIN resources r ON r.org_id = :org AND r.id = x.resource_id AND r.retired_at IS NULL
    ), hours AS (
        SELECT h.* FROM resource_hours h WHERE h.org_id = :org AND h.resource_id IN (SELECT id FROM able)
    ), dates AS (
        SELECT e.* FROM hours_exceptions e
         WHERE e.org_id = :org AND e.day >= (app_clock() - interval '3 days')::date
    ), named AS (
        SELECT r.* FROM resources r
         WHERE r.org_id = :org AND r.retired_at IS NULL AND r.id NOT IN (SELECT id FROM able)
           AND (r.id IN (SELECT room_id FROM hours) OR r.id IN (SELECT room_id FROM dates))
    )
    SELECT to_jsonb(a)
           || jsonb_build_object(
             'by_phone_in_all', (SELECT count(*) FROM services s
                                  WHERE s.org_id = :org AND s.by_phone AND s.retired_at IS NULL),
             'able', (SELECT jsonb_agg(jsonb_build_array(id, kind, name, time_zone) ORDER BY id COLLATE "C")
                        FROM able),
             'unread', (SELECT jsonb_agg(DISTINCT f.resource_id)
                          FROM calendar_feeds f JOIN organizations o ON o.id = f.org_id
                         WHERE f.org_id = :org AND {IS_UNREAD}),
             'named', (SELECT jsonb_agg(jsonb_build_array(id, kind, name, time_zone)) FROM named),
             'hours', (SELECT jsonb_agg(jsonb_build_array(
                                resource_id, weekday, from_minute, until_minute, room_id))
                         FROM (SELECT * FROM hours UNION ALL
                               SELECT * FROM resource_hours h
                                WHERE h.org_id = :org AND h.resource_id IN (SELECT id FROM named)) h),
             'dates', (SELECT jsonb_agg(jsonb_build_array(
                                resource_id, day, is_open, from_minute, until_minute, room_id)
                                        ORDER BY day, from_minute, id) FROM dates)
           )
      FROM asked a
""").bindparams(bindparam("service", type_=Text()))

#: The order in which kinds lead.
_KINDS = tuple(ResourceKind)


def find(
    session: Session,
    calendar: Calendar,
    *,
    service_id: str | None = None,
    person: str | None = None,
    anyone: bool = False,
    retired: bool = False,
    at_desk: bool = False,
) -> Bookable | None:
    """What a calendar offers of a service, by default its own; `person` is the id of the one who shall do it.

    A calendar that names a resource offers that one, if it can do the service and nobody else is asked for;
    with `anyone` it offers everybody. `retired`: also a service that is offered no more. People whose
    calendar from elsewhere could not be read for too long are left out, since nobody knows when they are
    busy; `at_desk` they are not. None if there is no such service, nobody does it, or the one who is asked
    for does not.
    """
    values = {"org": calendar.org_id, "calendar": calendar.id, "service": service_id, "retired": retired}
    found = session.execute(_READ, values).scalar_one_or_none()
    if not found:
        return None
    unread = set() if at_desk else set(found["unread"] or ())
    able: dict[ResourceKind, list[str]] = defaultdict(list)
    of_other_zones = set()
    for resource_id, kind, _, zone in found["able"] or ():
        able[ResourceKind(kind)].append(resource_id)
        if zone != found["zone"] and resource_id not in (found["resource"], person):
            of_other_zones.add(resource_id)
    if not able:
        return None
    first = min(able, key=_KINDS.index)
    able = {kind: [each for each in ids if each not in unread] for kind, ids in able.items()}
    found["named"] = [each for each in found["named"] or () if each[0] not in unread]
    leaders = [each for each in able.pop(first) if each not in of_other_zones]
    has_others = found["by_phone_in_all"] > 1 or len(leaders) > 1
    if person is not None:
        leaders = [each for each in leaders if each == person]
    elif found["resource"] in leaders and not anyone:
        leaders = [found["resource"]]
    if not leaders or not all(able.values()):
        return None
    rules = {name: found[name] for name in _RULES}
    return Bookable(
        org_id=calendar.org_id,
        calendar_id=found["calendar"],
        zone=ZoneInfo(found["zone"]),
        hold_minutes=found["hold_minutes"],
        service_id=found["id"],
        service=found["name"],
        leaders=tuple(leaders),
        needs=tuple((kind, tuple(able[kind])) for kind in _KINDS if able.get(kind)),
        timetables=_timetables(found, leaders),
        is_default=found["id"] == found["own"],
        person=person,
        led_by=first,
        has_others=has_others,
        **rules,
    )


def find_timetable(
    session: Session, org_id: uuid.UUID, resource_id: str, *, leads: bool = False
) -> Timetable | None:
    """The hours of one resource; None if there is no such resource. A room or device without hours is always
    open, unless it `leads`: then it is open only where an exception opens it.
    """
    return find_timetables(session, org_id, [resource_id], leads=leads).get(resource_id)


def find_timetables(
    session: Session,
    org_id: uuid.UUID,
    resource_ids: Sequence[str],
    *,
    since: date | None = None,
    leads: bool = False,
) -> dict[str, Timetable]:
    """The hours of resources by id; those that do not exist are left out. `since`: the first day whose
    exceptions are wanted, by default a few days ago. `leads` as for one.
    """
    values = {"org": org_id, "resources": list(resource_ids), "since": since}
    found = session.execute(_READ_HOURS, values).scalar_one()
    leaders = [each for each, kind, _, _ in found["able"] or () if leads or kind == ResourceKind.PERSON]
    return _timetables(found | {"named": None}, leaders)


_READ_HOURS = text("""
    SELECT jsonb_build_object(
             'able', (SELECT jsonb_agg(jsonb_build_array(id, kind, name, time_zone)) FROM resources r
                       WHERE r.org_id = :org AND r.id = ANY (:resources)),
             'hours', (SELECT jsonb_agg(jsonb_build_array(
                                resource_id, weekday, from_minute, until_minute, room_id))
                         FROM resource_hours h WHERE h.org_id = :org AND h.resource_id = ANY (:resources)),
             'dates', (SELECT jsonb_agg(jsonb_build_array(
                                resource_id, day, is_open, from_minute, until_minute, room_id)
                                        ORDER BY day, from_minute, id)
                         FROM hours_exceptions e
                        WHERE e.org_id = :org AND (e.resource_id IS NULL OR e.resource_id = ANY (:resources))
                          AND e.day >= coalesce(:since, (app_clock() - interval '3 days')::date))
           )
""").bindparams(bindparam("since", type_=Date()))


_RULES = (
    *("minutes", "minutes_before", "minutes_after", "step_minutes", "min_notice_minutes", "horizon_days"),
    *("most_per_day", "by_phone", "by_link"),
)


def _timetables(found: dict[str, Any], leaders: Iterable[str]) -> dict[str, Timetable]:
    weekly: dict[str, dict[int, list[Period]]] = defaultdict(lambda: defaultdict(list))
    for resource_id, weekday, begins, until, room in found["hours"] or ():
        weekly[resource_id][weekday].append(Period(begins, until, begins, room))
    dates: dict[str | None, dict[date, list[tuple[Any, ...]]]] = defaultdict(lambda: defaultdict(list))
    for resource_id, day, *rule in found["dates"] or ():
        dates[resource_id][date.fromisoformat(day)].append(tuple(rule))
    different = {
        resource_id: {day: _different(rules) for day, rules in of_resource.items()}
        for resource_id, of_resource in dates.items()
    }
    return {
        resource_id: Timetable(
            resource_id,
            name,
            ZoneInfo(zone),
            {day: tuple(sorted(periods, key=_begins)) for day, periods in weekly[resource_id].items()}
            if resource_id in weekly or resource_id in leaders
            else _ALWAYS,
            # A room without hours is open whenever somebody works in it, also where the clinic is closed.
            different.get(None, {}) if resource_id in weekly or resource_id in leaders else {},
            different.get(resource_id, {}),
        )
        for resource_id, _, name, zone in (*(found["able"] or ()), *(found["named"] or ()))
    }


def _begins(period: Period) -> int:
    return period.begins


_ALWAYS = {weekday: (Period(0, A_DAY, 0),) for weekday in range(7)}


def _different(rules: list[tuple[Any, ...]]) -> Different:
    parts = [(begins, until) for is_open, begins, until, _ in rules if not is_open and begins is not None]
    return Different(
        opened=tuple(
            Period(begins, until, begins, room) for is_open, begins, until, room in rules if is_open
        ),
        closed=tuple(parts),
        closed_all_day=any(not is_open and begins is None for is_open, begins, _, _ in rules),
    )
