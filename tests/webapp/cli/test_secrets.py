"""Every sealed secret follows SECRET_KEY, also under load, and one that cannot be opened is named."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest

import settings
from models.base import sealing
from models.base.session import transaction
from models.clinics import sealed_columns
from tests.factories import ACCOUNT_SID, AUTH_TOKEN
from tests.webapp.cli.commands import ACTOR, Operator

NEXT_KEY = "the-next-key-" + "n" * 32
FORMER = os.environ["SECRET_KEY"]


@pytest.fixture
def next_key(monkeypatch: pytest.MonkeyPatch, operator: Operator, sealed: dict[str, str]) -> Iterator[None]:
    """After everything was sealed the SECRET_KEY is another, and the one before is a former one."""
    del sealed
    monkeypatch.setenv("SECRET_KEY", NEXT_KEY)
    monkeypatch.setenv("FORMER_SECRET_KEYS", FORMER)
    settings.of_process.cache_clear()
    yield
    # Whatever was sealed here goes back to the key that the other tests have.
    monkeypatch.setenv("SECRET_KEY", FORMER)
    monkeypatch.setenv("FORMER_SECRET_KEYS", NEXT_KEY)
    settings.of_process.cache_clear()
    operator.run("secrets", "rotate")
    monkeypatch.undo()
    settings.of_process.cache_clear()


@pytest.fixture
def sealed(operator: Operator, clinic: str) -> dict[str, str]:
    """A clinic with every kind of sealed secret; the secrets by the column that has them."""
    operator.does(
        *("twilio", "set", clinic, "--account-sid", ACCOUNT_SID, "--auth-token-stdin"),
        *("--api-key-sid", "SK" + "0b" * 16),
        typed=f"{AUTH_TOKEN}\nkey-secret\n",
    )
    operator.does("organization", "vapi", clinic, "--api-key-stdin", typed="vapi-key\n")
    signing = operator.does("credential", "add", clinic, "--kind", "hmac")
    return {
        "integration_settings.twilio_auth_token_sealed": AUTH_TOKEN,
        "integration_settings.twilio_api_key_secret_sealed": "key-secret",
        "integration_settings.vapi_api_key_sealed": "vapi-key",
        "vapi_credentials.secret_sealed": signing,
    }


def opened(clinic: str) -> dict[str, str]:
    org_id = uuid.UUID(clinic)
    with transaction(org_id) as session:
        return {
            secret.column.name: sealing.unseal(
                org_id, secret.column.purpose, sealed_columns.get(session, secret) or ""
            )
            for secret in sealed_columns.find(session, org_id)
        }


def current(clinic: str) -> list[bool]:
    with transaction(uuid.UUID(clinic)) as session:
        found = sealed_columns.find(session, uuid.UUID(clinic))
        return [sealing.is_current(sealed_columns.get(session, secret) or "") for secret in found]


def test_every_sealed_column_of_the_catalogue_is_known(sql: psycopg.Connection) -> None:
    there = sql.execute(
        "SELECT table_name || '.' || column_name FROM information_schema.columns"
        r" WHERE table_schema = 'public' AND column_name LIKE '%\_sealed'"
    ).fetchall()
    assert {name for (name,) in there} == {column.name for column in sealed_columns.SEALED}


def test_the_purposes_are_those_that_the_product_seals_for(sealed: dict[str, str], clinic: str) -> None:
    assert opened(clinic) == sealed


@pytest.mark.usefixtures("next_key")
def test_they_are_sealed_anew_once(operator: Operator, clinic: str, sealed: dict[str, str]) -> None:
    assert current(clinic) == [False] * 4
    assert opened(clinic) == sealed  # the former key still reads
    said = operator.run("secrets", "rotate").output  # other tests leave what cannot be opened
    assert int(said.split()[0]) >= 4
    assert clinic not in said
    assert current(clinic) == [True] * 4
    assert opened(clinic) == sealed
    assert {entry[0] for entry in operator.audited(clinic)} == {ACTOR}
    before = operator.audited(clinic)
    assert operator.run("secrets", "rotate").output.startswith("0 sealed anew")
    assert operator.audited(clinic) == before


@pytest.mark.usefixtures("next_key")
def test_one_that_cannot_be_opened_is_named_and_left(
    operator: Operator, clinic: str, sealed: dict[str, str]
) -> None:
    garbage = "v2.00000000." + "A" * 60
    operator.sql.execute(
        "UPDATE integration_settings SET vapi_api_key_sealed = %s WHERE org_id = %s", [garbage, clinic]
    )
    try:
        said = operator.fails("secrets", "rotate")
        assert f"integration_settings.vapi_api_key_sealed of {clinic}" in said
        assert "FORMER_SECRET_KEYS" in said
        assert not any(secret in said for secret in sealed.values())
        kept = operator.value(
            "SELECT vapi_api_key_sealed FROM integration_settings WHERE org_id = %s", clinic
        )
        assert kept == garbage
        assert current(clinic).count(True) == 3  # the others are done all the same
    finally:
        operator.sql.execute(
            "UPDATE integration_settings SET vapi_api_key_sealed = NULL WHERE org_id = %s", [clinic]
        )


@pytest.mark.usefixtures("next_key")
def test_a_secret_that_is_replaced_meanwhile_is_not_put_back(
    operator: Operator, clinic: str, sealed: dict[str, str], database_url: str
) -> None:
    """Somebody else has the row, and commits another token while the rotation waits for it."""
    org_id = uuid.UUID(clinic)
    newer = sealing.seal(org_id, "twilio_auth_token", "a newer token")
    with psycopg.connect(database_url, options=f"-c app.org_id={clinic}") as other:
        other.execute(
            "UPDATE integration_settings SET twilio_auth_token_sealed = %s WHERE org_id = %s", [newer, clinic]
        )
        rotation = threading.Thread(target=operator.run, args=("secrets", "rotate"))
        rotation.start()
        rotation.join(0.5)
        assert rotation.is_alive()
        other.commit()
        rotation.join(300)
    assert opened(clinic)["integration_settings.twilio_auth_token_sealed"] == "a newer token"
    assert opened(clinic)["vapi_credentials.secret_sealed"] == sealed["vapi_credentials.secret_sealed"]
    assert current(clinic) == [True] * 4


@pytest.mark.usefixtures("next_key")
def test_when_all_is_well_it_says_so(
    operator: Operator, clinic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this clinic alone: other tests leave what cannot be opened."""
    find = sealed_columns.find
    monkeypatch.setattr(sealed_columns, "find", lambda session: find(session, uuid.UUID(clinic)))
    assert operator.does("secrets", "rotate").splitlines() == [
        "4 sealed anew, 0 were so already",
        "no former key is needed for stored secrets any more",
    ]
