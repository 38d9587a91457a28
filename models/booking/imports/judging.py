"""The dry run: what would become of each entry of a file, and why some would not be imported.

The import judges by the same code, once it has the locks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import String, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.base import clock, phones
from models.booking import bookables, by_hand, resources, services
from models.booking.imports.columns import plain
from models.booking.imports.diary import Free, Taken
from models.booking.imports.entries import Entry, File, Problem, one_line
from models.booking.imports.matching import NEW, OUT, Choices, imported_id
from models.booking.imports.reports import NEW_ROOM, Planned, Report, lengths, name_of_new
from models.booking.resources import Resource, ResourceKind
from models.booking.services import LIMITS, Service
from models.clinics.organizations import Organization

LONGEST = timedelta(hours=8)


def judge(session: Session, clinic: Organization, file: File, choices: Choices, zone: ZoneInfo) -> Report:
    """`zone` is that in which the report tells times."""
    session.execute(_PATIENT)
    return _Judge(session, clinic, choices, zone).judge(file)


#: A file of many rows is judged for seconds between two statements of its transaction.
_PATIENT = text("SET LOCAL idle_in_transaction_session_timeout = '30s'")

_KNOWN = text("""
    SELECT imported_id, scheduled_at AS starts_at, resource_id, status = 'cancelled' AS over
      FROM appointments WHERE org_id = :org AND imported_id = ANY (:ids)
    UNION ALL
    SELECT imported_id, starts_at, resource_id, false
      FROM blocks WHERE org_id = :org AND imported_id = ANY (:ids)
""").bindparams(bindparam("ids", type_=ARRAY(String)))


class _Refused(Exception):
    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class _LeftOut(Exception):
    """The argument is why."""


class _Judge:
    def __init__(self, session: Session, clinic: Organization, choices: Choices, zone: ZoneInfo) -> None:
        self._session, self._clinic, self._choices, self._zone = session, clinic, choices, zone
        org_id = clinic.id
        self._now = clock.now(session)
        self._resources: dict[str, Resource] = {
            each.id: each for each in resources.list_of_clinic(session, org_id)
        }
        self._services: dict[str, Service] = {
            each.id: each for each in services.list_of_clinic(session, org_id)
        }
        self._people = {each.id for each in self._resources.values() if each.kind is ResourceKind.PERSON}
        #: The rooms and devices that each service needs.
        self._rooms = {
            each.id: [
                able.id
                for able in services.who_can_do(session, each)
                if able.kind is not ResourceKind.PERSON and not able.retired_at
            ]
            for each in self._services.values()
        }
        self._report = Report()
        self._lengths: dict[str, int] = {}

    def judge(self, file: File) -> Report:
        report = self._report
        report.refused += file.problems
        report.left_out += file.left_out
        report.notes += file.notes
        self._lengths = lengths(file)
        planned: list[Planned] = []
        seen: dict[str, int] = {}
        for entry in sorted(file.entries, key=lambda each: each.line):
            try:
                plan = self._planned(entry)
                before = seen.setdefault(plan.imported_id, entry.line)
                if before != entry.line:
                    self._refuse(entry, "twice", f"It is the same as row {before}; one of them is enough.")
                    continue
                planned.append(plan)
            except _Refused as refusal:
                self._refuse(entry, refusal.code, str(refusal))
            except _LeftOut as why:
                report.left_out[str(why)] += 1
        planned = self._unknown(planned)
        free = self._free(planned)
        placed = [each for plan in planned if not plan.reason and (each := self._placed(free, plan))]
        for plan in [self._with_buffers(free, each) for each in placed]:
            (report.past if plan.ends_at <= self._now else report.appointments).append(plan)
        report.blocks += [each for each in planned if each.reason]
        self._note_hours()
        report.refused.sort(key=lambda each: each.line)
        return report

    def _refuse(self, entry: Entry, code: str, why: str) -> None:
        local = entry.starts_at.astimezone(self._zone)
        says = [f"{local:%Y-%m-%d %H:%M}", entry.name or entry.block, entry.person, entry.service]
        self._report.refused.append(
            Problem(entry.line, one_line(", ".join(filter(None, says)), 160), code, why)
        )

    # --- one entry by itself

    def _planned(self, entry: Entry) -> Planned:
        """Raises _Refused or _LeftOut."""
        person = self._chosen(self._choices.people, entry.person, "person")
        if entry.block:
            return self._block(entry, person, entry.block)
        service = self._chosen(self._choices.services, entry.service, "service")
        room = self._room(entry)
        ends_at = entry.ends_at or entry.starts_at + timedelta(minutes=self._minutes(service))
        past = ends_at <= self._now
        if past and not self._choices.with_past:
            raise _LeftOut("past")
        if ends_at - entry.starts_at > LONGEST:
            raise _Refused(
                "too_long", "It is longer than 8 hours; look at its end, or block that time by hand."
            )
        if entry.starts_at > self._now + timedelta(days=by_hand.HORIZON_DAYS):
            raise _Refused("too_far", "It is more than ten years ahead; look at the year.")
        if not any(map(str.isalnum, entry.name)):
            raise _Refused("name_missing", "The patient's name is missing; write it into the row.")
        phone = self._phone(entry)
        if not phone:
            if past:
                raise _LeftOut("past without a telephone number")
            return self._block(entry, person, f"{entry.name} (no telephone number)", ends_at)
        kept = (person, room) if room else (person,)
        return Planned(
            entry,
            imported_id(self._clinic.id, entry),
            entry.starts_at,
            ends_at,
            kept,
            service=service,
            phone=phone,
        )

    def _room(self, entry: Entry) -> str:
        """The id of the room that a row names; empty for none. Raises _Refused."""
        chosen = self._choices.rooms.get(entry.room, "") if entry.room else OUT
        if chosen == NEW:
            return f"{NEW_ROOM}{entry.room}"
        if chosen != OUT and self._kind(chosen) is not ResourceKind.ROOM:
            raise _Refused(
                "unknown_room", f"The clinic has no room “{entry.room}”; choose one, or add it first."
            )
        return "" if chosen == OUT else chosen

    def _chosen(self, choices: Mapping[str, str], name: str, word: str) -> str:
        """The id of a person or service by its name, or NEW with the name for one that is yet to be made."""
        chosen = choices.get(name)
        if chosen == OUT and name:
            raise _LeftOut(f"{word} left out: {name}")
        known = self._people if word == "person" else self._services.keys()
        if chosen is None or chosen == OUT or (chosen != NEW and chosen not in known):
            what = f"The clinic has no {word} “{name}”" if name else f"The row names no {word}"
            raise _Refused(f"unknown_{word}", f"{what}; choose who or what is meant, or add it first.")
        return f"{NEW}{name}" if chosen == NEW else chosen

    def _minutes(self, service: str) -> int:
        known = self._services.get(service)
        return known.minutes if known else self._lengths.get(name_of_new(service), 30)

    def _block(self, entry: Entry, person: str, reason: str, ends_at: datetime | None = None) -> Planned:
        ends_at = ends_at or entry.ends_at or entry.starts_at + timedelta(minutes=30)
        if ends_at <= self._now:
            raise _LeftOut("past")
        if ends_at - entry.starts_at > timedelta(days=366):
            raise _Refused("too_long", "It is longer than a year; look at its end.")
        return Planned(
            entry,
            imported_id(self._clinic.id, entry),
            entry.starts_at,
            ends_at,
            (person,),
            reason=reason,
        )

    def _phone(self, entry: Entry) -> str:
        """The number in E.164: a mobile's, if there is one; empty if the row has none. Raises _Refused."""
        found, why = "", ""
        for written in entry.numbers:
            try:
                number = phones.e164(written, region=self._clinic.region, sandbox=self._clinic.sandbox)
            except phones.ImpossibleNumber as error:
                why = f"“{written[:40]}” is no telephone number: {error}; correct it in the row."
                continue
            try:
                phones.check_mobile(number, fiction=True)
            except phones.NotAMobile:
                found = found or number
                continue
            return number
        if why and not found:
            raise _Refused("impossible_number", why)
        return found

    # --- all of them together

    def _unknown(self, planned: Sequence[Planned]) -> list[Planned]:
        """Those that were not imported before."""
        ids = [each.imported_id for each in planned]
        found = {
            row.imported_id: row
            for row in self._session.execute(_KNOWN, {"org": self._clinic.id, "ids": ids})
        }
        left = []
        for plan in planned:
            row = found.get(plan.imported_id)
            if row is None:
                left.append(plan)
            elif row.over or self._is_as_before(plan, row):
                self._report.left_out["imported before"] += 1
            else:
                here = f"{row.starts_at.astimezone(self._zone):%Y-%m-%d %H:%M}"
                self._refuse(
                    plan.entry,
                    "changed",
                    f"It was imported before and is at {here} here; if the file is right, move it by hand.",
                )
        return left

    @staticmethod
    def _is_as_before(plan: Planned, row: object) -> bool:
        was = (getattr(row, "starts_at", None), getattr(row, "resource_id", None))
        return not plan.entry.uid or was == (plan.starts_at, plan.resources[0])

    def _free(self, planned: Sequence[Planned]) -> Free:
        wanted = {each for plan in planned for each in plan.resources}
        wanted |= {each for plan in planned for each in self._rooms.get(plan.service, ())}
        free = Free(self._session, self._clinic.id, wanted & set(self._resources))
        if planned:
            around = timedelta(minutes=LIMITS["minutes_before"][1])
            free.read(
                min(each.starts_at for each in planned) - around,
                max(each.ends_at for each in planned) + around,
            )
        return free

    def _placed(self, free: Free, plan: Planned) -> Planned | None:
        """The entry in its place, with the rooms and devices that its service needs; None if it has none."""
        for each in plan.resources:
            if found := free.find(each, plan.starts_at, plan.ends_at):
                if self._is_it(plan, found):
                    self._report.left_out["in the diary already"] += 1
                else:
                    self._refuse(plan.entry, *self._why(each, found))
                return None
        kinds = {self._kind(each) for each in plan.resources}
        needed: dict[ResourceKind, list[str]] = defaultdict(list)
        for each in self._rooms.get(plan.service, ()):
            needed[self._resources[each].kind].append(each)
        chosen = list(plan.resources)
        for kind, ids in needed.items():
            if kind in kinds:
                continue
            one = next((each for each in ids if free.is_free([each], plan.starts_at, plan.ends_at)), None)
            if one is None:
                what = self._resources[ids[0]].name if len(ids) == 1 else f"Every {kind} of that service"
                self._refuse(plan.entry, "room_taken", f"{what} is taken then; name another room in the row.")
                return None
            chosen.append(one)
        plan = replace(plan, resources=tuple(chosen))
        free.take(chosen, Taken(plan.starts_at, plan.ends_at, "row", plan.entry.name, line=plan.entry.line))
        return plan

    def _kind(self, resource_id: str) -> ResourceKind | None:
        """None for one that is not there, or not there yet."""
        known = self._resources.get(resource_id)
        if known is None:
            return ResourceKind.ROOM if resource_id.startswith(NEW_ROOM) else None
        return known.kind

    @staticmethod
    def _is_it(plan: Planned, found: Taken) -> bool:
        """Whether what is in the way is this very appointment, booked here by hand or by telephone."""
        return found.begins == plan.starts_at and plain(found.who) == plain(plan.entry.name)

    def _why(self, resource_id: str, found: Taken) -> tuple[str, str]:
        local = found.starts_at.astimezone(self._zone), found.ends_at.astimezone(self._zone)
        when = f"{local[0]:%H:%M} to {local[1]:%H:%M}"
        known = self._resources.get(resource_id)
        if known and known.kind is not ResourceKind.PERSON:
            return "room_taken", f"{known.name} is taken then, {when}; name another room in the row."
        match found.kind:
            case "row":
                return "overlaps_row", f"It overlaps row {found.line}, {when}; keep one of them, or move one."
            case "hold":
                return "overlaps_hold", f"A caller holds that time, {when}; try again in ten minutes."
            case "block":
                return (
                    "overlaps_block",
                    f"That time is blocked ({found.who}), {when}; remove the block first.",
                )
            case _:
                return (
                    "overlaps_appointment",
                    f"It overlaps {found.who}'s appointment, {when}; move one of them.",
                )

    def _with_buffers(self, free: Free, plan: Planned) -> Planned:
        """The entry with its service's buffers, so far as they are free."""
        known = self._services.get(plan.service)
        if known is None or plan.ends_at <= self._now:
            return plan
        before, after = timedelta(minutes=known.minutes_before), timedelta(minutes=known.minutes_after)
        begins, ends = plan.starts_at - before, plan.ends_at + after
        is_before = before and free.is_free(plan.resources, begins, plan.starts_at)
        is_after = after and free.is_free(plan.resources, plan.ends_at, ends)
        for is_free, begin, end in ((is_before, begins, plan.starts_at), (is_after, plan.ends_at, ends)):
            if is_free:
                free.take(plan.resources, Taken(begin, end, "row", plan.entry.name, line=plan.entry.line))
        return replace(
            plan,
            minutes_before=known.minutes_before if is_before else 0,
            minutes_after=known.minutes_after if is_after else 0,
        )

    def _note_hours(self) -> None:
        people = sorted({each.resources[0] for each in self._report.appointments} & set(self._resources))
        times = bookables.find_timetables(self._session, self._clinic.id, people)
        self._report.outside_hours = sorted(
            each.entry.line
            for each in self._report.appointments
            if each.resources[0] not in times
            or not times[each.resources[0]].is_open(each.starts_at, each.ends_at)
        )
