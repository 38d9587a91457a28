"""The sandbox Twilio against the real client, over real loopback HTTP."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from socket import create_server
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.base.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    TwilioException,
    TwilioRestException,
)
from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped,unused-ignore]
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped,unused-ignore]
from twilio.rest import Client  # type: ignore[import-untyped,unused-ignore]

from sandbox.segments import count_segments
from sandbox.twilio import exchange
from sandbox.twilio.server import running_sandbox

ACCOUNT, TOKEN = "AC" + "1" * 32, "the-auth-token"
SERVICE = "MG" + "2" * 32
OURS, PATIENT = "+15005550006", "+12025550143"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own library obeys proxy settings; loopback needs none."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def url() -> Iterator[str]:
    with running_sandbox() as base:
        yield base


@pytest.fixture
def standing_url() -> Iterator[str]:
    """A sandbox in which no message ever moves."""
    with running_sandbox(step_seconds=3600) as base:
        yield base


@contextmanager
def client_of(
    url: str, username: str = ACCOUNT, password: str = TOKEN, timeout: float = 5, account: str = ACCOUNT
) -> Iterator[Any]:
    http = TwilioHttpClient(timeout=timeout)
    client = Client(username, password, account, http_client=http)
    client.api.base_url = url
    try:
        yield client
    finally:
        http.session.close()


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    with client_of(url) as made:
        yield made


@pytest.fixture
def standing_client(standing_url: str) -> Iterator[Any]:
    with client_of(standing_url) as made:
        yield made


class Receiver(ThreadingHTTPServer):
    """Our own side of the webhooks: keeps what comes in, and may hang up on each first attempt."""

    def __init__(self, *, hangs_up_first: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.hangs_up_first = hangs_up_first
        self.attempted: set[str] = set()
        self.seen: Queue[tuple[str, dict[str, str], dict[str, str]]] = Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def forms(self, count: int) -> list[dict[str, str]]:
        return [self.seen.get(timeout=60)[1] for _ in range(count)]


class ReceiverHandler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        self.server.seen.put((f"{self.server.url}{self.path}", form, dict(self.headers)))
        call = self.headers["I-Twilio-Idempotency-Token"]
        if self.server.hangs_up_first and call not in self.server.attempted:
            self.server.attempted.add(call)
            return
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextmanager
def receiving(*, hangs_up_first: bool = False) -> Iterator[Receiver]:
    with Receiver(hangs_up_first=hangs_up_first) as receiver:
        thread = Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def eventually(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    deadline = time.monotonic() + 5
    while not good(found := look()) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert good(found), found
    return found


def final(client: Any, sid: str, status: str) -> Any:
    return eventually(lambda: client.messages(sid).fetch(), lambda message: message.status == status)


def script(url: str, **fault: Any) -> None:
    assert requests.post(f"{url}/sandbox/faults", json=fault, timeout=60).status_code == 201


def texts(url: str, **query: str) -> list[str]:
    rows = requests.get(f"{url}/inbox.json", params=query, timeout=60).json()
    return [row["body"] for row in rows]


# The Messages resource


def test_created_message_has_every_field_that_twilio_gives(standing_url: str) -> None:
    answer = requests.post(
        f"{standing_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={"To": PATIENT, "From": OURS, "Body": "Hello"},
        auth=(ACCOUNT, TOKEN),
        timeout=60,
    )
    assert answer.status_code == 201
    message = answer.json()
    assert re.fullmatch(r"SM[0-9a-f]{32}", message["sid"])
    assert parsedate_to_datetime(message["date_created"]).utcoffset() == timedelta(0)
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{message['sid']}"
    assert message == {
        "sid": message["sid"],
        "account_sid": ACCOUNT,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": message["date_created"],
        "date_updated": message["date_created"],
        "date_sent": None,
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": OURS,
        "to": PATIENT,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "status": "queued",
        "subresource_uris": {"media": f"{path}/Media.json"},
        "uri": f"{path}.json",
    }


def test_message_is_delivered_dated_and_billed_by_segment(client: Any) -> None:
    created = client.messages.create(to=PATIENT, from_=OURS, body="a" * 161)
    assert (created.status, created.date_sent, created.price) == ("queued", None, None)
    delivered = final(client, created.sid, "delivered")
    assert delivered.date_sent >= created.date_created
    assert (delivered.price, delivered.num_segments, delivered.error_code) == ("-0.0158", "2", None)


def test_messaging_service_accepts_first_and_chooses_its_sender_later(client: Any) -> None:
    created = client.messages.create(to=PATIENT, messaging_service_sid=SERVICE, body="Hello")
    assert (created.status, created.from_, created.num_segments) == ("accepted", None, "0")
    delivered = final(client, created.sid, "delivered")
    assert (delivered.from_, delivered.num_segments) == (OURS, "1")
    assert delivered.messaging_service_sid == SERVICE


@pytest.mark.parametrize(
    ("to", "status", "code"),
    [
        ("+15005550010", "undelivered", 30003),
        ("+15005550011", "undelivered", 30006),
        ("+15005550013", "failed", 30001),
    ],
)
def test_numbers_with_a_bad_end(client: Any, to: str, status: str, code: int) -> None:
    sid = client.messages.create(to=to, from_=OURS, body="Hello").sid
    ended = final(client, sid, status)
    assert ended.error_code == code
    assert ended.error_message
    assert (ended.price is None) == (status == "failed")


def test_a_message_may_stay_sent_for_ever(url: str, client: Any) -> None:
    silent = client.messages.create(to="+15005550012", from_=OURS, body="first").sid
    later = client.messages.create(to=PATIENT, from_=OURS, body="second").sid
    final(client, later, "delivered")
    assert client.messages(silent).fetch().status == "sent"


def test_two_equal_creates_are_two_messages(url: str, client: Any) -> None:
    sids = {client.messages.create(to=PATIENT, from_=OURS, body="same").sid for _ in range(2)}
    assert len(sids) == 2
    assert texts(url) == ["same", "same"]


def test_quick_references_own_number_is_deliverable(client: Any) -> None:
    created = client.messages.create(to="+1-555-1234", from_=OURS, body="Hello")
    assert created.to == "+15551234"
    final(client, created.sid, "delivered")


def test_body_can_be_redacted_and_nothing_else_changed(standing_url: str, standing_client: Any) -> None:
    sid = standing_client.messages.create(to=PATIENT, from_=OURS, body="code 482913").sid
    assert standing_client.messages(sid).update(body="").body == ""
    assert texts(standing_url) == [""]
    for change in ({"body": "other"}, {"status": "canceled"}):
        with pytest.raises(TwilioRestException):
            standing_client.messages(sid).update(**change)


def test_deleted_message_is_gone(standing_client: Any) -> None:
    sid = standing_client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    assert standing_client.messages(sid).delete()
    with pytest.raises(TwilioRestException) as refused:
        standing_client.messages(sid).fetch()
    assert (refused.value.status, refused.value.code) == (404, 20404)


def test_one_account_never_sees_anothers_messages(standing_url: str, standing_client: Any) -> None:
    sid = standing_client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    other = "AC" + "9" * 32
    with client_of(standing_url, other, "other-token", account=other) as stranger:
        assert stranger.messages.list() == []
        with pytest.raises(TwilioRestException) as refused:
            stranger.messages(sid).fetch()
    assert refused.value.code == 20404


def test_only_the_newest_are_kept(
    standing_url: str, standing_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MAX_MESSAGES", 2)
    for number in range(3):
        standing_client.messages.create(to=PATIENT, from_=OURS, body=str(number))
    assert texts(standing_url) == ["2", "1"]


# Lists


def test_list_is_newest_first_and_reads_all_pages(standing_client: Any) -> None:
    for number in range(5):
        standing_client.messages.create(to=PATIENT, from_=OURS, body=str(number))
    assert [found.body for found in standing_client.messages.list(page_size=2)] == list("43210")
    assert [found.body for found in standing_client.messages.stream(limit=3, page_size=2)] == list("432")


def test_pages_turn_both_ways_and_do_not_shift_under_new_messages(standing_client: Any) -> None:
    def bodies(page: Any) -> list[str]:
        return [found.body for found in page]

    for number in range(5):
        standing_client.messages.create(to=PATIENT, from_=OURS, body=str(number))
    first = standing_client.messages.page(page_size=2)
    assert (bodies(first), first.previous_page_url) == (["4", "3"], None)
    standing_client.messages.create(to=PATIENT, from_=OURS, body="new")
    second = first.next_page()
    assert bodies(second) == ["2", "1"]
    last = second.next_page()
    assert (bodies(last), last.next_page_url) == (["0"], None)
    assert bodies(second.previous_page()) == ["4", "3"]
    assert bodies(standing_client.messages.page(page_size=2, page_number=1)) == ["3", "2"]


def test_filters_by_number_survive_the_turn_of_the_page(standing_client: Any) -> None:
    for number, to in enumerate([PATIENT, "+12025550199"] * 3):
        standing_client.messages.create(to=to, from_=OURS if number else "+12025550100", body=str(number))
    found = standing_client.messages.list(to="+1 (202) 555-0143", from_=OURS, page_size=1)
    assert [message.body for message in found] == ["4", "2"]


def test_date_filters(client: Any) -> None:
    sid = client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    sent = final(client, sid, "delivered").date_sent
    day, hour = timedelta(days=1), timedelta(hours=1)
    midnight = sent.replace(hour=0, minute=0, second=0)
    for seen, unseen in (
        ({"date_sent": midnight}, {"date_sent": sent - day}),
        ({"date_sent_after": sent}, {"date_sent_after": sent + hour}),
        ({"date_sent_before": sent}, {"date_sent_before": sent - hour}),
    ):
        assert [found.sid for found in client.messages.list(**seen)] == [sid], seen
        assert client.messages.list(**unseen) == [], unseen
    assert client.messages.list(date_sent_after=sent - hour, date_sent_before=sent + hour)


def test_date_filter_cannot_see_what_is_not_sent_yet(standing_client: Any) -> None:
    sid = standing_client.messages.create(to=PATIENT, from_=OURS, body="Hello").sid
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert standing_client.messages.list(to=PATIENT, date_sent_after=yesterday) == []
    assert [found.sid for found in standing_client.messages.list(to=PATIENT)] == [sid]


def test_page_size_is_at_most_a_thousand_and_fifty_unless_asked(standing_client: Any) -> None:
    def size(**query: Any) -> int:
        return int(standing_client.messages.page(**query)._payload["page_size"])

    assert (size(), size(page_size=1000), size(page_size=5000)) == (50, 1000, 1000)


# Refusals


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


# Callbacks


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


# Patients answer


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


# Faults


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


# Segments, the inbox, the process


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape pair does not fit in the first part's last place
        ("é\n" * 80, 1),
        ("a" * 69 + "\u2019", 1),
        ("a" * 70 + "\u2019", 2),
        ("a" * 68 + "😀", 1),
        ("a" * 69 + "😀", 2),
        ("a" * 66 + "😀" + "a" * 66, 3),  # nor does the second half of an emoji
        ("ç" * 70, 1),
        ("Ç" * 160, 1),
        ("`" * 71, 2),
        ("👨‍👩‍👧‍👦" * 7, 2),
    ],
)
def test_segments(body: str, segments: int) -> None:
    assert count_segments(body) == segments


def test_inbox_is_a_plain_list_newest_first(standing_url: str, standing_client: Any) -> None:
    sids = [standing_client.messages.create(to=PATIENT, from_=OURS, body=body).sid for body in ("one", "two")]
    rows = requests.get(f"{standing_url}/inbox.json", timeout=60).json()
    assert [row["sid"] for row in rows] == sids[::-1]
    assert rows[0] == {
        "sid": sids[1],
        "to": PATIENT,
        "from": OURS,
        "body": "two",
        "status": "queued",
        "created_at": rows[0]["created_at"],
    }
    assert rows[0]["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(rows[0]["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_inbox_filters(standing_url: str, standing_client: Any) -> None:
    standing_client.messages.create(to=PATIENT, from_=OURS, body="one")
    standing_client.messages.create(to="+1-555-1234", from_=OURS, body="two")
    assert texts(standing_url, to=PATIENT) == ["one"]
    assert texts(standing_url, to="+1-555-1234") == ["two"]
    by_hand = requests.get(f"{standing_url}/inbox.json?to=+15551234", timeout=60).json()
    assert [row["body"] for row in by_hand] == ["two"]
    since = requests.get(f"{standing_url}/inbox.json", timeout=60).json()[0]["created_at"]
    assert texts(standing_url, since=since) == ["two"]
    assert texts(standing_url, limit="1") == ["two"]
    assert requests.get(f"{standing_url}/inbox.json?since=soon", timeout=60).status_code == 400


def test_page_needs_nothing_from_elsewhere(url: str) -> None:
    answer = requests.get(url, timeout=60)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "//" not in re.sub(r"//\s.*", "", answer.text).replace("data:,", "")
    assert "innerHTML" not in re.sub(r"//\s.*", "", answer.text)


def test_process_serves_on_its_port_and_stops_at_once() -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.twilio"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"INBOX_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
        health = requests.get(f"http://127.0.0.1:{port}/sandbox/health", timeout=60)
        assert health.json() == {"status": "ok", "messages": 0}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_json_errors_are_json(url: str) -> None:
    assert json.loads(requests.get(f"{url}/nowhere", timeout=60).text)["code"] == 20404


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
