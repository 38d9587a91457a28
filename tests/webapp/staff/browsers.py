"""A member of a clinic's staff with a browser of their own."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.base.session import transaction
from models.clinics import staff
from models.clinics.staff import StaffRole

PASSWORD = "correct horse battery"


@dataclass
class Person:
    """A member of staff, and their browser."""

    client: FlaskClient
    org: str
    email: str

    def sign_in(
        self, password: str = PASSWORD, *, email: str | None = None, address: str = "127.0.0.1"
    ) -> TestResponse:
        page = self.client.get("/dashboard/sign-in")
        token = token_in(page if page.status_code == 200 else self.get("reports"))
        form = {"csrf": token, "email": email or self.email, "password": password}
        return self.client.post("/dashboard/sign-in", data=form, environ_base={"REMOTE_ADDR": address})

    def copied(self) -> Person:
        """Another browser with a copy of all cookies of this one."""
        other = self.elsewhere()
        for name in ("holdline-session", "holdline-device"):
            cookie = self.client.get_cookie(name)
            assert cookie is not None
            other.client.set_cookie(name, cookie.value)
        return other

    def give_code(self, code: str) -> TestResponse:
        token = token_in(self.client.get("/dashboard/sign-in/code"))
        return self.client.post("/dashboard/sign-in/code", data={"csrf": token, "code": code})

    def elsewhere(self) -> Person:
        """The same person with another browser."""
        return Person(self.client.application.test_client(), self.org, self.email)

    def get(self, path: str) -> TestResponse:
        return self.client.get(f"/dashboard/{path}".rstrip("/"))

    def post(self, path: str, **form: str) -> TestResponse:
        token = token_in(self.get("reports"))
        return self.client.post(f"/dashboard/{path}", data={"csrf": token} | form)

    def is_in(self) -> bool:
        return self.get("live").status_code == 200


def token_in(response: TestResponse) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', response.text)
    assert found, response.text
    return found[1]


def employ(app: Flask, org: str, name: str = "Jo", role: StaffRole = StaffRole.STAFF) -> Person:
    email = f"{uuid.uuid4().hex[:12]}@clinic.example"
    with transaction(uuid.UUID(org)) as session:
        user = staff.add(session, org_id=uuid.UUID(org), email=email, name=name, role=role)
        staff.set_password(user, PASSWORD)
    return Person(app.test_client(), org, email)
