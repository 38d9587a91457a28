"""Measures claim_slot_atomic in pgbench, beside one-row INSERTs without and with an exclusion constraint."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from bench.figures import Series
from bench.ground import CALENDARS, CONSTRAINED, HOT, PATIENTS, PLAIN, Clinic, Ground, phone

CLIENTS = 8
FIRST = 2_000_000_000  # the start of the first slot, in Unix time: far enough ahead for any run
STEP = 1800

#: Each client counts for itself and has its own share of the calendars, so no client waits for a lock.
SPREAD = f"""
\\set n :n + 1
\\set calendar :client_id + {CLIENTS} * (:n % {CALENDARS // CLIENTS})
\\set at {FIRST} + {STEP} * (:n / {CALENDARS // CLIENTS})
\\set until :at + {STEP}
\\set phone {phone(0)} + (:n * {CLIENTS} + :client_id) % {PATIENTS}
"""
#: All clients claim slots of the same calendar, but never the same slot.
ONE_CALENDAR = f"""
\\set n :n + 1
\\set at {FIRST} + {STEP} * (:n * {CLIENTS} + :client_id)
\\set phone {phone(0)} + (:n * {CLIENTS} + :client_id) % {PATIENTS}
"""
NEW_PATIENT = f"{SPREAD}\\set phone 998000000000 + :n * {CLIENTS} + :client_id\n"


def insert_into(table: str) -> str:
    return f"""{SPREAD}
INSERT INTO {table} (org_id, calendar_id, resource_id, starts_at, ends_at, call_sid, contact_id,
    patient_name, patient_phone, expires_at)
VALUES (:org, :calendar, :calendar, to_timestamp(:at), to_timestamp(:until), 'call', :contact,
    'John Smith', '+' || :phone, clock_timestamp() + interval '10 minutes') RETURNING id;
"""


def claim(variables: str, calendar: str, asked: str = "") -> str:
    return f"""{variables}
SELECT success, hold_id, error, code, expires_at, held_by_call, contact_id
  FROM claim_slot_atomic(:org, {calendar}, to_timestamp(:at), 'call', 'John Smith', '+' || :phone, 10{asked});
"""


#: As a tool call asks: it names the service, and who is open then.
OPEN_THEN = """, jsonb_build_object('own', false, 'service', 'visit-' || (:calendar + 1) / 5,
    'options', jsonb_build_array(jsonb_build_array(jsonb_build_array(:calendar::text))))"""


@dataclasses.dataclass
class Script:
    """A script for pgbench. Scripts of one `pool` share its slots: each goes on where the last stopped."""

    name: str
    text: str
    pool: str

    @property
    def claims(self) -> bool:
        return "claim_slot_atomic" in self.text


SCRIPTS = (
    Script("one-row INSERT", insert_into(PLAIN), "plain"),
    Script("INSERT under the constraint", insert_into(CONSTRAINED), "constrained"),
    Script("claim_slot_atomic", claim(SPREAD, ":calendar"), "claims"),
    Script("  of those open then", claim(SPREAD, ":calendar", OPEN_THEN), "claims"),
    Script("  each by a new patient", claim(NEW_PATIENT, ":calendar"), "claims"),
    Script("  all of one calendar", claim(ONE_CALENDAR, f"'{HOT}'"), "hot"),
)


class Pgbench:
    """Runs scripts, and ensures that no slot is claimed twice and no claim was refused.

    A round takes `seconds`; with 0 each client makes five transactions, however long they take.
    """

    def __init__(self, ground: Ground, seconds: int) -> None:
        self._ground = ground
        self._seconds = seconds
        self._clinic: Clinic = ground.clinic("For pgbench")
        self._next: dict[str, int] = {}
        self._claimed = 0
        with ground.connect() as sql:
            row = sql.execute("SELECT id FROM contacts WHERE org_id = %s LIMIT 1", [self._clinic.org_id])
            (self._contact,) = row.fetchone() or (None,)

    def series(self) -> list[Series]:
        return [Series(script.name, functools.partial(self.run, script)) for script in SCRIPTS]

    def warm_up(self, seconds: int) -> None:
        """Fill the tables and analyze them, so that the planner does not take them for empty."""
        for script in SCRIPTS:
            self.run(script, seconds)
        self._ground.analyze()

    def run(self, script: Script, seconds: int | None = None) -> float:
        """Run one round; returns transactions per second."""
        first = self._next.get(script.pool, 0)
        file = self._ground.folder / "script.sql"
        file.write_text(script.text)
        output = self._pgbench(file, first, seconds or self._seconds)
        done = int(_figure(r"transactions actually processed: (\d+)", output))
        self._next[script.pool] = first + done
        if script.claims:
            self._claimed += done
            if (held := self._ground.holds(self._clinic)) != self._claimed:
                raise RuntimeError(f"{self._claimed} claims were answered, and {held} holds are there")
        return _figure(r"tps = ([\d.]+)", output)

    def _pgbench(self, file: Path, first: int, seconds: int) -> str:
        url = urlsplit(self._ground.database_url)
        values = {"n": first, "org": self._clinic.org_id, "contact": self._contact}
        command = [str(self._ground.pgbench), "-n", "-M", "prepared", "-f", str(file)]
        command += ["-c", str(CLIENTS), "-j", "2", *(["-T", str(seconds)] if seconds else ["-t", "5"])]
        command += [f"-D{name}={value}" for name, value in values.items()]
        command += ["-h", str(url.hostname), "-p", str(url.port), "-U", str(url.username), url.path[1:]]
        environment = os.environ | {"PGPASSWORD": url.password or ""}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"pgbench failed:\n{done.stderr}")
        return done.stdout


def _figure(pattern: str, output: str) -> float:
    found = re.search(pattern, output)
    if found is None:
        raise RuntimeError(f"pgbench said something unexpected:\n{output}")
    return float(found[1])
