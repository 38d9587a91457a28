"""Whether a text asks for no more texts, or for texts again: a table of words and short sentences, each of
which must be the whole text. Pure: a text goes in, a wish comes out.

Twilio reads the English keywords itself, and with Advanced Opt-Out those that a clinic sets there. The table
has the same keywords, for clinics whose webhook gets no OptOutType, and what Twilio lacks: the keywords of
carriers and of other languages, and the plainest sentences.

Courtesies around a wish do not count, nor does a number behind a STOP. A text that says more than a wish is
not read as a wish: "stop by at 5?", "cancel 10:30". A missed wish costs one text too many, and STOP still
works, as phone companies tell their customers. A wish read where there is none keeps codes and confirmations
from a patient who wants to book. For the same reason words for "cancel" and "end" in other languages are not
in the table: in answer to a confirmation they mean the appointment.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from enum import StrEnum


class Wish(StrEnum):
    STOP_KEYWORD = "stop"
    STOP_WORDS = "stop, in other words"
    START = "start"
    NOTHING = "something else"


def _words(text: str) -> list[str]:
    """The words of a text: letters and digits, without case, accents, signs and emoji."""
    kept = []
    for sign in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(sign)
        if category == "Cf" or unicodedata.combining(sign) or sign in _WITHIN_WORDS:
            continue
        kept.append(sign if category[0] in "LMN" else " ")
    return "".join(kept).lower().replace("thank you", "thanks").split()


def _key(words: Iterable[str]) -> str:
    """Words as a key of the table. A repeated word counts once: "Stop. STOP!" and "S.T.O.P." are "stop",
    "opt-out" is "optout".
    """
    return "".join(dict.fromkeys(words))


#: Said around a wish, and no part of it.
_COURTESIES = frozenset(("please", "pls", "thanks", "hi", "hello", "sorry", "svp", "merci", "aub", "gracias"))

#: Apostrophes, and the variation selectors that choose between a picture and a letter.
_WITHIN_WORDS = frozenset("'\u2019\u02bc`\ufe0e\ufe0f")

_TABLE = {
    Wish.STOP_KEYWORD: """
        stop | stopall | unsubscribe | cancel | end | quit | revoke | opt out

        stopp | stops | stop it | stop2end | unsub | unsuscribe | unsubcribe | remove | remove me | td
        arrêt | arrête | arrêter | arrêtez | désabonner | désabonnement | désabonnez-moi | désinscription
        alto | baja | parar | pare | paren | dar de baja | darme de baja | desuscribir
        abmelden | abbestellen | stoppen | afmelden | uitschrijven | afmeld | avmeld | avregistrera
        disiscrivimi | descadastrar | wypisz | dezabonare
        стоп | отписаться | відписатися | στοπ | توقف | إيقاف | रोकें | बंद करें
        停止 | 退订 | 退訂 | 配信停止 | ストップ | 중지 | 수신거부
    """,
    Wish.STOP_WORDS: """
        stop now | i said stop | reply stop | text stop
        stop texting | stop texting me | stop messaging me | stop messages | stop all messages
        cancel all texts
        stop sending me texts | stop sending me messages | stop sending texts | stop these messages
        stop texting this number | stop contacting me | leave me alone | delete my number
        do not text me | don't text me | don't text me again | do not text me again | do not text this number
        do not contact me | don't contact me | do not contact me again | don't contact me again
        no more texts | no more messages | i don't want any more texts | i don't want any more messages
        i do not want any more texts | i don't want these texts | i don't want these messages
        unsubscribe me | unsubscribe from these messages | unsubscribe from this list
        opt me out | i want to opt out | remove me from your list | remove me from this list
        take me off your list | take me off this list | remove my number
        wrong number stop | stop wrong number | wrong number stop texting me | wrong number stop texting
        arrêt s'il vous plaît | je ne veux plus de sms
        ne m'envoyez plus de sms | ne m'envoyez plus de messages
        quiero darme de baja | dejen de enviarme mensajes | no me envíen más mensajes
    """,
    Wish.START: """
        start | yes | unstop

        opt in | opt me in | opt me back in | subscribe | resubscribe
    """,
}
_MEANT = {
    _key(_words(said)): wish
    for wish, lines in _TABLE.items()
    for line in lines.splitlines()
    for said in line.split("|")
}
del _MEANT[""]

#: With a "please" these are about the appointment, or an answer to a question.
_ALONE = frozenset(("cancel", "end", "yes"))

#: The values of OptOutType, in which Twilio says what it has read in a text.
_OPT_OUT_TYPES = {"STOP": Wish.STOP_KEYWORD, "START": Wish.START, "HELP": Wish.NOTHING}

#: No text in the table has more characters, whatever signs stand around its letters.
_LONGEST = 300


def wish(body: str, opt_out_type: str | None = None) -> Wish:
    """The wish in a text. Twilio's own reading, `opt_out_type`, wins if there is any: Twilio acted on it."""
    if opt_out_type and opt_out_type.upper() in _OPT_OUT_TYPES:
        return _OPT_OUT_TYPES[opt_out_type.upper()]
    if len(body) > _LONGEST:
        return Wish.NOTHING
    words = _words(body)
    return _MEANT.get(_key(words)) or _in_other_words(words, body)


def _in_other_words(words: list[str], body: str) -> Wish:
    """A wish with courtesies around it, a STOP with a number behind it, or a stop sign alone."""
    bare = [word for word in words if word not in _COURTESIES]
    if bare[:1] == ["stop"] and all(word.isdigit() for word in bare[1:]):
        bare = bare[:1]
    found = None if _key(bare) in _ALONE else _MEANT.get(_key(bare))
    if found is Wish.STOP_KEYWORD or (not words and "\N{OCTAGONAL SIGN}" in body):
        return Wish.STOP_WORDS  # for Twilio it was no keyword
    return found or Wish.NOTHING
