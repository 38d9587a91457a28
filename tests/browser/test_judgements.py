"""“Worth the call?” by one tap in a real browser, with scripts and without."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WIDTHS, Opens, faults, sign_in
from tests.browser.test_dashboard import a_hot_call
from tests.stack import Stack

pytestmark = pytest.mark.journey

#: Pixels, as WCAG 2.5.5 and Apple have it.
A_THUMB = 44


def row_of(page: Page, number: str) -> Locator:
    return page.locator("li.row").filter(has_text=number)


def find(page: Page, number: str) -> Locator:
    """The row of a lead, once its call is scored."""
    page.goto("/dashboard/live")
    expect(page.locator("[data-lead]").filter(has_text=number)).to_be_visible()
    page.goto("/dashboard/leads?band=hot")
    return row_of(page, number)


@pytest.mark.parametrize(("width", "scheme"), [("phone", "light"), ("phone", "dark"), ("desk", "light")])
def test_one_tap_in_the_list_and_one_on_the_page(
    stack: Stack, opened: Opens, width: str, scheme: str
) -> None:
    number = a_hot_call(stack)
    with opened(width, scheme, signed_in=True) as page:
        row = find(page, number)
        yes, no = (row.get_by_role("button", name=says) for says in ("Yes", "No"))
        for button in (yes, no):
            box = button.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= A_THUMB
        page.evaluate("() => { window.stays = true }")
        yes.click()
        expect(row.get_by_role("status")).to_contain_text("said yes")
        expect(yes).to_have_attribute("aria-pressed", "true")
        expect(yes).to_be_focused()
        assert page.evaluate("() => window.stays") is True  # the page was not loaded again
        no.click()
        expect(row.get_by_role("status")).to_contain_text("said no")
        assert faults(page) == []

        row.get_by_role("link").first.click()
        yes, no = (
            page.locator("main").get_by_role("button", name=says, exact=True) for says in ("Yes", "No")
        )
        expect(no).to_have_attribute("aria-pressed", "true")
        no.click()
        expect(no).to_have_attribute("aria-pressed", "false")
        yes.click()
        expect(page.get_by_role("status")).to_contain_text("said yes")
        assert faults(page) == []
        page.goto("/dashboard/reports")
        card = page.locator("section").filter(has=page.locator("#record-title"))
        expect(card).to_contain_text("worth the call")
        assert faults(page) == []


def test_without_scripts_the_page_comes_back_at_the_row(browser: Browser, stack: Stack) -> None:
    number = a_hot_call(stack)
    wide, high = WIDTHS["phone"]
    context = browser.new_context(
        viewport={"width": wide, "height": high}, base_url=stack.web_url, java_script_enabled=False
    )
    page = context.new_page()
    try:
        sign_in(page)
        page.goto("/dashboard/leads?band=hot")
        row = row_of(page, number)
        for _ in range(60):  # without a script a page shows what was when it was loaded
            if row.count():
                break
            page.wait_for_timeout(500)
            page.reload()
        row.get_by_role("button", name="Yes").click()
        expect(row_of(page, number).get_by_role("status")).to_contain_text("said yes")
        assert "/dashboard/leads?band=hot#lead-" in page.url
        row_of(page, number).get_by_role("button", name="Yes").click()
        expect(row_of(page, number).get_by_role("status")).to_have_text("")
    finally:
        page.close()
        context.close()


def test_a_tap_after_the_session_ended_leads_to_the_door(stack: Stack, opened: Opens) -> None:
    number = a_hot_call(stack)
    with opened("phone", signed_in=True, expects=["401"]) as page:
        row = find(page, number)
        page.context.clear_cookies()
        row.get_by_role("button", name="Yes").click()
        page.wait_for_url("**/dashboard/sign-in")
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
