"""Moving an appointment by its link, over HTTP."""

from __future__ import annotations

import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.base.session import transaction
from models.booking import links
from models.clinics import allowances
from models.clinics.allowances import Allowance
from models.messaging import opt_outs
from models.messaging.opt_outs import OptOutSource
from tests.conftest import Clock
from tests.factories import EVERY_DAY, create_clinic, reserve, slot
from tests.linked import Linked, at
from tests.webapp.patient.reading import NEW, state_of, words
from tests.webapp.patient.reading import linked as linked  # the fixture  # noqa: PLC0414
from tests.webapp.patient.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.patient.reading import often as often  # the fixture  # noqa: PLC0414
from webapp.patient import pages


def offered(response: TestResponse) -> list[str]:
    return re.findall(r'name="slot" value="([^"]+)"', response.text)


def test_the_free_times_of_a_day_and_the_way_to_others(linked: Linked) -> None:
    Linked(linked.client, linked.sql, linked.org, start=NEW)
    page = linked.client.get(f"{linked.path}/move?day={NEW[:10]}")
    taken = {linked.start, NEW}
    hours = [slot(hour=hour, minute=minute) for hour in range(9, 17) for minute in (0, 30)]
    assert offered(page) == [each for each in hours if each not in taken]
    day = date.fromisoformat(NEW[:10])
    for rel, other in (("prev", day - timedelta(days=1)), ("next", day + timedelta(days=1))):
        assert f'rel="{rel}" href="{linked.path}/move?day={other}"' in page.text
    assert offered(linked.client.get(f"{linked.path}/move")) == offered(page)  # its own day to begin with


def test_before_and_after_are_days_with_openings(client: FlaskClient, sql: psycopg.Connection) -> None:
    """Open on one weekday alone, closed once, and six weeks of it full."""
    start = at(slot())
    weekday = f"{start:%a}".lower()
    closed = (start.date() + timedelta(days=7)).isoformat()
    org = create_clinic(
        calendar={"opening": {weekday: [["10:00", "10:30"]]}, "closures": [closed], "horizon_days": 100}
    )
    linked = Linked(client, sql, org)
    for weeks in range(2, 7):
        Linked(client, sql, org, start=slot(days=14 + 7 * weeks))
    page = client.get(f"{linked.path}/move?day={linked.start[:10]}")
    assert "Nothing is free on this day." in words(page)
    assert f'rel="prev" href="{linked.path}/move?day={start.date() - timedelta(days=7)}"' in page.text
    after = start.date() + timedelta(days=7 * 7)
    assert f'rel="next" href="{linked.path}/move?day={after}"' in page.text
    assert offered(client.get(f"{linked.path}/move")) == [f"{after}T10:00:00Z"]  # not an empty page


@pytest.mark.parametrize(
    "day", ["2020-01-01", "9999-12-31", "0001-01-01", "yesterday", "", "2026-13-45", "\u0000"]
)
def test_an_odd_day_is_no_trouble(linked: Linked, day: str) -> None:
    response = linked.client.get(f"{linked.path}/move", query_string={"day": day})
    assert response.status_code == 200
    assert "Choose another time" in words(response)


def test_a_move_shows_the_new_time_and_promises_a_message(linked: Linked, nudged: list[Any]) -> None:
    response = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert response.status_code == 200
    said = words(response)
    assert "Your appointment is moved" in said
    assert f"{at(NEW):%A} {at(NEW).day} {at(NEW):%B %Y} 3:00 pm" in said
    assert "A text message with this time and a new link is on its way" in said
    assert linked.taken() == [at(NEW)]
    [due] = nudged
    assert (due.org_id, due.message_id, due.kind.value) == (
        uuid.UUID(linked.org),
        linked.newest(),
        "confirmation",
    )
    new_token = links.derive(linked.newest())
    assert new_token not in response.text  # it goes to the telephone, and to nobody else who had the old one
    assert linked.client.get(f"/a/{new_token}").status_code == 200


def test_the_nudge_comes_after_the_commit(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(pages, "nudge", lambda due: seen.append(linked.sms(due.message_id, "status")))
    linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert seen == ["queued"]


def test_the_old_link_says_that_it_was_moved_and_not_where_to(linked: Linked) -> None:
    linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    now = datetime.now(UTC)
    for path in ("", "/move", "/cancel"):
        response = linked.client.get(linked.path + path)
        assert response.status_code == 410
        said = words(response)
        assert f"It was moved on {now:%A} {now.day} {now:%B}." in said
        assert "use the link in the newer text message" in said
        assert "3:00 pm" not in said
    assert linked.client.post(f"{linked.path}/cancel").status_code == 410
    assert linked.row("status") == "confirmed"


def test_the_same_move_again_says_the_same_and_sends_nothing(
    linked: Linked, nudged: list[Any], clock: Clock
) -> None:
    """The answer was lost in a lift, and the page was loaded again."""
    first = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    before = state_of(linked)
    again = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert (again.status_code, words(again)) == (200, words(first))
    assert state_of(linked) == before
    assert len(nudged) == 1
    other = linked.client.post(f"{linked.path}/move", data={"slot": slot(hour=16)})
    assert other.status_code == 410
    clock.forward(3600)  # an old link is no way to ask where the appointment went
    assert linked.client.post(f"{linked.path}/move", data={"slot": NEW}).status_code == 410
    assert state_of(linked) == before


def test_a_button_tapped_twice_moves_once_and_says_the_same(
    linked: Linked, app: Flask, database_url: str, nudged: list[Any]
) -> None:
    def tap(_: int) -> TestResponse:
        return app.test_client().post(f"{linked.path}/move", data={"slot": NEW})

    with psycopg.connect(database_url) as other, ThreadPoolExecutor(2) as pool:
        other.execute("SELECT pg_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [linked.org])
        taps = [pool.submit(tap, n) for n in range(2)]
        deadline = time.monotonic() + 10
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        while linked.one(waiting) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        other.rollback()
        first, second = (each.result() for each in taps)
    assert (first.status_code, second.status_code) == (200, 200)
    assert words(first) == words(second)
    assert linked.taken() == [at(NEW)]
    assert len(nudged) == 1


def test_a_time_that_somebody_took_meanwhile_is_said_to_be_gone(linked: Linked, nudged: list[Any]) -> None:
    assert reserve(linked.client, linked.org, slotId=NEW)["success"]
    before = state_of(linked)
    response = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert response.status_code == 409
    assert "That time has just gone. Your appointment has not been moved." in words(response)
    assert NEW not in offered(response)
    assert slot(hour=15, minute=30) in offered(response)
    assert state_of(linked) == before
    assert nudged == []


@pytest.mark.parametrize(
    "odd",
    [
        slot(hour=3),
        slot(hour=10, minute=7),
        "2020-01-01T10:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
    ],
)
def test_a_time_that_was_never_on_offer_is_refused(linked: Linked, odd: str) -> None:
    before = state_of(linked)
    response = linked.client.post(f"{linked.path}/move", data={"slot": odd})
    assert response.status_code == 409
    assert state_of(linked) == before


@pytest.mark.parametrize("change", ["by_link = false", "retired_at = now()"])
def test_a_page_that_was_opened_before_moves_nothing_past_the_service(linked: Linked, change: str) -> None:
    linked.sql.execute(f"UPDATE services SET {change} WHERE org_id = %s".encode(), [linked.org])
    before = state_of(linked)
    for wanted in (NEW, slot(hour=3)):
        response = linked.client.post(f"{linked.path}/move", data={"slot": wanted})
        assert response.status_code == 409
        assert offered(response) == []
    assert state_of(linked) == before


@pytest.mark.parametrize("odd", ["", "x", NEW.removesuffix("Z"), "\u0000", "9999-12-31T23:59:59-23:00"])
def test_what_is_no_time_shows_the_times_again(linked: Linked, odd: str) -> None:
    before = state_of(linked)
    response = linked.client.post(f"{linked.path}/move", data={"slot": odd})
    assert response.status_code == 200
    assert offered(response)
    assert state_of(linked) == before


def test_a_link_moves_an_appointment_so_often_a_day_and_no_more(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    """Back and forth between two times. What it is told instead helps, and tomorrow it is moved again."""
    linked = Linked(client, sql, create_clinic(sandbox=True, moves_per_appointment_a_day=4))
    for hour in (11, 12, 11, 12):
        assert move_by_newest_link(linked, hour).status_code == 200
    before = state_of(linked)
    for hour in (11, 14):
        response = move_by_newest_link(linked, hour)
        assert response.status_code == 409
        assert "It was moved several times in the last 24 hours. Please call Test Clinic" in words(response)
        assert 'href="tel:+442079460958"' in response.text
        assert not offered(response)
    assert state_of(linked) == before
    other = Linked(client, sql, linked.org, start=slot(hour=9))
    assert move_by_newest_link(other, 10).status_code == 200  # each appointment has its own
    clock.forward(24 * 3600 + 1)
    assert move_by_newest_link(linked, 11).status_code == 200


def test_many_moves_at_once_are_no_more_than_that(
    client: FlaskClient, sql: psycopg.Connection, app: Flask
) -> None:
    linked = Linked(client, sql, create_clinic(sandbox=True, moves_per_appointment_a_day=2))

    def race(hour: int) -> None:
        for _ in range(4):
            token = links.derive(linked.newest())
            app.test_client().post(f"/a/{token}/move", data={"slot": slot(hour=hour)})

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(race, range(11, 17)))
    moves = "SELECT count(*) FROM appointment_changes WHERE org_id = %s"
    assert linked.one(moves, linked.org) == 2


def test_a_patient_who_was_sent_many_texts_is_told_that_the_next_one_comes_later(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    linked = Linked(client, sql, create_clinic(sandbox=True, texts_per_phone_a_day=1))
    clinic, number = uuid.UUID(linked.org), linked.phone
    assert "on its way" in words(move_by_newest_link(linked, 11))
    with transaction(clinic) as session:
        allowance = Allowance("text to", number, 1, timedelta(hours=24))
        assert allowances.take(session, clinic, [allowance]) is None
    said = words(move_by_newest_link(linked, 12))
    assert "follows later. Please write this time down" in said
    assert "please call to change anything" in said
    token = links.derive(linked.newest())
    assert "says so follows later" in words(client.post(f"/a/{token}/cancel"))


def move_by_newest_link(linked: Linked, hour: int) -> TestResponse:
    token = links.derive(linked.newest())
    return linked.client.post(f"/a/{token}/move", data={"slot": slot(hour=hour)})


def test_who_wants_no_messages_is_not_promised_one(linked: Linked) -> None:
    with transaction(uuid.UUID(linked.org)) as session:
        opt_outs.record(session, uuid.UUID(linked.org), linked.phone, OptOutSource.KEYWORD)
    response = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert "on its way" not in words(response)
    assert "please write this time down" in words(response)


def test_an_appointment_of_an_hour_is_offered_hours(client: FlaskClient, sql: psycopg.Connection) -> None:
    linked = Linked(client, sql)
    sql.execute(
        "UPDATE appointments SET ends_at = scheduled_at + interval '1 hour' WHERE id = %s",
        [linked.appointment],
    )
    assert reserve(client, linked.org, slotId=NEW)["success"]
    found = offered(client.get(f"{linked.path}/move"))
    assert slot(hour=14) in found
    assert slot(hour=14, minute=30) not in found  # its second half is held
    assert slot(hour=16) in found
    assert slot(hour=16, minute=30) not in found  # the clinic closes at five


def test_times_are_in_the_clinics_zone(client: FlaskClient, sql: psycopg.Connection) -> None:
    org = create_clinic(calendar={"time_zone": "Asia/Tokyo", "opening": EVERY_DAY})
    start = f"{at(slot()).date()}T01:00:00Z"  # ten in the morning there
    linked = Linked(client, sql, org, start=start)
    said = words(client.get(linked.path))
    assert "10:00 am Tokyo time" in said
    page = client.get(f"{linked.path}/move")
    assert f"{at(start).date()}T00:00:00Z" in offered(page)  # nine there
    assert "Morning 9:00 am" in words(page)
