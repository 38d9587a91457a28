"""Lead scoring: the laws of a pure function, whom to ring back, and the rules of a clinic."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.booking.services import Worth
from models.calls.facts import Fact, parse_facts
from models.leads import scoring
from models.leads.scoring import Band, Evidence, Rules, Speaker, Turn, Weights, score, service_named
from tests.models.leads.told import ALL_WORDS, CHATTY, VALUES, a_call, facts, said

WORDS = (
    *("i want to book an appointment", "botox", "implants", "tomorrow", "my tooth broke", "the deposit"),
    *("please", "not", "don't", "never mind", "cancel my", "wrong number", "no", "yes", "how much is it"),
    *("call me back", "press one", "hiring", "complaint", "and", "but", ".", "?", "Dr Price", "10:30"),
)
TEXTS = st.one_of(st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join), st.text(max_size=200))
TURNS = st.lists(st.builds(Turn, st.sampled_from(Speaker), TEXTS), max_size=12).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
ANY_FACT = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"value": st.sampled_from([value for values in VALUES.values() for value in values]), "quote": TEXTS}
    ),
)
FACTS = JSON | st.dictionaries(st.sampled_from([*VALUES]), ANY_FACT)
EVIDENCE = st.builds(
    Evidence,
    TURNS,
    duration=st.none() | st.floats(allow_nan=False),
    booked=st.booleans(),
    service=st.none() | st.text(max_size=20) | st.just("Botox"),
    services=st.lists(st.sampled_from(["Botox", "Implants", "Check-up"]), max_size=3),
    returning=st.none() | st.booleans(),
    facts=FACTS.map(parse_facts),
)
quickly = settings(max_examples=150)


# --- laws ----------------------------------------------------------------------------------------


@quickly
@given(EVIDENCE)
def test_a_score_is_the_sum_of_its_reasons_held_between_0_and_100(evidence: Evidence) -> None:
    result = score(evidence)
    assert result.value == min(100, max(0, sum(reason.points for reason in result.reasons)))
    assert result.band is (Band.HOT if result.value >= 70 else Band.WARM if result.value >= 35 else Band.COLD)
    assert result == score(evidence)


@quickly
@given(EVIDENCE, TEXTS, st.integers(0, 12))
def test_what_the_agent_says_changes_nothing(evidence: Evidence, text: str, place: int) -> None:
    turns = (*evidence.turns[:place], Turn(Speaker.AGENT, text), *evidence.turns[place:])
    assert score(replace(evidence, turns=turns)) == score(evidence)


@quickly
@given(TURNS, FACTS)
def test_any_json_as_facts_is_read_or_left(turns: tuple[Turn, ...], found: object) -> None:
    score(Evidence(turns, facts=parse_facts(found)))


@quickly
@given(EVIDENCE)
def test_facts_that_quote_what_was_never_said_change_nothing(evidence: Evidence) -> None:
    made_up = {name: Fact(values[0], "zebra quartz xylophone") for name, values in VALUES.items()}
    without = replace(evidence, facts=None)
    assume(score(without) == score(replace(evidence, facts={})))  # an empty answer says something
    assert score(replace(evidence, facts=made_up)) == score(without)


@quickly
@given(EVIDENCE, st.builds(Weights, booked=st.integers(-100, 100), base=st.integers(-100, 100)))
def test_a_caller_who_booked_is_never_cold(evidence: Evidence, weights: Weights) -> None:
    assert score(replace(evidence, booked=True), Rules(weights=weights)).band is not Band.COLD


def test_every_combination_of_facts_has_a_band_that_its_decision_allows() -> None:
    """Hot takes a decision, a wish or a need; interest stays warm; a call about something else is cold."""
    others = ("urgency", "treatment_kind", "price", "decided_by", "patient")
    for purpose, decision in product(VALUES["purpose"], [*VALUES["decision"], None]):
        stance = {"purpose": purpose} | ({"decision": decision} if decision else {})
        for values in product(*([*VALUES[name], None] for name in others)):
            more = {name: value for name, value in zip(others, values, strict=True) if value}
            band = a_call(**stance, **more).band
            needs_help = more.get("urgency") == "now"
            if purpose in scoring._PATIENTS and needs_help:
                assert band is Band.HOT, (stance, more)
            elif purpose in scoring._NO_LEADS or decision == "declined":
                assert band is Band.COLD, (stance, more)
            elif decision == "undecided" or (purpose == "enquiry" and not decision):
                assert band is (Band.HOT if needs_help else Band.WARM), (stance, more)
            elif decision == "goes_ahead" and not {"too_dear", "someone_else"} & {*more.values()}:
                assert band is Band.HOT, (stance, more)
            else:  # a wish counts no less than interest
                interest = a_call(**stance | {"decision": "undecided"}, **more).value
                assert a_call(**stance, **more).value >= min(interest, 40), (stance, more)
                assert band is not Band.COLD, (stance, more)


# --- whether to ring back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "booked", "rings"),
    [
        ({"decision": "goes_ahead"}, False, True),
        ({"decision": "goes_ahead"}, True, False),
        ({"decision": "goes_ahead", "call_back": "asked"}, True, True),
        ({"decision": "goes_ahead", "call_back": "refused"}, False, False),
        ({"decision": "undecided"}, False, False),
        ({"decision": "undecided", "call_back": "asked"}, False, True),
        ({"purpose": "complaint", "call_back": "asked"}, False, False),
    ],
)
def test_who_is_rung_back(values: dict[str, str], *, booked: bool, rings: bool) -> None:
    assert score(Evidence(ALL_WORDS, booked=booked, facts=facts(**values))).call_back is rings


# --- rules -----------------------------------------------------------------------------------------


def test_rules_go_through_json_and_back() -> None:
    rules = Rules.model_validate({"weights": {"wants": 45}, "hot": 75, "services": {"Moon bath": "high"}})
    assert Rules.model_validate_json(rules.model_dump_json()) == rules
    assert json.loads(Rules().model_dump_json())["weights"] == Weights().model_dump()


@pytest.mark.parametrize("code", [name for name in Weights.model_fields if name != "words"])
def test_every_weight_counts(code: str) -> None:
    """There is a call to which each reason applies, and its points are the clinic's."""
    stances: list[dict[str, str]] = [
        *({"decision": value} for value in VALUES["decision"]),
        *({"purpose": value} for value in VALUES["purpose"]),
    ]
    more: list[dict[str, str]] = [{name: value} for name, values in VALUES.items() for value in values]
    calls = [
        Evidence(ALL_WORDS, duration=5, booked=booked, facts=facts(**stance, **each))
        for booked in (False, True)
        for stance in stances
        for each in more
        if not stance.keys() & each.keys()
    ]
    own = Rules.model_validate({"weights": {code: 17}})
    points = {reason.points for call in calls for reason in score(call, own).reasons if reason.code == code}
    assert points == {17}


def test_a_clinic_can_leave_the_words_out_and_move_its_thresholds() -> None:
    evidence = Evidence(said("How can I help?", *CHATTY))
    assert score(evidence, Rules.model_validate({"weights": {"words": 0}})).value == Weights().base
    value = score(evidence).value
    for rules, band in (
        (Rules(hot=100), Band.WARM),
        (Rules(hot=value, warm=20), Band.HOT),
        (Rules(hot=value + 1), Band.WARM),
        (Rules(hot=value + 2, warm=value + 1), Band.COLD),
    ):
        assert score(evidence, rules).band is band, rules


def test_a_clinic_says_what_a_service_is_worth() -> None:
    turns = said("Hello.", "I'd like to book a moon bath.")
    wants = {"decision": Fact("wants", "I'd like to book"), "treatment_kind": Fact("routine", "a moon bath")}
    wants["treatment"] = Fact("a moon bath", "a moon bath")
    evidence = Evidence(turns, facts=wants)
    worths = list(Worth)[::-1]
    values = [score(evidence, Rules(services={"Moon bath": worth})).value for worth in worths]
    assert score(evidence).value == values[0] < values[1] < values[2]
    # What is set with the service counts before the rules.
    rules = Rules(services={"Moon bath": Worth.NORMAL})
    with_service = [
        score(replace(evidence, services=["Moon Bath"], worths={"Moon Bath": worth}), rules).value
        for worth in worths
    ]
    assert with_service == values


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("i'd like some implants please", "Implant consultation"),
        ("an implant", "Implant consultation"),
        ("a consultation", None),
        ("is it for teeth whitening or just whitening", "Teeth whitening"),
        ("just whitening", "Whitening"),
        ("a boss", None),
        ("call 0900 123 for implants", "Implant consultation"),
        ("", None),
    ],
)
def test_a_service_is_named_as_the_clinic_names_it(text: str, named: str | None) -> None:
    assert service_named(text, ["Implant consultation", "Whitening", "Teeth whitening", "Bos"]) == named


@pytest.mark.parametrize(
    "rules",
    [
        {"hot": 30},
        {"hot": 101},
        {"weights": {"wants": 1000}},
        {"weights": {"want": 1}},
        {"weights": {"words": -1}},
        {"services": {"Botox": "priceless"}},
        {"phrases": {"want": ["gizmo me"]}},
    ],
)
def test_rules_that_cannot_be_are_refused(rules: object) -> None:
    with pytest.raises(ValidationError):
        Rules.model_validate(rules)
