"""The rules of the diary, called without a front door: no booking can bypass them."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.base.session import transaction
from models.booking import bookables, codes, rules
from models.booking.appointments import Appointment
from models.booking.availability import Closed
from models.booking.codes import Asker
from models.booking.rules import Attempt, Held, Refusal, Refused, Wish
from models.clinics import calendars, organizations
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.linked import at
from tests.places import ROOT


@dataclass
class Caller:
    """A front door of its own, without tools and HTTP."""

    org: str
    call_id: str | None = field(default_factory=lambda: str(uuid.uuid4()))
    number: str = field(default_factory=phone_number)

    def reserve(
        self, time: str | None = None, name: str = "John", number: str | None = None
    ) -> Held | Appointment | Refused:
        org_id = uuid.UUID(self.org)
        with transaction(org_id, actor="a front door of its own") as session:
            clinic = organizations.get_or_none(session, org_id)
            calendar = calendars.get_or_none(session, org_id, "cal-1")
            assert clinic is not None
            assert calendar is not None
            bookable = bookables.find(session, calendar)
            assert bookable is not None
            wish = Wish(
                clinic, bookable, at(time or slot()), name, number or self.number, self.asker, self.call_id
            )
            return rules.reserve(session, wish, _now(session))

    @property
    def asker(self) -> Asker:
        return Asker(self.number)

    def holds(self, time: str | None = None, **wish: Any) -> Held:
        held = self.reserve(time, **wish)
        assert isinstance(held, Held)
        return held

    def finds(self, hold_id: uuid.UUID | None) -> uuid.UUID | None:
        org_id = uuid.UUID(self.org)
        with transaction(org_id, actor="a front door of its own") as session:
            hold = rules.find_hold(session, org_id, call_id=self.call_id, hold_id=hold_id)
            return hold.id if hold else None


def _now(session: Session) -> Any:
    return session.scalars(select(func.app_clock())).one()


@pytest.mark.parametrize(
    ("clinic", "number", "refusal"),
    [
        ({}, "+33612345678", Refusal.COUNTRY_NOT_ALLOWED),
        ({"allowed_countries": ["FR"]}, "+447400123456", Refusal.COUNTRY_NOT_ALLOWED),
        ({"landlines_allowed": False}, "+442079460123", Refusal.NOT_A_MOBILE),
    ],
)
def test_a_number_that_the_clinic_may_not_text_gets_no_hold(
    clinic: dict[str, Any], number: str, refusal: Refusal, sql: psycopg.Connection
) -> None:
    org = create_clinic(**clinic)
    assert Caller(org).reserve(number=number) == Refused(refusal)
    assert sql.execute("SELECT FROM appointment_holds WHERE org_id = %s", [org]).rowcount == 0


def test_a_number_holds_as_many_times_as_the_clinic_allows() -> None:
    org, number = create_clinic(holds_per_phone=2), phone_number()
    callers = [Caller(org, number=number) for _ in range(3)]
    for hour, caller in enumerate(callers[:2], 9):
        caller.holds(slot(hour=hour))
    assert callers[2].reserve(slot(hour=14)) == Refused(Refusal.TOO_MANY_HOLDS_OF_NUMBER)
    callers[0].holds(slot(hour=15))  # replaces the call's own hold


def test_the_same_time_again_is_the_calls_own_hold(sql: psycopg.Connection) -> None:
    caller = Caller(create_clinic(holds_per_phone=1))
    held = caller.holds(name="Jon")
    assert caller.holds(name="John") == held
    names = sql.execute("SELECT patient_name FROM appointment_holds WHERE id = %s", [held.hold_id])
    assert names.fetchall() == [("John",)]


def test_another_time_in_the_same_call_moves_its_hold() -> None:
    caller = Caller(create_clinic())
    first, second = caller.holds(), caller.holds(slot(hour=15))
    assert first.hold_id != second.hold_id
    assert isinstance(Caller(caller.org).reserve(), Held)


def test_a_time_that_another_caller_holds_is_taken() -> None:
    org = create_clinic()
    Caller(org).holds()
    assert Caller(org).reserve() == Refused(Refusal.SLOT_TAKEN, "Slot already held")
    assert Caller(org, call_id=None).reserve() == Refused(Refusal.SLOT_TAKEN, "Slot already held")


def test_a_time_that_is_not_on_offer_is_refused_with_its_reason() -> None:
    assert Caller(create_clinic()).reserve(slot(hour=3)) == Refused(Closed.OFF_THE_GRID)
    assert Caller(create_clinic()).reserve(slot(days=-1)) == Refused(Closed.PAST)


def test_the_same_caller_holds_few_times_for_other_numbers() -> None:
    org = create_clinic(unproved_holds=100, unproved_holds_per_caller=1)
    caller = Caller(org)
    caller.holds(slot(hour=9), number=phone_number())
    again = Caller(org, number=caller.number)
    refused = again.reserve(slot(hour=11), number=phone_number())
    assert isinstance(refused, Refused)
    assert refused.why is Refusal.TOO_MANY_HOLDS_OF_CALLER


def test_a_hold_is_named_by_its_own_call_only(clock: Clock) -> None:
    org = create_clinic()
    caller, other = Caller(org), Caller(org)
    hold_id = caller.holds().hold_id
    assert caller.finds(hold_id) == caller.finds(None) == hold_id
    assert other.finds(hold_id) is None
    assert other.finds(None) is None
    assert Caller(org, call_id=None).finds(hold_id) == hold_id  # the id itself proves it
    assert Caller(create_clinic(), call_id=caller.call_id).finds(hold_id) is None
    clock.forward(60)
    later = caller.holds(slot(hour=15)).hold_id
    assert (caller.finds(None), caller.finds(hold_id)) == (later, hold_id)


def test_wrong_codes_count_for_the_number_whatever_holds_they_were_said_for() -> None:
    org, number = create_clinic(wrong_codes_per_phone_a_day=2), phone_number()
    wrong, right = "wrong", "right"

    def attempt(which: str, hour: int) -> Attempt:
        caller, org_id = Caller(org, number=number), uuid.UUID(org)
        hold_id = caller.holds(slot(hour=hour)).hold_id
        with transaction(org_id, actor="a front door of its own") as session:
            clinic = organizations.get_or_none(session, org_id)
            hold = rules.find_hold(session, org_id, call_id=caller.call_id, hold_id=hold_id)
            assert clinic is not None
            assert hold is not None
            codes.request(session, clinic, hold.id, caller.asker)
            session.refresh(hold)
            code = code_of(str(hold.id))
            said = code if which is right else str((int(code) + 1) % 10_000).zfill(4)
            return rules.confirm(session, clinic, hold, said, asker=caller.asker)

    booked = attempt(right, 9)
    assert booked.is_right
    assert booked.confirmation is not None
    assert booked.confirmation.success
    for hour in (10, 11):
        refused = attempt(wrong, hour)
        assert not refused.is_right
        assert refused.confirmation is not None
        assert (refused.confirmation.success, refused.confirmation.code) == (False, "wrong_code")
    assert attempt(right, 12) == Attempt(None, is_right=False)


def test_nothing_else_claims_a_time_or_confirms_one() -> None:
    """A front door that called the claim or the confirmation directly would bypass every rule above."""
    past = re.compile(
        r"\b(claim_instead|holds\.claim|claim_slot_atomic|appointments\.confirm|confirm_held_slot)\("
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("webapp", "tasks", "models", "sandbox")
        for path in (ROOT / folder).rglob("*.py")
        if past.search(path.read_text())
    }
    assert found == {"models/booking/appointments.py", "models/booking/holds.py", "models/booking/rules.py"}
