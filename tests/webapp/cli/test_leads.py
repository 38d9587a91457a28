"""`flask leads`: rules in force, and what other rules would have made of the calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.calls.facts import NAME, SCHEMA
from tests.conftest import Clock
from tests.places import ROOT
from tests.tasks.test_calls import FACTS, HOT, Ended


def test_other_rules_are_tried_before_they_are_set(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, tmp_path: Path
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=200)
    clock.forward(3)
    ended.score()
    before = ended.one("SELECT lead_score FROM calls WHERE org_id = %s")
    run = client.application.test_cli_runner()
    milder = tmp_path / "milder.json"
    milder.write_text(json.dumps({"weights": {"base": -80}}))

    tried = run.invoke(args=["leads", "rescore", ended.org, "--dry-run", "--rules", str(milder), "--json"])
    assert tried.exit_code == 0, tried.output
    (change,) = json.loads(tried.output)
    assert (change["call"], change["was"]) == (ended.call.id, before)
    assert change["is"] < before
    assert ended.one("SELECT lead_score FROM calls WHERE org_id = %s") == before
    assert ended.one("SELECT lead_rules FROM organizations WHERE id = %s") is None

    assert run.invoke(args=["leads", "rules", ended.org, "--from", str(milder)]).exit_code == 0
    kept = run.invoke(args=["leads", "rescore", ended.org])
    assert kept.exit_code == 0, kept.output
    assert ended.one("SELECT lead_score FROM calls WHERE org_id = %s") == change["is"]
    again = run.invoke(args=["leads", "rescore", ended.org])
    assert again.output == "no score of 1 calls changes\n"
    assert ended.texts == 0


def test_the_worth_of_a_service_counts_for_the_score(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    treatment = {"treatment": {"value": "implants", "quote": "two implants"}}
    artifact = {
        "messages": [{"role": role, "message": text} for role, text in HOT],
        "structuredOutputs": {"1": {"name": NAME, "result": FACTS | treatment}},
    }
    ended = Ended(client, sql, [], artifact=artifact)
    clock.forward(3)
    ended.score()
    run = client.application.test_cli_runner()

    def reasons() -> set[str]:
        assert run.invoke(args=["leads", "rescore", ended.org]).exit_code == 0
        return {each["code"] for each in ended.one("SELECT lead_reasons FROM calls WHERE org_id = %s")}

    assert "high_worth" in reasons()
    assert run.invoke(args=["service", "set", ended.org, "implants", "--worth", "normal"]).exit_code == 0
    assert "high_worth" not in reasons()
    # A rename keeps it.
    assert run.invoke(args=["service", "set", ended.org, "implants", "--name", "Implants"]).exit_code == 0
    assert "high_worth" not in reasons()
    assert run.invoke(args=["service", "set", ended.org, "implants", "--no-worth"]).exit_code == 0
    assert "high_worth" in reasons()


def test_only_the_calls_of_the_last_days_are_scored_again(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, tmp_path: Path
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=200)
    clock.forward(3)
    ended.score()
    sql.execute(
        "UPDATE calls SET created_at = app_clock() - interval '47 hours' WHERE org_id = %s", [ended.org]
    )
    milder = tmp_path / "milder.json"
    milder.write_text(json.dumps({"weights": {"base": -80}}))
    run = client.application.test_cli_runner()
    for days, calls in ((1, 0), (2, 1)):
        args = ["leads", "rescore", ended.org, "--days", str(days), "--rules", str(milder)]
        assert len(json.loads(run.invoke(args=[*args, "--dry-run", "--json"]).output)) == calls


def test_a_call_whose_words_are_gone_keeps_its_score(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock, tmp_path: Path
) -> None:
    ended = Ended(client, sql, HOT, durationSeconds=200)
    clock.forward(3)
    ended.score()
    before = ended.one("SELECT lead_score FROM calls WHERE org_id = %s")
    sql.execute("UPDATE calls SET turns = NULL WHERE org_id = %s", [ended.org])
    milder = tmp_path / "milder.json"
    milder.write_text(json.dumps({"weights": {"base": -80}}))
    rescored = client.application.test_cli_runner().invoke(
        args=["leads", "rescore", ended.org, "--rules", str(milder), "--dry-run", "--json"]
    )
    assert (rescored.exit_code, json.loads(rescored.output)) == (0, []), rescored.output
    assert ended.one("SELECT lead_score FROM calls WHERE org_id = %s") == before


def test_rules_that_cannot_be_used_are_refused(
    client: FlaskClient, sql: psycopg.Connection, tmp_path: Path
) -> None:
    ended = Ended(client, sql, HOT)
    run = client.application.test_cli_runner()
    for text in ("not json", '{"weights": {"base": "much"}}', '{"hot": 1000}'):
        file = tmp_path / "bad.json"
        file.write_text(text)
        refused = run.invoke(args=["leads", "rules", ended.org, "--from", str(file)])
        assert refused.exit_code == 1
        assert "cannot be used" in refused.output
    assert ended.one("SELECT lead_rules FROM organizations WHERE id = %s") is None


CALL = {
    "id": "a",
    "messages": [
        {"role": "bot", "message": "Hello."},
        {"role": "user", "message": "Put me down for the implants on Tuesday at ten."},
        {"role": "tool_calls", "toolCalls": []},
    ],
    "facts": {"decision": {"value": "goes_ahead", "quote": "Put me down"}},
    "booked": False,
    "duration_seconds": 61.5,
    "ended_reason": "customer-ended-call",
}


def flask(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """The command as somebody runs it who has nothing but the code."""
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "APP_ENV": "development"},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_calls_of_a_file_are_scored_without_a_database(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    others = [{**CALL, "id": 2, "booked": True}, {"id": None, "messages": [], "facts": None}]
    file.write_text("\n".join(json.dumps(call) for call in (CALL, *others)) + "\n")
    done = flask("leads", "try", str(file))
    assert done.returncode == 0, done.stderr
    one, two, three = map(json.loads, done.stdout.splitlines())
    assert [*one] == ["id", "score", "band", "call_back", "reasons"]
    assert (one["id"], one["band"], one["call_back"]) == ("a", "hot", True)
    assert (two["id"], two["band"], two["call_back"]) == (2, "hot", False)
    assert (three["id"], three["band"], three["call_back"]) == (None, "cold", False)
    assert [*one["reasons"][0]] == ["code", "points", "why", "quote"]
    assert sum(reason["points"] for reason in one["reasons"]) == one["score"]
    assert "Put me down" in {reason["quote"] for reason in one["reasons"]}
    typed = flask("leads", "try", "-", typed=json.dumps(CALL))
    assert json.loads(typed.stdout) == one


def test_odd_signs_in_a_call_end_no_line_and_no_command(app: Flask) -> None:
    call = {**CALL, "id": "\ud800", "messages": [{"role": "user", "message": "Put me\u2028down\x85please"}]}
    lines = json.dumps(call, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    done = app.test_cli_runner().invoke(args=["leads", "try", "-"], input=lines + "\r\n")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["id"] == "\ud800"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("{", "it is no JSON"),
        ("[1]", 'it must be an object with "messages", a list'),
        ('{"id": 1}', 'it must be an object with "messages", a list'),
        ('{"messages": ["x"]}', 'each of "messages" must be'),
        ('{"messages": [{"role": "user"}]}', 'each of "messages" must be'),
        ('{"messages": [{"role": ["user"], "message": "x"}]}', 'each of "messages" must be'),
        ('{"messages": [{"role": "assistant", "message": "x"}]}', 'each of "messages" must be'),
        ('{"messages": [], "duration_seconds": "long"}', '"duration_seconds" must be a number of seconds'),
        ('{"messages": [], "duration_seconds": NaN}', '"duration_seconds" must be a number of seconds'),
        ('{"messages": [], "duration_seconds": -1}', '"duration_seconds" must be a number of seconds'),
        ('{"id": ' + "9" * 5000 + "}", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ('{"messages": [], "booked": "yes"}', '"booked" must be true or false'),
    ],
)
def test_a_line_that_cannot_be_scored_is_named_and_nothing_is_printed(
    app: Flask, line: str, wrong: str
) -> None:
    tried = app.test_cli_runner().invoke(args=["leads", "try", "-"], input=f"{json.dumps(CALL)}\n{line}\n")
    assert tried.exit_code == 1
    assert tried.stdout == ""
    assert f"line 2: {wrong}" in tried.stderr


def test_the_schema_of_the_facts_is_what_vapi_is_asked_for(app: Flask) -> None:
    printed = app.test_cli_runner().invoke(args=["leads", "facts-schema"])
    assert json.loads(printed.stdout) == SCHEMA
