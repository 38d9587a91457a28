"""A clinic's people are told on their pages, at half and at nearly all, what the clinic has used up."""

from __future__ import annotations

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import phone_number, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.staff.browsers import Person

HALF = "More than half of the codes that the clinic may text"
NEARLY_ALL = "Nearly all of the codes that the clinic may text"
HALF_OF_OTHERS = "More than half of the codes for callers who give another number"
NEARLY_ALL_OF_OTHERS = "Nearly all of the codes for callers who give another number"


class Codes:
    """Codes that patients of a clinic ask for, each from a mobile of their own."""

    def __init__(self, client: FlaskClient, org: str) -> None:
        self._client, self._org, self._asked = client, org, 0

    def ask(self, many: int) -> None:
        for _ in range(many):
            self._asked += 1
            call = PhoneCall(self._client, self._org, phone_number())
            call.say("reserve_atomic", slotId=slot(days=20 + self._asked), patientName="Ann")
            assert call.say("send_otp_code").startswith("A code is on its way")


@pytest.fixture
def codes(client: FlaskClient, sql: psycopg.Connection, person: Person, clock: Clock) -> Codes:
    """Of 60 a day there are 20 at once, of which 14 are for callers who give another number."""
    sql.execute("UPDATE organizations SET codes_a_day = 60 WHERE id = %s", [person.org])
    clock.stop()
    return Codes(client, person.org)


@pytest.mark.parametrize("path", ["live", "live/state", "messages"])
def test_the_staff_are_told_at_half_and_at_nearly_all(
    person: Person, other: Person, codes: Codes, clock: Clock, path: str
) -> None:
    def told() -> list[str]:
        page = person.get(path).text
        every = (HALF_OF_OTHERS, NEARLY_ALL_OF_OTHERS, HALF, NEARLY_ALL)
        return [words for words in every if words in page]

    codes.ask(6)
    assert told() == []
    codes.ask(1)
    assert told() == [HALF_OF_OTHERS]
    codes.ask(3)
    assert told() == [HALF_OF_OTHERS, HALF]
    codes.ask(3)
    assert told() == [NEARLY_ALL_OF_OTHERS, HALF]
    codes.ask(5)
    assert told() == [NEARLY_ALL_OF_OTHERS, NEARLY_ALL]
    assert "are used" not in other.get(path).text
    clock.forward(8 * 3600)
    assert told() == []


def test_an_open_live_page_learns_of_it_and_does_not_change_with_each_code(
    person: Person, codes: Codes, clock: Clock
) -> None:
    def version() -> str:
        return person.get("live/state").headers["ETag"]

    codes.ask(9)
    clock.forward(11 * 60)  # what was held is over, and nothing else on the page changes from here on
    before = version()
    codes.ask(2)
    clock.forward(11 * 60)
    after = version()
    assert after != before
    clock.forward(60)
    assert version() == after
    clock.forward(8 * 3600)
    assert version() not in {before, after}
