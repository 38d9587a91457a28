"""Who looks beyond one organisation, and why: a door that is not in this list is a decision to be made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.base.session import Door
from tests.places import ROOT

OPENERS = {"system_transaction", "in_system_transaction"}

#: Commands and the sandbox are listed as a whole, whatever function a door stands in.
PACKAGES = ("webapp.cli", "sandbox")

DOORS = {
    ("sandbox", Door.OPERATOR),
    ("tasks.beat.Sweep.__call__", Door.SWEEP),
    ("tasks.booking.expire_holds", Door.SWEEP),
    ("tasks.housekeeping.keep_house", Door.SWEEP),
    ("tasks.calls._next", Door.SWEEP),
    ("tasks.feeds._next", Door.SWEEP),
    ("tasks.feeds.read_feed", Door.SWEEP),
    ("tasks.calls.sweep_calls", Door.SWEEP),
    ("tasks.messaging._ask_about_each", Door.SWEEP),
    ("tasks.messaging.sweep_sms", Door.SWEEP),
    ("webapp.attacks._add", Door.METRICS),
    ("webapp.cli", Door.OPERATOR),
    ("webapp.cli", Door.READINESS),
    ("webapp.staff.tries.failed", Door.SIGN_IN),
    ("webapp.staff.tries.find", Door.SIGN_IN),
    ("webapp.feeds.published._find", Door.PUBLISHED_CALENDAR),
    ("webapp.staff.tries.invited", Door.SIGN_IN),
    ("webapp.ops.health._database", Door.READINESS),
    ("webapp.ops.health._queues", Door.READINESS),
    ("webapp.ops.metrics.metrics", Door.METRICS),
    ("webapp.patient.pages._find", Door.PATIENT_LINK),
    ("webapp.twilio.receipts.status", Door.RECEIPT),
    ("webapp.twilio.inbound._read", Door.CREDENTIAL),
    ("webapp.agents.credentials._note_use", Door.CREDENTIAL),
    ("webapp.agents.credentials._read", Door.CREDENTIAL),
    ("webapp.agents.runner._organization_of", Door.DEVELOPMENT),
    ("webapp.agents.vapi.events._account", Door.DEVELOPMENT),
    ("webapp.agents.vapi.events.note", Door.DEVELOPMENT),
}


@dataclass
class Found:
    """What one module does with the openers."""

    calls: set[tuple[str, str]] = field(default_factory=set)  # function, what it says as its door
    loose: set[str] = field(default_factory=set)  # functions that hand an opener on, or rename it


def found_in(source: str) -> Found:
    found = Found()

    def walk(node: ast.AST, function: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            function = f"{function}.{node.name}" if function else node.name
        if isinstance(node, ast.ImportFrom):
            renamed = [each.name for each in node.names if each.name in OPENERS and each.asname]
            found.loose.update(renamed)
        inner = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call) and _name(node.func) in OPENERS:
            found.calls.add((function, ast.unparse(node.args[0]) if node.args else ""))
            inner.remove(node.func)
        elif _name(node) in OPENERS:
            found.loose.add(function)
        for child in inner:
            walk(child, function)

    walk(ast.parse(source), "")
    return found


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def modules() -> Iterator[tuple[str, str]]:
    folders = ("webapp", "tasks", "models", "runtime", "sandbox")
    for path in [*ROOT.glob("*.py"), *(path for each in folders for path in (ROOT / each).rglob("*.py"))]:
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path.read_text()


def test_every_door_is_in_the_list_and_every_one_in_the_list_is_there() -> None:
    doors = {}
    for module, source in modules():
        for function, said in found_in(source).calls:
            where = f"{module}.{function}"
            if where == "webapp.unit_of_work.in_system_transaction":
                continue
            package = next((each for each in PACKAGES if f"{module}.".startswith(f"{each}.")), where)
            doors[package, said] = where
    expected = {(where, f"Door.{door.name}") for where, door in DOORS}
    assert set(doors) - expected == set(), "a new door: who is it for, and why?"
    assert expected - set(doors) == set(), "a door that is gone"


def test_nobody_hands_the_key_to_a_door_on() -> None:
    loose = {f"{module}.{function}" for module, source in modules() for function in found_in(source).loose}
    assert loose == {"webapp.unit_of_work.in_system_transaction"}


def test_every_reason_is_somebodys() -> None:
    assert {door for _, door in DOORS} == set(Door)


def test_nobody_goes_round_the_doors() -> None:
    """The engine behind them and the setting that they make stand in few places.

    The preconditions ask who each role is, and which role the setting opens for; no row.
    """
    allowed = {"models.base.session", "models.base.preconditions"}
    of_the_engine = {module for module, source in modules() if "system_engine" in source}
    assert of_the_engine <= allowed
    of_the_setting = {module for module, source in modules() if "app.scope" in source}
    ours = {module for module in of_the_setting if not module.startswith("sandbox.")}
    assert ours == allowed
    assert not [path for path in Path(ROOT, "webapp").rglob("*.py") if "row_security" in path.read_text()]


@pytest.mark.parametrize(
    ("source", "calls", "loose"),
    [
        ("def f():\n with system_transaction(Door.SWEEP) as s: pass", {("f", "Door.SWEEP")}, set()),
        ("class A:\n def f(self):\n  return x.in_system_transaction(door, g)", {("A.f", "door")}, set()),
        ("def f():\n return lambda: system_transaction(Door.SWEEP)", {("f", "Door.SWEEP")}, set()),
        ("def f():\n return partial(system_transaction, Door.SWEEP)", set(), {"f"}),
        ("from models.base.session import system_transaction as t", set(), {"system_transaction"}),
        ("def f():\n g = session.system_transaction", set(), {"f"}),
    ],
)
def test_this_check_sees_what_it_is_to_see(source: str, calls: set[object], loose: set[str]) -> None:
    found = found_in(source)
    assert (found.calls, found.loose) == (calls, loose)
