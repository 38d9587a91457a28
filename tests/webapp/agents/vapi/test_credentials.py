"""Whose call it is: by a credential in each of its forms, never by the arguments; all else is 401."""

from __future__ import annotations

import base64
import gzip
import hmac
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from sqlalchemy import event
from werkzeug.test import TestResponse

from models.base import session
from models.clinics.organizations import CredentialKind, SignatureAlgorithm, SignatureEncoding
from tests import afresh
from tests.factories import bare, code_of, create_clinic, phone_number, slot
from tests.places import free_port
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.signing import (
    CHECK,
    OWN_HEADERS,
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
from webapp.agents.credentials import CREDENTIAL_HEADER, REMEMBERED
from webapp.agents.signatures import WINDOW


@pytest.fixture(scope="module", params=["production", "development"])
def mode(request: pytest.FixtureRequest) -> Iterator[str]:
    with environment(APP_ENV=request.param, MAX_BODY_BYTES="4096"):
        yield request.param


in_production = pytest.mark.parametrize("mode", ["production"], indirect=True)
in_development = pytest.mark.parametrize("mode", ["development"], indirect=True)


# --- every form is understood -------------------------------------------------------------------


@in_production
@pytest.mark.parametrize("headers", ["default", "own"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
@pytest.mark.parametrize("encoding", SignatureEncoding)
@pytest.mark.parametrize("algorithm", SignatureAlgorithm)
def test_a_signature_is_understood_in_every_form(
    client: FlaskClient,
    mode: str,
    hands: Hands,
    algorithm: SignatureAlgorithm,
    encoding: SignatureEncoding,
    prefix: str,
    headers: str,
) -> None:
    own: dict[str, Any] = {"names": OWN_HEADERS} if headers == "own" else {}
    key = make_key(algorithm=algorithm, encoding=encoding, prefix=prefix, **own)
    decoy = make_key(algorithm=algorithm, encoding=encoding, prefix=prefix, **own)
    for stamp, named in product((hands.now, hands.now * 1000 + 7), ("header", "query", "nowhere")):
        accepted(key.signs(stamp, named=named).post(client), key.calendar)
    accepted(decoy.signs(hands.now, named="nowhere").post(client), decoy.calendar)


@in_production
@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (CredentialKind.BEARER, ("Authorization", "Bearer {}")),
        (CredentialKind.BEARER, ("authorization", "bearer  {} ")),
        (CredentialKind.VAPI_SECRET, ("X-Vapi-Secret", "{}")),
    ],
)
def test_a_secret_is_understood(
    client: FlaskClient, mode: str, kind: CredentialKind, header: tuple[str, str]
) -> None:
    org = create_clinic(calendars=("cal-of-a-secret",))
    secret = make_secret(org, kind)
    headers = [(header[0], header[1].format(secret))]
    accepted(Request(CHECK, check_body(), headers).post(client), "cal-of-a-secret")


@in_production
def test_the_bytes_are_signed_as_they_came(client: FlaskClient, mode: str, hands: Hands) -> None:
    """Chunked, oddly spaced, and with what JSON would write another way."""
    key = make_key()
    odd = check_body(patientName="x").replace(b'"x"', b'"\\u0041\\/\xc3\xa9"').replace(b": ", b" :\n ")
    accepted(key.signs(hands.now, odd).post(client), key.calendar)
    request = key.signs(hands.now)
    chunked = replace(request, body=b"", headers=[*request.headers, ("Transfer-Encoding", "chunked")])
    stream = {"wsgi.input": io.BytesIO(request.body), "wsgi.input_terminated": True}
    environ: dict[str, Any] = stream
    accepted(chunked.post(client, environ_overrides=environ), key.calendar)


# --- and all else is refused --------------------------------------------------------------------


def other_digit(text: str, place: int) -> str:
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


@in_production
@pytest.mark.parametrize("named", ["header", "query", "nowhere"])
def test_a_change_of_any_byte_is_refused(client: FlaskClient, mode: str, hands: Hands, named: str) -> None:
    key = make_key()
    request = key.signs(hands.now, named=named)
    accepted(request.post(client), key.calendar)
    for place in range(len(request.body)):
        body = bytearray(request.body)
        body[place] ^= 1
        refused(replace(request, body=bytes(body)).post(client))
    for place in range(64):
        refused(request.changed("X-Signature", partial(other_digit, place=place)).post(client))
    for place in range(10):
        refused(request.changed("X-Timestamp", partial(other_digit, place=place)).post(client))
    accepted(request.post(client), key.calendar)


@in_production
@pytest.mark.parametrize("unit", [1, 1000])
def test_a_signature_lives_for_five_minutes_either_way(
    client: FlaskClient, mode: str, hands: Hands, unit: int
) -> None:
    key = make_key()
    for sign in (-1, 1):
        accepted(key.signs((hands.now + sign * WINDOW) * unit).post(client), key.calendar)
        refused(key.signs((hands.now + sign * WINDOW) * unit + sign).post(client))
        for far in (3000, 86_400, hands.now - 1):
            refused(key.signs((hands.now + sign * far) * unit).post(client))
    assert WINDOW == 300


@in_production
@pytest.mark.parametrize(
    "stamp",
    ["", "x", "-1", "1e9", "NaN", "{now}.0", "{now} ", "+{now}", "0x1", "{now}" * 3, "\u0661", "9" * 400],
)
def test_a_time_that_is_none_is_refused(client: FlaskClient, mode: str, hands: Hands, stamp: str) -> None:
    stamp = stamp.format(now=f"{hands.now:.0f}").encode().decode("latin-1")
    refused(make_key().signs(stamp).post(client))


def changes(key: Key, other: Key, request: Request) -> dict[str, Request]:
    """What is no signature of these bytes by this key."""
    signature = dict(request.headers)["X-Signature"]
    plain = request.body

    def with_signature(text: str) -> Request:
        return request.changed("X-Signature", lambda _: text)

    stamp = dict(request.headers)["X-Timestamp"]
    as_other = replace(key, secret=other.secret)
    named_other = request.changed(CREDENTIAL_HEADER, lambda _: str(other.id))
    raw = bytes.fromhex(signature.removeprefix(key.prefix))
    return {
        "no time": request.without("X-Timestamp"),
        "no signature": request.without("X-Signature"),
        "neither": request.without("X-Timestamp").without("X-Signature"),
        "nothing but a name in the address": Request(CHECK, plain, query={"credential": str(key.id)}),
        "another clinic's key": as_other.signs(stamp),
        "another clinic's credential with one's own key": named_other,
        "a credential that there is not": request.changed(CREDENTIAL_HEADER, lambda _: str(uuid.uuid4())),
        "no id": request.changed(CREDENTIAL_HEADER, lambda _: "credential"),
        "no prefix": with_signature(signature.removeprefix(key.prefix)),
        "two prefixes": with_signature(key.prefix + signature),
        "another prefix": with_signature(signature.replace("sha256=", "sha512=")),
        "a prefix alone": with_signature(key.prefix),
        "an empty signature": with_signature(""),
        "base64 for hex": with_signature(key.prefix + base64.b64encode(raw).decode()),
        "half": with_signature(signature[: len(key.prefix) + 32]),
        "no hex": with_signature(key.prefix + "z" * 64),
        "no ASCII": with_signature(key.prefix + "\xe9" * 64),
        "of another algorithm": replace(key, algorithm=SignatureAlgorithm.SHA512).signs(stamp),
        "of the body alone": with_signature(
            key.prefix + hmac.new(key.secret.encode(), plain, "sha256").hexdigest()
        ),
        "with another time": request.changed("X-Timestamp", lambda text: str(int(text) + 1)),
        "signature twice": request.twice("X-Signature"),
        "time twice": request.twice("X-Timestamp"),
        "name twice": request.twice(CREDENTIAL_HEADER),
        "gzip": replace(
            request, body=gzip.compress(plain), headers=[*request.headers, ("Content-Encoding", "gzip")]
        ),
        "written anew": replace(request, body=json.dumps(json.loads(plain), separators=(",", ":")).encode()),
        "a byte more": replace(request, body=plain + b"\n"),
        "no body": replace(request, body=b""),
        "too large": replace(request, body=check_body(patientName="x" * 5000)),
    }


@pytest.mark.parametrize("path", [CHECK, WEBHOOK])
def test_what_is_no_signature_of_these_bytes_is_refused(
    client: FlaskClient, mode: str, hands: Hands, path: str
) -> None:
    key, other = make_key(prefix="sha256="), make_key(prefix="sha256=")
    request = key.signs(hands.now)
    accepted(request.post(client), key.calendar)
    for change in changes(key, other, request).values():
        refused(replace(change, path=path).post(client))
    unended: dict[str, Any] = {"wsgi.input": io.BytesIO(request.body)}
    chunked = replace(
        request, path=path, body=b"", headers=[*request.headers, ("Transfer-Encoding", "chunked")]
    )
    refused(chunked.post(client, environ_overrides=unended))  # a server that cannot say where it ends


def test_the_names_of_headers_are_the_credentials_own(client: FlaskClient, mode: str, hands: Hands) -> None:
    key = make_key(names=OWN_HEADERS)
    for named in ("header", "query", "nowhere"):
        request = key.signs(hands.now, named=named)
        accepted(request.post(client), key.calendar)
        refused(request.changed(OWN_HEADERS[0], lambda text: other_digit(text, 0)).post(client))
        refused(replace(key, names=("X-Signature", "X-Timestamp")).signs(hands.now, named=named).post(client))


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer guess")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic Z3Vlc3M6Z3Vlc3M=")],
        [("Authorization", "guess")],
        [("Authorization", "")],
        [("Authorization", "Bearer \xe9\xff")],
        [("X-Vapi-Secret", "guess")],
        [("X-Vapi-Secret", "")],
        [("Authorization", "Bearer guess"), ("Authorization", "Bearer guess")],
        [(CREDENTIAL_HEADER, "guess")],
        [(CREDENTIAL_HEADER, "")],
        [("X-Signature", "guess")],
    ],
)
@pytest.mark.parametrize("path", [CHECK, WEBHOOK])
def test_a_wrong_credential_is_refused_in_development_too(
    client: FlaskClient, mode: str, headers: list[tuple[str, str]], path: str
) -> None:
    refused(Request(path, check_body(tenantId=str(uuid.uuid4())), headers).post(client))


def test_without_a_credential_development_alone_answers(client: FlaskClient, mode: str) -> None:
    request = Request(CHECK, check_body(tenantId=create_clinic()))
    if mode == "development":
        accepted(request.post(client), "cal-1")
    else:
        refused(request.post(client))
        refused(Request(WEBHOOK, b"{}").post(client))


def test_a_good_secret_in_the_wrong_place_or_twice_is_refused(client: FlaskClient, mode: str) -> None:
    secret = make_secret(create_clinic())
    for value in (secret, f"Basic {secret}", f"Bearer {secret} {secret}", f"Bearer {secret[:-1]}"):
        refused(Request(CHECK, check_body(), [("Authorization", value)]).post(client))
    refused(bearing(secret).twice("Authorization").post(client))
    of_a_key = make_key()
    refused(bearing(of_a_key.secret).post(client))  # what signs is never shown
    refused(bearing(str(of_a_key.id)).post(client))


@in_production
def test_a_request_too_large_is_refused_by_name_once_it_is_known_whose(
    client: FlaskClient, mode: str
) -> None:
    secret = make_secret(create_clinic())
    large = check_body(patientName="x" * 5000)
    assert bearing(secret, large).post(client).status_code == 413
    refused(bearing("guess", large).post(client))


# --- several at once, and the end of one --------------------------------------------------------


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
    refused(replace(other, secret=key.secret).signs(hands.now).post(client))
    refused(other.signs(hands.now).post(client))
    accepted(key.signs(hands.now).post(client), key.calendar)


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


# --- the arguments choose nothing ---------------------------------------------------------------


@in_production
def test_a_tenant_in_the_arguments_may_agree_and_never_choose(
    client: FlaskClient, mode: str, hands: Hands, sql: psycopg.Connection
) -> None:
    key, other = make_key(), make_key()
    secret = make_secret(key.org)

    def ask(tenant: object) -> Iterator[TestResponse]:
        body = check_body(tenantId=tenant)
        yield bearing(secret, body).post(client)
        yield key.signs(hands.now, body).post(client)
        yield key.signs(hands.now, body, named="nowhere").post(client)

    for agrees in (key.org, key.org.upper(), f" {key.org} ", "", None):
        for response in ask(agrees):
            accepted(response, key.calendar)
    answers = {
        response.data for no in (other.org, str(uuid.uuid4()), "x", 7, "cal-1") for response in ask(no)
    }
    assert len(answers) == 1
    assert json.loads(answers.pop())["code"] == "unknown_tenant"
    arguments = {
        "tenantId": other.org,
        "slotId": slot(),
        "calendarId": other.calendar,
        "patientName": "John",
        "patientPhone": phone_number(),
    }
    call = message(tool_call("reserve_atomic", **arguments), call_id=str(uuid.uuid4()))
    for path, body in (
        ("/api/vapi/tools/booking/reserve-atomic", {"toolCall": {"arguments": arguments}}),
        (WEBHOOK, call),
    ):
        assert "cannot find that clinic" in bearing(secret, json.dumps(body).encode(), path).post(client).text
    held = sql.execute(
        "SELECT count(*) FROM appointment_holds WHERE org_id = ANY (%s)", [[key.org, other.org]]
    )
    assert held.fetchone() == (0,)


@dataclass(frozen=True)
class Clinic:
    """With a hold whose code was sent, and an appointment."""

    org: str
    calendar: str
    hold: str
    contact: str
    code: str
    appointment: str


def make_clinic(client: FlaskClient) -> Clinic:
    calendar = f"cal-{uuid.uuid4().hex[:8]}"
    org = create_clinic(calendars=(calendar,))
    made = []
    for hour in (10, 12):
        held = bare(
            client,
            "booking/reserve-atomic",
            tenantId=org,
            slotId=slot(hour=hour),
            patientName="John",
            patientPhone=phone_number(),
        )
        assert bare(client, "booking/send-otp", holdId=held["holdId"])["success"]
        made.append(held)
    booked = bare(
        client, "booking/verify-otp", holdId=made[1]["holdId"], providedOTP=code_of(made[1]["holdId"])
    )
    hold = made[0]["holdId"]
    return Clinic(org, calendar, hold, made[0]["contactId"], code_of(hold), booked["appointmentId"])


NAMES = {
    "calendar/check": "check_availability",
    "booking/reserve-atomic": "reserve_atomic",
    "booking/send-otp": "send_otp_code",
    "booking/verify-otp": "verify_otp",
    "booking/send-confirmation": "send_confirmation_sms",
}


def asks(own: Clinic, other: Clinic) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A tool, its arguments, and those of them that name what is the other clinic's."""
    reserve = {"slotId": slot(hour=15), "patientName": "John", "patientPhone": phone_number()}
    verify = {"providedOTP": other.code, "holdId": own.hold}
    yield "calendar/check", {"date": slot()[:10]}, {"calendarId": other.calendar}
    yield "booking/reserve-atomic", reserve, {"calendarId": other.calendar}
    yield "booking/send-otp", {}, {"holdId": other.hold}
    yield "booking/verify-otp", {"providedOTP": other.code}, {"holdId": other.hold}
    yield (
        "booking/verify-otp",
        {"providedOTP": other.code},
        {"holdId": other.hold, "contactId": other.contact},
    )
    yield "booking/verify-otp", verify | {"providedOTP": own.code}, {"contactId": other.contact}
    yield "booking/send-confirmation", {}, {"appointmentId": other.appointment}
    yield "booking/send-confirmation", {"appointmentId": own.appointment}, {"contactId": other.contact}


@in_development
@pytest.mark.parametrize("by", ["credential", "tenantId"])
def test_what_is_another_clinics_is_what_there_is_not(
    client: FlaskClient, mode: str, sql: psycopg.Connection, by: str
) -> None:
    """To the byte, in both forms; and with the same statements, so that the time it takes tells nothing."""
    own, other = make_clinic(client), make_clinic(client)
    secret = make_secret(own.org)
    said: list[str] = []

    ours = threading.get_ident()  # another thread writes what attacks were counted

    def listen(*event_of: Any) -> None:
        if threading.get_ident() == ours:
            said.append(event_of[2])

    def answer(path: str, arguments: dict[str, Any], *, vapi: bool) -> tuple[bytes, list[str]]:
        if by == "tenantId":
            arguments = arguments | {"tenantId": own.org}
        call = tool_call(NAMES[path], id="same", **arguments)
        body = message(call, call_id=str(uuid.uuid4())) if vapi else {"toolCall": {"arguments": arguments}}
        said.clear()
        response = client.post(
            f"/api/vapi/tools/{path}",
            json=body,
            headers={"Authorization": f"Bearer {secret}"} if by == "credential" else {},
        )
        assert response.status_code == 200
        return response.data, list(said)

    rows = "SELECT t::text FROM {} t WHERE org_id = %s ORDER BY 1"
    tables = ("appointment_holds", "appointments", "sms_messages", "contacts", "occupancies", "audit_log")

    def books() -> list[Any]:
        return [sql.execute(rows.format(table).encode(), [other.org]).fetchall() for table in tables]

    before = books()
    event.listen(session.engine(), "before_cursor_execute", listen)
    try:
        answer("calendar/check", {"date": slot()[:10]}, vapi=False)  # whoever asks is known from here on
        for path, arguments, foreign in asks(own, other):
            unknown = {name: "cal-none" if name == "calendarId" else str(uuid.uuid4()) for name in foreign}
            for vapi in (False, True):
                of_another = answer(path, arguments | foreign, vapi=vapi)
                of_nobody = answer(path, arguments | unknown, vapi=vapi)
                assert of_another == of_nobody, path
                assert b'success":false' in of_another[0] or b"code=" in of_another[0], of_another
                assert of_another[1]
    finally:
        event.remove(session.engine(), "before_cursor_execute", listen)
    assert books() == before
