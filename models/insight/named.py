"""What the staff wrote in their own words, and a patient who is named in it: the reasons of blocks, of
closed days and of appointments beside others, and notes about other patients.

These rows are not about the patient, and are found by name and number only. Where a patient is erased,
`erased` takes the place of the name and the number, and the rest of the words stays.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.base.erased import ERASED, is_erased
from models.booking.appointments import Appointment
from models.booking.blocks import Block
from models.booking.resources import HoursException
from models.clinics.patient_notes import PatientNote

#: The columns with words of the staff.
_WORDS: tuple[InstrumentedAttribute[str] | InstrumentedAttribute[str | None], ...] = (
    PatientNote.body,
    Appointment.overruled,
    Block.reason,
    HoursException.reason,
)

#: The last figures of a number, which a person writes in any way; before them are the country's or a zero.
_FIGURES = 9


@dataclass(frozen=True, slots=True)
class Names:
    """How a patient may be named: a pattern for Postgres, case left aside. Empty if nothing names them."""

    pattern: str

    @classmethod
    def of(cls, names: Iterable[str | None], numbers: Iterable[str]) -> Names:
        said = {" ".join(name.split()) for name in names if name and name != ERASED}
        found = [r"\s+".join(map(_escaped, name.split())) for name in sorted(said, key=len, reverse=True)]
        parts = [rf"(?<!\w){name}(?!\w)" for name in found if len(name) > 1]
        for number in sorted({each for each in numbers if not is_erased(each)}):
            figures = re.sub(r"\D", "", number)
            if len(figures) >= _FIGURES:
                last = r"[\s().-]*".join(figures[-_FIGURES:])
                parts.append(rf"\+?(?:\d[\s().-]{{0,2}}){{0,5}}{last}(?!\d)")
        return cls("|".join(parts))


def _escaped(word: str) -> str:
    return "".join(letter if letter.isalnum() else f"\\{letter}" for letter in word)


def erase(session: Session, org_id: uuid.UUID, names: Names) -> None:
    """Take the names and numbers out of these words."""
    if not names.pattern:
        return
    for column in _WORDS:
        entity = column.class_
        of_clinic = (entity.org_id == org_id, column.regexp_match(names.pattern, flags="i"))
        ids = list(session.scalars(select(entity.id).where(*of_clinic).order_by(entity.id)))
        if ids:
            session.execute(
                update(entity)
                .where(entity.org_id == org_id, entity.id.in_(ids))
                .values({column: func.regexp_replace(column, names.pattern, ERASED, "gi")})
                .execution_options(synchronize_session=False)
            )
