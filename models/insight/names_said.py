"""Takes what identifies a person out of a call that leaves the clinic: names, addresses, dates of birth.

models/calls/redaction.py takes numbers, codes and e-mail addresses out of what is kept, and leaves names.
Here names go, too, with every word that could be a name: too much goes rather than too little. A name is
known from our rows; or it follows “my name is”; or it answers a question for a name; or it is a word with a
capital letter within a sentence, and neither a usual word nor a service of the clinic. A name that was found
is taken out wherever it was said in that call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence

from models.calls import redaction
from models.calls.redaction import GONE
from models.calls.reports import CALLER

#: Words that begin a sentence, stand after “my name”, or have a capital letter, and are no names.
_USUAL = (
    "a about absolutely actually after afternoon again ah all alright also am an and any anyone anything are"
    " around as at back be because been before better bit booked both brilliant but by bye call called can"
    " cannot cheers come could course day days did do does done down each either else er erm evening every"
    " excellent fantastic few fine first for free from get give go going good goodbye got great had has have"
    " haven't having he hello her here hey hi him his hold how i if in into is isn't it its just know last"
    " later lead least let like listed little long look lovely many maybe me mean might mine mm more morning"
    " most much must my name need neither never new next nice no nobody none nope nor not nothing now of off"
    " oh ok okay on once one only or other our out over perfect perhaps please pm possibly probably put quite"
    " rather ready really right said same say see shall she should since so some somebody someone something"
    " soon sorry spell spelled spelt still such sure take tell than thank thanks that the their them then"
    " there these they thing think this those though through time to today tomorrow tonight too tried true"
    " try two uh um under until up us very wait want wanted was wasn't we week well were what when where"
    " whether which while who why wonderful won't would yeah year yep yes yesterday yet you your yours"
    " three four five six seven eight nine ten calling speaking looking ringing phoning interested booking"
    " mr mrs ms miss mx dr doctor nurse prof professor sir madam gp nhs uk usa tv mri ct sms id"
    " mister mum dad god"
)
_DAYS = (
    "monday tuesday wednesday thursday friday saturday sunday"
    " mondays tuesdays wednesdays thursdays fridays saturdays sundays"
    " january february march april may june july august september october november december christmas easter"
)
#: Brands and treatments that are written with capital letters.
_BRANDS = (
    "botox dysport juvederm restylane profhilo invisalign emax zirconia hydrafacial emsculpt coolsculpting"
    " mounjaro ozempic wegovy lasik prp ivf ent x-ray x-rays"
)
_KEPT = frozenset(f"{_USUAL} {_DAYS} {_BRANDS}".split())

_WORD = re.compile(r"[^\W\d_]+(?:['’\-‐][^\W\d_]+)*")  # noqa: RUF001 (apostrophes and hyphens as they are written)
_POSSESSIVE = re.compile(r"['’]s$", re.IGNORECASE)  # noqa: RUF001
#: The end of a sentence, and what may stand between it and the next.
_ENDS = ".!?…"
_BETWEEN = " \t\n\"“”'‘’(["  # noqa: RUF001

#: The words after these are a name, with or without a capital letter.
_INTRODUCED = re.compile(
    r"\b(?:(?:my|his|her|their|the|whose) (?:\w+ )?name(?:['’]s| is| was| will be| would be)"  # noqa: RUF001
    r"|(?:first|last|middle|maiden|full|sur|family) ?name(?:['’]s| is| was)?"  # noqa: RUF001
    r"|(?:under|in) the name(?: of)?|name of)[\s,:]+",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(?:mr|mrs|ms|miss|mx|dr|doctor|nurse|sister|prof|professor)\.?\s+", re.IGNORECASE)
_HERE = re.compile(r"\b([^\W\d_]+(?:\s+[^\W\d_]+)?)\s+(?:speaking|here)\b", re.IGNORECASE)
#: Two words beside each other; the first may begin a sentence.
_PAIR = re.compile(r"([^\W\d_]+)[ ](?=([^\W\d_]+))")
#: The agent asks for a name; the caller's next turn gives it.
_ASKS = re.compile(
    r"\b(?:(?:sur)?name|who am i speaking|who(?:['’]s| is) (?:calling|this|speaking)|spell)\b",  # noqa: RUF001
    re.IGNORECASE,
)
#: The most words that a name has.
_LONGEST = 4

#: An answer of at most this many words to the question for a name is the name.
_SHORT = 4

_STREETS = (
    "street|road|avenue|lane|drive|close|court|crescent|way|place|terrace|gardens|square|boulevard|grove"
    "|st|rd|ave"
)
_LETTER = r"(?:double\s+)?[^\W\d_](?:\s+(?:for|as\s+in)\s+\w+)?"
_OTHERS = tuple(
    re.compile(each, re.IGNORECASE)
    for each in (
        # sarah dot jones at gmail dot com
        r"\b(?:[\w-]+\s+(?:dot|underscore|dash|hyphen)\s+){0,4}[\w-]+\s+at\s+[\w-]+(?:\s+dot\s+[\w-]+){1,3}\b",
        r"\b(?:https?://|www\.)\S+",
        # N W 1 4 R Y, as it is written
        r"\b[a-z]{1,2}\d[a-z\d]?\s*\d[a-z]{2}\b",
        rf"\b\d{{1,4}}[a-z]?,?\s+(?:[\w'-]+\s+){{1,3}}(?:{_STREETS})\b",
        r"\b\d{1,2}[/.\-]\d{1,2}[/.\-](?:\d{4}|\d{2})\b",
        r"\b(?:19|20)\d\d\b",
        # S-A-R-A-H, or S for sugar, A for apple, R for Robert
        rf"(?<![\w'’])(?:{_LETTER}[\s.,\-]+){{2,}}{_LETTER}(?!\w)",  # noqa: RUF001
    )
)
_SEVERAL = re.compile(rf"{re.escape(GONE)}(?:[\s,'’\-]*{re.escape(GONE)})+")  # noqa: RUF001


class Nameless:
    """Takes what identifies a person out of the words of one call.

    `turns` is who said what, in order. `known` are the patient's names in our rows, taken out with or without
    a capital letter; `others` are names of the clinic and its people, taken out only with a capital letter;
    `kept` are the clinic's services, which stay.
    """

    def __init__(
        self,
        turns: Sequence[tuple[str, str]],
        *,
        known: Collection[str],
        others: Collection[str] = (),
        kept: Collection[str] = (),
    ) -> None:
        self._kept = _KEPT | {_plain(word) for text in kept for word in _WORD.findall(text)}
        names = {part for name in known for part in _parts(name) if len(part) > 1}
        #: Names in any letters, and words that are names only with a capital letter: “Will”, “May”, “An”.
        self._certain = names - self._kept
        self._capital = names & self._kept
        self._capital |= {part for name in others for part in _parts(name)} - self._kept
        asked = False
        for who, said in turns:
            text = _written_alike(said)
            self._learn(text)
            if asked and who == CALLER:
                self._learn_answer(text)
            asked = _ASKS.search(text) is not None if who != CALLER else False

    def clean(self, text: str) -> str:
        text = redaction.redact(_written_alike(text))
        for pattern in _OTHERS:
            text = pattern.sub(GONE, text)
        text = _WORD.sub(lambda word: GONE if self._is_a_name(word[0]) else word[0], text)
        return _SEVERAL.sub(GONE, text)

    def _is_a_name(self, word: str) -> bool:
        parts = _parts(word)
        if any(part in self._certain for part in parts):
            return True
        return word[0].isupper() and any(part in self._capital for part in parts)

    def _learn(self, text: str) -> None:
        for word in _names_by_their_capital(text):
            self._capital |= self._could_be(word)
        for first, second in _PAIR.findall(text):
            if first[0].isupper() and second[0].isupper() and self._could_be(second):
                self._capital |= self._could_be(first)
        for introduction in _INTRODUCED.finditer(text):
            for word in self._following(text, introduction.end()):
                self._certain |= _parts(word)

    def _learn_answer(self, text: str) -> None:
        words = _WORD.findall(text)
        for word in words:
            if word[0].isupper():
                self._capital |= self._could_be(word)
        if len(words) <= _SHORT:
            self._certain |= {part for word in words for part in self._could_be(word) if len(part) > 1}

    def _could_be(self, word: str) -> set[str]:
        plain = _plain(_POSSESSIVE.sub("", word))
        if plain in self._kept or plain.partition("'")[0] in self._kept:  # I'm, that's, don't
            return set()
        return {part for part in _parts(word) if part not in self._kept}

    def _following(self, text: str, at: int) -> Iterator[str]:
        """The words of a name that begins here: until a usual word, or the end of the sentence."""
        for _ in range(_LONGEST):
            word = _WORD.match(text, at)
            if word is None or not self._could_be(word[0]):
                return
            yield word[0]
            at = word.end()
            at += len(text[at:]) - len(text[at:].lstrip(" "))


def can_be_told(texts: Sequence[str]) -> bool:
    """Whether names can be recognised among these words: they have capitals, and no script without capitals.

    Most rules here need capital letters. Arabic and Chinese have none, and some speech-to-text writes none.
    """
    letters = [letter for text in texts for letter in text if letter.isalpha()]
    return any(letter.isupper() for letter in letters) and not any(
        letter.upper() == letter.lower() and unicodedata.category(letter) == "Lo" for letter in letters
    )


def _names_by_their_capital(text: str) -> Iterator[str]:
    """The words with a capital letter within a sentence, after a title, or before “speaking”."""
    for word in _WORD.finditer(text):
        if word[0][0].isupper() and not _begins_a_sentence(text, word.start()):
            yield word[0]
    for title in _TITLE.finditer(text):
        after = _WORD.match(text, title.end())
        if after and after[0][0].isupper():
            yield after[0]
    for here in _HERE.finditer(text):
        yield from (word for word in here[1].split() if word[0].isupper())


def _begins_a_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip(_BETWEEN)
    return not before or before[-1] in _ENDS


def _parts(name: str) -> set[str]:
    """The words of a name in the form that is compared: O'Neil is also “oneil”, Anne-Marie also “anne”."""
    found = set()
    for word in (_plain(_POSSESSIVE.sub("", word)) for word in _WORD.findall(name)):
        parts = re.split(r"['\-\u2010]", word)
        found |= {word, "".join(parts), *(part for part in parts if len(part) > 1)}
    return found


def _written_alike(text: str) -> str:
    """The text in one form: a letter with a separate accent or of another width would not match as a word."""
    return unicodedata.normalize("NFKC", text)


def _plain(word: str) -> str:
    """The word without capitals and accents, and with one kind of apostrophe."""
    apart = unicodedata.normalize("NFKD", word.replace("’", "'")).casefold()  # noqa: RUF001
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
