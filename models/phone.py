"""Telephone numbers: E.164 or a reason why not."""

from __future__ import annotations

import re
from collections.abc import Collection

import phonenumbers


class ImpossibleNumber(ValueError):
    """No telephone can have this number; the message says why, for the ear."""


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


def e164(said: str, *, region: str, sandbox: bool = False) -> str:
    """The number as +442079460958; without a country code it is one of `region` (ISO 3166).

    A sandbox clinic may use numbers that no telephone can have, such as the +1-555-1234 of the quick
    reference: its SMS go nowhere. Raises ImpossibleNumber.
    """
    if not re.fullmatch(r"\+?[\d\s().\-/]{1,40}", said.strip(), re.ASCII):
        raise ImpossibleNumber("it is not made of digits")
    try:
        number = phonenumbers.parse(said, region)
    except phonenumbers.NumberParseException as error:
        raise ImpossibleNumber(_UNREADABLE.get(error.error_type, "it has too few digits")) from None
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != phonenumbers.ValidationResult.IS_POSSIBLE and not sandbox:
        raise ImpossibleNumber(_REASONS.get(reason, "it cannot be dialled"))
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def of_caller(said: str) -> str | None:
    """A caller's number as Vapi has it: E.164, or a SIP address that holds none; None if it was withheld."""
    user = re.sub(r"^(?:sips?|tel):|[@;].*$", "", said.strip().casefold())
    if user in _WITHHELD:
        return None
    return user if re.fullmatch(r"\+\d{5,15}", user) else said


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
