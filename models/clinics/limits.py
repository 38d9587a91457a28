"""The bounds of a clinic's settings, for the command line and for the owners' page.

What the owner of a clinic may set is narrower where a setting costs money or weakens a check
(docs/decisions/0036-what-owners-change.md).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from models.base import phones
from models.clinics.organizations import Organization


class Bounds(NamedTuple):
    """The range of a whole number, and its meaning in one sentence."""

    least: int
    most: int
    meaning: str


MOST = 2**31 - 1

#: Columns of `organizations`.
LIMITS = {
    "code_length": Bounds(4, 8, "Digits of a code."),
    "code_tries": Bounds(1, 5, "Wrong codes after which a hold is given back."),
    "codes_per_hold": Bounds(1, MOST, "Codes that may be sent for one hold."),
    "codes_per_call": Bounds(1, MOST, "Codes that may be sent in one call."),
    "codes_per_phone_a_day": Bounds(1, MOST, "Codes to one number, filled again over 24 hours."),
    "codes_a_day": Bounds(1, MOST, "Codes to all numbers: a third at once, filled again by the hour."),
    "codes_per_caller_an_hour": Bounds(1, MOST, "Codes that one caller may have sent to other numbers."),
    "wrong_codes_per_phone_a_day": Bounds(1, MOST, "Wrong codes for one number, forgiven over 24 hours."),
    "holds_per_phone": Bounds(
        1, MOST, "Times that one number may hold at once, and as many in its own calls."
    ),
    "unproved_holds": Bounds(
        0, MOST, "Times that one credential may hold before codes are asked for; 0: any."
    ),
    "unproved_holds_per_caller": Bounds(1, MOST, "Times that one caller may hold for others at once."),
    "unproved_percent_of_day": Bounds(
        1, 100, "How much of a day may be held for numbers that are only said."
    ),
    "moves_per_appointment_a_day": Bounds(1, MOST, "Moves of one appointment by its link in 24 hours."),
    "texts_per_phone_a_day": Bounds(
        1, MOST, "Texts about appointments to one number in 24 hours; more wait."
    ),
    "feed_limit_hours": Bounds(
        1, 336, "Hours after which a person whose calendar cannot be read is not offered."
    ),
    "segments_a_day": Bounds(100, MOST, "Segments of SMS in 24 hours; one abroad counts four."),
}
#: Columns of `integration_settings`.
PACE = {
    "sms_per_second": Bounds(
        0, 1000, "SMS a second that its sender takes; 0 leaves the pace to the provider."
    )
}
LEADS = {
    "hot_lead_threshold": Bounds(1, 100, "The score that makes a hot lead."),
    "hot_lead_min_duration": Bounds(0, MOST, "Seconds that the call must have lasted longer than."),
    "hot_lead_alerts_an_hour": Bounds(1, MOST, "Alerts by SMS in an hour; more are told together in one."),
}

#: The most that an owner may set. Where the operator has set more, the owner may keep it and go down.
#: `segments_a_day` is what a clinic's SMS can cost at most, so an owner can only lower it.
OWNERS_MOST = {
    "code_length": 8,
    "code_tries": 5,
    "codes_per_hold": 5,
    "codes_per_call": 12,
    "codes_per_phone_a_day": 20,
    "codes_a_day": 1000,
    "codes_per_caller_an_hour": 20,
    "wrong_codes_per_phone_a_day": 30,
    "holds_per_phone": 10,
    "moves_per_appointment_a_day": 20,
    "texts_per_phone_a_day": 30,
    "segments_a_day": 0,
    "hot_lead_threshold": 100,
    "hot_lead_min_duration": 4 * 3600,
    "hot_lead_alerts_an_hour": 30,
}

#: Days for which words and patients are kept.
SHORTEST_KEPT, LONGEST_KEPT = 1, 36_500


class Unfit(ValueError):
    """The message says what is wrong with a value, and what would do."""


def owners_number(name: str, said: str, today: int) -> int:
    """What an owner typed for this limit, which is `today` now. Raises Unfit."""
    least = (LIMITS | LEADS)[name].least
    most = max(OWNERS_MOST[name], today)
    digits = said.strip()
    if not re.fullmatch("[0-9]{1,10}", digits) or not least <= int(digits) <= most:
        raise Unfit(f"give a whole number from {least} to {most}")
    return int(digits)


def days(said: str) -> int | None:
    """A number of days, or None for `ever`. Raises Unfit."""
    typed = said.strip().lower()
    if typed == "ever":
        return None
    if not re.fullmatch("[0-9]{1,5}", typed) or not SHORTEST_KEPT <= int(typed) <= LONGEST_KEPT:
        raise Unfit(f"{said!r} is neither a number of days from {SHORTEST_KEPT} to {LONGEST_KEPT} nor `ever`")
    return int(typed)


def telephone(clinic: Organization, said: str) -> str:
    """A number as the clinic writes it, in E.164. Raises Unfit."""
    try:
        return phones.e164(said, region=clinic.region, sandbox=clinic.sandbox)
    except phones.ImpossibleNumber as error:
        raise Unfit(f"{said} is no telephone number: {error}") from None


def alert_phone(clinic: Organization, said: str) -> str:
    """The number of a mobile or a landline in E.164: a premium-rate number would earn from every hot lead.
    Raises Unfit.
    """
    number = telephone(clinic, said)
    if not phones.may_be_rung(number):
        raise Unfit(f"{said} is a number that texts cannot be sent to")
    return number
