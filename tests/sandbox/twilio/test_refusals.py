"""What the sandbox refuses, and in which of Twilio's words."""

from typing import Any

import pytest
import requests
from twilio.base.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    TwilioException,
    TwilioRestException,
)

from tests.sandbox.twilio.wire import ACCOUNT, OURS, PATIENT, TOKEN, client_of, texts


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": "+15005550001"}, 21211),
        ({"To": "+15005550002"}, 21612),
        ({"To": "+15005550003"}, 21408),
        ({"To": "+15005550004"}, 21610),
        ({"To": "+15005550009"}, 21614),
        ({"To": "+1-555-1"}, 21211),
        ({"To": "+1555CALLNOW"}, 21211),
        ({"To": "+1234567890123456"}, 21211),
        ({"To": ""}, 21604),
        ({"From": "+15005550001"}, 21212),
        ({"From": "+15005550007"}, 21606),
        ({"From": "+15005550008"}, 21611),
        ({"From": "?!"}, 21212),
        ({"From": ""}, 21603),
        ({"MessagingServiceSid": "MG1"}, 21705),
        ({"Body": ""}, 21602),
        ({"Body": "a" * 1601}, 21617),
        ({"StatusCallback": "not a url"}, 21609),
        ({"StatusCallback": "http://my_host/x"}, 21609),
        ({"StatusCallback": "http://127.0.0.1:notaport/"}, 21609),
        ({"StatusCallback": "https://example.com/receipts"}, 21609),
        ({"StatusCallback": "http://127.0.0.1.example.com/"}, 21609),
        ({"SendAt": "2030-01-01T00:00:00Z"}, 20001),
    ],
)
def test_refusals(standing_url: str, change: dict[str, str], code: int) -> None:
    answer = requests.post(
        f"{standing_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={"To": PATIENT, "From": OURS, "Body": "Hello"} | change,
        auth=(ACCOUNT, TOKEN),
        timeout=60,
    )
    assert answer.status_code == 400
    body = answer.json()
    assert body == {
        "code": code,
        "message": body["message"],
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": 400,
    }
    assert body["message"]
    assert texts(standing_url) == []


def test_refused_callback_says_that_only_loopback_is_called(standing_client: Any) -> None:
    with pytest.raises(TwilioRestException, match="loopback addresses only"):
        standing_client.messages.create(
            to=PATIENT, from_=OURS, body="Hello", status_callback="https://example.com/receipts"
        )


@pytest.mark.parametrize("callback", ["http://localhost:9/x", "http://[::1]:9/x", "https://127.8.0.1/x"])
def test_loopback_callbacks_are_taken(standing_client: Any, callback: str) -> None:
    assert standing_client.messages.create(to=PATIENT, from_=OURS, body="Hello", status_callback=callback).sid


@pytest.mark.parametrize("sender", [OURS, "55512", "Lakeside"])
def test_senders(standing_client: Any, sender: str) -> None:
    assert standing_client.messages.create(to=PATIENT, from_=sender, body="Hello").from_ == sender


def test_json_is_not_read(standing_url: str) -> None:
    answer = requests.post(
        f"{standing_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        json={"To": PATIENT, "From": OURS, "Body": "Hello"},
        auth=(ACCOUNT, TOKEN),
        timeout=60,
    )
    assert answer.json()["code"] == 21604


@pytest.mark.parametrize("login", [None, (ACCOUNT, ""), ("AC" + "9" * 32, TOKEN)])
def test_wrong_login(standing_url: str, login: tuple[str, str] | None) -> None:
    for path in ("Messages.json", "Messages/SM1.json"):
        answer = requests.get(f"{standing_url}/2010-04-01/Accounts/{ACCOUNT}/{path}", auth=login, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (401, 20003)


def test_client_sees_its_ordinary_exceptions(standing_url: str) -> None:
    with client_of(standing_url, "AC" + "9" * 32, TOKEN) as client:
        with pytest.raises(TwilioRestException) as refused:
            client.messages.create(to=PATIENT, from_=OURS, body="Hello")
        assert (refused.value.status, refused.value.code) == (401, 20003)
        with pytest.raises(TwilioException):
            client.messages.list()


def test_unknown_resource(standing_url: str) -> None:
    answer = requests.get(f"{standing_url}/2010-04-01/Accounts/{ACCOUNT}/Calls.json", timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (404, 20404)
