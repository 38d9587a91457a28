"""Codes, cards and telephone numbers are removed in any wording; times, prices and years stay."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calls.redaction import GONE, redact, without_codes

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("It says 5, 0, 6, 8.", "It says [...]."),
        ("It says five, zero ... six, eight", "It says [...]"),
        ("double five, uh, six one", "double [...]"),
        ("my code is 1234", "my code is [...]"),
        ("it says 2012", "it says [...]"),
        ("50 68", "[...]"),
        ("\uff13\uff14\uff15\uff16", "[...]"),
        ("card 4111 1111 1111 1111 please", "card [...] please"),
        ("call me on (020) 7946-0958", "call me on ([...]"),
        ("write to a.b@c.example", "write to [...]"),
        ("It's 07700 900123. Grand.", "It's [...]. Grand."),
        ("4111 1111 1111 1111, grand thanks", "[...], grand thanks"),
        ("it says 5068. Quid pro quo", "it says [...]. Quid pro quo"),
        *(
            (words, words)
            for words in (
                "in 2019 I had two of them",
                "on 4 December 2026",
                "ten thirty works",
                "nine forty five, or at 10:30",
                "10 30 please",
                "about 1200 dollars, or £2,500",
                "I would pay 2500, grand or not",
                "I have two kids, one is four",
                "the 4th, 5th or 6th at 10 or 11",
            )
        ),
    ],
)
def test_what_goes_and_what_stays(said: str, kept: str) -> None:
    assert redact(said) == kept


def in_digits(code: str) -> str:
    return code


def spaced(code: str) -> str:
    return ", ".join(code) + "."


def in_words(code: str) -> str:
    return " ".join(WORDS[int(digit)] for digit in code)


def with_an_oh(code: str) -> str:
    return in_words(code).replace("zero", "oh")


def halting(code: str) -> str:
    return "um ".join(f"{WORDS[int(digit)]}, " for digit in code)


def in_two(code: str) -> str:
    return f"{code[:2]} {code[2:]}"


@given(
    st.from_regex(r"[0-9]{4,8}", fullmatch=True),
    st.sampled_from([in_digits, spaced, in_words, with_an_oh, halting, in_two]),
    st.sampled_from(["", "It says ", "The one I got is ", "so it's ", "at ten thirty it came: "]),
    st.sampled_from(["", " is that it?", " thanks"]),
)
def test_no_way_to_say_the_code_of_a_call_is_kept(code: str, way: object, before: str, after: str) -> None:
    said = way(code)  # type: ignore[operator]
    (kept,) = without_codes([f"{before}{said}{after}"], [code])
    assert GONE in kept
    assert said.strip(" ,.") not in kept


@given(st.from_regex(r"[0-9]{4}", fullmatch=True), st.integers(1, 3), st.sampled_from([in_words, spaced]))
def test_a_code_that_is_said_over_several_turns_goes(code: str, cut: int, way: object) -> None:
    first, second = way(code[:cut]), way(code[cut:])  # type: ignore[operator]
    turns = without_codes(["Yes?", f"It says {first}", "Mm-hm.", f"and then {second}", "Thank you."], [code])
    assert turns[0] == "Yes?"
    assert turns[1].startswith("It says [...]")
    assert turns[3].startswith("and then [...]")


def test_pairs_and_words_that_sound_alike_go_when_they_are_the_code() -> None:
    assert without_codes(["eleven fifteen", "to for six ate", "ten thirty"], ["1115", "2468"]) == [
        GONE,
        GONE,
        "ten thirty",
    ]


@pytest.mark.parametrize(
    "turn", ["one a " * 333, "a" * 2000, "1 " * 1000, "a@" * 1000, "a." * 1000, "a@b." * 500, "double " * 285]
)
def test_no_words_take_longer_than_their_number(turn: str) -> None:
    """The words of a caller or of a report cannot keep a web process busy."""

    def seconds(turns: int) -> float:
        begun = time.thread_time()
        without_codes([redact(turn) for _ in range(turns)], ["1111", "0000"])
        without_codes([turn] * turns, ["1111", "0000"])
        return time.thread_time() - begun

    few = min(seconds(10) for _ in range(3))
    assert seconds(80) < 8 * 4 * few + 0.05
