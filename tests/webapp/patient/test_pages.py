"""The pages behind the link, over HTTP: what they show, how they cancel, and what they keep to themselves."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
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
from models.messaging import opt_outs
from models.messaging.opt_outs import OptOutSource
from models.notices import texts
from tests.factories import create_clinic, slot
from tests.linked import Linked, at
from tests.places import ROOT
from tests.webapp.patient.reading import NEW, NO_SUCH, state_of, words
from tests.webapp.patient.reading import linked as linked  # the fixture  # noqa: PLC0414
from tests.webapp.patient.reading import nudged as nudged  # the fixture  # noqa: PLC0414
from tests.webapp.patient.reading import often as often  # the fixture  # noqa: PLC0414
from webapp import unit_of_work
from webapp.guesses import MOST_UNKNOWN
from webapp.patient import pages

# --- what is shown ------------------------------------------------------------------------------


def test_the_page_shows_the_appointment_in_the_clinics_zone(
    client: FlaskClient, sql: psycopg.Connection
) -> None:
    org = create_clinic(
        name="Hudson <Skin> & Clinic",
        phone="+12125550142",
        calendar={"time_zone": "America/New_York", "service_names": ["skin check"]},
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
