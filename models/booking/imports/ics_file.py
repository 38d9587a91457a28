"""Reads a calendar file (ICS) of one person. Nothing that it names is fetched."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import recurring_ical_events  # type: ignore[import-untyped]
import x_wr_timezone  # type: ignore[import-untyped]
from icalendar import Calendar, Component, Event, vRecur

from models.booking.imports.columns import plain
from models.booking.imports.entries import (
    LONGEST_NAME,
    MOST_EVENTS,
    MOST_TIMES,
    Entry,
    File,
    Problem,
    Unreadable,
    one_line,
)

#: How far ahead an event that recurs is followed.
FARTHEST = timedelta(days=731)

#: How many events of a file may recur.
MOST_SERIES = 500

#: The parts of rules that are followed, by how often they recur. Each comes true again and again: one that
#: never does would be looked for until the year 9999.
_FOLLOWED = {
    "DAILY": ({"BYDAY"}, set[str]()),
    "WEEKLY": ({"BYDAY"}, set[str]()),
    "MONTHLY": ({"BYDAY"}, {"BYMONTHDAY"}),
    "YEARLY": ({"BYMONTH", "BYDAY"}, {"BYMONTH", "BYMONTHDAY"}),
}
_NOT_FOLLOWED = "It recurs by a rule that is not followed; book it by hand, or export single events."

_LABEL = re.compile(
    r"^\W*(patient|client|customer|name|service|treatment|type|reason)(?: name)?\s*:\s*(.+)$", re.IGNORECASE
)
_SEPARATORS = re.compile(r"\s+[-\u2013\u2014|/]+\s+|[:;,()\[\]|\n]+")

#: A number with the word before it, and what looks like one and is a date.
_NUMBER = re.compile(r"(?:\b(?:tel|mob|mobile|phone)\b\.?\s*)?[+(]?\d[\d\s().-]{5,}\d", re.IGNORECASE)
_DATE = re.compile(r"^(?:19|20)\d\d-\d\d-\d\d|^\d\d[./-]\d\d[./-](?:19|20)\d\d")

#: Where an event stands in the file.
_PLACE = "X-HOLDLINE-PLACE"


def read(
    data: bytes,
    *,
    zone: ZoneInfo,
    region: str,
    now: datetime,
    since: datetime,
    services: Collection[str] = (),
) -> File:
    """The events that end after `since`. `services` are names by which the clinic's services are told from
    the patient's. Raises Unreadable.
    """
    calendar = _parsed(data)
    file = File()
    good = _bounded(calendar, file, now)
    recurring = _recurring(good)
    reader = _Reader(file, zone, region, {plain(each) for each in services} - {""}, recurring)
    # Single events are taken as they are: following rules takes ten times as long.
    single = [each for each in good.walk("VEVENT") if str(each.get("UID", "")) not in recurring]
    alone = {id(each) for each in single}
    good.subcomponents = [each for each in good.subcomponents if id(each) not in alone]
    try:
        for event in single:
            if isinstance(event, Event) and _moment(event.end, zone) > since:
                reader.take(event)
        followed = recurring_ical_events.of(good, skip_bad_series=True)
        for times, event in enumerate(followed.after(since) if recurring else (), start=1):
            if _moment(event.start, zone) > now + FARTHEST:
                break
            if times > MOST_TIMES:
                raise Unreadable(
                    f"the events that recur come more than {MOST_TIMES:,} times in two years; let some end"
                    " earlier"
                )
            reader.take(event)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("an event of the file has a date or a rule that cannot be read") from None
    file.entries.sort(key=lambda each: each.starts_at)
    return file


def _bounded(calendar: Calendar, file: File, now: datetime) -> Calendar:
    """The calendar with the events that can be read, none of which recurs without end. Raises Unreadable."""
    events = calendar.walk("VEVENT")
    if len(events) > MOST_EVENTS:
        raise Unreadable(f"the file has more than {MOST_EVENTS:,} events; export it in parts, by date")
    if sum("RRULE" in each or "RDATE" in each for each in events) > MOST_SERIES:
        raise Unreadable(f"the file has more than {MOST_SERIES} events that recur; export a shorter time")
    good = Calendar()
    for zone_of_file in calendar.walk("VTIMEZONE"):
        good.add_component(zone_of_file)
    for place, event in enumerate(events, start=1):
        if why := _wrong(event, now):
            says = one_line(str(event.get("SUMMARY", "")), 160)
            file.problems.append(Problem(place, says, "unreadable_event", why))
        else:
            event[_PLACE] = str(place)
            good.add_component(event)
    return good


def _recurring(calendar: Calendar) -> set[str]:
    """The ids of the events that occur several times."""
    several = ("RRULE", "RDATE", "RECURRENCE-ID")
    return {
        str(each.get("UID", "")) for each in calendar.walk("VEVENT") if any(name in each for name in several)
    }


def _parsed(data: bytes) -> Calendar:
    try:
        found = Calendar.from_ical(data)
        standard: Calendar = x_wr_timezone.to_standard(found)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise Unreadable("this is no calendar file that can be read; export it again as .ics") from None
    return standard


def _wrong(event: Component, now: datetime) -> str | None:
    """Why an event cannot be read, and what to change; None if it can. Bounds how it recurs."""
    if not isinstance(event, Event):
        return "It is no event that can be read; look at it in the old calendar."
    try:
        start, end = event.start, event.end
    except (ValueError, TypeError, AttributeError, KeyError):
        return "Its beginning or end cannot be read; look at the event in the old calendar."
    except Exception:  # noqa: BLE001 -- the library's own errors of incomplete events have no common base
        return "It has no beginning, or an end that does not fit; look at the event in the old calendar."
    if not 1990 <= start.year <= 2100 or not 1990 <= end.year <= 2100:
        return "It is too far away; look at the year."
    rules = event.get("RRULE")
    for rule in rules if isinstance(rules, list) else [rules] if rules is not None else []:
        if not isinstance(rule, vRecur) or not _is_followed(rule):
            return _NOT_FOLLOWED
        _bound(rule, start, now)
    return None


def _is_followed(rule: vRecur) -> bool:
    often = str(rule["FREQ"][0]).upper() if rule.get("FREQ") else ""
    parts = {name.upper() for name in rule if name.upper().startswith("BY")}
    days = [str(each) for each in rule.get("BYDAY", ())]
    ordinals = [int(each[:-2]) for each in days if each[:-2]]
    interval = int((rule.get("INTERVAL") or [1])[0])
    if interval < 1 or (often == "DAILY" and parts and interval != 1):
        return False
    if ordinals and (often in ("DAILY", "WEEKLY") or not all(0 < abs(each) <= 5 for each in ordinals)):
        return False
    return any(parts <= each for each in _FOLLOWED.get(often, ()))


def _bound(rule: vRecur, start: date | datetime, now: datetime) -> None:
    """Let a rule end when nothing more of it is wanted: one that never comes true would be followed for
    thousands of years.
    """
    last = now + FARTHEST
    until: date | datetime = last if isinstance(start, datetime) else last.date()
    if isinstance(start, datetime) and start.tzinfo is None:
        until = last.replace(tzinfo=None)
    ends = rule.get("UNTIL")
    ends_at = ends[0] if isinstance(ends, list) and ends else ends
    if isinstance(ends_at, date) and str(ends_at)[:10] <= str(until)[:10]:
        return
    if "COUNT" not in rule or int(rule["COUNT"][0]) > 10_000:
        rule.pop("COUNT", None)
        rule["UNTIL"] = [until]


def _moment(at: date | datetime, zone: ZoneInfo) -> datetime:
    if not isinstance(at, datetime):
        at = datetime.combine(at, time())
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


class _Reader:
    """Makes entries of the events of one file."""

    def __init__(
        self, file: File, zone: ZoneInfo, region: str, services: set[str], recurring: set[str]
    ) -> None:
        self._file, self._zone, self._region = file, zone, region
        self._services, self._recurring = services, recurring

    def take(self, event: Event) -> None:
        place = int(str(event.get(_PLACE, "0")))
        summary, said = str(event.get("SUMMARY", "")), str(event.get("DESCRIPTION", ""))
        starts_at, ends_at = _moment(event.start, self._zone), _moment(event.end, self._zone)
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            self._file.left_out["cancelled"] += 1
        elif str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
            self._file.left_out["shown as free"] += 1
        elif ends_at <= starts_at:
            says, why = one_line(summary, 160), "It has no length; give it an end."
            self._file.problems.append(Problem(place, says, "no_length", why))
        else:
            is_day = not isinstance(event.start, datetime)
            numbers = (
                () if is_day else _numbers(f"{summary}\n{said}\n{event.get('LOCATION', '')}", self._region)
            )
            name, service = _patient(summary, said, self._services)
            self._file.entries.append(
                Entry(
                    line=place,
                    starts_at=starts_at,
                    ends_at=ends_at,
                    name=name,
                    numbers=numbers,
                    service=service,
                    uid=self._uid(event),
                    block="" if numbers and name else one_line(summary, 200) or "Busy",
                )
            )

    def _uid(self, event: Event) -> str:
        """The event's id; of one that recurs with the time that its rule gives it."""
        uid, which = str(event.get("UID", "")), event.get("RECURRENCE-ID")
        if not uid or which is None or uid not in self._recurring:
            return uid
        return f"{uid}/{_moment(which.dt, self._zone).isoformat()}"


def _numbers(text: str, region: str) -> tuple[str, ...]:
    found = phonenumbers.PhoneNumberMatcher(text[:4000], region, leniency=phonenumbers.Leniency.POSSIBLE)
    return tuple(
        phonenumbers.format_number(each.number, phonenumbers.PhoneNumberFormat.E164)
        for each in found
        if not _DATE.search(each.raw_string) and sum(map(str.isdigit, each.raw_string)) >= 9
    )


def _patient(summary: str, said: str, services: set[str]) -> tuple[str, str]:
    """The patient's name and the service, from labels (Patient: …) or from the parts of the summary: the
    part with the number, else the first that is no service.
    """
    labels: dict[str, str] = {}
    for line in re.sub(r"<[^>]{0,200}>", "\n", said[:4000]).splitlines():
        if found := _LABEL.match(line):
            kind = "name" if found[1].lower() in ("patient", "client", "customer", "name") else "service"
            labels.setdefault(kind, one_line(found[2], LONGEST_NAME))
    parts = [one_line(each, LONGEST_NAME) for each in _SEPARATORS.split(summary[:1000])]
    service = labels.get("service") or next((each for each in parts if plain(each) in services), "")
    others = [each for each in parts if plain(each) not in services]
    others.sort(key=lambda each: not _NUMBER.search(each))
    bare = [one_line(_NUMBER.sub(" ", each)) for each in others]
    name = labels.get("name") or next((each for each in bare if any(map(str.isalpha, each))), "")
    return name[:LONGEST_NAME], service[:LONGEST_NAME]
