"""Codes and telephone numbers as people say them, speech-to-text writes them and a model passes them on.

models/calls/redaction.py uses the same words to take codes out of transcripts.
"""

from __future__ import annotations

import re
import unicodedata

MAX_CHARACTERS = 200

_tokens = re.compile(r"\d+|[a-z]+|\S").findall

DIGITS = (
    {str(digit): str(digit) for digit in range(10)}
    | dict.fromkeys(("zero", "oh", "o", "nought", "naught", "nil"), "0")
    | dict(zip(_tokens("one two three four five six seven eight nine"), "123456789", strict=True))
)
HOMOPHONES = {"to": "2", "too": "2", "for": "4", "ate": "8", "won": "1"}
TENS = dict(zip(_tokens("twenty thirty forty fifty sixty seventy eighty ninety"), "23456789", strict=True))
_TEENS = _tokens("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
TWO_DIGITS = {word: str(number) for number, word in enumerate(_TEENS, 10)} | {
    word: f"{digit}0" for word, digit in TENS.items()
}
TIMES = {"double": 2, "triple": 3, "treble": 3}

# Words around the digits, but not between them: in "the one I got is 1 2 3 4" the "one" is not in the code.
# Not "no", "sorry" or "wait", which take back the digits before them; nor the "digit" of "4 digit code".
_BEFORE = frozenset(
    _tokens(
        "the a my code number pin it its is was that thats here heres this says said i got have think"
        " yes yeah yep okay ok sure so well right please verification confirmation otp"
    )
)
_AFTER = frozenset(_tokens("please thanks thank you okay ok right that thats is it"))
HESITATION = frozenset(_tokens("um uh er erm hmm and then"))

_SEPARATORS = re.compile(r"[\s.,;:!?\"()#\u2010-\u2015\u2026-]+")
_APOSTROPHES = re.compile("['\u2018\u2019]")


def digits_said(value: object) -> str | None:
    """The digits of a code, or None if the value holds anything that is not part of saying a code.

    Nothing is guessed: one unknown word makes the code unreadable, since a wrong reading costs the caller a
    try, of usually three. A number that lost its leading zero comes back as it is: pad it.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        whole = 0 <= value < 10**15 and value == int(value)
        return str(int(value)) if whole else None
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS:
        return None
    words = [word for word in _words(value) if word not in HESITATION]
    while words and (words[0] in _BEFORE or _is_interjection(words)):
        words.pop(0)
    while words and words[-1] in _AFTER:
        words.pop()
    # "to" counts as 2 only where the words cannot be read without it.
    return _read(words, DIGITS) or _read(words, DIGITS | HOMOPHONES)


_BEFORE_A_NUMBER = _BEFORE | frozenset(
    _tokens(
        "mobile mob phone telephone cell cellphone tel no call text ring reach me on at under use landline"
        " home work"
    )
)
_AFTER_A_NUMBER = _AFTER | frozenset(_tokens("mobile mob phone cell landline home work"))

#: "oh eight hundred": noughts after the digit before them.
_NOUGHTS = {"hundred": "00", "thousand": "000"}


def number_said(words: list[str]) -> str | None:
    """The digits of a telephone number, with its plus, from words and groups of digits.

    None if any of them is not part of a number, or is ambiguous: "nine hundred and five" may be 905 or 9005.
    """
    words = list(words)
    while words and (words[0] in _BEFORE_A_NUMBER or _is_interjection(words)):
        words.pop(0)
    while words and words[-1] in _AFTER_A_NUMBER:
        words.pop()
    plus = words[:1] in (["+"], ["plus"])
    for place, word in enumerate(words[:-1]):
        if word in _NOUGHTS and (words[place + 1] == "and" or words[place + 1] in TWO_DIGITS):
            return None
    said = [_NOUGHTS.get(word, word) for word in words[plus:] if word not in HESITATION]
    digits = _read(said, DIGITS) or _read(said, DIGITS | HOMOPHONES)
    return f"+{digits}" if plus and digits else digits


def _words(text: str) -> list[str]:
    """The words in lower case, and the digits of any script in ASCII."""
    text = _APOSTROPHES.sub("", unicodedata.normalize("NFKC", text).casefold())
    text = "".join(str(unicodedata.decimal(character, character)) for character in text)
    text = re.sub(r"^\s*(\d{2,})\.0\s*$", r"\1", text)  # a float that became a string
    return _tokens(_SEPARATORS.sub(" ", text))


def _is_interjection(words: list[str]) -> bool:
    return len(words) > 1 and words[0] == "oh" and words[1] in _BEFORE  # "oh, it is 1 2 3 4"


def _read(words: list[str], ones: dict[str, str]) -> str | None:
    """The digits of all words, from left to right; None if any word is unknown."""
    code = ""
    rest = words[::-1]
    while rest:
        word = rest.pop()
        one = ones.get(rest[-1]) if rest else None
        if word in TIMES:
            if one is None:
                return None
            code += one * TIMES[word]
            rest.pop()
        elif word in TENS and one not in (None, "0"):  # twenty three
            code += TENS[word] + ones[rest.pop()]
        else:
            said = word if word.isdecimal() else ones.get(word) or TWO_DIGITS.get(word)
            if said is None:
                return None
            code += said
    return code or None
