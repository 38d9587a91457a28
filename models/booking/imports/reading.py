"""Reads the bytes of a file: what it is, in which encoding, and its entries. Needs no database."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from datetime import datetime
from zoneinfo import ZoneInfo

from models.booking.imports import csv_file, ics_file
from models.booking.imports.entries import MOST_BYTES, File, Kind, Unreadable

#: How files begin that are no text.
_NO_TEXT = {
    b"PK\x03\x04": "a zip file or a workbook",
    b"PK\x05\x06": "a zip file or a workbook",
    b"\xd0\xcf\x11\xe0": "a workbook",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a compressed file",
}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(
    data: bytes,
    kind: Kind,
    *,
    zone: ZoneInfo,
    region: str,
    now: datetime,
    since: datetime,
    services: Collection[str] = (),
) -> File:
    """`zone` is that of times without one, `region` that of numbers and of dates that could be read either
    way. Of a calendar's events those that end after `since` are wanted. Raises Unreadable.
    """
    if len(data) > MOST_BYTES:
        raise Unreadable("the file is larger than 5 MB; export it in parts, by date")
    if not data.strip():
        raise Unreadable("no file was chosen, or it is empty")
    for begins, what in _NO_TEXT.items():
        if data.startswith(begins):
            raise Unreadable(f"this is {what} and no text; save it as CSV and choose that file")
    text = _text(data)
    if kind is Kind.CSV:
        return csv_file.read(text, zone=zone, region=region)
    return ics_file.read(text.encode(), zone=zone, region=region, now=now, since=since, services=services)


def kind_of(data: bytes) -> Kind:
    """Whether it is a calendar file, by its first words."""
    return Kind.ICS if "BEGIN:VCALENDAR" in _text(data[:4096], final=False).upper() else Kind.CSV


def _text(data: bytes, *, final: bool = True) -> str:
    encoding = next((name for bom, name in _BOMS if data.startswith(bom)), None) or _without_a_mark(data)
    errors = "strict" if final and encoding.startswith("utf") else "replace"
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "\x00" in text:
        raise Unreadable("this is no text; save it as CSV in UTF-8")
    return text.removeprefix("\ufeff")


def _without_a_mark(data: bytes) -> str:
    """The encoding of a text without a mark: where every other byte is nothing, it is UTF-16."""
    even, odd = data[:200:2].count(0), data[1:200:2].count(0)
    if max(even, odd) > 40 or (len(data) < 200 and max(even, odd) > len(data) // 4):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"
