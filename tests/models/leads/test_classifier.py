"""What the caller's own words add to a score, and floors for the figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from bench import leads, learn
from models.calls.facts import Fact, words
from models.leads import classifier
from models.leads.scoring import Band, Evidence, Speaker, Turn, score
from tests.models.leads.told import CHATTY, said

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
    """After a change of the calls: `python -m bench.learn`. Another processor may round otherwise."""
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
    """The lines of models/leads/classifier.py compute what scikit-learn's pipeline does."""
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
