"""`flask leads`: rules in force, and what other rules would have made of the calls."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.tasks.test_leads import HOT, Ended


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
