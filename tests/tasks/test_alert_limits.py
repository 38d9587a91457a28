"""Alerts over the limit of the owner's telephone wait, and go out together in one SMS."""

from __future__ import annotations

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
from flask.testing import FlaskClient

from models.base.session import transaction
from models.insight import privacy
from models.notices.texts import TWO_SMS
from tasks.calls import score_call
from tasks.messaging import deliver_sms, sweep_sms
from tests.conftest import Clock
from tests.factories import create_clinic, phone_number, slot
from tests.tasks.bookings import PatientWorker, inbox
from tests.tasks.long_worker import HOUR, trouble
from tests.tasks.long_worker import worker as worker  # the fixture  # noqa: PLC0414
from tests.tasks.test_calls import HOT
from tests.webapp.agents.calls import PhoneCall


class Owner:
    """A clinic whose owner gets alerts about hot leads."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection, twilio: str, **settings: int) -> None:
        self.client, self.sql, self.twilio = client, sql, twilio
        self.org, self.number = create_clinic(sandbox=True), phone_number()
        for name, value in {"hot_lead_alert_phone": self.number, **settings}.items():
            sql.execute(
                f"UPDATE integration_settings SET {name} = %s WHERE org_id = %s".encode(), [value, self.org]
            )

    def report(self, caller: str | None = None) -> str:
        """Report the end of a hot call; returns its id."""
        caller = caller or phone_number()
        call = PhoneCall(self.client, self.org, caller)
        call.say("check_availability", date=slot()[:10])
        message = {
            "type": "end-of-call-report",
            "call": {"id": call.id, "customer": {"number": caller}},
            "artifact": {"messages": [{"role": role, "message": text} for role, text in HOT]},
            "durationSeconds": 400,
            "analysis": {},
        }
        assert self.client.post("/api/vapi/webhook", json={"message": message}).status_code == 200
        return call.id

    def alerts(self, count: int, clock: Clock) -> None:
        reported = [self.report() for _ in range(count)]
        clock.forward(3)
        for call in reported:
            score_call.run(org_id=self.org, call_id=call)

    def texts(self) -> list[str]:
        return inbox(self.twilio, self.number)

    def told(self) -> int:
        """The number of leads in the owner's SMS."""
        [[count]] = self.sql.execute(
            "SELECT count(*) FROM hot_lead_alerts WHERE org_id = %s AND alert_sent_at IS NOT NULL", [self.org]
        ).fetchall()
        return int(count)


def test_sixty_reports_are_six_alerts_and_one_that_tells_of_the_others(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    owner = Owner(client, sql, twilio)
    owner.alerts(60, clock)
    worker.run(60)
    assert len(owner.texts()) == 6
    assert owner.told() == 6
    assert trouble(sql, owner.org) == {}
    worker.run(900)
    digest, *alone = owner.texts()
    assert len(alone) == 6
    assert all(text.startswith("Hot lead ") for text in alone)
    assert re.fullmatch(
        r"54 more hot leads since \d+:\d\d [ap]m, the best \d+/100\. See http://127\.0\.0\.1:1/dashboard/live",
        digest,
    )
    assert len(digest) <= TWO_SMS
    assert owner.told() == 60
    worker.run(2 * HOUR)
    assert len(owner.texts()) == 7


def test_what_comes_while_alerts_wait_is_told_with_them_and_the_count_is_right(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=2)
    owner.alerts(3, clock)
    worker.run(60)
    owner.alerts(4, clock)
    worker.run(60)
    assert len(owner.texts()) == 2
    worker.run(HOUR / 2)
    assert owner.texts()[0].startswith("5 more hot leads since ")
    assert len(owner.texts()) == 3
    # The alert of the same call is never sent again.
    assert owner.told() == 7


def test_one_alone_that_had_to_wait_is_told_in_full(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=1)
    owner.alerts(2, clock)
    worker.run(60)
    assert len(owner.texts()) == 1
    worker.run(HOUR)
    assert len(owner.texts()) == 2
    assert all(text.startswith("Hot lead ") for text in owner.texts())


def test_a_new_alert_that_is_first_when_there_is_room_takes_along_those_that_wait(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=1)
    owner.alerts(3, clock)
    worker.run(60)
    clock.forward(HOUR)
    owner.alerts(1, clock)
    [[newest]] = sql.execute(
        "SELECT message_id::text FROM hot_lead_alerts WHERE org_id = %s ORDER BY created_at DESC LIMIT 1",
        [owner.org],
    ).fetchall()
    deliver_sms.run(org_id=owner.org, message_id=newest)
    assert owner.texts()[0].startswith("3 more hot leads since ")
    worker.run(2 * HOUR)
    assert len(owner.texts()) == 2


def test_many_workers_at_once_send_no_more_and_the_digest_once(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock
) -> None:
    """Workers and sweeps nudge every alert and the digest several times at once."""
    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=3, sms_per_second=0)
    clock.stop()
    owner.alerts(12, clock)

    def nudge_all() -> None:
        queued = sql.execute(
            "SELECT id::text FROM sms_messages WHERE org_id = %s AND status = 'queued'", [owner.org]
        ).fetchall()
        with ThreadPoolExecutor(6) as pool:
            list(
                pool.map(lambda row: deliver_sms.run(org_id=owner.org, message_id=row[0]), [*queued, *queued])
            )
            pool.submit(sweep_sms.run).result()

    for _ in range(12):
        nudge_all()
        clock.forward(1)
    assert len(owner.texts()) == 3
    clock.forward(HOUR / 3)
    for _ in range(6):
        nudge_all()
        clock.forward(1)
    assert len(owner.texts()) == 4
    assert owner.texts()[0].startswith("9 more hot leads since ")
    assert owner.told() == 12


def test_the_live_page_shows_every_lead_whatever_was_texted(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    from models.insight import live  # noqa: PLC0415

    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=1)
    owner.alerts(5, clock)
    worker.run(60)
    with transaction(uuid.UUID(owner.org)) as session:
        leads = live.read(session, uuid.UUID(owner.org)).leads
    assert leads.total == 5
    assert [lead.told_at is not None for lead in leads.rows].count(True) == 1


def test_a_lead_who_is_erased_takes_nothing_from_the_others_that_wait_with_it(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    owner = Owner(client, sql, twilio, hot_lead_alerts_an_hour=1)
    owner.alerts(1, clock)
    worker.run(30)
    erased = phone_number()
    for call in (owner.report(erased), owner.report(), owner.report()):
        clock.forward(3)
        score_call.run(org_id=owner.org, call_id=call)
    worker.run(30)
    with transaction(uuid.UUID(owner.org)) as session:
        privacy.erase(session, uuid.UUID(owner.org), [erased])
    worker.run(HOUR)
    assert owner.texts()[0].startswith("2 more hot leads since ")
    assert len(owner.texts()) == 2
