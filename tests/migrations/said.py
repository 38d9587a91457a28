"""What agents ask the two clinics of the sandbox, and what they are told, word for word.

What they were told before there was a diary is in said_by_0_1_0.json: the answers of that code to these
questions, in this order, on revision 0026_meanings. A release that words an answer differently on purpose
changes it there.
"""

from __future__ import annotations

import re
from typing import Any

import psycopg
from flask.testing import FlaskClient

LONDON = "a0000000-0000-4000-8000-000000000001"
NEW_YORK = "a0000000-0000-4000-8000-000000000002"

#: The clock of the installation's database stands still at this time, a Monday.
NOW = "2026-11-30T16:00:00Z"
CLOCK = f"""
CREATE OR REPLACE FUNCTION app_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT timestamptz '{NOW}' $$
"""

_DAYS = (
    *("2026-12-07", "2026-12-05", "2026-12-06", "2027-03-14", "2027-03-28", "2027-10-31", "2027-11-07"),
    *("today", "tomorrow", "Monday the 7th", "2026-11-20", "2031-01-01", "2028-11-29", "2028-11-30", "never"),
)
_STARTS = (
    *("2026-12-07T16:00:00Z", "2026-12-07T16:00:00Z", "2026-12-07T10:00:00Z", "2026-12-07T16:10:00Z"),
    *("2026-12-08T15:30:00Z", "2026-11-30T15:30:00Z", "2026-11-30T16:00:00Z", "2026-12-09T03:00:00Z"),
    *("2026-12-05T15:00:00Z", "2027-03-29T14:00:00Z", "2031-01-01T15:00:00Z", "soon", "2026-12-07T10:30:00Z"),
)


def stop_clock(admin: psycopg.Connection) -> None:
    admin.execute(CLOCK.encode())


def ask_all(client: FlaskClient) -> list[dict[str, Any]]:
    """Ask everything in order. Ids that are new each time are taken out of the answers."""
    return [
        {"path": path, "arguments": arguments, "answer": _ask(client, path, arguments)}
        for path, arguments in _questions()
    ]


def _questions() -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for clinic, number in ((LONDON, "+4477009003{:02}"), (NEW_YORK, "+121255501{:02}")):
        days = [("calendar/check", {"tenantId": clinic, "calendarId": "cal-1", "date": day}) for day in _DAYS]
        starts = [
            (
                "booking/reserve-atomic",
                {
                    "tenantId": clinic,
                    "calendarId": "cal-1",
                    "slotId": start,
                    "patientName": "Jo Bell",
                    "patientPhone": number.format(each),
                },
            )
            for each, start in enumerate(_STARTS)
        ]
        no_calendar = ("calendar/check", {"tenantId": clinic, "date": "2026-12-07"})
        unknown = ("calendar/check", {"tenantId": clinic, "calendarId": "cal-9", "date": "2026-12-07"})
        found += [*days, *starts, no_calendar, unknown, days[0], days[1]]
    return found


def _ask(client: FlaskClient, path: str, arguments: dict[str, Any]) -> dict[str, Any]:
    response = client.post(f"/api/vapi/tools/{path}", json={"toolCall": {"arguments": arguments}})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.get_json()
    return {name: _without_ids(value) for name, value in answer.items()}


def _without_ids(value: Any) -> Any:
    return (
        re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "…", value) if isinstance(value, str) else value
    )
