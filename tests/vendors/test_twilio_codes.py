"""The one table of Twilio's codes, and what follows from the meanings that it gives them."""

from __future__ import annotations

import re

import pytest

from models.messaging.meanings import Action, Meaning
from vendors import twilio_codes
from vendors.twilio_codes import STATUS, failure

#: What follows from each code, as its page in Twilio's dictionary of errors describes it.
FOLLOWS = (
    (Action.RETRY, "20429 63017"),
    (Action.RETRY_LATER, "21611 21730 30001 30022 30023 30027 30450 30453 30485 30610 63018"),
    (Action.UNKNOWN, "500 503 20500 20503 20504"),
    (Action.NUMBER, "21211 21214 21217 21265 21266 21268 21614 21635 30005 30006 30038 63003 63024 63036"),
    (Action.NOT_ALLOWED, "21219 21408 21608 30018 30024 30040 30043 572002 572005"),
    (Action.LIMIT, "30454 60728 63038"),
    # What we wrote, and what was lost on its way.
    (Action.REFUSED, "21602 21604 21605 21612 21617 21618 21619 21624 21626 21658 30010 30012 30013 30014"),
    (Action.REFUSED, "30003 30007 30008 30017 30019 30020 30021 30036 30039 30044 30410 30500 30615 30620"),
    (Action.REFUSED, "63009 63010 63012 63013 63026"),
    # The account: its credentials, its state, what it may do.
    (Action.CONFIGURATION, "20003 20101 20151 20160 20006 20008 20010 20404 21470 21471 21609"),
    (Action.CONFIGURATION, "10001 10002 20005 20403 21472 21476 21478 21479 30002 30037 90010 572001"),
    # What it sends from: a number, a name, a service.
    (Action.CONFIGURATION, "21210 21212 21213 21264 21401 21407 21601 21603 21606 21616 21657 21659 21660"),
    (Action.CONFIGURATION, "21267 21607 21661 21701 21702 21703 21704 21705 21712 21910 30015 30016"),
    (Action.CONFIGURATION, "30124 30126 30127 63001 63002 63007 63008 63020 63035 63051"),
    # Whether that is registered and verified.
    (Action.CONFIGURATION, "30032 30440 30447 30475 30033 30034 30035 30041 30042 30125 30538"),
    (Action.CONFIGURATION, "30702 30794 30831 30882 30897 30905 30930 21613 21615 21631 21649 21650"),
    (Action.OPT_OUT, "21610 30004 30630 63014 63033"),
)

#: What the agent says to the patient; of all other codes nothing that would help a patient is known.
SAID = {
    "that number does not seem to exist": "21211 21217 63024",
    "that number is a landline and cannot receive text messages": "21635 30006",
    "that number cannot receive text messages": "21214 21265 21614 63003 63036",
    "that number does not seem to be in use": "30005",
    "that number is a special one and cannot receive text messages": "21268 30038",
    "that number is the clinic's own": "21266",
    "text messages cannot be sent to that number from here": "21408 21612 30018 30024 30040 30043",
    "the clinic's text messages go only to a few numbers so far": "21219 21608 572002 572005",
    "the phone with that number is switched off or has no signal": "30003",
    "the mobile network did not deliver the text message": (
        "30007 30008 30010 30017 30019 30020 30021 30036 30039 30044 30410 30500 30615 30620"
        " 63009 63010 63012 63013 63026"
    ),
    "the clinic has sent all the text messages that it may send today": "30454 63038",
    "that mobile network takes no more text messages from the clinic for now": (
        "30023 30027 30450 30453 30485"
    ),
}

#: A word that staff must find in the reason, for the codes that a clinic meets.
TOLD = {
    "20003": "credentials",
    "20005": "not active",
    "21211": "not valid",
    "21408": "country",
    "21606": "cannot send SMS",
    "21609": "PUBLIC_BASE_URL",
    "21610": "opted out",
    "21611": "too many SMS wait",
    "21614": "not a mobile",
    "21617": "too long",
    "21635": "landline",
    "21730": "maintenance",
    "30001": "too many SMS waited",
    "30002": "suspended",
    "30003": "switched off",
    "30004": "blocked",
    "30005": "not in use",
    "30006": "landline",
    "30007": "spam",
    "30008": "did not say why",
    "30022": "too much at once",
    "30023": "today",
    "30032": "toll-free",
    "30034": "not registered",
    "30036": "too old",
    "30410": "in time",
    "30450": "fraud",
    "30610": "quiet hours",
    "60728": "within an hour",
    "63038": "within a day",
}


def meaning(code: str | int | None) -> Meaning:
    found = failure(code).meaning
    assert found
    return found


def is_known(code: str | int | None) -> bool:
    return meaning(code) is not Meaning.UNEXPLAINED


@pytest.mark.parametrize(("action", "codes"), FOLLOWS)
def test_what_follows_from_a_code(action: Action, codes: str) -> None:
    assert {code: meaning(code).action for code in codes.split()} == dict.fromkeys(codes.split(), action)
    assert all(is_known(code) for code in codes.split())


def test_no_code_is_missing_from_what_is_expected_here() -> None:
    assert set(map(str, twilio_codes._CODES)) <= {code for _, codes in FOLLOWS for code in codes.split()}


def test_what_the_patient_hears_of_a_code() -> None:
    expected = {code: words for words, codes in SAID.items() for code in codes.split()}
    assert {str(code): m.spoken for code, (m, _) in twilio_codes._CODES.items() if m.spoken} == expected


@pytest.mark.parametrize(("code", "word"), TOLD.items())
def test_what_staff_read_of_a_code(code: str, word: str) -> None:
    assert word in failure(code).reason


@pytest.mark.parametrize(
    ("action", "first", "last"),
    [
        (Action.UNKNOWN, 500, 599),
        (Action.CONFIGURATION, 20100, 20199),
        (Action.UNKNOWN, 20500, 20599),
        (Action.CONFIGURATION, 21700, 21799),
        (Action.CONFIGURATION, 21900, 21901),
        (Action.CONFIGURATION, 30430, 30480),
        (Action.CONFIGURATION, 30530, 30599),
        (Action.CONFIGURATION, 30700, 30999),
        (Action.CONFIGURATION, 572000, 572999),
    ],
)
def test_a_family_of_codes_begins_and_ends_where_twilios_does(action: Action, first: int, last: int) -> None:
    assert [meaning(code).action for code in (first, last)] == [action, action]
    assert [is_known(code) for code in (first - 1, first, last, last + 1)] == [False, True, True, False]


@pytest.mark.parametrize("code", [None, "", "0", "400", "29999", "no code", "-1", "60205", "21xxx"])
def test_what_is_not_known_is_final_and_says_that_it_is_not_known(code: str | None) -> None:
    assert (meaning(code).action, is_known(code)) == (Action.REFUSED, False)


def test_a_number_that_cannot_receive_has_words_for_the_agent() -> None:
    for means in Meaning:
        if means.action in (Action.NUMBER, Action.NOT_ALLOWED):
            assert means.spoken, means


def test_the_words_are_plain_sentences() -> None:
    for code, (means, reason) in twilio_codes._CODES.items():
        for words in filter(None, (reason, means.spoken)):
            assert len(words) < 100, code
            assert not words.endswith("."), code
            assert not re.search(r"\d{3}", words), code


def test_every_state_that_twilio_has_for_an_sms_is_known() -> None:
    """All but the last few say that it is on its way."""
    on_its_way = ["accepted", "scheduled", "queued", "sending", "sent"]
    over = {"delivered": "delivered", "read": "delivered", "partially_delivered": "delivered"}
    over |= {"undelivered": "undelivered", "failed": "failed", "canceled": "failed"}
    assert {name: state.value for name, state in STATUS.items()} == dict.fromkeys(on_its_way, "sent") | over


def test_what_passes_by_itself_may_be_sent_anew_and_what_does_not_may_not() -> None:
    passing = {code for code in map(str, range(20000, 35000)) if meaning(code).may_pass}
    expected = (
        "21611 21730 30001 30003 30008 30017 30020 30021 30022 30023 30027 30450 30453 30485 30500 30610"
    )
    assert passing == set(expected.split())
    assert not meaning(None).may_pass
