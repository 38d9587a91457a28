"""An owner at the settings of a clinic: what is typed, what is said, and what is kept."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from models.clinics.staff import StaffRole
from tests.factories import bare, create_clinic
from tests.webapp.staff.at_once import at_once
from tests.webapp.staff.browsers import Person, employ, token_in


@dataclass
class Owner:
    app: Flask
    sql: psycopg.Connection[tuple[Any, ...]]
    person: Person

    @property
    def org(self) -> str:
        return self.person.org

    def page(self, path: str) -> str:
        answer = self.person.get(f"settings/{path}")
        assert answer.status_code == 200, (path, answer.status_code)
        return html.unescape(answer.text)

    def sends(self, path: str, **form: str | list[str]) -> TestResponse:
        token = token_in(self.person.get("reports"))
        return self.person.client.post(f"/dashboard/settings/{path}", data={"csrf": token, **form})

    def does(self, path: str, **form: str | list[str]) -> str:
        """Send a form that must be taken. Returns the page that follows, with what it says."""
        answer = self.sends(path, **form)
        assert answer.status_code == 303, (answer.status_code, said(answer))
        return html.unescape(self.person.client.get(answer.location).text)

    def is_refused(self, path: str, **form: str | list[str]) -> str:
        """Send a form that must change nothing. Returns its page, which keeps what was typed."""
        before = self.everything()
        answer = self.sends(path, **form)
        assert answer.status_code == 400, answer.status_code
        assert self.everything() == before
        return html.unescape(answer.text)

    def everything(self) -> list[Any]:
        """All rows of the set-up."""
        return [
            self.sql.execute(
                f"SELECT * FROM {table} WHERE org_id = %s ORDER BY 1, 2, 3".encode(), [self.org]
            ).fetchall()
            for table in ("resources", "resource_hours", "hours_exceptions", "services", "service_resources")
        ]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.sql.execute(query.encode(), values).fetchall()

    def weekly(self, resource: str) -> list[tuple[Any, ...]]:
        return self.rows(
            "SELECT weekday, from_minute, until_minute, room_id FROM resource_hours"
            " WHERE org_id = %s AND resource_id = %s ORDER BY 1, 2",
            self.org,
            resource,
        )

    def audited(self, table: str) -> list[tuple[str, str]]:
        return self.sql.execute(
            "SELECT actor, action FROM audit_log WHERE org_id = %s AND table_name = %s ORDER BY id",
            [self.org, table],
        ).fetchall()

    def free(self, day: str, **wanted: str) -> list[str]:
        """The wall-clock times that a caller is offered."""
        answer = bare(self.app.test_client(), "calendar/check", tenantId=self.org, date=day, **wanted)
        return [each["slotId"][11:16] for each in answer.get("slots", []) if each["slotId"][:10] == day]


def press_at_once(table: str, presses: Sequence[tuple[Owner, str, dict[str, str]]]) -> list[int]:
    """Send these forms at once, and return the statuses of the answers.

    Nothing is written into `table` before each of them waits: to write there, or for a lock of another.
    """
    found = [0] * len(presses)

    def press(number: int) -> None:
        owner, path, form = presses[number]
        found[number] = owner.sends(path, **form).status_code

    at_once(presses[0][0].sql, table, *(partial(press, number) for number in range(len(presses))))
    return found


def said(answer: TestResponse) -> list[str]:
    """The notices of a page."""
    return [html.unescape(each) for each in re.findall(r'class="notice[^>]*>([^<]*)', answer.text)]


def employ_owner(app: Flask, sql: psycopg.Connection[tuple[Any, ...]], org: str) -> Owner:
    person = employ(app, org, "Olu", StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return Owner(app, sql, person)


def seen_in(page: str) -> str:
    """What a form gives back to say what it showed."""
    found = re.search(r'name="seen" value="([^"]+)"', page)
    assert found
    return found[1]


@pytest.fixture
def owner(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Owner:
    """Of a clinic with two dentists, cal-1 and cal-2, who share the service Check-up."""
    return employ_owner(
        app, sql, create_clinic(("cal-1", "cal-2"), calendar={"service_names": ("Check-up",)})
    )


@pytest.fixture
def stranger_owner(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Owner:
    """Of another clinic, with a person of its own and a closure."""
    org = create_clinic((f"zq-{uuid.uuid4().hex[:8]}",))
    return employ_owner(app, sql, org)
