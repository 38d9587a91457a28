"""Public holidays by command: listed for a clinic's country, and closed once an operator accepts them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from tests.factories import create_clinic
from tests.webapp.cli.commands import ACTOR, Operator
from tests.webapp.cli.test_diary_resources import book

TODAY = datetime.now(UTC).date()
YEAR = TODAY.year + 1


def names(rows: list[dict[str, object]]) -> dict[str, bool]:
    return {f"{row['date']} {row['name']}": bool(row["closed"]) for row in rows}


def test_they_are_listed_and_closed_only_when_accepted(operator: Operator) -> None:
    org = create_clinic(region="US")
    found = operator.reads("holidays", "list", org, "--year", YEAR)
    assert f"{YEAR}-07-04 Independence Day" in names(found)
    assert not any(row["closed"] for row in found)
    assert operator.reads("closure", "list", org) == []
    said = operator.does("holidays", "accept", org, "--year", YEAR, "--date", f"{YEAR}-07-04")
    assert said == "public holidays that are closed: 1"
    [row] = operator.reads("closure", "list", org)
    assert (row["date"], row["for"], row["is"], row["hours"], row["reason"]) == (
        *(f"{YEAR}-07-04", None, "closed", None),
        "Independence Day",
    )
    assert names(operator.reads("holidays", "list", org, "--year", YEAR))[f"{YEAR}-07-04 Independence Day"]
    accepted = operator.reads("holidays", "accept", org, "--year", YEAR)
    assert [each["date"] for each in accepted["closures"]] == [row["date"] for row in found]
    assert len(operator.reads("closure", "list", org)) == len(found)
    assert (ACTOR, "insert", "hours_exceptions") in [each[:3] for each in operator.audited(org)]


def test_a_part_of_the_country_has_its_own(operator: Operator) -> None:
    org = create_clinic(region="US")
    everywhere = names(operator.reads("holidays", "list", org, "--year", YEAR))
    for written in ("US-CA", "CA", "ca"):
        here = names(operator.reads("holidays", "list", org, "--year", YEAR, "--subdivision", written))
        assert f"{YEAR}-03-31 Cesar Chavez Day" in here.keys() - everywhere.keys(), here


def test_the_names_are_those_of_the_country_whatever_the_machine_speaks(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGUAGE", "uk")
    org = create_clinic(region="FR")
    assert f"{YEAR}-11-01 Toussaint" in names(operator.reads("holidays", "list", org, "--year", YEAR))


def test_appointments_on_an_accepted_holiday_stand_and_are_listed(
    operator: Operator, client: FlaskClient
) -> None:
    org = create_clinic(region="GB")
    rows = operator.reads("holidays", "list", org)
    row = next(each for each in rows if each["date"] > TODAY.isoformat())
    booked = book(client, org, slotId=f"{row['date']}T10:00:00Z")
    done = operator.reads("holidays", "accept", org, "--date", row["date"])
    assert [each["appointment"] for each in done["stands"]] == [booked]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["list", "ORG", "--subdivision", "GB-TX"],
            "GB has no part GB-TX with holidays of its own; it has ENG",
        ),
        (["list", "ORG", "--year", TODAY.year - 1], f"give a year from {TODAY.year} to"),
        (["list", "ORG", "--year", TODAY.year + 20], f"give a year from {TODAY.year} to"),
        (["accept", "ORG", "--date", "1999-12-25"], "1999-12-25 is no public holiday to come there"),
        (["accept", "ORG", "--date", TODAY - timedelta(days=400)], "is no public holiday to come there"),
        (["list", "NOWHERE"], "the public holidays of the country ZZ are not known here"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_closed(
    operator: Operator, words: list[object], said: str
) -> None:
    org, nowhere = create_clinic(), create_clinic(region="ZZ")
    filled = [{"ORG": org, "NOWHERE": nowhere}.get(str(word), word) for word in words]
    assert said in " ".join(operator.fails("holidays", *filled).split())
    assert operator.reads("closure", "list", org) == []
