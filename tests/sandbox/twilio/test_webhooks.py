"""The webhooks of the sandbox: receipts and replies, each signed."""

from collections import Counter
from queue import Empty
from socket import create_server
from typing import Any

import pytest
import requests
from twilio.base.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    TwilioRestException,
)
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]

from tests.sandbox.twilio.wire import (
    ACCOUNT,
    OURS,
    PATIENT,
    SERVICE,
    TOKEN,
    Receiver,
    client_of,
    final,
    receiving,
    texts,
)


def assert_signed(call: tuple[str, dict[str, str], dict[str, str]], token: str) -> None:
    url, form, headers = call
    assert RequestValidator(token).validate(url, form, headers["X-Twilio-Signature"])
    assert not RequestValidator("another").validate(url, form, headers["X-Twilio-Signature"])


def test_each_change_is_called_back_and_signed(client: Any, receiver: Receiver) -> None:
    callback = f"{receiver.url}/receipts/tok-1?try=2"
    sid = client.messages.create(to=PATIENT, from_=OURS, body="Hello", status_callback=f"{callback}#rc=2").sid
    calls = [receiver.seen.get(timeout=60) for _ in range(3)]
    for call in calls:
        assert call[0] == callback
        assert_signed(call, TOKEN)
    forms = {form["MessageStatus"]: form for _, form, _ in calls}
    assert set(forms) == {"sending", "sent", "delivered"}  # never the first one: create told it already
    assert forms["delivered"] == {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "AccountSid": ACCOUNT,
        "From": OURS,
        "To": PATIENT,
        "ApiVersion": "2010-04-01",
    }
    with pytest.raises(Empty):
        receiver.seen.get_nowait()


def test_failure_is_called_back_with_its_code(client: Any, receiver: Receiver) -> None:
    client.messages.create(
        to="+15005550010", messaging_service_sid=SERVICE, body="Hello", status_callback=receiver.url
    )
    forms = {form["MessageStatus"]: form for form in receiver.forms(4)}
    assert set(forms) == {"queued", "sending", "sent", "undelivered"}
    assert forms["undelivered"]["ErrorCode"] == "30003"
    assert forms["undelivered"]["MessagingServiceSid"] == SERVICE
    assert forms["undelivered"]["From"] == OURS
    assert "ErrorCode" not in forms["sent"]


def test_an_api_key_signs_with_the_accounts_own_token(url: str, client: Any, receiver: Receiver) -> None:
    client.messages.list()  # here the account's token is seen
    with client_of(url, "SK" + "3" * 32, "the-key-secret") as keyed:
        keyed.messages.create(to=PATIENT, from_=OURS, body="Hello", status_callback=receiver.url + "/")
    assert_signed(receiver.seen.get(timeout=60), TOKEN)


def test_lost_connection_is_tried_once_more(client: Any) -> None:
    with receiving(hangs_up_first=True) as receiver:
        client.messages.create(to=PATIENT, from_=OURS, body="Hello", status_callback=receiver.url + "/")
        calls = [receiver.seen.get(timeout=60) for _ in range(6)]
    statuses = Counter(form["MessageStatus"] for _, form, _ in calls)
    assert statuses == {"sending": 2, "sent": 2, "delivered": 2}
    assert len({headers["I-Twilio-Idempotency-Token"] for _, _, headers in calls}) == 3


def test_dead_receiver_hinders_nobody(client: Any) -> None:
    with create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    sid = client.messages.create(
        to=PATIENT, from_=OURS, body="Hello", status_callback=f"http://127.0.0.1:{port}/"
    ).sid
    final(client, sid, "delivered")


def reply(base: str, body: str, **more: str) -> dict[str, Any]:
    asked = {"from": PATIENT, "to": OURS, "body": body} | more
    answer = requests.post(f"{base}/sandbox/inbound", json=asked, timeout=60)
    assert answer.status_code == 201, answer.text
    played: dict[str, Any] = answer.json()
    return played


def test_stop_blocks_this_sender_until_start(url: str, client: Any) -> None:
    assert reply(url, " stop ")["opt_out_type"] == "STOP"
    for sender in ({"from_": OURS}, {"messaging_service_sid": SERVICE}):
        with pytest.raises(TwilioRestException) as refused:
            client.messages.create(to=PATIENT, body="Hello", **sender)
        assert (refused.value.status, refused.value.code) == (400, 21610)
    client.messages.create(to="+12025550199", from_=OURS, body="another patient")
    client.messages.create(to=PATIENT, from_="+12025550100", body="another sender")
    assert reply(url, "please stop texting me")["opt_out_type"] is None
    reply(url, "START")
    client.messages.create(to=PATIENT, from_=OURS, body="welcome back")
    assert texts(url)[0] == "welcome back"


def test_reply_is_forwarded_signed(url: str, client: Any, receiver: Receiver) -> None:
    client.messages.create(to=PATIENT, from_=OURS, body="Hello")
    played = reply(url, "Stop", url=f"{receiver.url}/inbound")
    assert played["webhook_status"] == 204
    call = receiver.seen.get(timeout=60)
    assert_signed(call, TOKEN)
    assert call[1] == {
        "MessageSid": played["sid"],
        "SmsSid": played["sid"],
        "SmsMessageSid": played["sid"],
        "SmsStatus": "received",
        "AccountSid": ACCOUNT,
        "From": PATIENT,
        "To": OURS,
        "Body": "Stop",
        "NumMedia": "0",
        "NumSegments": "1",
        "ApiVersion": "2010-04-01",
        "OptOutType": "STOP",
    }
    inbound = client.messages(played["sid"]).fetch()
    assert (inbound.direction, inbound.status) == ("inbound", "received")
    assert texts(url) == ["Hello"]  # the inbox holds what patients got
    assert texts(url, detail="1") == ["Stop", "Hello"]  # its page shows what they wrote, too


def test_bad_replies_are_refused(url: str) -> None:
    for asked in (
        {"from": "nobody", "to": OURS, "body": "Hi"},
        {
            "from": PATIENT,
            "to": OURS,
            "body": "Hi",
            "url": "http://127.0.0.1:9/",
        },  # nobody's token to sign with
        {"from": PATIENT, "to": OURS, "body": "Hi", "url": "https://example.com/"},
        ["not an object"],
    ):
        assert requests.post(f"{url}/sandbox/inbound", json=asked, timeout=60).status_code == 400
    assert requests.post(f"{url}/sandbox/inbound", data={"from": PATIENT}, timeout=60).status_code == 415
