"""Lists that must agree with each other, because nothing else would notice when they do not."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from pathlib import Path

import pytest

import celeryconfig
from celeryconfig import Queue, Task
from runtime.web_capacity import WEB_CONNECTIONS
from settings import Settings
from tasks.app import app as celery
from tests.places import ROOT
from webapp.agents.tool import Tool
from webapp.agents.tools import TOOLS

OURS = ("webapp", "tasks", "models", "sandbox", "bench", "settings", "celeryconfig")


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in (ROOT / folder).rglob("*.py")]


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if line and not line.startswith("#"))


def test_every_task_that_is_named_is_registered_and_the_other_way_round() -> None:
    celery.loader.import_default_modules()
    # Tests of Celery itself register tasks of their own.
    registered = {name for name in celery.tasks if not name.startswith(("celery.", "tests."))}
    assert registered == {task.value for task in Task}


def test_every_task_has_a_route_and_beat_knows_no_other() -> None:
    assert set(celeryconfig.task_routes) == set(Task)
    assert {entry["task"] for entry in celeryconfig.beat_schedule.values()} <= {task.value for task in Task}


def test_every_queue_has_a_worker_in_the_procfile() -> None:
    served = [name for line in procfile().values() for name in re.findall(r"-Q (\S+)", line)]
    assert sorted(",".join(served).split(",")) == sorted(queue.value for queue in Queue)


def test_codes_have_a_worker_of_their_own() -> None:
    [line] = [line for line in procfile().values() if re.search(r"-Q otp( |$)", line)]
    assert "sms" not in line.split("-Q ")[1]


def test_the_procfile_has_what_a_platform_starts() -> None:
    assert set(procfile()) == {"release", "web", "worker", "worker_otp", "beat", "flower"}
    assert all(command.startswith("exec ") for command in procfile().values())


def test_all_processes_together_ask_for_few_database_connections() -> None:
    """Small managed plans allow 20. Beat and Flower use none; a worker's child runs one task at a time."""
    web = WEB_CONNECTIONS
    workers = sum(int(found) for line in procfile().values() for found in re.findall(r"-c (\d+)", line))
    assert web + workers <= 20


def test_there_is_one_commit_in_the_tree() -> None:
    commits = [
        path.relative_to(ROOT).as_posix()
        for path in sources("webapp", "tasks", "models", "runtime")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "commit"
    ]
    assert commits == ["models/base/session.py"]


def test_settings_import_nothing_of_ours() -> None:
    for node in ast.walk(ast.parse((ROOT / "settings.py").read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] in OURS]


def test_no_request_can_call_twilio() -> None:
    for path in sources("webapp"):
        assert "twilio.rest" not in path.read_text(), path


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE))
    assert documented == {name.upper() for name in Settings.model_fields}


def test_app_json_asks_for_settings_that_exist() -> None:
    asked = set(json.loads((ROOT / "app.json").read_text())["env"])
    assert asked - {"FLOWER_BASIC_AUTH"} <= {name.upper() for name in Settings.model_fields}


def test_the_lock_files_hold_every_dependency_with_its_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {re.split(r"[\[=]", line)[0].lower(): line for line in project["dependencies"]}
    lock = (ROOT / "requirements.txt").read_text()
    for name, line in pinned.items():
        version = line.split("==")[1]
        assert re.search(rf"^{re.escape(name)}(\[.*\])?=={re.escape(version)} ", lock, re.MULTILINE), name
    packages = re.findall(r"^[a-z0-9]\S*==\S+.*(?:\n    .*)*", lock, re.MULTILINE)
    assert packages
    assert all("--hash=sha256:" in package for package in packages)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_missing_argument_can_be_asked_for_in_words(tool: Tool) -> None:
    required = [name for name, field in tool.arguments().fields.items() if field.required]
    assert [name for name in required if tool.in_words(name) == name] == []
