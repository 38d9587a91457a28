"""Old data is erased: words after keep_words_days, patients after keep_patients_days."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from models.base.session import Door, system_transaction
from models.insight import retention
from models.insight.retention import Tidied
from tests.factories import create_clinic, phone_number

DAY = "INTERVAL '1 day'"


def tidy(**bounds: int) -> Tidied:
    with system_transaction(Door.SWEEP, actor="test") as session:
        return retention.tidy(session, **bounds)


@pytest.fixture(autouse=True)
def _nothing_left_over(sql: psycopg.Connection) -> Iterator[None]:
    """Keep the rows of other tests out of these, and the rows of these out of others."""
    while tidy():
        pass
    yield
    sql.execute("UPDATE organizations SET keep_patients_days = NULL WHERE keep_patients_days IS NOT NULL")


class Rows:
    """A clinic's rows, of the age that a test chooses."""

    def __init__(self, sql: psycopg.Connection, **limits: Any) -> None:
        self.sql = sql
        self.org = create_clinic(**limits)

    def one(self, query: str, *parameters: object) -> Any:
        row = self.sql.execute(query, parameters).fetchone()
        return row[0] if row else None

    def answer(self, days: int) -> uuid.UUID:
        key: uuid.UUID = self.one(
            "INSERT INTO tool_calls"
            " (org_id, call_id, tool_call_id, tool, arguments_digest, reply, created_at)"
            f" VALUES (%s, %s, 'x', 'x', 'x', '{{\"say\": \"words\"}}', now() - %s * {DAY}) RETURNING id",
            *(self.org, str(uuid.uuid4()), days),
        )
        return key

    def reply(self, key: uuid.UUID) -> Any:
        return self.one("SELECT reply FROM tool_calls WHERE id = %s", key)

    def text(self, days: int, status: str = "delivered") -> uuid.UUID:
        key: uuid.UUID = self.one(
            "INSERT INTO sms_messages (org_id, kind, to_phone, body, status, created_at)"
            f" VALUES (%s, 'hot_lead_alert', '+442079460958', 'words', %s, now() - %s * {DAY}) RETURNING id",
            *(self.org, status, days),
        )
        return key

    def body(self, key: uuid.UUID) -> Any:
        return self.one("SELECT body FROM sms_messages WHERE id = %s", key)

    def call(self, days: int, *, number: str | None = None, reasons: str | None = None) -> str:
        key = str(uuid.uuid4())
        self.sql.execute(
            "INSERT INTO calls (org_id, id, status, caller_number, summary, lead_score, lead_reasons,"
            f" created_at) VALUES (%s, %s, 'ended', %s, 'words', 80, %s, now() - %s * {DAY})",
            [self.org, key, number, reasons, days],
        )
        return key

    def contact(self, days: int) -> str:
        phone = phone_number()
        self.sql.execute(
            "INSERT INTO contacts (org_id, phone, name, created_at)"
            f" VALUES (%s, %s, 'Jo', now() - %s * {DAY})",
            [self.org, phone, days],
        )
        return phone

    def hold(self, phone: str, days: int) -> uuid.UUID:
        key: uuid.UUID = self.one(
            "INSERT INTO appointment_holds (org_id, calendar_id, starts_at, status, expires_at, contact_id,"
            " patient_name, patient_phone, created_at)"
            f" SELECT org_id, 'cal-1', now() - %s * {DAY}, 'released', now(), id, name, phone,"
            f" now() - %s * {DAY} FROM contacts WHERE org_id = %s AND phone = %s RETURNING id",
            *(days, days, self.org, phone),
        )
        return key

    def visit(self, phone: str, days: int) -> None:
        """An appointment that began `days` ago, and was booked long before."""
        with self.sql.transaction():
            appointment, message = uuid.uuid4(), uuid.uuid4()
            self.sql.execute(
                "INSERT INTO appointments (id, org_id, calendar_id, scheduled_at, contact_id, patient_name,"
                " patient_phone, confirmation_message_id, created_at)"
                f" SELECT %s, org_id, 'cal-1', now() - %s * {DAY}, id, name, phone, %s,"
                f" now() - 5000 * {DAY} FROM contacts WHERE org_id = %s AND phone = %s",
                [appointment, days, message, self.org, phone],
            )
            self.sql.execute(
                "INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id, status, created_at)"
                f" VALUES (%s, %s, 'confirmation', %s, %s, 'delivered', now() - 5000 * {DAY})",
                [message, self.org, phone, appointment],
            )

    def knows(self, phone: str) -> bool:
        return bool(
            self.one("SELECT count(*) FROM contacts WHERE org_id = %s AND phone = %s", self.org, phone)
        )


def test_words_go_when_their_days_are_over(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_words_days=30)
    old, new = rows.answer(31), rows.answer(29)
    old_text, new_text = rows.text(31), rows.text(29)
    assert tidy() == Tidied(answers=1, texts=1, visits=0, calls=0, patients=0)
    assert rows.reply(old)["error"] == "Erased"
    assert rows.reply(new) == {"say": "words"}
    assert (rows.body(old_text), rows.body(new_text)) == (None, "words")
    assert not tidy()  # erased rows are not erased again


def test_of_a_call_the_score_stays_and_the_words_go(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_words_days=30)
    reasons = '[{"code": "urgent", "points": 30, "quote": "it hurts"}, {"code": "new", "points": 5}]'
    old, new = rows.call(31, reasons=reasons), rows.call(29, reasons=reasons)
    assert tidy() == Tidied(answers=0, texts=0, visits=0, calls=1, patients=0)
    said = "SELECT summary, lead_score, lead_reasons FROM calls WHERE org_id = %s AND id = %s"
    assert sql.execute(said, [rows.org, old]).fetchone() == (
        None,
        80,
        [{"code": "urgent", "points": 30}, {"code": "new", "points": 5}],
    )
    kept = sql.execute(said, [rows.org, new]).fetchone()
    assert kept
    assert kept[0] == "words"
    assert kept[2][0]["quote"] == "it hurts"
    assert not tidy()


def test_what_a_visit_was_for_goes_unless_it_is_the_clinics_own_word(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_words_days=30, calendar={"service_names": ["check-up"]})
    for days, service in ((31, "my bad tooth"), (32, "check-up"), (29, "a crown, I think")):
        phone = rows.contact(days)
        rows.visit(phone, days)
        sql.execute("UPDATE appointments SET service_type = %s WHERE patient_phone = %s", [service, phone])
    assert tidy().visits == 1
    kept = sql.execute("SELECT service_type FROM appointments WHERE org_id = %s", [rows.org]).fetchall()
    assert set(kept) == {(None,), ("check-up",), ("a crown, I think",)}
    assert not tidy()


def test_who_only_rang_goes_too(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_patients_days=10, keep_words_days=400)
    gone, stays = phone_number(), phone_number()
    rows.call(11, number=gone)
    rows.call(11, number=stays)
    rows.call(9, number=stays)
    assert tidy().patients == 1
    numbers = sql.execute("SELECT caller_number FROM calls WHERE org_id = %s", [rows.org]).fetchall()
    assert sorted(number == stays for (number,) in numbers) == [False, True, True]
    assert (gone,) not in numbers


def test_words_are_kept_for_ever_where_the_clinic_says_so(sql: psycopg.Connection) -> None:
    rows = Rows(sql)
    sql.execute("UPDATE organizations SET keep_words_days = NULL WHERE id = %s", [rows.org])
    answer, text = rows.answer(9000), rows.text(9000)
    assert not tidy()
    assert rows.reply(answer) == {"say": "words"}
    assert rows.body(text) == "words"


def test_each_clinic_has_its_own_days(sql: psycopg.Connection) -> None:
    short, long = Rows(sql, keep_words_days=1), Rows(sql, keep_words_days=365)
    gone, kept = short.answer(2), long.answer(2)
    tidy()
    assert (short.reply(gone)["error"], long.reply(kept)) == ("Erased", {"say": "words"})


def test_a_run_is_bounded_and_the_next_goes_on(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_words_days=1, keep_patients_days=1)
    for _ in range(5):
        rows.answer(2)
        rows.text(2)
        rows.contact(2)
        rows.call(2)
    assert tidy(words=2, patients=2) == Tidied(2, 2, 0, 2, 2)
    assert tidy(words=2, patients=2) == Tidied(2, 2, 0, 2, 2)
    assert tidy(words=2, patients=2) == Tidied(1, 1, 0, 1, 1)
    assert not tidy(words=2, patients=2)


def test_a_patient_goes_after_the_last_sign_of_life(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_patients_days=100)
    gone, rang, came, comes, written = (rows.contact(500) for _ in range(5))
    recent = rows.contact(99)
    old_hold = rows.hold(gone, 400)
    rows.visit(gone, 101)
    rows.hold(rang, 99)
    rows.visit(came, 99)
    rows.visit(comes, -30)
    sql.execute(
        "INSERT INTO sms_messages (org_id, kind, to_phone, hold_id, status)"
        " VALUES (%s, 'otp', %s, %s, 'sent')",
        [rows.org, written, rows.hold(written, 400)],
    )
    assert tidy().patients == 1
    assert not rows.knows(gone)
    for phone in (rang, came, comes, written, recent):
        assert rows.knows(phone)
    assert rows.one("SELECT patient_name FROM appointment_holds WHERE id = %s", old_hold) == "erased"
    assert rows.one("SELECT status FROM appointments WHERE patient_phone = %s", comes) == "confirmed"


@pytest.mark.parametrize(("days", "left"), [(99, True), (101, False)])
@pytest.mark.parametrize("sign", ["hold", "visit", "booking", "call", "lead", "text"])
def test_each_sign_of_life_counts_for_as_many_days(
    sql: psycopg.Connection,
    sign: str,
    days: int,
    left: bool,  # noqa: FBT001 (a parameter)
) -> None:
    rows = Rows(sql, keep_patients_days=100)
    phone, ago = rows.contact(500), f"now() - {days} * {DAY}"
    match sign:
        case "hold":
            rows.hold(phone, days)
        case "visit":
            rows.visit(phone, days)
        case "booking":  # a clinic may enter a visit long afterwards
            rows.visit(phone, 400)
            booked = f"UPDATE appointments SET created_at = {ago} WHERE patient_phone = %s"
            sql.execute(booked.encode(), [phone])
        case "call":
            rows.call(days, number=phone)
        case "lead":
            alert = (
                "INSERT INTO hot_lead_alerts (org_id, call_id, lead_phone, lead_score, created_at)"
                f" VALUES (%s, %s, %s, 80, {ago})"
            )
            sql.execute(alert.encode(), [rows.org, rows.call(400), phone])
        case "text":
            text = (
                "INSERT INTO sms_messages (org_id, kind, to_phone, hold_id, status, created_at)"
                f" VALUES (%s, 'otp', %s, %s, 'sent', {ago})"
            )
            sql.execute(text.encode(), [rows.org, phone, rows.hold(phone, 400)])
    tidy()
    assert rows.knows(phone) is left


def test_one_whose_alert_is_just_being_sent_holds_up_nobody_else(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_patients_days=100)
    waits, goes = rows.contact(500), rows.contact(499)
    alert = rows.text(400, status="sending")
    sql.execute(
        "INSERT INTO hot_lead_alerts (org_id, call_id, lead_phone, lead_score, message_id, created_at)"
        f" VALUES (%s, %s, %s, 80, %s, now() - 400 * {DAY})",
        [rows.org, rows.call(400), waits, alert],
    )
    tidy()
    assert (rows.knows(waits), rows.knows(goes)) == (True, False)
    sql.execute("UPDATE sms_messages SET status = 'sent' WHERE id = %s", [alert])
    tidy()
    assert not rows.knows(waits)


def test_patients_are_kept_for_ever_unless_the_clinic_says_otherwise(sql: psycopg.Connection) -> None:
    rows = Rows(sql)
    phone = rows.contact(9000)
    assert not tidy()
    assert rows.knows(phone)


def test_a_lead_who_never_held_a_time_goes_too(sql: psycopg.Connection) -> None:
    rows = Rows(sql, keep_patients_days=100)
    for call, days in (("old", 101), ("new", 99)):
        sql.execute("INSERT INTO calls (org_id, id, status) VALUES (%s, %s, 'ended')", [rows.org, call])
        sql.execute(
            "INSERT INTO hot_lead_alerts (org_id, call_id, lead_name, lead_phone, lead_score, created_at)"
            f" VALUES (%s, %s, 'Jo', %s, 80, now() - %s * {DAY})",
            [rows.org, call, phone_number(), days],
        )
    assert tidy().patients == 1
    names = sql.execute(
        "SELECT call_id, lead_name FROM hot_lead_alerts WHERE org_id = %s ORDER BY call_id", [rows.org]
    ).fetchall()
    assert names == [("new", "Jo"), ("old", "erased")]
    assert not tidy()


def test_who_is_at_work_on_a_row_is_not_waited_for(sql: psycopg.Connection, database_url: str) -> None:
    rows = Rows(sql, keep_words_days=1, keep_patients_days=1)
    answer, phone = rows.answer(2), rows.contact(2)
    with psycopg.connect(database_url, options=f"-c app.org_id={rows.org}") as other:
        other.execute("SELECT 1 FROM tool_calls WHERE id = %s FOR UPDATE", [answer])
        other.execute("SELECT 1 FROM contacts WHERE phone = %s FOR UPDATE", [phone])
        assert not tidy()
        other.rollback()
    assert tidy() == Tidied(answers=1, texts=0, visits=0, calls=0, patients=1)
