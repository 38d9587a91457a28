"""A clinic in which people, rooms and devices are shared, and a check of its diary in plain Python.

The check reads appointment_holds, appointments and blocks, and works out from them alone who has what.
"""

from __future__ import annotations

import json
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
from psycopg.rows import class_row

from tests.claimed import Claimed
from tests.concurrency.racing import QUARTER, SLOT, Connection, race

MINUTE = timedelta(minutes=1)
#: Starts on the grid over four hours.
STARTS = [SLOT + n * QUARTER for n in range(16)]

#: Ids that C and a natural order sort differently.
PEOPLE = ("Anna", "bert", "Cleo", "dora")
ROOMS = ("room-1", "Room-2")
DEVICE = "laser"
RESOURCES = (*PEOPLE, *ROOMS, DEVICE)


#: Those who lead, each with the ids that meet every need (choose_resources).
Options = list[list[list[str]]]


@dataclass(frozen=True)
class Kind:
    """A service as the clinic has it: the ids that meet each of its needs, the leaders first."""

    minutes: int
    before: int
    after: int
    needs: tuple[tuple[str, ...], ...]

    def options(self) -> Options:
        return [[[leader], *map(list, self.needs[1:])] for leader in sorted(self.needs[0])]


SERVICES = {
    # A room is shared with both others, bert and Cleo do two of them, and the buffers of neighbours touch.
    "check-up": Kind(30, 5, 10, (("Anna", "bert", "Cleo"), ROOMS)),
    "laser": Kind(45, 0, 15, (("Cleo", "bert"), ("room-1",), (DEVICE,))),
    "talk": Kind(15, 0, 0, (("dora", "Anna"),)),
    "x-ray": Kind(30, 15, 0, (("Room-2",), (DEVICE,))),
}
#: Each calendar with the resource that it names, if any, and its own service.
CALENDARS = {
    "anyone": (None, "check-up"),
    "Anna": ("Anna", "check-up"),
    "laser": (None, "laser"),
    "talk": (None, "talk"),
    "x-ray": (None, "x-ray"),
}


def make_clinic(connection: Connection) -> str:
    org = str(uuid.uuid4())
    connection.execute("INSERT INTO organizations (id, name, region) VALUES (%s, 'Races', 'GB')", [org])
    furnish(connection, org)
    return org


def furnish(connection: Connection, org: str) -> None:
    """Give a clinic these resources, services and calendars; its people work every day from 9 to 17."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO resources (org_id, id, kind, name, time_zone) VALUES (%s, %s, %s, %s, 'UTC')",
            [(org, each, _kind(each), each) for each in RESOURCES],
        )
        cursor.executemany(
            "INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)"
            " VALUES (%s, %s, %s, 540, 1020)",
            [(org, each, day) for each in (*PEOPLE, "Room-2") for day in range(7)],
        )
        cursor.executemany(
            "INSERT INTO services (org_id, id, name, minutes, minutes_before, minutes_after, step_minutes)"
            " VALUES (%s, %s, %s, %s, %s, %s, 15)",
            [(org, name, name, it.minutes, it.before, it.after) for name, it in SERVICES.items()],
        )
        cursor.executemany(
            "INSERT INTO service_resources (org_id, service_id, resource_id) VALUES (%s, %s, %s)",
            [(org, name, each) for name, it in SERVICES.items() for need in it.needs for each in need],
        )
        cursor.executemany(
            "INSERT INTO calendars (org_id, id, name, time_zone, resource_id, service_id)"
            " VALUES (%s, %s, %s, 'UTC', %s, %s)",
            [(org, name, name, *it) for name, it in CALENDARS.items()],
        )


def _kind(resource: str) -> str:
    return "person" if resource in PEOPLE else "room" if resource in ROOMS else "device"


def claim(
    connection: Connection,
    org: str,
    calendar: str,
    slot: datetime = SLOT,
    *,
    caller: int = 0,
    asked: dict[str, Any] | None = None,
) -> Claimed:
    """Claim with seven arguments, or with eight if it is said what is asked for."""
    values = [org, calendar, slot, f"call-{caller}", "John", f"+447700{caller:06d}", 10]
    with connection.cursor(row_factory=class_row(Claimed)) as cursor:
        if asked is None:
            cursor.execute("SELECT * FROM claim_slot_atomic(%s, %s, %s, %s, %s, %s, %s)", values)
        else:
            cursor.execute(
                "SELECT * FROM claim_slot_atomic(%s, %s, %s, %s, %s, %s, %s, %s)",
                [*values, json.dumps(asked)],
            )
        answer = cursor.fetchone()
    assert answer is not None
    return answer


@dataclass(frozen=True)
class Tried:
    """A claim of a race, and its answer."""

    service: str
    start: datetime
    options: Options
    answer: Claimed


def race_of_claims(
    racers: Sequence[Connection], org: str, seed: object, starts: Sequence[datetime]
) -> list[Tried | psycopg.Error]:
    """Let all claim at once, each a service at one of the starts, half of them with some who can do it."""

    def act(connection: Connection, number: int) -> Tried:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311 (no secret)
        service, start = chance.choice(sorted(SERVICES)), chance.choice(starts)
        options = [each for each in SERVICES[service].options() if chance.random() < 0.7]
        if not options or chance.random() < 0.5:
            options, asked = SERVICES[service].options(), None
        else:
            asked = {"service": service, "options": options}
        calendar = "anyone" if service == "check-up" else service
        return Tried(
            service, start, options, claim(connection, org, calendar, start, caller=number, asked=asked)
        )

    return race(racers, act)


def refused_for_nothing(diary: Diary, tried: Iterable[Tried | psycopg.Error]) -> list[Tried]:
    """The claims that were refused although what they asked for is free after the race."""
    return [
        each
        for each in tried
        if isinstance(each, Tried)
        and not each.answer.success
        and diary.can_be_booked(each.service, each.start, each.options)
    ]


def insert_block(
    connection: Connection, org: str, resource: str, begins: datetime, ends: datetime, reason: str = "Away"
) -> uuid.UUID:
    row = connection.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING id",
        [org, resource, begins, ends, reason],
    ).fetchone()
    assert row is not None
    return uuid.UUID(str(row[0]))


# --- the check ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Booking:
    """A live hold or a standing appointment, with its buffers in."""

    id: uuid.UUID
    hold: uuid.UUID | None
    starts_at: datetime
    begins: datetime
    ends: datetime
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    id: uuid.UUID
    resource: str
    begins: datetime
    ends: datetime


@dataclass
class Diary:
    """What the rows of a clinic say."""

    bookings: list[Booking]
    blocks: list[Block]
    occupancies: list[tuple[Any, ...]] = field(default_factory=list)

    def double_bookings(self) -> list[tuple[str, Booking, Booking]]:
        """The pairs that overlap on a resource."""
        by_resource: dict[str, list[Booking]] = defaultdict(list)
        for booking in self.bookings:
            for resource in booking.resources:
                by_resource[resource].append(booking)
        return [
            (resource, one, other)
            for resource, bookings in by_resource.items()
            for n, one in enumerate(bookings)
            for other in bookings[n + 1 :]
            if one.begins < other.ends and other.begins < one.ends
        ]

    def on_blocked_time(self) -> set[tuple[uuid.UUID, uuid.UUID]]:
        """The ids of a booking and of a block in whose time it lies."""
        return {
            (booking.id, block.id)
            for booking in self.bookings
            for block in self.blocks
            if block.resource in booking.resources
            and booking.begins < block.ends
            and block.begins < booking.ends
        }

    def is_free(self, resource: str, begins: datetime, ends: datetime) -> bool:
        return not any(
            resource in booking.resources and booking.begins < ends and begins < booking.ends
            for booking in self.bookings
        ) and not any(
            block.resource == resource and block.begins < ends and begins < block.ends
            for block in self.blocks
        )

    def can_be_booked(self, service: str, start: datetime, options: Options) -> bool:
        kind = SERVICES[service]
        begins, ends = start - kind.before * MINUTE, start + (kind.minutes + kind.after) * MINUTE
        return any(
            all(any(self.is_free(each, begins, ends) for each in need) for need in option)
            for option in options
        )

    def wrong_occupancies(self) -> list[str]:
        """Where occupancies are not what the holds, appointments and blocks imply."""
        wrong = []
        booked = {
            (each, booking.begins, booking.ends, booking.id)
            for booking in self.bookings
            for each in booking.resources
        }
        pieces = [row for row in self.occupancies if row[5] is not None]
        others = [(row[0], row[1], row[2], row[3] or row[4]) for row in self.occupancies if row[5] is None]
        wrong += [f"a booking has not {row}" for row in booked - set(others)]
        wrong += [f"nobody has {row}" for row in set(others) - booked]
        if len(others) != len(set(others)):
            wrong.append("a booking has a time twice")
        blocks = {block.id: block for block in self.blocks}
        for resource, begins, ends, _, _, block_id in pieces:
            block = blocks.get(block_id)
            if block is None or block.resource != resource:
                wrong.append(f"no block has {resource} from {begins}")
            elif not block.begins <= begins < ends <= block.ends or ends - begins > timedelta(hours=24):
                wrong.append(f"a block has more than its own: {resource} from {begins} to {ends}")
        for resource in {block.resource for block in self.blocks} | {row[0] for row in pieces}:
            blocked = union((each.begins, each.ends) for each in self.blocks if each.resource == resource)
            taken = union((each.begins, each.ends) for each in self.bookings if resource in each.resources)
            implied = union(_without(blocked, taken))
            found = union((row[1], row[2]) for row in pieces if row[0] == resource)
            if implied != found:
                wrong.append(f"blocks of {resource} have {found} and not {implied}")
        return wrong


Span = tuple[datetime, datetime]


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that neither overlap nor adjoin, in order."""
    found: list[Span] = []
    for begins, ends in sorted(spans):
        if found and begins <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], ends))
        else:
            found.append((begins, ends))
    return found


def _without(spans: Sequence[Span], taken: Sequence[Span]) -> list[Span]:
    """What of the spans lies in none of those that are taken; both are disjoint and in order."""
    edges = sorted({edge for span in (*spans, *taken) for edge in span})
    return [
        (begins, ends)
        for begins, ends in pairwise(edges)
        if any(one <= begins and ends <= other for one, other in spans)
        and not any(one <= begins and ends <= other for one, other in taken)
    ]


def read(connection: Connection, org: str) -> Diary:
    """The diary of a clinic, in one snapshot."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET LOCAL timezone = 'UTC'")  # where the lengths of days do not differ
        bookings = [
            Booking(id_, hold, start, start - before * MINUTE, end + after * MINUTE, (resource, *others))
            for id_, hold, start, end, before, after, resource, others in connection.execute(
                "SELECT id, NULL, starts_at, ends_at, minutes_before, minutes_after, resource_id,"
                "  other_resources FROM appointment_holds WHERE org_id = %(org)s AND status = 'held'"
                " UNION ALL"
                " SELECT id, hold_id, scheduled_at, ends_at, minutes_before, minutes_after, resource_id,"
                "  other_resources FROM appointments WHERE org_id = %(org)s AND status <> 'cancelled'",
                {"org": org},
            )
        ]
        blocks = [
            Block(*row)
            for row in connection.execute(
                "SELECT id, resource_id, starts_at, ends_at FROM blocks WHERE org_id = %s", [org]
            )
        ]
        occupancies = connection.execute(
            "SELECT resource_id, starts_at, ends_at, hold_id, appointment_id, block_id FROM occupancies"
            " WHERE org_id = %s",
            [org],
        ).fetchall()
    return Diary(bookings, blocks, occupancies)
