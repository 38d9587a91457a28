"""What gets into a log and what does not, each through the real handler to standard error."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import marshmallow
import psycopg
import pytest
import redis
import requests
from billiard.einfo import ExceptionInfo
from celery import Celery, Task
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from twilio.base.exceptions import TwilioRestException

from models.base.session import engine
from models.booking import links
from runtime import logs
from runtime.masking import GONE, mask
from tests.places import free_port

NAME, PHONE, CODE = "Zebulon Quince", "+447700900987", "7391"
PERSONAL = (NAME, "Quince", "7700900987", "7700 900987", CODE)

log = logging.getLogger("webapp.tests")

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Lines]:
    """Logs as a process of the product does, and gives back what it wrote since the last look."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    logs.configure()

    def written() -> list[dict[str, Any]]:
        said = capsys.readouterr().err
        assert not [word for word in PERSONAL if word in said], said
        return [json.loads(line) for line in said.splitlines()]

    yield written
    root.setLevel(level)
    root.handlers[:] = handlers
    logs.unbind()


# --- the line -----------------------------------------------------------------------------------


def test_a_line_is_one_object_with_a_time_and_its_fields(lines: Lines) -> None:
    log.info("a call ended; %d holds were given back", 2, extra={"call_id": "c-1", "took": 0.5, "none": None})
    [line] = lines()
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "webapp.tests",
        "message": "a call ended; 2 holds were given back",
        "call_id": "c-1",
        "took": 0.5,
        "none": None,
    }


def test_what_is_bound_stands_on_every_line_until_the_block_ends(lines: Lines) -> None:
    org_id, other = uuid.uuid4(), uuid.uuid4()
    with logs.bound(org_id=org_id, call_id=None):
        with logs.bound(tool_call_id="call_1", org_id=other):
            log.info("in both")
        log.info("in the outer")
        thread = threading.Thread(target=log.info, args=("in a thread of somebody else's",))
        thread.start()
        thread.join()
    log.info("outside")
    both, outer, thread_line, outside = lines()
    assert (both["org_id"], both["tool_call_id"]) == (str(other), "call_1")
    assert outer["org_id"] == str(org_id)
    assert not {"call_id", "tool_call_id"} & set(outer)
    assert not {"org_id"} & (set(thread_line) | set(outside))


def test_a_task_binds_and_unbinds(lines: Lines) -> None:
    logs.bind(org_id="o", message_id="m")
    log.info("within")
    logs.unbind()
    log.info("after")
    within, after = lines()
    assert (within["org_id"], within["message_id"]) == ("o", "m")
    assert "message_id" not in after


def test_configuring_twice_writes_once(lines: Lines) -> None:
    logs.configure()
    logs.configure()
    log.info("once")
    assert len(lines()) == 1


def test_a_line_break_in_a_text_makes_no_second_line(lines: Lines) -> None:
    log.warning("said %s", 'x\n{"level": "INFO"}\u2028y')
    assert len(lines()) == 1


def test_a_text_of_any_length_is_cut_and_quickly(lines: Lines) -> None:
    begun = time.perf_counter()
    for evil in ("a-", "1 ", "1-", "+1 ", "secret:", "a.", "code ", "aA1", "https://a@"):
        log.info("%s", evil * 500_000)
    assert time.perf_counter() - begun < 5
    assert all(len(line["message"]) <= logs.LONGEST + 1 for line in lines())


def test_arguments_that_do_not_fit_are_not_written_anywhere(lines: Lines) -> None:
    ours = next(each for each in logging.getLogger().handlers if isinstance(each.formatter, logs.Formatter))
    for said, *args in (("%d of them", NAME), ("one %s two %s", NAME), ("%(missing)s", {"name": NAME})):
        ours.handle(log.makeRecord(log.name, logging.INFO, __file__, 1, said, tuple(args), None))
    assert [line["message"] for line in lines()] == ["%d of them", "one %s two %s", "%(missing)s"]


def test_a_field_that_cannot_be_written_does_not_take_the_process_along(lines: Lines) -> None:
    class Stubborn:
        def __str__(self) -> str:
            raise RuntimeError(NAME)

    log.info("said", extra={"what": Stubborn()})
    assert lines()[0]["message"] == "this line could not be written: RuntimeError"


class Stream(io.StringIO):
    """One that is not well: its first writes end in these errors."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.broken = list(errors)

    def write(self, text: str) -> int:
        if self.broken:
            raise self.broken.pop(0)
        return super().write(text)


@pytest.mark.parametrize("error", [BlockingIOError(11, "full"), ValueError("closed")])
def test_where_nothing_can_be_written_nothing_is_lost_but_the_line(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Python's own handler would print the line's arguments as they are, or raise."""
    stream = Stream(error)
    monkeypatch.setattr("sys.stderr", stream)
    log.info("for %s", NAME)
    assert stream.getvalue() == ""
    log.info("well again")
    assert json.loads(stream.getvalue())["message"] == "well again"


@pytest.mark.parametrize(
    "name",
    [
        "psycopg.pool",
        "sqlalchemy.engine.Engine",
        "twilio.http_client",
        "urllib3.connectionpool",
        "httpx",
        "redis.connection",
    ],
)
def test_talkative_packages_are_heard_only_when_they_warn(lines: Lines, name: str) -> None:
    logging.getLogger(name).setLevel(logging.DEBUG)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING):
        logging.getLogger(name).log(level, "said")
    logging.getLogger(name).setLevel(logging.NOTSET)
    assert [line["level"] for line in lines()] == ["WARNING"]


def test_gunicorns_own_lines_are_of_the_same_form(lines: Lines) -> None:
    gunicorn = logging.getLogger("gunicorn.error")
    gunicorn.addHandler(logging.StreamHandler())
    gunicorn.propagate = False
    logs.configure()
    gunicorn.error("Error handling request /p/%s", "tOken0123456789abcdef")
    assert [line["message"] for line in lines()] == ["Error handling request /p/***"]


def test_somebody_at_a_terminal_reads_words_with_the_same_masks(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    logs.configure()
    error = caught(refuse)
    log.error("code %s", CODE, extra={"org_id": "o-1"}, exc_info=error)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert " ERROR   webapp.tests: code *** org_id=o-1 | ConnectionRefusedError" in said
    assert "no way to ***87 at all at tests/runtime/test_logs.py:" in said
    assert lines() == []


def refuse() -> None:
    raise ConnectionRefusedError(111, f"no way to {PHONE}\nat all")


# --- fields -------------------------------------------------------------------------------------


def test_fields_are_masked_by_their_name_and_by_what_they_look_like(lines: Lines) -> None:
    log.info(
        "said",
        extra={
            "patient_name": NAME,
            "patient_phone": PHONE,
            "to": PHONE,
            "phone": 447700900987,
            "caller_number": "020 7900 987",
            "wrong_code": f"x{CODE}x",
            "code": CODE,
            "otp": int(CODE),
            "spoken": "7 3 9 1",
            "auth_token": "whatever",
            "arguments": {"providedOTP": CODE},
            "nested": {"to_phone": PHONE, "list": [PHONE, {"email": NAME}]},
            "problem": ValueError(NAME),
            "error_code": "21610",
            "provider_code": 30007,
            "outcome": "slot_taken",
            "port": 5433,
            "bytes": 104857600,
            "org_id": uuid.UUID(int=12345678),
        },
    )
    [line] = lines()
    del line["time"], line["level"], line["logger"], line["message"]
    assert line == {
        "patient_name": "***",
        "patient_phone": "***87",
        "to": "***87",
        "phone": "***87",
        "caller_number": "***87",
        "wrong_code": "x***x",
        "code": "***",
        "otp": "***",
        "spoken": "***",
        "auth_token": "***",
        "arguments": "***",
        "nested": {"to_phone": "***87", "list": ["***87", {"email": "***"}]},
        "problem": "ValueError",
        "error_code": "21610",
        "provider_code": 30007,
        "outcome": "slot_taken",
        "port": 5433,
        "bytes": 104857600,
        "org_id": "00000000-0000-0000-0000-000000bc614e",
    }


@pytest.mark.parametrize("name", ["otp", "code", "wrong_code", "providedOTP", "pin", "phone"])
@pytest.mark.parametrize("digits", range(4, 16))
def test_no_digit_of_a_code_is_left_and_two_of_a_number(lines: Lines, name: str, digits: int) -> None:
    said = "739184650217364"[:digits]
    left = GONE if digits <= 8 else GONE + said[-2:]
    for value in (said, int(said), " ".join(said), [said]):
        log.info("said", extra={name: value})
        assert lines()[0][name] == ([left] if isinstance(value, list) else left)


@pytest.mark.parametrize(
    "name",
    [
        *("client_secret", "auth_token", "password", "passwd", "authorization", "api_key", "apikey"),
        *("cookie", "x_signature", "credential", "patient_name", "contact_name", "customername"),
        *("caller_name", "email", "arguments", "body", "content", "text", "said"),
    ],
)
def test_of_a_field_that_is_secret_by_its_name_nothing_is_left(lines: Lines, name: str) -> None:
    for value in ("ordinary words", 5, ["words"], {"a": "words"}):
        log.info("said", extra={name: value})
        assert lines()[0][name] == GONE


# --- errors -------------------------------------------------------------------------------------


def caught(work: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:  # noqa: PT011 (any at all: what matters is what is told of it)
        work()
    return found.value


def test_an_error_of_the_database_tells_where_and_which_rule_but_no_row(lines: Lines) -> None:
    def insert_twice() -> None:
        with engine().connect() as connection:
            connection.execute(
                text("CREATE TEMP TABLE people (name text, phone text CONSTRAINT one_phone UNIQUE)")
            )
            for _ in range(2):
                connection.execute(text(f"INSERT INTO people VALUES ('{NAME}', '{PHONE}')"))

    error = caught(insert_twice)
    assert isinstance(error, IntegrityError)
    assert PHONE in str(error)
    log.error("database error", exc_info=error)
    log.error("database error: %s", error)
    log.error("%s and %r", "database error", error.orig)
    log.error(error)
    first, *in_words = lines()
    outer, inner = first["errors"]
    assert outer["class"] == "sqlalchemy.exc.IntegrityError"
    assert any(frame.startswith("tests/runtime/test_logs.py:") for frame in outer["at"])
    assert inner["class"] == "psycopg.errors.UniqueViolation"
    assert (inner["sqlstate"], inner["constraint"]) == ("23505", "one_phone")
    assert "text" not in {**outer, **inner}
    assert in_words[0]["message"] == "database error: psycopg.errors.UniqueViolation sqlstate 23505 one_phone"
    assert in_words[1]["message"].endswith(" and 'psycopg.errors.UniqueViolation sqlstate 23505 one_phone'")


def test_neither_does_a_row_that_fails_a_check_nor_a_value_that_is_none(
    lines: Lines, sql: psycopg.Connection
) -> None:
    sql.execute("CREATE TEMP TABLE people (name text CONSTRAINT no_z CHECK (name < 'Z'), phone text)")
    for statement in (
        f"INSERT INTO people VALUES ('{NAME}', '{PHONE}')",
        f"SELECT '{NAME}'::uuid",
        f"DO $$ BEGIN RAISE 'not for {NAME}'; END $$",
    ):
        log.error("failed", exc_info=caught(lambda: sql.execute(statement)))  # noqa: B023 (called at once)
    assert [line["errors"][0]["sqlstate"] for line in lines()] == ["23514", "22P02", "P0001"]


def test_what_the_server_says_about_itself_is_kept(lines: Lines, sql: psycopg.Connection) -> None:
    sql.execute("SET statement_timeout = 10")
    log.error("failed", exc_info=caught(lambda: sql.execute(f"SELECT pg_sleep(5), '{NAME}'")))
    [line] = lines()
    assert line["errors"][0]["sqlstate"] == "57014"
    assert line["errors"][0]["text"] == "canceling statement due to statement timeout"


def test_the_words_about_a_connection_are_kept(lines: Lines) -> None:
    port = free_port()
    for work in (
        lambda: psycopg.connect(f"postgresql://u:{CODE}pw@127.0.0.1:{port}/x"),
        lambda: redis.Redis.from_url(f"redis://:{CODE}pw@127.0.0.1:{port}", retry=None).ping(),
        lambda: requests.get(f"http://127.0.0.1:{port}/Messages.json?To=%2B{PHONE[1:]}", timeout=1),
    ):
        log.error("failed", exc_info=caught(work))
    for line in lines():
        assert str(port) in line["errors"][0]["text"]
        assert "refused" in line["errors"][0]["text"]


def test_errors_that_quote_what_somebody_said_keep_it_to_themselves(lines: Lines) -> None:
    def validate() -> None:
        raise marshmallow.ValidationError({"patientName": [f"{NAME} is not a name"]})

    def key_of_key() -> None:
        try:
            {"": 0}[NAME]
        except KeyError as error:
            raise RuntimeError(NAME) from error

    def during() -> None:
        try:
            int(NAME)
        except ValueError:
            raise LookupError(PHONE)  # noqa: B904 (on purpose: the error before is only its context)

    for work in (validate, key_of_key, during):
        log.error("failed", exc_info=caught(work))
    classes = [[error["class"] for error in line["errors"]] for line in lines()]
    assert classes == [
        ["marshmallow.exceptions.ValidationError"],
        ["RuntimeError", "KeyError"],
        ["LookupError", "ValueError"],
    ]


def test_errors_that_cause_each_other_come_to_an_end(lines: Lines) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    log.error("failed", exc_info=first)
    assert len(lines()[0]["errors"]) == 2


def test_twilio_tells_its_numbers_and_not_its_words(lines: Lines) -> None:
    log.error("failed", exc_info=TwilioRestException(400, "/x", f"no such person as {NAME}", 21211, "POST"))
    [error] = lines()[0]["errors"]
    assert (error["status"], error["code"]) == (400, 21211)
    assert "text" not in error


def test_a_bad_header_is_a_connection_error_that_quotes_its_value(lines: Lines) -> None:
    error = caught(lambda: requests.get("http://127.0.0.1:1", headers={"X": f" {NAME}\n"}, timeout=1))
    assert isinstance(error, OSError)
    log.error("failed", exc_info=error)
    assert "text" not in lines()[0]["errors"][0]


def test_an_error_that_came_from_another_process_is_seen_through(lines: Lines) -> None:
    try:
        {"": 0}[NAME]
    except KeyError:
        from_a_worker = ExceptionInfo()
    log.error("Task handler raised error: %r", from_a_worker.exception, exc_info=from_a_worker.exc_info)
    [line] = lines()
    assert line["message"] == "Task handler raised error: 'KeyError'"
    assert line["errors"][-1]["class"] == "KeyError"
    assert any(frame.startswith("tests/runtime/test_logs.py:") for frame in line["errors"][0]["at"])


def test_celery_tells_of_a_failed_task_without_its_words(lines: Lines) -> None:
    app = Celery("tests", set_as_current=False)
    app.conf.task_always_eager = True

    @app.task(name="tests.fails")
    def fails(name: str) -> None:
        raise KeyError(f"{name} {PHONE}")

    @app.task(name="tests.again", bind=True, max_retries=1)
    def again(self: Task[Any, Any], name: str) -> None:
        raise self.retry(exc=KeyError(name), countdown=0)

    for task in (fails, again):
        task.apply(args=(NAME,))
    found = lines()
    assert {line["task"] for line in found} == {"tests.fails", "tests.again"}
    assert all("data" not in line for line in found)
    [failed] = [line for line in found if line["task"] == "tests.fails"]
    assert failed["message"].endswith("raised unexpected: KeyError")
    assert failed["errors"][0]["class"] == "KeyError"
    assert any("in 0s: KeyError" in line["message"] for line in found)


# --- masks --------------------------------------------------------------------------------------


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
