"""Telephone numbers: read as E.164, or refused with a reason."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

import phonenumbers

from models.base.spoken import DIGITS, MAX_CHARACTERS, number_said


class ImpossibleNumber(ValueError):
    """No telephone can have this number. The message says why, in words that the agent can say."""


class NotAMobile(ValueError):
    """A number of a kind on which no patient reads messages, or which earns its owner money."""


class CountryNotAllowed(ValueError):
    """A number of a country to which the clinic sends no messages."""


# The user of a SIP address when the number is withheld, or the same word as Twilio types it on a keypad:
# +266696687 spells ANONYMOUS.
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


#: The words before an extension. No message reaches an extension, so it is left out. The words of other
#: languages are those that phonenumbers reads, and the usual words of countries that it leaves out.
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

#: Signs with a meaning in a number; all other punctuation is dropped.
_SIGNS = frozenset("+*#")

#: The prefixes that people dial before a country code: 0044, 011 44.
_ABROAD = re.compile(r"(?:00|011)(?=[1-9])")


def e164(said: str, *, region: str, sandbox: bool = False) -> str:
    """The number as +442079460958. A number without a country code belongs to `region` (ISO 3166).

    `said` is digits of any script, with any characters but letters between them, or words. A sandbox clinic
    may use numbers that no telephone can have, such as the +1-555-1234 of the quick reference, because its
    messages go nowhere. Raises ImpossibleNumber.
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
    """The digits and the plus of a number that was said or written: '+442079460958', '02079460958'.

    Raises ImpossibleNumber if any word is not part of a number: nothing is guessed, since a misread number
    belongs to another person.
    """
    words = _words(said) if len(said) <= MAX_CHARACTERS else []
    while words and words[-1] == "#":  # the key that ends dialling
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
    """The words in lower case, groups of ASCII digits, and signs, without the punctuation between them."""
    plain = "".join(_plain(character) for character in said.casefold())
    return re.findall(r"[0-9]+|[^\W\d_]+|\S", plain)


def _plain(character: str) -> str:
    if character in "'\u2019":
        return ""
    alike = unicodedata.normalize("NFKC", character)
    if alike in _SIGNS or alike == "x":  # also in full width
        return alike
    # Punctuation, symbols, spaces and marks of direction in any script.
    if unicodedata.category(character)[0] in "PSZ" or unicodedata.category(character) == "Cf":
        return " "
    return str(unicodedata.decimal(character, character))


_each_word = re.compile(r"[a-z]+").findall

#: Words for the telephone that the caller rings from, of which at least one must be said, and words that may
#: stand around them.
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

#: What models write when they have no number.
_NOTHING = frozenset(
    (
        *("", "none", "null", "nil", "na", "n a", "undefined", "not provided", "not given", "not applicable"),
        *("not available", "not known", "not specified", "tbd", "tbc", *_WITHHELD_WORDS),
    )
)


def means_the_callers(said: str) -> bool:
    """Whether this names the caller's own number: "same as caller", "the number I'm calling from"."""
    words = set(_words(said))
    return bool(words & _THE_CALLERS) and words <= _THE_CALLERS | _AROUND


def says_nothing(said: str) -> bool:
    """Whether this only says that there is no number: "N/A", "unknown", "-"."""
    return " ".join(_words(said)) in _NOTHING


def of_caller(said: str) -> str | None:
    """The number in what Vapi sends for a caller, in E.164; None if it was withheld.

    A text without such a number, such as a SIP address, comes back unchanged.
    """
    user = re.sub(r"^(?:sips?|tel):|[@;].*$", "", said.strip().casefold())
    if user in _WITHHELD:
        return None
    return user if re.fullmatch(r"\+\d{5,15}", user) else said


#: The countries and territories of +1 to which messages cost about as much as at home. The other countries of
#: +1 are dialled the same way but have prices of their own (docs/decisions/0017).
_NORTH_AMERICA = frozenset(("US", "CA", "PR", "VI", "GU", "MP", "AS"))


def home_regions(region: str) -> list[str]:
    """The countries and territories (ISO 3166) in the numbering plan of this one, which comes first.

    Jersey, Guernsey and the Isle of Man go with GB, for example, and Puerto Rico with US.
    """
    code = phonenumbers.country_code_for_region(region)
    plan = set(phonenumbers.region_codes_for_country_code(code)) if code else set()
    if code == 1:
        plan &= _NORTH_AMERICA if region in _NORTH_AMERICA else {region}
    return [region, *sorted(plan - {region})]


def check_country(number: str, allowed: Collection[str]) -> None:
    """Raises CountryNotAllowed unless the E.164 number belongs to one of these countries (ISO 3166).

    Several countries share a calling code such as +1 or +44. Where the number does not show which of them it
    belongs to, it is enough that one of them is allowed.
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

#: Ranges reserved for films and examples that phonenumbers takes for real numbers: those of Ofcom, 555-01xx
#: of North America, those of ACMA and of Arcep.
_FICTION = re.compile(
    r"\+44(?:2079460|1(?:1[3-8]|21|[3-6]1)4960|1914980|2896496|2920180|1632960|7700900)\d{3}"
    r"|\+1\d{3}55501\d{2}"
    r"|\+61(?:[2378](?:5550|7010)\d{4}|491570(?:006|110|15[6-9]))"
    r"|\+33(?:63998|19900|26191|35301|46571|53649)\d{4}"
)

#: Numbers that phonenumbers takes for mobiles but that no patient has: pay-per-call, services and test lines
#: of North America (976, 950, 958, 959, 555 1212); satellite and premium-rate numbers of no country.
_NOBODYS = re.compile(r"\+1\d{3}(?:(?:976|95[089])\d{4}|5551212)|\+(?:870|878|88[1-3]|979)\d+")

#: Twilio's test numbers, each of which makes a message fail in its own way.
_TWILIO_TEST = re.compile(r"\+1500555\d{4}")


def check_mobile(number: str, *, landlines: bool = False, fiction: bool = False) -> None:
    """Raises NotAMobile unless the E.164 number can be a patient's mobile.

    `landlines` also allows fixed lines and VoIP; `fiction` also allows numbers that no telephone has. Numbers
    with a price or an owner of their own (premium rate, shared cost, personal, toll-free, pagers, company
    numbers, satellites) are always refused.
    """
    parsed = phonenumbers.parse(number)
    if _NOBODYS.fullmatch(number) and not (fiction and _TWILIO_TEST.fullmatch(number)):
        raise NotAMobile(f"+{parsed.country_code}")
    if fiction and (_TWILIO_TEST.fullmatch(number) or not phonenumbers.is_valid_number(parsed)):
        return
    kinds = _MOBILE | _LANDLINE if landlines else _MOBILE
    # The kind of an invalid number is unknown.
    if phonenumbers.number_type(parsed) not in kinds or (not fiction and _FICTION.fullmatch(number)):
        raise NotAMobile(f"+{parsed.country_code}")


def may_be_rung(number: str) -> bool:
    """Whether it can be a person's mobile or landline, so that ringing it back earns its owner nothing."""
    try:
        check_mobile(number, landlines=True, fiction=True)
    except (NotAMobile, phonenumbers.NumberParseException):
        return False
    return True


def readable(number: str) -> str:
    """The number as +44 20 7946 0958; any other text unchanged."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def last_digits(number: str) -> str:
    """The last two digits, such as '34': no answer or log may carry more of a number."""
    return number[-2:]


#: Fewer digits are as likely a date, such as 2026-12-24.
_FEWEST_OF_A_NUMBER = 9


def without_numbers(text: str, *, region: str) -> str:
    """A text that a person wrote, with "[...]" in place of each telephone number as this region writes it."""
    if sum(map(str.isdigit, text)) < _FEWEST_OF_A_NUMBER:
        return text
    found = phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.POSSIBLE)
    for each in reversed(list(found)):
        if sum(map(str.isdigit, each.raw_string)) >= _FEWEST_OF_A_NUMBER:
            text = f"{text[: each.start]}[...]{text[each.end :]}"
    return text
