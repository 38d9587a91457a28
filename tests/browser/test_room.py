"""However long people's names, wishes and words are: every page fits its window, and nothing is cut off."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from flask import Flask
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from models.base.session import transaction
from models.booking import links
from models.clinics import staff
from models.clinics.staff import StaffRole
from tests.factories import create_clinic
from tests.stack import eventually
from tests.webapp.staff.browsers import PASSWORD
from tests.webapp.staff.rows import add_booking, add_call
from webapp.staff import feed, live_pages
from webapp.staff.settings import owners

pytestmark = pytest.mark.journey

WIDTHS = (320, 390, 768, 1024, 1280)
LONG = "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"
NAME = "Christopher-Maximilian Featherstonehaugh"
HOSTILE = f"{NAME} {LONG}{LONG}"[:100]
SIP = "sip:" + "x" * 120 + "@" + "y" * 100 + ".example"


@dataclass
class Site:
    """The pages on a port of their own, with a clinic where everything is long."""

    url: str
    email: str
    call: str
    link: str

    @property
    def pages(self) -> list[str]:
        return [
            *("live", "live?most=200", "leads", "leads?band=hot", "leads?waiting=1", "messages", "calls"),
            *("reports", "reports?days=30", "reports?days=90"),
            *(
                "diary?day=2030-05-01",
                "diary?day=2030-05-01&days=7",
                "diary/new?day=2030-05-01",
                "diary/block",
            ),
            *("settings", *(f"settings/{page}" for page, _ in owners.PAGES if page != "overview")),
            *("settings/standing", "settings/people/cal-1", "settings/people/cal-1/hours"),
            *("settings/people/cal-1/services", "settings/closures/new", "settings/closures/holidays"),
            *("settings/calendar/cal-1", f"settings/service/{LONG.replace('ü', 'u').lower()}"),
            *(f"leads/{self.call}", f"leads/{self.call}?from=calls&band=hot"),
            *("nothing/" + "z" * 300, "live/stream/nothing"),
        ]


@pytest.fixture(scope="module")
def site(app: Flask, database_url: str) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "LONGEST", 2.0)  # this server does not notice that a browser went away
        yield from _served(app, database_url)
    eventually(lambda: not live_pages.watch().runs)


def _served(app: Flask, database_url: str) -> Iterator[Site]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with psycopg.connect(database_url, autocommit=True, options="-c app.scope=system") as sql:
            yield _furnished(sql, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()


def _furnished(sql: psycopg.Connection, url: str) -> Site:
    long_names = {"name": f"{LONG} {LONG}"[:80], "service_names": [LONG, NAME]}
    org = create_clinic(calendar=long_names, name=f"{LONG} {NAME} {LONG}", region="GB")
    email = f"{'m' * 60}.{uuid.uuid4().hex}@{'d' * 60}.{'e' * 60}.example"
    with transaction(uuid.UUID(org)) as session:
        user = staff.add(session, org_id=uuid.UUID(org), email=email, name=HOSTILE, role=StaffRole.OWNER)
        staff.set_password(user, PASSWORD)
        judge = user.id
    start = datetime(2030, 5, 1, 9, tzinfo=UTC)
    for number, name in enumerate((NAME, HOSTILE, "W" * 100)):
        for status in ("confirmed", "cancelled"):
            add_booking(
                sql,
                org,
                start + timedelta(hours=number),
                patient_name=name,
                service_type=LONG,
                status=status,
            )
    sql.execute(
        "UPDATE sms_messages SET status = 'failed', cause = 'refused by the provider', error_code = '30034',"
        " error_reason = %s, price = -99999.99, price_unit = 'usd', segments = 2000000 WHERE org_id = %s",
        [f"https://example.test/{'q' * 300} {LONG}", org],
    )
    reasons = [
        {"code": "a", "points": 100, "why": LONG * 3, "quote": LONG * 5},
        {"code": "b", "points": -100, "why": "No " * 80, "quote": "W" * 300},
    ]
    call = ""
    for number, caller in enumerate(("+447700912345", SIP, None, "+4477009123456789")):
        call = add_call(
            sql,
            org,
            caller_number=caller,
            lead_score=100,
            lead_reasons=reasons,
            lead_service=LONG * 2,
            summary=LONG * 6,
            ended_reason="-".join([LONG] * 3),
            cost="999999.9999",
            duration=2_000_000_000,
            turns=[
                {"who": "caller", "text": "W" * 400, "at": 1e9},
                {"who": "bot", "text": LONG * 9, "at": 1},
            ],
            called_back_by=HOSTILE if number == 2 else None,
            called_back_at="2026-01-01T00:00:00Z" if number == 2 else None,
            worth_call=number % 2 == 0,
            judged_at="2026-01-01T00:00:00Z",
            judged_score=99,
            judged_band="hot",
            judged_by=judge,
        )
        sql.execute(
            "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score,"
            " suppressed_reason) VALUES (%s, %s, %s, %s, 100, %s)",
            [org, call, HOSTILE if number else NAME, caller, LONG * 4],
        )
        add_call(sql, org, status="in-progress", lead_score=None, lead_band=None, caller_number=caller)
    contact = sql.execute("SELECT id FROM contacts WHERE org_id = %s", [org]).fetchall()[0][0]
    sql.execute(
        "INSERT INTO appointment_holds (org_id, calendar_id, resource_id, starts_at, ends_at, contact_id,"
        " patient_name, patient_phone, status, expires_at, call_sid)"
        " VALUES (%s, 'cal-1', 'cal-1', %s, %s, %s, %s, '+447700912345', 'held', now() + interval '1 h', %s)",
        [org, start + timedelta(hours=5), start + timedelta(hours=6), contact, "W" * 100, call],
    )
    return Site(url, email, call, _link(sql, org, url))


def _link(sql: psycopg.Connection, org: str, url: str) -> str:
    """That of an appointment, as its patient opens it."""
    [(appointment, message), *_] = sql.execute(
        "SELECT id, confirmation_message_id FROM appointments WHERE org_id = %s AND status = 'confirmed'",
        [org],
    ).fetchall()
    with transaction(uuid.UUID(org)) as session:
        links.create(
            session,
            org_id=uuid.UUID(org),
            appointment_id=appointment,
            message_id=message,
            expires_at=datetime(2030, 5, 1, tzinfo=UTC),
        )
    return f"{url}/a/{links.derive(message)}"


@contextmanager
def window(browser: Browser, site: Site, width: int, *, signed_in: bool = True) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": width, "height": 844}, base_url=site.url)
    page = context.new_page()
    try:
        if signed_in:
            page.goto("/dashboard")
            page.get_by_label("E-mail address").fill(site.email)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/dashboard/live")
        yield page
    finally:
        page.close()
        context.close()


#: What sticks out of its window, or is cut off by the box that it is in.
STICKS_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  const named = (each) => each.tagName + '.' + each.className + ' ' + each.textContent.trim().slice(0, 40);
  const out = [];
  for (const each of document.querySelectorAll('body *')) {
    const box = each.getBoundingClientRect();
    if (!box.width || each.closest('.unseen, .skip, .scroll, svg, thead')) continue;
    if (box.right > wide + 1 || box.left < -1) out.push('outside: ' + named(each));
    const style = getComputedStyle(each);
    if (each.matches(':has(> .bar)')) continue;  // the bar reaches to the edges of the card
    if (each.matches('input')) continue;  // scrolls by itself
    if (each.scrollWidth > each.clientWidth + 1 && style.display !== 'inline' && each.clientWidth > 1)
      out.push('overflows: ' + named(each));
  }
  if (document.documentElement.scrollWidth > window.innerWidth) out.push('the page itself');
  return out;
}"""


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_its_window(browser: Browser, site: Site, width: int) -> None:
    with window(browser, site, width) as page:
        for path in site.pages:
            page.goto(f"/dashboard/{path}")
            assert page.evaluate(STICKS_OUT) == [], path
        page.locator(".account summary").click()
        assert page.evaluate(STICKS_OUT) == []
    with window(browser, site, width, signed_in=False) as page:
        for path in (
            *("/dashboard/sign-in", "/dashboard/nothing", "/" + "n" * 300, "/a/nothing/" + "x" * 300),
            *(site.link, f"{site.link}/move", f"{site.link}/cancel", f"{site.link}/nothing"),
        ):
            page.goto(path)
            assert page.evaluate(STICKS_OUT) == [], path
