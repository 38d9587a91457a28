"""Owners set up services on their pages: every rule, who does it, and what is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from werkzeug.test import TestResponse

from models.clinics.staff import StaffRole
from tests.factories import slot
from tests.webapp.staff.setting_up import Owner, fields, notices, words
from tests.webapp.staff.setting_up import elsewhere as elsewhere  # noqa: PLC0414
from tests.webapp.staff.setting_up import empty as empty  # noqa: PLC0414
from tests.webapp.staff.setting_up import owner as owner  # noqa: PLC0414

CHECK_UP = {"name": "Check-up", "minutes": "30", "who": ["anna"], "by_phone": "1", "by_link": "1"}
DAY = slot()[:10]


@pytest.fixture
def ready(owner: Owner) -> Owner:
    """With a check-up that Anna does, and a calendar of anyone."""
    owner.does("/services/add", **CHECK_UP)
    owner.does("/phone/first")
    return owner


def book(owner: Owner, clock: str = "10:00", person: str = "anna", service: str = "check-up") -> str:
    form = {"service": service, "person": person, "day": DAY, "other": clock}
    answer = owner.person.post("diary/new", **form, name="Ann Desk", phone="07700 900456")
    assert answer.status_code == 303, words(answer.text)
    return answer.location.rsplit("/", 1)[-1]


# --- adding -------------------------------------------------------------------------------------


def test_a_check_up_of_thirty_minutes_with_anna_takes_one_screen(owner: Owner) -> None:
    shown = fields(owner.page("/services/add"))
    assert shown.pop("who", []) == []
    said = owner.does("/services/add", **(shown | {"name": " Check-up ", "minutes": "40", "who": "anna"}))
    assert said.startswith("Check-up was added.")
    made = owner.service(
        "check-up", "name, words, minutes, step_minutes, min_notice_minutes, horizon_days, most_per_day"
    )
    assert made == ("Check-up", [], 40, 40, 0, 90, None)
    assert owner.service("check-up", "by_phone, by_link, worth") == (True, True, None)
    assert owner.who_does("check-up") == ["anna"]
    assert owner.audit("services", "check-up") == ["insert"]
    assert "Check-up 40 min Anna by phone and by link" in owner.reads("/services")


def test_every_rule_is_set_read_back_and_kept(owner: Owner) -> None:
    owner.does("/services/add", **CHECK_UP)
    owner.does(
        "/services/add",
        **CHECK_UP
        | {
            "name": "Cleaning",
            "words": "hygienist,  scale  and polish ,, hygienist",
            "minutes": "45",
            "who": ["ben", "carla", "room-1"],
            "minutes_before": "5",
            "minutes_after": "10",
            "step_minutes": "15",
            "notice": "2",
            "unit": "days",
            "horizon_days": "60",
            "most_per_day": "4",
            "by_phone": None,
            "worth": "high",
        },
    )
    columns = (
        "words, minutes, minutes_before, minutes_after, step_minutes, min_notice_minutes, horizon_days,"
        " most_per_day, by_phone, by_link, worth, position"
    )
    made = owner.service("cleaning", columns)
    assert made == (["hygienist", "scale and polish"], 45, 5, 10, 15, 2880, 60, 4, False, True, "high", 2)
    assert owner.who_does("cleaning") == ["ben", "carla", "room-1"]
    owner.changes("/service/cleaning")
    assert owner.service("cleaning", columns) == made
    assert owner.who_does("cleaning") == ["ben", "carla", "room-1"]
    said = owner.changes(
        "/service/cleaning", words="", most_per_day="", worth="", notice="", by_link=None, who="ben"
    )
    assert "Cleaning was changed." in said
    assert owner.service("cleaning", columns) == ([], 45, 5, 10, 15, 0, 60, None, False, False, None, 2)
    assert owner.who_does("cleaning") == ["ben"]
    assert "at the desk only" in owner.reads("/services")
    assert owner.audit("services", "cleaning").count("update") >= 1


def test_a_service_that_is_renamed_keeps_its_id_and_its_worth(ready: Owner) -> None:
    ready.changes("/service/check-up", worth="low")
    ready.changes("/service/check-up", name="Examination")
    assert ready.service("check-up", "name, worth") == ("Examination", "low")


def test_a_worth_of_the_rules_for_scoring_is_shown_where_the_service_has_none(ready: Owner) -> None:
    assert "as the call suggests" in ready.reads("/service/check-up")
    for rules, says in (
        ('{"services": {"check-UP": "low"}}', "low, as the rules for scoring say"),
        ('{"services": ["check-up"]}', "as the call suggests"),
    ):
        ready.sql.execute("UPDATE organizations SET lead_rules = %s WHERE id = %s", [rules, ready.org])
        assert says in ready.reads("/service/check-up")


def test_what_is_changed_is_what_callers_are_offered(ready: Owner) -> None:
    before = len(ready.free(date=DAY)["slots"])
    ready.changes("/service/check-up", minutes="480", step_minutes="")
    after = ready.free(date=DAY)["slots"]
    assert len(after) == 1 < before
    ready.changes("/service/check-up", by_phone=None)
    assert not ready.free(date=DAY)["success"]


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "  "}, "a service needs a name"),
        ({"name": "x" * 81}, "is longer than 80 characters"),
        ({"name": "Peel\u202e"}, "holds characters that cannot be shown"),
        ({"name": "Peel\x00"}, "holds characters that cannot be shown"),
        ({"words": "x" * 81}, "is longer than 80 characters"),
        ({"words": ", ".join(map(str, range(21)))}, "callers may have 20 words for a service, and not 21"),
        ({"minutes": ""}, "say how many minutes an appointment lasts"),
        ({"minutes": "4"}, "minutes is from 5 to 480, and not 4"),
        ({"minutes": "half an hour"}, "“Minutes” must be a whole number, and not 'half an hour'"),
        ({"minutes": "-30"}, "must be a whole number"),
        ({"minutes": "9" * 30}, "must be a whole number"),
        ({"minutes_after": "241"}, "minutes after is from 0 to 240"),
        ({"step_minutes": "0"}, "step minutes is from 5 to 480, and not 0"),
        ({"notice": "366", "unit": "days"}, "min notice minutes is from 0 to 525600"),
        ({"horizon_days": "0"}, "horizon days is from 1 to 3660, and not 0"),
        ({"most_per_day": "0"}, "most per day is from 1 to 10000, and not 0"),
        ({"who": None}, "a service needs somebody who can do it"),
        ({"who": "nobody"}, "there is no nobody"),
        ({"who": "an\x00na"}, "there is no"),
        ({"name": "Check up"}, "callers say the same for check-up"),
        ({"words": "examination, check-up"}, "callers say the same for"),
    ],
)
def test_what_cannot_work_comes_back_as_it_was_typed(ready: Owner, given: Any, says: str) -> None:
    form = CHECK_UP | {"name": "Peeling", "words": "exfoliation", "who": ["ben"]} | given
    page = ready.is_refused("/services/add", **form)
    assert says in notices(page)
    if "\x00" not in form["name"]:
        assert {name: fields(page)[name] for name in ("name", "minutes", "words")} == {
            name: [form[name]] for name in ("name", "minutes", "words")
        }
    ready.does("/services/add", **CHECK_UP | {"name": "Peeling", "words": "exfoliation", "who": ["ben"]})
    page = ready.is_refused("/service/peeling", **fields(ready.page("/service/peeling")) | form)
    assert says.replace("callers say the same for check-up", "callers say the same for") in notices(page)


def test_words_that_two_services_share_are_refused_for_either(ready: Owner) -> None:
    ready.does("/services/add", **CHECK_UP | {"name": "Cleaning", "words": "hygienist", "who": "ben"})
    page = ready.is_refused(
        "/service/check-up", **fields(ready.page("/service/check-up")) | {"words": "dentist, Hygienist"}
    )
    assert "callers say the same for check-up and for cleaning" in notices(page)
    assert fields(page)["words"] == ["dentist, Hygienist"]


def test_a_service_longer_than_any_opening_is_added_and_said_to_offer_nothing(owner: Owner) -> None:
    owner.add("dan", opening={"mon": [["09:00", "10:00"]]})
    said = owner.does("/services/add", **CHECK_UP | {"name": "Implant", "minutes": "120", "who": "dan"})
    assert "Implant was added." in said
    assert "The service implant takes 120 minutes" in said
    assert "never offered" in owner.reads()


def test_a_service_of_one_without_hours_is_said_to_offer_nothing(owner: Owner) -> None:
    said = owner.does("/services/add", **CHECK_UP | {"who": "carla"})
    assert "Carla (carla) has no hours in the next four weeks" in said


def test_rubbish_is_never_an_error_of_ours(ready: Owner) -> None:
    for field in ("name", "words", "minutes", "notice", "unit", "worth", "who", "seen", "horizon_days"):
        for value in ("", "\x00", "'; --", "\udcff".encode("utf-8", "replace").decode(), "9" * 5000, "½"):
            form = fields(ready.page("/service/check-up")) | {field: value}
            answer = ready.sends("/service/check-up", **form)
            assert answer.status_code in {303, 400}, (field, value, answer.status_code)


# --- the order, and the end ---------------------------------------------------------------------


def order(owner: Owner) -> list[str]:
    query = "SELECT id FROM services WHERE org_id = %s AND retired_at IS NULL ORDER BY position, id"
    return [row[0] for row in owner.sql.execute(query, [owner.org]).fetchall()]


def test_services_are_moved_up_and_down(ready: Owner) -> None:
    for name in ("Cleaning", "Filling"):
        ready.does("/services/add", **CHECK_UP | {"name": name})
    assert order(ready) == ["check-up", "cleaning", "filling"]
    ready.does("/services/order", service="filling", up="1")
    assert order(ready) == ["check-up", "filling", "cleaning"]
    ready.does("/services/order", service="check-up", down="1")
    assert order(ready) == ["filling", "check-up", "cleaning"]
    for which, way in (("filling", "up"), ("cleaning", "down")):
        ready.does("/services/order", service=which, **{way: "1"})
        assert order(ready) == ["filling", "check-up", "cleaning"]
    assert ready.sends("/services/order", service="nobody", up="1").status_code == 404
    page = ready.reads("/services")
    assert page.index("Filling") < page.index("Check-up") < page.index("Cleaning")


def test_a_service_is_retired_with_what_stands_and_taken_back(ready: Owner) -> None:
    ready.does("/services/add", **CHECK_UP | {"name": "Cleaning"})
    book(ready, service="cleaning")
    said = ready.does("/service/cleaning/retire")
    assert "Retired: nobody can book it any more. What is booked stands." in said
    assert "1 appointment stands" in said
    assert "Cleaning is retired." in ready.reads("/standing")
    assert "Retired: 1" in ready.reads("/services")
    assert order(ready) == ["check-up"]
    assert "It is offered again." in ready.does("/service/cleaning/retire", undo="1")
    assert order(ready) == ["check-up", "cleaning"]


def test_the_only_default_service_is_not_retired(ready: Owner) -> None:
    said = ready.does("/service/check-up/retire")
    assert "Nothing was changed: check-up is the default service of the calendar cal-1" in said
    assert ready.service("check-up", "retired_at") is None


def test_one_that_callers_could_not_tell_apart_is_not_taken_back(ready: Owner) -> None:
    ready.does("/services/add", **CHECK_UP | {"name": "Cleaning"})
    ready.does("/service/cleaning/retire")
    ready.does("/services/add", **CHECK_UP | {"name": "Cleaning"})
    assert "callers say the same" in ready.does("/service/cleaning/retire", undo="1")
    assert ready.service("cleaning", "retired_at") is not None


def test_those_who_are_retired_keep_their_tick_and_a_kind_needs_one_who_is_there(ready: Owner) -> None:
    ready.changes("/service/check-up", who=["anna", "ben", "room-1"])
    retire = "UPDATE resources SET retired_at = now() WHERE org_id = %s AND id = %s"
    ready.sql.execute(retire, [ready.org, "ben"])
    ready.changes("/service/check-up", minutes="45")
    assert ready.who_does("check-up") == ["anna", "ben", "room-1"]
    assert "Ben (retired)" in ready.reads("/service/check-up")
    page = ready.is_refused(
        "/service/check-up", **fields(ready.page("/service/check-up")) | {"who": ["ben", "room-1"]}
    )
    assert "Ben is retired; choose another person too, or leave it out" in notices(page)
    assert "Ben" not in ready.reads("/services/add")


def test_one_who_does_it_no_more_leaves_their_appointments_standing(ready: Owner) -> None:
    book(ready)
    said = ready.changes("/service/check-up", who=["ben"])
    assert "1 appointment stands" in said
    assert "Anna does not do Check-up any more." in ready.reads("/standing")


# --- two at once, and who may -------------------------------------------------------------------


def test_a_form_that_a_colleague_overtook_is_not_saved_unseen(ready: Owner) -> None:
    colleague = ready.another()
    old = fields(colleague.page("/service/check-up"))
    ready.changes("/service/check-up", minutes="45")
    page = colleague.is_refused("/service/check-up", **old | {"words": "examination"})
    assert "a colleague has changed this since you opened the page" in notices(page)
    assert (fields(page)["words"], fields(page)["minutes"]) == (["examination"], ["30"])
    colleague.does("/service/check-up", **fields(page))
    assert ready.service("check-up", "minutes, words") == (30, ["examination"])


def test_two_owners_who_add_one_service_at_once_get_one(owner: Owner) -> None:
    pair = [owner, owner.another()]
    for number in range(5):
        form = CHECK_UP | {"name": f"Service {number}"}
        tokens = [each.person.get("reports") for each in pair]
        assert tokens
        start, answers = threading.Barrier(2), list[TestResponse]()

        def send(one: Owner, form: Any = form, start: Any = start, answers: Any = answers) -> None:
            start.wait()
            answers.append(one.sends("/services/add", **form))

        threads = [threading.Thread(target=send, args=[each]) for each in pair]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(each.status_code for each in answers) == [303, 400]
        assert "callers say the same" in next(words(each.text) for each in answers if each.status_code == 400)
        count = "SELECT count(*) FROM services WHERE org_id = %s AND name = %s"
        assert owner.sql.execute(count, [owner.org, form["name"]]).fetchone() == (1,)


@pytest.mark.parametrize("role", [StaffRole.STAFF, StaffRole.READ_ONLY])
def test_only_owners_see_and_change_services(ready: Owner, role: StaffRole) -> None:
    one = ready.another(role)
    before = ready.rows()
    for path in ("/services", "/services/add", "/service/check-up"):
        assert one.person.get(f"settings{path}").status_code == 403
    form = fields(ready.page("/service/check-up")) | {"minutes": "45"}
    for path in ("/services/add", "/service/check-up", "/service/check-up/retire", "/services/order"):
        assert one.sends(path, **form).status_code == 403
    assert ready.rows() == before


def test_a_service_of_another_clinic_is_nobodys(ready: Owner, elsewhere: Owner) -> None:
    elsewhere.does("/services/add", **CHECK_UP | {"name": "Theirs"})
    elsewhere.does("/services/add", **CHECK_UP | {"name": "Other"})
    before = elsewhere.rows()
    form = fields(ready.page("/service/check-up"))
    for which in ("theirs", "nobody", "a/b", "%00"):
        assert ready.person.get(f"settings/service/{which}").status_code == 404
        assert ready.sends(f"/service/{which}", **form).status_code == 404
        assert ready.sends(f"/service/{which}/retire").status_code == 404
        assert ready.sends("/services/order", service=which, up="1").status_code == 404
    assert elsewhere.rows() == before
    elsewhere.add("zoe")
    page = ready.is_refused("/services/add", **CHECK_UP | {"name": "Peel", "who": "zoe"})
    assert "there is no zoe" in notices(page)


def test_an_empty_clinic_is_sent_to_its_people_first(empty: Owner) -> None:
    assert "There is no service yet" in empty.reads("/services")
    assert "Add people and rooms , then come back." in empty.reads("/services/add")
