"""All that identifies a person is removed, and what a caller wants stays."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.insight.names_said import Nameless, can_be_told

NAME = "Wilhelmina Quarterstaff"


def said(*texts: str, known: tuple[str, ...] = (), **names: tuple[str, ...]) -> list[str]:
    """The redacted words of agent and caller, who speak alternately; the agent begins."""
    turns = [("caller" if place % 2 else "agent", text) for place, text in enumerate(texts)]
    nameless = Nameless(turns, known=known, **names)
    return [nameless.clean(text) for _, text in turns]


def caller(text: str, **names: tuple[str, ...]) -> str:
    return said("Hello?", text, **names)[1]


@pytest.mark.parametrize(
    "text",
    [
        NAME,
        "wilhelmina quarterstaff",
        "WILHELMINA",
        "quarterstaff, wilhelmina",
        "Wilhelmina's",
        "Wilhelmina-Quarterstaff",
    ],
)
def test_a_name_that_is_known_goes_however_it_is_written(text: str) -> None:
    assert caller(f"well {text} wants an implant", known=(NAME,)) == "well [...] wants an implant"


@pytest.mark.parametrize(
    "text",
    [
        "Jose",
        "José",
        unicodedata.normalize("NFD", "José"),
        "JOSE'S",
        "oneil",
        "O\N{RIGHT SINGLE QUOTATION MARK}Neil",
    ],
)
def test_a_name_goes_with_its_accents_and_without(text: str) -> None:
    assert caller(f"it is {text} again", known=("José O'Neil",)) == "it is [...] again"


def test_a_name_that_is_a_usual_word_goes_with_its_capital_letter() -> None:
    told = caller("I may come, said May An, an hour before", known=("May An",))
    assert told == "I may come, said [...], an hour before"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("My name is sarah jones and I want whitening", "My name is [...] and I want whitening"),
        ("the name's sarah, can you help", "the name's [...], can you help"),
        ("surname is featherstonehaugh", "surname is [...]"),
        ("book it under the name of jones please", "book it under the name of [...] please"),
        ("This is Sarah Jones. Sarah wants to book.", "This is [...]. [...] wants to book."),
        ("Jones here, about the crown", "[...] here, about the crown"),
        ("Sarah Jones. I want to book.", "[...]. I want to book."),
        ("I saw Dr. Patel last week", "I saw Dr. [...] last week"),
        ("it is for my daughter, Zoë", "it is for my daughter, [...]"),
        ("That's J-O-N-E-S", "That's [...]"),
        ("S for sugar, M for mother, I, double T, H", "[...]"),
        ("I live at 12 old oak street", "I live at [...]"),
        ("the postcode is NW1 4RY", "the postcode is [...]"),
        ("born 03/04/1985, or third of March 1985", "born [...], or third of March [...]"),
        ("write to sarah dot jones at mail dot example", "write to [...]"),
        ("write to sarah.jones@mail.example", "write to [...]"),
        ("it is on www.sarahjones.example/me", "it is on [...]"),
        ("ring me on 07700 900123", "ring me on [...]"),
    ],
)
def test_what_tells_who_it_is_goes(text: str, left: str) -> None:
    assert caller(text) == left


@pytest.mark.parametrize(
    "answer", ["sarah jones", "Sarah Jones", "Sarah.", "it's Sarah Jones", "Jones, Sarah"]
)
def test_the_answer_to_the_question_for_a_name_is_one(answer: str) -> None:
    _, told, after, _ = said(
        "And what is your name?", answer, "Thank you, Sarah.", "sarah wants botox, jones says so"
    )
    assert "arah" not in told
    assert "ones" not in told
    assert after == "Thank you, [...]."


@pytest.mark.parametrize(
    "text",
    [
        "I'd like an implant on Monday, in March, please. Yes, Botox! How much is it? It's £2,500.",
        "My name is on your list, and I'm ready. Can I come at ten thirty?",
        "Invisalign, or veneers? I don't mind. Tuesdays are best.",
        "OK. Great. No, that's fine. Tomorrow.",
        "Half past four? Lovely. It's for my Mum.",
    ],
)
def test_what_a_caller_wants_stays(text: str) -> None:
    assert caller(text) == text


def test_a_service_of_the_clinic_stays_and_its_people_go() -> None:
    told = caller(
        "Is the Glow Peel with Ava, or Ortho? Harbour is nice.",
        kept=("Glow Peel",),
        others=("Ava Stone", "Harbour Dental"),
    )
    assert told == "Is the Glow Peel with [...], or [...]? [...] is nice."


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["Yes, Sarah Jones."], True),
        (["É"], True),
        (["yes, sarah jones"], False),
        (["أنا سارة", "Yes"], False),
        (["我叫王伟", "OK"], False),
        (["", "..."], False),
        ([], False),
    ],
)
def test_where_no_name_could_be_told(texts: list[str], told: bool) -> None:  # noqa: FBT001
    assert can_be_told(texts) is told


@given(st.lists(st.text(max_size=80), max_size=6), st.text(max_size=40))
def test_anything_can_be_cleaned_and_no_known_name_is_left(texts: list[str], name: str) -> None:
    for text in said(*[f"{text} {NAME} {text}" for text in texts], known=(NAME, name)):
        assert "Wilhelmina" not in text
        assert "Quarterstaff" not in text


@pytest.mark.parametrize(
    "text", ["a-" * 1000, "a " * 1000, "A, " * 660, "1 a " * 500, "Name is " * 250, "[...]" * 400]
)
def test_a_long_turn_takes_no_longer_than_its_length(text: str) -> None:
    began = time.monotonic()
    said(*[text] * 20)
    assert time.monotonic() - began < 30  # normally a second; a slow pattern would take minutes
