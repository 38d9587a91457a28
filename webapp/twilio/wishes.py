"""Whether a text asks for no more texts, or for texts again. Pure: words in, wish out.

Twilio knows the keywords alone, each as the whole message. Whoever says it in other words means it, too.
In doubt it is not an opt-out: it would keep codes and confirmations from somebody who wants to book, and
whoever does mean it can still send STOP, as every phone company tells them.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Wish(StrEnum):
    STOP_KEYWORD = "stop"
    STOP_WORDS = "stop, in other words"
    START = "start"
    NOTHING = "something else"


_STOP = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke", "optout"})
_START = frozenset({"start", "unstop", "yes"})

#: What Twilio says that it has read in it.
_OPT_OUT_TYPES = {"STOP": Wish.STOP_KEYWORD, "START": Wish.START, "HELP": Wish.NOTHING}

_MESSAGES = (
    r"(?:(?:sms|text|txt|phone|automated|automatic)s? ?)?"
    r"(?:messages?|msgs?|texts?|txts?|sms|smses)"
)
_ANY = r"(?:(?:any|more|anymore|further|your|these|those|the|this|all|all these|other|such|me|us) )*"
_WHOM = r"(?:me|us|(?:my|our|this) (?:(?:phone |cell |mobile )?number|phone|cell|mobile))"
_SENDING = (
    r"(?:text(?:ing)?|txt(?:ing)?|messag(?:e|ing)|msging|contact(?:ing)?|bother(?:ing)?|spam(?:ming)?)"
    rf" {_WHOM}|send(?:ing)? {_ANY}{_MESSAGES}|{_ANY}{_MESSAGES}"
)
_NOT = r"(?:do not|dont|don t|never|please do not|please dont|no longer|not)"
_WANT = r"(?:want|wanna|wish|need|like|would like)"
_GET = r"(?:to )?(?:get|getting|receive|receiving|have|be sent|see)"
_ME = r"(?:me|us|my (?:phone |cell |mobile )?number|this (?:phone |cell |mobile )?number|my phone|my name)"
_LIST = (
    r"(?:your |the |this |that |all |any )*(?:mailing |texting |text |sms |messaging |contact |phone )*"
    r"(?:lists?|database|system|records)"
)
_WISH_TO = r"(?:(?:i |id )?(?:want|would like|like|wish) (?:you )?to )?"
_FROM_YOU = r"(?: from (?:you|you guys|this number|here))?"
_OF_WHAT = r"(?: (?:of|from) .{1,30})?"

#: Each must match a whole clause: what stands in the middle of a story is not a request.
_REQUESTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"stop (?:it )?(?:{_SENDING})",
        rf"(?:quit|cease) (?:{_SENDING})",
        r"(?:stop|quit|cease) (?:texting|txting|messaging|msging|spamming)",
        rf"{_NOT} (?:ever )?(?:{_SENDING})",
        rf"(?:i )?{_NOT} {_WANT} (?:{_GET} )?{_ANY}{_MESSAGES}{_FROM_YOU}",
        rf"(?:i )?{_NOT} {_WANT} (?:you )?to (?:{_SENDING}|be texted|be contacted by text)",
        rf"(?:remove|delete|unsubscribe) {_ME}(?: (?:off|from|off of|out of) {_LIST})?",
        rf"take {_ME} (?:off|out)(?: (?:of )?{_LIST})?",
        rf"unsubscribe(?: me)?(?: from {_ANY}(?:{_MESSAGES}|{_LIST}|this|here))?",
        rf"(?:(?:i |id )?(?:want|would like|like|wish|need) to )?(?:opt(?:ing)? ?out|unsubscribe){_OF_WHAT}",
        rf"opt (?:me|us) out{_OF_WHAT}",
        rf"no (?:more|further) {_MESSAGES}",
        r"no (?:texts|txts|messages|msgs)",  # of one alone, or of an SMS, it may say that it did not come
        rf"(?:stop|end|cancel) {_ANY}{_MESSAGES}",
        rf"stop sending(?: {_ANY}(?:{_MESSAGES}|these|them|this))?(?: to {_ME})?",
        r"stop (?:all )?(?:of )?(?:this|these|them|it)(?: now)?",
        r"stop(?: (?:now|already|immediately|thanks|thank you|ok))?",
        r"leave me alone",
        rf"lose {_ME}",
    )
)

#: Likewise for texts again. Not a mere "yes please": that may be the answer to something else.
_CONSENTS = tuple(
    re.compile(pattern)
    for pattern in (
        r"start|unstop",
        rf"{_WISH_TO}(?:start|restart|resume) (?:{_SENDING}|texting|messaging)",
        rf"{_WISH_TO}opt (?:me |us )?(?:back )?in",
        rf"{_WISH_TO}(?:re ?)?subscribe(?: me| us)?",
        rf"(?:i |id )(?:want|would like|like|wish) {_GET} {_ANY}{_MESSAGES}",
    )
)

_COURTESY = (
    r"please|pls|plz|kindly|hi|hello|hey|ok|okay|yo|sorry|thanks|thank you|thx|ty|just|now|again|anymore"
    r"|any more|right now|immediately|ever again|ever|at once|from now on|to me|to us|to this number|asap"
    r"|today|already|can you|could you|would you|will you|you need to|you have to|you must|i said"
    r"|i want you to|i would like you to|id like you to|i need you to|and"
    r"|(?:you have |this is )?(?:the )?wrong (?:number|person)|(?:on|at) this number"
)
_BEFORE = re.compile(rf"^(?:(?:{_COURTESY}) )+")
_AFTER = re.compile(rf"(?: (?:{_COURTESY}))+$")
_CLAUSES = re.compile(r"[.!?;:\n,]+|\b(?:because|since|as i|but)\b")
_APOSTROPHES = re.compile(r"['\u2018\u2019\u02bc`]")

#: Longer texts are stories; nobody needs so many words to say no.
_LONGEST = 300


def wish(body: str, opt_out_type: str | None = None) -> Wish:
    """`opt_out_type` is what Twilio read in it, where it did; then that stands, since it acted on it."""
    if opt_out_type and opt_out_type.upper() in _OPT_OUT_TYPES:
        return _OPT_OUT_TYPES[opt_out_type.upper()]
    text = _APOSTROPHES.sub("", body.strip().lower())
    if len(text) > _LONGEST:
        return Wish.NOTHING
    word = re.sub(r"[^a-z]", "", text)
    if word in _STOP and len(text.split()) <= 2:
        return Wish.STOP_KEYWORD
    if word in _START and len(text.split()) == 1:
        return Wish.START
    return _in_other_words(text)


def _in_other_words(text: str) -> Wish:
    clauses = [_plain(clause) for clause in _CLAUSES.split(text)]
    if any(request.fullmatch(clause) for request in _REQUESTS for clause in clauses):
        return Wish.STOP_WORDS
    if any(consent.fullmatch(clause) for consent in _CONSENTS for clause in clauses):
        return Wish.START
    return Wish.NOTHING


def _plain(clause: str) -> str:
    """Its letters and digits, without what is only said out of politeness."""
    plain = " ".join(re.sub(r"[^a-z0-9 ]", " ", clause).split())
    return _AFTER.sub("", _BEFORE.sub("", f"{plain} ").rstrip())
