"""A calendar from elsewhere that cannot be read, or not to its end."""

from __future__ import annotations

import hashlib
import logging
from datetime import timedelta

import pytest

from models.base.session import Door, system_transaction, transaction
from models.booking import feed_readings, feed_states, ics
from models.clinics.calendar_feeds import FeedProblem
from tests.conftest import Clock
from tests.tasks.elsewhere import Elsewhere, calendar, event, status
from tests.tasks.reading_feeds import Clinic, at, take
from tests.tasks.reading_feeds import authority as authority  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import clinic as clinic  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import elsewhere as elsewhere  # the fixture  # noqa: PLC0414
from tests.tasks.reading_feeds import nudged as nudged  # the fixture  # noqa: PLC0414


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html><title>Sign in</title></html>", FeedProblem.NOT_A_CALENDAR),
        (calendar()[:-8], FeedProblem.UNREADABLE),
        (calendar(*(event(n, at(9)) for n in range(5001))), FeedProblem.TOO_MANY_EVENTS),
    ],
)
def test_what_cannot_be_read_changes_nothing_and_is_said(
    clinic: Clinic,
    elsewhere: Elsewhere,
    caplog: pytest.LogCaptureFixture,
    body: bytes,
    why: FeedProblem,
) -> None:
    elsewhere.body = calendar(event(1, at(9)))
    clinic.read()
    elsewhere.body = body
    with caplog.at_level(logging.INFO):
        clinic.read()
    assert clinic.row("problem", "failures") == (why.value, 1)
    assert clinic.busy == [(at(9), at(9, 30))]
    assert "s3cr3t" not in caplog.text
    elsewhere.body = calendar()
    clinic.read()
    assert clinic.row("problem", "failures") == (None, 0)


def test_every_problem_has_a_sentence() -> None:
    assert set(feed_states.SENTENCES) == set(FeedProblem)
    assert all(sentence.endswith(".") for sentence in feed_states.SENTENCES.values())


def test_it_is_tried_less_and_less_often_up_to_an_hour(
    clinic: Clinic, elsewhere: Elsewhere, clock: Clock
) -> None:
    clock.stop()
    elsewhere.answer = status(500)
    waits = []
    for _ in range(6):
        clinic.read()
        [wait] = clinic.row("extract(epoch FROM due_at - asked_at)::float / 60")
        waits.append(wait)
    for wait, meant in zip(waits, (10, 20, 40, 60, 60, 60), strict=True):
        assert meant * 0.9 <= wait <= meant * 1.1
    assert len(set(waits)) == len(waits)  # each a little different
    elsewhere.answer = None
    clinic.read()
    assert clinic.row("due_at - asked_at < interval '11 minutes 1 second'") == (True,)


def test_a_reading_that_never_ended_is_said_to(clinic: Clinic, clock: Clock) -> None:
    clock.stop()
    take(clinic)
    assert take(clinic) is None  # it is being read
    clock.forward(41)
    assert take(clinic)
    assert clinic.row("problem", "failures") == ("interrupted", 1)


def test_what_a_reading_had_yet_to_write_when_it_broke_off_is_written_by_the_next(
    clinic: Clinic, elsewhere: Elsewhere, clock: Clock
) -> None:
    """Although the calendar then says that nothing has changed."""
    clock.stop()
    clinic.read()
    spans = tuple((at(1) + timedelta(hours=n), at(1, 30) + timedelta(hours=n)) for n in range(250))
    elsewhere.body = calendar(*(event(n, begins) for n, (begins, _) in enumerate(spans)))
    elsewhere.headers = {"ETag": '"2"'}
    with system_transaction(Door.SWEEP) as session:
        feed_readings.ask_for(session, clinic.org_id, clinic.feed_id)
    taken = take(clinic)
    digest = hashlib.sha256(elsewhere.body).hexdigest()
    outcome = feed_readings.Read(ics.Reading(spans, 250, 0), '"2"', None, digest)
    with transaction(clinic.org_id) as session:
        recorded = feed_readings.record(session, taken, outcome)
    assert recorded
    assert not recorded.is_all
    clock.forward(41)  # the worker is gone, and its lease runs out
    clinic.read()
    assert clinic.busy == list(spans)


def test_an_address_that_another_key_sealed_is_said_to(clinic: Clinic) -> None:
    clinic.sql.execute("UPDATE calendar_feeds SET address_sealed = 'v2.x.y' WHERE id = %s", [clinic.feed_id])
    clinic.read()
    assert clinic.row("problem") == ("cannot_unseal",)
