"""What an error leaves in the log: where and why, and nobody's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import marshmallow
import psycopg
import pytest
import redis
import requests
from billiard.einfo import ExceptionInfo
from celery import Celery, Task
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from twilio.base.exceptions import TwilioRestException

from models.base.session import engine
from runtime import logs
from tests.places import free_port
from tests.runtime.logged import CODE, NAME, PHONE, Lines, log


def caught(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:  # noqa: PT011 (any at all: what matters is what is told of it)
        work()
    return found.value


def test_an_error_of_the_database_tells_where_and_which_rule_but_no_row(lines: Lines) -> None:
    def insert_twice() -> None:
        with engine().connect() as connection:
            connection.execute(
                text("CREATE TEMP TABLE people (name text, phone text CONSTRAINT one_phone UNIQUE)")
            )
            for _ in range(2):
                connection.execute(text(f"INSERT INTO people VALUES ('{NAME}', '{PHONE}')"))

    error = caught(insert_twice)
    assert isinstance(error, IntegrityError)
    assert PHONE in str(error)
    log.error("database error", exc_info=error)
    log.error("database error: %s", error)
    log.error("%s and %r", "database error", error.orig)
    log.error(error)
    first, *in_words = lines()
    outer, inner = first["errors"]
    assert outer["class"] == "sqlalchemy.exc.IntegrityError"
    assert any(frame.startswith("tests/runtime/test_logged_errors.py:") for frame in outer["at"])
    assert inner["class"] == "psycopg.errors.UniqueViolation"
    assert (inner["sqlstate"], inner["constraint"]) == ("23505", "one_phone")
    assert "text" not in {**outer, **inner}
    assert in_words[0]["message"] == "database error: psycopg.errors.UniqueViolation sqlstate 23505 one_phone"
    assert in_words[1]["message"].endswith(" and 'psycopg.errors.UniqueViolation sqlstate 23505 one_phone'")


def test_neither_does_a_row_that_fails_a_check_nor_a_value_that_is_none(
    lines: Lines, sql: psycopg.Connection
) -> None:
    sql.execute("CREATE TEMP TABLE people (name text CONSTRAINT no_z CHECK (name < 'Z'), phone text)")
    for statement in (
        f"INSERT INTO people VALUES ('{NAME}', '{PHONE}')",
        f"SELECT '{NAME}'::uuid",
        f"DO $$ BEGIN RAISE 'not for {NAME}'; END $$",
    ):
        log.error("failed", exc_info=caught(lambda: sql.execute(statement)))  # noqa: B023 (called at once)
    assert [line["errors"][0]["sqlstate"] for line in lines()] == ["23514", "22P02", "P0001"]


def test_what_the_server_says_about_itself_is_kept(lines: Lines, sql: psycopg.Connection) -> None:
    sql.execute("SET statement_timeout = 10")
    log.error("failed", exc_info=caught(lambda: sql.execute(f"SELECT pg_sleep(5), '{NAME}'")))
    [line] = lines()
    assert line["errors"][0]["sqlstate"] == "57014"
    assert line["errors"][0]["text"] == "canceling statement due to statement timeout"


def test_the_words_about_a_connection_are_kept(lines: Lines) -> None:
    port = free_port()
    for work in (
        lambda: psycopg.connect(f"postgresql://u:{CODE}pw@127.0.0.1:{port}/x"),
        lambda: redis.Redis.from_url(f"redis://:{CODE}pw@127.0.0.1:{port}", retry=None).ping(),
        lambda: requests.get(f"http://127.0.0.1:{port}/Messages.json?To=%2B{PHONE[1:]}", timeout=1),
    ):
        log.error("failed", exc_info=caught(work))
    for line in lines():
        assert str(port) in line["errors"][0]["text"]
        assert "refused" in line["errors"][0]["text"]


def test_errors_that_quote_what_somebody_said_keep_it_to_themselves(lines: Lines) -> None:
    def validate() -> None:
        raise marshmallow.ValidationError({"patientName": [f"{NAME} is not a name"]})

    def key_of_key() -> None:
        try:
            {"": 0}[NAME]
        except KeyError as error:
            raise RuntimeError(NAME) from error

    def during() -> None:
        try:
            int(NAME)
        except ValueError:
            raise LookupError(PHONE)  # noqa: B904 (on purpose: the error before is only its context)

    for work in (validate, key_of_key, during):
        log.error("failed", exc_info=caught(work))
    classes = [[error["class"] for error in line["errors"]] for line in lines()]
    assert classes == [
        ["marshmallow.exceptions.ValidationError"],
        ["RuntimeError", "KeyError"],
        ["LookupError", "ValueError"],
    ]


def test_errors_that_cause_each_other_come_to_an_end(lines: Lines) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    log.error("failed", exc_info=first)
    assert len(lines()[0]["errors"]) == 2


def test_twilio_tells_its_numbers_and_not_its_words(lines: Lines) -> None:
    log.error("failed", exc_info=TwilioRestException(400, "/x", f"no such person as {NAME}", 21211, "POST"))
    [error] = lines()[0]["errors"]
    assert (error["status"], error["code"]) == (400, 21211)
    assert "text" not in error


def test_a_bad_header_is_a_connection_error_that_quotes_its_value(lines: Lines) -> None:
    error = caught(lambda: requests.get("http://127.0.0.1:1", headers={"X": f" {NAME}\n"}, timeout=1))
    assert isinstance(error, OSError)
    log.error("failed", exc_info=error)
    assert "text" not in lines()[0]["errors"][0]


def test_an_error_that_came_from_another_process_is_seen_through(lines: Lines) -> None:
    try:
        {"": 0}[NAME]
    except KeyError:
        from_a_worker = ExceptionInfo()
    log.error("Task handler raised error: %r", from_a_worker.exception, exc_info=from_a_worker.exc_info)
    [line] = lines()
    assert line["message"] == "Task handler raised error: 'KeyError'"
    assert line["errors"][-1]["class"] == "KeyError"
    assert any(frame.startswith("tests/runtime/test_logged_errors.py:") for frame in line["errors"][0]["at"])


def test_celery_tells_of_a_failed_task_without_its_words(lines: Lines) -> None:
    app = Celery("tests", set_as_current=False)
    app.conf.task_always_eager = True

    @app.task(name="tests.fails")
    def fails(name: str) -> None:
        raise KeyError(f"{name} {PHONE}")

    @app.task(name="tests.again", bind=True, max_retries=1)
    def again(self: Task[Any, Any], name: str) -> None:
        raise self.retry(exc=KeyError(name), countdown=0)

    for task in (fails, again):
        task.apply(args=(NAME,))
    found = lines()
    assert {line["task"] for line in found} == {"tests.fails", "tests.again"}
    assert all("data" not in line for line in found)
    [failed] = [line for line in found if line["task"] == "tests.fails"]
    assert failed["message"].endswith("raised unexpected: KeyError")
    assert failed["errors"][0]["class"] == "KeyError"
    assert any("in 0s: KeyError" in line["message"] for line in found)


def test_somebody_at_a_terminal_reads_words_with_the_same_masks(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    logs.configure()
    error = caught(refuse)
    log.error("code %s", CODE, extra={"org_id": "o-1"}, exc_info=error)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert " ERROR   webapp.tests: code *** org_id=o-1 | ConnectionRefusedError" in said
    assert "no way to ***87 at all at tests/runtime/test_logged_errors.py:" in said
    assert lines() == []


def refuse() -> None:
    raise ConnectionRefusedError(111, f"no way to {PHONE}\nat all")
