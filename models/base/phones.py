"""Telephone numbers: E.164 or a reason why not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

import phonenumbers

from models.base.spoken import DIGITS, MAX_CHARACTERS, number_said


class ImpossibleNumber(ValueError):
    """No telephone can have this number; the message says why, for the ear."""


class NotAMobile(ValueError):
    """A number of a kind that no patient reads text messages on, or that earns its owner money."""


class CountryNotAllowed(ValueError):
    """A number of a country that the clinic sends no SMS to."""


# A SIP user, or what Twilio makes of it on the keypad: +266696687 spells ANONYMOUS.
_WITHHELD_WORDS = ("anonymous", "blocked", "private", "restricted", "unavailable", "unknown", "withheld")
_KEYPAD = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_WITHHELD = {*_WITHHELD_WORDS, *("+" + word.translate(_KEYPAD) for word in _WITHHELD_WORDS)}

_REASONS = {
    phonenumbers.ValidationResult.TOO_SHORT: "it has too few digits",
    phonenumbers.ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "its area code is missing",
    phonenumbers.ValidationResult.TOO_LONG: "it has too many digits",
    phonenumbers.ValidationResult.INVALID_COUNTRY_CODE: "its country code does not exist",
    phonenumbers.ValidationResult.INVALID_LENGTH: "it has the wrong number of digits",
}
_UNREADABLE = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "its country code does not exist",
    phonenumbers.NumberParseException.TOO_LONG: "it has too many digits",
}


#: What follows one of these is an extension. No text message reaches one, so it is left out. Those of other
#: languages are the ones that phonenumbers reads, and the usual words of countries that it leaves out.
_EXTENSION = frozenset(
    (
        *("x", "ex", "ext", "exten", "extn", "extension", "extensi\u00f3n", "extensao", "extens\u00e3o", "#"),
        *(
            "poste",
            "dw",
            "durchwahl",
            "nebenstelle",
            "int",
            "interno",
            "interne",
            "anexo",
            "ramal",
            "toestel",
        ),
        *("\u0434\u043e\u0431", "anknytning", "wew"),
    )
)

#: What is not only punctuation in a number.
_SIGNS = frozenset("+*#")

#: What people dial before a country code, wherever they are: +44, 0044, 011 44.
_ABROAD = re.compile(r"(?:00|011)(?=[1-9])")


def e164(said: str, *, region: str, sandbox: bool = False) -> str:
    """The number as +442079460958; without a country code it is one of `region` (ISO 3166).

    Digits may be of any script, with anything between them that is no letter, or words. A sandbox clinic may
    use numbers that no telephone can have, such as the +1-555-1234 of the quick reference: its SMS go
    nowhere. Raises ImpossibleNumber.
    """
    digits = _digits(of_caller(said) or said)
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException as error:
        raise ImpossibleNumber(_UNREADABLE.get(error.error_type, "it has too few digits")) from None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE and _ABROAD.match(digits):
        return e164(_ABROAD.sub("+", digits, count=1), region=region, sandbox=sandbox)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE and not sandbox:
        raise ImpossibleNumber(_REASONS.get(reason, "it cannot be dialled"))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _digits(said: str) -> str:
    """'+442079460958', '02079460958': what was said or written, without all that is no digit of it.

    Raises ImpossibleNumber. Nothing is invented: one word too many makes it unreadable, since a number that
    is read wrong is somebody else's.
    """
    words = _words(said) if len(said) <= MAX_CHARACTERS else []
    while words and words[-1] == "#":  # the key that ends what is dialled
        words.pop()
    first = next((place for place, word in enumerate(words) if word in DIGITS or word.isdecimal()), 0)
    words = [word for place, word in enumerate(words) if word != "#" or place > first]  # "phone #: 020 …"
    ends = next((place for place, word in enumerate(words) if word in _EXTENSION), len(words))
    if ends < len(words) and number_said(words[ends + 1 :]) is None:
        ends = 0
    digits = number_said(words[:ends])
    if digits is None:
        raise ImpossibleNumber("it is not made of digits")
    return digits.replace("+00", "+", 1) if digits.startswith("+00") else digits


def _words(said: str) -> list[str]:
    """Lower-case words, groups of digits in ASCII and signs, without the punctuation between them."""
    plain = "".join(_plain(character) for character in said.casefold())
    return re.findall(r"[0-9]+|[^\W\d_]+|\S", plain)


def _plain(character: str) -> str:
    if character in "'\u2019":
        return ""
    alike = unicodedata.normalize("NFKC", character)
    if alike in _SIGNS or alike == "x":  # of full width, too
        return alike
    # Punctuation, symbols, spaces and marks of direction, of any script.
    if unicodedata.category(character)[0] in "PSZ" or unicodedata.category(character) == "Cf":
        return " "
    return str(unicodedata.decimal(character, character))


_each_word = re.compile(r"[a-z]+").findall

#: Words for the telephone that is being rung from, of which one must be there; and words around them.
_THE_CALLERS = frozenset(
    _each_word(
        "same this caller callers customer customers current incoming inbound"
        " calling ringing dialing dialling using"
    )
)
_AROUND = frozenset(
    _each_word(
        "a am are as at be call can cell cellphone for from he her here his i id im in is it its line me mine"
        " mobile my now number of ok okay on one patient patients phone please right send she sure telephone"
        " text that thats the their they theyre to use which with yeah yes you your youre"
    )
)

#: What models write where they have no number.
_NOTHING = frozenset(
    (
        *("", "none", "null", "nil", "na", "n a", "undefined", "not provided", "not given", "not applicable"),
        *("not available", "not known", "not specified", "tbd", "tbc", *_WITHHELD_WORDS),
    )
)


def means_the_callers(said: str) -> bool:
    """Whether it is no number but says whose: "same as caller", "the number I'm calling from"."""
    words = set(_words(said))
    return bool(words & _THE_CALLERS) and words <= _THE_CALLERS | _AROUND


def says_nothing(said: str) -> bool:
    """Whether it only says that there is no number: "N/A", "unknown", "-"."""
    return " ".join(_words(said)) in _NOTHING


def of_caller(said: str) -> str | None:
    """A caller's number as Vapi has it: E.164, or a SIP address that holds none; None if it was withheld."""
    user = re.sub(r"^(?:sips?|tel):|[@;].*$", "", said.strip().casefold())
    if user in _WITHHELD:
        return None
    return user if re.fullmatch(r"\+\d{5,15}", user) else said


#: Those of +1 whose numbers are dialled as one's own and cost a text message as much as one's own. The
#: others of +1 are dialled alike, and are countries with prices of their own (docs/decisions/0017).
_NORTH_AMERICA = frozenset(("US", "CA", "PR", "VI", "GU", "MP", "AS"))


def home_regions(region: str) -> list[str]:
    """The countries and territories (ISO 3166) that share one numbering plan with this one, itself first.

    So Jersey, Guernsey and the Isle of Man with GB, and Puerto Rico with US.
    """
    code = phonenumbers.country_code_for_region(region)
    plan = set(phonenumbers.region_codes_for_country_code(code)) if code else set()
    if code == 1:
        plan &= _NORTH_AMERICA if region in _NORTH_AMERICA else {region}
    return [region, *sorted(plan - {region})]


def check_country(number: str, allowed: Collection[str]) -> None:
    """Raises CountryNotAllowed unless the E.164 number is of one of these countries (ISO 3166).

    Several countries share a calling code, such as +1 and +44: any of them will do where the number
    itself does not tell.
    """
    parsed = phonenumbers.parse(number)
    region = phonenumbers.region_code_for_number(parsed)
    regions = (
        {region} if region else set(phonenumbers.region_codes_for_country_code(parsed.country_code or 0))
    )
    if regions.isdisjoint(allowed):
        raise CountryNotAllowed(f"+{parsed.country_code}")


_MOBILE = frozenset((phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE))
_LANDLINE = frozenset((phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.VOIP))

#: Ranges that are kept for films and examples, where phonenumbers takes them for real ones: those of Ofcom,
#: 555-01xx of North America, those of ACMA and of Arcep.
_FICTION = re.compile(
    r"\+44(?:2079460|1(?:1[3-8]|21|[3-6]1)4960|1914980|2896496|2920180|1632960|7700900)\d{3}"
    r"|\+1\d{3}55501\d{2}"
    r"|\+61(?:[2378](?:5550|7010)\d{4}|491570(?:006|110|15[6-9]))"
    r"|\+33(?:63998|19900|26191|35301|46571|53649)\d{4}"
)

#: Numbers that phonenumbers takes for mobiles and that are nobody's telephone: pay-per-call, services and
#: test lines of North America (976, 950, 958, 959, 555 1212); and satellites and premium rate of no country.
_NOBODYS = re.compile(r"\+1\d{3}(?:(?:976|95[089])\d{4}|5551212)|\+(?:870|878|88[1-3]|979)\d+")

#: Twilio's numbers for tests, each of which makes a message fail in its own way.
_TWILIO_TEST = re.compile(r"\+1500555\d{4}")


def check_mobile(number: str, *, landlines: bool = False, fiction: bool = False) -> None:
    """Raises NotAMobile unless the E.164 number can be a patient's mobile.

    `landlines` takes fixed lines and VoIP as well; `fiction` takes numbers that no telephone has. Numbers
    with a price or an owner of their own (premium rate, shared cost, personal, toll-free, pagers, company
    numbers, satellites) are refused whatever is set.
    """
    parsed = phonenumbers.parse(number)
    if _NOBODYS.fullmatch(number) and not (fiction and _TWILIO_TEST.fullmatch(number)):
        raise NotAMobile(f"+{parsed.country_code}")
    if fiction and (_TWILIO_TEST.fullmatch(number) or not phonenumbers.is_valid_number(parsed)):
        return
    kinds = _MOBILE | _LANDLINE if landlines else _MOBILE
    # Of a number that is not valid the kind is unknown.
    if phonenumbers.number_type(parsed) not in kinds or (not fiction and _FICTION.fullmatch(number)):
        raise NotAMobile(f"+{parsed.country_code}")


def may_be_rung(number: str) -> bool:
    """Whether it can be somebody's mobile or landline, so that ringing it back earns nobody anything."""
    try:
        check_mobile(number, landlines=True, fiction=True)
    except (NotAMobile, phonenumbers.NumberParseException):
        return False
    return True


def readable(number: str) -> str:
    """+44 20 7946 0958; anything else as it is."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def last_digits(number: str) -> str:
    """'34': all of a number that an answer or a log may carry."""
    return number[-2:]
