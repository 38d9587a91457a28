"""The number of rows that a call reads does not grow with the clinic's past years.

The tests count the rows that Postgres reads, by table and step, including functions and triggers: this
depends on the statements, and not on the machine. They run with statistics, and without, as after an
installation or a restore.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from flask.testing import FlaskClient

from models.base import session
from tasks.booking import expire_holds
from tasks.calls import score_call, sweep_calls
from tasks.messaging import deliver_sms, sweep_sms
from tests.concurrency.databases import new_database
from tests.factories import code_of, create_clinic, slot
from tests.places import ROOT
from tests.stack import eventually
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall

T = TypeVar("T")

#: Each of the two clinics has five calendars of 4000 visits each, one every two hours for eleven months.
CALENDARS, VISITS = 5, 4000

#: Rows that one step may read of one table; each clinic has 20 000 visits.
FEW = 400

#: The same without statistics, by table.
GUESSED = {"occupancies": 3 * VISITS}

#: The steps that a caller waits for.
TOOLS = ("check", "check a full day", "reserve", "move", "code", "wrong code", "verify", "confirm")

PAST = """
CREATE TEMP TABLE visit ON COMMIT DROP AS
SELECT o.id AS org, 'cal-' || c AS calendar, at, at + interval '30 min' AS until,
       at - interval '1 day' AS made, 'call-' || c || '-' || n AS call,
       '+44770' || lpad((n % 1000)::text, 7, '0') AS phone,
       gen_random_uuid() AS contact, gen_random_uuid() AS hold, gen_random_uuid() AS appointment,
       gen_random_uuid() AS message
  FROM organizations o, generate_series(1, {calendars}) c, generate_series(1, {visits}) n,
       LATERAL (SELECT date_trunc('hour', now()) - n * interval '2 hours' AS at) slot;
UPDATE visit v SET contact = first.contact
  FROM (SELECT DISTINCT ON (org, phone) org, phone, contact FROM visit) first
 WHERE first.org = v.org AND first.phone = v.phone;
INSERT INTO contacts (id, org_id, phone, name) SELECT DISTINCT contact, org, phone, 'Jo' FROM visit;
INSERT INTO appointment_holds (id, org_id, calendar_id, service_id, resource_id, starts_at, ends_at, call_sid,
       contact_id, patient_name, patient_phone, status, expires_at, created_at)
SELECT v.hold, v.org, v.calendar, c.service_id, c.resource_id, v.at, v.until, v.call,
       v.contact, 'Jo', v.phone, 'confirmed', v.at, v.made
  FROM visit v JOIN calendars c ON c.org_id = v.org AND c.id = v.calendar;
INSERT INTO appointments (id, org_id, calendar_id, service_id, resource_id, scheduled_at, ends_at, contact_id,
       hold_id, call_sid, patient_name, patient_phone, booked_by, confirmation_message_id, created_at)
SELECT v.appointment, v.org, v.calendar, c.service_id, c.resource_id, v.at, v.until, v.contact,
       v.hold, v.call, 'Jo', v.phone, 'phone', v.message, v.made
  FROM visit v JOIN calendars c ON c.org_id = v.org AND c.id = v.calendar;
INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, appointment_id)
SELECT org, calendar, at, until, appointment FROM visit;
INSERT INTO sms_messages (id, org_id, kind, status, to_phone, appointment_id, call_sid, provider_id,
       sent_at, delivered_at, price, next_attempt_at, created_at)
SELECT message, org, 'confirmation', 'delivered', phone, appointment, call, 'SM' || message, at, at, 1, at,
       made FROM visit;
INSERT INTO sms_messages (org_id, kind, status, to_phone, hold_id, call_sid, provider_id, sent_at,
       delivered_at, price, next_attempt_at, created_at)
SELECT org, 'otp', 'delivered', phone, hold, call, 'SM' || hold, at, at, 1, at, made FROM visit;
INSERT INTO calls (org_id, id, status, created_at, ended_at, reported_at, scored_at, lead_score, lead_band,
       duration, caller_number)
SELECT org, call, 'ended', at, at, at, at, 40, 'warm', 200, phone FROM visit;
INSERT INTO tool_calls (org_id, call_id, tool_call_id, tool, arguments_digest, reply, created_at)
SELECT org, call, 'call_' || n, 'tool', 'd', '{{}}', at FROM visit, generate_series(1, 3) n;
"""


Sql = psycopg.Connection


@pytest.fixture(scope="module", params=["with statistics", "without statistics"])
def grown(
    database_url: str, admin_url: str, request: pytest.FixtureRequest
) -> Iterator[tuple[str, Sql, str]]:
    """A database of two clinics with a year's rows: the first one's id, and the superuser's connection."""
    with new_database(database_url) as url, environment(DATABASE_URL=url):
        command.upgrade(Config(str(ROOT / "alembic.ini")), "head")
        org = create_clinic(tuple(f"cal-{n}" for n in range(1, CALENDARS + 1)))
        create_clinic()
        superuser = admin_url.rsplit("/", 1)[0] + "/" + url.rsplit("/", 1)[1]
        with psycopg.connect(superuser, autocommit=True) as admin:
            tables = admin.execute("SELECT relname::text FROM pg_stat_user_tables").fetchall()
            for (table,) in tables:  # so that statistics do not appear during the test
                admin.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
            # Triggers for each row would take minutes, and so would the constraint.
            admin.execute("SET session_replication_role = replica")
            with admin.transaction():
                for statement in PAST.format(calendars=CALENDARS, visits=VISITS).split(";\n"):
                    admin.execute(statement.encode())
            if request.param == "with statistics":
                admin.execute("VACUUM ANALYZE")
            yield org, admin, request.param


def _counted(admin: Sql) -> dict[str, int]:
    """The rows and index entries read so far, by table."""
    admin.execute("SELECT pg_stat_force_next_flush()")  # this session's own counts
    rows = admin.execute(
        "SELECT t.relname::text, t.seq_tup_read + coalesce((SELECT sum(i.idx_tup_read)"
        " FROM pg_stat_user_indexes i WHERE i.relid = t.relid), 0)::bigint FROM pg_stat_user_tables t"
    )
    return dict(rows.fetchall())


class Reads:
    """The number of rows that each step read of each table."""

    def __init__(self, admin: Sql) -> None:
        self._admin = admin
        self.of: dict[str, dict[str, int]] = {}

    def step(self, name: str, work: Callable[[], T]) -> T:
        before = _counted(self._admin)
        done = work()
        self._hang_up()
        after = _counted(self._admin)
        self.of[name] = {table: after[table] - before.get(table, 0) for table in after}
        return done

    def _hang_up(self) -> None:
        """End the sessions of the step, because a session reports its counts at its end."""
        session.engine().dispose()
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        eventually(lambda: self._admin.execute(others + " AND pid <> pg_backend_pid()").fetchone() == (0,))

    def above(self, few: int) -> dict[str, dict[str, int]]:
        much = {
            step: {table: rows for table, rows in of.items() if rows > few} for step, of in self.of.items()
        }
        return {step: of for step, of in much.items() if of}


@pytest.mark.parametrize(
    ("number", "day"), [("+447700000007", 3), ("+447700099999", 5)], ids=["of twenty visits", "never seen"]
)
def test_no_step_of_a_call_reads_what_was_years_ago(
    grown: tuple[str, Sql, str], client: FlaskClient, twilio: str, number: str, day: int
) -> None:
    del twilio
    org, admin, mode = grown
    reads = Reads(admin)
    call = PhoneCall(client, org, number)
    first, later = slot(days=day), slot(days=day + 1)

    def one(query: str) -> str:
        row = admin.execute(query.encode(), [call.id]).fetchone()
        assert row
        return str(row[0])

    def report() -> None:
        message = {
            "type": "end-of-call-report",
            "call": {"id": call.id, "customer": {"number": call.number}},
            "artifact": {"messages": [{"role": "user", "message": "Put me down please."}]},
            "durationSeconds": 301,
        }
        assert client.post("/api/vapi/webhook", json={"message": message}).status_code == 200

    said = reads.step("check", lambda: call.say("check_availability", date=first[:10]))
    assert "10:00" in said
    said = reads.step("check a full day", lambda: call.say("check_availability", date=slot(days=-20)[:10]))
    said = reads.step(
        "reserve", lambda: call.say("reserve_atomic", slotId=first, calendarId="cal-1", patientName="Jo")
    )
    assert "holdId" in said
    said = reads.step(
        "reserve another",
        lambda: call.say("reserve_atomic", slotId=later, calendarId="cal-2", patientName="Jo"),
    )
    assert "holdId" in said
    said = reads.step("code", lambda: call.say("send_otp_code"))
    assert "NOT" not in said
    hold = one("SELECT id FROM appointment_holds WHERE call_sid = %s AND status = 'held'")
    otp = one("SELECT id FROM sms_messages WHERE call_sid = %s AND kind = 'otp'")
    reads.step("send the code", lambda: deliver_sms.run(org_id=org, message_id=otp))
    said = reads.step("wrong code", lambda: call.say("verify_otp", providedOTP="000000"))
    assert "NOT BOOKED" in said
    said = reads.step("verify", lambda: call.say("verify_otp", providedOTP=code_of(hold)))
    assert "appointmentId" in said
    reads.step("confirm", lambda: call.say("send_confirmation_sms"))
    text = one("SELECT id FROM sms_messages WHERE call_sid = %s AND kind = 'confirmation'")
    reads.step("send the confirmation", lambda: deliver_sms.run(org_id=org, message_id=text))
    reads.step("the end", report)
    admin.execute("UPDATE calls SET score_due_at = now() WHERE id = %s", [call.id])
    for name, sweep in {"sms": sweep_sms, "calls": sweep_calls, "holds": expire_holds}.items():
        reads.step(f"sweep {name}", sweep.run)
    reads.step("score", lambda: score_call.run(org_id=org, call_id=call.id))
    assert one("SELECT scored_at IS NOT NULL FROM calls WHERE id = %s") == "True"
    found = reads.above(FEW)
    if mode == "without statistics":
        # Until the first ANALYZE the planner may choose an index whose first columns fit: the exclusion
        # constraint's returns all rows of one calendar, and the codes' index all codes of the clinic. Only
        # the steps that a caller waits for have a bound.
        found = {
            step: {table: rows for table, rows in of.items() if rows > GUESSED.get(table, FEW)}
            for step, of in found.items()
            if step in TOOLS
        }
    assert {step: of for step, of in found.items() if of} == {}


def test_the_functions_of_a_call_keep_how_they_are_planned(sql: psycopg.Connection) -> None:
    """CREATE OR REPLACE forgets the settings of the version before."""
    rows = sql.execute(
        "SELECT proname::text, proconfig FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND proconfig IS NOT NULL"
    )
    found = {name: set(settings) for name, settings in rows}
    once = "plan_cache_mode=force_generic_plan"
    assert found["begin_tool_call"] >= {once, "enable_seqscan=off"}
    for name in (
        "cancel_appointment",
        "choose_resources",
        "claim_slot_atomic",
        "clear_time",
        "confirm_held_slot",
        "give_to_blocks",
        "lock_resources",
        "make_room_for_hold",
        "move_appointment",
        "release_hold",
    ):
        assert once in found[name]
