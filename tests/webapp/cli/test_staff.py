"""Staff by command: passwords are typed, kept as argon2id, and never shown."""

from __future__ import annotations

import json

import pytest

import settings
from models.base.session import Door, system_transaction
from models.clinics import invitations, second_factor, staff
from tests.webapp.cli.commands import ACTOR, Operator

PASSWORD = "correct horse battery"


@pytest.fixture
def email(clinic: str) -> str:
    return f"jo-{clinic}@example.com"


def may_come_in(email: str, password: str) -> bool:
    with system_transaction(Door.OPERATOR) as session:
        return staff.verify(staff.find_by_email(session, email), password)


def test_somebody_is_let_in_and_out_and_in_again(operator: Operator, clinic: str, email: str) -> None:
    operator.does(
        *("staff", "add", clinic, email.upper(), "--name", "Jo", "--role", "owner"), typed=PASSWORD + "\n"
    )
    assert may_come_in(email, PASSWORD)
    (row,) = operator.reads("staff", "list", clinic)
    assert row == {
        "email": email,
        "name": "Jo",
        "role": "owner",
        "password": True,
        "second_factor": False,
        "link_until": None,
        "last_seen": None,
        "disabled": None,
    }
    kept = operator.value("SELECT password_hash FROM staff_users WHERE email = %s", email)
    assert kept.startswith("$argon2id$")
    assert kept not in operator.run("staff", "list", clinic).output

    operator.does("staff", "password", clinic, email, typed="another long one\n")
    assert not may_come_in(email, PASSWORD)
    assert may_come_in(email, "another long one")
    operator.does("staff", "disable", clinic, email)
    assert not may_come_in(email, "another long one")
    operator.does("staff", "enable", clinic, email)
    assert may_come_in(email, "another long one")
    # Made, another password, disabled: each of them ends what sessions there are.
    assert operator.value("SELECT session_epoch FROM staff_users WHERE email = %s", email) == 3
    assert [entry[:3] for entry in operator.audited(clinic)[2:]] == [
        (ACTOR, "insert", "staff_users"),
        (ACTOR, "update", "staff_users"),
        (ACTOR, "update", "staff_users"),
        (ACTOR, "update", "staff_users"),
    ]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("short\n", "12 characters or more"),
        ("", "one line was expected"),
        ("aaaaaaaaaaaaaaa\n", "one character over and over"),
        ("x" * 2000 + "\n", "1024 characters at most"),
        ("EMAIL\n", "the e-mail address or the name itself"),
    ],
)
def test_a_password_that_will_not_do(
    operator: Operator, clinic: str, email: str, typed: str, said: str
) -> None:
    typed = typed.replace("EMAIL", email.upper())
    assert said in operator.fails("staff", "add", clinic, email, "--name", "Jo", typed=typed)
    assert operator.reads("staff", "list", clinic) == []


def test_what_is_wrong_is_said(operator: Operator, clinic: str, email: str) -> None:
    add = ("staff", "add", clinic)
    assert "is no e-mail address" in operator.fails(*add, "jo", "--name", "Jo", typed=PASSWORD)
    assert "not one of" in operator.fails(*add, email, "--name", "Jo", "--role", "god", typed=PASSWORD)
    operator.does(*add, email, "--name", "Jo", typed=PASSWORD)
    assert "there already" in operator.fails(*add, email, "--name", "Jo", typed=PASSWORD)
    other = operator.does(
        "organization", "create", "Other", "--region", "GB", "--phone", "020 7946 0958", "--same-name"
    )
    taken = operator.fails("staff", "add", other, email, "--name", "Jo", typed=PASSWORD)
    assert "uq_staff_users_email" in taken
    assert PASSWORD not in taken
    for verb in ("password", "disable", "enable"):
        assert f"{email} is not there" in operator.fails("staff", verb, other, email, typed=PASSWORD)
    assert may_come_in(email, PASSWORD)


def test_the_second_factor_of_one_who_lost_it(operator: Operator, clinic: str, email: str) -> None:
    operator.does("staff", "add", clinic, email, "--name", "Jo", typed=PASSWORD)
    assert "has no second factor" in operator.fails("staff", "reset-second-factor", clinic, email)
    with system_transaction(Door.OPERATOR) as session:
        user = staff.find_by_email(session, email)
        assert user is not None
        second_factor.start(user)
        user.totp_since = user.created_at
        user.recovery_digests = ["x"]
    assert operator.reads("staff", "list", clinic)[0]["second_factor"] is True
    said = operator.does("staff", "reset-second-factor", clinic, email)
    assert "signed out everywhere" in said
    assert operator.reads("staff", "list", clinic)[0]["second_factor"] is False
    kept = "SELECT concat(totp_sealed, totp_since, recovery_digests) FROM staff_users WHERE email = %s"
    assert operator.value(kept, email) == "[]"
    assert f"{email}x is not there" in operator.fails("staff", "reset-second-factor", clinic, email + "x")


def test_a_link_is_made_for_a_new_person_and_for_one_who_forgot(
    operator: Operator, clinic: str, email: str
) -> None:
    invite = ("staff", "invite", clinic, email)
    assert f"{email} is not there" in operator.fails(*invite)
    first = operator.does(*invite, "--name", "Jo", "--role", "owner")
    address = f"{settings.get().public_base_url}/dashboard/invitation/"
    assert first.startswith(address)
    assert "there already" in operator.fails(*invite, "--name", "Jo")
    second = operator.reads(*invite)
    assert second["link"].startswith(address)
    assert second["link"] != first
    assert (second["role"], second["password"], bool(second["link_until"])) == ("owner", False, True)
    with system_transaction(Door.OPERATOR) as session:
        assert invitations.find(session, first.removeprefix(address)) is None
        assert invitations.find(session, second["link"].removeprefix(address)) is not None
    operator.does("staff", "password", clinic, email, typed=PASSWORD + "\n")  # which ends the link
    assert operator.reads("staff", "list", clinic)[0]["link_until"] is None
    operator.does("staff", "disable", clinic, email)
    assert "flask staff enable" in operator.fails(*invite)
    assert "is no e-mail address" in operator.fails("staff", "invite", clinic, "jo", "--name", "Jo")


def test_each_change_prints_the_person_for_a_program(operator: Operator, clinic: str, email: str) -> None:
    added = operator.run("staff", "add", clinic, email, "--name", "Jo", "--json", typed=PASSWORD)
    assert json.loads(added.stdout)["email"] == email
    assert operator.reads("staff", "role", clinic, email, "read_only")["role"] == "read_only"
    assert operator.reads("staff", "disable", clinic, email)["disabled"]
    assert operator.reads("staff", "enable", clinic, email)["disabled"] is None
    before = operator.value("SELECT session_epoch FROM staff_users WHERE email = %s", email)
    assert operator.reads("staff", "sign-out", clinic, email)["email"] == email
    assert operator.value("SELECT session_epoch FROM staff_users WHERE email = %s", email) == before + 1
