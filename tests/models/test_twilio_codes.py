"""The one table of Twilio's codes."""

from __future__ import annotations

import re

import pytest

from models import twilio_codes
from models.twilio_codes import STATUS, Action, meaning


@pytest.mark.parametrize(
    ("action", "codes"),
    [
        (Action.RETRY, "20429"),
        (Action.RETRY_LATER, "21611 30001 30022 30023 30450 30610"),
        (Action.UNKNOWN, "500 503 20500 20503"),
        (Action.NUMBER, "21211 21614 21635 30005 30006"),
        (Action.NOT_ALLOWED, "21408 21608"),
        (Action.REFUSED, "21602 21604 21612 21617 21658 30003 30007 30008 30036"),
        (Action.CONFIGURATION, "20003 21212 21603 21606 21659 21701 21703 21705 30002 30034"),
        (Action.OPT_OUT, "21610 30004"),
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
    assert passing == {"21611", "30001", "30003", "30008", "30022", "30023", "30450", "30610"}
    assert not twilio_codes.may_pass(None)
