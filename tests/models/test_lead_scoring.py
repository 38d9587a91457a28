"""Lead scoring: the laws of a pure function, sentences that used to be misread, floors for the figures."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import leads, learn
from models import lead_likeness
from models.lead_facts import CallFacts, parse_facts
from models.lead_scoring import Band, Evidence, Rules, Score, Speaker, Turn, Weights, score

WORDS = (
    "i want to book an appointment",
    *(
        "botox",
        "implants",
        "in plants",
        "a pointment",
        "tomorrow",
        "today",
        "at ten",
        "my tooth broke",
        "the deposit",
    ),
    *(
        "please",
        "not",
        "do not",
        "don't",
        "never mind",
        "cancel my",
        "wrong number",
        "no",
        "yes",
        "can't wait",
        "can",
    ),
    *(
        "how much is it",
        "if",
        "you could",
        "call me back",
        "is this",
        "press one",
        "hiring",
        "complaint",
        "refund",
    ),
    *("and", "but", "because", ",", ".", "?", "my sister had", "Dr Price", "i", "we"),
)
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)
TEXTS = st.one_of(SENTENCES, st.text(max_size=200))
TURNS = st.lists(st.builds(Turn, st.sampled_from(Speaker), TEXTS), max_size=12).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FACT_NAMES = st.sampled_from(
    ["service", "intent", "urgency", "budget", "rejection", "complaint", "wrong_number", "booked", "reasons"]
)
FACT_VALUES = JSON | st.sampled_from(["book", "cancel", "spam", "now", "soon", "accepted", "true", "botox"])
FACTS = JSON | st.dictionaries(FACT_NAMES, FACT_VALUES, max_size=9)
EVIDENCE = st.builds(
    Evidence,
    TURNS,
    duration=st.none() | st.floats(allow_nan=False),
    booked=st.booleans(),
    service=st.none() | st.text(max_size=20) | st.just("Botox"),
    returning=st.none() | st.booleans(),
    evaluation=st.none() | st.text(max_size=20) | st.sampled_from(["true", "8", "80%", "B+", "Poor"]),
    facts=FACTS.map(parse_facts),
)
quickly = settings(max_examples=150)


def said(*texts: str) -> tuple[Turn, ...]:
    """Turns in which the agent begins, and the two take turns."""
    speakers = (Speaker.AGENT, Speaker.CALLER)
    return tuple(Turn(speakers[number % 2], text) for number, text in enumerate(texts))


def heard(*texts: str) -> Score:
    return score(Evidence(said("How can I help?", *texts)))


# --- Laws --------------------------------------------------------------------------------------------


@quickly
@given(EVIDENCE)
def test_a_score_is_the_sum_of_its_reasons_held_between_0_and_100(evidence: Evidence) -> None:
    result = score(evidence)
    assert result.value == min(100, max(0, sum(reason.points for reason in result.reasons)))
    assert result.band is (Band.HOT if result.value >= 70 else Band.WARM if result.value >= 35 else Band.COLD)
    assert result == score(evidence)


@quickly
@given(EVIDENCE, TEXTS)
def test_what_the_agent_says_without_a_short_answer_changes_nothing(evidence: Evidence, text: str) -> None:
    turns = (Turn(Speaker.AGENT, f"{text} before"), *evidence.turns)
    first_is_agents = bool(evidence.turns) and evidence.turns[0].speaker is Speaker.AGENT
    if first_is_agents and evidence.turns[0].text.strip():
        assert score(replace(evidence, turns=turns)) == score(evidence)
    assert score(replace(evidence, turns=(*evidence.turns, Turn(Speaker.AGENT, text)))) == score(evidence)


def test_no_praise_of_the_agents_makes_a_lead() -> None:
    boast = "You're booked for botox on Friday at ten, deposit paid! Implants, veneers, an urgent slot today!"
    story = (
        "Well I was only wondering whether somebody there could tell me what time the library next door opens"
        " on a Wednesday, since nobody answers their phone and I have a pile of novels to return to them."
    )
    quiet = score(Evidence(said("Hello.", story)))
    assert score(Evidence(said(boast, story, boast))) == quiet
    assert quiet.band is Band.COLD


@quickly
@given(TURNS, FACTS)
def test_any_json_as_facts_is_read_or_left(turns: tuple[Turn, ...], found: object) -> None:
    score(Evidence(turns, facts=parse_facts(found)))


@quickly
@given(EVIDENCE)
def test_facts_that_quote_what_was_never_said_change_nothing(evidence: Evidence) -> None:
    made_up = CallFacts(service="botox", intent="book", urgency="now", budget="accepted", booked=True)
    facts = replace(made_up, reasons=("zebra quartz xylophone", "violet umbrella ocelot"))
    assert score(replace(evidence, facts=facts)) == score(replace(evidence, facts=None))


def test_facts_that_our_rows_contradict_are_dropped() -> None:
    turns = said("Hello.", "Hm, what time do you close?")
    nothing = score(Evidence(turns))
    assert score(Evidence(turns, facts=CallFacts(intent="book", booked=True))) == nothing
    booked = Evidence(said("Does ten suit you?", "Yes please."), booked=True, service="Botox")
    wrong = CallFacts(wrong_number=True, rejection=True, intent="wrong_number")
    assert score(replace(booked, facts=wrong)) == score(booked)
    assert score(booked).band is Band.HOT


def test_facts_lead_where_the_words_were_not_understood() -> None:
    turns = said("Hello.", "The veneers, as we discussed in the hallway. Consider me a taker.")
    facts = CallFacts(service="veneers", intent="book", urgency="soon", reasons=("Consider me a taker",))
    assert score(Evidence(turns)).band is not Band.HOT
    assert score(Evidence(turns, facts=facts)).band is Band.HOT


def test_facts_do_not_revive_what_was_taken_back() -> None:
    turns = said("Hello.", "I'd like to book botox.", "Friday at two?", "No, forget it, I changed my mind.")
    facts = CallFacts(service="botox", intent="book", urgency="soon", reasons=("I'd like to book botox",))
    assert score(Evidence(turns, facts=facts)).band is Band.COLD


@pytest.mark.parametrize(
    ("found", "facts"),
    [
        (None, None),
        ("book", None),
        ({}, None),
        ({"intent": "buy a car", "urgency": 5, "reasons": 3}, None),
        ({"intent": "Wrong Number"}, CallFacts(intent="wrong_number")),
        ({"booked": "yes", "complaint": "perhaps"}, CallFacts(booked=True)),
        (
            {"decisionMaker": False, "reasons": "just this"},
            CallFacts(decision_maker=False, reasons=("just this",)),
        ),
        ({"service": "  Botox ", "reasons": ["a", None, 4, ""]}, CallFacts(service="Botox", reasons=("a",))),
    ],
)
def test_facts_are_parsed_leniently(found: object, facts: CallFacts | None) -> None:
    assert parse_facts(found) == facts


# --- Time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["i want ", "can i ", "(" * 7, "not ", "if i ", "9 ", "my tooth ", "to book ", "x"]
)
def test_time_grows_with_the_text_and_no_faster(text: str) -> None:
    def seconds(times: int) -> float:
        turns = tuple(Turn(Speaker.CALLER, text * (2_000 // len(text))) for _ in range(times))
        begun = time.process_time()
        score(Evidence(turns))
        return time.process_time() - begun

    seconds(1)
    assert min(seconds(8) for _ in range(3)) < 16 * max(min(seconds(2) for _ in range(3)), 0.004)


def test_a_call_of_ten_minutes_is_scored_in_no_time() -> None:
    assert leads.milliseconds_a_call() < 80  # 20 on a quiet machine; this one may be busy


# --- Sentences ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("I want to book an appointment", Band.WARM),
        ("wrong number, I have never been here before", Band.COLD),
        ("I do not want botox", Band.COLD),
        ("I'm cancelling my appointment and putting this on Facebook, it's a disgrace.", Band.COLD),
        ("I want to book botox", Band.HOT),
        ("I don't want botox, I want to book fillers", Band.HOT),
        ("I can't wait to get my implants done, when can I come in?", Band.HOT),
        ("I do not want to wait any longer, can you fit me in for the veneers this week?", Band.HOT),
        ("There's no rush, but how much are implants?", Band.COLD),
        ("I'm interested in Invisalign but I need to ask my husband.", Band.WARM),
        ("My sister had fillers with you and left her scarf.", Band.COLD),
        ("Is Mrs Booker there? It's Dr Price.", Band.COLD),
        ("can i make a pointment for bo tox tomorrow", Band.HOT),
        ("I need in plants, can you see me on Monday?", Band.HOT),
        ("My tooth broke and I'm in agony.", Band.HOT),
        (
            "Are you the business owner? We help clinics rank on Google, can I book a call this week?",
            Band.COLD,
        ),
        ("Call me back tomorrow, I want to go ahead with the surgery.", Band.HOT),
        ("Oh sure, because I've got ten thousand pounds lying around. Sign me up.", Band.COLD),
        ("Stop calling me and take me off your list.", Band.COLD),
        ("I need to reschedule my root canal to Friday.", Band.COLD),
        ("Can you get my daughter in for braces next week?", Band.HOT),
    ],
)
def test_a_sentence(text: str, band: Band) -> None:
    result = heard(text)
    assert result.band is band, result


def test_the_same_yes_means_what_it_answers() -> None:
    assert heard("Botox.", "Shall I book you in on Friday at ten?", "Yes.").band is Band.HOT
    assert heard("Botox.", "Would you like me to cancel it?", "Yes.").band is Band.COLD
    assert heard("Botox.", "Would you like to book?", "No thanks.").band is Band.COLD


def test_the_last_word_counts() -> None:
    booked = ("I'd like to book whitening for Thursday.", "Thursday at two?", "Perfect.")
    assert heard(*booked).band is Band.HOT
    assert heard(*booked, "You're set.", "Oh no, cancel that, I'm away. Forget it.").band is Band.COLD
    assert (
        heard("I wasn't going to book today.", "I see.", "Oh go on, book me in for the botox.").band
        is Band.HOT
    )


def test_length_and_verdict_make_nothing_hot() -> None:
    turns = said("Hello.", "Are you a real person?", "I am not.", "Well I never. It's raining here.")
    assert score(Evidence(turns, duration=900, evaluation="true")).band is Band.COLD


@pytest.mark.parametrize(
    ("evaluation", "points"),
    [
        *((text, 2) for text in ("true", "8", "80%", "A-", "Good", "Strongly Agree")),
        *((text, -2) for text in ("false", "2", "F", "30%")),
        *((text, 0) for text in ("50", "The caller was polite.", "")),
    ],
)
def test_a_verdict_in_any_rubric(evaluation: str, points: int) -> None:
    result = score(Evidence(said("Hello.", "I'd like to book botox."), evaluation=evaluation))
    assert sum(reason.points for reason in result.reasons if reason.code == "evaluation") == points


def test_a_reason_quotes_the_caller() -> None:
    result = heard("I'd like to book botox.", "Friday at ten?", "Yes, Friday works.")
    assert ("commit", "Yes, Friday works.") in {(reason.code, reason.quote) for reason in result.reasons}


# --- What such calls are -----------------------------------------------------------------------------------

#: Without the comparison.
BY_ITS_WORDS = Rules.model_validate({"weights": {"likeness": 0}})
CHATTY = (
    "I've been putting this off for years but enough is enough, I want my smile sorted before the wedding.",
    "We could see you on Monday.",
    "Monday's grand, what time should I be there?",
)


def test_the_weights_are_what_the_transcripts_give() -> None:
    """`python -m bench learn` after any change of what is learnt from. A library's last digit may differ."""
    known = leads.sets()
    learnt = learn.learn([case for name in learn.LEARNT for case in known[name]])
    kept = lead_likeness.weights()
    assert len(learnt.keys() ^ kept.keys()) <= len(learnt) / 1000
    assert all(
        abs(learnt[name][side] - 10 * kept[name][side]) < 1.1
        for name in learnt.keys() & kept.keys()
        for side in (0, 1)
    )


def test_nothing_is_learnt_from_what_nobody_looked_at() -> None:
    known = leads.sets()
    learnt = {
        turn.text
        for name in learn.LEARNT
        for case in known[name]
        for turn in case.whole.turns
        if len(turn.text) > 60
    }
    for name in ("held out", "unseen"):
        texts = [
            turn.text for case in known[name] for turn in case.whole.turns if turn.speaker is Speaker.CALLER
        ]
        assert not [text for text in texts if text in learnt]


def test_a_call_is_compared_with_others_where_it_has_words_for_it() -> None:
    result = heard(*CHATTY)
    [like] = [reason for reason in result.reasons if reason.code == "likeness"]
    assert like.quote in CHATTY
    assert result.band is Band.HOT
    read = score(Evidence(said("How can I help?", *CHATTY)), BY_ITS_WORDS)
    assert read.value == result.value - like.points < 70
    for few in ("I want to book botox.", "Yes please."):
        assert "likeness" not in {reason.code for reason in heard(few).reasons}


GOODBYES = (
    ("Anything else?", "No, that's all, thank you. Bye."),
    ("Is there anything more I can do for you today?", "I'm all good, cheers."),
    ("Great.", "Thanks ever so much, bye-bye."),
    ("Have a lovely afternoon.", "You too, enjoy your weekend. Bye now."),
    ("Any allergies?", "No."),
    ("Thank you.", "No worries, take care now."),
)


@pytest.mark.parametrize("goodbye", GOODBYES)
def test_how_a_call_ends_says_nothing_of_it(goodbye: tuple[str, str]) -> None:
    cases = [case for name in ("held out", "unseen") for case in leads.sets()[name]]
    after = (Turn(Speaker.AGENT, goodbye[0]), Turn(Speaker.CALLER, goodbye[1]))
    changed = [
        case.id
        for case in cases
        if score(case.words).band is not score(replace(case.words, turns=(*case.words.turns, *after))).band
    ]
    assert len(changed) < len(cases) / 12, changed


@pytest.mark.parametrize(
    "words", ["I'm good, thanks.", "No, that's great, thanks Ava.", "No, you've covered it all."]
)
def test_to_want_nothing_more_refuses_nothing_and_takes_nothing(words: str) -> None:
    hot = ("Hi, I'd like to book in for implants.", "Tuesday at ten?", "Tuesday at ten is perfect.")
    cold = ("What time do you close on a Friday?", "At five.", "Okay, thank you.")
    for call in (hot, cold):
        turns = said("How can I help?", *call)
        more = said("Is there anything else I can help you with?", words)
        assert (
            score(Evidence((*turns, *more)), BY_ITS_WORDS).value == score(Evidence(turns), BY_ITS_WORDS).value
        )
    assert (
        heard(*hot, "Anything else?", "No. Actually, cancel that, I've changed my mind.").band is not Band.HOT
    )


def test_the_weather_is_in_no_hurry() -> None:
    codes = {
        each.code
        for each in score(
            Evidence(said("Hello.", "It's awful weather today, isn't it?")), BY_ITS_WORDS
        ).reasons
    }
    assert not codes & {"now", "today", "soon"}


@pytest.mark.parametrize(
    "opening",
    [
        "Hello, I'm calling from Google about your business listing, it's not verified.",
        "I'd like to send you my CV for the receptionist vacancy.",
        "I'm an engineer, I'm here to service your X-ray machine.",
        "Is this the hairdresser? I want a cut and colour.",
        "I need to cancel my appointment on Friday.",
    ],
)
def test_whoever_is_no_lead_does_not_become_one_by_agreeing_on_a_time(opening: str) -> None:
    assert (
        heard(opening, "I could offer Tuesday at ten.", "Tuesday at ten works for me.").band is not Band.HOT
    )


def test_a_clinics_weights_and_thresholds_count_beside_the_comparison() -> None:
    cases = [case.words for case in leads.sets()["unseen"]]

    def hot(**rules: object) -> int:
        found = Rules.model_validate(rules)
        return sum(score(case, found).band is Band.HOT for case in cases)

    usual = hot()
    assert hot(hot=90) < usual * 0.95 < usual * 1.05 < hot(hot=50)
    assert hot(weights={"base": -40}) < usual * 0.95
    with pytest.raises(ValidationError):
        hot(weights={"likeness": -1})


def test_another_language_is_compared_with_nothing() -> None:
    turns = said(
        "Guten Tag.",
        "Grüß Gott, meine Krone ist herausgefallen und sie wackelt seit gestern Abend ganz furchtbar.",
    )
    assert "likeness" not in {reason.code for reason in score(Evidence(turns)).reasons}


def test_what_is_known_needs_no_comparison() -> None:
    turns = said("How can I help?", *CHATTY)
    facts = CallFacts(intent="book", reasons=("Monday's grand",))
    for evidence in (Evidence(turns, booked=True), Evidence(turns, facts=facts)):
        assert "likeness" not in {reason.code for reason in score(evidence).reasons}
    for half in (CallFacts(intent="book"), CallFacts(service="whitening", reasons=("Monday's grand",))):
        assert "likeness" in {reason.code for reason in score(Evidence(turns, facts=half)).reasons}


def test_whoever_wants_no_call_is_raised_by_no_likeness() -> None:
    result = heard(
        "Take me off your marketing list and stop ringing me.",
        "Done. You have an offer for implants, do you want it?",
        "Yes please, Wednesday at four is perfect, put me down for that, thank you.",
    )
    assert result.band is Band.COLD
    assert "likeness" not in {reason.code for reason in result.reasons}


# --- Rules -------------------------------------------------------------------------------------------------


def test_rules_go_through_json_and_back() -> None:
    rules = Rules.model_validate(
        {
            "weights": {"want": 40},
            "hot": 75,
            "services": {"Moon bath": "high"},
            "phrases": {"want": ["gizmo me"]},
        }
    )
    assert Rules.model_validate_json(rules.model_dump_json()) == rules
    assert json.loads(Rules().model_dump_json())["weights"] == Weights().model_dump()


def test_a_clinics_own_services_and_phrases_count() -> None:
    evidence = Evidence(said("Hello.", "I'd like to book a moon bath."))
    assert score(evidence).band is Band.WARM
    assert score(evidence, Rules(services={"Moon bath": "high"})).band is Band.HOT
    assert score(replace(evidence, services={"Moon bath": "high"})).service == "Moon bath"
    own = Rules.model_validate({"phrases": {"commit": ["gizmo me"]}})
    gizmo = Evidence(said("Hello.", "Gizmo me with botox."))
    assert score(gizmo, own).value > score(gizmo).value


def test_a_clinic_says_what_a_service_is_worth() -> None:
    evidence = Evidence(said("Hello.", "I'd like to book botox."), services={"Botox": "low"})
    assert score(evidence).value < score(replace(evidence, services={"Botox": None})).value


@pytest.mark.parametrize(
    "rules",
    [
        {"hot": 30},
        {"hot": 101},
        {"weights": {"want": 1000}},
        {"weights": {"wants": 1}},
        {"services": {"Botox": "priceless"}},
        {"phrases": {"want": ["(open"]}},
        {"phrases": {"want": ["<nowhere> else"]}},
        {"phrases": {"want": ["[only] [maybe]"]}},
        {"phrases": {"want": ["a.*b"]}},
        {"phrases": {"want": ["x " * 400]}},
        {"phrases": {"nonsense": ["x"]}},
    ],
)
def test_rules_that_cannot_be_are_refused(rules: object) -> None:
    with pytest.raises(ValidationError):
        Rules.model_validate(rules)


# --- Figures ----------------------------------------------------------------------------------------------


def test_the_evaluation_set_is_what_it_says() -> None:
    found = leads.sets()
    cases = [case for each in found.values() for case in each]
    assert len({case.id for case in cases}) == len(cases)
    assert len(found["tune"]) + len(found["held out"]) >= 220
    assert sum(case.whole.facts is not None for case in cases) >= 100
    assert min(sum(case.label is Band.HOT for case in each) for each in found.values()) >= 40


@pytest.mark.parametrize("facts", [False, True])
@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("tune", 0.97),
        ("held out", 0.9),
        ("lines, looked at", 0.95),
        ("fresh, since looked at", 0.92),
        ("unseen", 0.85),
    ],
)
def test_precision_and_recall_do_not_fall(name: str, floor: float, *, facts: bool) -> None:
    result = leads.judge(leads.sets()[name], facts=facts)
    assert result.precision >= floor
    assert result.recall >= floor
