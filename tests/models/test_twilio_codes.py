"""The one table of Twilio's codes."""

from __future__ import annotations

import re

import pytest

from models import twilio_codes
from models.twilio_codes import STATUS, Action, meaning


@pytest.mark.parametrize(
    ("action", "codes"),
    [
        (Action.RETRY, "20429 63017"),
        (Action.RETRY_LATER, "21611 30001 30022 30023 30027 30450 30453 30485 30610"),
        (Action.UNKNOWN, "500 503 20500 20503 20504"),
        (Action.NUMBER, "21211 21266 21268 21614 21635 30005 30006 30038"),
        (Action.NOT_ALLOWED, "21219 21408 21608 30018 30024 30040 572002 572005"),
        (Action.LIMIT, "30454 60728 63038"),
        (Action.REFUSED, "21602 21604 21612 21617 21658 30003 30007 30008 30036"),
        # The account: its credentials, its state, what it may do.
        (Action.CONFIGURATION, "20003 20101 20151 20160 20006 20008 20010 20404 21470 21471"),
        (Action.CONFIGURATION, "10001 10002 20005 20403 21472 30002 30037 90010 572001"),
        # What it sends from: a number, a name, a service.
        (Action.CONFIGURATION, "21210 21212 21264 21401 21407 21601 21603 21606 21616 21657 21659 21660"),
        (Action.CONFIGURATION, "21267 21607 21661 21701 21702 21703 21704 21705 21712 30124 63007"),
        # Whether that is registered and verified.
        (Action.CONFIGURATION, "30032 30440 30447 30475 30033 30034 30035 30041 30042 30125 30538"),
        (Action.CONFIGURATION, "30702 30794 30831 30882 30897 30905 30930 21613 21631 21649"),
        (Action.OPT_OUT, "21610 30004 30630 63033"),
    ],
)
def test_what_follows_from_a_code(action: Action, codes: str) -> None:
    assert {code: meaning(code).action for code in codes.split()} == dict.fromkeys(codes.split(), action)
    assert all(meaning(code).known for code in codes.split())


@pytest.mark.parametrize("code", [None, "", "0", "400", "29999", "no code", "-1", "60205", "21xxx"])
def test_what_is_not_known_is_final_and_says_that_it_is_not_known(code: str | None) -> None:
    assert (meaning(code).action, meaning(code).known) == (Action.REFUSED, False)


def test_a_number_that_cannot_receive_has_words_for_the_agent() -> None:
    for code, found in twilio_codes._CODES.items():
        if found.action in (Action.NUMBER, Action.NOT_ALLOWED):
            assert found.spoken, code


def test_the_words_are_plain_sentences() -> None:
    for code, found in twilio_codes._CODES.items():
        for words in filter(None, (found.reason, found.spoken)):
            assert len(words) < 100, code
            assert not words.endswith("."), code
            assert not re.search(r"\d{3}", words), code


def test_a_landline_is_called_one() -> None:
    assert meaning("30006").spoken == "that number is a landline and cannot receive text messages"


def test_every_state_that_twilio_has_for_an_sms_is_known() -> None:
    twilios = "accepted scheduled queued sending sent delivered undelivered failed canceled read"
    assert set(twilios.split()) <= set(STATUS)


def test_what_passes_by_itself_may_be_sent_anew_and_what_does_not_may_not() -> None:
    passing = {code for code in map(str, range(20000, 35000)) if twilio_codes.may_pass(code)}
    expected = (
        "21611 21730 30001 30003 30008 30017 30020 30021 30022 30023 30027 30450 30453 30485 30500 30610"
    )
    assert passing == set(expected.split())
    assert not twilio_codes.may_pass(None)
