"""The faults that a test can script."""

from typing import Any

import pytest
import requests
from twilio.base.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    TwilioException,
    TwilioRestException,
)

from tests.sandbox.twilio.wire import OURS, PATIENT, client_of, eventually, final, script, texts


@pytest.mark.parametrize(
    ("kind", "status", "kept"), [("429", 429, False), ("500", 500, False), ("500-after-accept", 500, True)]
)
def test_scripted_errors(url: str, client: Any, kind: str, status: int, kept: bool) -> None:  # noqa: FBT001
    script(url, kind=kind)
    with pytest.raises(TwilioRestException) as failed:
        client.messages.create(to=PATIENT, from_=OURS, body="first")
    assert (failed.value.status, failed.value.code) == (status, {429: 20429, 500: 20500}[status])
    client.messages.create(to=PATIENT, from_=OURS, body="second")
    assert texts(url) == ["second", "first"] if kept else ["second"]


@pytest.mark.parametrize(("kind", "kept"), [("drop-before", 0), ("drop-after-accept", 1)])
def test_dropped_connection(url: str, client: Any, kind: str, kept: int) -> None:
    client.messages.list()  # the drop shall meet a connection that was good before
    script(url, kind=kind, times=2)
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            client.messages.create(to=PATIENT, from_=OURS, body="Hello")
    assert len(client.messages.list(to=PATIENT)) == 2 * kept
    client.messages.create(to=PATIENT, from_=OURS, body="Hello")


def test_slow_answer_is_given_up_though_the_message_exists(url: str) -> None:
    script(url, kind="slow", seconds=30)
    with client_of(url, timeout=0.1) as client, pytest.raises(requests.exceptions.ReadTimeout):
        client.messages.create(to=PATIENT, from_=OURS, body="Hello")
    assert eventually(lambda: texts(url), bool) == ["Hello"]


def test_fault_for_one_number_leaves_others_alone(url: str, client: Any) -> None:
    script(url, kind="500", times=5, to=PATIENT)
    client.messages.create(to="+12025550199", from_=OURS, body="Hello")
    with pytest.raises(TwilioRestException):
        client.messages.create(to=PATIENT, from_=OURS, body="Hello")
    assert requests.delete(f"{url}/sandbox/faults", timeout=60).status_code == 204
    client.messages.create(to=PATIENT, from_=OURS, body="Hello")


@pytest.mark.parametrize(
    "fault", [{}, {"kind": "flood"}, {"kind": "500", "times": "often"}, {"kind": "500", "to": "x"}]
)
def test_unknown_faults_are_refused(url: str, fault: dict[str, str]) -> None:
    assert requests.post(f"{url}/sandbox/faults", json=fault, timeout=60).status_code == 400


def test_a_scripted_refusal_says_its_code(url: str, client: Any) -> None:
    for code in (21610, 29999):
        script(url, kind="refuse", code=code)
        with pytest.raises(TwilioRestException) as refused:
            client.messages.create(to=PATIENT, from_=OURS, body="Hello")
        assert (refused.value.status, refused.value.code) == (400, code)
    assert texts(url) == []


def test_a_scripted_bad_end_comes_after_the_message_was_accepted(url: str, client: Any) -> None:
    script(url, kind="undelivered", code=30034)
    sid = client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    assert final(client, sid, "undelivered").error_code == 30034


def test_asking_can_fail_while_sending_works(url: str, client: Any) -> None:
    script(url, kind="ask-500", times=2)
    script(url, kind="ask-drop")
    sid = client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    with pytest.raises(TwilioException):
        client.messages.list(to=PATIENT)
    with pytest.raises(TwilioRestException):
        client.messages(sid).fetch()
    with pytest.raises(requests.ConnectionError):
        client.messages(sid).fetch()
    assert len(client.messages.list(to=PATIENT)) == 1
