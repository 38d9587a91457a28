"""What a clinic as a whole may use, and which limits are half or nearly used up, for staff and operators."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from models.booking import codes
from models.clinics import allowances
from models.clinics.allowances import AllowanceRow, ClinicLimit, Level
from models.clinics.organizations import Organization
from models.messaging import limits

#: Every allowance of a clinic as a whole. A limit added here appears on the dashboard, in `flask doctor`, in
#: /metrics and in the log.
LIMITS: tuple[ClinicLimit, ...] = (*codes.CLINIC_LIMITS, *limits.CLINIC_LIMITS)


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a limit a clinic has used at this moment: `part` is 0 for nothing, 1 for all."""

    org_id: uuid.UUID
    limit: ClinicLimit
    part: float

    @property
    def level(self) -> Level | None:
        return allowances.level_of(self.part)

    @property
    def says(self) -> str:
        """A sentence for the clinic's staff, once there is a level; it does not change with every unit."""
        how_many = "Nearly all" if self.level is Level.NEARLY_ALL else "More than half"
        return f"{how_many} of {self.limit.words} are used; they come back by the hour. {self.limit.then}"


def find_low(session: Session, org_id: uuid.UUID) -> list[Used]:
    """Which limits of a clinic are half or nearly used up."""
    return [each for each in _used(session, org_id) if each.level]


def of_every_clinic(session: Session) -> list[tuple[str, str, float]]:
    """Clinic, name of the limit and used part, for each limit that is used at all. For system scope."""
    return [(str(each.org_id), each.limit.name, each.part) for each in _used(session, None)]


def _used(session: Session, org_id: uuid.UUID | None) -> Iterator[Used]:
    now = func.app_clock()
    keys = {(limit.kind, allowances.digest_of(limit.kind, "")) for limit in LIMITS}
    rows = select(Organization, AllowanceRow.kind, AllowanceRow.full_again_at, now.label("now")).join(
        Organization, Organization.id == AllowanceRow.org_id
    )
    if org_id is not None:
        rows = rows.where(AllowanceRow.org_id == org_id)
    rows = rows.where(
        tuple_(AllowanceRow.kind, AllowanceRow.whose).in_(sorted(keys)), AllowanceRow.full_again_at > now
    )
    for organization, kind, full_again_at, at in session.execute(rows):
        for limit in LIMITS:
            if limit.kind == kind:
                yield Used(organization.id, limit, limit.part(organization, full_again_at - at))
