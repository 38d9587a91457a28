"""A clinic of three people and a room, set up on the pages by its owner, who is signed in."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from models.base.session import Door, system_transaction
from models.booking import set_up
from models.booking.hours import Hours
from models.booking.resources import ResourceKind
from models.clinics.staff import StaffRole
from tests.factories import EVERY_DAY, bare, create_clinic
from tests.webapp.staff.browsers import Person, employ, token_in


@dataclass
class Owner:
    app: Flask
    sql: psycopg.Connection[tuple[Any, ...]]
    person: Person

    @property
    def org(self) -> str:
        return self.person.org

    def another(self, role: StaffRole = StaffRole.OWNER) -> Owner:
        """Somebody else of the same clinic, with a browser of their own."""
        return _signed_in(self.app, self.sql, self.org, role)

    def add(self, which: str, kind: ResourceKind = ResourceKind.PERSON, opening: Hours | None = None) -> None:
        """A person, room or device, named as its id with a capital."""
        with system_transaction(Door.OPERATOR) as session:
            set_up.add_resource(
                session,
                org_id=uuid.UUID(self.org),
                resource_id=which,
                kind=kind,
                name=which.capitalize(),
                time_zone="UTC",
                opening=opening,
            )

    def page(self, path: str = "") -> str:
        answer = self.person.get(f"settings{path}")
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text

    def reads(self, path: str = "") -> str:
        """The words of a page."""
        return words(self.page(path))

    def sends(self, path: str, **form: Any) -> TestResponse:
        """Send a form; a list is a field that is there several times, and None one that is not."""
        token = token_in(self.person.get("reports"))
        given = {name: value for name, value in form.items() if value is not None}
        return self.person.client.post(f"/dashboard/settings{path}", data={"csrf": token} | given)

    def does(self, path: str, **form: Any) -> str:
        """Send a form that is taken; returns what the next page says was done."""
        answer = self.sends(path, **form)
        assert answer.status_code == 303, words(answer.text)
        return notices(self.person.client.get(answer.location).text)

    def is_refused(self, path: str, **form: Any) -> str:
        """Send a form that is refused and comes back; returns the page."""
        before = self.rows()
        answer = self.sends(path, **form)
        assert answer.status_code == 400, answer.status_code
        assert "Nothing was changed" in notices(answer.text)
        assert self.rows() == before
        return answer.text

    def changes(self, path: str, **form: Any) -> str:
        """Change some fields of a form and leave the others as the page has them; returns what is said."""
        return self.does(path, **(fields(self.page(path)) | form))

    def rows(self) -> list[tuple[Any, ...]]:
        """All that is set up, to compare."""
        found: list[tuple[Any, ...]] = []
        for table in ("services", "service_resources", "calendars"):
            query = f"SELECT t::text FROM {table} t WHERE org_id = %s ORDER BY 1"
            found += self.sql.execute(query.encode(), [self.org]).fetchall()
        return found

    def service(self, which: str, columns: str) -> Any:
        query = f"SELECT {columns} FROM services WHERE org_id = %s AND id = %s"
        row = self.sql.execute(query.encode(), [self.org, which]).fetchone()
        return row if row is None or len(row) > 1 else row[0]

    def who_does(self, which: str) -> list[str]:
        query = "SELECT resource_id FROM service_resources WHERE org_id = %s AND service_id = %s ORDER BY 1"
        return [row[0] for row in self.sql.execute(query, [self.org, which]).fetchall()]

    def audit(self, table: str, row: str) -> list[str]:
        """What was done to a row, without who: by this owner alone."""
        query = "SELECT actor, action FROM audit_log WHERE org_id = %s AND table_name = %s AND row_id = %s"
        found = self.sql.execute(query + " ORDER BY id", [self.org, table, row]).fetchall()
        assert {actor for actor, _ in found} <= {f"staff {self.person.email}"}
        return [action for _, action in found]

    def free(self, **arguments: Any) -> dict[str, Any]:
        """What a caller is told of the free times."""
        return bare(self.app.test_client(), "calendar/check", tenantId=self.org, **arguments)


def words(page: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def notices(page: str) -> str:
    return words(" ".join(re.findall(r'<p class="notice.*?</p>', page, re.DOTALL)))


def fields(page: str) -> dict[str, Any]:
    """The fields of the page's first form, as a browser would send them."""
    body = page.split('<main id="main"')[1].split("<form", 1)[1].split("</form>", maxsplit=1)[0]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", body):
        name, value = (re.search(rf' {each}="([^"]*)"', tag) for each in ("name", "value"))
        if name and value and name[1] != "csrf" and ('type="checkbox"' not in tag or " checked" in tag):
            found.setdefault(name[1], []).append(html.unescape(value[1]))
    for name, options in re.findall(r'<select[^>]* name="(\w+)".*?>(.*?)</select>', body, re.DOTALL):
        for value, text in re.findall(r'<option(?: value="([^"]*)")? selected>([^<]*)', options):
            found[name] = [value or text]
    return found


def _signed_in(app: Flask, sql: Any, org: str, role: StaffRole = StaffRole.OWNER) -> Owner:
    person = employ(app, org, "Olu", role)
    assert person.sign_in().status_code == 303
    return Owner(app, sql, person)


def open_clinic(app: Flask, sql: Any) -> Owner:
    """A clinic with nothing."""
    return _signed_in(app, sql, create_clinic(()))


def furnish(owner: Owner) -> Owner:
    for who in ("anna", "ben"):
        owner.add(who, opening=EVERY_DAY)
    owner.add("carla")
    owner.add("room-1", ResourceKind.ROOM)
    return owner


@pytest.fixture
def empty(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Owner:
    return open_clinic(app, sql)


@pytest.fixture
def owner(empty: Owner) -> Owner:
    """Anna and Ben work every day, Carla has no hours; there is a room."""
    return furnish(empty)


@pytest.fixture
def elsewhere(app: Flask, sql: psycopg.Connection[tuple[Any, ...]]) -> Owner:
    """The owner of another clinic with the same people."""
    return furnish(open_clinic(app, sql))
