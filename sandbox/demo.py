"""The call that `make demo` plays, from the patient to the owner's telephone, checked at every step."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from sandbox.caller import INBOX, WEB
from sandbox.dialogue import Booking, World
from sandbox.live_page import LivePage
from sandbox.phone import SMS_PATIENCE, Phone
from sandbox.seed import CALENDAR, OWNER, OWNER_PASSWORD
from sandbox.steps import DidNotHold, must
from sandbox.story import Teller, Terminal

#: The reported length of the demonstration's call: an alert needs more than five minutes.
DEMO_SECONDS = 412
HOT = 70

#: The facts that a model of Vapi would report about this call.
FACTS = {
    "purpose": {"value": "appointment", "quote": "I want to go ahead"},
    "decision": {"value": "goes_ahead", "quote": "I want to go ahead"},
    "treatment": {"value": "dental implants", "quote": "I have been quoted for two implants"},
    "treatment_kind": {"value": "major", "quote": "two implants"},
    "call_back": {"value": "asked", "quote": "Yes please, as soon as you can"},
}

_CLINIC = """
SELECT o.name, o.phone, c.time_zone, i.hot_lead_alert_phone FROM organizations o
  JOIN calendars c ON c.org_id = o.id JOIN integration_settings i ON i.org_id = o.id
 WHERE o.id = %s AND c.id = %s"""
_APPOINTMENT = """
SELECT id, status, scheduled_at, confirmation_sms_sent, confirmation_sms_id, confirmation_sms_sent_at
  FROM appointments WHERE id = %s"""
_LEAD = """
SELECT duration, lead_score, lead_band, lead_reasons FROM calls WHERE org_id = %s AND id = %s"""
_DELIVERY = """
SELECT message_id, status, delivery_timestamp FROM sms_confirmation_logs WHERE appointment_id = %s"""


def tell_the_story(*, web_url: str, inbox_url: str, database_url: str, flower_url: str | None = None) -> bool:
    """Play one call, tell it on the terminal and check every step; returns whether every step held."""
    teller = Terminal()
    world = World(web_url, inbox_url, teller=teller)
    try:
        _tell(world, database_url)
    except DidNotHold as failure:
        teller.failed(failure.step, failure.instead)
        return False
    except psycopg.Error as error:
        teller.failed("the database answers", " ".join(str(error).split()))
        return False
    _where_next(teller, web_url, inbox_url, flower_url)
    return True


def _tell(world: World, database_url: str) -> None:
    clinic = _row(database_url, _CLINIC, world.tenant_id, CALENDAR)
    world.teller.scene(f"A phone call to {clinic['name']}, {clinic['phone']}")
    patient = world.caller("Amelia Hart")
    patient.hears(f"{clinic['name']}, how can I help?")
    slot = patient.finds_a_time()
    hold_id = patient.holds(slot)

    world.teller.scene("Meanwhile, on another line")
    second = world.caller("Theo Lane", "Caller 2")
    instead, *_ = second.is_refused(slot)
    second.hears(f"I am sorry, that has just gone. I could offer {instead.label}.")
    second.says("I will think about it, thank you.")
    second.hangs_up()

    world.teller.scene("Back on the first line")
    booking = patient.books(slot, hold_id)
    _check_words(booking, clinic)
    patient.says(
        "It has arrived, thank you. And I have been quoted for two implants, and I want to go ahead."
    )
    patient.hears("I will have the clinic ring you about that today.")
    patient.says("Yes please, as soon as you can. Goodbye.")
    owner = Phone(world.inbox_url, clinic["hot_lead_alert_phone"], world.teller)
    patient.hangs_up()

    world.teller.scene("What the database says now")
    delivery = _await_receipt(database_url, booking)
    appointment = _row(database_url, _APPOINTMENT, booking.appointment_id)
    world.teller.row("appointments", appointment)
    world.teller.row("sms_confirmation_logs", delivery)
    _check_rows(patient.phone, booking, appointment)

    world.teller.scene("After the call")
    with LivePage(world.web_url, OWNER, OWNER_PASSWORD) as page:
        world.teller.event(f"{page.name} is signed in and has the live page open")
        patient.call.report(patient.said, DEMO_SECONDS, FACTS)
        lead = _await_score(database_url, world.tenant_id, patient.call.id)
        world.teller.row("calls", lead)
        must(lead["lead_score"] >= HOT, f"who wants implants now is a hot lead: {HOT} or more", lead)
        shown = page.wait_for_lead(patient.call.id)
        world.teller.event(f"the live page moves by itself: {shown}")
    alert = owner.wait_for_sms("Hot lead")
    must(patient.phone.number in alert.body, "the owner's SMS names the lead's number", alert.body)

    world.teller.held(
        "Every step held: one time, one booking, one confirmation, with one id in answer, inbox and row;"
        " and a lead that the owner knows of and the live page shows."
    )


def _check_words(booking: Booking, clinic: dict[str, Any]) -> None:
    starts_at = datetime.fromisoformat(booking.slot.id).astimezone(ZoneInfo(clinic["time_zone"]))
    words = [
        f"{starts_at.day} {starts_at:%b}",
        f"{starts_at.hour % 12 or 12}:{starts_at:%M}",
        clinic["name"],
        "change",
    ]
    missing = [word for word in words if word not in booking.confirmation.body]
    must(
        not missing,
        "the confirmation names date, time, clinic and how to change it",
        f"{missing} is not in “{booking.confirmation.body}”",
    )


def _await_score(database_url: str, org_id: str, call_id: str) -> dict[str, Any]:
    """The call's row, once a worker has scored it."""
    until = time.monotonic() + SMS_PATIENCE
    while (row := _row(database_url, _LEAD, org_id, call_id))["lead_score"] is None:
        must(time.monotonic() < until, f"the call is scored within {SMS_PATIENCE:.0f} s", row)
        time.sleep(0.2)
    reasons = sorted(row.pop("lead_reasons"), key=lambda reason: -abs(int(reason["points"])))
    for number, reason in enumerate(reasons[:3], 1):
        row[f"why {number}"] = f"{reason['points']:+d} {reason['why']}"
    return row


def _await_receipt(database_url: str, booking: Booking) -> dict[str, Any]:
    """The confirmation's row, once Twilio's receipt has arrived."""
    until = time.monotonic() + SMS_PATIENCE
    while (row := _row(database_url, _DELIVERY, booking.appointment_id))["status"] != "delivered":
        must(
            time.monotonic() < until,
            f"sms_confirmation_logs says delivered within {SMS_PATIENCE:.0f} s",
            row,
        )
        time.sleep(0.1)
    must(row["message_id"] == booking.confirmation.sid, "sms_confirmation_logs has the same id", row)
    return row


def _check_rows(phone: Phone, booking: Booking, appointment: dict[str, Any]) -> None:
    sid = booking.confirmation.sid
    must(appointment["status"] == "confirmed", "the appointment is confirmed", appointment)
    must(
        appointment["scheduled_at"] == datetime.fromisoformat(booking.slot.id),
        "the appointment is at the time that was asked for",
        appointment,
    )
    must(
        appointment["confirmation_sms_sent"] is True and appointment["confirmation_sms_id"] == sid,
        f"confirmation_sms_sent is true, with the id {sid}",
        appointment,
    )
    confirmations = [sms.body for sms in phone.messages() if "confirmed" in sms.body.casefold()]
    must(len(confirmations) == 1, "exactly one confirmation was sent", confirmations)


def _row(database_url: str, query: str, *values: object) -> dict[str, Any]:
    """The one row that a query finds, as an operator who sees every clinic."""
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", database_url)
    with psycopg.connect(
        url, autocommit=True, row_factory=dict_row, connect_timeout=5, options="-c app.scope=system"
    ) as connection:
        connection.execute(
            "SELECT set_config('app.scope', 'system', false), set_config('TimeZone', 'UTC', false)"
        )
        rows = connection.execute(query.encode(), [str(value) for value in values]).fetchall()
    must(len(rows) == 1, f"the database has one row for {values[0]}: {' '.join(query.split())}", rows)
    return rows[0]


def _where_next(teller: Teller, web_url: str, inbox_url: str, flower_url: str | None) -> None:
    flower = flower_url or f"http://{urlsplit(web_url).hostname}:{os.environ.get('FLOWER_PORT', '5555')}"
    login = os.environ.get("FLOWER_BASIC_AUTH", "holdline:holdline").replace(":", "/", 1)
    teller.scene("Where to look next")
    teller.look("what the clinic's staff see", f"{web_url}/dashboard")
    teller.look("  sign in with", f"{OWNER} / {OWNER_PASSWORD}")
    teller.look("what patients were sent", f"{inbox_url}/")
    teller.look("what the agent can ask (OpenAPI)", f"{web_url}/docs")
    teller.look("the tasks (Flower)", f"{flower}/  ({login})")
    teller.look("the rows", "make psql")
    where = "" if (web_url, inbox_url) == (WEB, INBOX) else f" --web {web_url} --inbox {inbox_url}"
    teller.look("another caller", f".venv/bin/python -m sandbox.plays{where} --play taken-slot")
