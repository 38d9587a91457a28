"""The owners' page of the clinic itself: what each field takes, and two owners who save at once."""

from __future__ import annotations

import html
import re
from functools import partial
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from models.clinics.limits import LEADS, OWNERS_MOST
from models.clinics.staff import StaffRole
from tests.factories import create_clinic
from tests.webapp.staff.at_once import at_once
from tests.webapp.staff.browsers import Person, employ, token_in

Sql = psycopg.Connection[tuple[Any, ...]]
PATH = "settings/clinic"


@pytest.fixture
def owner(app: Flask, sql: Sql) -> Person:
    """An owner of a clinic with the limits that a new clinic has."""
    org = create_clinic()
    limits = ", ".join(
        f"{name} = DEFAULT" for name in ("landlines_allowed", *OWNERS_MOST) if name not in LEADS
    )
    sql.execute(f"UPDATE organizations SET {limits} WHERE id = %s".encode(), [org])
    return owner_of(app, org, "Olu")


def owner_of(app: Flask, org: str, name: str) -> Person:
    person = employ(app, org, name, StaffRole.OWNER)
    assert person.sign_in().status_code == 303
    return person


def form_of(page: str) -> dict[str, str]:
    """What a browser would send if nothing were typed."""
    form = {}
    for tag in re.findall(r"<input[^>]*>", page):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if "name" in attributes and (attributes.get("type") != "checkbox" or " checked" in tag):
            form[attributes["name"]] = html.unescape(attributes.get("value", "on"))
    return form


def opened(person: Person) -> dict[str, str]:
    answer = person.get(PATH)
    assert answer.status_code == 200
    return form_of(answer.text)


def send(person: Person, form: dict[str, str], **typed: str) -> TestResponse:
    return person.client.post(f"/dashboard/{PATH}", data=form | typed)


def change(person: Person, **typed: str) -> TestResponse:
    return send(person, opened(person), **typed)


def kept(sql: Sql, org: str, name: str) -> Any:
    return sql.execute(
        "SELECT (to_jsonb(o) || to_jsonb(s)) -> %s FROM organizations o"
        " JOIN integration_settings s ON s.org_id = o.id WHERE o.id = %s",
        [name, org],
    ).fetchall()[0][0]


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("name", "  Bright   Smile ", "Bright Smile"),
        ("phone", "020 7946 0111", "+442079460111"),
        ("hot_lead_alert_phone", "07700 900555", "+447700900555"),
        ("hot_lead_threshold", "81", 81),
        ("hot_lead_min_duration", "0", 0),
        ("hot_lead_alerts_an_hour", "30", 30),
        ("code_length", "6", 6),
        ("code_tries", "2", 2),
        ("landlines_allowed", "on", True),
        ("holds_per_phone", "2", 2),
        ("moves_per_appointment_a_day", "1", 1),
        ("codes_per_hold", "5", 5),
        ("codes_per_call", "12", 12),
        ("codes_per_phone_a_day", "20", 20),
        ("codes_a_day", "900", 900),
        ("codes_per_caller_an_hour", "7", 7),
        ("wrong_codes_per_phone_a_day", "30", 30),
        ("texts_per_phone_a_day", "30", 30),
        ("segments_a_day", "2500", 2500),
        ("keep_words_days", "120", 120),
        ("keep_patients_days", "730", 730),
    ],
)
def test_each_field_is_written_and_nothing_beside_it(
    owner: Person, sql: Sql, name: str, typed: str, value: object
) -> None:
    before = opened(owner)
    answer = change(owner, **{name: typed}, may_erase="on")
    assert (answer.status_code, answer.location) == (303, f"/dashboard/{PATH}"), answer.text
    assert kept(sql, owner.org, name) == value
    after = opened(owner)
    for each in (name, f"was_{name}", "csrf"):
        before.pop(each, None)
        after.pop(each, None)
    assert after == before
    [entry] = sql.execute(
        "SELECT actor, columns FROM audit_log WHERE org_id = %s AND actor LIKE 'staff%%'"
        " AND table_name IN ('organizations', 'integration_settings')",
        [owner.org],
    ).fetchall()
    assert entry == (f"staff {owner.email}", [name])


@pytest.mark.parametrize(
    ("name", "typed", "said"),
    [
        ("name", " ", "Name of the clinic: will not do: it is empty."),
        ("name", "x" * 81, "longer than 80 characters"),
        ("name", "a\u202eb", "cannot be shown"),
        ("phone", "12", "12 is no telephone number: it has too few digits."),
        ("phone", "", "is no telephone number"),
        ("hot_lead_alert_phone", "call me", "call me is no telephone number"),
        ("hot_lead_alert_phone", "0906 123 4567", "a number that texts cannot be sent to"),
        ("hot_lead_threshold", "0", "give a whole number from 1 to 100."),
        ("hot_lead_threshold", "70.5", "give a whole number from 1 to 100."),
        ("hot_lead_threshold", "", "give a whole number from 1 to 100."),
        ("code_length", "3", "give a whole number from 4 to 8."),
        ("code_length", "9", "give a whole number from 4 to 8."),
        ("code_tries", "6", "give a whole number from 1 to 5."),
        ("codes_a_day", "1001", "give a whole number from 1 to 1000."),
        ("segments_a_day", "3001", "give a whole number from 100 to 3000."),
        ("segments_a_day", "\x00", "give a whole number"),
        ("holds_per_phone", "99999999999999999999", "give a whole number from 1 to 10."),
        ("keep_words_days", "0", "give a number of days from 1 to 36500, or leave it empty."),
        ("keep_patients_days", "ever and a day", "give a number of days"),
    ],
)
def test_what_will_not_do_comes_back_and_nothing_is_written(
    owner: Person, sql: Sql, name: str, typed: str, said: str
) -> None:
    before = kept(sql, owner.org, name)
    answer = change(owner, **{name: typed, "moves_per_appointment_a_day": "2"})
    assert answer.status_code == 400
    assert said in html.unescape(answer.text)
    assert "Nothing was saved." in answer.text
    assert 'value="2"' in answer.text  # what was typed elsewhere is not lost
    assert (kept(sql, owner.org, name), kept(sql, owner.org, "moves_per_appointment_a_day")) == (before, 4)
    again = send(owner, form_of(answer.text), **{name: opened(owner)[name]})
    assert again.status_code == 303
    assert kept(sql, owner.org, "moves_per_appointment_a_day") == 2


def test_the_alert_phone_can_be_left_out_and_words_kept_for_ever(owner: Person, sql: Sql) -> None:
    change(owner, hot_lead_alert_phone="07700 900555")
    change(owner, hot_lead_alert_phone="", keep_words_days="", phone="020 7946 0111")
    assert kept(sql, owner.org, "hot_lead_alert_phone") is None
    assert kept(sql, owner.org, "keep_words_days") is None


def test_a_tick_is_taken_away(owner: Person, sql: Sql) -> None:
    change(owner, landlines_allowed="on")
    form = opened(owner)
    assert form.pop("landlines_allowed") == "on"
    send(owner, form)
    assert kept(sql, owner.org, "landlines_allowed") is False


def test_nothing_is_erased_sooner_without_a_word(owner: Person, sql: Sql) -> None:
    for typed in ({"keep_words_days": "30"}, {"keep_patients_days": "365"}):
        answer = change(owner, **typed)
        assert answer.status_code == 400
        assert "Tick this box to have older data erased." in answer.text
    assert kept(sql, owner.org, "keep_words_days") == 90
    assert kept(sql, owner.org, "keep_patients_days") is None
    assert change(owner, keep_words_days="30", may_erase="on").status_code == 303
    assert change(owner, keep_words_days="31").status_code == 303


def test_what_the_operator_set_higher_stays_and_can_only_go_down(owner: Person, sql: Sql) -> None:
    sql.execute(
        "UPDATE organizations SET codes_a_day = 5000, segments_a_day = 9000 WHERE id = %s", [owner.org]
    )
    assert change(owner, name="Another name").status_code == 303
    assert change(owner, codes_a_day="5001").status_code == 400
    assert change(owner, codes_a_day="4000", segments_a_day="8000").status_code == 303
    assert change(owner, segments_a_day="8001").status_code == 400
    assert kept(sql, owner.org, "segments_a_day") == 8000


def test_what_is_the_operators_is_shown_and_cannot_be_sent(owner: Person, sql: Sql) -> None:
    page = owner.get(PATH).text
    for word in ("Set by the operator of Holdline", "SMS a second", "Country", "Practice mode"):
        assert word in page
    names = ("sms_per_second", "region", "sandbox", "allowed_countries", "unproved_holds", "sms_provider")
    before = [kept(sql, owner.org, name) for name in names]
    form = dict.fromkeys(names, "1") | {f"was_{name}": "0" for name in names}
    assert change(owner, **form).status_code == 303
    assert [kept(sql, owner.org, name) for name in names] == before


def test_two_owners_do_not_undo_each_others_fields(app: Flask, owner: Person, sql: Sql) -> None:
    second = owner_of(app, owner.org, "Ola")
    first_form, second_form = opened(owner), opened(second)
    assert send(owner, first_form, code_length="6", hot_lead_threshold="80").status_code == 303
    assert send(second, second_form, code_tries="2").status_code == 303
    assert [kept(sql, owner.org, name) for name in ("code_length", "hot_lead_threshold", "code_tries")] == [
        *(6, 80, 2)
    ]
    # The same field, of which the second still sees the old value.
    answer = send(second, second_form, code_length="8")
    assert answer.status_code == 400
    assert "Digits of a code: was changed meanwhile, and is now 6." in answer.text
    assert kept(sql, owner.org, "code_length") == 6
    assert send(second, form_of(answer.text)).status_code == 303
    assert kept(sql, owner.org, "code_length") == 8


def test_of_two_who_save_one_field_at_the_same_moment_one_is_told(
    app: Flask, owner: Person, sql: Sql
) -> None:
    second = owner_of(app, owner.org, "Ola")
    forms = [(owner, opened(owner) | {"code_length": "5"}), (second, opened(second) | {"code_length": "7"})]
    answers: dict[str, int] = {}

    def save(person: Person, form: dict[str, str]) -> None:
        answers[form["code_length"]] = send(person, form).status_code

    at_once(sql, "organizations", *(partial(save, *each) for each in forms))
    assert sorted(answers.values()) == [303, 400]
    won = next(int(length) for length, status in answers.items() if status == 303)
    assert kept(sql, owner.org, "code_length") == won


def test_the_desk_and_those_who_only_look_are_refused(app: Flask, owner: Person) -> None:
    for role in (StaffRole.STAFF, StaffRole.READ_ONLY):
        person = employ(app, owner.org, "Sam", role)
        person.sign_in()
        for page in (PATH, "settings/team", "settings/team/add", "settings/record"):
            assert person.get(page).status_code == 403
        token = token_in(person.get("reports"))
        assert person.client.post(f"/dashboard/{PATH}", data={"csrf": token}).status_code == 403
