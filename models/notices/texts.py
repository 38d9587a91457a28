"""The sentences of every message: templates with bounded fields, which contain no free text of a caller.

Values come in and text goes out; kinds.py reads the values from the rows.
"""

from __future__ import annotations

import base64
import re
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from models.base import phones, times

#: The characters of two segments, each of which gives some room to the header that joins them.
TWO_SMS = 2 * 153

#: The basic character set of GSM 03.38, of which 160 characters fit into one segment.
_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_LOOK_ALIKES = str.maketrans(
    {
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{HORIZONTAL ELLIPSIS}": "...",
    }
)


def gsm(text: str, *, limit: int) -> str:
    """The text in GSM characters, cut to `limit`: any other character would halve the room in a segment."""
    plain = []
    for character in text.translate(_LOOK_ALIKES):
        if character in _GSM and character not in "\r\n":
            plain.append(character)
        else:
            folded = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
            plain.append("".join(part for part in folded if part in _GSM) or " ")
    return " ".join("".join(plain).split())[:limit].strip()


def code(clinic: str, digits: str) -> str:
    """The message with a code, and without any other group of digits that could be taken for the code."""
    name = re.sub(r"\d{3,}", "", gsm(clinic, limit=40)).strip()
    return (
        f"{digits} is your {name or 'booking'} code."
        " Read it to the assistant on the phone. Not calling us? Ignore this text."
    )


def confirmation(
    *,
    clinic: str,
    clinic_phone: str | None,
    starts_at: datetime,
    zone: ZoneInfo,
    appointment_id: uuid.UUID,
    link: str | None = None,
) -> str:
    """One segment, or two with a link. A link that does not fit or has non-GSM characters is left out."""
    booked = f"Confirmed: {times.written(starts_at, zone)}, {_place(clinic)}."
    return _to_be_changed(booked, clinic_phone, appointment_id, link)


def move(
    *,
    clinic: str,
    clinic_phone: str | None,
    moved_from: datetime,
    starts_at: datetime,
    zone: ZoneInfo,
    appointment_id: uuid.UUID,
    link: str | None = None,
) -> str:
    """The confirmation of a move, with the new time; at most two segments."""
    change = f"from {times.written(moved_from, zone)} to {times.written(starts_at, zone)}"
    return _to_be_changed(f"Moved {change}, {_place(clinic)}.", clinic_phone, appointment_id, link)


def _to_be_changed(stands: str, clinic_phone: str | None, appointment_id: uuid.UUID, link: str | None) -> str:
    """The sentence `stands` about an appointment, followed by how to change the appointment."""
    call = f"call {gsm(phones.readable(clinic_phone), limit=40)}" if clinic_phone else ""
    ref = f"Ref {reference(appointment_id)}"
    if link:
        # A space or nothing follows the link: telephones would take a full stop for part of it.
        text = f"{stands} {ref}. To change or cancel: {link}{' or ' if call else ''}{call}"
        if set(text) <= _GSM and len(text) <= TWO_SMS:
            return text
    change = f" To change it, {call}." if call else ""
    return f"{stands}{change} {ref}"


def cancellation(
    *, clinic: str, clinic_phone: str | None, starts_at: datetime, zone: ZoneInfo, appointment_id: uuid.UUID
) -> str:
    """One segment, without a link, because there is nothing left to change."""
    again = f" To book again call {gsm(phones.readable(clinic_phone), limit=40)}" if clinic_phone else ""
    time = times.written(starts_at, zone)
    return f"Cancelled: {time}, {_place(clinic)}. Ref {reference(appointment_id)}.{again}"


def _place(clinic: str) -> str:
    return gsm(clinic, limit=40) or "at the clinic"


def hot_lead(
    *,
    name: str | None,
    number: str | None,
    service: str | None,
    score: int,
    reasons: Sequence[str],
    seconds: int | None,
) -> str:
    """An alert for a lock screen: the lead's score, name, number and service, and its weightiest reasons.

    At most two segments.
    """
    who = _only_a_name(name or "") or "Somebody"
    at = ", number withheld"
    if number and re.fullmatch(r"\+?\d{3,15}", number):
        at = f", {number}" if phones.may_be_rung(number) else ", number not shown"
    wants = f", for {_no_link(gsm(service, limit=40))}" if service else ""
    lasted = f" {seconds // 60} min call." if seconds else ""
    text = f"Hot lead {score}/100: {who}{at}{wants}.{lasted}"
    for reason in reasons[:4]:
        more = f"{text} {_no_link(gsm(reason, limit=70))}."
        if len(more) > TWO_SMS:
            break
        text = more
    return text


def hot_leads(*, count: int, since: datetime, zone: ZoneInfo, best: int, page: str) -> str:
    """One alert about several leads. `page` is the address of the live page.

    At most two segments.
    """
    clock = times.written(since, zone).partition(" at ")[2]
    text = f"{count} more hot leads since {clock}, the best {best}/100."
    see = f"{text} See {page}"
    return see if set(see) <= _GSM and len(see) <= TWO_SMS else text


def _only_a_name(said: str) -> str:
    """The name, with only letters and the signs that names have.

    So a caller who gives the name "http://…" puts no link on a lock screen.
    """
    # Twice, because a letter of another script may be folded to several signs.
    for _ in range(2):
        said = "".join(c if c.isalpha() or c in " -'’" else " " for c in said)  # noqa: RUF001 (as keyboards write it)
        said = gsm(said, limit=30)
    return said


def _no_link(said: str) -> str:
    """The text without what telephones turn into links: a dot, slash, colon or @ within a word, and a long
    number in any notation.
    """
    apart = re.sub(r"(?<=\S)[./:@\\_]+(?=\S)|//+|@", " ", said)
    return " ".join(re.sub(r"\d{5,}|\d(?:[^A-Za-z0-9]{0,3}\d){5,}", " ", apart).split()).rstrip(".")


def reference(appointment_id: uuid.UUID) -> str:
    """Six letters and digits that name an appointment, and tell its confirmation from those of others."""
    return base64.b32encode(appointment_id.bytes[:4]).decode()[:6]
