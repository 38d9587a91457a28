"""Lead scoring: the laws of a pure function, each line of its tables, and minimum figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from bench import leads, learn
from models.calls.facts import SCHEMA, CallFacts, Fact, borne_out, parse_facts, words
from models.leads import classifier, scoring
from models.leads.scoring import Band, Evidence, Rules, Score, Speaker, Turn, Weights, score, service_named

#: The values that each fact may have.
VALUES: dict[str, list[str]] = {
    name: fact["properties"]["value"].get("enum", ["implants"]) for name, fact in SCHEMA["properties"].items()
}
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

CHATTY = (
    "I've been putting this off for years but enough is enough, I want my smile sorted before the wedding.",
    "We could see you on Monday.",
    "Monday's grand, what time should I be there?",
)


def said(*texts: str) -> tuple[Turn, ...]:
    """Turns of agent and caller alternately; the agent begins."""
    speakers = (Speaker.AGENT, Speaker.CALLER)
    return tuple(Turn(speakers[number % 2], text) for number, text in enumerate(texts))


def facts(**values: str) -> dict[str, Fact]:
    """Facts whose quotes are words of `a_call`."""
    return {name: Fact(value, f"words of {name}") for name, value in values.items()}


ALL_WORDS = said("Hello.", " ".join(f"words of {name}." for name in VALUES))


def a_call(**values: str) -> Score:
    """The score of a call in which the caller's words support these facts."""
    return score(Evidence(ALL_WORDS, facts=facts(**values)))


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
    assume(score(without) == score(replace(evidence, facts={})))  # an empty answer can change the score
    assert score(replace(evidence, facts=made_up)) == score(without)


@quickly
@given(EVIDENCE, st.builds(Weights, booked=st.integers(-100, 100), base=st.integers(-100, 100)))
def test_a_caller_who_booked_is_never_cold(evidence: Evidence, weights: Weights) -> None:
    assert score(replace(evidence, booked=True), Rules(weights=weights)).band is not Band.COLD


def test_every_combination_of_facts_has_a_band_that_its_decision_allows() -> None:
    """Hot needs a decision, a wish or a need; interest stays warm; a call about something else is cold."""
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
            else:  # a wish counts at least as much as interest
                interest = a_call(**stance | {"decision": "undecided"}, **more).value
                assert a_call(**stance, **more).value >= min(interest, 40), (stance, more)
                assert band is not Band.COLD, (stance, more)


# --- facts ---------------------------------------------------------------------------------------


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


# --- the caller's words ------------------------------------------------------------------------------


def test_the_words_count_where_no_fact_says_what_the_caller_wanted() -> None:
    turns = said("How can I help?", *CHATTY)
    plain = score(Evidence(turns))
    assert plain.band is Band.HOT
    assert {reason.code for reason in plain.reasons} == {"base", "words"}
    assert all(reason.quote in " ".join(CHATTY) for reason in plain.reasons)
    half = {"patient": Fact("new", "I want my smile sorted")}
    assert score(Evidence(turns, facts=half)) == plain
    for known in (
        Evidence(turns, booked=True),
        Evidence(turns, facts={"purpose": Fact("enquiry", "Monday's grand")}),
    ):
        assert "words" not in {reason.code for reason in score(known).reasons}


@pytest.mark.parametrize(
    "text",
    [
        "I want to book an appointment",
        "Guten Tag, ich möchte gerne einen Termin für eine Zahnreinigung nächste Woche, am Montag",
        "Hola buenos días quería pedir una cita para un implante lo antes posible por favor me duele mucho",
        "bonjour je voudrais savoir combien coute un implant c'est pour le 12 03 2024 merci",
        "ich wollte nur die Rechnung vom 12 03 2024 noch einmal haben bitte, die Nummer ist 4 5 6 7",
        "vorrei prenotare una visita il 12 marzo alle 10 30 ho male a un dente da due giorni",
        "mujhe ek implant karwana hai kal subah ka appointment chahiye please jaldi se batao kitna paisa",
        "po gusto ko sana magpa appointment bukas kasi masakit ang ngipin ko talaga po",
        "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0",
        "OK thank you very much, that's great, goodbye now, have a lovely day, thanks again",
        "Dzień dobry chciałbym umówić się na wizytę jutro rano bo bardzo boli mnie ząb i nie mogę spać",
    ],
)
def test_a_call_of_which_little_is_known_is_warm_and_says_so(text: str) -> None:
    result = score(Evidence(said("Hello.", text)))
    assert (result.band, result.call_back) == (Band.WARM, False)
    assert result.reasons[-1].why == "What the caller wanted could not be told."


def test_a_call_in_which_the_caller_said_nothing_is_cold() -> None:
    assert score(Evidence(said("Hello? Is anybody there?"))).band is Band.COLD


def test_the_weights_are_what_the_labelled_calls_give() -> None:
    """After a change of the calls, run `python -m bench.learn`. Another processor may round differently."""
    rows = [json.loads(line) for line in (leads.FOLDER / "learnt.jsonl").read_text("utf-8").splitlines()]
    learnt = {line.split("\t")[0]: line.split("\t")[1:] for line in learn.learn(rows)}
    kept = {
        line.split("\t")[0]: line.split("\t")[1:]
        for line in classifier.WEIGHTS.read_text("utf-8").splitlines()
    }
    both = learnt.keys() & kept.keys()
    assert len(both) >= 0.99 * len(kept)
    assert all(
        abs(int(new) - int(old)) <= 5
        for name in both
        for new, old in zip(learnt[name], kept[name], strict=True)
    )


def test_the_file_of_weights_gives_what_the_library_gives() -> None:
    """models/leads/classifier.py computes the same as scikit-learn's pipeline."""
    model = classifier.model()
    names = sorted(model.features)
    vectors = TfidfVectorizer(
        analyzer=classifier.ngrams, sublinear_tf=True, vocabulary=names, norm=None, use_idf=False
    )
    judgements = 0
    for case in leads.read("held_out")[:40]:
        caller = [turn.text for turn in case.whole.turns if turn.speaker is Speaker.CALLER]
        if judged := classifier.judge(caller):
            counts = vectors.fit_transform([caller]).toarray()[0]
            values = normalize(
                [[count * model.features[name].idf for count, name in zip(counts, names, strict=True)]]
            )
            for side, given in (("hot", judged.hot), ("warm", judged.warm)):
                weights = [getattr(model.features[name], side) for name in names]
                margin = values[0] @ weights + getattr(model.bias, side)
                assert given == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-6)
            judgements += 1
    assert judgements > 30


GOODBYES = (
    ("Anything else?", "No, that's all, thank you. Bye."),
    ("Great.", "Thanks ever so much, bye-bye."),
    ("Have a lovely afternoon.", "You too, enjoy your weekend. Bye now."),
    ("Thank you.", "No worries, take care now."),
)


@pytest.mark.parametrize("goodbye", GOODBYES)
def test_a_goodbye_changes_the_band_of_few_calls(goodbye: tuple[str, str]) -> None:
    cases = leads.read("held_out")
    after = (Turn(Speaker.AGENT, goodbye[0]), Turn(Speaker.CALLER, goodbye[1]))
    changed = [
        case.id
        for case in cases
        if score(case.words).band is not score(replace(case.words, turns=(*case.words.turns, *after))).band
    ]
    assert len(changed) < len(cases) / 12, changed


def test_what_scoring_takes_grows_with_the_text_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0

    def counted(text: str) -> list[str]:
        nonlocal steps
        steps += len(text)
        return words(text)

    for module in ("leads.classifier", "calls.facts", "leads.scoring"):
        monkeypatch.setattr(f"models.{module}.words", counted)

    def taken(times: int) -> int:
        nonlocal steps
        steps = 0
        score(Evidence(tuple(Turn(Speaker.CALLER, "i want to book. " * 100) for _ in range(times))))
        return steps

    assert taken(16) <= 9 * taken(2)


# --- rules -----------------------------------------------------------------------------------------


def test_rules_go_through_json_and_back() -> None:
    rules = Rules.model_validate({"weights": {"wants": 45}, "hot": 75, "services": {"Moon bath": "high"}})
    assert Rules.model_validate_json(rules.model_dump_json()) == rules
    assert json.loads(Rules().model_dump_json())["weights"] == Weights().model_dump()


@pytest.mark.parametrize("code", [name for name in Weights.model_fields if name != "words"])
def test_every_weight_counts(code: str) -> None:
    """Each reason applies to at least one call, with the clinic's points."""
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
    worths: list[scoring.Worth] = ["low", "normal", "high"]
    values = [score(evidence, Rules(services={"Moon bath": worth})).value for worth in worths]
    assert score(evidence).value == values[0] < values[1] < values[2]


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


# --- figures ---------------------------------------------------------------------------------------


def test_nothing_is_learnt_from_the_calls_that_are_held_out() -> None:
    learnt = {turn.text for case in leads.read("learnt") for turn in case.whole.turns if len(turn.text) > 60}
    held_out = leads.read("held_out")
    assert len({case.id for case in held_out}) == len(held_out) >= 180
    assert not [turn.text for case in held_out for turn in case.whole.turns if turn.text in learnt]
    assert all(case.whole.facts is not None for case in held_out)


@pytest.mark.parametrize(
    ("way", "precision", "recall", "right"),
    [
        ("words alone", 0.83, 0.77, 0.76),
        ("words and rows", 0.83, 0.78, 0.76),
        ("facts and rows", 0.92, 0.92, 0.9),
    ],
)
def test_the_figures_on_calls_of_strangers_do_not_fall(
    way: str, precision: float, recall: float, right: float
) -> None:
    result = leads.ways(leads.read("held_out"))[way]
    assert result.precision >= precision
    assert result.recall >= recall
    assert result.right >= right
