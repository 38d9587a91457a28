"""Runs commands as an operator does, and returns what they print."""

from __future__ import annotations

import getpass
import json
from typing import Any

import psycopg
from click.testing import Result
from flask import Flask

ACTOR = f"operator {getpass.getuser()}"


class Operator:
    def __init__(self, app: Flask, sql: psycopg.Connection) -> None:
        self.sql = sql
        self._runner = app.test_cli_runner()

    def run(self, *arguments: object, typed: str = "") -> Result:
        return self._runner.invoke(args=[str(argument) for argument in arguments], input=typed)

    def does(self, *arguments: object, typed: str = "") -> str:
        """Run a command that must succeed; returns its standard output."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    def reads(self, *arguments: object) -> Any:
        return json.loads(self.does(*arguments, "--json"))

    def fails(self, *arguments: object, typed: str = "") -> str:
        """Run a command that must be refused without a traceback; returns its whole output."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code != 0, result.output
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.output

    def row(self, query: str, *parameters: object) -> Any:
        return self.sql.execute(query, parameters).fetchone()

    def value(self, query: str, *parameters: object) -> Any:
        row = self.row(query, *parameters)
        return row[0] if row else None

    def audited(self, org_id: str) -> list[tuple[str, str, str, list[str]]]:
        """A clinic's entries in the audit log, oldest first: actor, action, table, columns."""
        query = "SELECT actor, action, table_name, columns FROM audit_log WHERE org_id = %s ORDER BY id"
        return self.sql.execute(query, [org_id]).fetchall()


def swept(sql: psycopg.Connection, *, done: float | None = 1, beat: float | None = 1) -> None:
    """Set the age in seconds of the last sweep that ended well, and of beat's last tick; None for never."""
    sql.execute(
        "INSERT INTO sweeps (task, next_at, done_at, beat_at)"
        " SELECT %s, now, now - make_interval(secs => %s), now - make_interval(secs => %s)"
        " FROM app_clock() AS now ON CONFLICT (task)"
        " DO UPDATE SET done_at = EXCLUDED.done_at, beat_at = EXCLUDED.beat_at",
        ["sms.sweep_sms", done, beat],
    )
