"""The clinic's diary: services, people, rooms and devices with their hours, and blocks.

A calendar of 0.1.0 becomes a person with the calendar's hours and closed days, and a service for each word of its
list, as long as its slots were; a resource that several calendars shared becomes a room, which each of their
people needs. So nothing changes for those who call.

Old code runs on this schema: the columns of `calendars` that moved stay and are read by nothing new, and the
functions that it calls keep their names and answers. What it writes into these columns meanwhile is lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0027_diary"
down_revision = "0026_meanings"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
TABLES = ("resources", "services", "service_resources", "resource_hours", "hours_exceptions", "blocks")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CLAIM = (
    "claim_slot_atomic(uuid, text, timestamp, text, text, text, integer)",
    "claim_slot_atomic(uuid, text, timestamptz, text, text, text, integer, jsonb)",
)


def upgrade() -> None:
    _tables()
    _columns()
    _move_calendars(op.get_bind())
    op.create_foreign_key(
        op.f("fk_calendars_org_id_resource_id"),
        "calendars",
        "resources",
        ["org_id", "resource_id"],
        ["org_id", "id"],
    )
    for table in ("appointment_holds", "appointments", "occupancies"):
        op.create_foreign_key(
            op.f(f"fk_{table}_org_id_resource_id"),
            table,
            "resources",
            ["org_id", "resource_id"],
            ["org_id", "id"],
        )
    for function in CLAIM:
        op.execute(f"DROP FUNCTION {function}")  # it answers with one column more
    op.execute("DROP FUNCTION move_appointment(uuid, uuid, timestamptz, uuid, integer)")
    _read(
        "occupancies_v2",
        "clear_time_v2",
        "choose_resources_v1",
        "claim_slot_atomic_v4",
        "confirm_held_slot_v2",
        "release_hold_v2",
        "cancel_appointment_v3",
        "move_appointment_v4",
    )


def downgrade() -> None:
    """Loses services, hours, exceptions and blocks; what is booked stays, with the person that it is with."""
    for table in ("appointment_holds", "appointments"):
        op.execute(f"DROP TRIGGER occupy_update ON {table}")
    op.execute("DROP TRIGGER fill_in_who_booked ON appointments")
    op.execute("DELETE FROM blocks")
    for function in (*CLAIM, "move_appointment(uuid, uuid, timestamptz, uuid, integer, jsonb)"):
        op.execute(f"DROP FUNCTION {function}")
    for table in ("appointment_holds", "appointments", "occupancies", "calendars"):
        op.drop_constraint(op.f(f"fk_{table}_org_id_resource_id"), table)
    for table in ("appointment_holds", "appointments"):
        op.drop_constraint(op.f(f"fk_{table}_org_id_calendar_id"), table)
        op.drop_constraint(op.f(f"fk_{table}_org_id_service_id"), table)
        for column in ("service_id", "other_resources", "minutes_before", "minutes_after"):
            op.drop_column(table, column)
    for column in ("booked_by", "booker"):
        op.drop_column("appointments", column)
    op.drop_constraint(op.f("ck_occupancies_one_owner"), "occupancies")
    op.drop_column("occupancies", "block_id")
    op.create_check_constraint("one_owner", "occupancies", "num_nonnulls(hold_id, appointment_id) = 1")
    op.drop_constraint(op.f("fk_calendars_org_id_service_id"), "calendars")
    # What several calendars shared is the room that their services need.
    op.execute(
        "UPDATE calendars c SET resource_id = coalesce((SELECT min(r.id) FROM service_resources s"
        " JOIN resources r ON r.org_id = s.org_id AND r.id = s.resource_id AND r.kind = 'room'"
        " WHERE s.org_id = c.org_id AND s.service_id = c.service_id), c.resource_id, c.id)"
    )
    op.alter_column("calendars", "resource_id", nullable=False)
    op.drop_column("calendars", "service_id")
    op.alter_column("calendars", "hours", server_default=None)
    op.create_unique_constraint(
        op.f("uq_calendars_org_id_id_resource_id"), "calendars", ["org_id", "id", "resource_id"]
    )
    for table in ("appointment_holds", "appointments"):
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT fk_{table}_org_id_calendar_id_resource_id"
            " FOREIGN KEY (org_id, calendar_id, resource_id)"
            " REFERENCES calendars (org_id, id, resource_id) NOT VALID"
        )
    for table in reversed(TABLES):
        op.drop_table(table)
    for function in (
        "block_occupies",
        "give_to_blocks",
        "occupy_for_block",
        "given_by_calendar",
        "options_of",
        "lock_resources",
        "all_resources",
        "fill_in_who_booked",
        "choose_resources",
        "resources_of",
        "count_of_service",
        "service_lock_key",
    ):
        op.execute(f"DROP FUNCTION {function}")
    first = (SQL / "occupancies_v1.sql").read_text()
    functions, _, triggers = first.partition("CREATE TRIGGER fill_in_from_calendar")
    op.execute(functions.replace("\nCREATE FUNCTION", "\nCREATE OR REPLACE FUNCTION"))
    for trigger in re.findall(r"CREATE TRIGGER occupy_update.*?;", triggers, re.DOTALL):
        op.execute(trigger)
    _read("clear_time_v1", again=True)
    _read(
        "claim_slot_atomic_v3",
        "confirm_held_slot_v1",
        "release_hold_v1",
        "cancel_appointment_v2",
        "move_appointment_v3",
    )
    op.execute("-- '2026" + (SQL / "claim_slot_atomic_v1.sql").read_text().partition("-- '2026")[2])


def _read(*names: str, again: bool = False) -> None:
    for name in names:
        text = (SQL / f"{name}.sql").read_text()
        op.execute(text.replace("\nCREATE FUNCTION", "\nCREATE OR REPLACE FUNCTION") if again else text)


def _tables() -> None:
    """The new tables, each behind the wall between clinics and under the audit log."""
    op.create_table(
        "resources",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        _created_at(),
        sa.CheckConstraint("kind IN ('person', 'room', 'device')", name=op.f("ck_resources_kind")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_resources_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_resources")),
    )
    op.create_table(
        "services",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("words", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("minutes_before", sa.Integer(), server_default="0", nullable=False),
        sa.Column("minutes_after", sa.Integer(), server_default="0", nullable=False),
        sa.Column("step_minutes", sa.Integer(), server_default="30", nullable=False),
        sa.Column("min_notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("horizon_days", sa.Integer(), server_default="90", nullable=False),
        sa.Column("most_per_day", sa.Integer(), nullable=True),
        sa.Column("by_phone", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("by_link", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        _created_at(),
        sa.CheckConstraint("minutes BETWEEN 5 AND 480", name=op.f("ck_services_minutes")),
        sa.CheckConstraint("minutes_before BETWEEN 0 AND 240", name=op.f("ck_services_minutes_before")),
        sa.CheckConstraint("minutes_after BETWEEN 0 AND 240", name=op.f("ck_services_minutes_after")),
        sa.CheckConstraint("step_minutes BETWEEN 5 AND 480", name=op.f("ck_services_step_minutes")),
        sa.CheckConstraint("min_notice_minutes >= 0", name=op.f("ck_services_min_notice_minutes")),
        sa.CheckConstraint("horizon_days BETWEEN 1 AND 3660", name=op.f("ck_services_horizon_days")),
        sa.CheckConstraint("most_per_day >= 1", name=op.f("ck_services_most_per_day")),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_services_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_services")),
    )
    op.create_table(
        "service_resources",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        _refers("service_resources", "service_id", "services"),
        _refers("service_resources", "resource_id", "resources"),
        sa.PrimaryKeyConstraint("org_id", "service_id", "resource_id", name=op.f("pk_service_resources")),
    )
    op.create_index("ix_service_resources_org_id_resource_id", "service_resources", ["org_id", "resource_id"])
    op.create_table(
        "resource_hours",
        _id(),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("weekday", sa.SmallInteger(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.CheckConstraint("weekday BETWEEN 0 AND 6", name=op.f("ck_resource_hours_weekday")),
        sa.CheckConstraint(MINUTES, name=op.f("ck_resource_hours_minutes")),
        postgresql.ExcludeConstraint(
            (sa.column("org_id"), "="),
            (sa.column("resource_id"), "="),
            (sa.text("int4range(weekday * 1440 + from_minute, weekday * 1440 + until_minute)"), "&&"),
            using="gist",
            name="ex_resource_hours_no_overlap",
        ),
        _refers("resource_hours", "resource_id", "resources"),
        _refers("resource_hours", "room_id", "resources"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource_hours")),
    )
    op.create_table(
        "hours_exceptions",
        _id(),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=True),
        sa.Column("until_minute", sa.Integer(), nullable=True),
        sa.Column("room_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        _created_at(),
        sa.CheckConstraint(MINUTES, name=op.f("ck_hours_exceptions_minutes")),
        sa.CheckConstraint(
            "num_nonnulls(from_minute, until_minute) = 2"
            " OR (NOT is_open AND num_nonnulls(from_minute, until_minute) = 0)",
            name=op.f("ck_hours_exceptions_whole_or_part"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organizations.id"], name=op.f("fk_hours_exceptions_org_id")),
        _refers("hours_exceptions", "resource_id", "resources"),
        _refers("hours_exceptions", "room_id", "resources"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hours_exceptions")),
    )
    op.create_index("ix_hours_exceptions_org_id_day", "hours_exceptions", ["org_id", "day"])
    op.create_table(
        "blocks",
        _id(),
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), server_default="desk", nullable=False),
        _created_at(),
        sa.CheckConstraint("source IN ('desk')", name=op.f("ck_blocks_source")),
        sa.CheckConstraint(
            "ends_at > starts_at AND ends_at <= starts_at + interval '3660 days'",
            name=op.f("ck_blocks_length"),
        ),
        sa.CheckConstraint(r"reason ~ '\S'", name=op.f("ck_blocks_reason")),
        _refers("blocks", "resource_id", "resources"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocks")),
    )
    op.create_index("ix_blocks_org_id_resource_id_ends_at", "blocks", ["org_id", "resource_id", "ends_at"])
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {table} USING ({RULE}) WITH CHECK ({RULE})")
        op.execute(
            f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
        )


MINUTES = (
    "from_minute BETWEEN 0 AND 1439 AND until_minute > from_minute AND until_minute <= from_minute + 1440"
)


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)


def _created_at() -> sa.Column[Any]:
    return sa.Column(
        "created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["org_id", column], [f"{to}.org_id", f"{to}.id"], name=op.f(f"fk_{table}_org_id_{column}")
    )


def _columns() -> None:
    """What holds, appointments, occupancies and calendars have besides."""
    for table in ("appointment_holds", "appointments"):
        op.drop_constraint(op.f(f"fk_{table}_org_id_calendar_id_resource_id"), table)
        op.add_column(table, sa.Column("service_id", sa.Text(), nullable=True))
        op.add_column(
            table,
            sa.Column("other_resources", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        )
        for column in ("minutes_before", "minutes_after"):
            op.add_column(table, sa.Column(column, sa.Integer(), server_default="0", nullable=False))
        for column, to in (("calendar_id", "calendars"), ("service_id", "services")):
            op.create_foreign_key(
                op.f(f"fk_{table}_org_id_{column}"), table, to, ["org_id", column], ["org_id", "id"]
            )
    op.add_column("appointments", sa.Column("booker", sa.Text(), nullable=True))
    # Those of before were made by a call that proved its number, or by an operator's hand. The default is for
    # them alone: it writes no row anew.
    op.add_column("appointments", sa.Column("booked_by", sa.Text(), server_default="phone", nullable=False))
    op.alter_column("appointments", "booked_by", server_default=None)
    op.execute(
        "UPDATE appointments SET booked_by = 'desk', booker = 'before the diary' WHERE hold_id IS NULL"
    )
    for name, rule in (
        ("booked_by", "booked_by IN ('phone', 'link', 'desk')"),
        ("phone_has_its_hold", "booked_by <> 'phone' OR hold_id IS NOT NULL"),
        ("desk_has_a_name", "booked_by <> 'desk' OR booker IS NOT NULL"),
    ):
        op.create_check_constraint(op.f(f"ck_appointments_{name}"), "appointments", rule)
    op.add_column("occupancies", sa.Column("block_id", sa.Uuid(), nullable=True))
    op.drop_constraint(op.f("ck_occupancies_one_owner"), "occupancies")
    op.create_check_constraint(
        op.f("ck_occupancies_one_owner"), "occupancies", "num_nonnulls(hold_id, appointment_id, block_id) = 1"
    )
    op.drop_constraint(op.f("uq_calendars_org_id_id_resource_id"), "calendars")
    op.alter_column("calendars", "resource_id", nullable=True)
    op.alter_column("calendars", "hours", server_default="{}")
    op.add_column("calendars", sa.Column("service_id", sa.Text(), nullable=True))
    op.create_foreign_key(
        op.f("fk_calendars_org_id_service_id"),
        "calendars",
        "services",
        ["org_id", "service_id"],
        ["org_id", "id"],
    )


# --- what is there --------------------------------------------------------------------------------


def _move_calendars(connection: sa.Connection) -> None:
    """Make people, rooms, services, hours and closed days of the calendars that there are."""
    rows = [
        dict(row._mapping)
        for row in connection.execute(sa.text("SELECT * FROM calendars ORDER BY org_id, id"))
    ]
    sharing = Counter((row["org_id"], row["resource_id"]) for row in rows)
    shared = {key for key, calendars in sharing.items() if calendars > 1}
    for row in rows:
        org, resource = row["org_id"], row["resource_id"]
        _insert(
            connection,
            "resources",
            org_id=org,
            id=resource,
            kind="room" if (org, resource) in shared else "person",
            name=resource if (org, resource) in shared else row["name"],
            time_zone=row["time_zone"],
        )
    # Times that were taken from a resource which no calendar names any more.
    connection.execute(
        sa.text(
            "INSERT INTO resources (org_id, id, kind, name, time_zone, retired_at)"
            " SELECT DISTINCT org_id, resource_id, 'person', resource_id, 'UTC', now() FROM ("
            "   SELECT org_id, resource_id FROM appointment_holds UNION SELECT org_id, resource_id FROM appointments"
            "   UNION SELECT org_id, resource_id FROM occupancies) t"
            " ON CONFLICT DO NOTHING"
        )
    )
    taken = {(org, id_) for org, id_ in connection.execute(sa.text("SELECT org_id, id FROM resources"))}
    services: dict[tuple[Any, ...], str] = {}
    for row in rows:
        org, room = row["org_id"], row["resource_id"]
        if (org, room) not in shared:
            person, room = room, None
        else:
            person = _free_id(org, row["id"], taken)
            _insert(
                connection,
                "resources",
                org_id=org,
                id=person,
                kind="person",
                name=row["name"],
                time_zone=row["time_zone"],
            )
        _hours(connection, row, person)
        first = _services(connection, row, person, room, services)
        connection.execute(
            sa.text(
                "UPDATE calendars SET resource_id = :person, service_id = :first WHERE org_id = :org AND id = :id"
            ),
            {"person": person, "first": first, "org": org, "id": row["id"]},
        )


def _free_id(org: object, wanted: str, taken: set[tuple[Any, str]]) -> str:
    found, number = wanted, 2
    while (org, found) in taken:
        found, number = f"{wanted}-{number}", number + 1
    taken.add((org, found))
    return found


def _hours(connection: sa.Connection, row: Mapping[str, Any], person: str) -> None:
    """The weekly hours and the closed days of a calendar as those of its person."""
    for weekday, name in enumerate(WEEKDAYS):
        end = -1
        for opens, ends in sorted(_minutes(*period) for period in row["hours"].get(name) or []):
            begins = max(opens, end)  # hours that overlap were never offered twice
            if begins < min(ends, 1440):
                _insert(
                    connection,
                    "resource_hours",
                    org_id=row["org_id"],
                    resource_id=person,
                    weekday=weekday,
                    from_minute=begins,
                    until_minute=ends,
                )
                end = ends
    for day in row["closures"]:
        _insert(
            connection,
            "hours_exceptions",
            org_id=row["org_id"],
            resource_id=person,
            day=date.fromisoformat(day),
            is_open=False,
        )


def _minutes(begin: str, end: str) -> tuple[int, int]:
    """A period in minutes from midnight; one that ends no later than it begins goes on into the next day."""
    first, last = (
        int(each[:2]) * 60 + int(each[3:5]) for each in (begin, "24:00" if end == "23:59" else end)
    )
    return first, last if last > first else last + 1440


def _services(
    connection: sa.Connection,
    row: Mapping[str, Any],
    person: str,
    room: str | None,
    known: dict[tuple[Any, ...], str],
) -> str:
    """A service for each of a calendar's words, shared with the calendars that have the same with the same rules.

    Returns the first, which is the calendar's own.
    """
    org = row["org_id"]
    rules = {name: row[name] for name in ("step_minutes", "min_notice_minutes", "horizon_days")}
    rules["minutes"] = row["slot_minutes"]
    found = []
    for name in dict.fromkeys(row["services"] or [UNNAMED]):
        key = (org, name, room, *rules.values())
        if key not in known:
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"
            known[key] = _free_id(org, slug, {(each[0], known[each]) for each in known})
            _insert(
                connection, "services", org_id=org, id=known[key], name=name, position=len(known), **rules
            )
            if room:
                _insert(connection, "service_resources", org_id=org, service_id=known[key], resource_id=room)
        _insert(connection, "service_resources", org_id=org, service_id=known[key], resource_id=person)
        found.append(known[key])
    return found[0]


#: The service of a calendar that had a list of none.
UNNAMED = "Appointment"


def _insert(connection: sa.Connection, table: str, **values: object) -> None:
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    connection.execute(
        sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"), values
    )
