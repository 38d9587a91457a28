"""One's own account in a real browser: where one is signed in, and the second factor from start to end."""

from __future__ import annotations

import time

import pyotp
import pytest
from playwright.sync_api import Page, expect

from models.clinics import second_factor
from sandbox import seed
from tests.browser.conftest import WIDTHS, Opens, faults, sign_in

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]


def proved(page: Page, button: str) -> None:
    page.goto("/dashboard/account")
    page.locator("#proof").fill(seed.OWNER_PASSWORD)
    page.get_by_role("button", name=button).click()


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_second_factor_is_turned_on_used_and_turned_off(opened: Opens, width: str, scheme: str) -> None:
    with opened(width, scheme, signed_in=True, expects=["403"]) as page:
        page.goto("/dashboard/account")
        expect(page.get_by_role("heading", name="Where you are signed in")).to_be_visible()
        expect(page.get_by_text("this browser")).to_have_count(1)
        assert faults(page) == []
        proved(page, "Set up")
        expect(page.get_by_role("img", name="QR code")).to_be_visible()
        assert faults(page) == []
        app = pyotp.TOTP((page.locator("main code").text_content() or "").replace(" ", ""))
        page.get_by_label("six digits").fill("0")
        page.get_by_role("button", name="Turn on").click()
        expect(page.get_by_role("alert")).to_contain_text("This code is not right")
        assert faults(page) == []
        page.get_by_label("six digits").fill(app.now())
        page.get_by_role("button", name="Turn on").click()
        expect(page.locator("main li code")).to_have_count(second_factor.RECOVERY_CODES)
        assert faults(page) == []
        page.get_by_role("link", name="I have kept them").click()
        expect(page.locator("main")).to_contain_text("10 recovery codes are left")
        assert faults(page) == []
        page.locator("summary").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_label("E-mail address").fill(seed.OWNER)
        page.get_by_label("Password").fill(seed.OWNER_PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Your code")).to_be_visible()
        expect(page.get_by_label("Code from your app")).to_be_focused()
        assert faults(page) == []
        # The one after the code that was just used, which does not work again.
        page.get_by_label("Code from your app").fill(app.at(int(time.time()) + second_factor.STEP))
        page.keyboard.press("Enter")
        page.wait_for_url("**/dashboard/live")
        proved(page, "Turn off")
        expect(page.get_by_role("status")).to_contain_text("The second factor is off")
        assert faults(page) == []


def test_a_session_is_ended_from_another_browser(opened: Opens) -> None:
    with opened("phone", signed_in=True, expects=["401", "detail"]) as phone, opened("desk") as desk:
        sign_in(desk)
        desk.goto("/dashboard/account")
        while desk.get_by_role("button", name="End the session").count():
            desk.get_by_role("button", name="End the session").first.click()
            expect(desk.get_by_role("status")).to_contain_text("That session is over")
        assert faults(desk) == []
        # The stream ends with its session, and the page that it fed goes to the sign-in by itself.
        phone.wait_for_url("**/dashboard/sign-in")
