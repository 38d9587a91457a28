"""The patients of a clinic, found by name or number."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

#: The most patients that a search shows.
MOST = 12


@dataclass(frozen=True, slots=True)
class Patient:
    """A name and the number that it was booked under. A family may share a number, and has a row each."""

    name: str
    phone: str


_SEARCH = text("""
    SELECT name, phone FROM (
        SELECT DISTINCT ON (a.patient_name, a.patient_phone) a.patient_name AS name, a.patient_phone AS phone,
               a.scheduled_at AS latest
          FROM appointments a
         WHERE a.org_id = :org AND a.patient_phone NOT LIKE 'erased:%'
           AND ((:name <> '' AND a.patient_name ILIKE :name ESCAPE '!')
                OR (:digits <> '' AND a.patient_phone LIKE :digits))
         ORDER BY a.patient_name, a.patient_phone, a.scheduled_at DESC
    ) found
     ORDER BY latest DESC LIMIT :most
""")


def search(session: Session, org_id: uuid.UUID, sought: str) -> list[Patient]:
    """The patients whose name has these words in it, or whose number these digits; the latest first, at most MOST."""
    digits = re.sub(r"\D", "", sought).removeprefix("0")
    name = re.sub(r"([!%_])", r"!\1", sought.strip())
    values = {
        "org": org_id,
        "name": f"%{name}%" if name and len(digits) < 3 else "",
        "digits": f"%{digits}%" if len(digits) >= 3 else "",
        "most": MOST,
    }
    return [Patient(row.name, row.phone) for row in session.execute(_SEARCH, values)]
