"""Nobody fills a diary with holds that nobody has proved, and an honest caller books meanwhile."""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from flask import Flask

from tests.conftest import Clock
from tests.factories import code_of, create_clinic, slot
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.signing import make_secret
from webapp import attacks

PATH = "/api/vapi/tools/booking/reserve-atomic"
TIMES = [(hour, minute) for hour in range(9, 17) for minute in (0, 30)]  # those of one day: sixteen
LIMITS: dict[str, Any] = {"unproved_holds": 30, "holds_per_phone": 3}
_numbers = itertools.count(10_000)
TRIES = 5  # of what is busy, as an agent tries again
SECONDS = 60.0  # longer than anything here takes on any machine


def mobile() -> str:
    """A number that can be a mobile in production, too. Nothing is sent: no worker runs here."""
    return f"+4474001{next(_numbers):05d}"


class Clinic:
    """One with the limits that a new clinic has, and a credential."""

    def __init__(self, app: Flask, *, calendars: tuple[str, ...] = ("cal-1",), **limits: int) -> None:
        self.app = app
        self.org = create_clinic(calendars, **(LIMITS | limits))
        self.headers = {"Authorization": f"Bearer {make_secret(self.org)}"}

    def post(self, path: str, body: object) -> dict[str, Any]:
        response = self.app.test_client().post(
            f"/api/vapi/tools/{path}", data=json.dumps(body).encode(), headers=self.headers
        )
        answer: dict[str, Any] = response.get_json()
        return answer

    def bare(self, path: str, **arguments: Any) -> dict[str, Any]:
        """As whoever has the credential and no telephone call."""
        for _ in range(TRIES):
            answer = self.post(path, {"toolCall": {"arguments": arguments}})
            if answer.get("code") != "busy":
                break
        return answer

    def reserve(self, time: str, **arguments: Any) -> dict[str, Any]:
        values = {"slotId": time, "patientName": "John", "patientPhone": mobile()}
        return self.bare("booking/reserve-atomic", **(values | arguments))

    def held(self, sql: psycopg.Connection, where: str = "true") -> int:
        row = sql.execute(
            "SELECT count(*) FROM appointment_holds"
            f" WHERE org_id = %s AND status = 'held' AND expires_at > app_clock() AND {where}",
            [self.org],
        ).fetchone()
        assert row is not None
        return int(row[0])


class Call:
    """A telephone call by way of Vapi."""

    def __init__(self, clinic: Clinic, number: str | None = None) -> None:
        self.clinic, self.number, self.id = clinic, number or mobile(), str(uuid.uuid4())

    def say(self, name: str, path: str, **arguments: Any) -> str:
        line = ""
        for _ in range(TRIES):
            body = message(tool_call(name, **arguments), call_id=self.id, number=self.number)
            line = self.clinic.post(path, body)["results"][0]["result"]
            if "code=busy" not in line:
                break
        return line

    def reserve(self, time: str, **arguments: Any) -> str:
        return self.say(
            "reserve_atomic", "booking/reserve-atomic", slotId=time, patientName="Jo", **arguments
        )

    def book(self, time: str, **arguments: Any) -> str:
        """What an honest caller does, to the end."""
        said = self.reserve(time, **arguments)
        assert "holdId=" in said, said
        hold = said.split("holdId=")[1].split()[0]
        assert "NOT BOOKED" not in self.say("send_otp_code", "booking/send-otp")
        return self.say("verify_otp", "booking/verify-otp", providedOTP=code_of(hold))


def of_day(days: int) -> list[str]:
    return [slot(days=days, hour=hour, minute=minute) for hour, minute in TIMES]


def at_once(acts: Sequence[Any], threads: int = 12) -> list[Any]:
    start = threading.Barrier(threads, timeout=SECONDS)

    def run(mine: Sequence[Any]) -> list[Any]:
        start.wait()
        return [act() for act in mine]

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(run, [acts[n::threads] for n in range(threads)], timeout=SECONDS))
    return [each for part in parts for each in part]


@pytest.fixture(autouse=True)
def in_production() -> Iterator[None]:
    """As it is by default, but for the rates: what is looked at here is how much is held, not how fast."""
    rates = dict.fromkeys(("RATE_PER_CREDENTIAL", "RATE_PER_CALL", "RATE_PER_PHONE"), "1000")
    with environment(APP_ENV="production", LOCK_TIMEOUT="30", **rates):
        yield


def attempts(sql: psycopg.Connection) -> int:
    assert attacks.flush()
    row = sql.execute("SELECT total FROM attack_counts WHERE kind = 'limited_holds'").fetchone()
    return int(row[0]) if row else 0


# --- attacks ------------------------------------------------------------------------------------


def test_one_credential_without_call_ids_does_not_hold_the_diary(app: Flask, sql: psycopg.Connection) -> None:
    clinic, before = Clinic(app), attempts(sql)
    every = [time for days in range(7, 19) for time in of_day(days)]
    codes = Counter(
        each.get("code") for each in at_once([lambda time=time: clinic.reserve(time) for time in every])
    )
    assert clinic.held(sql) == 30
    assert set(codes) == {None, "too_many_unproved_holds"}
    assert attempts(sql) == before + codes["too_many_unproved_holds"]
    # All the while honest callers book: from the patient's mobile, and for somebody else.
    free = next(time for time in every if clinic.held(sql, f"starts_at = '{time}'") == 0)
    assert Call(clinic).book(free).startswith("Booked")
    free = next(time for time in every if clinic.held(sql, f"starts_at = '{time}'") == 0 and time != free)
    assert Call(clinic).book(slot(days=20), patientPhone=mobile()).startswith("Booked")
    assert clinic.held(sql) == 29  # it took the place of one


def test_one_caller_holds_few_times_for_others_whatever_calls_it_makes(
    app: Flask, sql: psycopg.Connection
) -> None:
    clinic, number = Clinic(app), mobile()

    def call(time: str) -> str:
        return Call(clinic, number).reserve(time, patientPhone=mobile())

    every = of_day(7) + of_day(8) + of_day(9)
    said = at_once([lambda time=time: call(time) for time in every])
    assert clinic.held(sql) == 5
    assert sum("too_many_holds" in each for each in said) == len(every) - 5
    # A code changes nothing about how many these are; only when one is booked is there another.
    first = sql.execute(
        "SELECT call_sid, id::text FROM appointment_holds WHERE org_id = %s AND status = 'held' LIMIT 1",
        [clinic.org],
    ).fetchone()
    assert first is not None
    going_on = Call(clinic, number)
    going_on.id = first[0]
    assert "NOT BOOKED" not in going_on.say("send_otp_code", "booking/send-otp")
    assert "too_many_holds" in call(slot(days=10))
    assert going_on.say("verify_otp", "booking/verify-otp", providedOTP=code_of(first[1])).startswith(
        "Booked"
    )
    assert "holdId=" in call(slot(days=10))
    # The caller's own number is another matter.
    assert Call(clinic, number).book(slot(days=11)).startswith("Booked")


def test_a_day_is_not_filled_by_numbers_that_are_only_said(app: Flask, sql: psycopg.Connection) -> None:
    clinic = Clinic(app)

    def call(time: str) -> str:  # each with another caller, in another call
        return Call(clinic).reserve(time, patientPhone=mobile())

    at_once([lambda time=time: call(time) for time in of_day(7)])
    assert clinic.held(sql) == 8
    free = [time for time in of_day(7) if clinic.held(sql, f"starts_at = '{time}'") == 0]
    for time in free[:3]:
        assert Call(clinic).book(time).startswith("Booked")
    # Of thirteen that are not booked seven may be held so: the eight that are there stay, and no other comes.
    assert "too_many_unproved_holds" in call(free[4])
    assert clinic.held(sql) == 8


def test_not_even_invented_callers_fill_a_day_before_they_ask_for_codes(
    app: Flask, sql: psycopg.Connection
) -> None:
    clinic = Clinic(app)
    at_once([lambda time=time: Call(clinic).reserve(time) for time in of_day(7)])
    assert clinic.held(sql) == 12


def test_a_code_asked_for_each_hold_leaves_half_of_a_day(app: Flask, sql: psycopg.Connection) -> None:
    clinic = Clinic(app)
    for time in of_day(7):
        held = clinic.reserve(time)
        assert not held["success"] or clinic.bare("booking/send-otp", holdId=held["holdId"])["success"]
    assert clinic.held(sql, "code_digest IS NOT NULL") == 8
    assert clinic.held(sql) == 8
    free = next(time for time in of_day(7) if clinic.held(sql, f"starts_at = '{time}'") == 0)
    assert Call(clinic).book(free).startswith("Booked")


def test_a_scarce_day_keeps_a_time_for_a_callers_own_number(app: Flask, sql: psycopg.Connection) -> None:
    clinic = Clinic(app, unproved_holds=1000)
    for time in of_day(7)[:13]:
        assert Call(clinic).book(time).startswith("Booked")
    last = of_day(7)[13:]
    codes = [clinic.reserve(time).get("code") for time in last]
    assert codes == [None, None, "too_many_unproved_holds"]
    assert Call(clinic).book(last[2]).startswith("Booked")


def test_moving_and_coming_again_holds_no_more(app: Flask, sql: psycopg.Connection) -> None:
    clinic, number = Clinic(app), mobile()
    calls = [Call(clinic, number) for _ in range(5)]
    for days in (7, 8):
        for call, time in zip(calls, of_day(days), strict=False):
            assert "holdId=" in call.reserve(time, patientPhone=mobile())
    assert "too_many_holds" in Call(clinic, number).reserve(slot(days=9), patientPhone=mobile())
    assert clinic.held(sql) == 5


@pytest.mark.parametrize("calendars", [("cal-1",), tuple(f"cal-{n}" for n in range(48))])
def test_limits_are_kept_however_many_come_at_once(
    app: Flask, sql: psycopg.Connection, calendars: tuple[str, ...]
) -> None:
    clinic = Clinic(app, calendars=calendars, unproved_holds=7)
    times = of_day(7) + of_day(8) + of_day(9)
    wishes = [(time, calendars[n % len(calendars)]) for n, time in enumerate(times)]
    at_once(
        [lambda at=at, of=of: clinic.reserve(at, calendarId=of) for at, of in wishes],
        threads=16,
    )
    assert clinic.held(sql) == 7


def test_without_limits_all_of_it_is_held(app: Flask, sql: psycopg.Connection) -> None:
    """What the limits are for: a clinic that has none is full at once."""
    clinic = Clinic(app, unproved_holds=0)
    for time in of_day(7):
        assert clinic.reserve(time)["success"]
    assert clinic.held(sql) == 16


# --- giving way ---------------------------------------------------------------------------------


def fill(clinic: Clinic, days: int, count: int) -> list[tuple[Call, str]]:
    """So many calls, each of which holds one time for a number that it names; and those times."""
    calls = [(Call(clinic), time) for time in of_day(days)[:count]]
    for call, time in calls:
        assert "holdId=" in call.reserve(time, patientPhone=mobile())
    return calls


def test_a_hold_gives_way_after_two_minutes_and_is_told(
    app: Flask, sql: psycopg.Connection, clock: Clock
) -> None:
    clinic = Clinic(app)
    calls = fill(clinic, 7, 8)
    clock.forward(100)
    assert "too_many_unproved_holds" in Call(clinic).reserve(of_day(7)[8], patientPhone=mobile())
    clock.forward(21)
    # For the first one a code is asked for just in time: from then on it has its ten minutes.
    kept, _ = calls[0]
    assert "NOT BOOKED" not in kept.say("send_otp_code", "booking/send-otp")
    newcomers = [Call(clinic) for _ in range(7)]
    for newcomer, time in zip(newcomers, of_day(7)[8:15], strict=True):
        assert "holdId=" in newcomer.reserve(time, patientPhone=mobile())
    assert clinic.held(sql) == 8
    assert "too_many_unproved_holds" in Call(clinic).reserve(of_day(7)[15], patientPhone=mobile())
    late, time = calls[1]
    for name, path, given in (
        ("send_otp_code", "booking/send-otp", {}),
        ("verify_otp", "booking/verify-otp", {"providedOTP": "1234"}),
    ):
        said = late.say(name, path, **given)
        assert said.startswith("NOT BOOKED"), said
        assert "hold_displaced" in said
    # Its time came back free, and whoever has it booked it.
    assert Call(clinic).book(time).startswith("Booked")
    assert late.book(of_day(8)[0], patientPhone=mobile()).startswith("Booked")


def test_a_hold_that_somebody_is_working_on_is_passed_over(
    app: Flask, sql: psycopg.Connection, clock: Clock
) -> None:
    clinic = Clinic(app)
    fill(clinic, 7, 8)
    clock.forward(121)
    first = "SELECT id FROM appointment_holds WHERE org_id = %s ORDER BY created_at LIMIT 1"
    with sql.transaction():
        locked = sql.execute(f"{first} FOR UPDATE", [clinic.org]).fetchone()
        assert "holdId=" in Call(clinic).reserve(of_day(7)[8], patientPhone=mobile())
    status = sql.execute("SELECT status FROM appointment_holds WHERE id = %s", locked).fetchone()
    assert status == ("held",)
    assert clinic.held(sql) == 8


def test_who_holds_most_gives_way_first(app: Flask, sql: psycopg.Connection) -> None:
    clinic = Clinic(app, unproved_holds=6)
    honest = Call(clinic)
    assert "holdId=" in honest.reserve(slot(days=7), patientPhone=mobile())
    flood = [clinic.reserve(time)["holdId"] for time in of_day(8)[:5]]
    newcomers = [Call(clinic) for _ in range(4)]
    for newcomer, time in zip(newcomers, of_day(9), strict=False):
        assert "holdId=" in newcomer.reserve(time, patientPhone=mobile())
    # The flood has one left now, as everybody has: nobody else takes another's within two minutes.
    assert "too_many_unproved_holds" in Call(clinic).reserve(of_day(9)[9], patientPhone=mobile())
    assert clinic.reserve(of_day(8)[9])["code"] == "too_many_unproved_holds"
    codes = [clinic.bare("booking/send-otp", holdId=hold).get("code") for hold in flood]
    assert codes == ["hold_displaced"] * 4 + [None]
    for call in (honest, *newcomers):
        assert "NOT BOOKED" not in call.say("send_otp_code", "booking/send-otp")


def test_a_flood_never_takes_the_time_of_one_who_holds_one(
    app: Flask, sql: psycopg.Connection, clock: Clock
) -> None:
    clinic = Clinic(app, unproved_holds=6)
    honest = Call(clinic)
    assert "holdId=" in honest.reserve(slot(days=7), patientPhone=mobile())
    for time in of_day(8)[:5]:
        assert clinic.reserve(time)["success"]
    clock.forward(300)
    for time in of_day(9)[:8] + of_day(10)[:8]:
        clinic.reserve(time)
    assert clinic.held(sql) == 6
    assert "NOT BOOKED" not in honest.say("send_otp_code", "booking/send-otp")


def test_a_busy_clinic_meets_none_of_these_limits(app: Flask, sql: psycopg.Connection) -> None:
    """Thirty calls at once, all for the same four days; some name another number, some show none."""
    clinic = Clinic(app)
    times = [time for days in (7, 8, 9, 10) for time in of_day(days)][::2]

    def call(n: int) -> str:
        named = {"patientPhone": mobile()} if n % 5 == 0 else {}
        return Call(clinic).book(times[n], **named)

    said = at_once([lambda n=n: call(n) for n in range(30)], threads=15)
    assert all(each.startswith("Booked") for each in said), said
    assert sql.execute(
        "SELECT count(*) FROM appointment_holds WHERE org_id = %s AND status = 'displaced'", [clinic.org]
    ).fetchone() == (0,)
