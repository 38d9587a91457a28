"""The page behind the link in the SMS, in a real browser at the width of a telephone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from sandbox.dialogue import Booking
from sandbox.plays import play_booking
from tests.browser.conftest import Opens, faults
from tests.stack import Stack, eventually

pytestmark = pytest.mark.journey


def link_in(sms: str) -> str:
    found = re.search(r"https?://[^\s]+/a/[\w-]+", sms)
    assert found, sms
    return found[0]


def newer(stack: Stack, booking: Booking) -> str | None:
    """The confirmation that followed the first one."""
    (number,) = stack.row("SELECT patient_phone FROM appointments WHERE id = %s", booking.appointment_id)
    newest = next(body for body in stack.inbox(number) if "/a/" in body)
    return newest if newest != booking.confirmation.body else None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_appointment_is_moved_and_then_cancelled(stack: Stack, opened: Opens, scheme: str) -> None:
    with opened("phone", scheme, expects=["410 (GONE)"]) as page:
        booking = play_booking(stack.world)
        title = page.get_by_role("heading", level=1)
        page.goto(link_in(booking.confirmation.body))
        expect(title).to_have_text("Your appointment")
        assert faults(page) == []
        page.get_by_role("link", name="Move it").click()
        expect(title).to_have_text("Choose another time")
        assert faults(page) == []
        page.locator(".times label").last.click()
        page.get_by_role("button", name="Move my appointment").click()
        expect(title).to_have_text("Your appointment is moved")
        assert faults(page) == []
        page.go_back()
        page.goto(link_in(booking.confirmation.body))
        expect(title).to_have_text("This appointment was moved")
        assert faults(page) == []

        page.goto(link_in(eventually(lambda: newer(stack, booking))))
        page.get_by_role("link", name="Cancel it").click()
        expect(title).to_have_text("Cancel this appointment?")
        assert faults(page) == []
        page.get_by_role("button", name="Yes, cancel it").click()
        expect(title).to_have_text("Your appointment is cancelled")
        assert faults(page) == []
        (status,) = stack.row("SELECT status FROM appointments WHERE id = %s", booking.appointment_id)
        assert status == "cancelled"


def test_a_link_that_leads_nowhere_is_a_friendly_page(stack: Stack, opened: Opens) -> None:
    with opened("phone", expects=["404"]) as page:
        page.goto("/a/nosuchlink00")
        expect(page.get_by_role("heading", level=1)).to_have_text("We cannot find this appointment")
        assert faults(page) == []
