"""The owners' pages of people and closed days in a real browser, on a telephone and on a desk."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS, Opens, faults
from tests.factories import slot
from tests.stack import Stack

pytestmark = pytest.mark.journey

CLINIC = "a0000000-0000-4000-8000-000000000001"

#: Far from the days of the other tests, and a Tuesday, to which Monday's hours are copied.
DAY = date.fromisoformat(slot(days=60)[:10])
TUESDAY = DAY + timedelta(days=(1 - DAY.weekday()) % 7)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).last.click()


def add_person(page: Page, name: str) -> None:
    page.goto("/dashboard/settings/people")
    page.get_by_text("Add a person, room or device").click()
    page.get_by_label("Name").fill(name)
    press(page, "Add")
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def free_with(stack: Stack, name: str) -> list[str]:
    arguments = {"tenantId": CLINIC, "date": TUESDAY.isoformat(), "person": name}
    answer, _ = stack.tool("calendar/check", **arguments)
    slots = [each["slotId"] for each in answer.get("slots", [])]
    return [each for each in slots if each.startswith(TUESDAY.isoformat())]


@pytest.mark.parametrize("width", WIDTHS)
def test_an_owner_adds_a_person_with_hours_who_is_then_offered(
    stack: Stack, opened: Opens, width: str
) -> None:
    name = f"Dr New Of {width.title()}"
    with opened(width, signed_in=True) as page:
        add_person(page, name)
        expect(page.get_by_text("is never offered")).to_be_visible()
        assert faults(page) == []
        assert free_with(stack, name) == []
        page.get_by_role("link", name="Set the hours").click()
        page.get_by_label("Monday, 1: from").fill("09:00")
        page.get_by_label("Monday, 1: until").fill("10:00")
        press(page, "Copy Monday to Tuesday\N{EN DASH}Friday")
        expect(page.get_by_label("Tuesday, 1: from")).to_have_value("09:00")
        expect(page.get_by_label("Saturday, 1: from")).to_have_value("")
        assert faults(page) == []
        page.get_by_label("Monday, 1: until").press("Enter")  # saves, and does not copy
        expect(page.get_by_role("status")).to_contain_text("The hours were saved.")
        page.get_by_role("link", name="Choose the services").click()
        page.get_by_role("checkbox").first.check()
        assert faults(page) == []
        press(page, "Save the services")
        expect(page.get_by_text("Still missing")).to_have_count(0)
        assert len(free_with(stack, name)) == 2
        page.get_by_role("link", name="Close or open a date").click()
        page.get_by_label("From", exact=True).fill(TUESDAY.isoformat())
        press(page, "Save")
        expect(page.get_by_role("status").first).to_contain_text("Closed.")
        assert free_with(stack, name) == []
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_text("Every day is as usual.")).to_be_visible()
        assert len(free_with(stack, name)) == 2
        press(page, f"Retire {name}")
        expect(page.get_by_role("heading", name="Retired")).to_be_visible()
        assert free_with(stack, name) == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_shut_out_of_the_settings_of_people_and_closed_days(
    opened: Opens, width: str, scheme: str
) -> None:
    with opened(width, scheme, signed_in=True, expects=["400"]) as page:
        name = f"Wolfeschlegelsteinhausenberger{width}{scheme}"
        page.goto("/dashboard/settings/people")
        for path in ("people", "people/cal-1", "people/cal-1/hours", "people/cal-1/services"):
            page.goto(f"/dashboard/settings/{path}")
            assert faults(page) == [], path
        add_person(page, name)
        assert faults(page) == []
        page.get_by_role("link", name="Set the hours").click()
        for number, time in ((1, "09:00"), (2, "11:00")):
            page.get_by_label(f"Monday, {number}: from").fill(time)
            page.get_by_label(f"Monday, {number}: until").fill("12:00")
        press(page, "Save the hours")
        expect(page.get_by_text("two periods of Monday overlap")).to_be_visible()
        expect(page.get_by_label("Monday, 2: from")).to_have_value("11:00")
        assert faults(page) == []
        for path in ("closures", "closures/new", "closures/holidays"):
            page.goto(f"/dashboard/settings/{path}")
            assert faults(page) == [], path
        page.goto("/dashboard/settings/people")
        page.get_by_role("link", name=name).click()
        press(page, f"Retire {name}")
        page.goto("/dashboard/settings/people")
        page.get_by_text("Retired:").click()
        assert faults(page) == []


def test_public_holidays_are_accepted_on_the_page(opened: Opens) -> None:
    with opened("phone", signed_in=True) as page:
        page.goto("/dashboard/settings/closures/holidays")
        page.get_by_label("Part of the country").select_option("SCT")
        press(page, "Show its holidays")
        boxes = page.get_by_role("checkbox")
        for number in range(boxes.count() - 1):
            boxes.nth(number).uncheck()
        day, _, name = page.locator("label.check").last.inner_text().partition(": ")
        press(page, "Close on the ticked days")
        line = page.locator("li.row").filter(has_text=day.strip()).filter(has_text=name.strip())
        expect(line).to_have_count(1)
        line.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("status").first).to_contain_text("Removed")
        expect(line).to_have_count(0)
