"""The calendars from elsewhere in a real browser, read by the workers of the Procfile."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS, Opens, faults

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]

#: A name that exists nowhere (RFC 6761). Without a network some resolvers do not even say so.
ADDRESS = "https://calendar.invalid/private-s3cr3t/basic.ics"
WRONG = re.compile("no server of that name|took too long")


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_calendar_is_added_tried_at_once_and_removed(opened: Opens, width: str, scheme: str) -> None:
    with opened(width, scheme, signed_in=True, expects=["400"]) as page:
        page.goto("/dashboard/settings/calendars")
        expect(page.get_by_role("heading", name="Busy times from elsewhere")).to_be_visible()
        assert faults(page) == []
        _add(page, "https://me:secret@calendar.invalid/", "Google")
        expect(page.get_by_role("status")).to_contain_text("copy one that needs none")
        expect(page.get_by_label("Name in the diary").last).to_have_value("Google")
        assert faults(page) == []
        _add(page, ADDRESS, "Google")
        expect(page.get_by_role("status")).to_contain_text("It is being read now")
        row = page.locator("#feeds-in li").filter(has_text="Google")
        for _ in range(60):
            if row.get_by_text(WRONG).count():
                break
            page.wait_for_timeout(1000)  # the page has no script that would tell
            page.reload()
        expect(row).to_contain_text(WRONG)
        expect(row).to_contain_text("https://calendar.invalid/…")
        expect(page.locator("main")).not_to_contain_text("s3cr3t")
        row.locator("summary").click()
        assert faults(page) == []
        row.get_by_role("button", name="Turn off").press("Enter")
        expect(row).to_contain_text("Turned off")
        row.get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)


def _add(page: Page, address: str, label: str) -> None:
    form = page.locator("form").filter(has=page.get_by_label("Address"))
    form.get_by_label("Address").fill(address)
    form.get_by_label("Name in the diary").fill(label)
    form.get_by_role("button", name="Add").click()
