"""Lists as CSV files for spreadsheets, in which words from a call must not become formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from flask import Response, stream_with_context

from models.base.erased import ERASED, is_erased
from models.insight.day_figures import Day
from models.insight.lead_record import Month
from models.insight.reports import CallRow, Trouble
from webapp.staff.shown import Words

#: The characters that OWASP lists (CSV injection), with the full-width ones of East Asian keyboards.
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

DAYS = (
    *("date", "appointments_created", "confirmations_sent", "confirmation_rate"),
    *("appointments_moved", "appointments_cancelled"),
)
CALLS = ("call", "at", "name", "phone", "seconds", "outcome", "score", "cost_usd")
LEADS = (
    *("call", "at", "name", "phone", "score", "band", "service", "reasons"),
    *("called_back_at", "called_back_by", "worth_call", "judged_at", "judged_by"),
)
MONTHS = (
    "month",
    "hot_worth_the_call",
    "hot_judged",
    "hot_not_judged",
    "others_worth_the_call",
    "others_judged",
)
MESSAGES = ("message", "at", "kind", "to", "name", "trouble", "attempt", "code", "why")


def answer(name: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Response:
    """A file to download, which is sent while its rows are read."""
    # The byte order mark tells spreadsheets that the file is UTF-8.
    response = Response(stream_with_context(_lines("\ufeff", header, rows)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _lines(mark: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    yield mark + _line(header)
    for row in rows:
        yield _line(row)


def _line(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(value) for value in values])
    return out.getvalue()


def cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).replace("\x00", "")
    return "'" + text if text.lstrip(" ").startswith(_STARTS_A_FORMULA) else text


# --- the columns --------------------------------------------------------------------------------


def day(row: Day) -> tuple[object, ...]:
    return row.day, row.appointments, row.confirmed, row.rate, row.moved, row.cancelled


def call(row: CallRow) -> tuple[object, ...]:
    return (
        row.id,
        row.created_at.isoformat(),
        _name(row),
        _number(row.phone),
        row.duration,
        Words.outcome(row.booked, row.status, row.ended_reason),
        None if row.erased else row.score,
        row.cost,
    )


def lead(row: CallRow) -> tuple[object, ...]:
    return (
        row.id,
        row.created_at.isoformat(),
        _name(row),
        _number(row.phone),
        row.score,
        row.band,
        row.service,
        "; ".join(f"{reason.get('why')} ({reason.get('points')})" for reason in row.reasons or ()),
        row.called_back_at.isoformat() if row.called_back_at else None,
        row.called_back_by,
        None if row.worth_call is None else "yes" if row.worth_call else "no",
        row.judged_at.isoformat() if row.judged_at else None,
        row.judged_by,
    )


def month(row: Month) -> tuple[object, ...]:
    return (
        f"{row.first_day:%Y-%m}",
        row.hot_worth,
        row.hot_judged,
        row.hot_unjudged,
        row.others_worth,
        row.others_judged,
    )


def message(row: Trouble) -> tuple[object, ...]:
    return (
        row.id,
        row.created_at.isoformat(),
        row.kind,
        _number(row.to_phone),
        row.name,
        row.trouble,
        row.attempt,
        row.error_code,
        row.error_reason or row.cause,
    )


def _name(row: CallRow) -> str | None:
    return ERASED if is_erased(row.phone) else row.name


def _number(number: str | None) -> str | None:
    return ERASED if is_erased(number) else number
