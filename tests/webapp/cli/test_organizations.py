"""A clinic is made and set up by command, and what cannot be is refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from models.base import sealing
from tests.places import ROOT
from tests.webapp.cli.commands import ACTOR, Operator


def test_the_commands_are_found_without_naming_the_app() -> None:
    """As docs/operations.md writes them, in a folder with wsgi.py."""
    flask = Path(sys.executable).with_name("flask")
    done = subprocess.run(
        [flask, "organization", "list"], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_clinic_is_made_with_its_limits_and_settings(operator: Operator) -> None:
    org_id = operator.does(
        "organization", "create", " Nice Smile ", "--region", "gb", "--phone", "020 7946 0958"
    )
    shown = operator.reads("organization", "show", org_id)
    assert shown["id"] == org_id
    assert (shown["name"], shown["region"], shown["phone"], shown["sandbox"]) == (
        "Nice Smile",
        "GB",
        "+442079460958",
        False,
    )
    assert (shown["code_length"], shown["keep_words_days"], shown["keep_patients_days"]) == (4, 90, "ever")
    assert shown["allowed_countries"] == ["GB", "GG", "IM", "JE"]
    assert (shown["hot_lead_threshold"], shown["twilio_auth_token"], shown["vapi_api_key"]) == (
        70,
        False,
        False,
    )
    assert org_id in [row["id"] for row in operator.reads("organization", "list")]
    assert operator.audited(org_id) == [
        (ACTOR, "insert", "organizations", []),
        (ACTOR, "insert", "integration_settings", []),
    ]


def test_every_limit_can_be_changed_alone(operator: Operator, clinic: str) -> None:
    before = operator.reads("organization", "show", clinic)
    changes = {
        "code-length": 6,
        "code-tries": 2,
        "codes-per-hold": 4,
        "codes-per-call": 7,
        "codes-per-phone-a-day": 11,
        "codes-a-day": 500,
        "wrong-codes-per-phone-a-day": 9,
        "holds-per-phone": 1,
        "keep-words-days": 30,
        "keep-patients-days": 400,
        "hot-lead-threshold": 80,
        "hot-lead-min-duration": 60,
        "sms-per-second": 3,
        "name": f"Other {clinic}",
    }
    for option, value in changes.items():
        operator.does("organization", "set", clinic, f"--{option}", value)
        before[option.replace("-", "_")] = value
        assert operator.reads("organization", "show", clinic) == before
    operator.does("organization", "set", clinic, "--keep-words-days", "ever")
    assert operator.value("SELECT keep_words_days FROM organizations WHERE id = %s", clinic) is None


def test_phones_and_countries_are_checked(operator: Operator, clinic: str) -> None:
    operator.does("organization", "set", clinic, "--alert-phone", "07700 900123", "--allow-country", "ie")
    shown = operator.reads("organization", "show", clinic)
    assert shown["hot_lead_alert_phone"] == "+447700900123"
    assert shown["allowed_countries"] == ["IE"]
    operator.does("organization", "set", clinic, "--only-own-country")
    assert operator.reads("organization", "show", clinic)["allowed_countries"] == ["GB", "GG", "IM", "JE"]
    assert "too few digits" in operator.fails("organization", "set", clinic, "--alert-phone", "123")
    for premium in ("0909 879 0000", "+1 900 234 5678"):
        refused = operator.fails("organization", "set", clinic, "--alert-phone", premium)
        assert "texts cannot be sent to" in refused
    assert "not made of digits" in operator.fails("organization", "set", clinic, "--phone", "none")
    assert "'ZZ' is no country" in operator.fails("organization", "set", clinic, "--allow-country", "ZZ")
    assert operator.reads("organization", "show", clinic)["hot_lead_alert_phone"] == "+447700900123"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--code-length", 3),
        ("--code-length", 9),
        ("--code-tries", 0),
        ("--keep-words-days", 0),
        ("--keep-words-days", "never"),
        ("--keep-patients-days", "-1"),
        ("--hot-lead-threshold", 101),
        ("--name", " "),
    ],
)
def test_what_the_database_would_refuse_is_refused_before(
    operator: Operator, clinic: str, option: str, value: object
) -> None:
    before = operator.reads("organization", "show", clinic)
    assert "Error" in operator.fails("organization", "set", clinic, option, value)
    assert operator.reads("organization", "show", clinic) == before


def test_an_organization_that_is_not_there_is_said_to_be_so(operator: Operator) -> None:
    nobody = uuid.uuid4()
    for words in (
        ["organization", "show", nobody],
        ["organization", "set", nobody, "--name", "x"],
        ["calendar", "list", nobody],
        ["credential", "add", nobody],
        ["staff", "list", nobody],
        ["patient", "export", nobody, "+447700900123"],
        ["doctor", nobody],
    ):
        assert f"there is no organisation {nobody}" in operator.fails(*words)
    assert "not a valid UUID" in operator.fails("organization", "show", "clinic-1")


def test_nothing_to_change_is_said_to_be_so(operator: Operator, clinic: str) -> None:
    for words in (["organization", "set"], ["organization", "vapi"], ["twilio", "set"]):
        assert "nothing was given" in operator.fails(*words, clinic)


def test_the_alert_phone_is_taken_away_and_the_clinic_printed_for_a_program(
    operator: Operator, clinic: str
) -> None:
    changed = operator.reads("organization", "set", clinic, "--alert-phone", "07700 900123")
    assert changed["hot_lead_alert_phone"] == "+447700900123"
    assert changed == operator.reads("organization", "show", clinic)
    assert (
        operator.reads("organization", "set", clinic, "--alert-phone", "none")["hot_lead_alert_phone"] is None
    )


def test_what_vapi_needs_is_kept_and_its_key_sealed(operator: Operator, clinic: str) -> None:
    operator.does(
        "organization",
        "vapi",
        clinic,
        "--credential-id",
        "cred-1",
        "--phone-number-id",
        "number-1",
        "--api-key-stdin",
        typed="the-private-key\n",
    )
    operator.does("organization", "vapi", clinic, "--phone-number-id", "number-2")
    shown = operator.reads("organization", "show", clinic)
    assert (shown["vapi_credential_id"], shown["vapi_phone_number_id"]) == ("cred-1", "number-2")
    sealed = operator.value("SELECT vapi_api_key_sealed FROM integration_settings WHERE org_id = %s", clinic)
    assert sealing.unseal(uuid.UUID(clinic), "vapi_api_key", sealed) == "the-private-key"
    assert "the-private-key" not in operator.run("organization", "show", clinic).output
