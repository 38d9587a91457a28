"""“Worth the call?”: said with one tap, kept with the score of that moment, and counted month by month."""

from __future__ import annotations

import csv
import html
import io
import re
import uuid

import psycopg
import pytest
from flask import Flask
from psycopg import errors

from models.base.session import transaction
from models.insight import privacy
from tests.conftest import Clock
from tests.factories import phone_number
from tests.webapp.staff.browsers import Person, employ
from tests.webapp.staff.judging import WHEN, judge, said, shown, table
from tests.webapp.staff.rows import add_call

SCRIPT = {"HX-Request": "true"}


def pressed(page: str) -> list[tuple[str, str, str]]:
    """The two buttons: what each would send, whether it is pressed, and what it says."""
    return re.findall(r'name="worth" value="(\w+)" aria-pressed="(\w+)">(\w+)</button>', page)


# --- one tap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["leads", "leads/{call}"])
def test_a_tap_says_it_the_other_button_changes_it_and_the_same_takes_it_back(
    person: Person, sql: psycopg.Connection, place: str
) -> None:
    call = add_call(sql, person.org)
    path = place.format(call=call)
    assert pressed(person.get(path).text) == [("yes", "false", "Yes"), ("no", "false", "No")]

    assert judge(person, call, "yes").location == f"/dashboard/leads/{call}"
    assert said(sql, call) == (True, 86, "hot")
    page = person.get(path).text
    assert pressed(page) == [("unsaid", "true", "Yes"), ("no", "false", "No")]
    assert "Jo said yes, " in shown(page)

    judge(person, call, "no")
    assert said(sql, call) == (False, 86, "hot")
    page = person.get(path).text
    assert pressed(page) == [("yes", "false", "Yes"), ("unsaid", "true", "No")]
    assert "Jo said no, " in shown(page)

    judge(person, call, "unsaid")
    assert said(sql, call) == (None, None, None)
    assert said(sql, call, WHEN) == (None, None)
    assert "Jo said" not in shown(person.get(path).text)


def test_who_said_it_first_stays_until_somebody_says_otherwise(
    app: Flask, person: Person, sql: psycopg.Connection, clock: Clock
) -> None:
    call = add_call(sql, person.org)
    colleague = employ(app, person.org, "Sam")
    colleague.sign_in()
    judge(person, call, "yes")
    first = said(sql, call, WHEN)
    clock.forward(60)
    judge(colleague, call, "yes")
    assert said(sql, call, WHEN) == first
    assert "Jo said yes" in shown(colleague.get(f"leads/{call}").text)
    judge(colleague, call, "no")
    at, by = said(sql, call, WHEN)
    assert (by, at > first[0]) == (user(sql, colleague), True)
    assert "Sam said no" in shown(person.get(f"leads/{call}").text)


def user(sql: psycopg.Connection, person: Person) -> uuid.UUID:
    row = sql.execute("SELECT id FROM staff_users WHERE email = %s", [person.email]).fetchone()
    assert row
    found: uuid.UUID = row[0]
    return found


def test_another_score_does_not_change_what_was_judged(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org)
    judge(person, call, "yes")
    sql.execute("UPDATE calls SET lead_score = 12, lead_band = 'cold' WHERE id = %s", [call])
    assert said(sql, call) == (True, 86, "hot")
    assert "at a score of 86" in shown(person.get(f"leads/{call}").text)
    judge(person, call, "yes")
    assert said(sql, call) == (True, 86, "hot")
    judge(person, call, "no")
    assert said(sql, call) == (False, 12, "cold")


def test_it_is_audited_with_who_said_it(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org)
    judge(person, call, "yes")
    judge(person, call, "yes")
    judge(person, call, "unsaid")
    entries = sql.execute(
        "SELECT actor, action, row_id, columns FROM audit_log WHERE org_id = %s AND table_name = 'calls'"
        " ORDER BY id",
        [person.org],
    ).fetchall()
    columns = ["judged_at", "judged_band", "judged_by", "judged_score", "worth_call"]
    assert entries == [(f"staff {person.email}", "update", call, columns)] * 2


def test_what_somebody_said_who_is_gone_stays(app: Flask, person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org)
    leaver = employ(app, person.org, "Lee")
    leaver.sign_in()
    judge(leaver, call, "yes")
    sql.execute("DELETE FROM staff_users WHERE email = %s", [leaver.email])
    assert said(sql, call) == (True, 86, "hot")
    assert "Somebody who has left said yes" in shown(person.get(f"leads/{call}").text)


@pytest.mark.parametrize("form", [{}, {"worth": ""}, {"worth": "perhaps"}, {"worth": "true"}])
def test_anything_but_yes_and_no_is_refused(
    person: Person, sql: psycopg.Connection, form: dict[str, str]
) -> None:
    call = add_call(sql, person.org)
    assert person.post(f"leads/{call}/worth-the-call", **form).status_code == 400
    assert said(sql, call) == (None, None, None)


def test_a_call_without_a_score_is_not_judged(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org, lead_score=None, lead_band=None, lead_reasons=[])
    assert pressed(person.get(f"leads/{call}").text) == []
    judge(person, call, "yes")
    assert said(sql, call) == (None, None, None)
    assert "Not noted" in person.get(f"leads/{call}").text


def test_half_a_judgement_cannot_stand(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org)
    with pytest.raises(errors.CheckViolation):
        sql.execute("UPDATE calls SET worth_call = true WHERE id = %s", [call])
    with pytest.raises(errors.CheckViolation):
        sql.execute("UPDATE calls SET judged_by = %s WHERE id = %s", [user(sql, person), call])


# --- where one was ------------------------------------------------------------------------------


def test_from_the_list_one_comes_back_to_its_row(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org, id="one/two three")
    page = person.get("leads?band=hot").text
    action = re.search(r'<form class="worth" method="post" action="([^"]+)"', page)
    assert action
    path = html.unescape(action[1]).removeprefix("/dashboard/")
    answer = person.post(path, worth="yes", in_list="1")
    assert answer.location == "/dashboard/leads?band=hot#lead-one/two%20three"
    assert f'id="lead-{call}"' in page
    back = person.post(path.replace("from=leads", "from=calls"), worth="no")
    assert back.location == "/dashboard/leads/one/two%20three?from=calls&band=hot"


def test_a_script_gets_the_form_alone(person: Person, sql: psycopg.Connection) -> None:
    call = add_call(sql, person.org)
    token = re.search(r'name="csrf" value="([^"]+)"', person.get("leads").text)
    assert token
    form = {"csrf": token[1], "worth": "yes", "in_list": "1"}
    address = f"/dashboard/leads/{call}/worth-the-call?from=leads&band=hot"
    answer = person.client.post(address, data=form, headers=SCRIPT)
    assert answer.status_code == 200
    assert answer.text.strip().startswith("<form")
    assert answer.text.strip().endswith("</form>")
    assert pressed(answer.text) == [("unsaid", "true", "Yes"), ("no", "false", "No")]
    assert 'name="in_list"' in answer.text
    assert html.escape(address) in answer.text
    assert said(sql, call) == (True, 86, "hot")


def test_a_script_that_is_refused_loads_the_page_that_says_why(
    person: Person, stranger: Person, sql: psycopg.Connection
) -> None:
    call = add_call(sql, person.org)
    address = f"/dashboard/leads/{call}/worth-the-call"
    refused = person.client.post(address, data={"csrf": "old", "worth": "yes"}, headers=SCRIPT)
    assert (refused.status_code, refused.headers["HX-Refresh"]) == (400, "true")
    assert "This form is too old" in person.get("leads").text
    out = person.elsewhere().client.post(address, data={"worth": "yes"}, headers=SCRIPT)
    assert (out.status_code, out.headers["HX-Refresh"]) == (401, "true")
    assert said(sql, call) == (None, None, None)


# --- walls --------------------------------------------------------------------------------------


@pytest.mark.parametrize("worth", ["yes", "no", "unsaid"])
def test_the_clinic_next_door_can_neither_say_it_nor_see_it(
    person: Person, other: Person, sql: psycopg.Connection, worth: str
) -> None:
    call = add_call(sql, other.org)
    judge(other, call, "no")
    before = said(sql, call), said(sql, call, WHEN)
    mine, nobodys = judge(person, call, worth), judge(person, str(uuid.uuid4()), worth)
    assert (mine.status_code, nobodys.status_code) == (404, 404)
    assert mine.text == nobodys.text
    assert (said(sql, call), said(sql, call, WHEN)) == before
    assert judge(person, "a%00b", worth).status_code == 404
    assert "that you judged" not in person.get("reports").text
    assert table(person) == []
    assert call not in person.get("leads.csv").text


def test_the_same_call_id_next_door_is_another_call(
    person: Person, other: Person, sql: psycopg.Connection
) -> None:
    call = str(uuid.uuid4())
    for each in (person, other):
        add_call(sql, each.org, id=call)
    judge(person, call, "yes")
    query = "SELECT worth_call FROM calls WHERE id = %s AND org_id = %s"
    assert sql.execute(query, [call, person.org]).fetchone() == (True,)
    assert sql.execute(query, [call, other.org]).fetchone() == (None,)


def test_nobody_of_another_clinic_can_have_said_it(
    person: Person, other: Person, sql: psycopg.Connection
) -> None:
    call = add_call(sql, person.org)
    judge(person, call, "yes")
    with pytest.raises(errors.ForeignKeyViolation):
        sql.execute("UPDATE calls SET judged_by = %s WHERE id = %s", [user(sql, other), call])


def test_a_hostile_name_and_id_are_words_and_no_markup(
    app: Flask, person: Person, sql: psycopg.Connection
) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(3)>"
    call = add_call(sql, person.org, id=evil)
    colleague = employ(app, person.org, evil)
    colleague.sign_in()
    token = re.search(r'name="csrf" value="([^"]+)"', colleague.get("leads").text)
    action = re.search(r'<form class="worth" method="post" action="([^"]+)"', colleague.get("leads").text)
    assert token
    assert action
    form = {"csrf": token[1], "worth": "yes"}
    answer = colleague.client.post(html.unescape(action[1]), data=form, headers=SCRIPT)
    for text in (answer.text, person.get("leads").text, person.client.get(f"/dashboard/leads/{evil}").text):
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text
    assert said(sql, call) == (True, 86, "hot")
    colleague.client.post(html.unescape(action[1]), data={**form, "worth": "unsaid"})
    formula = employ(app, person.org, "=1+1")
    formula.sign_in()
    formula.client.post(
        html.unescape(action[1]),
        data={
            "csrf": re.findall(r'name="csrf" value="([^"]+)"', formula.get("leads").text)[0],
            "worth": "no",
        },
    )
    line = next(csv.reader(io.StringIO(person.get("leads.csv").text.splitlines()[-1])))
    assert line[-3] == "no"
    assert line[-1] == "'=1+1"


# --- an erased patient --------------------------------------------------------------------------


def test_an_erased_call_is_counted_as_it_was_judged_and_is_judged_no_more(
    person: Person, sql: psycopg.Connection
) -> None:
    phone, unjudged = phone_number(), phone_number()
    call = add_call(sql, person.org, caller_number=phone)
    other = add_call(sql, person.org, caller_number=unjudged)
    judge(person, call, "yes")
    assert [row[1:4] for row in table(person)] == [["1", "1", "1"]]
    for number in (phone, unjudged):
        with transaction(uuid.UUID(person.org)) as session:
            privacy.erase(session, uuid.UUID(person.org), [number])
    assert [row[1:4] for row in table(person)] == [["1", "1", "0"]]
    for each, worth in ((call, "no"), (other, "yes")):
        judge(person, each, worth)
        assert "Not noted" in person.get("leads").text
        assert pressed(person.get(f"leads/{each}").text) == []
    assert said(sql, call) == (True, 86, "hot")
    assert said(sql, other) == (None, None, None)


def test_what_was_said_of_a_patients_call_is_in_the_export(person: Person, sql: psycopg.Connection) -> None:
    phone = phone_number()
    call = add_call(sql, person.org, caller_number=phone)
    judge(person, call, "no")
    with transaction(uuid.UUID(person.org)) as session:
        about = privacy.export(session, uuid.UUID(person.org), [phone])
    assert [(row["worth_call"], row["judged_score"], row["judged_band"]) for row in about["calls"]] == [
        (False, 86, "hot")
    ]
