"""Lists as CSV files, which spreadsheets open: what was said on the telephone must be no formula there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from flask import Response

#: As OWASP lists them (CSV injection), the full-width ones of East Asian keyboards among them.
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def answer(name: str, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Response:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    # With the mark by which spreadsheets know that it is UTF-8.
    response = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).replace("\x00", "")
    return "'" + text if text.lstrip(" ").startswith(_STARTS_A_FORMULA) else text
