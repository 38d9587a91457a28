"""What is masked in a text, and what operators need of it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.booking import links
from runtime.masking import mask


@pytest.mark.parametrize(
    "said",
    [
        "sms 0b1f6c3e-7c55-4f6e-9a5e-123456789012 refused: Twilio error 21610",
        "sms 0b1f6c3e-7c55-4f6e-9a5e-123456789012 failed by the provider's error 63038: all that it may",
        "stopped by the provider's error 572005: on trial",
        "holds 12345678-1234-4234-8234-123456789012 and 12345678-1234-4234-8234-123456789013",
        "Booting worker with pid: 12345",
        "Listening at: http://0.0.0.0:3001",
        'connection to server at "127.0.0.1", port 5433 failed: Connection refused',
        "Error 111 connecting to 127.0.0.1:6390. Connection refused.",
        "Error 111 connecting to redis:6379. Connection refused.",
        "Error -2 connecting to redis.internal.example.com:25061.",
        "HTTPConnectionPool(host='127.0.0.1', port=43002): Max retries exceeded",
        "Task sms.deliver_sms[0b1f6c3e-7c55-4f6e-9a5e-123456789012] succeeded in 0.012345678901s: None",
        "Process 'ForkPoolWorker-1' pid:12345 exited with 'signal 9 (SIGKILL)'",
        "took 12345 ms, 2048 bytes, 1500 rows, 1234.5 s",
        "webapp/agents/desk.py:1234 serve",
        "2026-11-22T21:39:00.123Z, 2026-11-22 21:39:00,123, 2026-11-22 21:39:00 +0000, 2026/11/22",
        "Monday 7 December 2026, 10:00 in the morning; December 7, 2026",
        "SMba88af57a83458595b73d6844f3db4cf and AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        "<Task object at 0x7f1234567890>",
        "otp@web-1.example.com ready, celery@3f2a1234 ready",
        "Connected to redis://127.0.0.1:6390/0",
        "schema is at 0001_first_call, the code needs 0002_walls",
        "gunicorn 27.0.1, PostgreSQL 18.6, Python 3.11.7",
        "POST /api/vapi/tools/booking/send-confirmation 503, slotId 2026-12-07T10:00:00Z",
        "call_0, hook-function-call, call_V7aB12cd3456",
        "exited with exit code 15432, sqlstate 23505, status code 4000",
        "[::1]:6379 and localhost:6379",
        "4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70",
    ],
)
def test_what_operators_need_is_left_alone(said: str) -> None:
    assert mask(said) == said


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        ("wrong code 1234", "wrong code ***"),
        ("code: 6600, again", "code: ***, again"),
        ("the code is 6 6 0 0.", "the code is ***."),
        ('{"providedOTP": "1234"}', '{"providedOTP": "***"}'),
        ("providedOTP=123456", "providedOTP=***"),
        ("it was '6600'", "it was '***'"),
        ("they said 6, 6, 0, 0", "they said ***"),
        ("6600 is your Bright Smile code", "*** is your Bright Smile code"),
        ("code 12345678", "code ***"),
        ("for +442079460123.", "for ***23."),
        ("+44 20 7946 0123", "***23"),
        ("+44 (0)20 7946 0123", "***23"),
        ("07700 900123", "***23"),
        ("(020) 7946 0958", "***58"),
        ("020.7946.0958", "***58"),
        ("(415) 555-0123", "***23"),
        ("415-555-0123", "***23"),
        ("+1-555-1234", "***34"),
        ("555-1234", "***34"),
        ("7700 900123", "*** ***"),
        ("447700900123", "***23"),
        ("sip:+447700900123@203.0.113.7", "sip:***@203.0.113.7"),
        ("Key (phone)=(+447700900123) already exists", "Key (phone)=(***23) already exists"),
        (
            "/2010-04-01/Accounts/AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a/Messages.json?To=%2B447700900123&PageSize=50",
            "/2010-04-01/Accounts/AC5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a/Messages.json?To=***&PageSize=***",
        ),
        (
            "https://h.example/api/twilio/status/0b1f6c3e-7c55-4f6e-9a5e-123456789012/1/0123456789abcdef0123456789abcdef",
            "https://h.example/api/twilio/status/0b1f6c3e-7c55-4f6e-9a5e-123456789012/1/***",
        ),
        ("Exception on /p/AbC123def456GHI789jkl [GET]", "Exception on /p/*** [GET]"),
        ("GET /numbers/%2B447700900123", "GET /numbers/***23"),
        ("redis://:secretpw@127.0.0.1:6390/0", "redis://***@127.0.0.1:6390/0"),
        ("postgresql://holdline:pw@db.example.com:5432/x", "postgresql://***@db.example.com:5432/x"),
        ("Authorization: Bearer abcdef123456", "Authorization: ***"),
        ("{'Authorization': 'Basic abcdef=='}", "{'Authorization': '***'}"),
        ("sent Bearer abcdef123456", "sent ***"),
        ("token=abcdef&x=1", "token=***&x=1"),
        ("X-Vapi-Secret: s3cr3ts3cr3t", "X-Vapi-Secret: ***"),
        ("SECRET_KEY=abc", "SECRET_KEY=***"),
        ("q3aB7xY-8zKLmnopQRstuVWxyz0123456789_abcdEFG", "***"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.abc", "***"),
        ("jane.doe@example.com", "***@example.com"),
    ],
)
def test_what_is_personal_or_secret_is_masked(said: str, masked: str) -> None:
    assert mask(said) == masked


@pytest.mark.parametrize(
    "said",
    ["https://h.example/a/{}", "Exception on /a/{} [GET]", "at h.example/a/{}/cancel", "/A/{}?day=monday"],
)
def test_the_link_of_a_patient_lets_nobody_in_who_reads_a_log(said: str) -> None:
    token = links.derive(uuid.uuid4())
    assert links.PATH == "/a/"
    for written in (token, token.upper()):
        assert written not in mask(said.format(written))


digits = st.text("0123456789", min_size=10, max_size=13)


@given(
    number=digits,
    before=st.sampled_from(["", "to ", "phone=", "(", '"']),
    gap=st.sampled_from(["", " ", "-"]),
)
def test_no_international_number_gets_through(number: str, before: str, gap: str) -> None:
    grouped = gap.join(["+4" + number[:3], number[3:7], number[7:]])
    assert "".join(filter(str.isdigit, mask(f"{before}{grouped} said"))) == grouped[-2:].strip("- ")


@given(
    code=st.text("0123456789", min_size=4, max_size=8),
    template=st.sampled_from(
        [
            "code {}",
            "the patient said {}",
            "wrong: {}!",
            "'{}'",
            "({})",
            "said={}",
            "{} is your code",
            "code '{}'",
        ]
    ),
)
def test_no_code_gets_through(code: str, template: str) -> None:
    assert code not in mask(template.format(code))


@given(some_id=st.uuids(), seconds=st.floats(0, 4e9))
def test_ids_and_times_always_get_through(some_id: uuid.UUID, seconds: float) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    said = f"hold {some_id} until {moment.isoformat()}, {moment:%Y-%m-%d} and {moment:%Y-%m-%dT%H:%M:%SZ}"
    assert mask(said) == said
