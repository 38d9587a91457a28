"""The facts that were found in a call: which of them count, and what they do to its score."""

from __future__ import annotations

import json

import pytest

from models.calls.facts import SCHEMA, CallFacts, Fact, borne_out, parse_facts
from models.leads import scoring
from models.leads.scoring import Band, Evidence, Rules, score
from tests.models.leads.told import ALL_WORDS, CHATTY, VALUES, a_call, facts, said


@pytest.mark.parametrize(
    ("found", "parsed"),
    [
        (None, None),
        ("book", None),
        ([], None),
        ({}, {}),
        ({"intent": "book"}, None),
        ({"purpose": "appointment"}, None),
        ({"purpose": {"value": "to buy a car", "quote": "a car"}}, None),
        ({"purpose": {"value": 5, "quote": "a car"}}, None),
        (
            {"purpose": {"value": "Wrong number", "quote": " a car "}},
            {"purpose": Fact("wrong_number", "a car")},
        ),
        ({"treatment": {"value": " Botox ", "quote": None}}, {"treatment": Fact("Botox", "")}),
        ({"price": {"value": "too-dear"}, "more": 1}, {"price": Fact("too_dear", "")}),
    ],
)
def test_facts_are_parsed_leniently(found: object, parsed: CallFacts | None) -> None:
    assert parse_facts(found) == parsed


@pytest.mark.parametrize(
    ("quote", "counts"),
    [
        ("I'd like to go ahead", True),
        ("id like to go AHEAD!", True),
        ("like to go ahead, with the implants", True),
        ("with the implants. Tuesday", True),
        ("I'd like to go ahead with implants", True),
        ("I would love to start", False),
        ("Yes please", True),
        ("Yes", True),
        ("please yes", False),
        ("I", False),
        ("to the", False),
        ("How can I help", False),
        ("", False),
        ("…", False),
    ],
)
def test_a_quote_counts_if_the_caller_said_it(quote: str, *, counts: bool) -> None:
    caller = ["I'd like to go ahead with the implants.", "Tuesday.", "Yes, please."]
    assert bool(borne_out({"decision": Fact("goes_ahead", quote)}, caller)) is counts


@pytest.mark.parametrize(
    ("turn", "quote", "counts"),
    [
        ("No, I don't want to go ahead with that.", "I want to go ahead with that", False),
        ("No, I don't want to go ahead with that.", "want to go ahead with that", False),
        ("No, I don't want to go ahead with that.", "I don't want to go ahead with that", True),
        ("I can't do Tuesday at ten, sorry", "I can do Tuesday at ten", False),
        (
            "yeah so id like erm to go a head with the implants then",
            "I'd like to go ahead with the implants",
            True,
        ),
        ("ahead the implants with go to like", "I'd like to go ahead with the implants", False),
        (
            "I was wondering if you do braces and if yes can I book it online some week, I cannot this week",
            "yes I can book it this week",
            False,
        ),
        ("我想预约种植牙明天可以吗", "我想预约种植牙", True),
        ("我想预约种植牙明天可以吗", "我不想预约", False),
        ("a caf\u00e9 and implants please", "cafe\u0301 and implants", True),
    ],
)
def test_a_quote_is_in_the_callers_order_and_denies_as_the_caller_did(
    turn: str, quote: str, *, counts: bool
) -> None:
    assert bool(borne_out({"decision": Fact("goes_ahead", quote)}, [turn])) is counts


def test_no_fact_is_required_and_each_has_a_quote() -> None:
    assert "required" not in json.dumps(SCHEMA)
    for fact in SCHEMA["properties"].values():
        assert [*fact["properties"]] == ["value", "quote"]


@pytest.mark.parametrize("line", scoring._TABLE, ids=lambda line: line.code)
def test_each_line_of_the_table_counts_for_its_stances_and_no_other(line: scoring._Line) -> None:
    stances: list[tuple[str, dict[str, str]]] = [
        *((decision, {"decision": decision}) for decision in VALUES["decision"]),
        ("enquires", {"purpose": "enquiry"}),
        ("booked", {}),
    ]
    for stance, values in stances:
        found = facts(**values, **{line.fact: line.value})
        reasons = score(Evidence(ALL_WORDS, booked=stance == "booked", facts=found)).reasons
        counted = {reason.code: reason.quote for reason in reasons}.get(line.code)
        assert counted == (f"words of {line.fact}" if stance in line.stances.split() else None), stance


def test_a_call_about_something_else_is_that_whatever_wish_is_added() -> None:
    for purpose in scoring._NO_LEADS:
        result = a_call(purpose=purpose, decision="goes_ahead", urgency="soon", treatment_kind="major")
        assert [reason.code for reason in result.reasons] == ["base", purpose]


def test_our_rows_go_before_the_facts() -> None:
    result = score(Evidence(ALL_WORDS, booked=True, facts=facts(purpose="wrong_number", decision="declined")))
    assert (result.band, result.call_back) == (Band.HOT, False)
    turns = said("Hello.", "I'd like a check-up, I've never been there, words of decision.")
    found = facts(decision="wants") | {"treatment": Fact("a check-up", "I'd like a check-up")}
    known = Evidence(turns, returning=True, services=["Check-up"], facts=found)
    rules = Rules(services={"Check-up": "high"})
    codes = {reason.code for reason in score(known, rules).reasons}
    assert {"known_patient", "high_worth"} <= codes


def test_an_empty_answer_about_a_few_words_says_that_nothing_was_found() -> None:
    short, long = said("Hello?", "Hello? Hello?"), said("Hello?", *CHATTY)
    assert score(Evidence(short)).band is Band.WARM
    assert score(Evidence(short, facts={})).band is Band.COLD
    wish = said("Hello?", "I want implants as soon as possible.")
    for evidence in (wish, long):
        assert score(Evidence(evidence, facts={})) == score(Evidence(evidence))


def test_what_the_call_was_about_is_the_treatment_that_was_wanted() -> None:
    turns = said("Hello.", "I'd like braces. My husband had implants here.")
    offered = ["Implants", "Check-up"]
    wants = {"decision": Fact("wants", "I'd like braces")}
    assert score(Evidence(turns, services=offered, facts=wants)).service == "Implants"
    braces = wants | {"treatment": Fact("braces", "I'd like braces")}
    rules = Rules(services={"Implants": "high"})
    result = score(Evidence(turns, services=offered, facts=braces), rules)
    assert result.service is None
    assert "high_worth" not in {reason.code for reason in result.reasons}
    complains = {"purpose": Fact("complaint", "My husband had implants here")}
    assert score(Evidence(turns, services=offered, facts=complains)).service is None
