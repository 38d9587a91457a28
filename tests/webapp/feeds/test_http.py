"""The link of a published calendar: what it answers, to which program, and what a stranger learns."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from icalendar import Calendar
from sqlalchemy import event

from models.base import session as sessions
from models.base.session import transaction
from models.booking import published, published_events
from runtime.masking import mask
from tests.factories import phone_number
from tests.webapp.feeds.reader import SOON, Reader
from webapp.guesses import MOST_UNKNOWN

HOUR = timedelta(hours=1)
NO_SUCH = "/calendar/" + "A1" * 21 + "B.ics"


def id_of(reader: Reader) -> uuid.UUID:
    [row] = reader.sql.execute(
        "SELECT id FROM published_calendars WHERE org_id = %s", [reader.org]
    ).fetchall()
    found: uuid.UUID = row[0]
    return found


def test_the_headers_of_an_answer(reader: Reader) -> None:
    answer = reader.get(reader.link())
    headers = answer.headers
    assert headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert headers["Cache-Control"] == "private, no-cache"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Disposition"] == "inline; filename=calendar.ics"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert re.fullmatch(r'"[0-9a-f]{32}"', headers["ETag"])
    assert "Set-Cookie" not in headers
    head = reader.client.head(answer.request.path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == headers["ETag"]
    assert head.headers["Content-Length"] == str(len(answer.data))


def test_an_unchanged_diary_gives_the_same_bytes_and_304(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reader.link(names=True)
    reader.move(reader.book(), SOON + HOUR)
    reader.block(SOON + 2 * HOUR, SOON + 3 * HOUR)
    first, second = reader.get(path), reader.get(path)
    assert first.data == second.data
    assert first.headers["ETag"] == second.headers["ETag"]

    def write(_: object) -> bytes:
        raise AssertionError("the calendar was written to find out that nothing has changed")

    monkeypatch.setattr(published_events, "write", write)
    for known in (first.headers["ETag"], f"W/{first.headers['ETag']}", f'"x", {first.headers["ETag"]}'):
        answer = reader.get(path, If_None_Match=known)
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == first.headers["ETag"]
        assert answer.headers["Cache-Control"] == "private, no-cache"


def renamed(table: str) -> Callable[[Reader, str], None]:
    def rename(reader: Reader, _: str) -> None:
        column = "id" if table == "organizations" else "org_id"
        reader.sql.execute(f"UPDATE {table} SET name = 'New' WHERE {column} = %s".encode(), [reader.org])

    return rename


@pytest.mark.parametrize(
    "happens",
    [
        lambda reader, _: reader.book(SOON + 5 * HOUR),
        lambda reader, booked: reader.move(booked, SOON + 5 * HOUR),
        lambda reader, booked: reader.cancel(booked),
        lambda reader, _: reader.block(SOON + HOUR, SOON + 2 * HOUR),
        lambda reader, booked: reader.sql.execute(
            "UPDATE appointments SET ends_at = ends_at + interval '5 minutes' WHERE id = %s", [booked]
        ),
        lambda reader, booked: reader.sql.execute(
            "UPDATE appointments SET patient_name = 'Jo Married' WHERE id = %s", [booked]
        ),
        renamed("services"),
        renamed("resources"),
        renamed("organizations"),
    ],
    ids=["booked", "moved", "cancelled", "blocked", "longer", "patient", "service", "person", "clinic"],
)
def test_another_diary_has_another_version(reader: Reader, happens: Callable[[Reader, str], object]) -> None:
    path, booked = reader.link(names=True), reader.book()
    before = reader.get(path)
    happens(reader, booked)
    after = reader.get(path, If_None_Match=before.headers["ETag"])
    assert after.status_code == 200
    assert after.data != before.data
    assert after.headers["ETag"] != before.headers["ETag"]


def test_of_busy_times_a_name_makes_no_other_version(reader: Reader) -> None:
    path, booked = reader.link("anna"), reader.book()
    before = reader.get(path)
    renamed("services")(reader, booked)
    reader.sql.execute("UPDATE appointments SET patient_name = 'Jo Married' WHERE id = %s", [booked])
    assert reader.get(path, If_None_Match=before.headers["ETag"]).status_code == 304


def test_a_revoked_link_is_dead_at_once(reader: Reader) -> None:
    path = reader.link()
    before = reader.get(path)
    assert before.status_code == 200
    with transaction(uuid.UUID(reader.org)) as session:
        assert published.revoke(session, uuid.UUID(reader.org), id_of(reader))
    assert reader.get(path).status_code == 404
    assert reader.get(path, If_None_Match=before.headers["ETag"]).status_code == 404


def test_a_renewed_link_takes_the_place_of_the_one_before(reader: Reader) -> None:
    path = reader.link()
    with transaction(uuid.UUID(reader.org)) as session:
        token = published.renew(session, uuid.UUID(reader.org), id_of(reader))
    assert reader.get(path).status_code == 404
    assert reader.get(f"/calendar/{token}.ics").status_code == 200


def test_every_link_that_does_not_work_is_answered_alike(reader: Reader) -> None:
    path = reader.link()
    [(calendar, digest)] = reader.sql.execute(
        "SELECT id::text, token_digest FROM published_calendars WHERE org_id = %s", [reader.org]
    ).fetchall()
    with transaction(uuid.UUID(reader.org)) as session:
        published.revoke(session, uuid.UUID(reader.org), uuid.UUID(calendar))
    near = path[:-5] + ("A" if path[-5] != "A" else "B") + ".ics"
    answers = set()
    for each in (
        *(
            path,
            near,
            NO_SUCH,
            "/calendar/x",
            "/calendar/x.ics",
            "/calendar/x/y",
            "/calendar/%00",
            "/calendar/",
        ),
        *(f"/calendar/{calendar}.ics", f"/calendar/{digest}.ics", f"/calendar/{reader.org}"),
        *("/calendar/%FF%FE.ics", f"/calendar/{'x' * 3000}", "/calendar/\u00e9.ics"),
    ):
        for _ in range(2):
            answer = reader.client.get(each, environ_base={"REMOTE_ADDR": f"192.0.2.{len(each) % 200}"})
            headers = tuple((name, value) for name, value in answer.headers if name != "Date")
            answers.add((answer.status_code, answer.data, headers))
    [(status, body, _)] = answers
    assert (status, body) == (404, b"There is no calendar at this address. The clinic may have revoked it.\n")


def test_an_unknown_link_costs_the_same_look_up_whatever_it_looks_like(reader: Reader) -> None:
    counts = set()
    for path in (NO_SUCH, "/calendar/x", "/calendar/" + "y" * 2000):
        with statements() as seen:
            assert reader.get(path).status_code == 404
        counts.add(len([each for each in seen if "published_calendars" in each]))
    assert counts == {1}


def test_a_stranger_who_guesses_is_slowed_and_a_reader_behind_the_same_address_is_not(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from webapp import guesses  # noqa: PLC0415 (its limiter belongs to the application of this test)

    monkeypatch.setattr(guesses.unknown(), "_clock", lambda: 100.0)  # however slow the machine is
    path = reader.link()
    for _ in range(MOST_UNKNOWN * 2):
        assert reader.get(path).status_code == 200
    statuses = [reader.get(NO_SUCH).status_code for _ in range(MOST_UNKNOWN + 2)]
    assert statuses == [404] * MOST_UNKNOWN + [429] * 2
    assert reader.get(path).status_code == 200
    assert int(reader.get(NO_SUCH).headers["Retry-After"]) > 0


def test_one_link_is_not_read_without_end(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    from webapp.feeds import published as door  # noqa: PLC0415 (as above)

    now = [100.0]
    monkeypatch.setattr(door.requests(), "_clock", lambda: now[0])
    path = reader.link()
    statuses = [reader.get(path).status_code for _ in range(32)]
    assert statuses == [200] * 30 + [429] * 2
    now[0] += 60
    assert reader.get(path).status_code == 200
    assert reader.get(reader.link()).status_code == 200


def test_it_is_noted_when_and_by_what_a_calendar_was_read(reader: Reader) -> None:
    path = reader.link()

    def noted() -> tuple[Any, ...]:
        [row] = reader.sql.execute(
            "SELECT last_used_at, last_used_by FROM published_calendars WHERE org_id = %s", [reader.org]
        ).fetchall()
        return row

    assert noted() == (None, None)
    reader.get(path, User_Agent="Google-Calendar-Importer")
    at, by = noted()
    assert by == "Google-Calendar-Importer"
    reader.get(path, User_Agent="Google-Calendar-Importer", If_None_Match="x")
    assert noted() == (at, by)  # within the same minute
    reader.get(path, User_Agent="x" * 1000)
    assert noted()[1] == "x" * published.MOST_OF_A_READER
    entries = reader.sql.execute(
        "SELECT actor, action FROM audit_log WHERE org_id = %s AND table_name = 'published_calendars'",
        [reader.org],
    ).fetchall()
    assert entries == [("operator ann", "insert")]


def test_the_link_of_one_clinic_shows_that_clinic_alone(client: FlaskClient, sql: psycopg.Connection) -> None:
    """Both have an anna, and both have the same patient at the same time."""
    ours, theirs = (Reader.of_a_new_clinic(client, sql) for _ in range(2))
    phone = phone_number()
    booked = [each.book(phone=phone) for each in (ours, theirs)]
    blocked = [each.block(SOON + HOUR, SOON + 2 * HOUR) for each in (ours, theirs)]
    for who in (None, "anna"):
        found = ours.events(ours.link(who, names=True))
        assert set(found) == {f"{booked[0]}{ours.ending}", f"block-{blocked[0]}{ours.ending}"}
        for each in (booked[1], blocked[1], theirs.org):
            assert each not in ours.get(ours.link(who, names=True)).text


def test_a_token_is_kept_as_a_digest_alone(reader: Reader) -> None:
    path = reader.link()
    token = path.removeprefix("/calendar/").removesuffix(".ics")
    assert len(token) == 43  # 256 bits
    [row] = reader.sql.execute(
        "SELECT p::text FROM published_calendars p WHERE org_id = %s", [reader.org]
    ).fetchall()
    assert token not in row[0]
    assert reader.link() != path


@pytest.mark.parametrize("token", ["A1" * 21 + "B", "only-letters-and-dashes_of-which-none-is-a-digit"])
def test_a_token_is_masked_wherever_it_could_be_logged(token: str) -> None:
    for text in (
        f"https://holdline.example/calendar/{token}.ics",
        f"webcal://holdline.example/calendar/{token}.ics",
        f"Exception on /calendar/{token}.ics [GET]",
        f"GET /calendar/{token} 200",
    ):
        assert token not in mask(text)
        assert "/calendar/***" in mask(text)


def test_other_methods_are_refused(reader: Reader) -> None:
    path = reader.link()
    for method in ("POST", "PUT", "DELETE", "PROPFIND"):
        answer = reader.client.open(path, method=method)
        assert answer.status_code == 405
        assert "GET" in answer.headers["Allow"]


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that the application sends meanwhile."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    engines = {sessions.engine(), sessions.system_engine()}
    for each in engines:
        event.listen(each, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        for each in engines:
            event.remove(each, "before_cursor_execute", note)


def test_two_thousand_appointments_are_one_query(reader: Reader) -> None:
    path = reader.link(names=True)
    booked = reader.book()
    reader.sql.execute("ALTER TABLE appointments DISABLE TRIGGER USER")
    try:
        with reader.sql.transaction():
            reader.sql.execute(
                "WITH n AS (SELECT n, gen_random_uuid() AS id, gen_random_uuid() AS message"
                "             FROM generate_series(1, 2000) n), m AS ("
                "  INSERT INTO sms_messages (id, org_id, kind, to_phone, body, appointment_id, status)"
                "  SELECT n.message, org_id, kind, to_phone, body, n.id, status FROM sms_messages, n"
                "   WHERE appointment_id = %(id)s)"
                " INSERT INTO appointments (id, org_id, calendar_id, service_id, resource_id, scheduled_at,"
                "   ends_at, contact_id, patient_name, patient_phone, booked_by, booker,"
                "   confirmation_message_id)"
                " SELECT n.id, org_id, calendar_id, service_id, resource_id,"
                "   scheduled_at + make_interval(hours => n), ends_at + make_interval(hours => n),"
                "   contact_id, patient_name, patient_phone, booked_by, booker, n.message"
                "  FROM appointments a, n WHERE a.id = %(id)s",
                {"id": booked},
            )
    finally:
        reader.sql.execute("ALTER TABLE appointments ENABLE TRIGGER USER")
    with statements() as seen:
        answer = reader.get(path)
    read = Calendar.from_ical(answer.data)
    assert len(read.events) == 2001
    assert len([each for each in seen if "FROM appointments" in each]) == 1
    with statements() as again:
        assert reader.get(path, If_None_Match=answer.headers["ETag"]).status_code == 304
    assert len(again) <= len(seen) <= 8, seen
