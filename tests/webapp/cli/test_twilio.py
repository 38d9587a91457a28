"""Twilio's settings by command; its secrets are never arguments."""

from __future__ import annotations

import uuid
from typing import Any

import click
import pytest

from models.base import sealing
from tests.webapp.cli.commands import ACTOR, Operator
from webapp.cli import common

SID, KEY, SERVICE = "AC" + "0a" * 16, "SK" + "0b" * 16, "MG" + "0c" * 16


def stored(operator: Operator, clinic: str) -> dict[str, Any]:
    names = [
        "twilio_account_sid",
        "twilio_auth_token_sealed",
        "twilio_api_key_sid",
        "twilio_api_key_secret_sealed",
        "twilio_from_number",
        "twilio_messaging_service_sid",
    ]
    row = operator.row(f"SELECT {', '.join(names)} FROM integration_settings WHERE org_id = %s", clinic)
    return dict(zip(names, row, strict=True))


def test_account_and_token_and_sender(operator: Operator, clinic: str) -> None:
    words = ("twilio", "set", clinic, "--account-sid", SID, "--from", "07700 900001")
    said = operator.run(*words, typed="the-auth-token\n")
    assert said.exit_code == 0, said.output
    assert "the-auth-token" not in said.output
    row = stored(operator, clinic)
    sealed = row["twilio_auth_token_sealed"]
    assert sealing.unseal(uuid.UUID(clinic), "twilio_auth_token", sealed) == "the-auth-token"
    assert (row["twilio_account_sid"], row["twilio_from_number"]) == (SID, "+447700900001")
    columns = ["twilio_account_sid", "twilio_auth_token_sealed", "twilio_from_number"]
    assert operator.audited(clinic)[-1] == (ACTOR, "update", "integration_settings", columns)


def test_token_and_key_are_two_lines(operator: Operator, clinic: str) -> None:
    operator.does(
        *("twilio", "set", clinic, "--account-sid", SID, "--auth-token-stdin", "--api-key-sid", KEY),
        typed="token\nkey-secret\n",
    )
    row = stored(operator, clinic)
    org = uuid.UUID(clinic)
    assert sealing.unseal(org, "twilio_auth_token", row["twilio_auth_token_sealed"]) == "token"
    assert sealing.unseal(org, "twilio_api_key_secret", row["twilio_api_key_secret_sealed"]) == "key-secret"
    operator.does("twilio", "set", clinic, "--api-key-secret-stdin", typed="other\n")
    row = stored(operator, clinic)
    assert sealing.unseal(org, "twilio_api_key_secret", row["twilio_api_key_secret_sealed"]) == "other"
    operator.does("twilio", "set", clinic, "--no-api-key")
    row = stored(operator, clinic)
    assert (row["twilio_api_key_sid"], row["twilio_api_key_secret_sealed"]) == (None, None)
    assert row["twilio_auth_token_sealed"]


def test_a_key_alone_will_do_and_keeps_no_token_of_another_account(operator: Operator, clinic: str) -> None:
    operator.does("twilio", "set", clinic, "--account-sid", SID, typed="token\n")
    other = "AC" + "0d" * 16
    operator.does("twilio", "set", clinic, "--account-sid", other, "--api-key-sid", KEY, typed="key-secret\n")
    row = stored(operator, clinic)
    assert (row["twilio_account_sid"], row["twilio_api_key_sid"]) == (other, KEY)
    assert row["twilio_auth_token_sealed"] is None
    sealed = row["twilio_api_key_secret_sealed"]
    assert sealing.unseal(uuid.UUID(clinic), "twilio_api_key_secret", sealed) == "key-secret"
    operator.does("twilio", "set", clinic, "--account-sid", SID, typed="token\n")
    row = stored(operator, clinic)
    assert (row["twilio_api_key_sid"], row["twilio_api_key_secret_sealed"]) == (None, None)


def test_one_sender_takes_the_place_of_the_other(operator: Operator, clinic: str) -> None:
    operator.does("twilio", "set", clinic, "--from", "+447700900001")
    operator.does("twilio", "set", clinic, "--messaging-service", SERVICE)
    row = stored(operator, clinic)
    assert (row["twilio_from_number"], row["twilio_messaging_service_sid"]) == (None, SERVICE)
    operator.does("twilio", "set", clinic, "--from", "+447700900001")
    row = stored(operator, clinic)
    assert (row["twilio_from_number"], row["twilio_messaging_service_sid"]) == ("+447700900001", None)


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (["--account-sid", SID], "", "one line was expected on standard input"),
        (["--account-sid", SID], "\n", "one line was expected on standard input"),
        (
            ["--account-sid", SID, "--auth-token-stdin", "--api-key-sid", KEY],
            "token\n",
            "Secret of the API key: one line",
        ),
        (["--account-sid", SID, "--api-key-sid", KEY], "", "Secret of the API key: one line"),
        (["--auth-token-stdin"], "token\n", "give --account-sid, too"),
        (["--api-key-secret-stdin"], "secret\n", "give --api-key-sid, too"),
        (["--account-sid", "AC123"], "token\n", "is not AC and 32 hexadecimal digits"),
        (["--api-key-sid", SID], "token\n", "is not SK and 32 hexadecimal digits"),
        (["--from", "123"], "", "is no telephone number"),
        (["--from", "+447700900001", "--messaging-service", SERVICE], "", "exclude each other"),
        (["--no-api-key", "--api-key-sid", KEY], "x\n", "excludes an API key"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(
    operator: Operator, clinic: str, words: list[str], typed: str, said: str
) -> None:
    assert said in operator.fails("twilio", "set", clinic, *words, typed=typed)
    assert not any(stored(operator, clinic).values())


def test_no_command_takes_a_secret_as_an_argument(operator: Operator) -> None:
    for words in (["twilio", "set"], ["organization", "vapi"], ["staff", "add"], ["staff", "password"]):
        text = operator.does(*words, "--help")
        for option in ("--auth-token ", "--api-key ", "--api-key-secret ", "--password"):
            assert option not in text


def test_at_a_terminal_it_is_typed_unseen(
    operator: Operator, clinic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **how: Any) -> str:
        asked.append({"text": text, **how})
        return "typed"

    class Terminal:
        def isatty(self) -> bool:
            return True

    class Sys:
        stdin = Terminal()

    monkeypatch.setattr(common, "sys", Sys)
    monkeypatch.setattr(click, "prompt", prompt)
    operator.does("twilio", "set", clinic, "--account-sid", SID)
    assert asked == [{"text": "Twilio auth token", "hide_input": True, "confirmation_prompt": False}]
