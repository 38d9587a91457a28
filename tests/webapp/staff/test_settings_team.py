"""The owners' page of the team: people, roles, links to set a password, and always an owner."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from models.base.session import transaction
from models.clinics import second_factor, staff
from models.clinics.staff import StaffRole
from tests.conftest import Clock
from tests.factories import create_clinic
from tests.webapp.staff.at_once import at_once
from tests.webapp.staff.browsers import PASSWORD, Person, employ, token_in

NEW = "a password of my own"
Sql = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(app: Flask) -> Person:
    return owner_of(app, create_clinic())


def owner_of(app: Flask, org: str, name: str = "Olu") -> Person:
    person = employ(app, org, name, StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return person


def id_of(sql: Sql, email: str) -> str:
    [row] = sql.execute("SELECT id FROM staff_users WHERE email = %s", [email]).fetchall()
    return str(row[0])


def row(sql: Sql, email: str, columns: str) -> Any:
    [found] = sql.execute(f"SELECT {columns} FROM staff_users WHERE email = %s".encode(), [email]).fetchall()
    return found if len(found) > 1 else found[0]


def add(owner: Person, email: str, **form: str) -> TestResponse:
    values = {"name": "Sam New", "email": email, "role": "staff", "proof": PASSWORD}
    return owner.post("settings/team/add", **(values | form))


def link_in(answer: TestResponse) -> str:
    """The path of the link that a page shows."""
    assert answer.status_code == 200, answer.text
    found = re.search(r'value="https?://[^/"]+(/dashboard/invitation/[0-9a-f]+)"', answer.text)
    assert found, answer.text
    return found[1]


def deed(owner: Person, sql: Sql, email: str, what: str, **form: str) -> TestResponse:
    return owner.post(f"settings/team/{id_of(sql, email)}/{what}", **({"proof": PASSWORD} | form))


def accept(client: FlaskClient, link: str, password: str = NEW, again: str | None = None) -> TestResponse:
    page = client.get("/dashboard/sign-in")
    form = {"csrf": token_in(page), "password": password, "again": password if again is None else again}
    return client.post(link, data=form)


def stranger_of(owner: Person, email: str) -> Person:
    return Person(owner.client.application.test_client(), owner.org, email)


# --- adding -------------------------------------------------------------------------------------


def test_a_colleague_is_added_and_sets_a_password_by_the_link(owner: Person, sql: Sql, email: str) -> None:
    link = link_in(add(owner, f" {email.upper()} "))
    assert row(sql, email, "name, role, password_hash") == ("Sam New", "staff", None)
    assert link.rpartition("/")[2] not in str(
        sql.execute("SELECT * FROM staff_users WHERE email = %s", [email]).fetchall()
    )
    listed = owner.get("settings/team").text
    assert "Sam New" in listed
    assert "Has set no password yet" in listed

    colleague = stranger_of(owner, email)
    assert "Hello Sam New" in colleague.client.get(link).text
    assert not colleague.is_in()
    answer = accept(colleague.client, link)
    assert (answer.status_code, answer.location) == (303, "/dashboard")
    assert colleague.is_in()
    assert stranger_of(owner, email).sign_in(NEW).status_code == 303
    assert row(sql, email, "invitation_digest, invited_until") == (None, None)
    again = accept(colleague.elsewhere().client, link, "another password")
    assert (again.status_code, "This link has ended" in again.text) == (404, True)
    assert stranger_of(owner, email).sign_in(NEW).status_code == 303


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"name": "  "}, "The name will not do: it is empty."),
        ({"name": "x" * 81}, "longer than 80 characters"),
        ({"name": "a\u202eb"}, "cannot be shown"),
        ({"email": "jo"}, "This is not an e-mail address."),
        ({"email": "jo\x00@clinic.example"}, "This is not an e-mail address."),
        ({"email": f"{'x' * 250}@clinic.example"}, "This is not an e-mail address."),
        ({"role": "god"}, "Choose what this person may do."),
    ],
)
def test_what_is_wrong_comes_back_with_what_was_typed(
    owner: Person, sql: Sql, email: str, form: dict[str, str], said: str
) -> None:
    before = sql.execute("SELECT count(*) FROM staff_users").fetchall()
    answer = add(owner, **({"email": email} | form))
    assert answer.status_code == 400
    assert said in answer.text
    assert "Nobody was added." in answer.text
    assert ("Sam New" in answer.text) is ("name" not in form)
    assert sql.execute("SELECT count(*) FROM staff_users").fetchall() == before


def test_an_address_is_one_persons(owner: Person, other: Person, email: str) -> None:
    add(owner, email)
    assert "Sam New is in your team with this address already." in add(owner, email).text
    elsewhere = add(owner, other.email)
    assert elsewhere.status_code == 400
    assert "This e-mail address cannot be used here." in elsewhere.text
    assert "clinic" not in elsewhere.text.partition('role="alert"')[2].partition("</p>")[0]


def test_the_people_of_another_clinic_are_not_shown_and_not_changed(
    app: Flask, owner: Person, sql: Sql
) -> None:
    theirs = owner_of(app, create_clinic(), "Thea")
    nobody = "00000000-0000-4000-8000-000000000000"
    assert theirs.email not in owner.get("settings/team").text
    before = row(sql, theirs.email, "to_jsonb(staff_users)")
    for page in ("", "/role", "/disable", "/enable", "/link", "/sessions/end", "/second-factor/reset"):
        said = []
        for each in (id_of(sql, theirs.email), nobody):
            path = f"settings/team/{each}{page}"
            answer = owner.post(path, role="staff", proof=PASSWORD) if page else owner.get(path)
            said.append((answer.status_code, answer.text.replace(each, "ID")))
        assert said[0] == said[1]
        assert said[0][0] == 404
    assert row(sql, theirs.email, "to_jsonb(staff_users)") == before


# --- links --------------------------------------------------------------------------------------


def test_a_link_ends_after_two_days_with_another_link_and_with_the_person(
    owner: Person, sql: Sql, email: str, clock: Clock
) -> None:
    first = link_in(add(owner, email))
    second = link_in(deed(owner, sql, email, "link"))
    client = stranger_of(owner, email).client
    assert client.get(first).status_code == 404
    assert client.get(second).status_code == 200
    deed(owner, sql, email, "disable")
    assert client.get(second).status_code == 404
    assert accept(client, second).status_code == 404
    refused = owner.client.get(deed(owner, sql, email, "link").location)
    assert "A disabled person gets no link." in refused.text
    deed(owner, sql, email, "enable")
    assert client.get(second).status_code == 404
    third = link_in(deed(owner, sql, email, "link"))
    clock.forward(48 * 3600 - 60)
    assert client.get(third).status_code == 200
    clock.forward(120)
    assert client.get(third).status_code == 404
    assert accept(client, third).status_code == 404
    assert row(sql, email, "password_hash") is None


def test_who_forgot_a_password_sets_another_and_is_signed_out_elsewhere(
    app: Flask, owner: Person, sql: Sql
) -> None:
    colleague = employ(app, owner.org, "Sam")
    colleague.sign_in()
    link = link_in(deed(owner, sql, colleague.email, "link"))
    assert colleague.is_in()  # the old password and its sessions last until another is set
    new = colleague.elsewhere()
    assert accept(new.client, link).status_code == 303
    assert new.is_in()
    assert not colleague.is_in()
    assert colleague.elsewhere().sign_in(PASSWORD).status_code == 403


def test_a_link_does_not_get_past_the_second_factor(app: Flask, owner: Person, sql: Sql) -> None:
    colleague = employ(app, owner.org, "Sam")
    turn_on_second_factor(colleague)
    link = link_in(deed(owner, sql, colleague.email, "link"))
    assert accept(colleague.client, link).location == "/dashboard/sign-in/code"
    assert not colleague.is_in()
    reset = deed(owner, sql, colleague.email, "second-factor/reset")
    assert "signs in with the password alone now" in owner.client.get(reset.location).text
    assert colleague.sign_in(NEW).location == "/dashboard"


def turn_on_second_factor(person: Person) -> None:
    import uuid  # noqa: PLC0415

    with transaction(uuid.UUID(person.org)) as session:
        user = staff.find(session, uuid.UUID(person.org), person.email)
        assert user is not None
        second_factor.start(user)
        user.totp_since = user.created_at


@pytest.mark.parametrize(
    ("password", "again", "said"),
    [
        ("short", "short", "it needs 12 characters or more"),
        (NEW, "something else", "the two passwords are not the same"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa", "one character over and over"),
    ],
)
def test_a_password_that_will_not_do_uses_nothing_up(
    owner: Person, email: str, password: str, again: str, said: str
) -> None:
    link = link_in(add(owner, email))
    client = stranger_of(owner, email).client
    answer = accept(client, link, password, again)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert accept(client, link).status_code == 303


def test_guessed_links_have_to_wait_like_wrong_passwords(app: Flask, owner: Person, email: str) -> None:
    link = link_in(add(owner, email))
    client = app.test_client()

    def get(path: str, address: str = "198.51.100.7") -> int:
        return client.get(path, environ_base={"REMOTE_ADDR": address}).status_code

    for number in range(20):
        assert get(link) == 200  # a right one is no failure
        assert get(f"/dashboard/invitation/{number:048x}") == 404
    assert get(f"/dashboard/invitation/{21:048x}") == 429
    assert get(link) == 429
    assert get(link, "198.51.100.8") == 200


def test_of_two_who_open_one_link_at_once_one_sets_the_password(
    app: Flask, owner: Person, email: str, sql: Sql
) -> None:
    link = link_in(add(owner, email))
    answers: list[int] = []
    clients = [app.test_client() for _ in range(2)]

    def go(client: FlaskClient, password: str) -> None:
        answers.append(accept(client, link, password).status_code)

    at_once(sql, "staff_users", *(partial(go, each, f"{NEW} {n}") for n, each in enumerate(clients)))
    assert sorted(answers) == [303, 404]
    assert row(sql, email, "session_epoch") == 1


# --- what owners change -------------------------------------------------------------------------


def test_a_role_counts_from_the_next_request_on(app: Flask, owner: Person, sql: Sql) -> None:
    colleague = employ(app, owner.org, "Sam")
    colleague.sign_in()
    assert colleague.get("settings/team").status_code == 403
    said = owner.client.get(deed(owner, sql, colleague.email, "role", role="owner").location).text
    assert "Sam now has the role “Owner”" in said
    assert colleague.get("settings/team").status_code == 200
    assert deed(owner, sql, colleague.email, "role", role="god").status_code == 400


def test_who_is_signed_out_or_disabled_is_out_at_once(app: Flask, owner: Person, sql: Sql) -> None:
    colleague = employ(app, owner.org, "Sam")
    colleague.sign_in()
    deed(owner, sql, colleague.email, "sessions/end")
    assert not colleague.is_in()
    assert colleague.sign_in().status_code == 303
    deed(owner, sql, colleague.email, "disable")
    assert not colleague.is_in()
    assert colleague.sign_in().status_code == 403
    assert "May not sign in since" in owner.get("settings/team").text
    deed(owner, sql, colleague.email, "enable")
    assert colleague.sign_in().status_code == 303


@pytest.mark.parametrize("what", ["role", "link", "second-factor/reset"])
def test_an_open_browser_gives_nobody_access(app: Flask, owner: Person, sql: Sql, what: str) -> None:
    colleague = employ(app, owner.org, "Sam")
    before = row(sql, colleague.email, "to_jsonb(staff_users)")
    answer = deed(owner, sql, colleague.email, what, role="owner", proof="not mine")
    assert answer.status_code == 403
    assert "neither your password nor a code" in answer.text
    assert row(sql, colleague.email, "to_jsonb(staff_users)") == before
    assert add(owner, "x@clinic.example", proof="not mine").status_code == 403


def test_the_last_owner_stays(app: Flask, owner: Person, sql: Sql) -> None:
    for what in ("role", "disable"):
        answer = deed(owner, sql, owner.email, what, role="staff")
        assert answer.status_code == 303
        assert "no other owner can sign in" in owner.get("settings/team").text
    assert row(sql, owner.email, "role, disabled_at") == ("owner", None)
    # One who was only invited cannot sign in, and would leave the clinic without an owner.
    add(owner, "second@clinic.example" + owner.org, role="owner")
    deed(owner, sql, owner.email, "disable")
    assert row(sql, owner.email, "disabled_at") is None
    second = owner_of(app, owner.org, "Ola")
    assert deed(owner, sql, owner.email, "role", role="read_only").location == "/dashboard"
    assert owner.get("settings/team").status_code == 403
    assert second.get("settings/team").status_code == 200


def test_two_owners_who_disable_each_other_at_once_leave_one(app: Flask, owner: Person, sql: Sql) -> None:
    second = owner_of(app, owner.org, "Ola")
    ids = {person.email: id_of(sql, person.email) for person in (owner, second)}
    tokens = {person.email: token_in(person.get("reports")) for person in (owner, second)}

    def disable(by: Person, of: Person) -> None:
        path = f"/dashboard/settings/team/{ids[of.email]}/disable"
        by.client.post(path, data={"csrf": tokens[by.email]})

    at_once(sql, "staff_users", partial(disable, owner, second), partial(disable, second, owner))
    left = sql.execute(
        "SELECT count(*) FROM staff_users WHERE org_id = %s AND role = 'owner' AND disabled_at IS NULL",
        [owner.org],
    ).fetchall()
    assert left == [(1,)]


@pytest.fixture
def email(owner: Person) -> str:
    return f"new-{owner.email}"
