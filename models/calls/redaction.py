"""Takes codes, card numbers, telephone numbers and e-mail addresses out of a transcript before it is kept.

The codes that were sent in this call are known, and are taken out however they were said, also over several
turns. Other numbers are taken out if they could be a code, a card or a telephone number. Prices, times and
years stay, because they show what the caller wants.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from models.base import spoken

GONE = "[...]"

#: The parts are as long as RFC 5321 allows at most, so that the search takes time linear in the text.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_TOKEN = re.compile(r"\d+|[a-z]+|[^\s\da-z]", re.IGNORECASE)

#: Tokens that may stand within a spoken number; any other token ends it.
_WITHIN = frozenset(",.-()‐‑–—…+#") | spoken.HESITATION  # noqa: RUF001 (dashes as speech-to-text writes them)
_MONEY = frozenset("£$€") | {
    "pounds",
    "pound",
    "dollars",
    "bucks",
    "euros",
    "quid",
    "pence",
    "grand",
    "percent",
}
_MONTHS = (
    "january february march april may june july august september october november december"
    " jan feb mar apr jun jul aug sep sept oct nov dec"
)
#: Words that stand before a year; four digits after them are no code.
_BEFORE_A_YEAR = frozenset(f"in since year until till from by of back late early / {_MONTHS}".split())
_YEAR = re.compile(r"(?:19|20)\d\d")

#: Shorter numbers stay, because people say them all the time.
_SHORTEST = 4
#: The most digits of a price; no telephone number has fewer.
_LONGEST_PRICE = 6


@dataclass(slots=True)
class _Number:
    """Digits that were said without a break, and their place: text `text`, characters `start` to `end`."""

    text: int
    start: int
    end: int
    before: str
    after: str = ""
    #: The digits of each of its tokens: "5", "06", "42".
    parts: list[str] = field(default_factory=list)
    #: Whether a word for two digits was said, as in times: ten, fifteen, forty.
    in_pairs: bool = False

    @property
    def digits(self) -> str:
        return "".join(self.parts)

    @property
    def personal(self) -> bool:
        """Whether it could be a code, a card or a telephone number."""
        if len(self.digits) < _SHORTEST:
            return False
        if len(self.digits) <= _LONGEST_PRICE and {self.before, self.after} & _MONEY:
            return False
        if self.parts == [self.digits] and _YEAR.fullmatch(self.digits) and self.before in _BEFORE_A_YEAR:
            return False
        return not (self.in_pairs or len(self.parts) == 2) or not self._is_a_time()

    def _is_a_time(self) -> bool:
        """Whether it can be a time, such as ten thirty or nine forty five."""
        hour, minute = self.parts[0], "".join(self.parts[1:])
        return len(minute) == 2 and int(hour) in range(1, 13) and int(minute) in range(0, 60, 5)


def redact(text: str) -> str:
    """The text without e-mail addresses and personal numbers. Names stay, since a lead needs its name."""
    text = _EMAIL.sub(GONE, text)
    return _without(text, [number for number in _numbers(0, text) if number.personal])


def without_codes(texts: Sequence[str], codes: Sequence[str]) -> list[str]:
    """These texts, in the order in which they were said, without the codes in digits, words or parts."""
    found: list[list[_Number]] = [[] for _ in texts]
    for homophones in (False, True):  # "to for six ate" may be a code, but usually is not
        numbers = [
            number for at, text in enumerate(texts) for number in _numbers(at, text, homophones=homophones)
        ]
        said = "".join(number.digits for number in numbers)
        ends = list(accumulate(len(number.digits) for number in numbers))
        for code in codes:
            for hit in re.finditer(f"(?={re.escape(code)})", said):
                first = bisect_right(ends, hit.start())
                last = bisect_left(ends, hit.start() + len(code))
                for number in numbers[first : last + 1]:
                    found[number.text].append(number)
    return [_without(text, numbers) for text, numbers in zip(texts, found, strict=True)]


def _without(text: str, numbers: Sequence[_Number]) -> str:
    kept, until = [], 0
    for start, end in sorted((number.start, number.end) for number in numbers):
        if start >= until:
            kept += [text[until:start], GONE]
        until = max(until, end)
    return "".join([*kept, text[until:]])


def _numbers(at: int, text: str, *, homophones: bool = False) -> Iterator[_Number]:
    """The numbers in a text, as digits: "double five" is 55, "forty two" is 42, "oh" is 0."""
    number: _Number | None = None
    times, tens, before = 1, False, ""
    for token in _TOKEN.finditer(text):
        word = token[0].lower()
        part = _part(word, homophones=homophones)
        if part is None and word in spoken.TIMES:
            times = spoken.TIMES[word]
        elif part is None and word not in _WITHIN:
            if number is not None:
                number.after = word if before != "." else ""  # another sentence
                yield number
            number, times, tens = None, 1, False
        elif part is not None:
            number = number or _Number(at, token.start(), token.end(), before)
            if tens and len(part) == 1 and part != "0":
                number.parts[-1] = number.parts[-1][0] + part
            else:
                number.parts.append(part * times)
            times, tens = 1, word in spoken.TENS
            number.in_pairs |= word in spoken.TWO_DIGITS
            number.end = token.end()
        before = word
    if number is not None:
        yield number


def _part(word: str, *, homophones: bool) -> str | None:
    if word.isdecimal():
        return "".join(str(unicodedata.decimal(digit)) for digit in word)
    known = spoken.DIGITS.get(word) or spoken.TWO_DIGITS.get(word)
    return known or (spoken.HOMOPHONES.get(word) if homophones else None)
