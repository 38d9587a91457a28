"""Several credentials at once, the end of one, and floods of wrong ones."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event

from models.base import session
from models.clinics.organizations import CredentialKind
from tests import afresh
from tests.factories import create_clinic
from tests.places import free_port
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.modes import in_production
from tests.webapp.agents.vapi.modes import mode as mode  # the fixture  # noqa: PLC0414
from tests.webapp.agents.vapi.signing import (
    CHECK,
    WEBHOOK,
    Hands,
    Key,
    Request,
    accepted,
    bearing,
    check_body,
    make_key,
    make_secret,
    refused,
)
from tests.webapp.agents.vapi.signing import hands as hands  # the fixture  # noqa: PLC0414
from webapp.agents import credentials, signatures
from webapp.agents.credentials import REMEMBERED
from webapp.agents.signatures import WINDOW


def test_several_are_good_at_once_and_a_new_one_from_its_first_use(
    client: FlaskClient, mode: str, hands: Hands
) -> None:
    old = make_key()
    accepted(old.signs(hands.now, named="nowhere").post(client), old.calendar)  # and is remembered
    new = make_key(old.org, old.calendar)
    secret = make_secret(old.org)
    for named in ("nowhere", "header"):
        accepted(new.signs(hands.now, named=named).post(client), old.calendar)
        accepted(old.signs(hands.now, named=named).post(client), old.calendar)
        accepted(bearing(secret).post(client), old.calendar)


@in_production
def test_a_signature_is_known_among_those_of_many_clinics(
    client: FlaskClient, mode: str, hands: Hands
) -> None:
    keys = [make_key() for _ in range(40)]
    for key in (keys[0], keys[-1]):
        accepted(key.signs(hands.now, named="nowhere").post(client), key.calendar)


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the database meanwhile, but for what begins a transaction."""
    asked: list[str] = []

    ours = threading.get_ident()  # another thread writes what attacks were counted

    def listen(*event_of: Any) -> None:
        if "set_config" not in event_of[2] and threading.get_ident() == ours:
            asked.append(event_of[2])

    event.listen(session.engine(), "before_cursor_execute", listen)
    try:
        yield asked
    finally:
        event.remove(session.engine(), "before_cursor_execute", listen)


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each body that a key is tried on."""
    sizes: list[int] = []

    class Counted:
        def __init__(self, *given: Any) -> None:
            self._made = hmac.new(*given)

        def update(self, body: bytes) -> None:
            sizes.append(len(body))
            self._made.update(body)

        def digest(self) -> bytes:
            return self._made.digest()

    counting = SimpleNamespace(new=Counted, compare_digest=hmac.compare_digest)
    monkeypatch.setattr(signatures, "hmac", counting)
    return sizes


def wrong(hands: Hands, key: Key) -> Iterator[Callable[[int], Request]]:
    """Each kind of a wrong credential, another one for each number."""
    yield lambda number: bearing(f"guess-{number}")
    yield lambda number: Request(CHECK, check_body(), [("X-Vapi-Secret", f"guess-{number}")])
    yield lambda number: replace(key, id=uuid.uuid4()).signs(hands.now + number % 300)
    for named in ("header", "query", "nowhere"):
        yield lambda number, named=named: replace(key, secret=f"{number}").signs(  # type: ignore[misc]
            hands.now + number % 300, named=named
        )


@in_production
@pytest.mark.parametrize("kind", range(6))
def test_a_flood_of_wrong_credentials_costs_the_database_next_to_nothing(
    client: FlaskClient, mode: str, hands: Hands, kind: int
) -> None:
    key = make_key()
    secret = make_secret(key.org)
    accepted(bearing(secret).post(client), key.calendar)
    accepted(key.signs(hands.now).post(client), key.calendar)
    guess = list(wrong(hands, key))[kind]
    with statements() as asked:
        for number in range(300):
            refused(guess(number).post(client))
        assert len(asked) <= 21
        hands.passed += 0.9
        for number in range(300, 400):
            refused(guess(number).post(client))
        assert len(asked) <= 23


@in_production
def test_what_is_good_is_found_in_a_flood_and_what_is_new_within_a_second(
    client: FlaskClient, mode: str, hands: Hands
) -> None:
    """From the very address that the flood comes from."""
    old = make_key()
    secret = make_secret(old.org)

    def flood(times: int = 60) -> None:
        for number in range(times):
            refused(bearing(f"guess-{number}").post(client))
            refused(replace(old, secret="wrong").signs(hands.now + number).post(client))

    flood()
    new = make_key(old.org, old.calendar)
    new_secret = make_secret(old.org)
    for _ in range(3):
        flood()
        accepted(bearing(secret).post(client), old.calendar)
        accepted(old.signs(hands.now).post(client), old.calendar)
        hands.passed += REMEMBERED / 3 + 0.01
    flood()
    accepted(bearing(new_secret).post(client), old.calendar)
    for named in ("header", "nowhere"):
        accepted(new.signs(hands.now, named=named).post(client), old.calendar)


@in_production
def test_a_flood_from_one_network_leaves_the_others_their_first_use(
    client: FlaskClient, mode: str, hands: Hands
) -> None:
    elsewhere = {"REMOTE_ADDR": "198.51.100.7"}
    for number in range(60):
        refused(bearing(f"guess-{number}").post(client))
    org = create_clinic()
    accepted(bearing(make_secret(org)).post(client, environ_overrides=elsewhere), "cal-1")


@in_production
def test_what_cannot_be_a_signature_is_not_hashed(
    client: FlaskClient, mode: str, hands: Hands, hashed: list[int]
) -> None:
    key = make_key(prefix="sha256=")
    request = key.signs(hands.now, named="nowhere")
    accepted(request.post(client), key.calendar)
    assert hashed == [len(request.body)]
    for change in (
        lambda text: text[:-1],
        lambda text: text[:-2],
        lambda text: f"{text}00",
        lambda text: text.replace("sha256=", ""),
        lambda _: "",
    ):
        refused(request.changed("X-Signature", change).post(client))
    refused(key.signs(hands.now - WINDOW - 1, named="nowhere").post(client))
    refused(request.without("X-Timestamp").post(client))
    assert len(hashed) == 1


@in_production
def test_a_large_body_with_a_wrong_signature_is_hashed_a_few_times_at_most(
    client: FlaskClient, mode: str, hands: Hands, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where requests name no credential, and there are many. Named, it is a pass for each of the clinic's."""
    body = check_body(patientName="x" * 2_000_000)
    monkeypatch.setattr(credentials, "MOST_HASHED", 20 * len(body))
    afresh.start_anew()
    keys = [make_key() for _ in range(40)]
    stranger = replace(keys[0], secret="wrong")

    def cost(**how: Any) -> int:
        before = len(hashed)
        refused(stranger.signs(hands.now, body, **how).post(client))
        return len(hashed) - before

    accepted(keys[7].signs(hands.now, named="nowhere").post(client), keys[7].calendar)
    assert cost() == 1
    assert cost(named="nowhere") == 24  # four always are, and what all have together is spent
    assert [cost(named="nowhere") for _ in range(3)] == [4, 4, 4]
    # Small bodies are tried against all, and of the large ones those that were right before come first.
    accepted(keys[39].signs(hands.now, named="nowhere").post(client), keys[39].calendar)
    for known in (keys[39], keys[7]):
        large = known.signs(hands.now, check_body(patientName="y" * 2_000_000), named="nowhere")
        assert large.post(client).status_code == 413  # known, and told that it is too much
    hands.passed += 60
    assert cost(named="nowhere") == 24


@in_production
def test_any_credential_of_a_clinic_may_be_named_for_a_signature_of_it(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    """So that the assistant's header need not change in the moment in which a key is rotated."""
    old = make_key()
    new = make_key(old.org, old.calendar)
    accepted(replace(new, id=old.id).signs(hands.now).post(client), old.calendar)
    sql.execute("UPDATE vapi_credentials SET revoked_at = now() WHERE id = %s", [old.id])
    hands.passed += REMEMBERED + 0.01
    accepted(replace(new, id=old.id).signs(hands.now).post(client), old.calendar)
    refused(old.signs(hands.now).post(client))


@in_production
def test_a_revoked_credential_is_dead_within_seconds(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    key = make_key()
    secret = make_secret(key.org)
    requests = [bearing(secret), *(key.signs(hands.now, named=named) for named in ("header", "nowhere"))]
    for request in requests:
        accepted(request.post(client), key.calendar)
    sql.execute("UPDATE vapi_credentials SET revoked_at = now() WHERE org_id = %s", [key.org])
    hands.passed += REMEMBERED + 0.01
    for request in requests:
        refused(request.post(client))
    assert REMEMBERED <= 1


@in_production
def test_the_last_use_is_known_to_the_minute(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    key = make_key()

    def used() -> Any:
        [row] = sql.execute("SELECT last_used_at FROM vapi_credentials WHERE id = %s", [key.id]).fetchall()
        return row[0]

    refused(key.signs(0).post(client))
    assert used() is None
    key.signs(hands.now).post(client)
    first = used()
    assert first is not None
    hands.passed += 61  # another process might say so: the row itself knows better
    key.signs(hands.now).post(client)
    assert used() == first
    sql.execute(
        "UPDATE vapi_credentials SET last_used_at = now() - interval '1 hour' WHERE id = %s", [key.id]
    )
    key.signs(hands.now).post(client)  # this process wrote less than a minute ago
    assert used() < first
    hands.passed += 61
    key.signs(hands.now).post(client)
    assert used() > first
    log = sql.execute("SELECT action FROM audit_log WHERE row_id = %s", [str(key.id)]).fetchall()
    assert log == [("insert",)]


@in_production
def test_what_is_stored_is_no_credential(client: FlaskClient, mode: str, sql: psycopg.Connection) -> None:
    key = make_key()
    secrets = [key.secret, make_secret(key.org), make_secret(key.org, CredentialKind.VAPI_SECRET)]
    dump = sql.execute("SELECT c::text FROM vapi_credentials c WHERE org_id = %s", [key.org]).fetchall()
    assert len(dump) == 3
    [sealed] = sql.execute("SELECT secret_sealed FROM vapi_credentials WHERE id = %s", [key.id]).fetchall()
    opened = base64.urlsafe_b64decode(sealed[0].rpartition(".")[2])
    for secret in secrets:
        assert secret not in str(dump)
        assert secret.encode() not in opened
    for column in ("secret_digest", "secret_sealed", "id"):
        rows = sql.execute(
            f"SELECT {column}::text FROM vapi_credentials WHERE org_id = %s".encode(), [key.org]
        ).fetchall()
        for (value,) in rows:
            if value is not None:
                refused(bearing(value).post(client))


@in_production
def test_a_sealed_secret_of_another_clinic_signs_for_nobody(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    key, other = make_key(), make_key()
    sql.execute(
        "UPDATE vapi_credentials SET secret_sealed = (SELECT secret_sealed FROM vapi_credentials"
        " WHERE id = %s) WHERE id = %s",
        [key.id, other.id],
    )
    try:
        refused(replace(other, secret=key.secret).signs(hands.now).post(client))
        refused(other.signs(hands.now).post(client))
    finally:  # or every later reading of the credentials would complain in the log of another test
        sql.execute("DELETE FROM vapi_credentials WHERE id = %s", [other.id])
    accepted(key.signs(hands.now).post(client), key.calendar)
    # Or each later test would find in its log that it cannot be opened.
    sql.execute("UPDATE vapi_credentials SET revoked_at = now() WHERE id = %s", [other.id])


@pytest.mark.parametrize("kind", ["bearer", "named", "not named"])
def test_while_the_database_is_away_there_is_something_to_say(
    client: FlaskClient, hands: Hands, kind: str
) -> None:
    key = make_key()

    def request(path: str, body: bytes) -> Request:
        if kind == "bearer":
            return bearing("any", body, path)
        return key.signs(hands.now, body, named="header" if kind == "named" else "nowhere", path=path)

    two = message(tool_call("reserve_atomic", id="1"), tool_call("check_availability", id="2"), call_id="c")
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    with environment(APP_ENV="production", DATABASE_URL=nowhere):
        answer = request(CHECK, check_body()).post(client)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
        assert answer.get_json()["say"]
        spoken = request(WEBHOOK, json.dumps(two).encode()).post(client)
    assert spoken.status_code == 200
    results = spoken.get_json()["results"]
    assert [each["toolCallId"] for each in results] == ["1", "2"]
    assert all("I cannot reach the diary right now" in each["result"] for each in results)
