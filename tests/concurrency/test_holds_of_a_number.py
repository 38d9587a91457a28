"""However many reserve at once for one number, it holds no more times than the clinic allows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
from flask import Flask

from tests.factories import create_clinic, phone_number, reserve, slot

RACERS = 12


def test_reservations_at_once_for_one_number_keep_to_its_limit(app: Flask, sql: psycopg.Connection) -> None:
    calendars = tuple(f"cal-{n}" for n in range(RACERS))  # no lock of a calendar puts them in a row
    org, number = create_clinic(calendars, holds_per_phone=3), phone_number()
    start = threading.Barrier(RACERS, timeout=120)

    def act(calendar: str) -> str | None:
        client = app.test_client()
        start.wait()
        answer = reserve(client, org, calendarId=calendar, patientPhone=number, slotId=slot())
        code: str | None = answer.get("code")
        return code

    with ThreadPoolExecutor(RACERS) as pool:
        codes = list(pool.map(act, calendars))
    held = sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
    assert held == (3,), codes
    assert set(codes) <= {None, "too_many_holds", "busy"}
