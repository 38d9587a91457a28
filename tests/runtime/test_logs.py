"""What gets into a log and what does not, each through the real handler to standard error."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
import uuid

import pytest

from runtime import logs
from runtime.masking import GONE
from tests.runtime.logged import CODE, NAME, PHONE, Lines, log

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
