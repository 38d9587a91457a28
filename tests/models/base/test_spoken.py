"""Codes as they are said, written and passed on; and texts that are no code."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models.base.spoken import digits_said


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("1234", "1234"),
        ("0042", "0042"),
        ("1 2 3 4", "1234"),
        ("1-2-3-4", "1234"),
        ("1,2,3,4", "1234"),
        ("1. 2. 3. 4.", "1234"),
        ("1,234", "1234"),
        ("12 34", "1234"),
        ("12:34", "1234"),
        ("1234#", "1234"),
        ("1\u20132\u20133\u20134", "1234"),
        ("1234.0", "1234"),
        (1234, "1234"),
        (1234.0, "1234"),
        (0, "0"),
        (42, "42"),
        ("one two three four", "1234"),
        ("One, two; three. FOUR!", "1234"),
        ("one-two-three-four", "1234"),
        ("1 two 3 four", "1234"),
        ("oh one o two", "0102"),
        ("oh, one two three", "0123"),
        ("zero nought naught nil", "0000"),
        ("1o2O", "1020"),
        ("double three four five", "3345"),
        ("triple 7 2", "7772"),
        ("treble zero one", "0001"),
        ("double oh seven", "007"),
        ("four double 5 six", "4556"),
        ("twelve thirty four", "1234"),
        ("twelve-thirty-four", "1234"),
        ("twenty three forty five", "2345"),
        ("twenty-three forty-five", "2345"),
        ("ten oh four", "1004"),
        ("twenty oh five", "2005"),
        ("nineteen ninety", "1990"),
        ("fifty fifty", "5050"),
        ("one twenty three four", "1234"),
        ("twenty 3 40", "2340"),
        ("it is 1 2 3 4", "1234"),
        ("It's 1234.", "1234"),
        ("it\u2019s one two three four", "1234"),
        ("The code is: 1234", "1234"),
        ("my code is one two, um, three and four", "1234"),
        ("um", None),
        ("okay so that's 1 2 uh 3 4 please", "1234"),
        ("1234, thank you", "1234"),
        ("oh, it is 1 2 3 4", "1234"),
        ("\uff11\uff12\uff13\uff14", "1234"),
        ("\uff4f\uff4e\uff45 \u2461 3 4", "1234"),
        ("\u0661\u0662\u0663\u0664", "1234"),
        ("\u06f1 \u06f2 \u06f3 \u06f4", "1234"),
        ("one to three for", "1234"),
        ("won too three ate", "1238"),
        ("double to 3 for", "2234"),
    ],
)
def test_said(said: object, digits: str | None) -> None:
    assert digits_said(said) == digits


@pytest.mark.parametrize(
    "said",
    [
        "",
        " - ",
        "the code is",
        "I don't know",
        "no idea",
        "1 2 3 5, no, 1 2 3 4",
        "1 2 3 5 sorry 4",
        "the 4 digit code is 1234",
        "four digits: one two three four",
        "the one I got is 1 2 3 4",
        "to 1 2 3 4 it is for 5",
        "one hundred",
        "twelve hundred",
        "one thousand two hundred",
        "double",
        "double double two",
        "double twelve",
        "double 33",
        "repeat",
        "one two three repeat",
        "12th",
        "1.5e3",
        "+1234",
        "12%",
        "\u00bd",
        "\u2776",  # a digit to str.isdigit
        "1234 \U0001f600",
        "ABCD",
        "\u4e00\u4e8c",
        "null",
        "1" * 10_000,
        "one " * 2_500,
        True,
        False,
        None,
        [],
        {},
        ["1", "2"],
        {"code": "1234"},
        b"1234",
        -1234,
        12.5,
        10**5_000,
        1e300,
        float("nan"),
        float("inf"),
        Decimal(1234),
    ],
    ids=lambda said: repr(said)[:40] if not isinstance(said, int) else f"int {said < 0}",
)
def test_no_code(said: object) -> None:
    assert digits_said(said) is None


WORDS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True))  # noqa: SIM905
CODES = st.text("0123456789", min_size=1, max_size=8)


@given(CODES, st.data())
def test_every_code_said_digit_by_digit_comes_back(code: str, data: st.DataObject) -> None:
    says = [data.draw(st.sampled_from([digit, WORDS[digit], WORDS[digit].upper()])) for digit in code]
    gap = data.draw(st.sampled_from([" ", ", ", "-", " - ", "; ", " um "]))
    before = data.draw(st.sampled_from(["", "it's ", "The code is ", "um, "]))
    after = data.draw(st.sampled_from(["", ".", " please", ", thank you!"]))
    assert digits_said(before + gap.join(says) + after) == code


@given(CODES)
def test_every_code_written_comes_back(code: str) -> None:
    assert digits_said(code) == code
    assert digits_said(int(code)) == digits_said(float(code)) == str(int(code))


@given(
    st.one_of(
        st.text(), st.text("0123456789 .,-oOtdn\u2776\u00b2\u0661"), st.integers(), st.floats(), st.binary()
    )
)
def test_whatever_is_said_is_ascii_digits_or_none(said: Any) -> None:
    digits = digits_said(said)
    assert digits is None or (digits.isascii() and digits.isdecimal())


@given(CODES, st.text("abcdefghijklmnopqrstuvwxyz", min_size=6))
def test_an_unknown_word_makes_it_unreadable(code: str, word: str) -> None:
    assume(digits_said(word) is None and digits_said(f"{word} 1") is None)  # eleven, double
    assert digits_said(f"{code} {word} {code}") is None
