"""What a published calendar says, read as another program reads it and compared with the database."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.base.session import transaction
from models.booking import published_events
from models.insight import privacy
from tests.factories import phone_number
from tests.webapp.feeds.reader import SOON, Reader

HOUR = timedelta(hours=1)


def test_it_says_of_each_appointment_and_block_when_it_is(reader: Reader) -> None:
    """With the appointment's own minutes and without its buffers."""
    path = reader.link("anna")
    first = reader.book(SOON, minutes=20)
    reader.sql.execute(
        "UPDATE appointments SET minutes_before = 10, minutes_after = 10 WHERE id = %s", [first]
    )
    reader.book(SOON, calendar="ben")
    block = reader.block(SOON + HOUR, SOON + 3 * HOUR)
    reader.block(SOON + HOUR, SOON + 3 * HOUR, who="ben")
    found = reader.events(path)
    assert {uid: (event.start, event.end) for uid, event in found.items()} == {
        f"{first}{reader.ending}": (SOON, SOON + timedelta(minutes=20)),
        f"block-{block}{reader.ending}": (SOON + HOUR, SOON + 3 * HOUR),
    }
    for event in found.values():
        assert (event["SUMMARY"], event["STATUS"], event["TRANSP"]) == ("Busy", "CONFIRMED", "OPAQUE")
        assert (event["CLASS"], event["SEQUENCE"]) == ("PUBLIC", 0)
        assert event["DTSTAMP"].dt == event["LAST-MODIFIED"].dt
    assert found[f"{first}{reader.ending}"]["DESCRIPTION"] == (
        f"http://127.0.0.1:1/dashboard/diary/appointments/{first}"
    )
    everybody = reader.events(reader.link())
    rows = reader.sql.execute(
        "SELECT id || %(ending)s FROM appointments WHERE org_id = %(org)s"
        " UNION ALL SELECT 'block-' || id || %(ending)s FROM blocks WHERE org_id = %(org)s",
        {"org": reader.org, "ending": reader.ending},
    )
    assert set(everybody) == {uid for (uid,) in rows}
    assert len(everybody) == 4


def test_the_calendar_has_a_name_and_says_how_often_to_read_it(reader: Reader) -> None:
    read = reader.reads(reader.link("anna"))
    assert read["NAME"] == read["X-WR-CALNAME"] == "Test Clinic: anna"
    assert reader.reads(reader.link())["NAME"] == "Test Clinic"
    assert read["PRODID"] == "-//Holdline//Published calendar//EN"
    text = reader.get(reader.link()).text
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT15M\r\n" in text
    assert "X-PUBLISHED-TTL:PT15M\r\n" in text


def test_a_room_that_an_appointment_takes_up_is_busy_too(reader: Reader) -> None:
    appointment = reader.book()
    assert reader.events(reader.link("ben")) == {}
    reader.sql.execute("UPDATE appointments SET other_resources = '{ben}' WHERE id = %s", [appointment])
    assert list(reader.events(reader.link("ben"))) == [f"{appointment}{reader.ending}"]


def test_with_names_it_says_who_comes_and_for_what(reader: Reader) -> None:
    appointment, block = reader.book(), reader.block(SOON + HOUR, SOON + 2 * HOUR)
    of_one = reader.events(reader.link("anna", names=True))
    assert of_one[f"{appointment}{reader.ending}"]["SUMMARY"] == "Check-up, Jo Canary"
    assert of_one[f"block-{block}{reader.ending}"]["SUMMARY"] == "Lunch"
    assert {event["CLASS"] for event in of_one.values()} == {"PRIVATE"}
    of_all = reader.events(reader.link(names=True))
    assert of_all[f"{appointment}{reader.ending}"]["SUMMARY"] == "anna: Check-up, Jo Canary"
    assert of_all[f"block-{block}{reader.ending}"]["SUMMARY"] == "anna: Lunch"


@pytest.mark.parametrize("who", ["anna", None])
def test_busy_only_names_nobody_and_neither_form_has_a_number(reader: Reader, who: str | None) -> None:
    phone = phone_number()
    reader.book(phone=phone)
    cancelled = reader.book(SOON + 4 * HOUR, phone=phone)
    reader.cancel(cancelled)
    reader.block(SOON + HOUR, SOON + 2 * HOUR, reason="Jo Canary rings")
    busy = reader.get(reader.link(who)).data.replace(b"\r\n ", b"")
    for word in (b"Jo", b"Canary", b"rings", b"Check", b"said", phone.encode(), phone[-6:].encode()):
        assert word not in busy, word
    named = reader.get(reader.link(who, names=True)).data.replace(b"\r\n ", b"")
    assert named.count(b"Canary") == 3
    assert phone[-6:].encode() not in named


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("Jo 07700 900123", "Jo [...]"),
        ("ring +44 (0)20 7946 0958 or 07700900123 first", "ring [...] or [...] first"),
        ("away until 2026-12-24, room 12", "away until 2026-12-24, room 12"),
        ("Holiday 2026", "Holiday 2026"),
    ],
)
def test_a_telephone_number_that_was_written_into_a_text_is_taken_out(
    reader: Reader, written: str, shown: str
) -> None:
    reader.book(name=written)
    reader.block(SOON + HOUR, SOON + 2 * HOUR, reason=written)
    found = {event["SUMMARY"] for event in reader.events(reader.link("anna", names=True)).values()}
    assert found == {shown, f"Check-up, {shown}"}


def test_a_move_keeps_the_uid_and_raises_the_sequence(reader: Reader) -> None:
    path, appointment = reader.link("anna"), reader.book()
    [before] = reader.events(path).values()
    reader.move(appointment, SOON + 2 * HOUR)
    [after] = reader.events(path).values()
    assert after["UID"] == before["UID"] == f"{appointment}{reader.ending}"
    assert (before["SEQUENCE"], after["SEQUENCE"]) == (0, 1)
    assert after.start == SOON + 2 * HOUR
    assert after["DTSTAMP"].dt >= before["DTSTAMP"].dt


def test_a_cancellation_is_told_for_thirty_days(reader: Reader) -> None:
    path, begins = reader.link("anna", names=True), SOON + timedelta(days=60)
    appointment = reader.book(begins)
    reader.move(appointment, begins + HOUR)
    reader.cancel(appointment)
    [event] = reader.events(path).values()
    assert (event["STATUS"], event["SEQUENCE"], event["TRANSP"]) == ("CANCELLED", 2, "TRANSPARENT")
    assert event["SUMMARY"] == "Cancelled: Check-up, Jo Canary"
    for days, told in ((29, 1), (32, 0)):
        reader.sql.execute(
            "UPDATE appointment_changes SET created_at = now() - make_interval(days => %s)"
            " WHERE appointment_id = %s",
            [days, appointment],
        )
        assert len(reader.events(path)) == told


def test_it_reaches_from_thirty_days_ago_to_two_years_ahead(reader: Reader) -> None:
    now = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    days = (-32, -29, 0, 700, 740)
    booked = {reader.book(now + timedelta(days=each)): each for each in days}
    seen = {booked[uid.removesuffix(reader.ending)] for uid in reader.events(reader.link())}
    assert seen == {-29, 0, 700}


def test_the_first_day_begins_at_midnight_and_has_what_reaches_into_it(reader: Reader) -> None:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=30)
    reader.book(midnight - HOUR, minutes=60)
    reaches = reader.book(midnight - HOUR, minutes=61, calendar="ben")
    assert list(reader.events(reader.link())) == [f"{reaches}{reader.ending}"]


def test_a_live_hold_and_a_block_that_was_read_from_elsewhere_are_left_out(reader: Reader) -> None:
    block = reader.block(SOON, SOON + HOUR)
    reader.sql.execute(
        "SELECT * FROM claim_slot_atomic(%s::uuid, 'ben', %s, 'call', 'Jo', %s, 10)",
        [reader.org, SOON, phone_number()],
    )
    assert list(reader.events(reader.link())) == [f"block-{block}{reader.ending}"]
    reader.sql.execute(
        "WITH feed AS (INSERT INTO calendar_feeds (org_id, resource_id, label, address_sealed, is_on)"
        " VALUES (%s, 'anna', 'Google', 'sealed', false) RETURNING id)"
        " UPDATE blocks SET source = 'feed', feed_id = (SELECT id FROM feed) WHERE id = %s",
        [reader.org, block],
    )
    assert reader.events(reader.link()) == {}


@pytest.mark.parametrize("day", ["2027-03-28", "2027-10-31"])
def test_on_a_day_on_which_the_clocks_change_the_instant_is_right(reader: Reader, day: str) -> None:
    zone = ZoneInfo("Europe/London")
    clocks = [datetime.fromisoformat(f"{day}T{hour:02}:30").replace(tzinfo=zone) for hour in (0, 3)]
    for each in clocks:
        reader.book(each.astimezone(UTC))
    found = sorted(event.start for event in reader.events(reader.link("anna")).values())
    assert found == [each.astimezone(UTC) for each in clocks]
    text = reader.get(reader.link("anna")).text
    assert f"DTSTART:{clocks[1].astimezone(UTC):%Y%m%dT%H%M%SZ}" in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("O'Neil, Jo; and \\ son", "O'Neil, Jo; and \\ son"),
        ("Jo\r\nSUMMARY:other\nEND:VEVENT", "Jo SUMMARY:other END:VEVENT"),
        ("Jo\x0b\x00\u2028\x85Ann", "Jo Ann"),
        ("\U0001f600" * 200, "\U0001f600" * 200),
        ("e\u0301" * 100, "e\u0301" * 100),
    ],
    ids=["commas", "line breaks", "control characters", "emoji", "combined letters"],
)
def test_any_name_comes_out_as_it_went_in_on_lines_that_are_short_enough(
    reader: Reader, name: str, shown: str
) -> None:
    appointment, path = reader.book(), reader.link("anna", names=True)
    reader.sql.execute(
        "UPDATE appointments SET patient_name = %s WHERE id = %s", [name.replace("\x00", ""), appointment]
    )
    body = reader.get(path).data
    assert max(len(line) for line in body.split(b"\r\n")) <= 75
    assert b"\n" not in body.replace(b"\r\n", b"")
    assert b"\r" not in body.replace(b"\r\n", b"")
    for line in body.split(b"\r\n"):
        line.decode()  # no character is cut in two
    [event] = reader.events(path).values()
    assert event["SUMMARY"] == f"Check-up, {shown}"


def test_an_erased_patient_has_no_name_in_the_next_reading(reader: Reader) -> None:
    path, phone = reader.link("anna", names=True), phone_number()
    reader.book(SOON - timedelta(days=14), phone=phone)
    before = reader.get(path)
    assert b"Canary" in before.data
    with transaction(uuid.UUID(reader.org)) as session:
        privacy.erase(session, uuid.UUID(reader.org), [phone])
    after = reader.get(path, If_None_Match=before.headers["ETag"])
    assert after.status_code == 200
    assert b"Canary" not in after.data
    assert b"erased" not in after.data
    [event] = reader.events(path).values()
    assert event["SUMMARY"] == "Check-up"


def test_of_too_many_entries_the_oldest_are_left_out(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_events, "MOST_EVENTS", 2)
    path = reader.link("anna")
    booked = [reader.book(SOON + n * HOUR) for n in range(2)]
    assert "X-HOLDLINE-COMMENT" not in reader.reads(path)
    booked.append(reader.book(SOON + 5 * HOUR))
    assert list(reader.events(path)) == [f"{each}{reader.ending}" for each in booked[1:]]
    assert reader.reads(path)["X-HOLDLINE-COMMENT"] == "Only the last 2 entries are here."
