"""A diary is brought in with a real browser, through the real web server: from the file to the diary."""

from __future__ import annotations

import http.client
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WIDTHS, Opens, faults
from tests.stack import Stack

pytestmark = pytest.mark.journey

EVERY_LOOK = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
YEAR = datetime.now(UTC).year + 1


def export(folder: Path, month: int, *, padding: int = 0) -> Path:
    """An export with two rows that can be imported, one that cannot, and others that were cancelled."""
    name = uuid.uuid4().hex[:6]
    rows = [
        f"{YEAR}-{month:02}-05,09:00,30,Anna {name},07700 900101,cal-1,Booked",
        f"{YEAR}-{month:02}-05,09:30,30,Ben {name},07700 900102,cal-1,Booked",
        f"{YEAR}-{month:02}-05,09:45,30,Cy {name},07700 900103,cal-1,Booked",
        *[f"{YEAR}-{month:02}-05,09:45,30,Dee {name},07700 900104,cal-1,Cancelled"] * padding,
    ]
    path = folder / f"{name}.csv"
    path.write_text("\n".join(("Date,Time,Duration,Patient,Mobile,Provider,Status", *rows)))
    return path


def choose(page: Page, path: Path) -> None:
    page.goto("/dashboard/settings/importing")
    page.get_by_label("The export of your diary").set_input_files(path)
    page.get_by_role("button", name="Look at the file").click()


@pytest.mark.parametrize(("width", "scheme"), EVERY_LOOK)
def test_from_the_export_to_the_diary(opened: Opens, tmp_path: Path, width: str, scheme: str) -> None:
    month = 2 + EVERY_LOOK.index((width, scheme))
    with opened(width, scheme, signed_in=True, expects=["422"]) as page:
        page.goto("/dashboard/settings/importing")
        assert faults(page) == []
        book = tmp_path / "book.xlsx"
        book.write_bytes(b"PK\x03\x04 a workbook")
        choose(page, book)
        expect(page.get_by_role("alert")).to_contain_text("save it as CSV")
        assert faults(page) == []
        # Larger than what is read of a body whose sender is not known.
        choose(page, export(tmp_path, month, padding=5_000))
        expect(page.get_by_role("heading", name="What would be imported")).to_be_visible()
        expect(page.get_by_text("It overlaps row 3")).to_be_visible()
        expect(page.get_by_text("5000: cancelled")).to_be_visible()
        assert faults(page) == []
        page.get_by_role("button", name="Look again").click()
        page.get_by_role("button", name="Import 2 rows").click()
        expect(page.get_by_text("2 appointments were imported. No text was sent")).to_be_visible()
        expect(page.get_by_text("Not imported: rows 4.")).to_be_visible()


def test_a_body_of_200_mb_is_refused_by_its_head(opened: Opens, stack: Stack) -> None:
    with opened(signed_in=True) as page:
        cookies = "; ".join(f"{each['name']}={each['value']}" for each in page.context.cookies())
    host = stack.web_url.removeprefix("http://")
    for cookie, status in ((cookies, 413), ("", 303)):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.putrequest("POST", "/dashboard/settings/importing")
        for name, value in (
            ("Content-Length", str(200 * 1024 * 1024)),
            ("Content-Type", "multipart/form-data; boundary=x"),
            ("Cookie", cookie),
        ):
            connection.putheader(name, value)
        connection.endheaders(b"--x")  # the rest is never sent
        assert connection.getresponse().status == status
        connection.close()
