"""A new clinic is set up on the pages in a real browser, at both widths, and then takes a call."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Page, expect

from sandbox import seed
from tests.browser.conftest import WIDTHS, Opens, faults
from tests.factories import slot
from tests.stack import Stack

pytestmark = pytest.mark.journey

#: A name without a space to break it at.
LONG = "Wolfeschlegelsteinhausenbergerdorffsche"
EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]


def new_clinic(stack: Stack) -> tuple[str, str]:
    """A clinic with two people who have hours, and a room; its id, and the address of its owner."""
    org, email = str(uuid.uuid4()), f"{uuid.uuid4().hex[:12]}@clinic.example"
    insert = (
        "WITH clinic AS (INSERT INTO organizations (id, name, phone, region)"
        "   VALUES (%s, 'New Clinic', '+442079460958', 'GB') RETURNING id),"
        " people AS (INSERT INTO resources (org_id, id, kind, name, time_zone)"
        "   SELECT clinic.id, one.* FROM clinic, (VALUES ('anna', 'person', 'Anna', 'UTC'),"
        "     ('ben', 'person', %s, 'UTC'), ('room-1', 'room', 'Room 1', 'UTC')) one RETURNING id),"
        " owner AS (INSERT INTO staff_users (org_id, email, name, role, password_hash)"
        "   SELECT clinic.id, %s, 'Olu', 'owner', u.password_hash FROM clinic, staff_users u"
        "    WHERE u.email = %s RETURNING id)"
        " SELECT count(*) FROM people, owner"
    )
    assert stack.row(insert, org, LONG, email, seed.OWNER) == (3,)
    hours = (
        "WITH made AS (INSERT INTO resource_hours (org_id, resource_id, weekday, from_minute, until_minute)"
        " SELECT %s, who, day, 540, 1020 FROM unnest(ARRAY['anna', 'ben']) who, generate_series(0, 6) day"
        " RETURNING id) SELECT count(*) FROM made"
    )
    assert stack.row(hours, org) == (14,)
    return org, email


def sign_in(page: Page, email: str) -> None:
    page.goto("/dashboard")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(seed.OWNER_PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/settings")  # nothing can be booked there yet


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_new_clinic_follows_the_first_steps_and_takes_a_call(
    stack: Stack, opened: Opens, width: str, scheme: str
) -> None:
    org, email = new_clinic(stack)
    with opened(width, scheme, expects=["400"]) as page:
        sign_in(page, email)
        page.goto("/dashboard/settings")
        assert faults(page) == []
        expect(page.locator("[aria-current=step]")).to_contain_text("Add services")

        page.get_by_role("link", name="Add services").click()
        assert faults(page) == []
        page.get_by_role("link", name="Add a service").click()
        assert faults(page) == []
        page.get_by_label("Name").fill("Check-up")
        page.get_by_role("button", name="Add", exact=True).click()
        # Nobody was ticked: what was typed is still there, with a sentence that says what to change.
        expect(page.get_by_role("status")).to_contain_text("a service needs somebody who can do it")
        expect(page.get_by_label("Name")).to_have_value("Check-up")
        assert faults(page) == []
        page.get_by_label("Anna").check()
        page.get_by_label(LONG).check()
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("Check-up was added.")
        assert faults(page) == []

        page.goto("/dashboard/settings")
        expect(page.locator("[aria-current=step]")).to_contain_text("Add a calendar for calls")
        page.get_by_role("link", name="Add a calendar for calls").click()
        page.get_by_role("button", name="Add a calendar for anyone").click()
        expect(page.locator("main")).to_contain_text("Right now callers are offered")
        assert faults(page) == []

        answer, _ = stack.tool("calendar/check", tenantId=org, date=slot()[:10])
        assert answer["slots"], answer

        # By keyboard alone: the service gets a word that callers use for it.
        page.goto("/dashboard/settings/service/check-up")
        assert faults(page) == []
        page.get_by_label("Words that callers use for it").focus()
        page.keyboard.type("examination")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("Check-up was changed.")
        answer, _ = stack.tool("calendar/check", tenantId=org, date=slot()[:10], service="examination")
        assert answer["slots"], answer

        page.get_by_role("navigation", name="Settings").get_by_role("link", name="Telephone").click()
        page.get_by_role("link", name="New Clinic").click()
        assert faults(page) == []
        for path in ("/standing", "/phone/add"):
            page.goto(f"/dashboard/settings{path}")
            assert faults(page) == [], path
