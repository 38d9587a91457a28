"""Whole bookings, and then everything that is kept of them: the database, Redis and the log.

A code, a credential, a Twilio token and the SECRET_KEY are in none of them. A name or a number is in the
database alone, and there in the columns that are listed here and in no other.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid

import pytest

import settings
from models.messaging import receipts
from tests.security import ground
from tests.security.told import REFUSED, Story
from tests.security.told import story as story  # the fixture  # noqa: PLC0414
from tests.webapp.agents import agent

#: Where something of a patient or a clinic may stand, as table.column. It must be found there, too.
ALLOWED: dict[str, set[str]] = {
    "patient's name": {"contacts.name", "appointment_holds.patient_name", "appointments.patient_name"},
    "patient's number": {
        "contacts.phone",
        "appointment_holds.patient_phone",
        "appointments.patient_phone",
        "sms_messages.to_phone",
        "calls.caller_number",
    },
    # Twilio's own sentence names the number that it refuses; ours does not.
    "refused number": {"contacts.phone", "appointment_holds.patient_phone", "sms_messages.to_phone"},
    # What was booked, and as the confirmation says it: in the SMS, and in the answer that repeats it.
    "service": {"appointments.service_type", "services.name", "tool_calls.reply"},
    "clinic's name": {"organizations.name", "sms_messages.body", "tool_calls.reply"},
    "clinic's number": {"organizations.phone", "sms_messages.body", "tool_calls.reply"},
    "sender's number": {"integration_settings.twilio_from_number"},
    "owner's number": {"integration_settings.hot_lead_alert_phone"},
    "lead's name": {"hot_lead_alerts.lead_name"},
    "lead's number": {"hot_lead_alerts.lead_phone"},
    "staff's name": {"staff_users.name"},
}


# --- what must be nowhere -----------------------------------------------------------------------


def test_every_patient_booked(story: Story) -> None:
    assert len(story.bookings) == 6
    assert all(booking.code and booking.appointment for booking in story.bookings)


def test_no_code_is_kept_anywhere(story: Story) -> None:
    """P4: not in digits, not in words, and not as a digest that could be tried out without the key."""
    for booking in story.bookings:
        code = booking.code
        spelled = {code, *(joint.join(code) for joint in (" ", "-", ", ", ",")), agent.spoken(code, "words")}
        digests = {
            hashlib.new(name, text.encode()).hexdigest()
            for name in ("md5", "sha1", "sha256", "sha512")
            for text in (code, booking.hold + code, f"{booking.hold}|{code}", f"{booking.hold}|1|{code}")
        }
        assert story.places(spelled) == set(), "P4: a code"
        assert story.places(digests) == set(), "P4: a digest without a key"


def test_no_secret_is_kept_anywhere(story: Story) -> None:
    secrets = {"SECRET_KEY": settings.get().secret_key}
    for purpose in ("otp-code", "otp-check", "sealed-secrets", "sms-receipts", "tool-arguments"):
        secrets[purpose] = settings.get().subkey(purpose).decode("latin-1")
    for clinic in {booking.clinic.org_id: booking.clinic for booking in story.bookings}.values():
        secrets |= {f"{name} of {clinic.letter}": secret for name, secret in clinic.secrets().items()}
    for name, secret in secrets.items():
        raw = secret.encode("latin-1")
        ways = {
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        }
        assert story.places({secret, raw.hex(), secret[:20], *ways}) == set(), name


def test_no_receipt_can_be_made_from_what_is_kept(story: Story) -> None:
    """The token in the address that Twilio reports to is told to Twilio alone."""
    queued = [kept.text for kept in story.database if kept.where == "sms_messages.id"]
    assert queued
    tokens = {
        receipts.receipt_token(uuid.UUID(message), attempt) for message in queued[-40:] for attempt in (1, 2)
    }
    assert story.places(tokens) == set()


def test_no_link_of_a_patients_is_kept_anywhere(story: Story) -> None:
    """Who has it may cancel the appointment."""
    for booking in story.bookings:
        [token] = [found for text in booking.texts for found in re.findall(r"/a/(\w+)", text)]
        assert story.places({token}) == set()


# --- what may be in the database alone ----------------------------------------------------------


def _needles(story: Story) -> dict[str, set[str]]:
    clinics = [booking.clinic for booking in story.bookings]

    def numbers(*written: str) -> set[str]:
        return {number.removeprefix("+44").removeprefix("+1") for number in written}

    return {
        "patient's name": {booking.name for booking in story.bookings}
        | {booking.name.split()[0] for booking in story.bookings},
        "patient's number": numbers(*(booking.number for booking in story.bookings)),
        "refused number": numbers(REFUSED),
        "service": {clinic.services[0] for clinic in clinics},
        "clinic's name": {clinic.name for clinic in clinics},
        "clinic's number": numbers(*(clinic.phone for clinic in clinics)),
        "sender's number": numbers(*(clinic.from_number for clinic in clinics)),
        "owner's number": numbers(*(clinic.owner_phone for clinic in clinics)),
        "lead's name": {f"{clinic.canary} lead" for clinic in clinics},
        "lead's number": numbers(*(clinic.lead_phone for clinic in clinics)),
        "staff's name": {f"{clinic.canary} owner" for clinic in clinics},
    }


@pytest.mark.parametrize("what", ALLOWED)
def test_names_and_numbers_stand_in_the_columns_that_are_listed(story: Story, what: str) -> None:
    # The number that Twilio refuses is the same for everybody: another test may have booked with it.
    elsewhere = {"appointments.patient_phone"} if what == "refused number" else set()
    assert story.places(_needles(story)[what], story.database) - elsewhere == ALLOWED[what]


@pytest.mark.parametrize("what", ALLOWED)
def test_redis_has_no_name_and_no_number(story: Story, what: str) -> None:
    assert story.places(_needles(story)[what], story.redis) == set()


@pytest.mark.parametrize("what", ALLOWED)
def test_the_log_has_no_name_and_no_number(story: Story, what: str) -> None:
    log = [kept for kept in story.log if kept.where == "the log"]
    assert story.places(_needles(story)[what], log) == set()


def test_our_own_code_logs_no_patient_even_before_anything_is_masked(story: Story) -> None:
    """The last line of defence is not the only one. What Twilio said of a number is the exception."""
    records = [kept for kept in story.log if kept.where == "our own records"]
    assert records
    for what in ("patient's name", "patient's number", "service"):
        assert story.places(_needles(story)[what], records) == set()


def test_a_task_is_told_ids_and_nothing_else(story: Story) -> None:
    broker = ground.broker()
    for queue in ("otp", "sms"):
        for arguments, keywords, _ in ground.payloads(broker, queue, 0):
            assert arguments == []
            assert {name: str(uuid.UUID(value)) for name, value in keywords.items()} == keywords
            assert set(keywords) == {"org_id", "message_id"}
    broker.close()
