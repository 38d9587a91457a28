"""Whether a text asks for no more texts, or for texts again. Pure: words in, wish out.

Twilio knows the English keywords alone, each as the whole message. Carriers ask for more (ARRET in Canada),
and whoever says it in other words or another language means it, too. In doubt it is not an opt-out: it would
keep codes and confirmations from somebody who wants to book, and whoever does mean it can still send STOP, as
every phone company tells them.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum


class Wish(StrEnum):
    STOP_KEYWORD = "stop"
    STOP_WORDS = "stop, in other words"
    START = "start"
    NOTHING = "something else"


def _letters(text: str) -> str:
    """The words of a text, in any writing: no accents, no emoji, no signs, no digits, nothing invisible."""
    kept = []
    for sign in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(sign)
        if category == "Cf" or unicodedata.combining(sign) or "\ufe00" <= sign <= "\ufe0f":
            continue
        kept.append(sign if category[0] in "LM" else " ")
    return unicodedata.normalize("NFC", "".join(kept)).lower()


def _words(*lines: str) -> frozenset[str]:
    return frozenset(_letters(" ".join(lines)).split())


#: Words that ask for nothing else; those of several words are joined.
_STOP = _words(
    # English: Twilio's own, and those that carriers and other providers list beside them. TD is Chinese.
    "stop stopp stops stopall stopit unsubscribe unsuscribe unsubcribe unsubscibe unsub optout remove",
    "removeme td",
    # French, as in Canada.
    "arrêt arrêts arrêter arrêtez arrête stopper désabonner désabonnement désabonnez désabonnezmoi",
    "medésabonner désinscrire désinscription désinscrivezmoi medésinscrire",
    # Spanish and Portuguese.
    "parar pare paren alto baja dardebaja darmedebaja darsedebaja detener detenga desuscribir desuscribirme",
    "desuscribirse borrarme quitarme descadastrar descadastre desinscrever",
    # German, Dutch and the Nordic languages.
    "abmelden abbestellen abmeldung austragen stoppen afmelden uitschrijven afmeld frameld avmeld",
    "avregistrera avsluta avbeställ",
    # Italian, Polish, Romanian, Turkish, Haitian, Tagalog, Vietnamese.
    "basta disiscriviti disiscrivimi cancellami wypisz zrezygnuj rezygnuję dezabonare durdur sispann itigil",
    "hinto dừnglại",
    # Russian, Ukrainian, Greek, Arabic, Hindi, Chinese, Japanese, Korean.
    "стоп отписаться отписка відписатися στοπ توقف إيقاف قف रोकें बंदकरें",
    "停止 退订 退訂 停止订阅 配信停止 ストップ 중지 수신거부",
)

#: Words that may mean something else, such as an appointment, where more is said: only as the whole message.
_STOP_ALONE = _words(
    "end quit cancel revoke cease halt cancelall endall quitall fin finir annuler annulez cancelar terminar",
    "salir sair annulla cancella ende beenden einde koniec iptal отмена 取消",
)
#: Beside a number the others are about an appointment or a tooth: "cancel 10:30", "remove 2?".
_STOP_WITH_A_NUMBER = _STOP - {"remove"}
_START = frozenset({"start", "unstop", "yes"})

#: Said beside a keyword out of politeness, in the languages of the keywords.
_POLITE = _words(
    "please pls plz kindly thanks thank you thx ty now already immediately hi hello hey ok okay sorry all",
    "svp stp sil vous plaît te merci maintenant bonjour tout por favor porfavor gracias ahora ya hola",
    "obrigado obrigada agora olá bitte danke sofort jetzt hallo alstublieft aub dank je u tack snälla takk",
    "per favore grazie proszę dziękuję пожалуйста спасибо 请 谢谢",
)

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
_SENT = (
    rf"(?:(?:text|sms|marketing) )?(?:{_MESSAGES}|communications?|notifications?|reminders?|confirmations?"
    r"|alerts?|updates?|marketing|ads)"
)
#: "opt out of the whitening" is about something else.
_OF_WHAT = (
    rf"(?: (?:of|from) (?:{_ANY}(?:{_SENT}|{_LIST}|texting|messaging|contact)"
    r"|this|these|it|everything|here))?"
)

_VEUX = r"(?:veux|voudrais|souhaite)"
_DES = r"(?: (?:de|des|ces|vos|les|aucun))*"
_DES_SMS = r"(?: (?:de|des|ces|vos|les|aucun))?(?: (?:sms|textos?|messages?))?"
_ENVOYER = rf"(?:envoyer|ecrire|texter|contacter){_DES_SMS}"
_ENVOYEZ = r"(?:envoyez|envoyer|ecrivez|contactez|textez)"
_MENSAJES = r"(?: (?:mas|estos|sus))?(?: (?:mensajes?|textos?|sms))?"

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
        rf"remove from {_LIST}",
        r"do not contact(?: list)?",
        r"(?:reply|send|text|txt) stop",
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
        # French and Spanish, without accents and apostrophes.
        rf"(?:arretez?|arreter|cessez?|stop)(?: de)? (?:m|me |nous |mon )?{_ENVOYER}",
        r"(?:arretez?|arreter|cessez?)(?: (?:de|des|ces|vos|les|tous|tes))+ (?:sms|textos?|messages?)",
        rf"(?:je )?(?:ne )?{_VEUX} (?:plus|pas)(?: (?:recevoir|avoir))?{_DES} (?:sms|textos?|messages?)",
        rf"(?:ne )?(?:m|me |nous ){_ENVOYEZ} (?:plus|pas){_DES_SMS}",
        r"plus (?:de|aucun) (?:sms|textos?|messages?)",
        r"(?:desabonnez|desinscrivez|retirez|enlevez|supprimez) moi(?: de (?:votre|la|cette|vos) listes?)?",
        r"je (?:veux|voudrais|souhaite) me (?:desabonner|desinscrire)",
        rf"(?:deje|dejen|deja|pare|paren) de (?:enviar|mandar|escribir|contactar)(?:me|nos)?{_MENSAJES}",
        rf"no (?:me|nos) (?:envien?|manden?|escriban?|contacten?)(?: mas)?{_MENSAJES}",
        r"no (?:mas|quiero(?: recibir)?(?: mas)?) (?:mensajes|textos|sms)",
        r"(?:quiero )?(?:darme|deme|denme|dame) de baja",
        r"(?:borreme|borrenme|quiteme|quitenme|elimineme|eliminenme)(?: de (?:la|su) lista)?",
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
    r"|svp|stp|sil vous plait|merci|por favor|gracias"
    r"|(?:you have |this is )?(?:the )?wrong (?:number|person)|(?:on|at) this number"
)
_BEFORE = re.compile(rf"^(?:(?:{_COURTESY}) )+")
_AFTER = re.compile(rf"(?: (?:{_COURTESY}))+$")
_CLAUSES = re.compile(r"[.!?;:\n,]+|\b(?:because|since|as i|but)\b")
_STOP_SIGN = "\N{OCTAGONAL SIGN}"
_APOSTROPHES = re.compile(r"['\u2018\u2019\u02bc`]")

#: Longer texts are stories; nobody needs so many words to say no.
_LONGEST = 300


def wish(body: str, opt_out_type: str | None = None) -> Wish:
    """`opt_out_type` is what Twilio read in it, where it did; then that stands, since it acted on it."""
    if opt_out_type and opt_out_type.upper() in _OPT_OUT_TYPES:
        return _OPT_OUT_TYPES[opt_out_type.upper()]
    text = _APOSTROPHES.sub("", body.replace(_STOP_SIGN, " stop ").strip().lower())
    if len(text) > _LONGEST:
        return Wish.NOTHING
    words = _letters(text).split()
    of_a_number = any(sign.isdecimal() for sign in text) and _STOP_WITH_A_NUMBER.isdisjoint(words)
    if _is_stop(words) and not of_a_number:
        return Wish.STOP_KEYWORD
    if len(set(words)) == 1 and words[0] in _START:
        return Wish.START
    return _in_other_words(text)


def _is_stop(words: list[str]) -> bool:
    """Whether nothing but a keyword is said: once or many times, in two words, spelt out, or politely."""
    if not words:
        return False
    joined = "".join(words)
    in_one = joined if len(words) <= 2 or all(len(word) == 1 for word in words) else ""
    if in_one in _STOP | _STOP_ALONE or (len(set(words)) == 1 and words[0] in _STOP_ALONE):
        return True
    said = [word for word in words if word not in _POLITE]
    return "".join(said) in _STOP or (not _STOP.isdisjoint(said) and set(said) <= _STOP | _STOP_ALONE)


def _in_other_words(text: str) -> Wish:
    clauses = [_plain(clause) for clause in _CLAUSES.split(_unaccented(text))]
    if any(request.fullmatch(clause) for request in _REQUESTS for clause in clauses):
        return Wish.STOP_WORDS
    if any(consent.fullmatch(clause) for consent in _CONSENTS for clause in clauses):
        return Wish.START
    return Wish.NOTHING


def _unaccented(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))


def _plain(clause: str) -> str:
    """Its letters and digits, without what is only said out of politeness."""
    plain = " ".join(re.sub(r"[^a-z0-9 ]", " ", clause).split())
    return _AFTER.sub("", _BEFORE.sub("", f"{plain} ").rstrip())
