"""The columns of a diary's CSV file, by the names that the usual systems give them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache

#: What a column may mean, and the names of its header; of several columns of one meaning the earlier name in
#: this list goes first. Names are written as `plain` makes them.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "uid": (
        *(
            "appointment id",
            "appointment number",
            "appointment no",
            "appt id",
            "apptid",
            "aptnum",
            "booking id",
        ),
        *("booking ref", "booking reference", "appointment ref", "event id", "uid", "id"),
    ),
    "start": (
        *(
            "start",
            "starts",
            "starts at",
            "start at",
            "start datetime",
            "start date time",
            "appointment start",
        ),
        *("appointment date time", "appointment datetime", "appt datetime", "date time", "datetime"),
        *(
            "date and time",
            "scheduled at",
            "scheduled for",
            "aptdatetime",
            "begin",
            "begins",
            "from",
            "beginn",
        ),
        *("debut", "inicio"),
    ),
    "date": (
        *(
            "start date",
            "appointment date",
            "appt date",
            "booking date",
            "visit date",
            "date",
            "day",
            "datum",
        ),
        *("fecha",),
    ),
    "time": (
        *(
            "start time",
            "appointment time",
            "appt time",
            "time",
            "booking time",
            "time from",
            "uhrzeit",
            "zeit",
        ),
        *("hora", "heure"),
    ),
    "end": (
        *("end", "ends", "ends at", "end at", "end datetime", "end date time", "appointment end", "finish"),
        *("until", "to", "ende", "fin", "end time", "finish time", "time to"),
    ),
    "end date": ("end date", "finish date"),
    "length": (
        *("duration", "duration min", "duration mins", "duration minutes", "length", "length min", "minutes"),
        *("mins", "appointment length", "appt length", "dauer", "length mins", "length minutes"),
        *("duration in minutes", "time required", "slot length"),
    ),
    "name": (
        *("patient name", "patient", "client name", "client", "customer name", "customer", "full name"),
        *("patient full name", "guest", "name", "contact name", "contact", "attendee", "invitee name"),
    ),
    "first": (
        *("patient first name", "first name", "firstname", "forename", "given name", "client first name"),
        *("customer first name", "first", "fname", "vorname"),
    ),
    "last": (
        *("patient last name", "last name", "lastname", "surname", "family name", "client last name"),
        *("customer last name", "last", "lname", "nachname"),
    ),
    "phone": (
        *("patient mobile", "mobile", "mobile phone", "mobile number", "mobile no", "cell", "cell phone"),
        *(
            "cellphone",
            "wireless phone",
            "patient mobile phone",
            "client mobile",
            "mobile telephone",
            "handy",
        ),
        *(
            "sms number",
            "text number",
            "patient phone",
            "phone",
            "phone number",
            "phone no",
            "telephone",
            "tel",
        ),
        *(
            "telephone number",
            "patient telephone",
            "client phone",
            "customer phone",
            "contact number",
            "tel no",
        ),
        *("contact phone", "home phone", "phone home", "home telephone", "work phone", "phone mobile"),
        *("daytime phone", "telefon", "hm phone", "wk phone"),
    ),
    "service": (
        *(
            "service",
            "service name",
            "services",
            "treatment",
            "treatment name",
            "appointment type",
            "appt type",
        ),
        *("type of appointment", "procedure", "procedures", "visit type", "reason", "reason for visit"),
        *("appointment reason", "type", "event type", "slot type", "leistung", "prestation"),
    ),
    "person": (
        *("with", "provider", "provider name", "practitioner", "practitioner name", "clinician", "dentist"),
        *(
            "doctor",
            "therapist",
            "physiotherapist",
            "hygienist",
            "stylist",
            "staff",
            "staff name",
            "staff member",
        ),
        *("employee", "team member", "operator", "gp", "physician", "resource", "calendar", "session holder"),
        *("behandler",),
    ),
    "room": (
        "room",
        "room name",
        "chair",
        "operatory",
        "op",
        "surgery",
        "location",
        "column",
        "raum",
        "resource room",
    ),
    "state": (
        *(
            "status",
            "appointment status",
            "appt status",
            "state",
            "booking status",
            "aptstatus",
            "slot status",
        ),
        *("cancelled", "canceled", "is cancelled"),
    ),
}


def plain(text: str) -> str:
    """A header or a name without capitals, accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)).casefold()
    letters = "".join(each for each in decomposed if not unicodedata.combining(each))
    return " ".join(re.findall(r"[^\W_]+", letters))


@cache
def _meanings() -> dict[str, tuple[str, int]]:
    return {name: (meaning, place) for meaning, names in SYNONYMS.items() for place, name in enumerate(names)}


def recognise(header: Sequence[str]) -> dict[str, list[int]]:
    """The columns of each meaning, the best first."""
    found: dict[str, list[tuple[int, int]]] = {}
    for column, title in enumerate(header):
        words = plain(title)
        known = _meanings().get(words) or _meanings().get(words.replace(" ", ""))
        if known:
            found.setdefault(known[0], []).append((known[1], column))
    return {meaning: [column for _, column in sorted(columns)] for meaning, columns in found.items()}


def is_enough(columns: Mapping[str, Sequence[int]]) -> bool:
    """Whether these columns can be those of a diary: they say when, and more than that."""
    when = "start" in columns or "date" in columns
    return when and len(columns) > 1 + ("time" in columns)
