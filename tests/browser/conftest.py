"""A real browser for the running product: Debian's Chromium, or another that is named or found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from sandbox import seed
from tests.stack import Stack

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--no-sandbox",  # it also runs as root in a container, and opens only our own pages
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)

#: A shared machine may be slow; a test of speed measures it itself.
expect.set_options(timeout=60_000)

WIDTHS = {"phone": (390, 844), "desk": (1280, 900)}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A browser; skips if there is none, unless BROWSER_REQUIRED is set, as in CI."""
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail("no Chromium was found, and BROWSER_REQUIRED is set")
        pytest.skip("no Chromium on this machine (Debian: apt install chromium; or name one in CHROMIUM)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield running
        finally:
            running.close()


Opens = Callable[..., AbstractContextManager[Page]]


@pytest.fixture
def opened(browser: Browser, stack: Stack) -> Opens:
    """Opens windows; the console of each may show only what the page expects.

    All windows sign in as one person from one network, so other tests' failed sign-ins are forgotten first.
    """
    stack.forget_tries()

    @contextmanager
    def open_window(
        width: str = "desk", scheme: str = "light", *, signed_in: bool = False, expects: Sequence[str] = ()
    ) -> Iterator[Page]:
        wide, high = WIDTHS[width]
        context = browser.new_context(
            viewport={"width": wide, "height": high},
            color_scheme="dark" if scheme == "dark" else "light",
            base_url=stack.web_url,
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda line: said.append(line.text) if line.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        try:
            if signed_in:
                sign_in(page)
            yield page
            assert [line for line in said if not any(each in line for each in expects)] == []
        finally:
            _close(context)

    return open_window


def _close(context: BrowserContext) -> None:
    for page in context.pages:
        page.close()
    context.close()


def sign_in(page: Page, password: str = seed.OWNER_PASSWORD) -> None:
    page.goto("/dashboard")
    page.get_by_label("E-mail address").fill(seed.OWNER)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/dashboard/live")


def faults(page: Page) -> list[str]:
    """The faults that axe finds, and the fault of a page wider than its window."""
    page.wait_for_load_state()  # after a click a page may be there without its style
    found = [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}"
        for each in Axe().run(page).response["violations"]
    ]
    wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    return [*found, *([f"{wide} pixels wider than its window"] if wide > 0 else [])]
