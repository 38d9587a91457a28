"""Reading files as dental, medical, salon and physiotherapy systems export them. The people are invented."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.booking.imports import reading
from models.booking.imports.entries import MOST_BYTES, MOST_ROWS, File, Kind, State, Unreadable
from tests.places import ROOT

FILES = ROOT / "tests/models/booking/imports/files"
NOW = datetime(2030, 5, 1, tzinfo=UTC)
LONDON = ZoneInfo("Europe/London")


def read(
    data: bytes | str, *, region: str = "GB", zone: ZoneInfo = LONDON, services: tuple[str, ...] = ()
) -> File:
    content = data if isinstance(data, bytes) else data.encode()
    return reading.read(
        content, reading.kind_of(content), zone=zone, region=region, now=NOW, since=NOW, services=services
    )


def of(name: str, region: str = "GB", services: tuple[str, ...] = ()) -> File:
    return read((FILES / name).read_bytes(), region=region, services=services)


def starts(file: File) -> list[str]:
    return [f"{each.starts_at:%m-%d %H:%M}" for each in file.entries]


def test_a_dental_list_with_a_heading_above_its_header() -> None:
    file = of("dental.csv")
    assert [(each.line, each.name, each.uid) for each in file.entries] == [
        (4, "Anna Quince", "A-1001"),
        (5, "Ben Reed", "A-1002"),
        (6, "Cy Stone", "A-1003"),
        (8, '=HYPERLINK("http://example.com")', "A-1005"),
    ]
    first = file.entries[0]
    assert (first.person, first.room, first.service) == ("Dr Jane Smith", "Chair 1", "Check-up")
    assert first.numbers == ("07700 900101", "020 7946 0958")  # the mobile goes first
    assert first.length == timedelta(minutes=30)
    assert starts(file) == ["05-13 08:00", "05-13 08:30", "05-13 09:15", "05-14 08:00"]  # summer time
    assert file.left_out == {"cancelled": 1}
    assert file.notes == ["Dates are read as day, month, year: the file has a day above 12 in that place."]


def test_a_list_of_a_medical_practice_in_utf_16_with_tabs() -> None:
    file = of("gp.tsv")
    assert [each.person for each in file.entries] == ["Dr A Müller"] * 3
    assert [each.name for each in file.entries] == ["Anna Quince", "Ben Reed", "Cy Stone"]
    assert [each.state for each in file.entries] == [State.BOOKED, State.NO_SHOW, State.BOOKED]
    assert starts(file) == ["05-13 07:30", "05-13 07:40", "05-13 12:00"]  # the last has an offset of its own
    assert [each.length for each in file.entries] == [
        timedelta(minutes=10),
        timedelta(minutes=10),
        timedelta(minutes=20),
    ]


def test_a_salon_with_dots_and_semicolons_in_an_old_encoding() -> None:
    file = of("salon.csv")
    assert [each.person for each in file.entries] == ["Zoë"] * 6
    assert file.entries[1].name == "Renée Reed"
    assert [(each.line, each.code) for each in file.problems] == [(5, "unreadable_date")]
    assert "there is no day 31 of month 2" in file.problems[0].why.lower()
    assert "Dee Thorn" in file.problems[0].says


def test_a_practice_in_america_with_the_month_first_and_a_clock_of_twelve_hours() -> None:
    file = of("physio.csv", region="US")
    assert starts(file) == ["05-13 08:00", "05-13 12:15", "05-14 11:00"]
    assert [each.name for each in file.entries] == ["Anna Quince", "Ben Reed", "Cy Stone"]
    assert file.entries[2].numbers == ()


def test_a_calendar_has_appointments_where_a_patient_is_named_and_else_blocks() -> None:
    file = of("calendar.ics", services=("Check-up", "Filling"))
    found = [
        (f"{each.starts_at:%m-%d %H:%M}", each.name, each.service, each.block) for each in file.entries[:2]
    ]
    assert found == [
        ("05-13 09:00", "Anna Quince", "Check-up", ""),
        ("05-13 10:00", "Ben Reed", "Filling", ""),
    ]
    blocks = [each for each in file.entries if each.block]
    assert [f"{each.starts_at:%m-%d %H:%M}" for each in blocks] == [
        *("05-13 12:00", "05-15 23:00", "05-20 12:00", "05-27 12:00"),
    ]
    assert blocks[1].length == timedelta(days=2)  # a whole day is one of the clinic's zone
    assert len({each.uid for each in file.entries}) == len(file.entries)
    assert file.left_out == {"cancelled": 1}
    assert [each.says for each in file.problems] == ["Tick"]


@pytest.mark.parametrize(
    ("dates", "region", "first", "says"),
    [
        (("03/04/2030", "13/04/2030"), "US", "04-03", "a day above 12"),
        (("03/04/2030", "04/13/2030"), "GB", "03-04", "a day above 12"),
        (("03/04/2030", "05/04/2030"), "GB", "04-03", "as is usual in GB"),
        (("03/04/2030", "05/04/2030"), "US", "03-04", "as is usual in US"),
        (("03.04.2030", "05.04.2030"), "US", "04-03", None),
        (("2030-04-03", "20300405"), "US", "04-03", None),
        (("3 Apr 2030", "April 5th, 2030"), "US", "04-03", None),
        (("Wed 3-Apr-30", "5/4/30"), "GB", "04-03", "as is usual in GB"),
    ],
)
def test_the_order_of_day_and_month_is_that_of_the_whole_file(
    dates: tuple[str, ...], region: str, first: str, says: str | None
) -> None:
    file = read("Date,Time,Name\n" + "".join(f'"{each}",10:00,Ann\n' for each in dates), region=region)
    assert not file.problems
    assert f"{file.entries[0].starts_at:%m-%d}" == first
    assert [says in each for each in file.notes if says] == ([True] if says else [])
    assert bool(file.notes) == bool(says)


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        *(("9:05", "09:05"), ("09:05:30", "09:05"), ("2pm", "14:00"), ("2:30 p.m.", "14:30")),
        *(("12:15 AM", "00:15"), ("12 pm", "12:00"), ("14h30", "14:30"), ("9.30", "09:30")),
        *(("25:00", None), ("half past", None), ("", None), ("13", None)),
    ],
)
def test_times_of_the_day(written: str, read_as: str | None) -> None:
    file = read(f"Date,Time,Name\n2030-01-07,{written},Ann\n")
    assert [f"{each.starts_at:%H:%M}" for each in file.entries] == ([read_as] if read_as else [])
    assert [each.code for each in file.problems] == ([] if read_as else ["unreadable_date"])


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("30", 30),
        ("45 min", 45),
        ("1h 15", 75),
        ("1 hr", 60),
        ("0:45", 45),
        ("00:45:00", 45),
        ("30.0", 30),
        ("long", None),
    ],
)
def test_lengths(written: str, minutes: int | None) -> None:
    file = read(f"Date,Time,Duration,Name\n2030-01-07,10:00,{written},Ann\n")
    assert [each.length for each in file.entries] == ([timedelta(minutes=minutes)] if minutes else [])


def test_a_time_that_the_clocks_skip_is_refused_and_of_one_that_comes_twice_the_first_is_meant() -> None:
    file = read("Date,Time,Name\n2030-03-31,01:30,Ann\n2030-10-27,01:30,Ann\n")
    assert "the clocks skip it" in file.problems[0].why
    assert file.entries[0].starts_at == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_every_delimiter_in_every_encoding(delimiter: str, encoding: str) -> None:
    rows = [("Date", "Start", "End", "Client", "With"), ("2030-01-07", "10:00", "10:30", "Zoë", "Jo")]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    [entry] = read(text.encode(encoding)).entries
    assert (entry.name, entry.person, entry.length) == ("Zoë", "Jo", timedelta(minutes=30))


def test_ids_that_several_rows_share_are_the_patients_and_no_row_is_told_by_them() -> None:
    file = read("ID,Date,Time,Name\n7,2030-01-07,10:00,Ann\n7,2030-01-08,10:00,Ann\n")
    assert [each.uid for each in file.entries] == ["", ""]
    assert "names several rows alike" in file.notes[0]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 and the rest of a workbook", "save it as CSV"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x00\x01\x02\x03 nothing", "no text"),
        (b"Colour,Size\nred,4\n", "names its columns"),
        (b'Date,Time,Name\n2030-01-07,10:00,"Ann\n' + b"x" * 200_000, "a quotation mark is missing"),
        (b"Date,Time,Name\n" + b"2030-01-07,10:00,Ann\n" * (MOST_ROWS + 1), "more than 20,000 rows"),
        (b"x" * (MOST_BYTES + 1), "larger than 5 MB"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY", "no calendar file"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        read(data)


def calendar(*events: str) -> File:
    body = "".join(
        f"BEGIN:VEVENT\nUID:{number}\nDTSTAMP:20290101T000000Z\n{each}\nEND:VEVENT\n"
        for number, each in enumerate(events)
    )
    return read(f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\n{body}END:VCALENDAR\n".replace("\n", "\r\n"))


AN_HOUR = "DTSTART:20300513T120000Z\nDTEND:20300513T130000Z\nSUMMARY:Lunch\n"


def test_an_endless_recurrence_is_followed_for_two_years() -> None:
    file = calendar(AN_HOUR + "RRULE:FREQ=DAILY")
    assert file.entries[-1].starts_at <= NOW + timedelta(days=731)
    assert 700 < len(file.entries) < 732


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=HOURLY;COUNT=5",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",  # never
        "FREQ=DAILY;INTERVAL=7;BYDAY=TU",  # never, from a Monday on
        "FREQ=DAILY;BYSECOND=0,1,2",
        "FREQ=MONTHLY;BYDAY=6MO",
    ],
)
def test_a_rule_that_could_be_followed_for_ever_is_refused(rule: str) -> None:
    file = calendar(AN_HOUR + f"RRULE:{rule}")
    assert (file.entries, [each.code for each in file.problems]) == ([], ["unreadable_event"])


def test_events_that_recur_too_often_together_are_refused() -> None:
    with pytest.raises(Unreadable, match="more than 3,000 times"):
        calendar(*[AN_HOUR + "RRULE:FREQ=DAILY"] * 5)


def test_an_event_that_is_half_there_is_refused_and_the_others_are_read() -> None:
    file = calendar("SUMMARY:No time", "DTSTART:2030\nSUMMARY:Bad", AN_HOUR, "DTSTART:99990101T000000Z")
    assert len(file.entries) == 1
    assert len(file.problems) == 3


def test_the_kind_of_a_file_is_in_its_first_words() -> None:
    assert reading.kind_of((FILES / "calendar.ics").read_bytes()) is Kind.ICS
    assert reading.kind_of((FILES / "gp.tsv").read_bytes()) is Kind.CSV
