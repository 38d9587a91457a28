"""The Messages resource against the real client, over real loopback HTTP."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from twilio.base.exceptions import (  # type: ignore[import-untyped,unused-ignore]
    TwilioRestException,
)

from sandbox.twilio import exchange
from tests.sandbox.twilio.wire import ACCOUNT, OURS, PATIENT, SERVICE, TOKEN, client_of, final, texts


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
