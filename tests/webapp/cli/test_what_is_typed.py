"""Nothing that an operator types is taken and ignored, doubled without a word, or answered by a library."""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from collections.abc import Iterator
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clinics.organizations import IntegrationSettings, Organization
from models.leads import leads as lead_verbs
from models.leads.scoring import Rules, Weights
from tests.places import ROOT
from tests.webapp.cli.commands import Operator
from webapp import cli
from webapp.agents import credentials
from webapp.cli import lead_rules

# --- help ---------------------------------------------------------------------------------------


def commands(group: click.Command, *path: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(group, click.Group):
        for name, command in group.commands.items():
            yield from commands(command, *path, name)
    else:
        yield " ".join(path), group


EVERY = {path: command for command in cli.COMMANDS for path, command in commands(command, command.name or "")}


@pytest.mark.parametrize("path", EVERY)
def test_every_command_says_what_it_and_each_of_its_options_does(operator: Operator, path: str) -> None:
    printed = operator.does(*path.split(), "--help")
    assert len(" ".join(printed.split())) > 60
    options = [each for each in EVERY[path].params if isinstance(each, click.Option)]
    assert [each.name for each in options if not each.help] == []


@pytest.mark.parametrize("path", EVERY)
def test_an_option_that_is_not_there_is_refused(operator: Operator, path: str) -> None:
    assert "No such option" in operator.fails(*path.split(), "--no-such-thing")


def test_how_long_a_revoked_credential_lives_is_said_as_it_is(operator: Operator) -> None:
    assert credentials.REMEMBERED == 1.0
    helped = " ".join(operator.does("credential", "revoke", "--help").split())
    assert "may remember it for 1 second more" in helped
    page = " ".join((ROOT / "docs/operations.md").read_text().split())
    assert "remember it for a second" in page


# --- said twice ---------------------------------------------------------------------------------


def create(name: str, *more: str) -> tuple[str, ...]:
    return ("organization", "create", name, "--region", "GB", "--phone", "020 7946 0958", *more)


def test_a_second_clinic_of_one_name_is_made_only_on_purpose(operator: Operator) -> None:
    name = f"Café Über {uuid.uuid4().hex[:8]}"
    first = operator.does(*create(name))
    apart = unicodedata.normalize("NFD", name)  # the accents are letters of their own
    for again in (name, name.upper(), f"  {name.replace(' ', '   ')} ", apart, apart.upper()):
        said = operator.fails(*create(again))
        assert first in said
        assert "--same-name" in said
    second = operator.does(*create(name, "--same-name"))
    assert second != first
    third = operator.does(*create(f"{name} III"))
    assert first in operator.fails("organization", "set", third, "--name", name.lower())
    operator.does("organization", "set", third, "--name", f"{name.upper()} III")  # it is its own already
    operator.does("organization", "set", third, "--name", name, "--same-name")


def test_a_second_credential_of_one_label_is_made_only_by_rotation(operator: Operator, clinic: str) -> None:
    operator.does("credential", "add", clinic, "--label", "Main line")
    first = operator.reads("credential", "list", clinic)[0]["id"]
    said = operator.fails("credential", "add", clinic, "--label", "main  LINE")
    assert f"flask credential rotate {clinic} {first}" in said
    operator.does("credential", "rotate", clinic, first)
    operator.does("credential", "add", clinic, "--label", "Other line")
    for row in operator.reads("credential", "list", clinic):
        operator.does("credential", "revoke", clinic, row["id"])
    operator.does("credential", "add", clinic, "--label", "Main line")


def test_somebody_who_is_there_already_is_told_of_before_a_password_is_typed(
    operator: Operator, clinic: str
) -> None:
    email = f"jo-{uuid.uuid4()}@example.com"
    add = ("staff", "add", clinic, email.upper(), "--name", "Jo")
    operator.does(*add, typed="correct horse battery\n")
    assert "flask staff password" in operator.fails(*add)
    operator.does("staff", "disable", clinic, email)
    assert f"flask staff enable {clinic} {email}" in operator.fails(*add)


# --- empty, unseen, endless, or of no use -------------------------------------------------------


@pytest.mark.parametrize("name", ["", "   ", "\t", "a\u200bb", "\u202eevil", "x" * 81, "bell\a", "\udcff"])
def test_a_name_is_one_line_that_can_be_read(operator: Operator, clinic: str, name: str) -> None:
    for arguments in (
        create(name),
        ("organization", "set", clinic, "--name", name),
        ("organization", "vapi", clinic, "--credential-id", name),
        ("credential", "add", clinic, "--label", name),
        ("staff", "add", clinic, f"{uuid.uuid4()}@example.com", "--name", name),
    ):
        said = operator.fails(*arguments, typed="correct horse battery\n")
        assert re.search("it is empty|cannot be shown|longer than 80", said)


@pytest.mark.parametrize("header", ["", " ", "x y", "x:y", "x-ä", "x" * 101])
def test_a_header_that_none_can_be_called_is_refused(operator: Operator, clinic: str, header: str) -> None:
    for option in ("--signature-header", "--timestamp-header"):
        said = operator.fails("credential", "add", clinic, "--kind", "hmac", option, header)
        assert "no name of a header" in said


def test_what_would_be_ignored_is_refused(operator: Operator, clinic: str) -> None:
    nobody = str(uuid.uuid4())
    for arguments, why in (
        (("vapi", "assistant", clinic, "--force"), "--force only goes with --push"),
        (("leads", "rules", clinic, "--reset", "--from", "-"), "exclude each other"),
        (("leads", "rescore", clinic, "--rules", "-"), "only tried, with --dry-run"),
        (("sms", "trouble", nobody), f"there is no organisation {nobody}"),
        (("credential", "add", clinic, "--prefix", "sha256="), "only --kind hmac"),
        (("twilio", "set", clinic), "nothing was given"),
        (("organization", "set", clinic), "nothing was given"),
        (("organization", "set", clinic, "--same-name"), "nothing was given"),
    ):
        assert why in operator.fails(*arguments, typed="{}\n")


def test_a_token_that_looks_like_none_is_told_of(operator: Operator, clinic: str) -> None:
    account = ("twilio", "set", clinic, "--account-sid", "AC" + "0" * 32)
    for token, told in (("a" * 32, False), ("a" * 31, True), ("A" * 32, True), ("the wrong field", True)):
        result = operator.run(*account, typed=f"{token}\n")
        assert result.exit_code == 0
        assert ("32 hexadecimal digits" in result.stderr) is told


# --- rules for leads ----------------------------------------------------------------------------


def rules(operator: Operator, clinic: str) -> Any:
    return json.loads(operator.does("leads", "rules", clinic))


def test_hot_of_a_rules_file_is_where_hot_begins(operator: Operator, clinic: str) -> None:
    set_ = ("leads", "rules", clinic, "--from", "-")
    assert json.loads(operator.does(*set_, typed='{"hot": 85, "weights": {"booked": 60}}'))["hot"] == 85
    assert operator.reads("organization", "show", clinic)["hot_lead_threshold"] == 85
    assert rules(operator, clinic)["weights"]["booked"] == 60
    # The other way round, and a file that does not speak of it.
    operator.does("organization", "set", clinic, "--hot-lead-threshold", "90")
    assert rules(operator, clinic)["hot"] == 90
    assert json.loads(operator.does(*set_, typed='{"warm": 80}'))["warm"] == 80
    assert (rules(operator, clinic)["hot"], rules(operator, clinic)["weights"]["booked"]) == (90, 65)
    # Warm must begin below hot as it is at this clinic, and is lowered with it later.
    assert "warm (90) must begin below hot (90)" in operator.fails(*set_, typed='{"warm": 90}')
    operator.does("organization", "set", clinic, "--hot-lead-threshold", "40")
    assert (rules(operator, clinic)["hot"], rules(operator, clinic)["warm"]) == (40, 39)
    operator.does("leads", "rules", clinic, "--reset")
    assert (rules(operator, clinic)["hot"], rules(operator, clinic)["warm"]) == (40, 35)


@pytest.mark.parametrize("threshold", [1, 35, 36, 70, 100])
def test_what_is_printed_can_be_set_again(operator: Operator, clinic: str, threshold: int) -> None:
    operator.does("organization", "set", clinic, "--hot-lead-threshold", threshold)
    printed = operator.does("leads", "rules", clinic)
    for text in (printed, "\ufeff" + printed):
        assert operator.does("leads", "rules", clinic, "--from", "-", typed=text) == printed


BAD = {
    "{": "it is no JSON: line 1, column 2",
    "": "it is no JSON: line 1, column 1",
    "[]": "must be an object",
    "null": "must be an object",
    '{"hot": 80, "hot": 20}': "hot stands in one object twice",
    '{"weights": {"booked": 1, "booked": 2}}': "booked stands in one object twice",
    '{"weights": {"bookd": 60}}': "weights.bookd: there is no such rule; did you mean booked?",
    '{"hott": 60}': "hott: there is no such rule; did you mean hot?",
    '{"xyz": 60}': "there are weights, hot, warm, services",
    '{"weights": {"booked": "much"}}': 'weights.booked: it must be a whole number, and it is "much"',
    '{"weights": {"booked": 1.5}}': "weights.booked: it must be a whole number, and it is 1.5",
    '{"weights": {"booked": 101}}': "weights.booked: it must be 100 or less, and it is 101",
    '{"weights": {"booked": NaN}}': "weights.booked: it must be a whole number, and it is NaN",
    '{"hot": 0}': "hot: it must be 1 or more, and it is 0",
    '{"phrases": {"want": ["a"]}}': "phrases: there is no such rule",
    '{"hot": null}': "hot: it must be a whole number, and it is null",
    '{"hot": 50, "warm": 50}': "warm (50) must begin below hot (50)",
    '{"weights": []}': "weights: it must be an object",
    '{"services": {"x": "high"}}': "services.x: it must have 2 characters or more",
    '{"services": {"implants": "huge"}}': "services.implants: it must be",
    "[" * 100_000: "nested too deeply",
}
LIBRARY = re.compile(
    "pydantic|validation error|Input should|type=|input_value|Traceback|Expecting", re.IGNORECASE
)


@pytest.mark.parametrize("text", BAD)
def test_rules_that_cannot_be_used_are_told_of_in_our_words(
    operator: Operator, clinic: str, text: str
) -> None:
    said = operator.fails("leads", "rules", clinic, "--from", "-", typed=text)
    assert "these rules cannot be used" in said
    assert BAD[text] in said
    assert not LIBRARY.search(said)
    tried = operator.fails("leads", "rescore", clinic, "--dry-run", "--rules", "-", typed=text)
    assert BAD[text] in tried
    assert operator.value("SELECT lead_rules FROM organizations WHERE id = %s", clinic) is None


_leaf = st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.text(max_size=5)
_json = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["implants", "wants", *Rules.model_fields, *list(Weights.model_fields)[:4]]),
            inner,
        )
    ),
    max_leaves=8,
)


@given(_json)
def test_any_json_is_rules_or_is_refused_in_our_words(given_rules: Any) -> None:
    try:
        stored = lead_rules.read(json.dumps(given_rules), hot=70)
    except lead_rules.Unusable as error:
        said = str(error)
    else:
        said = ""
        clinic = Organization(lead_rules={name: value for name, value in stored.items() if name != "hot"})
        lead_verbs.own_rules(clinic, IntegrationSettings(hot_lead_threshold=stored["hot"]))
    assert not LIBRARY.search(said)


def test_the_doctor_says_when_the_stored_rules_cannot_be_used(operator: Operator, clinic: str) -> None:
    """As a release may leave them that knows a weight no more: calls are scored by the usual ones then."""
    operator.sql.execute(
        """UPDATE organizations SET lead_rules = '{"weights": {"gone": 1}}' WHERE id = %s""", [clinic]
    )
    assert rules(operator, clinic)["weights"] == json.loads(Rules().model_dump_json())["weights"]
    assert re.search("^missing +lead rules: ", operator.fails("doctor", clinic), re.MULTILINE)
    # A threshold beside the clinic's own would be accepted and ignored.
    operator.sql.execute("""UPDATE organizations SET lead_rules = '{"hot": 50}' WHERE id = %s""", [clinic])
    assert re.search("^missing +lead rules: ", operator.fails("doctor", clinic), re.MULTILINE)
    operator.does("leads", "rules", clinic, "--from", "-", typed='{"weights": {"booked": 51}}')
    assert re.search("^ok +lead rules: ", operator.run("doctor", clinic).output, re.MULTILINE)
