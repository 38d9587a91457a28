"""The diary in a real browser: it moves by itself, and the desk books, moves and blocks in it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Dialog, Locator, Page, Route, expect

from tests.browser.conftest import WIDTHS, Opens, faults, sign_in
from tests.factories import phone_number, slot
from tests.stack import Stack

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]


def day(days: int) -> str:
    """A day in the form of addresses; each test has its own."""
    return slot(days=days)[:10]


def held(stack: Stack, day: str, hour: int, name: str) -> None:
    arguments = {
        "tenantId": "a0000000-0000-4000-8000-000000000001",
        "slotId": f"{day}T{hour:02}:00:00Z",
        "patientName": name,
        "patientPhone": phone_number(),
    }
    answer, _ = stack.tool("booking/reserve-atomic", **arguments)
    assert answer["success"], answer


def in_diary(page: Page, name: str) -> Locator:
    """What the page shows of one patient, in the columns or in the list."""
    return page.locator(".ec-event:visible, .entry:visible").filter(has_text=name)


def show(page: Page, day: str) -> None:
    """Opens a day, and waits for the columns where the window is wide enough for them."""
    page.goto(f"/dashboard/diary?day={day}")
    assert page.viewport_size
    if page.viewport_size["width"] > 1000 and ("days=7" not in day or "who=" in day):
        expect(page.locator("#columns")).to_be_visible()


def book(page: Page, day: str, time: str, name: str) -> None:
    page.goto(f"/dashboard/diary/new?day={day}")
    page.get_by_label("Or at another time").fill(time)
    page.get_by_label("The patient's name").fill(name)
    page.get_by_label("Telephone").fill(phone_number())
    page.get_by_role("button", name="Book", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Booked")


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_nobody_is_shut_out_of_the_diary(opened: Opens, width: str, scheme: str) -> None:
    that_day = day(21 + EVERY_LOOK.index((width, scheme)))
    with opened(width, scheme, signed_in=True) as page:
        book(page, that_day, "10:00", "Wolfeschlegelsteinhausenbergerdorff")
        assert faults(page) == []
        for path in ("", "&days=7", "&days=7&who=cal-1"):
            show(page, f"{that_day}{path}")
            expect(in_diary(page, "Wolfeschlegel").first).to_be_visible()
            assert faults(page) == [], path
        for path in ("new", "block"):
            page.goto(f"/dashboard/diary/{path}?day={that_day}")
            assert faults(page) == [], path


@pytest.mark.parametrize("width", WIDTHS)
def test_what_a_call_holds_appears_while_one_looks(stack: Stack, opened: Opens, width: str) -> None:
    that_day = day(32 if width == "desk" else 33)
    with opened(width, signed_in=True) as page:
        show(page, that_day)
        held(stack, that_day, 11, "Anna Held")
        expect(in_diary(page, "Anna Held")).to_be_visible()
        expect(in_diary(page, "Anna Held")).to_contain_text("left")
        assert faults(page) == []


def test_the_desk_books_moves_and_is_told_what_is_in_the_way(opened: Opens) -> None:
    that_day = day(34)
    with opened(signed_in=True, expects=["409"]) as page:
        book(page, that_day, "10:00", "First Patient")
        book(page, that_day, "13:00", "Second Patient")
        show(page, that_day)
        first, second = in_diary(page, "First Patient"), in_diary(page, "Second Patient")
        an_hour = (top(second) - top(first)) / 3
        said = drag(page, first, an_hour, dialogs=1)
        assert said[0].startswith("Move First Patient from 10:00 am to 11:00?")
        expect(first).to_contain_text("11:00 am")
        said = drag(page, first, an_hour * 2, dialogs=2)
        assert "that time is taken" in said[1]
        assert "Second Patient" in said[1]
        expect(first).to_contain_text("11:00 am")


def top(event: Locator) -> float:
    box = event.bounding_box()
    assert box
    return box["y"]


def drag(page: Page, event: Locator, down: float, *, dialogs: int) -> list[str]:
    """Drags an event and accepts so many dialogs; returns what they said."""
    said: list[str] = []

    def accept(dialog: Dialog) -> None:
        said.append(dialog.message)
        dialog.accept()

    page.on("dialog", accept)
    box = event.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + down / 2, steps=6)
    page.mouse.move(x, y + down, steps=6)
    page.mouse.up()
    while len(said) < dialogs:
        page.wait_for_event("dialog", predicate=lambda _: len(said) >= dialogs, timeout=60_000)
    page.remove_listener("dialog", accept)
    return said


@pytest.mark.parametrize("width", WIDTHS)
def test_an_hour_is_blocked_and_given_back(opened: Opens, width: str) -> None:
    that_day = day(35 if width == "desk" else 36)
    with opened(width, signed_in=True) as page:
        page.goto(f"/dashboard/diary/block?day={that_day}")
        page.get_by_label("Reason").fill("Training")
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_role("status")).to_contain_text("Blocked")
        assert faults(page) == []
        show(page, that_day)
        expect(in_diary(page, "Blocked: Training")).to_be_visible()
        in_diary(page, "Blocked: Training").get_by_role("link").click()
        page.get_by_role("button", name="Remove the block").click()
        expect(page.get_by_role("status")).to_contain_text("Removed")
        expect(in_diary(page, "Training")).to_have_count(0)


def test_what_lasts_for_days_does_not_make_the_columns_begin_at_midnight(opened: Opens) -> None:
    with opened("desk", signed_in=True) as page:
        page.goto(f"/dashboard/diary/block?day={day(41)}")
        page.locator("[name=until_day]").fill(day(44))
        page.get_by_label("Reason").fill("Building work")
        page.get_by_role("button", name="Block").click()
        expect(page.get_by_role("status")).to_contain_text("Blocked")
        there = page.url
        show(page, day(42))
        columns = page.locator("#columns")
        expect(in_diary(page, "Building work")).to_be_visible()
        expect(columns.get_by_text("10 am", exact=True)).to_be_visible()
        expect(columns.get_by_text("1 am", exact=True)).to_have_count(0)
        page.goto(there)
        page.get_by_role("button", name="Remove the block").click()
        expect(page.get_by_role("status")).to_contain_text("Removed")


def test_the_line_of_now_is_the_clinics_also_on_a_computer_of_another_zone(
    browser: Browser, stack: Stack
) -> None:
    stack.forget_tries()
    that_day = day(48)

    def at_half_past_ten(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"now": f"{that_day}T10:30:00"})

    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, base_url=stack.web_url, timezone_id="Pacific/Kiritimati"
    )
    try:
        page = context.new_page()
        sign_in(page)
        page.route("**/diary/entries?*", at_half_past_ten)
        page.goto(f"/dashboard/diary?day={that_day}")
        line = page.locator(".ec-bg-event.now").first
        expect(line).to_be_visible()
        columns = page.locator("#columns")
        ten, eleven = (top(columns.get_by_text(hour, exact=True)) for hour in ("10 am", "11 am"))
        half = (eleven - ten) / 2
        assert abs(top(line) - (ten + half)) < half / 2
        expect(page.locator(".ec-now-indicator")).to_have_count(0)
    finally:
        for each in context.pages:
            each.close()
        context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_change_shows_on_live_by_itself_and_its_time_is_free_again(opened: Opens, width: str) -> None:
    that_day = day(45 if width == "desk" else 46)
    name = f"Wolfeschlegelsteinhausenbergerdorff {width}"
    with opened(width, signed_in=True) as page:
        book(page, that_day, "10:00", name)
        there = page.url
        live = page.context.new_page()
        live.goto("/dashboard/live")
        expect(live.locator("#pulse")).to_contain_text("Live")
        page.get_by_text("Cancel the appointment").click()
        page.get_by_role("button", name="Cancel it").click()
        expect(page.get_by_role("status")).to_contain_text("Cancelled")
        change = live.locator("[data-part=changes] .row").filter(has_text=name)
        expect(change).to_contain_text("free again")
        expect(change).to_contain_text("Olivia Bright at the desk")
        assert faults(live) == []
        live.get_by_role("link", name=re.compile("changes? today")).click()
        expect(change).to_be_in_viewport()
        change.get_by_role("link", name=name).click()
        assert live.url == there


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_nobody_is_shut_out_of_the_patients_pages(opened: Opens, width: str, scheme: str) -> None:
    that_day = day(50 + EVERY_LOOK.index((width, scheme)))
    name = f"Hubert Blaine Wolfeschlegelsteinhausenbergerdorff {width} {scheme}"
    with opened(width, scheme, signed_in=True) as page:
        book(page, that_day, "10:00", name)
        page.get_by_role("link", name="the patient").click()
        expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()
        page.get_by_label("A note for the staff").fill("Donaudampfschifffahrtsgesellschaftskapitaen\nlatex")
        page.get_by_role("button", name="Save the note").click()
        expect(page.get_by_role("status")).to_contain_text("Noted.")
        assert faults(page) == []
        for there in ("/dashboard/patients", f"/dashboard/diary/new?day={that_day}"):
            page.goto(there)
            page.locator("#q").fill(name)
            page.get_by_role("button", name="Find").click()
            expect(page.get_by_role("link", name=name)).to_be_visible()
            assert "Hubert" not in page.url
            assert faults(page) == [], there
            page.get_by_role("link", name=name).click()
            page.go_back()
            expect(page.get_by_role("link", name=name)).to_be_visible()
