"""The tap that says whether a call was worth it, and what its row keeps."""

from __future__ import annotations

import csv
import html
import io
import re
from typing import Any

import psycopg

from tests.webapp.staff.browsers import Person

SAID = "SELECT worth_call, judged_score, judged_band FROM calls WHERE id = %s"
WHEN = "SELECT judged_at, judged_by FROM calls WHERE id = %s"
#: The table's entry where there is nothing to divide by.
NONE = "\N{EN DASH}"


def said(sql: psycopg.Connection, call: str, query: str = SAID) -> Any:
    return sql.execute(query.encode(), [call]).fetchone()


def judge(person: Person, call: str, worth: str, **form: str) -> Any:
    return person.post(f"leads/{call}/worth-the-call", worth=worth, **form)


def shown(page: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", page).split()))


def table(person: Person) -> list[list[str]]:
    response = person.get("lead-record.csv")
    assert response.mimetype == "text/csv"
    header, *lines = csv.reader(io.StringIO(response.text.removeprefix("\ufeff")))
    assert header == [
        *("month", "hot_worth_the_call", "hot_judged", "hot_not_judged"),
        *("others_worth_the_call", "others_judged"),
    ]
    return lines
