"""P4: a code is derived from hold and telephone each time, and its digest does not reveal it."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

import settings
from models.base.session import Door, system_transaction
from models.booking import codes, holds
from models.booking.codes import CodeRefusal, CodeRequest
from models.booking.holds import HoldStatus
from models.clinics import organizations
from models.messaging import outbox, outcomes
from tests.factories import bare, create_clinic, phone_number, reserve, slot

Sql = psycopg.Connection[tuple[object, ...]]

PHONE = "+447700900123"
OTHER_PHONE = "+447700900124"


@given(st.uuids(), st.integers(4, 8))
def test_a_code_is_the_same_every_time_and_as_long_as_asked(hold: uuid.UUID, length: int) -> None:
    code = codes.derive(hold, PHONE, length=length)
    assert code == codes.derive(hold, PHONE, length=length)
    assert len(code) == length
    assert code.isascii()
    assert code.isdigit()


def test_codes_differ_by_hold_and_by_telephone() -> None:
    ids = [uuid.uuid4() for _ in range(200)]
    by_hold = [codes.derive(hold, PHONE, length=8) for hold in ids]
    by_phone = [codes.derive(hold, OTHER_PHONE, length=8) for hold in ids]
    assert len(set(by_hold + by_phone)) >= 398  # one coincidence is possible, two are very unlikely


def test_codes_are_spread_evenly_with_leading_zeros_among_them() -> None:
    derived = [codes.derive(uuid.UUID(int=n), PHONE, length=4) for n in range(5000)]
    for place in range(4):
        digits = Counter(code[place] for code in derived)
        assert set(digits) == set("0123456789")
        assert all(400 < count < 600 for count in digits.values()), (place, digits)
    assert len(set(derived)) > 3500  # of 10 000 possible codes; about 3 935 are expected


def test_codes_hang_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker with the rows and the program, but without SECRET_KEY, cannot know or check a code."""
    ids = [uuid.uuid4() for _ in range(20)]
    with_ours = [(codes.derive(hold, PHONE, length=8), codes.digest(hold, "12345678")) for hold in ids]
    settings.of_process.cache_clear()
    try:
        monkeypatch.setenv("SECRET_KEY", "another-key-" + "x" * 32)
        with_another = [(codes.derive(hold, PHONE, length=8), codes.digest(hold, "12345678")) for hold in ids]
    finally:
        monkeypatch.undo()
        settings.of_process.cache_clear()
    assert with_ours == [
        (codes.derive(hold, PHONE, length=8), codes.digest(hold, "12345678")) for hold in ids
    ]
    for ours, another in zip(with_ours, with_another, strict=True):
        assert ours[0] != another[0]
        assert ours[1] != another[1]


def test_a_digest_is_of_one_hold_and_one_code() -> None:
    one, other = uuid.uuid4(), uuid.uuid4()
    assert codes.digest(one, "1234") == codes.digest(one, "1234")
    assert len({codes.digest(one, "1234"), codes.digest(other, "1234"), codes.digest(one, "1235")}) == 3
    assert codes.digest(one, "1234") != codes.digest(one, "01234")


# Requests for a code


def held(org: str, phone: str, *, call: str | None = "call-1", hour: int = 10) -> uuid.UUID:
    with system_transaction(Door.OPERATOR) as session:
        claimed = holds.claim(
            session,
            org_id=uuid.UUID(org),
            calendar_id="cal-1",
            starts_at=datetime.fromisoformat(slot(hour=hour)),
            call_sid=call,
            patient_name="John",
            patient_phone=phone,
            hold_minutes=10,
        )
    assert claimed.hold_id is not None
    return claimed.hold_id


def request(org: str, hold: uuid.UUID) -> CodeRequest:
    with system_transaction(Door.OPERATOR) as session:
        clinic = organizations.get_or_none(session, uuid.UUID(org))
        assert clinic is not None
        return codes.request(session, clinic, hold)


def send(org: str, message: uuid.UUID | None) -> None:
    assert message is not None
    with system_transaction(Door.OPERATOR) as session:
        row = outbox.claim_for_sending(session, uuid.UUID(org), message)
        assert row is not None
        outcomes.record_sent(session, row, provider_id="SM" + uuid.uuid4().hex, segments=1)


def test_the_code_stands_nowhere_in_the_database(sql: Sql) -> None:
    org, phone = create_clinic(code_length=8), phone_number()
    hold = held(org, phone)
    message = request(org, hold).message_id
    send(org, message)
    code = codes.derive(hold, phone, length=8)
    rows = sql.execute(
        "SELECT to_jsonb(h)::text FROM appointment_holds h WHERE h.id = %(hold)s"
        " UNION ALL SELECT to_jsonb(m)::text FROM sms_messages m WHERE m.hold_id = %(hold)s",
        {"hold": hold},
    ).fetchall()
    assert len(rows) == 2
    assert codes.digest(hold, code) in str(rows)
    assert code not in str(rows)


def test_a_waiting_code_is_not_queued_twice_and_a_resent_one_is_the_same(sql: Sql) -> None:
    org = create_clinic()
    hold = held(org, phone_number())
    first = request(org, hold).message_id
    assert first is not None
    assert request(org, hold).message_id == first
    digest = sql.execute("SELECT code_digest FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    send(org, first)
    second = request(org, hold).message_id
    assert second not in {None, first}
    again = sql.execute("SELECT code_digest FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    assert again == digest
    kinds = sql.execute("SELECT kind, expires_at FROM sms_messages WHERE hold_id = %s", [hold]).fetchall()
    ends = sql.execute("SELECT expires_at FROM appointment_holds WHERE id = %s", [hold]).fetchone()
    assert ends is not None
    assert kinds == [("otp", ends[0])] * 2  # a code is of no use after its hold


@pytest.mark.parametrize(
    ("cap", "same_call", "same_phone"),
    [
        ("codes_per_call", True, False),
        ("codes_per_phone_a_day", False, True),
        ("codes_a_day", False, False),
    ],
)
def test_no_more_codes_than_the_clinic_allows(cap: str, same_call: bool, same_phone: bool) -> None:  # noqa: FBT001
    # Each cap lets two through: a number that is only named gets half of its codes, and of a clinic's eleven
    # four are available at once, of which such requests may use seven tenths.
    limits: dict[str, Any] = {cap: {"codes_per_call": 2, "codes_per_phone_a_day": 4, "codes_a_day": 11}[cap]}
    org, phone = create_clinic(**limits), phone_number()
    answers = []
    for n in range(3):
        number = phone if same_phone else phone_number()
        hold = held(org, number, call="call-1" if same_call else f"call-{n}", hour=10 + n)
        answers.append(request(org, hold))
    assert [answer.refusal for answer in answers] == [None, None, CodeRefusal.TOO_MANY_CODES]
    other = create_clinic(**limits)
    assert request(other, held(other, phone, call="call-1")).message_id  # each clinic has its own caps


def test_no_more_codes_for_one_hold_than_the_clinic_allows() -> None:
    org = create_clinic(codes_per_hold=2)
    hold = held(org, phone_number())
    for _ in range(2):
        send(org, request(org, hold).message_id)
    assert request(org, hold).refusal is CodeRefusal.TOO_MANY_CODES


def test_a_hold_that_is_over_or_unknown_gets_no_code(sql: Sql, clock: Any) -> None:
    org, other = create_clinic(), create_clinic()
    hold = held(org, phone_number())
    assert request(org, uuid.uuid4()).refusal is CodeRefusal.UNKNOWN_HOLD
    assert request(other, hold).refusal is CodeRefusal.UNKNOWN_HOLD
    clock.forward(601)
    stale = request(org, hold)
    assert (stale.refusal, stale.hold_status) == (CodeRefusal.HOLD_OVER, HoldStatus.EXPIRED)
    with system_transaction(Door.OPERATOR) as session:
        holds.release(session, org_id=uuid.UUID(org), hold_id=hold)
    over = request(org, hold)
    assert (over.refusal, over.hold_status) == (CodeRefusal.HOLD_OVER, HoldStatus.RELEASED)
    assert sql.execute("SELECT count(*) FROM sms_messages WHERE hold_id = %s", [hold]).fetchone() == (0,)


def test_codes_outside_of_any_call_do_not_count_as_one_call(client: FlaskClient) -> None:
    org = create_clinic(codes_per_call=2)
    for hour in range(9, 13):
        hold = reserve(client, org, slotId=slot(hour=hour))["holdId"]
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
