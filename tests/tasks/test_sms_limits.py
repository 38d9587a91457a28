"""SMS over the limit of a number or of a clinic wait, and are sent in the end, once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from models.booking import links
from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.linked import Linked, at
from tests.tasks.bookings import PatientWorker, inbox
from tests.tasks.long_worker import DAY, HOUR, trouble
from tests.tasks.long_worker import worker as worker  # the fixture  # noqa: PLC0414
from webapp.limits import Limiter
from webapp.patient import pages
from webapp.state import per_app

HELD = "its number has been sent many texts, so it waits"


@pytest.fixture(autouse=True)
def _pages_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lift the limit of page requests per second, which is not the subject here."""
    monkeypatch.setattr(pages, "requests", per_app(lambda: Limiter(1000.0)))


def spoken(slot_id: str) -> str:
    moment = at(slot_id)
    return f"{moment:%a} {moment.day} {moment:%b %Y} at {moment.hour % 12 or 12}:{moment:%M}"


class Patient(Linked):
    """A patient who moves an appointment by the newest link that arrived on their telephone."""

    def __init__(
        self, client: FlaskClient, sql: psycopg.Connection, twilio: str, org: str, **more: Any
    ) -> None:
        super().__init__(client, sql, org, **more)
        self.phone = more.get("patientPhone", self.phone)
        self.twilio = twilio

    def move(self, hour: int, *, day: int = 14) -> int:
        token = links.derive(self.newest())
        response = self.client.post(f"/a/{token}/move", data={"slot": slot(hour=hour, days=day)})
        return response.status_code

    def cancel(self) -> int:
        return self.client.post(f"/a/{links.derive(self.newest())}/cancel").status_code

    def texts(self) -> list[str]:
        """The texts of all SMS but codes, newest first."""
        return [text for text in inbox(self.twilio, self.phone) if "code" not in text]

    def waiting(self) -> list[Any]:
        return self.sql.execute(
            "SELECT kind, cause FROM sms_messages WHERE to_phone = %s AND status = 'queued'", [self.phone]
        ).fetchall()


# --- to one number --------------------------------------------------------------------------------


def test_what_is_moved_again_while_its_text_waits_is_told_once_as_it_is_in_the_end(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    """A confirmation and two moves; then many moves by the newest links, and one SMS for all of them."""
    patient = Patient(client, sql, twilio, create_clinic(sandbox=True, texts_per_phone_a_day=3))
    for hour in (11, 12):
        worker.run(10)
        assert patient.move(hour) == 200
    worker.run(10)
    assert len(patient.texts()) == 3
    for hour in (11, 13, 11, 14):
        assert patient.move(hour) == 200
        worker.run(10)
    assert len(patient.texts()) == 3
    assert patient.waiting() == [("confirmation", HELD)]
    assert trouble(sql, patient.org) == {}
    worker.run(DAY / 3)
    assert patient.waiting() == []
    assert len(patient.texts()) == 4
    assert patient.texts()[0].startswith(f"Moved from {spoken(slot(hour=12))}")
    assert f" to {spoken(slot(hour=14))}" in patient.texts()[0]
    worker.run(DAY)
    assert len(patient.texts()) == 4


def test_several_appointments_of_one_number_share_its_texts_and_each_is_told_as_it_is_in_the_end(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    org, number = create_clinic(sandbox=True, texts_per_phone_a_day=6), phone_number()
    mine = [
        Patient(client, sql, twilio, org, start=slot(hour=10, days=20 + day), patientPhone=number)
        for day in range(4)
    ]
    for hour in (11, 12, 13):
        for day, each in enumerate(mine):
            worker.run(2)
            assert each.move(hour, day=20 + day) == 200
    worker.run(10)
    assert len(mine[0].texts()) == 6
    assert Counter(cause for _, cause in mine[0].waiting()) == {HELD: 4}
    worker.run(DAY)
    assert mine[0].waiting() == []
    assert len(mine[0].texts()) == 10
    for day in range(4):
        assert sum(f" to {spoken(slot(hour=13, days=20 + day))}" in text for text in mine[0].texts()) == 1


def test_confirmations_of_bookings_never_wait_for_their_number(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    """The agent has announced each confirmation, and each booking took a code from that telephone."""
    org, number = create_clinic(sandbox=True, texts_per_phone_a_day=1), phone_number()
    for day in range(3):
        patient = Patient(client, sql, twilio, org, start=slot(days=20 + day), patientPhone=number)
    worker.run(10)
    assert len(patient.texts()) == 3
    assert patient.waiting() == []


def test_a_cancellation_takes_the_place_of_a_move_that_waits_and_waits_itself(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    patient = Patient(client, sql, twilio, create_clinic(sandbox=True, texts_per_phone_a_day=1))
    worker.run(10)
    patient.move(11)
    worker.run(10)
    assert patient.cancel() == 200
    worker.run(10)
    assert patient.waiting() == [("cancellation", HELD)]
    worker.run(DAY)
    assert [text[:9] for text in patient.texts()] == ["Cancelled", "Confirmed"]


@pytest.mark.parametrize(("ahead", "told_within"), [(3, 3.0 / 2), (10, 8.0)])
def test_a_text_waits_no_longer_than_it_is_of_use(
    client: FlaskClient,
    sql: psycopg.Connection,
    twilio: str,
    clock: Clock,
    worker: PatientWorker,
    ahead: int,
    told_within: float,
) -> None:
    """Until two hours before the appointment at the latest, or for half of the time that is left."""
    calendar = {
        "opening": {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
    }
    org = create_clinic(sandbox=True, texts_per_phone_a_day=1, calendar=calendar)
    patient = Patient(client, sql, twilio, org)
    worker.run(10)
    [[now]] = sql.execute("SELECT app_clock()").fetchall()
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = hour + timedelta(hours=ahead + 1)
    clock.forward((start - timedelta(hours=ahead) - now).total_seconds())
    token = links.derive(patient.newest())
    form = {"slot": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
    assert client.post(f"/a/{token}/move", data=form).status_code == 200
    worker.run(told_within * HOUR - 60)
    assert len(patient.texts()) == 1
    worker.run(120)
    assert len(patient.texts()) == 2


def test_another_number_and_another_clinic_have_their_own(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    org, number = create_clinic(sandbox=True, texts_per_phone_a_day=2), phone_number()
    one = Patient(client, sql, twilio, org, patientPhone=number)
    other = Patient(client, sql, twilio, org, start=slot(days=20))
    elsewhere = create_clinic(sandbox=True, texts_per_phone_a_day=2)
    there = Patient(client, sql, twilio, elsewhere, patientPhone=number)
    for each, day in ((one, 14), (other, 20), (there, 14)):
        worker.run(10)
        assert each.move(11, day=day) == 200
    assert one.move(12) == 200
    worker.run(10)
    assert [cause for _, cause in one.waiting()] == [HELD]
    assert (len(one.texts()), len(other.texts())) == (4, 2)


def test_an_honest_patient_waits_for_nothing(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, worker: PatientWorker
) -> None:
    """With the default limits: two visits, each booked, moved twice and cancelled."""
    usual: dict[str, Any] = {
        "moves_per_appointment_a_day": 4,
        "texts_per_phone_a_day": 10,
        "segments_a_day": 3000,
    }
    org, number = create_clinic(sandbox=True, **usual), phone_number()
    for day in (20, 21):
        patient = Patient(client, sql, twilio, org, start=slot(days=day), patientPhone=number)
        for hour in (11, 12):
            worker.run(10)
            assert patient.move(hour, day=day) == 200
        worker.run(10)
        assert patient.cancel() == 200
    worker.run(10)
    assert patient.waiting() == []
    assert len(patient.texts()) == 8


# --- by the clinic in total ---------------------------------------------------------------------


def test_the_clinics_segments_leave_confirmations_a_reserve_and_what_is_beyond_it_is_held_in_sight(
    client: FlaskClient, sql: psycopg.Connection, twilio: str, clock: Clock, worker: PatientWorker
) -> None:
    """Of 100 segments a day half are available at once, and codes may use four fifths of these."""
    org = create_clinic(sandbox=True, segments_a_day=100)
    held = [reserve(client, org, slotId=slot(hour=9 + n % 8, days=20 + n // 8))["holdId"] for n in range(41)]
    answers = [bare(client, "booking/send-otp", holdId=hold) for hold in held]
    assert all(answer["success"] for answer in answers[:40])
    assert answers[40]["code"] == "too_many_codes"
    assert "sent as many text messages as it may for now" in answers[40]["say"]
    assert "Call again in an hour, or let the clinic book this by hand." in answers[40]["say"]
    booked = [
        bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))["appointmentId"]
        for hold in held[:7]
    ]
    worker.run(30)
    assert states(sql, org) == {"queued": 2, "sent or delivered": 5}
    assert trouble(sql, org) == {"held": 2}
    late = [
        bare(client, "booking/send-confirmation", appointmentId=each)
        for each in booked
        if "many text messages" in bare(client, "booking/send-confirmation", appointmentId=each)["say"]
    ]
    assert len(late) == 2
    assert "The appointment is booked. Its confirmation follows later" in late[0]["say"]
    worker.run(HOUR)
    assert states(sql, org) == {"sent or delivered": 7}
    assert trouble(sql, org) == {}


def test_a_text_abroad_counts_four(client: FlaskClient, sql: psycopg.Connection, clock: Clock) -> None:
    org = create_clinic(sandbox=True, segments_a_day=100, allowed_countries=["GB", "IE"])
    clock.stop()
    sent = 0
    for number in range(11):
        numbers = {"patientPhone": f"+35385123{number:04d}"}
        hold = reserve(client, org, slotId=slot(hour=9 + number % 8, days=20 + number // 8), **numbers)[
            "holdId"
        ]
        sent += bare(client, "booking/send-otp", holdId=hold)["success"]
    assert sent == 10


def test_many_codes_at_once_are_no_more_than_the_clinics_segments(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org = create_clinic(sandbox=True, segments_a_day=100)
    clock.stop()
    held = [reserve(client, org, slotId=slot(hour=9 + n % 8, days=20 + n // 8))["holdId"] for n in range(48)]
    app = client.application

    def ask(hold: str) -> bool:
        return bool(bare(app.test_client(), "booking/send-otp", holdId=hold)["success"])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, held)) == 40


def states(sql: psycopg.Connection, org: str) -> dict[str, int]:
    return dict(
        sql.execute(
            "SELECT CASE WHEN status IN ('sent', 'delivered') THEN 'sent or delivered' ELSE status END,"
            " count(*) FROM sms_messages WHERE org_id = %s AND kind <> 'otp' GROUP BY 1",
            [org],
        ).fetchall()
    )
