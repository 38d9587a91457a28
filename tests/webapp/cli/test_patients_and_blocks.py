"""Programs read what `flask patient` and `flask block` have done."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import create_clinic, phone_number
from tests.webapp.cli.commands import ACTOR, Operator


@pytest.fixture
def org() -> str:
    return create_clinic(sandbox=True)


@pytest.fixture
def phone(operator: Operator, org: str) -> str:
    """The number of a patient of the clinic."""
    number = phone_number()
    operator.sql.execute(
        "INSERT INTO contacts (org_id, phone, name) VALUES (%s, %s, 'Jo Patient')", [org, number]
    )
    return number


def test_a_block_that_is_removed_says_so(operator: Operator, org: str) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    block = operator.reads(
        "block", "add", org, "cal-1", f"{day}T12:00", f"{day}T13:00", "--reason", "Training"
    )["id"]
    assert operator.reads("block", "remove", org, block) == {"removed": block}
    assert "there is no block" in operator.fails("block", "remove", org, block, "--json")


def test_notes_are_kept_listed_and_removed(operator: Operator, org: str, phone: str) -> None:
    note = operator.reads("patient", "note", "add", org, phone, "allergic to  latex")["id"]
    [listed] = operator.reads("patient", "note", "list", org, phone)
    assert (listed["id"], listed["by"], listed["words"]) == (note, ACTOR, "allergic to latex")
    assert operator.reads("patient", "note", "remove", org, phone, note) == {"removed": note}
    assert "there are no notes" in operator.does("patient", "note", "list", org, phone)
    assert "there is no note" in operator.fails("patient", "note", "remove", org, phone, note)
    assert "holds nothing about" in operator.fails("patient", "note", "add", org, phone_number(), "x")
    assert "longer than 2000" in operator.fails("patient", "note", "add", org, phone, "x" * 2001)
    assert "there is no organisation" in operator.fails("patient", "note", "list", uuid.uuid4(), phone)


def test_an_erasure_says_what_it_erased(operator: Operator, org: str, phone: str) -> None:
    operator.does("patient", "note", "add", org, phone, "allergic to latex")
    erased = operator.reads("patient", "erase", org, phone, "--yes")["erased"]
    assert (erased["contacts"], erased["notes"]) == (1, 1)
