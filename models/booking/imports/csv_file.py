"""Reads a CSV file as the usual diaries export it. Nothing in a cell is executed: a formula is text."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from models.base import phones
from models.booking.imports import columns, times_read
from models.booking.imports.entries import (
    LONGEST_NAME,
    MOST_ROWS,
    Entry,
    File,
    Problem,
    State,
    Unreadable,
    one_line,
)
from models.booking.imports.times_read import NoTime, Written

#: How many lines a report may have above its header.
_ABOVE = 20
#: How many columns are looked at; no diary has as many.
_MOST_COLUMNS = 500
_DELIMITERS = ",;\t"

_CANCELLED = ("cancel", "canc", "delete", "void", "broken", "annul", "storn", "declin", "true", "yes")
_NO_SHOW = ("no show", "noshow", "dna", "did not attend", "missed", "failed to attend", "fta")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Sequence[str]
    columns: Mapping[str, Sequence[int]]

    def all(self, meaning: str) -> Iterator[str]:
        for column in self.columns.get(meaning, ()):
            if column < len(self.cells) and (text := one_line(self.cells[column])):
                yield text

    def __getitem__(self, meaning: str) -> str:
        return next(self.all(meaning), "")

    @property
    def says(self) -> str:
        """The row for a person to recognise it by."""
        return one_line(", ".join(each for each in self.cells if each.strip()), 160)


def read(text: str, *, zone: ZoneInfo, region: str) -> File:
    """Raises Unreadable for a text that is no table of a diary."""
    rows = _rows(text)
    file = File()
    written: dict[int, tuple[Written, str]] = {}
    good: list[_Row] = []
    for row in rows:
        try:
            written[row.line] = _begins(row)
            good.append(row)
        except NoTime as problem:
            file.problems.append(Problem(row.line, row.says, "unreadable_date", _sentence(problem)))
    day_first, why = times_read.day_comes_first((each for each, _ in written.values()), region)
    if why:
        file.notes.append(why)
    for row in good:
        _take(file, row, *written[row.line], day_first=day_first, zone=zone)
    file.entries = _without_ids_of_people(file)
    return file


def _rows(text: str) -> list[_Row]:
    """The rows below the header, without empty ones. Raises Unreadable."""
    best, delimiter = max(
        (max(len(columns.recognise(cells)) for _, cells in _first(text, each)), each) for each in _DELIMITERS
    )
    found = None
    if best >= 2:
        for line, cells in _first(text, delimiter):
            known = columns.recognise(cells)
            if columns.is_enough(known) and (found is None or len(known) > len(found[1])):
                found = (line, known)
    if found is None:
        raise Unreadable(
            "no line of the file names its columns; the first line should have a title for each column,"
            " such as Date, Time, Duration, Patient name, Mobile, Service, Provider"
        )
    header, known = found
    rows: list[_Row] = []
    for line, cells in _table(text, delimiter):
        if line > header and any(each.strip() for each in cells):
            if len(rows) == MOST_ROWS:
                raise Unreadable(f"the file has more than {MOST_ROWS:,} rows; export it in parts, by date")
            rows.append(_Row(line, cells, known))
    return rows


def _first(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The first lines, in which the header is."""
    head = "\n".join(text.split("\n", _ABOVE)[:_ABOVE])
    found: list[tuple[int, list[str]]] = [(0, [])]
    with suppress(Unreadable):  # said when the whole of it is read
        found.extend(_table(head, delimiter))
    return found


def _table(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    before = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            raise Unreadable(
                f"the row from line {before + 1} on has no end; a quotation mark is missing there"
            ) from None
        if cells is None:
            return
        yield before + 1, cells[:_MOST_COLUMNS]
        before = reader.line_num


def _begins(row: _Row) -> tuple[Written, str]:
    """The date on which a row begins, and the time that is written beside it. Raises NoTime."""
    start, day = row["start"], row["date"]
    if start and day:
        try:
            return times_read.read_date(start)
        except NoTime:
            return times_read.read_date(day)[0], start
    return times_read.read_date(start or day)


def _take(file: File, row: _Row, written: Written, rest: str, *, day_first: bool, zone: ZoneInfo) -> None:
    """Add a row to the file: as an entry, as a problem, or as one that is left out."""
    state = _state(row["state"])
    if state is State.CANCELLED:
        file.left_out["cancelled"] += 1
        return
    try:
        starts_at, ends_at = _when(row, written, rest, day_first=day_first, zone=zone)
    except NoTime as problem:
        file.problems.append(Problem(row.line, row.says, "unreadable_date", _sentence(problem)))
        return
    numbers = tuple(each for each in row.all("phone") if not phones.says_nothing(each))
    file.entries.append(
        Entry(
            line=row.line,
            starts_at=starts_at,
            ends_at=ends_at,
            name=_name(row),
            numbers=numbers,
            person=row["person"][:LONGEST_NAME],
            service=row["service"][:LONGEST_NAME],
            room=row["room"][:LONGEST_NAME],
            state=state,
            uid=row["uid"],
        )
    )


def _when(
    row: _Row, written: Written, rest: str, *, day_first: bool, zone: ZoneInfo
) -> tuple[datetime, datetime | None]:
    """The beginning and the end in UTC. Raises NoTime."""
    day = times_read.day_of(written, day_first=day_first)
    # A column of dates may have a time of its own, mostly midnight, beside a column of times.
    at, offset = times_read.read_time(row["time"] or rest)
    starts_at = times_read.instant(day, at, offset, zone)
    if row["length"]:
        length = times_read.read_length(row["length"])
        if not length:
            raise NoTime("its length is nothing; give it in minutes")
        return starts_at, starts_at + length
    if not row["end"]:
        return starts_at, None
    last = day
    try:
        dated, end = times_read.read_date(row["end"])
        last = times_read.day_of(dated, day_first=day_first)
    except NoTime:
        end = row["end"]
        if row["end date"]:
            last = times_read.day_of(times_read.read_date(row["end date"])[0], day_first=day_first)
    at, offset = times_read.read_time(end)
    ends_at = times_read.instant(last, at, offset, zone)
    if ends_at <= starts_at:
        raise NoTime("it ends before it begins; look at the end")
    return starts_at, ends_at


def _name(row: _Row) -> str:
    first, last = row["first"], row["last"]
    if first or last:
        return f"{first} {last}".strip()[:LONGEST_NAME]
    name = row["name"]
    family, comma, given = name.partition(",")
    if comma and given.strip() and "," not in given:
        name = f"{given.strip()} {family.strip()}"
    return name[:LONGEST_NAME]


def _state(text: str) -> State:
    words = columns.plain(text)
    if words.startswith(_NO_SHOW):
        return State.NO_SHOW
    return State.CANCELLED if words.startswith(_CANCELLED) else State.BOOKED


def _without_ids_of_people(file: File) -> list[Entry]:
    """The entries; without their ids where these are not each entry's own, but perhaps the patient's."""
    counts = Counter(each.uid for each in file.entries if each.uid)
    if not counts or counts.most_common(1)[0][1] == 1:
        return file.entries
    file.notes.append(
        "The column of ids names several rows alike, so rows are told apart by person, time and name."
    )
    return [replace(each, uid="") for each in file.entries]


def _sentence(problem: NoTime) -> str:
    said = str(problem)
    return f"{said[:1].upper()}{said[1:]}."
