"""Calendars from elsewhere by command."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest

from models.base.session import Door, system_transaction
from models.booking import feed_readings
from models.clinics.calendar_feeds import FeedProblem
from tests.conftest import Clock
from tests.factories import create_clinic
from tests.stack import eventually
from tests.webapp.cli.commands import Operator
from tests.webapp.cli.doctor.checklist import findings

ADDRESS = "https://calendar.test/private-s3cr3tt0ken/basic.ics"


@pytest.fixture
def org() -> str:
    return create_clinic()


def add(operator: Operator, org: str, address: str = ADDRESS) -> str:
    said = operator.does("feed", "add", org, "cal-1", "--label", "Google", typed=f"{address}\n")
    return said.splitlines()[0]


def test_one_is_added_listed_changed_and_removed(operator: Operator, org: str) -> None:
    assert operator.does("feed", "list", org).startswith("no calendar is read")
    feed = add(operator, org)
    [row] = operator.reads("feed", "list", org)
    assert (row["id"], row["of"], row["label"], row["on"]) == (feed, "cal-1", "Google", True)
    assert (row["address"], row["every_minutes"]) == ("https://calendar.test/…", 10)
    assert (row["read"], row["busy"], row["offered"], row["problem"]) == (None, 0, True, None)
    changed = operator.reads("feed", "set", org, feed, "--label", "Outlook", "--every", 60, "--off")
    assert (changed["label"], changed["every_minutes"], changed["on"]) == ("Outlook", 60, False)
    assert "no such calendar that is on" in operator.fails("feed", "read", org, feed)
    operator.does("feed", "set", org, feed, "--on")
    assert operator.reads("feed", "read", org, feed)["on"]
    operator.does("feed", "remove", org, feed)
    assert operator.reads("feed", "list", org) == []
    assert "there is no calendar" in operator.fails("feed", "remove", org, feed)


def test_no_command_shows_the_address(operator: Operator, org: str) -> None:
    feed = add(operator, org)
    said = operator.does("feed", "list", org) + operator.does("feed", "list", org, "--json")
    said += operator.does("feed", "read", org, feed, "--json") + operator.fails(
        "feed", "add", org, "cal-1", "--label", "x", typed=f"{ADDRESS}\n"
    )
    assert "s3cr3t" not in said
    assert "already" in said


@pytest.mark.parametrize("address", ["http://calendar.test/", "nonsense", "https://a:b@calendar.test/"])
def test_what_is_no_address_is_refused(operator: Operator, org: str, address: str) -> None:
    said = operator.fails("feed", "add", org, "cal-1", "--label", "Google", typed=f"{address}\n")
    assert "address" in said
    assert "there is no person" in operator.fails(
        "feed", "add", org, "nobody", "--label", "Google", typed=f"{ADDRESS}\n"
    )
    assert "say what to change" in operator.fails("feed", "set", org, uuid.uuid4())


@pytest.mark.parametrize("outcome", [feed_readings.Read(None), FeedProblem.NOT_FOUND])
def test_read_waits_for_what_comes_of_it(
    operator: Operator,
    org: str,
    sql: psycopg.Connection,
    outcome: feed_readings.Read | FeedProblem,
) -> None:
    feed = add(operator, org)
    sql.execute("UPDATE calendar_feeds SET is_on = false WHERE id <> %s", [feed])
    sql.execute("UPDATE calendar_feeds SET due_at = now() + interval '1 hour' WHERE id = %s", [feed])

    def work() -> None:
        def taken() -> feed_readings.Taken | None:
            with system_transaction(Door.SWEEP) as session:
                return feed_readings.take(session, uuid.UUID(org), uuid.UUID(feed))

        found = eventually(taken)
        with system_transaction(Door.SWEEP) as session:
            feed_readings.record(session, found, outcome)

    worker = threading.Thread(target=work)
    worker.start()
    command = ("feed", "read", org, feed, "--wait", 60)
    said = operator.fails(*command) if isinstance(outcome, FeedProblem) else operator.does(*command)
    worker.join()
    assert ("not_found" in said) is isinstance(outcome, FeedProblem)


def test_the_desks_command_removes_no_block_of_a_feed(
    operator: Operator, org: str, sql: psycopg.Connection
) -> None:
    feed = add(operator, org)
    [(block,)] = sql.execute(
        "INSERT INTO blocks (org_id, resource_id, starts_at, ends_at, reason, source, feed_id)"
        " VALUES (%s, 'cal-1', now() + interval '1 day', now() + interval '2 days', 'Google', 'feed', %s)"
        " RETURNING id",
        [org, feed],
    ).fetchall()
    assert operator.reads("block", "list", org)[0]["source"] == "feed"
    assert "comes from the calendar Google" in operator.fails("block", "remove", org, block)


def test_the_doctor_says_who_is_not_offered_and_why(
    operator: Operator, org: str, sql: psycopg.Connection, clock: Clock
) -> None:
    add(operator, org)
    what = "calendar Google of cal-1"
    assert what not in findings(operator, org)  # not read yet
    sql.execute("UPDATE calendar_feeds SET problem = 'too_large' WHERE org_id = %s", [org])
    found = findings(operator, org)[what]
    assert found["state"] == "warning"
    assert "5 MB" in found["why"]
    clock.forward(25 * 3600)
    found = findings(operator, org)[what]
    assert found["state"] == "missing"
    assert "callers are not offered cal-1" in found["why"]
    sql.execute("UPDATE calendar_feeds SET problem = NULL, read_at = app_clock() WHERE org_id = %s", [org])
    assert findings(operator, org)[what]["state"] == "ok"
    assert operator.reads("organization", "show", org)["feed_limit_hours"] == 24
    operator.does("organization", "set", org, "--feed-limit-hours", 336)
    assert "336" in operator.fails("organization", "set", org, "--feed-limit-hours", 337)
