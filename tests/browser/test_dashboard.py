"""The clinic's pages in a real browser, narrow and wide, light and dark."""

from __future__ import annotations

import re
import signal
import time
import uuid

import pytest
import requests
from playwright.sync_api import Page, expect

from sandbox import demo
from sandbox.caller import Call
from tests.browser.conftest import WIDTHS, Opens, faults
from tests.factories import phone_number, slot
from tests.stack import Stack

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
SAID = [
    {"role": "bot", "message": "How can I help?"},
    {"role": "user", "message": "I was quoted for two implants and I want to go ahead. How soon can I come?"},
    {"role": "bot", "message": "Tuesday at ten?"},
    {"role": "user", "message": "Tuesday at ten is perfect, put me down please."},
]


def a_hot_call(stack: Stack) -> str:
    """A call that is over, with a caller who wants implants; its number as the page writes it."""
    number = phone_number()
    call = Call(stack.web_url, number)
    call.tool("check_availability", date=slot(days=3)[:10])
    call.hang_up()
    call.report(SAID, demo.DEMO_SECONDS, demo.FACTS)
    return f"+44 {number[3:7]} {number[7:]}"


def hot_leads(page: Page) -> int:
    return page.locator("[data-lead]").count()


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_a_hot_lead_appears_while_one_looks(stack: Stack, opened: Opens, width: str, scheme: str) -> None:
    with opened(width, scheme, signed_in=True) as page:
        expect(page.locator("#pulse")).to_contain_text("Live")
        before = hot_leads(page)
        number = a_hot_call(stack)
        lead = page.locator("[data-lead]").filter(has_text=number)
        expect(lead).to_be_visible(timeout=60_000)
        expect(lead).to_contain_text("hot")
        expect(page.locator("#news")).to_contain_text("New hot lead")
        assert hot_leads(page) == before + 1
        assert faults(page) == []
        lead.get_by_role("link").first.click()
        expect(page.get_by_role("heading", name="Why this score")).to_be_visible()
        expect(page.locator("main")).to_contain_text("I want to go ahead")
        assert faults(page) == []
        page.get_by_role("button", name="Called back").click()
        expect(page.locator("main")).to_contain_text("Olivia Bright")


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_nobody_is_shut_out_of_any_page(opened: Opens, width: str, scheme: str) -> None:
    with opened(width, scheme) as page:
        for path in ("/dashboard/sign-in", "/docs"):
            page.goto(path)
            assert faults(page) == [], path
    with opened(width, scheme, signed_in=True) as page:
        for path in ("live", "leads", "messages", "calls", "reports"):
            page.goto(f"/dashboard/{path}")
            assert faults(page) == [], path
        hidden = "() => { const e = document.querySelector('.scroll'); return e.scrollWidth - e.clientWidth }"
        assert page.evaluate(hidden) <= 0  # of the daily report


#: The words of the heads of tables that a line break has cut in two.
CUT_IN_TWO = r"""() => [...document.querySelectorAll("thead:not(.unseen) th")].flatMap(head => {
    const text = head.firstChild, range = document.createRange()
    return [...(text ? text.data : "").matchAll(/\S+/g)].filter(word => {
        range.setStart(text, word.index)
        range.setEnd(text, word.index + word[0].length)
        return new Set([...range.getClientRects()].map(each => each.top)).size > 1
    }).map(word => word[0])
})"""


@pytest.mark.parametrize("width", WIDTHS)
def test_no_word_above_a_column_is_cut_in_two(stack: Stack, opened: Opens, width: str) -> None:
    call = Call(stack.web_url, phone_number())
    call.tool("reserve_atomic", slotId=slot(days=4), patientName="Ann")
    call.tool("send_otp_code")
    with opened(width, signed_in=True) as page:
        page.goto("/dashboard/reports")
        expect(page.get_by_role("columnheader", name="Median")).to_be_visible()
        assert page.evaluate(CUT_IN_TWO) == []


def test_what_is_committed_is_seen_within_a_second_and_counts_down(stack: Stack, opened: Opens) -> None:
    took = []
    with opened(signed_in=True) as page:
        expect(page.locator("#pulse")).to_contain_text("Live")
        for _ in range(3):
            # Four figures in it would be taken for a code, and not kept.
            letters = uuid.uuid4().hex[:6].translate(str.maketrans("0123456789", "ghijklmnop"))
            name = f"Canary {letters} <b>bold</b>"
            call = Call(stack.web_url, phone_number())
            free = call.tool("check_availability", date=slot(days=30)[:10]).slots[-1]
            began = time.monotonic()
            held = call.tool("reserve_atomic", slotId=free.id, calendarId="cal-1", patientName=name)
            assert held.facts["holdId"]
            hold = page.locator("[data-part=holds] .row").filter(has_text=name)
            expect(hold).to_be_visible()
            took.append(time.monotonic() - began)
            left = hold.locator("time")
            expect(left).to_have_text(re.compile(r"^9:5\d$"))
            first = left.text_content()
            expect(left).not_to_have_text(first or "")
            call.hang_up()
            expect(hold).to_have_count(0)
    # Of three, for others work on this machine, too. The request and the browser's own round are within it.
    assert min(took) < 1.5


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_times_held_without_a_code_are_given_back(
    stack: Stack, opened: Opens, width: str, scheme: str
) -> None:
    number = phone_number()
    with opened(width, scheme, signed_in=True) as page:
        for minute in (0, 1, 2):
            call = Call(stack.web_url, number)
            free = call.tool("check_availability", date=slot(days=29)[:10]).slots[minute]
            held = call.tool(
                "reserve_atomic",
                slotId=free.id,
                calendarId="cal-1",
                patientName=f"Wanda Held {'abc'[minute]}",
                patientPhone=phone_number(),
            )
            assert held.facts["holdId"], held
        several = page.locator(".askers .row").filter(has_text="from one caller")
        expect(several).to_contain_text("3 without a code")
        expect(page.locator("[data-part=holds]")).to_contain_text("number only said")
        assert faults(page) == []
        page.locator(".row.held").filter(has_text="Wanda Held a").get_by_role("button").click()
        expect(page.locator(".notice")).to_contain_text("one time was given back")
        expect(several).to_contain_text("2 without a code")
        several.get_by_role("button").click()
        expect(page.locator(".notice")).to_contain_text("2 times were given back")
        expect(page.locator(".row.held").filter(has_text="Wanda Held")).to_have_count(0)
        assert faults(page) == []


def test_the_page_comes_back_by_itself_and_shows_nothing_twice(stack: Stack, opened: Opens) -> None:
    with opened(signed_in=True) as page:
        expect(page.locator("#pulse")).to_contain_text("Live")
        before = hot_leads(page)
        masters = [each for each in stack.processes("gunicorn", "wsgi:app") if each.children()]
        masters[0].send_signal(signal.SIGHUP)  # every web process is replaced, and every stream is cut
        number = a_hot_call(stack)
        expect(page.locator("[data-lead]").filter(has_text=number)).to_be_visible(timeout=60_000)
        expect(page.locator("#pulse")).to_contain_text("Live")
        assert hot_leads(page) == before + 1


def test_when_every_stream_is_taken_the_page_moves_all_the_same(stack: Stack, opened: Opens) -> None:
    with opened(signed_in=True) as page:
        cookies = {each["name"]: each["value"] for each in page.context.cookies()}
        taken: list[requests.Response] = []
        page.goto("/dashboard/reports")
        while len(taken) < 50:
            stream = requests.get(
                f"{stack.web_url}/dashboard/live/stream", cookies=cookies, stream=True, timeout=10
            )
            if stream.headers["Content-Type"] != "text/event-stream; charset=utf-8":
                stream.close()
                if len(taken) >= 8:
                    break
                continue
            taken.append(stream)
        try:
            page.goto("/dashboard/live")
            number = a_hot_call(stack)
            expect(page.locator("[data-lead]").filter(has_text=number)).to_be_visible(timeout=60_000)
            expect(page.locator("#pulse")).to_contain_text("Live")
        finally:
            for stream in taken:
                stream.close()


def test_by_keyboard_alone(opened: Opens) -> None:
    with opened() as page:
        page.goto("/dashboard")
        expect(page.get_by_label("E-mail address")).to_be_focused()
        page.keyboard.type("owner@brightsmile.example")
        page.keyboard.press("Tab")
        page.keyboard.type("bright smile demo")
        page.keyboard.press("Enter")
        page.wait_for_url("**/dashboard/live")
        expect(page.get_by_role("heading", name="Live", level=1)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to the page")).to_be_focused()
        for title in ("Diary", "Live", "Leads"):
            page.keyboard.press("Tab")
            expect(page.get_by_role("link", name=title, exact=True)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Leads", level=1)).to_be_visible()
