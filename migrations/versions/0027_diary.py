"""The clinic's diary: services, people, rooms and devices with their hours, and blocks.

A calendar of 0.1.0 becomes a person with the calendar's hours and closed days, and a service for each name of
its list, as long as its slots were; a resource that several calendars shared becomes a room, which each of
their people needs. So nothing changes for those who call.

Processes of the release before run on this schema: the columns of `calendars` that moved stay and are read by
nothing new, and the functions that they call keep their names and answers. What such a process writes into
these columns meanwhile is lost. They do not lock the rooms: where people share one, such a process and a new
one may wait for each other while both run, until Postgres ends one of the two, which then asks again.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0027_diary"
down_revision = "0026_meanings"
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
RULE = "CASE WHEN in_system_scope() THEN true ELSE org_id = current_setting('app.org_id')::uuid END"
TABLES = ("resources", "services", "service_resources", "resource_hours", "hours_exceptions", "blocks")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  # minutes
WEEK = 7 * DAY

#: The service of a calendar whose list was empty. Callers are not told this name, so it is none that a clinic
#: would choose.
UNNAMED = "Any appointment"

#: These answer with one column more, or take one argument more, than before.
CLAIM = (
    "claim_slot_atomic(uuid, text, timestamp, text, text, text, integer)",
    "claim_slot_atomic(uuid, text, timestamptz, text, text, text, integer, jsonb)",
)
MOVE = "move_appointment(uuid, uuid, timestamptz, uuid, integer"

#: What is read once there are the tables.
FUNCTIONS = (
    "occupancies_v2",
    "clear_time_v2",
    "choose_resources_v1",
    "claim_slot_atomic_v4",
    "confirm_held_slot_v2",
    "release_hold_v2",
    "cancel_appointment_v3",
    "move_appointment_v4",
)


def upgrade() -> None:
    # All at once, and first what a claim reads first: so the release waits before it has done anything.
    op.execute("LOCK TABLE calendars, appointment_holds, appointments, occupancies IN ACCESS EXCLUSIVE MODE")
    _read("diary_v1")
    _move_calendars(op.get_bind())
    op.execute(
        "UPDATE appointments SET booked_by = 'desk', booker = 'before the diary' WHERE hold_id IS NULL"
    )
    _read("diary_rules_v1")
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_organization ON {table} USING ({RULE}) WITH CHECK ({RULE})")
        op.execute(
            f"CREATE TRIGGER audit AFTER INSERT OR DELETE OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION write_audit('org_id')"
        )
    _drop_functions(*CLAIM, f"{MOVE})")
    _read(*FUNCTIONS)


def downgrade() -> None:
    """Loses services, hours, exceptions and blocks; what is booked stays, each with one resource."""
    _read("without_diary_v1")
    made = {
        name
        for each in FUNCTIONS
        for name in re.findall(r"^CREATE FUNCTION (\w+)", _text(each), re.MULTILINE)
    }
    _drop_functions(*CLAIM, f"{MOVE}, jsonb)", *sorted(made - {"claim_slot_atomic", "move_appointment"}))
    functions, _, triggers = _text("occupancies_v1").partition("CREATE TRIGGER fill_in_from_calendar")
    op.execute(functions.replace("\nCREATE FUNCTION", "\nCREATE OR REPLACE FUNCTION"))
    op.execute("\n".join(re.findall(r"CREATE TRIGGER occupy_update.*?;", triggers, re.DOTALL)))
    op.execute(_text("clear_time_v1").replace("\nCREATE ", "\nCREATE OR REPLACE "))
    _read(
        "claim_slot_atomic_v3",
        "confirm_held_slot_v1",
        "release_hold_v1",
        "cancel_appointment_v2",
        "move_appointment_v3",
    )
    # The one that takes a timestamp is at the end of the first version.
    op.execute("-- '2026" + _text("claim_slot_atomic_v1").partition("-- '2026")[2])


def _text(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()


def _read(*names: str) -> None:
    for name in names:
        op.execute(_text(name))


def _drop_functions(*functions: str) -> None:
    for function in functions:
        op.execute(f"DROP FUNCTION {function}")


# --- what is there --------------------------------------------------------------------------------

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]


def _move_calendars(connection: sa.Connection) -> None:
    """Make people, rooms, services, hours and closed days of the calendars that there are."""
    found = connection.execute(sa.text("SELECT * FROM calendars ORDER BY org_id, id"))
    calendars: list[Row] = [dict(each._mapping) for each in found]
    sharing = Counter((each["org_id"], each["resource_id"]) for each in calendars)
    resources: dict[tuple[Any, Any], dict[str, Any]] = {}
    for each in calendars:
        key = (each["org_id"], each["resource_id"])
        is_shared = sharing[key] > 1
        resources.setdefault(
            key, _resource(each, key[1], "room" if is_shared else "person", key[1] if is_shared else None)
        )
    _insert(connection, "resources", list(resources.values()))
    # Times that were taken from a resource which no calendar names any more.
    connection.execute(
        sa.text(
            "INSERT INTO resources (org_id, id, kind, name, time_zone, retired_at)"
            " SELECT DISTINCT org_id, resource_id, 'person', resource_id, 'UTC', now() FROM ("
            "   SELECT org_id, resource_id FROM appointment_holds"
            "   UNION SELECT org_id, resource_id FROM appointments"
            "   UNION SELECT org_id, resource_id FROM occupancies) t"
            " ON CONFLICT DO NOTHING"
        )
    )
    ids: dict[Any, set[str]] = defaultdict(set)
    for org, known in connection.execute(sa.text("SELECT org_id, id FROM resources")):
        ids[org].add(known)

    new: dict[str, Rows] = {"resources": [], "resource_hours": [], "hours_exceptions": []}
    services, own = _Services(), []
    for each in calendars:
        org, person, room = each["org_id"], each["resource_id"], None
        if sharing[org, person] > 1:
            person, room = _free_id(each["id"], ids[org]), each["resource_id"]
            new["resources"].append(_resource(each, person, "person"))
        try:
            new["resource_hours"] += _hours(each, person)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"the hours of calendar {each['id']!r} of {org} are unreadable ({error}); correct them in"
                ' calendars.hours, like {"mon": [["09:00", "17:00"]]}, and run the release again'
            ) from error
        new["hours_exceptions"] += _closed_days(each, person)
        own.append(
            {"org": org, "id": each["id"], "person": person, "service": services.add(each, person, room)}
        )
    for table, rows in (new | {"services": services.rows, "service_resources": services.able}).items():
        _insert(connection, table, rows)
    if own:
        connection.execute(
            sa.text(
                "UPDATE calendars SET resource_id = :person, service_id = :service"
                " WHERE org_id = :org AND id = :id"
            ),
            own,
        )


def _resource(calendar: Row, resource_id: str, kind: str, name: str | None = None) -> dict[str, Any]:
    return {
        "org_id": calendar["org_id"],
        "id": resource_id,
        "kind": kind,
        "name": name or calendar["name"],
        "time_zone": calendar["time_zone"],
    }


def _free_id(wanted: str, taken: set[str]) -> str:
    """The id that is wanted, with a number if it is taken; it is taken from now on."""
    found, number = wanted, 2
    while found in taken:
        found, number = f"{wanted}-{number}", number + 1
    taken.add(found)
    return found


def _hours(calendar: Row, person: str) -> Iterator[dict[str, Any]]:
    """The weekly hours of a calendar as those of its person.

    Hours that overlap could be written past the command line only. What is offered twice in them is kept
    once: the later period begins at the first of its starts that the earlier ones leave.
    """
    periods = sorted(
        (number * DAY + opens, number * DAY + closes)
        for number, name in enumerate(WEEKDAYS)
        for opens, closes in (_minutes(*period) for period in calendar["hours"].get(name) or [])
    )
    end = max((closes for _, closes in periods), default=0) - WEEK  # of Sunday's night, on Monday
    step = calendar["step_minutes"]
    for opens, closes in periods:
        begins = opens + -(-max(0, end - opens) // step) * step
        end = max(end, closes)
        if begins < closes:
            weekday = begins // DAY % 7
            yield {
                "org_id": calendar["org_id"],
                "resource_id": person,
                "weekday": weekday,
                "from_minute": begins % DAY,
                "until_minute": begins % DAY + closes - begins,
            }


def _minutes(begin: str, end: str) -> tuple[int, int]:
    """A period in minutes from midnight; one that ends no later than it begins goes on into the next day."""
    first = time.fromisoformat(begin)
    last = time() if end in ("24:00", "23:59") else time.fromisoformat(end)
    opens, closes = (each.hour * 60 + each.minute for each in (first, last))
    return opens, closes if last > first else closes + DAY


def _closed_days(calendar: Row, person: str) -> Iterator[dict[str, Any]]:
    """The closures of a calendar. Text that is no date as Python writes it never closed anything."""
    for day in dict.fromkeys(calendar["closures"] or []):
        try:
            closed = date.fromisoformat(day)
        except ValueError:
            continue
        if closed.isoformat() == day:
            yield {
                "org_id": calendar["org_id"],
                "resource_id": person,
                "day": closed,
                "is_open": False,
            }


class _Services:
    """The services of all clinics. Calendars with the same name and rules share one, unless the order in
    which one of them names its services forbids it.
    """

    def __init__(self) -> None:
        self.rows: Rows = []
        self.able: Rows = []
        self._known: dict[tuple[Any, ...], Rows] = defaultdict(list)
        self._ids: dict[Any, set[str]] = defaultdict(set)
        self._positions: Counter[Any] = Counter()

    def add(self, calendar: Row, person: str, room: str | None) -> str:
        """A service for each name of the calendar's list. Returns the id of the first: the calendar's own."""
        org = calendar["org_id"]
        rules = {name: calendar[name] for name in ("step_minutes", "min_notice_minutes", "horizon_days")}
        rules["minutes"] = calendar["slot_minutes"]
        found: Rows = []
        for name in _names(calendar["services"]):
            known = self._known[org, name, room, *rules.values()]
            after = found[-1]["position"] if found else 0
            service = next((each for each in known if each["position"] > after), None)
            if service is None:
                service = self._new(org, name, rules)
                known.append(service)
                self._let(service, room)
            self._let(service, person)
            found.append(service)
        first: str = found[0]["id"]
        return first

    def _new(self, org: object, name: str, rules: Row) -> dict[str, Any]:
        self._positions[org] += 1
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "service"
        service_id = _free_id(slug, self._ids[org])
        service = {"org_id": org, "id": service_id, "name": name, "position": self._positions[org], **rules}
        self.rows.append(service)
        return service

    def _let(self, service: Row, resource: str | None) -> None:
        """Write down that a person or room can do a service."""
        if resource is not None:
            self.able.append(
                {"org_id": service["org_id"], "service_id": service["id"], "resource_id": resource}
            )


def _names(listed: Sequence[object] | None) -> list[str]:
    """The names of a calendar's services, each once and without blank ones; never none."""
    return list(dict.fromkeys(str(each) for each in listed or () if str(each).strip())) or [UNNAMED]


def _insert(connection: sa.Connection, table: str, rows: Rows) -> None:
    if rows:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), rows)
