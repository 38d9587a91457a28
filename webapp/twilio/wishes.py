"""Whether a text asks for no more texts, or for texts again: a table of words and short sentences, each of
which must be the whole text. Pure: a text goes in, a wish comes out.

Twilio reads the English keywords itself, and with Advanced Opt-Out those that a clinic sets there. The table
has the same keywords, for clinics whose webhook is told nothing of it, and what Twilio lacks: the keywords of
carriers and of other languages, and the plainest sentences.

A text that says more than its wish is none: "stop by at 5?", "cancel 10:30". To miss a wish costs a text too
many, and STOP still works, as phone companies tell their customers. To see one where there is none keeps the
codes and confirmations from a patient who wants to book. For the same reason words for "cancel" and "end" in
other languages are not in the table: sent back to a confirmation, they are about the appointment.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum


class Wish(StrEnum):
    STOP_KEYWORD = "stop"
    STOP_WORDS = "stop, in other words"
    START = "start"
    NOTHING = "something else"


def _key(text: str) -> str:
    """A text as the table knows it: its letters and digits, without case, accents, signs, emoji and spaces.

    A word that is repeated counts once: "Stop. STOP!" and "S.T.O.P." are "stop", "opt-out" is "optout".
    """
    kept = []
    for sign in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(sign)
        if category == "Cf" or unicodedata.combining(sign) or sign in _WITHIN_WORDS:
            continue
        kept.append(sign if category[0] in "LMN" else " ")
    return "".join(dict.fromkeys("".join(kept).lower().split()))


#: Apostrophes, and what asks for a picture instead of a letter.
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
        please stop | stop please | stop now | stop thanks | stop thank you
        stop texting | stop texting me | please stop texting me | stop messaging me | stop sending me texts
        do not text me | don't text me | don't text me again | no more texts | no more messages
        unsubscribe please | unsubscribe me | please unsubscribe me | opt me out | opt out please
        remove please | please remove me | stop svp | arrêt svp | arrêt s'il vous plaît
    """,
    Wish.START: """
        start | yes | unstop

        start please | please start | opt in | opt me in | opt me back in | subscribe | resubscribe
    """,
}
_MEANT = {
    _key(said): wish
    for wish, lines in _TABLE.items()
    for line in lines.splitlines()
    for said in line.split("|")
}
del _MEANT[""]

#: What Twilio says that it has read in a text.
_OPT_OUT_TYPES = {"STOP": Wish.STOP_KEYWORD, "START": Wish.START, "HELP": Wish.NOTHING}

#: No text in the table has more characters, whatever signs stand around its letters.
_LONGEST = 300


def wish(body: str, opt_out_type: str | None = None) -> Wish:
    """`opt_out_type` is what Twilio read in it, where it did; then that stands, since Twilio acted on it."""
    if opt_out_type and opt_out_type.upper() in _OPT_OUT_TYPES:
        return _OPT_OUT_TYPES[opt_out_type.upper()]
    return _MEANT.get(_key(body), Wish.NOTHING) if len(body) <= _LONGEST else Wish.NOTHING
