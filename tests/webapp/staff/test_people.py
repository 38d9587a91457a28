"""Who comes in, who stays in, and what is asked of every form."""

from __future__ import annotations

import uuid
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.base.session import transaction
from models.clinics import staff
from models.clinics.staff import StaffRole
from tests.conftest import Clock
from tests.webapp.staff.browsers import PASSWORD, Person, employ, token_in
from webapp.staff import guard

WRONG = "not this one at all"
INVITATION = f"/dashboard/invitation/{'0' * 48}"


def routes(app: Flask, method: str) -> list[str]:
    values = {
        "call_id": "some-call",
        "message_id": uuid.uuid4(),
        "session_id": uuid.uuid4(),
        "hold_id": uuid.uuid4(),
        "appointment_id": uuid.uuid4(),
        "block_id": uuid.uuid4(),
        "feed_id": uuid.uuid4(),
        "contact_id": uuid.uuid4(),
        "resource_id": "somebody",
        "service_id": "some-service",
        "calendar_id": uuid.uuid4(),
        "staff_id": uuid.uuid4(),
        "token": "0" * 48,
    }
    adapter = app.url_map.bind("localhost")
    return sorted(
        adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments})
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("dashboard.") and method in (rule.methods or ())
    )


def change(person: Person, what: Any) -> None:
    """As an operator does it."""
    with transaction(uuid.UUID(person.org)) as session:
        user = staff.find(session, uuid.UUID(person.org), person.email)
        assert user is not None
        what(session, user)


# --- coming in ----------------------------------------------------------------------------------


def test_whoever_signs_in_is_at_the_live_page_of_their_clinic(stranger: Person) -> None:
    assert not stranger.is_in()
    response = stranger.sign_in(email=f" {stranger.email.upper()} ")
    assert (response.status_code, response.location) == (303, "/dashboard")
    assert stranger.get("").location == "/dashboard/live"
    assert "Test Clinic" in stranger.get("live").text
    assert stranger.get("sign-in").location == "/dashboard"


def test_the_cookie_is_for_these_pages_and_no_script(app: Flask, stranger: Person) -> None:
    cookies = stranger.sign_in().headers.getlist("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"holdline-session", "holdline-device"}
    for cookie in cookies:
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert cookie.endswith("Path=/") or "Path=/;" in cookie
        assert "Expires=" in cookie
        assert "Domain" not in cookie
    assert app.config["SESSION_COOKIE_SECURE"] is False  # only in development


def test_in_production_the_cookie_is_secure(monkeypatch: pytest.MonkeyPatch) -> None:
    import settings  # noqa: PLC0415
    from webapp.staff import people  # noqa: PLC0415

    production = settings.get().model_copy(update={"app_env": settings.AppEnv.PRODUCTION})
    monkeypatch.setattr(settings, "get", lambda: production)
    app = Flask("production")
    people.register(app)
    assert app.config["SESSION_COOKIE_SECURE"] is True
    assert app.config["SESSION_COOKIE_NAME"] == "__Host-holdline-session"
    assert app.config["SESSION_COOKIE_PATH"] == "/"
    assert app.config["SESSION_COOKIE_DOMAIN"] is None
    assert app.secret_key == production.subkey("session")


def test_in_production_one_signs_in_with_cookies_that_no_other_host_can_set(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS, which ends at a proxy; an old cookie of before only signs out."""
    import settings  # noqa: PLC0415
    from webapp import create_app  # noqa: PLC0415

    monkeypatch.setenv("APP_ENV", "production")
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://holdline.example.com")
    monkeypatch.setenv("TWILIO_API_BASE_URL", "https://api.twilio.com")
    monkeypatch.setenv("PROXIES", "1")
    settings.of_process.cache_clear()
    try:
        browser = create_app().test_client()
        browser.set_cookie("holdline", "an.old.one", domain="holdline.example.com", path="/dashboard")
        https = {"base_url": "https://holdline.example.com", "headers": {"X-Forwarded-Proto": "https"}}
        token = token_in(browser.get("/dashboard/sign-in", **https))
        form = {"csrf": token, "email": stranger.email, "password": PASSWORD}
        answer = browser.post("/dashboard/sign-in", data=form, **https)
        assert answer.status_code == 303
        for cookie in answer.headers.getlist("Set-Cookie"):
            assert cookie.startswith("__Host-holdline-")
            assert "; Secure" in cookie
            assert "; Path=/;" in cookie + ";"
            assert "Domain" not in cookie
        assert browser.get("/dashboard/live", **https).status_code == 200
    finally:
        monkeypatch.undo()
        settings.of_process.cache_clear()


def test_signing_in_begins_a_session_with_nothing_of_the_one_before(stranger: Person) -> None:
    stranger.get("sign-in")
    with stranger.client.session_transaction(base_url="http://localhost") as before:
        before["planted"] = "by somebody else"
        first = before["csrf"]
    stranger.sign_in()
    with stranger.client.session_transaction(base_url="http://localhost") as after:
        assert "planted" not in after
        assert after["csrf"] != first


def test_the_same_is_said_of_nobody_a_wrong_password_and_one_who_is_out(stranger: Person) -> None:
    def said(email: str, password: str) -> tuple[int, str]:
        response = stranger.sign_in(password, email=email)
        return response.status_code, response.text.replace(email, "").split('name="csrf"')[0]

    wrong = said(stranger.email, WRONG)
    assert wrong[0] == 403
    assert said("nobody@clinic.example", PASSWORD) == wrong
    change(stranger, staff.disable)
    assert said(stranger.email, PASSWORD) == wrong
    assert not stranger.is_in()


def test_a_password_is_hashed_also_for_an_address_of_nobody(
    stranger: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    real = staff.verify

    def verify(user: Any, password: str) -> bool:
        asked.append(user is None)
        return real(user, password)

    monkeypatch.setattr(staff, "verify", verify)
    stranger.sign_in(WRONG, email="nobody@clinic.example")
    stranger.sign_in(WRONG, email="a\x00b@clinic.example")
    stranger.sign_in(WRONG)
    assert asked == [True, True, False]


def test_a_password_with_old_costs_is_hashed_again(
    stranger: Person, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kept() -> tuple[Any, ...] | None:
        return sql.execute(
            "SELECT password_hash, session_epoch FROM staff_users WHERE email = %s", [stranger.email]
        ).fetchone()

    before = kept()
    assert before is not None
    monkeypatch.setattr(staff, "needs_rehash", lambda _: True)
    stranger.sign_in()
    after = kept()
    assert after is not None
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert stranger.is_in()


# --- staying in ---------------------------------------------------------------------------------


def test_every_page_but_the_first_is_for_whoever_is_signed_in(app: Flask, client: FlaskClient) -> None:
    found = routes(app, "GET")
    assert len(found) >= 13
    for path in found:
        response = client.get(path)
        if path == "/dashboard/sign-in":
            assert response.status_code == 200
        elif path == "/dashboard/sign-in/code":
            assert response.location == "/dashboard/sign-in"
        elif path == INVITATION:
            assert response.status_code == 404
        elif path in {"/dashboard/live/state", "/dashboard/live/stream", "/dashboard/diary/entries"}:
            assert response.status_code == 401, path
        else:
            assert (response.status_code, response.location) == (303, "/dashboard/sign-in"), path
        response.close()
    for path in set(routes(app, "POST")) - {"/dashboard/sign-in", "/dashboard/sign-in/code", INVITATION}:
        assert client.post(path).location == "/dashboard/sign-in", path


def test_each_form_without_its_token_is_refused(app: Flask, person: Person) -> None:
    found = routes(app, "POST")
    assert len(found) >= 19
    for path in found:
        for form in ({}, {"csrf": ""}, {"csrf": "x" * 32}, {"csrf": "é"}):
            assert person.client.post(path, data=form).status_code == 400, (path, form)
    assert app.test_client().post("/dashboard/sign-in", data={"csrf": ""}).status_code == 400
    assert person.is_in()


def test_one_who_may_only_look_changes_nothing_but_their_own_account(app: Flask, person: Person) -> None:
    looker = employ(app, person.org, "Lou", StaffRole.READ_ONLY)
    looker.sign_in()
    own = {INVITATION, *(f"/dashboard/{path}" for path in ("sign-in", "sign-in/code", "sign-out"))}
    own |= {"/dashboard/patients"}  # which only looks
    forms = [path for path in routes(app, "POST") if path not in own and "/account/" not in path]
    assert len(forms) >= 12
    for path in forms:
        answer = looker.post(path.removeprefix("/dashboard/"))
        assert (answer.status_code, "You may look, and change nothing." in answer.text) == (403, True), path
    for path in routes(app, "GET"):
        if path.startswith("/dashboard/settings") or path.endswith(".json"):
            assert looker.client.get(path).status_code == 403, path
        elif not path.endswith("/live/stream"):
            assert looker.client.get(path).status_code in {200, 302, 303, 404}, path


def test_the_settings_are_for_owners_alone(app: Flask, person: Person) -> None:
    owner = employ(app, person.org, "Olu", StaffRole.OWNER)
    owner.sign_in()
    pages = [path for path in routes(app, "GET") if path.startswith("/dashboard/settings")]
    assert len(pages) >= 10
    for path in pages:
        assert person.client.get(path).status_code == 403, path
        assert owner.client.get(path).status_code in {200, 303, 404}, path
    for path in routes(app, "POST"):
        if path.startswith("/dashboard/settings"):
            answer = person.post(path.removeprefix("/dashboard/"))
            assert (answer.status_code, "Only an owner" in answer.text) == (403, True), path


def test_nothing_changes_on_any_other_method(app: Flask, person: Person) -> None:
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("dashboard."):
            assert (rule.methods or set()) <= {"GET", "HEAD", "OPTIONS", "POST"}


def test_a_token_of_another_session_is_none(person: Person, other: Person) -> None:
    with other.client.session_transaction(base_url="http://localhost") as theirs:
        token = theirs["csrf"]
    assert person.client.post("/dashboard/sign-out", data={"csrf": token}).status_code == 400


def test_whoever_is_disabled_is_out_at_the_next_request(person: Person) -> None:
    change(person, staff.disable)
    assert not person.is_in()
    change(person, lambda _, user: staff.enable(user))
    assert not person.is_in()  # also the old session is over


def test_another_password_ends_the_sessions_of_the_old_one(person: Person) -> None:
    change(person, lambda _, user: staff.set_password(user, "another horse battery"))
    assert not person.is_in()


def test_whoever_is_gone_is_out(person: Person, sql: psycopg.Connection) -> None:
    sql.execute("DELETE FROM staff_users WHERE email = %s", [person.email])
    assert not person.is_in()


def test_a_session_ends_after_a_working_day(person: Person, clock: Clock) -> None:
    clock.forward(12 * 3600 - 60)
    assert person.is_in()
    clock.forward(120)
    assert not person.is_in()


@pytest.mark.parametrize("key", ["org", "token"])
@pytest.mark.parametrize("value", ["something", "\x00", "\ud800", "", 7, None, ["x"]])
def test_a_cookie_that_says_less_is_nobodys(person: Person, key: str, value: Any) -> None:
    with person.client.session_transaction(base_url="http://localhost") as session:
        session[key] = value
    assert not person.is_in()


def test_a_cookie_of_somebody_elses_making_is_nobodys(app: Flask, person: Person) -> None:
    cookie = person.client.get_cookie("holdline-session")
    assert cookie is not None
    forged = app.test_client()
    # Not the end of the signature, whose last bits say nothing: now and then it would be the same one.
    payload, _, signature = cookie.value.rpartition(".")
    other = "A" if signature[0] != "A" else "B"
    forged.set_cookie("holdline-session", f"{payload}.{other}{signature[1:]}")
    assert forged.get("/dashboard/live").status_code == 303


def test_no_page_is_kept_or_framed(person: Person) -> None:
    headers = person.get("live").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "noindex" in headers["X-Robots-Tag"]


def test_when_somebody_was_last_seen_is_noted(person: Person, sql: psycopg.Connection) -> None:
    [row] = sql.execute("SELECT last_seen_at FROM staff_users WHERE email = %s", [person.email]).fetchall()
    assert row[0] is not None


def test_a_form_that_is_too_long_is_refused(person: Person) -> None:
    assert person.client.post("/dashboard/sign-in", data={"csrf": "x" * 20_000}).status_code == 413


def test_two_clinics_may_have_somebody_each(app: Flask, person: Person) -> None:
    colleague = employ(app, person.org, "Sam")
    colleague.sign_in()
    assert "Sam" in colleague.get("live").text
    assert len(guard.OPEN) == 6
