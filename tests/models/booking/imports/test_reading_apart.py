"""A file is read in a program of its own: it says the same, and it ends."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from models.booking.imports import apart, reading
from models.booking.imports.entries import Kind, Unreadable
from tests.places import ROOT

FILES = sorted((ROOT / "tests/models/booking/imports/files").iterdir())
NOW = datetime(2030, 5, 1, tzinfo=UTC)
GROUND: dict[str, Any] = {"zone": ZoneInfo("Europe/London"), "region": "GB", "now": NOW, "since": NOW}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_says_the_same(path: Any) -> None:
    data = path.read_bytes()
    kind = reading.kind_of(data)
    more = GROUND | {"since": NOW - timedelta(days=3660), "services": ("Check-up", "Prüfung")}
    file = apart.read(data, kind, **more)
    assert file == reading.read(data, kind, **more)
    assert file.entries


def series(rule: str, number: int) -> bytes:
    events = (
        f"BEGIN:VEVENT\nUID:{each}\nDTSTART:20300502T090000Z\nDTEND:20300502T093000Z\n{rule}\nEND:VEVENT\n"
        for each in range(number)
    )
    return f"BEGIN:VCALENDAR\n{''.join(events)}END:VCALENDAR\n".encode()


def test_what_takes_for_ever_ends_and_is_said_in_a_sentence() -> None:
    never = series("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=9", 500)
    with pytest.raises(Unreadable, match="takes too long to read"):
        apart.read(never, Kind.ICS, **GROUND, seconds=3)


def test_what_nobody_thought_of_is_noted_without_a_word_of_the_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(Unreadable, match="cannot be read"):
        apart.read(b"Date,Patient\n2030-05-02,Anna Quince\n", Kind.CSV, **GROUND | {"since": _NoTime()})
    assert "could not be read: ValueError" in caplog.text
    assert "Quince" not in caplog.text


class _NoTime:
    def isoformat(self) -> str:
        return "never"


@pytest.mark.parametrize("interval", ["0", "-1"])
def test_a_rule_that_never_moves_on_is_not_followed(interval: str) -> None:
    file = apart.read(series(f"RRULE:FREQ=DAILY;INTERVAL={interval}", 1), Kind.ICS, **GROUND, seconds=10)
    assert (file.entries, [each.code for each in file.problems]) == ([], ["unreadable_event"])


def test_columns_beyond_those_of_any_diary_are_not_looked_at() -> None:
    line = ",07700 900101" * 2000
    table = f"Date,Time,Name{',Mobile' * 2000}\n" + f"2030-05-02,09:00,Anna Quince{line}\n" * 3
    assert [len(each.numbers) for each in apart.read(table.encode(), Kind.CSV, **GROUND).entries] == [497] * 3
