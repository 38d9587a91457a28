"""A calendar is published in a real browser: the link is there to be copied, and is shown once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import WIDTHS, Opens, faults

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_link_is_made_copied_and_revoked(opened: Opens, width: str, scheme: str) -> None:
    with opened(width, scheme, signed_in=True) as page:
        page.goto("/dashboard/settings/calendars")
        page.get_by_label("Whose diary").select_option(index=1)
        page.get_by_label("patients' names").check()
        assert faults(page) == []
        page.get_by_role("button", name="Make the link").click()
        link = page.get_by_label("Link", exact=True)
        expect(link).to_be_focused()
        selected = page.evaluate("() => document.activeElement.selectionEnd")
        address = link.input_value()
        assert re.fullmatch(r"http://.*/calendar/[\w-]{43}\.ics", address)
        assert selected == len(address)
        expect(page.get_by_role("link", name="this link")).to_have_attribute(
            "href", address.replace("http", "webcal", 1)
        )
        assert faults(page) == []
        read = page.request.get(address)
        assert read.text().startswith("BEGIN:VCALENDAR")
        page.get_by_role("link", name="I have copied it").click()
        expect(page.get_by_text("Last read").last).to_be_visible()
        assert faults(page) == []
        page.get_by_role("button", name=re.compile("^Revoke")).press("Enter")
        expect(page.get_by_text("The link no longer works.")).to_be_visible()
        assert page.request.get(address).status == 404
        assert faults(page) == []
