"""Which of a file's people, services and rooms is which of the clinic's: guessed by name, and then chosen."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from models.base import clock
from models.booking import resources, services
from models.booking.imports import apart
from models.booking.imports.columns import plain
from models.booking.imports.entries import Entry, File, Kind
from models.booking.resources import ResourceKind
from models.clinics import calendars
from models.clinics.organizations import Organization

#: Instead of an id: make one of that name, or leave it out (a room: import without one).
NEW = "+"
OUT = "-"

#: The most names of one sort that can be made new at once. A file with more has names in the wrong column.
MOST_NEW = 60

_TITLES = frozenset(
    (
        *("dr", "doctor", "prof", "professor", "mr", "mrs", "ms", "miss", "mx", "dentist", "hygienist"),
        *("bds", "dds", "dmd", "md", "rdh", "rn", "phd", "med", "dent", "sir", "dame", "the"),
    )
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What each name of the file stands for: an id, NEW or OUT. The empty name is of rows that name none;
    a name that is not here is unknown. `with_past`: bring past appointments in, too.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, str] = field(default_factory=dict)
    rooms: Mapping[str, str] = field(default_factory=dict)
    with_past: bool = False

    def sorts(self) -> tuple[Mapping[str, str], ...]:
        """The choices of each sort: people, services, rooms."""
        return self.people, self.services, self.rooms

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Choices:
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept})


#: How much of a calendar's past is read where it is wanted.
_PAST = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Ground:
    """What of a clinic a file is read by: its zone, its country, and the words for its services."""

    zone: ZoneInfo
    region: str
    now: datetime
    services: tuple[str, ...]

    def read(self, data: bytes, kind: Kind, *, with_past: bool = False) -> File:
        """Raises Unreadable. Takes seconds for a large file: no transaction may be open meanwhile."""
        return apart.read(
            data,
            kind,
            zone=self.zone,
            region=self.region,
            now=self.now,
            since=self.now - _PAST if with_past else self.now,
            services=self.services,
        )


def ground(session: Session, clinic: Organization) -> Ground:
    offered = services.list_of_clinic(session, clinic.id)
    words = tuple(word for each in offered for word in (each.name, *each.words))
    return Ground(calendars.zone(session, clinic.id), clinic.region, clock.now(session), words)


def guess(session: Session, org_id: uuid.UUID, file: File, *, person: str | None = None) -> Choices:
    """The choices that names suggest; what matches nothing is to be made new. `person` is the id of the one
    whose calendar the file is.

    Rows that name nobody are those of the clinic's only person, and rows without a service those of its only
    or first service.
    """
    every = resources.list_of_clinic(session, org_id)
    people = {each.id: [each.name] for each in every if each.kind is ResourceKind.PERSON}
    rooms = {each.id: [each.name] for each in every if each.kind is ResourceKind.ROOM}
    offered = services.list_of_clinic(session, org_id)
    known = {each.id: [each.name, *each.words] for each in offered}
    chosen = {name: person or _alike(name, people) or NEW for name in file.names("person")}
    if "" in chosen:
        chosen[""] = person or (next(iter(people)) if len(people) == 1 else OUT)
    meant = {name: _alike(name, known) or NEW for name in file.names("service")}
    if "" in meant:
        meant[""] = offered[0].id if offered else NEW
    return Choices(
        people=chosen,
        services=meant,
        rooms={name: _alike(name, rooms) or NEW for name in file.names("room") if name},
    )


def _alike(name: str, known: Mapping[str, Iterable[str]]) -> str | None:
    """The id whose name is the same words, in any order and without titles; else the only one that has all
    the words, or whose words all are in the name; else the only one of whom a letter is the initial.
    """
    words = _words(name)
    if not words:
        return None
    theirs = [(each, _words(called)) for each, names in known.items() for called in (*names, each)]
    same = {each for each, called in theirs if called == words}
    part = {each for each, called in theirs if called and (called <= words or words <= called)}
    initials = {each for each, called in theirs if _by_initials(words, called)}
    for found in (same, part, initials):
        if len(found) == 1:
            return next(iter(found))
    return None


def _by_initials(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two names share a word, and what else the one has are initials of the other's words."""
    letters = {word for word in one ^ other if len(word) == 1 and word.isalpha()}
    rest = (one ^ other) - letters
    return bool(one & other) and bool(letters) and all(word[0] in letters for word in rest)


def _words(name: str) -> frozenset[str]:
    words = frozenset(plain(name).split())
    return words - _TITLES or words


def imported_id(org_id: uuid.UUID, entry: Entry) -> str:
    """By what another import of the same entry knows it: the old diary's id, or else person, time and name.

    A digest, so that no name is in it: it stays when the patient is erased, whom another import of the old
    file must not bring back.
    """
    own = entry.uid or "\x00".join(
        (plain(entry.person), entry.starts_at.isoformat(), plain(entry.name or entry.block))
    )
    text = f"{org_id}\x00{'id' if entry.uid else 'row'}\x00{own}"
    return hashlib.sha256(text.encode()).hexdigest()[:40]
