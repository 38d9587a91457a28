"""The second factor: how it is turned on, what it lets in, and how it ends."""

from __future__ import annotations

import re
import time

import psycopg
import pyotp
import pytest
from flask.testing import FlaskClient

from models.clinics import second_factor
from models.clinics.sign_in_limits import SECOND_FACTOR
from tests.conftest import Clock
from tests.webapp.staff.browsers import PASSWORD, Person, token_in


class App:
    """The app on a telephone, on the database's clock."""

    def __init__(self, key: str, sql: psycopg.Connection) -> None:
        self._totp, self._sql = pyotp.TOTP(key), sql

    def code(self, steps: int = 0) -> str:
        [now] = self._sql.execute("SELECT app_clock()").fetchone() or [None]
        assert now is not None
        return self._totp.at(int(now.timestamp()) + steps * second_factor.STEP)


@pytest.fixture
def still(clock: Clock) -> Clock:
    clock.stop()
    return clock


def key_in(text: str) -> str:
    found = re.search(r"<code>([A-Z2-7 ]{32,})</code>", text)
    assert found, text
    return found[1].replace(" ", "")


def turn_on(person: Person, sql: psycopg.Connection) -> tuple[App, list[str]]:
    page = person.post("account/second-factor", proof=PASSWORD)
    assert page.status_code == 200
    assert '<svg xmlns="http://www.w3.org/2000/svg"' in page.text or "<svg " in page.text
    app = App(key_in(page.text), sql)
    done = person.post("account/second-factor/confirm", code=app.code())
    codes = re.findall(r"<code>([0-9a-z-]{19})</code>", done.text)
    assert len(codes) == second_factor.RECOVERY_CODES
    return app, codes


@pytest.fixture
def app_of(person: Person, sql: psycopg.Connection, still: Clock) -> tuple[App, list[str]]:
    made = turn_on(person, sql)
    person.post("sign-out")
    still.forward(second_factor.STEP * 3)
    return made


def test_the_password_alone_does_not_let_in(person: Person, app_of: tuple[App, list[str]]) -> None:
    app, _ = app_of
    assert person.sign_in().location == "/dashboard/sign-in/code"
    assert not person.is_in()
    assert person.give_code("000000" if app.code() != "000000" else "111111").status_code == 403
    assert not person.is_in()
    assert person.give_code(f" {app.code()[:3]} {app.code()[3:]} ").location == "/dashboard"
    assert person.is_in()


def test_a_code_works_once(person: Person, app_of: tuple[App, list[str]], still: Clock) -> None:
    app, _ = app_of
    code = app.code()
    person.sign_in()
    assert person.give_code(code).status_code == 303
    second = person.elsewhere()
    second.sign_in()
    assert second.give_code(code).status_code == 403  # also within its thirty seconds
    assert second.give_code(app.code(-1)).status_code == 403  # and none before it
    still.forward(second_factor.STEP)
    assert second.give_code(app.code()).status_code == 303


@pytest.mark.parametrize(("steps", "status"), [(-2, 403), (-1, 303), (0, 303), (1, 303), (2, 403)])
def test_clocks_may_differ_a_little(
    person: Person, app_of: tuple[App, list[str]], steps: int, status: int
) -> None:
    person.sign_in()
    assert person.give_code(app_of[0].code(steps)).status_code == status


def test_a_recovery_code_lets_in_once(
    person: Person, app_of: tuple[App, list[str]], sql: psycopg.Connection
) -> None:
    _, codes = app_of
    person.sign_in()
    assert person.give_code(codes[3].upper().replace("-", " ").replace("0", "O")).status_code == 303
    assert "9 recovery codes are left" in person.get("account").text
    second = person.elsewhere()
    second.sign_in()
    assert second.give_code(codes[3]).status_code == 403
    assert second.give_code(codes[4]).status_code == 303
    [kept] = sql.execute("SELECT u::text FROM staff_users u WHERE email = %s", [person.email]).fetchone() or [
        ""
    ]
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


def test_tries_are_limited(person: Person, app_of: tuple[App, list[str]], still: Clock) -> None:
    app, _ = app_of
    other = person.elsewhere()
    other.sign_in()
    wrong = "000000" if app.code() != "000000" else "111111"
    statuses = [other.give_code(wrong).status_code for _ in range(SECOND_FACTOR.free + 3)]
    assert statuses == [403] * SECOND_FACTOR.free + [429] * 3
    assert other.give_code(app.code()).status_code == 429
    person.sign_in()
    assert person.give_code(app.code()).status_code == 303  # a known device is not held up by it


def test_the_half_that_the_password_opened_is_over_soon_and_with_the_password(
    person: Person, app_of: tuple[App, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, _ = app_of
    person.sign_in()
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr("webapp.staff.sign_in.time.time", lambda: real() + 301)
        assert person.client.get("/dashboard/sign-in/code").location == "/dashboard/sign-in"
    token = token_in(person.client.get("/dashboard/sign-in/code"))
    person.client.application.test_client()
    with person.client.session_transaction(base_url="http://localhost") as session:
        session["half"] = [*session["half"][:2], session["half"][2] + 1, session["half"][3]]
    answer = person.client.post("/dashboard/sign-in/code", data={"csrf": token, "code": app.code()})
    assert answer.location == "/dashboard/sign-in"
    assert not person.is_in()


def test_nobody_is_asked_for_a_code_who_gave_no_password(client: FlaskClient) -> None:
    assert client.get("/dashboard/sign-in/code").location == "/dashboard/sign-in"


# --- on and off ---------------------------------------------------------------------------------


def test_setting_it_up_asks_for_the_password_and_for_a_code(
    person: Person, sql: psycopg.Connection, still: Clock
) -> None:
    assert person.post("account/second-factor", proof="not this one").status_code == 403
    page = person.post("account/second-factor", proof=PASSWORD)
    wrong = person.post("account/second-factor/confirm", code="12345")
    assert wrong.status_code == 403
    assert key_in(wrong.text) == key_in(page.text)
    second = person.elsewhere()
    assert second.sign_in().location == "/dashboard"  # nothing is asked for yet
    app = App(key_in(page.text), sql)
    assert "They are shown only now" in person.post("account/second-factor/confirm", code=app.code()).text
    assert not second.is_in()  # every other browser is out
    assert person.is_in()
    assert person.post("account/second-factor/confirm", code=app.code()).location == "/dashboard/account"
    assert person.post("account/second-factor", proof=PASSWORD).location == "/dashboard/account"
    [sealed] = sql.execute(
        "SELECT totp_sealed FROM staff_users WHERE email = %s", [person.email]
    ).fetchone() or [""]
    assert sealed.startswith("v2.")


@pytest.mark.parametrize("proof", ["password", "code", "recovery"])
def test_turning_it_off_asks_for_the_password_or_a_code(
    person: Person, sql: psycopg.Connection, still: Clock, proof: str
) -> None:
    app, codes = turn_on(person, sql)
    still.forward(second_factor.STEP * 2)
    assert person.post("account/second-factor/off", proof="").status_code == 403
    assert person.post("account/second-factor/off", proof="123").status_code == 403
    given = {"password": PASSWORD, "code": app.code(), "recovery": codes[0]}[proof]
    assert person.post("account/second-factor/off", proof=given).location == "/dashboard/account"
    assert person.elsewhere().sign_in().location == "/dashboard"


def test_tries_behind_the_sign_in_are_limited_too(person: Person, clock: Clock) -> None:
    clock.stop()
    statuses = [
        person.post("account/second-factor", proof="not this one").status_code
        for _ in range(SECOND_FACTOR.free + 2)
    ]
    assert statuses == [403] * SECOND_FACTOR.free + [429] * 2
    answer = person.post("account/second-factor", proof=PASSWORD)
    assert answer.status_code == 429
    assert "Try again in" in answer.text


def test_what_is_done_to_it_is_in_the_audit_log(
    person: Person, app_of: tuple[App, list[str]], sql: psycopg.Connection
) -> None:
    rows = sql.execute(
        "SELECT actor, columns FROM audit_log WHERE org_id = %s AND table_name = 'staff_users' ORDER BY id",
        [person.org],
    ).fetchall()
    [last] = [columns for actor, columns in rows if actor == f"staff {person.email}"]
    assert {"totp_since", "recovery_digests"} <= set(last)
