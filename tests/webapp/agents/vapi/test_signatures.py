"""A signature is good once and for one path: what it brings again is answered again, and does nothing."""

from __future__ import annotations

import gzip
import json
import uuid
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from models.base.session import Door, system_transaction, transaction
from models.clinics.organizations import PayloadFormat
from models.insight import live, retention
from tests import afresh
from tests.conftest import Clock
from tests.factories import code_of, phone_number, slot
from tests.surroundings import environment
from tests.webapp.agents.calls import message, tool_call
from tests.webapp.agents.vapi.signing import (
    CHECK,
    WEBHOOK,
    Hands,
    Key,
    Request,
    accepted,
    make_key,
    refused,
)
from tests.webapp.agents.vapi.signing import hands as hands  # the fixture  # noqa: PLC0414
from webapp.agents.credentials import CREDENTIAL_HEADER

TOOLS = "/api/vapi/tools"
RESERVE, SEND, VERIFY = (f"{TOOLS}/booking/{name}" for name in ("reserve-atomic", "send-otp", "verify-otp"))

both_formats = pytest.mark.parametrize("payload", PayloadFormat)


def body_of(**arguments: Any) -> bytes:
    return json.dumps({"toolCall": {"arguments": arguments}}).encode()


def wish(**more: Any) -> bytes:
    """What reserves a time, and is understood by calendar/check, too."""
    arguments = {"date": slot()[:10], "slotId": slot(), "patientName": "John"}
    return body_of(**arguments | {"patientPhone": phone_number()} | more)


def another_process() -> None:
    """As if the next request came to a process that has just started."""
    afresh.start_anew()


def replayed(response: Any) -> None:
    assert (response.status_code, response.get_json()["code"]) == (401, "replayed_request")
    assert response.get_json()["say"]


def holds_of(sql: psycopg.Connection, key: Key) -> int:
    row = sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [key.org]).fetchone()
    assert row
    return int(row[0])


# --- another path -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [CHECK, WEBHOOK, SEND])
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("named", ["header", "query", "nowhere"])
def test_a_signature_over_the_body_alone_counts_at_its_first_path_only(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, first: str, named: str, *, elsewhere: bool
) -> None:
    """Whatever came of it there: a check, nothing at all, or a refusal because arguments were missing."""
    key = make_key()
    request = key.signs(hands.now, wish(), named=named, path=first)
    assert request.post(client).status_code == 200
    if elsewhere:
        another_process()
    replayed(replace(request, path=RESERVE).post(client))
    hands.now += 299
    replayed(replace(request, path=RESERVE).post(client))
    assert holds_of(sql, key) == 0
    assert request.post(client).status_code == 200


def ways(request: Request, key: Key) -> dict[str, Request]:
    """The same signature, written or sent another way."""
    plain = request.without(CREDENTIAL_HEADER)
    encoded = [*request.headers, ("Content-Encoding", "gzip")]
    return {
        "in capitals": request.changed("X-Signature", str.upper),
        "with spaces": request.changed("X-Signature", lambda text: " ".join([text[:32], text[32:]])),
        "named in the address": replace(plain, query={"credential": str(key.id)}),
        "named nowhere": plain,
        "with more in the address": replace(request, query={"again": "1"}),
        "as if it were compressed": replace(request, headers=encoded),
    }


def test_a_signature_is_the_same_however_it_is_written(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection
) -> None:
    key = make_key()
    request = key.signs(hands.now, wish(), path=CHECK)
    accepted(request.post(client), key.calendar)
    for other in ways(request, key).values():
        replayed(replace(other, path=RESERVE).post(client))
        accepted(other.post(client), key.calendar)
    assert holds_of(sql, key) == 0


@pytest.mark.parametrize(
    ("compress", "encoding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate"), (gzip.compress, "x-gzip")]
)
def test_a_compressed_body_is_bound_like_any_other(
    client: FlaskClient,
    hands: Hands,
    sql: psycopg.Connection,
    compress: Callable[[bytes], bytes],
    encoding: str,
) -> None:
    key = make_key()
    request = key.signs(hands.now, compress(wish()), path=CHECK)
    request.headers.append(("Content-Encoding", encoding))
    accepted(request.post(client), key.calendar)
    for other in (request, request.without("Content-Encoding")):
        replayed(replace(other, path=RESERVE).post(client))
    assert holds_of(sql, key) == 0


def test_two_times_are_two_signatures(client: FlaskClient, hands: Hands) -> None:
    """Seconds and milliseconds of the same moment, too."""
    key, body = make_key(), wish()
    accepted(key.signs(hands.now, body, path=CHECK).post(client), key.calendar)
    for stamp in (hands.now + 1, hands.now * 1000):
        answered = key.signs(stamp, body, path=RESERVE).post(client)
        assert answered.get_json().get("code") in (None, "slot_taken")


@pytest.mark.parametrize("named", ["header", "query", "nowhere"])
def test_a_signature_over_the_address_counts_nowhere_else_from_the_start(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, named: str
) -> None:
    key = make_key(payload=PayloadFormat.REQUEST)
    request = key.signs(hands.now, wish(), named=named, path=CHECK)
    for path in (RESERVE, WEBHOOK, SEND):
        refused(replace(request, path=path).post(client))
    refused(replace(request, query={**request.query, "x": "1"}).post(client))
    with environment(PUBLIC_BASE_URL="https://another.example"):
        refused(request.post(client))
    old = replace(key, payload=PayloadFormat.BODY)
    refused(old.signs(hands.now, wish(), named=named, path=CHECK).post(client))
    accepted(request.post(client), key.calendar)
    assert holds_of(sql, key) == 0


def test_two_formats_beside_each_other_in_one_clinic(client: FlaskClient, hands: Hands) -> None:
    """As while a credential is rotated."""
    old = make_key()
    new = make_key(old.org, old.calendar, payload=PayloadFormat.REQUEST)
    for key in (old, new):
        for named in ("header", "query", "nowhere"):
            accepted(key.signs(hands.now, named=named).post(client), old.calendar)


# --- the same path ------------------------------------------------------------------------------


@both_formats
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_request_that_comes_again_is_answered_again_and_does_nothing(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, payload: PayloadFormat, *, elsewhere: bool
) -> None:
    key = make_key(payload=payload)

    def twice(path: str, body: bytes) -> dict[str, Any]:
        request = key.signs(hands.now, body, path=path)
        first = request.post(client)
        for seconds in (1, 40, 200):
            hands.now += seconds
            if elsewhere:
                another_process()
            again = request.post(client)
            assert (again.status_code, again.data) == (first.status_code, first.data)
        hands.now += 1
        answer: dict[str, Any] = first.get_json()
        return answer

    def tries() -> object:
        return sql.execute(
            "SELECT sum(code_tries) FROM appointment_holds WHERE org_id = %s", [key.org]
        ).fetchone()

    hold = twice(RESERVE, wish())["holdId"]
    assert holds_of(sql, key) == 1
    assert twice(SEND, body_of(holdId=hold))["success"]
    texts = sql.execute("SELECT count(*) FROM sms_messages WHERE org_id = %s", [key.org]).fetchone()
    assert texts == (1,)
    wrong = str((int(code_of(hold)) + 1) % 10_000).zfill(4)
    assert twice(VERIFY, body_of(holdId=hold, providedOTP=wrong))["code"] == "wrong_code"
    assert tries() == (1,)
    assert twice(VERIFY, body_of(holdId=hold, providedOTP=code_of(hold)))["success"]


def test_a_refusal_that_comes_again_is_one_though_the_time_is_free_by_then(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection
) -> None:
    key = make_key()
    assert key.signs(hands.now, wish(), path=RESERVE).post(client).get_json()["success"]
    late = key.signs(hands.now + 1, wish(), path=RESERVE)
    assert late.post(client).get_json()["code"] == "slot_taken"
    sql.execute("UPDATE appointment_holds SET status = 'released' WHERE org_id = %s", [key.org])
    another_process()
    assert late.post(client).get_json()["code"] == "slot_taken"
    assert key.signs(hands.now + 2, wish(), path=RESERVE).post(client).get_json()["success"]


def test_the_same_request_many_times_at_once_is_done_once(
    app: Flask, hands: Hands, sql: psycopg.Connection
) -> None:
    key = make_key()
    request = key.signs(hands.now, wish(), path=RESERVE)
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: request.post(app.test_client()).data, range(16)))
    assert len(answers) == 1
    assert json.loads(answers.pop())["success"]
    assert holds_of(sql, key) == 1


def test_what_was_not_done_the_first_time_is_done_when_it_comes_again(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, database_url: str
) -> None:
    """A retry of the platform's after an answer that nothing could be done now."""
    key = make_key()
    request = key.signs(hands.now, wish(), path=RESERVE)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE appointment_holds IN ACCESS EXCLUSIVE MODE")
        assert request.post(client).status_code == 503
        other.rollback()
    assert holds_of(sql, key) == 0
    assert request.post(client).get_json()["success"]
    assert holds_of(sql, key) == 1


# --- in a telephone call ------------------------------------------------------------------------


def test_in_a_telephone_call_an_old_signature_is_no_new_wish(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, clock: Clock
) -> None:
    """Else the same words, later or after another tool, are one."""
    key, call_id = make_key(), str(uuid.uuid4())

    def signed(name: str, **arguments: Any) -> Request:
        hands.now += 1
        call = message(tool_call(name, id="call_0", **arguments), call_id=call_id, number=phone_number())
        return key.signs(hands.now, json.dumps(call).encode(), path=WEBHOOK)

    def ask(request: Request, path: str = WEBHOOK) -> str:
        response = replace(request, path=path).post(client)
        assert response.status_code == 200, response.text
        line: str = response.get_json()["results"][0]["result"]
        return line

    ten = signed("reserve_atomic", slotId=slot(hour=10), patientName="John")
    eleven = signed("reserve_atomic", slotId=slot(hour=11), patientName="John")
    first = ask(ten)
    second = ask(eleven)
    held = "SELECT starts_at FROM appointment_holds WHERE org_id = %s AND status = 'held'"
    before = sql.execute(held, [key.org]).fetchall()
    clock.forward(60)
    another_process()
    assert ask(ten) == first
    assert ask(eleven) == second
    assert sql.execute(held, [key.org]).fetchall() == before
    # Signed anew they are a wish.
    ask(signed("reserve_atomic", slotId=slot(hour=10), patientName="John"))
    assert sql.execute(held, [key.org]).fetchall() != before
    # And the path is bound, though here it decides nothing.
    replayed(replace(ten, path=RESERVE).post(client))


# --- what is kept of it -------------------------------------------------------------------------


def test_what_is_kept_is_no_signature_is_no_call_and_goes_when_its_time_is_over(
    client: FlaskClient, hands: Hands, sql: psycopg.Connection, clock: Clock
) -> None:
    key = make_key()
    request = key.signs(hands.now, wish(), path=RESERVE)
    assert request.post(client).get_json()["success"]
    signature = dict(request.headers)["X-Signature"]
    kept = "SELECT t::text FROM {} t WHERE org_id = %s"
    of_requests, of_answers = (kept.format(table).encode() for table in ("signed_requests", "tool_calls"))
    assert len(sql.execute(of_requests, [key.org]).fetchall()) == 1
    assert len(sql.execute(of_answers, [key.org]).fetchall()) == 1
    assert signature not in str(
        [sql.execute(each, [key.org]).fetchall() for each in (of_requests, of_answers)]
    )
    with transaction(uuid.UUID(key.org)) as session:
        assert live.read(session, uuid.UUID(key.org)).calls.rows == []

    def tidy() -> None:
        with system_transaction(Door.SWEEP) as session:
            retention.tidy(session)

    clock.forward(1800)
    tidy()
    assert len(sql.execute(of_requests, [key.org]).fetchall()) == 1
    clock.forward(1900)
    tidy()
    assert not sql.execute(of_requests, [key.org]).fetchall()
    assert not sql.execute(of_answers, [key.org]).fetchall()
