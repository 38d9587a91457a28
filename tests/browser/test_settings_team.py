"""The owners' pages of the clinic, its team and the record, in a real browser."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from sandbox import seed
from tests.browser.conftest import WIDTHS, Opens, faults

pytestmark = pytest.mark.journey

NEW = "a password of my own"


@pytest.mark.parametrize("width", WIDTHS)
def test_an_owner_adds_a_colleague_who_sets_a_password_and_is_in(opened: Opens, width: str) -> None:
    name = f"Sam {uuid.uuid4().hex[:8]}"  # the other tests of this clinic add one, too
    email = f"{name.replace(' ', '-').lower()}@clinic.example"
    with opened(width, signed_in=True) as page, opened(width, "dark") as theirs:
        page.goto("/dashboard/settings/team")
        assert faults(page) == []
        page.get_by_role("link", name="Add a colleague").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_label("E-mail address").fill(email)
        page.get_by_role("radio", name="Desk").check()
        page.get_by_label("Your own password").fill(seed.OWNER_PASSWORD)
        assert faults(page) == []
        page.get_by_role("button", name="Add and get the link").click()
        expect(page.get_by_role("heading", name=f"Link for {name}")).to_be_visible()
        assert faults(page) == []
        link = page.get_by_label("Link to set a password").input_value()

        theirs.goto(urlsplit(link).path)
        expect(theirs.get_by_text(f"Hello {name}")).to_be_visible()
        assert faults(theirs) == []
        theirs.get_by_label("Password, of 12").fill(NEW)
        theirs.get_by_label("The same password again").fill(NEW)
        theirs.keyboard.press("Enter")
        theirs.wait_for_url("**/dashboard/live")

        page.get_by_role("link", name="I have it").click()
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        assert faults(page) == []
        page.get_by_text("Disable …").click()
        page.get_by_role("button", name=f"Disable {name}").click()
        expect(page.get_by_role("status")).to_contain_text("may not sign in any more")
        theirs.goto("/dashboard/live")
        theirs.wait_for_url("**/dashboard/sign-in")
        page.goto("/dashboard/settings/record")
        expect(page.get_by_text(f"Added team member {name}")).to_be_visible()
        assert faults(page) == []


@pytest.mark.parametrize(("width", "scheme"), [("phone", "dark"), ("desk", "light")])
def test_the_clinic_is_changed_and_a_mistake_is_shown_at_its_field(
    opened: Opens, width: str, scheme: str
) -> None:
    with opened(width, scheme, signed_in=True, expects=["400"]) as page:
        page.goto("/dashboard/settings/clinic")
        for summary in page.locator("main summary").all():
            summary.click()
        expect(page.get_by_label("SMS segments a day")).to_be_visible()
        assert faults(page) == []
        alerts = page.get_by_label("Alert phone")
        before = alerts.input_value()
        alerts.fill("call me")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing was saved")
        expect(page.get_by_text("call me is no telephone number")).to_be_visible()
        assert faults(page) == []
        alerts.fill(before)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_contain_text("nothing was saved")
