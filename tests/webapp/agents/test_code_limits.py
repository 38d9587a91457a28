"""What a caller does to the codes of a clinic, and of a number that it only names, has an end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from models.base.session import Door, system_transaction
from models.clinics import allowances
from models.insight import clinic_limits
from tests.conftest import Clock
from tests.factories import code_of, create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall, message, tool_call

AT_ONCE = 48


def ring(client: FlaskClient, org: str, caller: str | None, patient: str, n: int) -> tuple[PhoneCall, str]:
    """A call that has reserved the n-th time for a number; the call and the hold."""
    call = PhoneCall(client, org, caller)
    time = slot(days=14 + n // 14, hour=9 + n % 14 // 2, minute=n % 2 * 30)
    said = call.say("reserve_atomic", slotId=time, patientName="John", patientPhone=patient)
    assert "holdId=" in said, said
    return call, said.split("holdId=")[1].split()[0]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10_000:04}"


def is_sent(call: PhoneCall) -> bool:
    said = call.say("send_otp_code")
    assert said.startswith("A code is on its way") or "too_many_codes" in said, said
    return "too_many_codes" not in said


def test_calls_that_name_a_number_use_up_none_of_its_own_codes(client: FlaskClient) -> None:
    org, victim = create_clinic(codes_per_phone_a_day=4), phone_number()
    named = [is_sent(ring(client, org, phone_number(), victim, n)[0]) for n in range(4)]
    assert named == [True, True, False, False]
    own = [is_sent(ring(client, org, victim, victim, n)[0]) for n in range(4, 9)]
    assert own == [True] * 4 + [False]


def test_wrong_codes_in_calls_that_name_a_number_do_not_stop_its_own_calls(client: FlaskClient) -> None:
    org, victim = create_clinic(wrong_codes_per_phone_a_day=3, code_tries=5), phone_number()
    stranger, hold = ring(client, org, phone_number(), victim, 0)
    assert is_sent(stranger)
    for _ in range(3):
        stranger.say("verify_otp", providedOTP=wrong(code_of(hold)))
    assert "too_many_codes" in stranger.say("verify_otp", providedOTP=code_of(hold))
    assert not is_sent(ring(client, org, phone_number(), victim, 1)[0])
    own, held = ring(client, org, victim, victim, 2)
    assert is_sent(own)
    assert own.say("verify_otp", providedOTP=code_of(held)).startswith("Booked")


def test_one_caller_has_few_codes_sent_to_others_and_still_its_own(client: FlaskClient, clock: Clock) -> None:
    org, caller = create_clinic(codes_per_caller_an_hour=2), phone_number()
    clock.stop()
    assert [is_sent(ring(client, org, caller, phone_number(), n)[0]) for n in range(3)] == [True, True, False]
    assert is_sent(ring(client, org, caller, caller, 3)[0])
    assert is_sent(ring(client, org, phone_number(), phone_number(), 4)[0])
    clock.forward(1800)
    assert is_sent(ring(client, org, caller, phone_number(), 5)[0])


def test_requests_without_a_callers_number_never_use_up_what_others_may(
    client: FlaskClient, clock: Clock
) -> None:
    """A tenth of the clinic's codes of a day at once, and then fewer by the hour than come back."""
    org = create_clinic(codes_a_day=60)
    clock.stop()

    def withheld(n: int) -> list[bool]:
        return [is_sent(ring(client, org, None, phone_number(), 8 * n + each)[0]) for each in range(8)]

    assert sum(withheld(0)) == 6
    later = 0
    for n in range(1, 5):
        clock.forward(3600)
        later += sum(withheld(n))
    assert later == 7
    # Of 20 at once, 14 for such requests and for callers who give another number: half of these are left.
    assert used(org, "codes_to_others") <= 0.5
    assert is_sent(ring(client, org, phone_number(), phone_number(), 100)[0])


def used(org: str, limit: str) -> float:
    """How much of a clinic's limit is used; 0 if nothing is."""
    with system_transaction(Door.METRICS) as session:
        return {name: part for at, name, part in clinic_limits.of_every_clinic(session) if at == org}.get(
            limit, 0
        )


def test_the_clinics_codes_have_a_reserve_and_are_filled_by_the_hour(
    client: FlaskClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 30 a day there are ten at once, and seven of them for callers who name another number."""
    org = create_clinic(codes_a_day=30)
    clock.stop()

    def told() -> list[tuple[int, str]]:
        """What was logged since: how much is used of what."""
        said = [record.args for record in caplog.records if record.name == "models.clinics.allowances"]
        caplog.clear()
        return [(args[1], str(args[2])[:24]) for args in said if isinstance(args, tuple)]  # type: ignore[misc]

    alls, others = "the codes that the clinic may text"[:24], "the codes for callers who give"[:24]
    named = [is_sent(ring(client, org, phone_number(), phone_number(), n)[0]) for n in range(8)]
    assert named == [True] * 7 + [False]
    assert told() == [(57, others), (50, alls), (100, others)]
    mine = [phone_number() for _ in range(4)]
    own = [is_sent(ring(client, org, number, number, 10 + n)[0]) for n, number in enumerate(mine)]
    assert own == [True] * 3 + [False]
    assert told() == [(90, alls)]
    assert used(org, "codes") == pytest.approx(1)
    clock.forward(48 * 60)
    number = phone_number()
    assert is_sent(ring(client, org, number, number, 20)[0])


@pytest.mark.parametrize(("limit", "most"), [("codes_per_hold", 3), ("codes_per_call", 6)])
def test_a_hold_and_a_call_have_so_many_codes_and_no_more(
    client: FlaskClient, sql: psycopg.Connection, limit: str, most: int
) -> None:
    """Each of these two caps alone, with the others out of the way and its usual number."""
    limits: dict[str, Any] = {limit: most}
    org, patient = create_clinic(**limits), phone_number()
    call = ring(client, org, patient, patient, 0)[0]
    answers = []
    for n in range(most + 2):
        if limit == "codes_per_call":  # each in a hold of its own
            said = call.say("reserve_atomic", slotId=slot(hour=9 + n), patientName="John")
            assert "holdId=" in said
        answers.append(is_sent(call))
        sql.execute("UPDATE sms_messages SET status = 'sent' WHERE org_id = %s", [org])
    assert answers == [True] * most + [False] * 2
    assert sql.execute("SELECT count(*) FROM sms_messages WHERE org_id = %s", [org]).fetchone() == (most,)


# --- many at once -------------------------------------------------------------------------------

Post = Callable[[PhoneCall, str, dict[str, Any]], None]


@pytest.fixture
def post(client: FlaskClient) -> Iterator[Post]:
    """Send one tool call over HTTP, to a server with a thread for each request."""
    server = make_server("127.0.0.1", 0, client.application, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def send(call: PhoneCall, name: str, arguments: dict[str, Any]) -> None:
        body = message(
            tool_call(name, tenantId=call.org_id, **arguments), call_id=call.id, number=call.number
        )
        url = f"http://127.0.0.1:{server.server_port}/api/vapi/tools/calendar/check"
        assert httpx.post(url, json=body, timeout=60).status_code == 200

    yield send
    server.shutdown()
    thread.join()


def at_once(post: Post, requests: list[tuple[PhoneCall, str, dict[str, Any]]]) -> None:
    """All of them at once, and then one after another, for those that were told to come again."""
    barrier = threading.Barrier(len(requests))

    def send(request: tuple[PhoneCall, str, dict[str, Any]]) -> None:
        barrier.wait()
        post(*request)

    with ThreadPoolExecutor(len(requests)) as pool:
        list(pool.map(send, requests))


@pytest.mark.parametrize("own", [True, False])
def test_many_at_once_get_no_more_codes_to_one_number(
    client: FlaskClient,
    sql: psycopg.Connection,
    post: Post,
    own: bool,  # noqa: FBT001
) -> None:
    number = phone_number()
    org = create_clinic(codes_per_phone_a_day=10 if own else 20)
    calls = [ring(client, org, number if own else phone_number(), number, n)[0] for n in range(AT_ONCE)]
    at_once(post, [(call, "send_otp_code", {}) for call in calls])
    for call in calls:
        post(call, "send_otp_code", {})
    assert sql.execute("SELECT count(*) FROM sms_messages WHERE to_phone = %s", [number]).fetchone() == (10,)


def test_many_at_once_get_no_more_codes_than_the_clinic_has(
    client: FlaskClient, sql: psycopg.Connection, post: Post, clock: Clock
) -> None:
    """Each to another number, so that nothing but the clinic's own ten stands between them."""
    org = create_clinic(codes_a_day=30)
    clock.stop()
    numbers = [phone_number() for _ in range(AT_ONCE)]
    calls = [ring(client, org, number, number, n)[0] for n, number in enumerate(numbers)]
    at_once(post, [(call, "send_otp_code", {}) for call in calls])
    for call in calls:
        post(call, "send_otp_code", {})
    assert sql.execute("SELECT count(*) FROM sms_messages WHERE org_id = %s", [org]).fetchone() == (10,)


def test_many_at_once_have_no_more_wrong_codes_for_one_number(
    client: FlaskClient, sql: psycopg.Connection, post: Post
) -> None:
    number = phone_number()
    org = create_clinic(wrong_codes_per_phone_a_day=15, code_tries=5)
    calls = [ring(client, org, phone_number(), number, n) for n in range(AT_ONCE)]
    for call, _ in calls:
        assert is_sent(call)
    tries: list[tuple[PhoneCall, str, dict[str, Any]]] = [
        (call, "verify_otp", {"providedOTP": wrong(code_of(hold))}) for call, hold in calls
    ]
    at_once(post, tries)
    for each in tries:
        post(*each)
    tried = sql.execute("SELECT sum(code_tries) FROM appointment_holds WHERE patient_phone = %s", [number])
    assert tried.fetchone() == (15,)


def test_rows_of_allowances_that_are_full_again_are_deleted(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org = create_clinic()
    assert is_sent(ring(client, org, phone_number(), phone_number(), 0)[0])
    count = "SELECT count(*) FROM allowances WHERE org_id = %s"
    assert sql.execute(count, [org]).fetchone() == (
        4,
    )  # of the clinic its codes and segments, of the number, of the caller
    with system_transaction(Door.SWEEP) as session:
        allowances.forget_the_full(session, 5000)
    assert sql.execute(count, [org]).fetchone() != (0,)
    clock.forward(48 * 3600)
    with system_transaction(Door.SWEEP) as session:
        allowances.forget_the_full(session, 5000)
    assert sql.execute(count, [org]).fetchone() == (0,)
