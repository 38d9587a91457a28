"""The pages behind the link, over HTTP: what they show, what they do, and what they keep to themselves."""

from __future__ import annotations

import html
import logging
import re
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

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
from models.notices import texts
from tests.conftest import Clock
from tests.factories import EVERY_DAY, create_clinic, reserve, slot
from tests.linked import Linked, at
from tests.places import ROOT
from webapp import unit_of_work
from webapp.limits import Limiter
from webapp.patient import pages
from webapp.patient.pages import MOST_UNKNOWN
from webapp.state import per_app

NEW = slot(hour=15)
NO_SUCH = "0" * 12


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link may be opened as often as a test needs it."""
    monkeypatch.setattr(pages, "requests", per_app(lambda: Limiter(1000.0)))


@pytest.fixture
def nudged(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    told: list[Any] = []
    monkeypatch.setattr(pages, "nudge", told.append)
    return told


@pytest.fixture
def linked(client: FlaskClient, sql: psycopg.Connection) -> Linked:
    return Linked(client, sql)


def words(response: TestResponse) -> str:
    """What a person reads."""
    main = re.sub(r"<head>.*?</head>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(html.unescape(main).split())


def offered(response: TestResponse) -> list[str]:
    return re.findall(r'name="slot" value="([^"]+)"', response.text)


def state_of(linked: Linked) -> tuple[Any, ...]:
    """Everything that a page could change."""
    return (
        linked.row("scheduled_at, status, confirmation_message_id"),
        linked.sms(),
        linked.link(),
        linked.taken(),
        linked.one("SELECT count(*) FROM sms_messages WHERE org_id = %s", linked.org),
    )


# --- what is shown ------------------------------------------------------------------------------


def test_the_page_shows_the_appointment_in_the_clinics_zone(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic(
        name="Hudson <Skin> & Clinic",
        phone="+12125550142",
        calendar={"time_zone": "America/New_York", "services": ["skin check"]},
    )
    linked = Linked(client, sql, org, start=slot(hour=16), service="skin check")
    response = client.get(linked.path)
    assert response.status_code == 200
    said = words(response)
    local = at(linked.start).astimezone(ZoneInfo("America/New_York"))
    assert local.hour in (11, 12)
    clock = "11:00 am" if local.hour == 11 else "12:00 pm"
    assert f"{local:%A} {local.day} {local:%B %Y} {clock} New York time" in said
    assert "Hudson <Skin> & Clinic" in said
    assert "<Skin>" not in response.text
    assert "skin check" in said
    assert texts.reference(uuid.UUID(linked.appointment)) in said
    assert 'href="tel:+12125550142"' in response.text
    assert f'href="{linked.path}/move"' in response.text
    assert f'href="{linked.path}/cancel"' in response.text


def test_who_it_is_for_is_on_no_page(client: FlaskClient, sql: psycopg.Connection) -> None:
    """A link is passed on; and what was said in the call may be anything."""
    linked = Linked(client, sql, patientName="Zebedee Quux", service="something private")
    for path in ("", "/move", "/cancel"):
        text = client.get(linked.path + path).text
        assert "Zebedee" not in text
        assert "Quux" not in text
        assert linked.phone[-6:] not in text
        assert "private" not in text
        assert linked.org not in text
        assert linked.appointment not in text


def test_what_is_typed_with_capitals_or_an_o_leads_there_too(linked: Linked) -> None:
    typed = linked.token.upper().replace("0", "O").replace("1", "I")
    assert linked.client.get(f"/a/{typed}").status_code == 200


def test_a_clinic_without_a_telephone_has_no_link_to_call_it(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    linked = Linked(client, sql, create_clinic(phone=None))
    assert "tel:" not in client.get(linked.path).text


# --- nothing changes on GET ---------------------------------------------------------------------


def test_nothing_changes_on_get_or_head(linked: Linked, nudged: list[Any]) -> None:
    before = state_of(linked)
    for path in ("", "/cancel", "/move", f"/move?day={NEW[:10]}", f"/move?slot={NEW}", "?slot=x"):
        assert linked.client.get(linked.path + path).status_code == 200
        assert linked.client.head(linked.path + path).status_code == 200
    assert linked.client.post(linked.path).status_code == 405
    assert state_of(linked) == before
    assert nudged == []


# --- cancelling ---------------------------------------------------------------------------------


def test_cancelling_takes_one_question_and_one_answer(linked: Linked) -> None:
    asked = linked.client.get(f"{linked.path}/cancel")
    assert "Cancel this appointment?" in words(asked)
    assert f'method="post" action="{linked.path}/cancel"' in asked.text
    done = linked.client.post(f"{linked.path}/cancel")
    assert done.status_code == 200
    assert "Your appointment is cancelled" in words(done)
    assert linked.row("status") == "cancelled"
    assert linked.taken() == []


def test_a_cancellation_promises_a_message_which_is_nudged_after_the_commit(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        pages, "nudge", lambda due: seen.append((due, linked.sms(due.message_id, "kind, status")))
    )
    response = linked.client.post(f"{linked.path}/cancel")
    assert "A text message that says so is on its way to you." in words(response)
    [(due, row)] = seen
    assert (due.org_id, due.kind.value, row) == (
        uuid.UUID(linked.org),
        "cancellation",
        ("cancellation", "queued"),
    )


def test_who_wants_no_messages_is_promised_none_of_a_cancellation(linked: Linked) -> None:
    with transaction(uuid.UUID(linked.org)) as session:
        opt_outs.record(session, uuid.UUID(linked.org), linked.phone, OptOutSource.KEYWORD)
    said = words(linked.client.post(f"{linked.path}/cancel"))
    assert "Your appointment is cancelled" in said
    assert "text message" not in said


def test_cancelled_in_two_tabs_at_once_it_is_said_once(
    linked: Linked, app: Flask, database_url: str, nudged: list[Any]
) -> None:
    with psycopg.connect(database_url) as other, ThreadPoolExecutor(2) as pool:
        other.execute("SELECT pg_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [linked.org])
        tabs = [pool.submit(app.test_client().post, f"{linked.path}/cancel") for _ in range(2)]
        deadline = time.monotonic() + 10
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        while linked.one(waiting) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        other.rollback()
        answers = sorted(tab.result().status_code for tab in tabs)
    assert answers == [200, 410]
    assert len(nudged) == 1
    count = "SELECT count(*) FROM sms_messages WHERE appointment_id = %s AND kind = 'cancellation'"
    assert linked.one(count, linked.appointment) == 1


def test_a_cancelled_one_says_when_it_was_cancelled(linked: Linked) -> None:
    linked.client.post(f"{linked.path}/cancel")
    now = datetime.now(UTC)
    for method, path in (("GET", ""), ("GET", "/move"), ("GET", "/cancel"), ("POST", "/cancel")):
        again = linked.client.open(linked.path + path, method=method)
        assert again.status_code == 410
        assert f"It was cancelled on {now:%A} {now.day} {now:%B}." in words(again)
        assert "<form" not in again.text
    moved = linked.client.post(f"{linked.path}/move", data={"slot": NEW})
    assert moved.status_code == 410
    assert linked.taken() == []


def test_one_that_the_clinic_cancelled_says_so(linked: Linked) -> None:
    linked.sql.execute("UPDATE appointments SET status = 'cancelled' WHERE id = %s", [linked.appointment])
    response = linked.client.get(linked.path)
    assert response.status_code == 410
    assert "This appointment was cancelled" in words(response)


# --- moving -------------------------------------------------------------------------------------


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
        calendar={"hours": {weekday: [["10:00", "10:30"]]}, "closures": [closed], "horizon_days": 100}
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
    org = create_clinic(calendar={"time_zone": "Asia/Tokyo", "hours": EVERY_DAY})
    start = f"{at(slot()).date()}T01:00:00Z"  # ten in the morning there
    linked = Linked(client, sql, org, start=start)
    said = words(client.get(linked.path))
    assert "10:00 am Tokyo time" in said
    page = client.get(f"{linked.path}/move")
    assert f"{at(start).date()}T00:00:00Z" in offered(page)  # nine there
    assert "Morning 9:00 am" in words(page)


# --- links that do not work ---------------------------------------------------------------------


def test_an_appointment_that_has_begun_says_that_the_link_is_over(linked: Linked, clock: Clock) -> None:
    clock.forward((at(linked.start) - datetime.now(UTC)).total_seconds() + 1)
    before = state_of(linked)
    for method, path in (("GET", ""), ("GET", "/move"), ("POST", "/cancel"), ("POST", "/move")):
        response = linked.client.open(
            linked.path + path, method=method, data={"slot": NEW} if method == "POST" else None
        )
        assert response.status_code == 410
        assert "This link has expired" in words(response)
        assert "10:00" not in words(response)
    assert state_of(linked) == before


def test_a_link_that_was_ended_early_is_over(linked: Linked) -> None:
    linked.sql.execute("UPDATE patient_links SET expires_at = now() WHERE message_id = %s", [linked.message])
    assert "This link has expired" in words(linked.client.get(linked.path))
    assert linked.client.get(f"{linked.path}/move").status_code == 410


@pytest.mark.parametrize("verb", ["cancel", "move"])
def test_a_link_that_was_ended_early_does_nothing(linked: Linked, verb: str) -> None:
    linked.sql.execute("UPDATE patient_links SET expires_at = now() WHERE message_id = %s", [linked.message])
    before = state_of(linked)
    assert linked.client.post(f"{linked.path}/{verb}", data={"slot": NEW}).status_code == 410
    assert state_of(linked) == before


def test_every_wrong_token_gets_the_same_page(linked: Linked) -> None:
    near = linked.token[:-1] + ("0" if linked.token[-1] != "0" else "1")
    pages_ = {
        (response.status_code, response.text)
        for token in (NO_SUCH, near, "x", "x" * 3000, "%00", linked.token + "0", "\u00e9" * 12)
        for response in (linked.client.get(f"/a/{token}"),)
    }
    [(status, text)] = pages_
    assert status == 404
    assert "We cannot find this appointment" in html.unescape(text)


@pytest.fixture
def guesses_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, by which guesses are counted. It stands still, however slow the machine is."""
    now = [100.0]
    monkeypatch.setattr(pages.guesses(), "_clock", lambda: now[0])
    return now


@pytest.mark.parametrize("path", ["", "/cancel", "/move"])
@pytest.mark.usefixtures("guesses_at")
def test_guesses_are_counted_by_address(linked: Linked, path: str) -> None:
    client = linked.client

    def ask(token: str, address: str = "192.0.2.1") -> int:
        return client.get(f"/a/{token}{path}", environ_base={"REMOTE_ADDR": address}).status_code

    assert [ask(NO_SUCH) for _ in range(MOST_UNKNOWN + 2)] == [404] * MOST_UNKNOWN + [429] * 2
    assert ask(linked.token) == 200  # whoever else is behind this address did not guess
    assert ask(NO_SUCH) == 429
    assert ask(linked.token, "192.0.2.2") == 200
    assert ask(NO_SUCH, "192.0.2.2") == 404
    limited = client.get(f"/a/{NO_SUCH}", environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert limited.headers["Retry-After"] == "60"
    assert "Please wait a minute" in words(limited)


@pytest.mark.usefixtures("guesses_at")
def test_guessing_by_post_is_counted_too_and_does_nothing(linked: Linked) -> None:
    for _ in range(MOST_UNKNOWN):
        assert linked.client.post(f"/a/{NO_SUCH}/cancel").status_code == 404
    assert linked.client.post(f"/a/{NO_SUCH}/cancel").status_code == 429
    assert linked.row("status") == "confirmed"
    assert linked.client.post(f"{linked.path}/cancel").status_code == 200  # a patient behind the same address


def test_a_good_link_is_never_counted(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MOST_UNKNOWN * 3):
        assert linked.client.get(linked.path).status_code == 200
    assert not len(pages.guesses())

    def away(*_: object) -> None:
        raise unit_of_work.DatabaseAway

    with monkeypatch.context() as patch:
        patch.setattr(pages, "in_system_transaction", away)
        for _ in range(MOST_UNKNOWN * 3):
            assert linked.client.get(linked.path).status_code == 503
    assert linked.client.get(f"/a/{NO_SUCH}").status_code == 404


@pytest.mark.usefixtures("guesses_at")
def test_many_guesses_at_once_are_counted_too(app: Flask, linked: Linked) -> None:
    with ThreadPoolExecutor(24) as pool:
        answers = list(
            pool.map(lambda _: app.test_client().get(f"/a/{NO_SUCH}").status_code, range(MOST_UNKNOWN * 6))
        )
    assert answers.count(404) <= MOST_UNKNOWN
    assert set(answers) == {404, 429}


@pytest.mark.usefixtures("guesses_at")
def test_a_flood_of_guesses_looks_up_two_at_once_and_a_good_link_still_opens(
    app: Flask, linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, most, lock, over = [0], [0], threading.Lock(), threading.Event()
    real = pages._find

    def find(token: str) -> Any:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        try:
            return real(token)
        finally:
            with lock:
                under_way[0] -= 1

    def guess(_: int) -> None:
        while not over.is_set():
            assert app.test_client().get(f"/a/{NO_SUCH}").status_code == 429

    for _ in range(MOST_UNKNOWN):
        linked.client.get(f"/a/{NO_SUCH}")
    monkeypatch.setattr(pages, "_find", find)
    monkeypatch.setattr(pages, "LONGEST_WAIT", 30.0)  # however slow the machine is
    with ThreadPoolExecutor(8) as pool:
        guessing = [pool.submit(guess, n) for n in range(8)]
        try:
            assert [linked.client.get(linked.path).status_code for _ in range(10)] == [200] * 10
        finally:
            over.set()
        for each in guessing:
            each.result()
    assert most[0] <= pages.MOST_LOOK_UPS


@pytest.mark.usefixtures("guesses_at")
def test_where_no_turn_comes_the_link_is_not_counted(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "LONGEST_WAIT", 0.01)
    for _ in range(MOST_UNKNOWN):
        linked.client.get(f"/a/{NO_SUCH}")
    with pages.look_ups().turn(longest=1), pages.look_ups().turn(longest=1):
        assert linked.client.get(linked.path).status_code == 429
    assert linked.client.get(linked.path).status_code == 200


def test_good_links_may_be_opened_often_but_not_without_end(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "requests", per_app(lambda: Limiter(0.01)))
    other = Linked(linked.client, linked.sql)
    assert [linked.client.get(linked.path).status_code for _ in range(2)] == [200, 429]
    assert linked.client.get(other.path).status_code == 200  # another's, behind the same address


def test_an_address_that_guessed_may_be_mistaken_once_more_every_six_seconds(
    linked: Linked, guesses_at: list[float]
) -> None:
    def statuses(tries: int) -> list[int]:
        return [linked.client.get(f"/a/{NO_SUCH}").status_code for _ in range(tries)]

    assert statuses(MOST_UNKNOWN + 2) == [404] * MOST_UNKNOWN + [429] * 2
    guesses_at[0] += 5.9
    assert statuses(1) == [429]
    guesses_at[0] += 0.2
    assert statuses(3) == [404, 429, 429]
    guesses_at[0] += 60
    assert statuses(MOST_UNKNOWN + 2) == [404] * MOST_UNKNOWN + [429] * 2


@pytest.mark.parametrize(
    ("addresses", "another"),
    [
        ([f"2001:db8:1:2::{number:x}" for number in range(1, 12)], "2001:db8:1:3::1"),
        (["192.0.2.77", "::ffff:192.0.2.77", "::ffff:c000:24d"] * 4, "192.0.2.78"),
    ],
)
@pytest.mark.usefixtures("guesses_at")
def test_one_who_has_a_whole_network_is_one(linked: Linked, addresses: list[str], another: str) -> None:
    def guess(address: str) -> int:
        where = {"REMOTE_ADDR": address}
        return linked.client.get(f"/a/{NO_SUCH}", environ_base=where).status_code

    answers = [guess(address) for address in addresses]
    assert answers == [404] * MOST_UNKNOWN + [429] * (len(addresses) - MOST_UNKNOWN)
    assert guess(another) == 404


# --- what every page keeps to -------------------------------------------------------------------


def every_page(linked: Linked) -> Iterator[TestResponse]:
    client = linked.client
    yield client.get(linked.path)
    yield client.get(f"{linked.path}/cancel")
    yield client.get(f"{linked.path}/move")
    yield client.post(f"{linked.path}/move", data={"slot": slot(hour=3)})
    yield client.post(f"{linked.path}/move", data={"slot": NEW})
    yield client.get(linked.path)
    newest = links.derive(linked.newest())
    yield client.post(f"/a/{newest}/cancel")
    yield client.get(f"/a/{newest}")
    yield client.get(f"/a/{NO_SUCH}")
    for _ in range(MOST_UNKNOWN):
        last = client.get(f"/a/{NO_SUCH}")
    yield last


def test_no_page_is_kept_indexed_framed_or_told_of(linked: Linked) -> None:
    statuses = []
    for page in every_page(linked):
        statuses.append(page.status_code)
        assert page.mimetype == "text/html"
        assert page.headers["X-Robots-Tag"] == "noindex, nofollow, noarchive"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert page.headers["Cache-Control"] == "no-store"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert "Set-Cookie" not in page.headers
        assert '<meta name="robots" content="noindex' in page.text
    assert set(statuses) == {200, 404, 409, 410, 429}


def test_no_page_needs_what_its_policy_forbids(linked: Linked) -> None:
    for page in every_page(linked):
        assert "<script" not in page.text
        assert "<style" not in page.text
        assert not re.search(r"\s(?:style|on\w+)=", page.text)
        assert re.findall(r'<link rel="stylesheet" href="([^"]+)"', page.text) == ["/static/patient.css"]
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', page.text)


def test_every_page_has_what_a_screen_reader_looks_for(linked: Linked) -> None:
    for page in every_page(linked):
        text = page.text
        assert '<html lang="en">' in text
        assert re.search(r"<title>[^<]{5,}</title>", text)
        assert 'content="width=device-width, initial-scale=1"' in text
        assert len(re.findall(r"<h1", text)) == 1
        assert len(re.findall(r"<main", text)) == 1
        for name in re.findall(r'aria-labelledby="([^"]+)"', text):
            assert f'id="{name}"' in text
        for field in re.findall(r'<input id="([^"]+)"', text):
            assert f'<label for="{field}"' in text


def test_the_style_is_served_and_loads_nothing(client: FlaskClient) -> None:
    with client.get("/static/patient.css") as response:
        assert response.status_code == 200
        style = response.get_data(as_text=True)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_colours_can_be_told_apart_in_light_and_dark() -> None:
    """WCAG AA: 4.5 for words, 3 for the edges of what can be pressed."""
    style = Path(ROOT / "webapp" / "static" / "patient.css").read_text()
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    )
    for colours in (light, dark):
        for ink, ground in (
            ("text", "ground"),
            ("text", "card"),
            ("quiet", "ground"),
            ("quiet", "card"),
            ("accent", "ground"),
            ("accent", "card"),
            ("accent", "tint"),
            ("accent-text", "accent"),
            ("text", "tint"),
            ("text", "warn"),
        ):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        for edge in ("edge", "accent", "warn-line"):
            assert contrast(colours[edge], colours["card"]) >= 3, edge


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# --- trouble ------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [unit_of_work.Busy, unit_of_work.DatabaseAway])
@pytest.mark.parametrize("where", ["in_system_transaction", "in_transaction"])
def test_a_database_that_does_not_answer_is_a_friendly_page(
    linked: Linked, monkeypatch: pytest.MonkeyPatch, trouble: type[Exception], where: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise trouble

    monkeypatch.setattr(pages, where, fail)
    for method, path in (("GET", ""), ("POST", "/cancel")):
        response = linked.client.open(linked.path + path, method=method)
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "5"
        assert "Please try again in a moment." in words(response)
        assert response.headers["X-Robots-Tag"]


def test_a_lock_that_is_not_to_be_had_is_a_friendly_page(
    linked: Linked, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT set_config('app.scope', 'system', true)")
        other.execute("SELECT pg_advisory_xact_lock(resource_lock_key(%s, 'cal-1'))", [linked.org])
        response = linked.client.post(f"{linked.path}/cancel")
        other.rollback()
    assert response.status_code == 503
    assert linked.row("status") == "confirmed"
    assert linked.client.post(f"{linked.path}/cancel").status_code == 200


def test_a_mistake_of_ours_does_not_put_the_link_into_the_log(
    linked: Linked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pages, "in_transaction", fail)
    with caplog.at_level(logging.DEBUG):
        response = linked.client.get(linked.path)
    assert response.status_code == 500
    assert "This did not work just now" in words(response)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert linked.token not in caplog.text


def test_a_body_of_any_size_is_not_read(linked: Linked) -> None:
    before = state_of(linked)
    response = linked.client.post(f"{linked.path}/move", data={"slot": "x" * 100_000})
    assert response.status_code == 413
    assert response.mimetype == "text/html"
    assert state_of(linked) == before


def test_the_audit_log_names_the_link(linked: Linked) -> None:
    linked.client.post(f"{linked.path}/cancel")
    actor = linked.one(
        "SELECT actor FROM audit_log WHERE table_name = 'appointments' AND row_id = %s AND action = 'update'",
        linked.appointment,
    )
    assert actor == "patient link"


def test_every_page_says_on_get_only_what_it_says(app: Flask) -> None:
    """The list of what can change something; a new one is to be thought about."""
    changing = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("patient.") and "POST" in (rule.methods or ())
    }
    assert changing == {"/a/<token>/cancel", "/a/<token>/move"}
