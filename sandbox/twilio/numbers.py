"""Telephone numbers: their reading, the refused numbers, and the outcome of SMS to the others."""

import re

from sandbox.twilio.refusals import RefusedError

POOL_NUMBER = "+15005550006"  # the one sender in every Messaging Service here

TO_REFUSED = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
FROM_REFUSED = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
FATES: dict[str, tuple[list[str], int | None]] = {
    "+15005550010": (["sending", "sent", "undelivered"], 30003),
    "+15005550011": (["sending", "sent", "undelivered"], 30006),
    "+15005550012": (["sending", "sent"], None),
    "+15005550013": (["sending", "failed"], 30001),
}
USUAL_FATE: tuple[list[str], int | None] = (["sending", "sent", "delivered"], None)


def phone_number(written: str) -> str | None:
    """The number in E.164, or None if it cannot be a telephone number."""
    digits = re.sub(r"[\s().-]", "", written)
    if digits.isascii() and digits.isdigit() and len(digits) == 10:
        digits = f"+1{digits}"  # Twilio reads ten bare digits as a US number
    return digits if re.fullmatch(r"\+[1-9][0-9]{7,14}", digits) else None


def read_recipient(written: str) -> str:
    number = phone_number(written)
    if number is None:
        raise RefusedError(21211, written)
    if number in TO_REFUSED:
        raise RefusedError(TO_REFUSED[number], number)
    return number


def read_sender(written: str) -> str:
    """A phone number, a short code, or an alphanumeric sender ID."""
    named = re.fullmatch(r"[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}", written)
    ours = phone_number(written) or (written if named else None)
    if ours is None:
        raise RefusedError(21212, written)
    if ours in FROM_REFUSED:
        raise RefusedError(FROM_REFUSED[ours], ours)
    return ours
