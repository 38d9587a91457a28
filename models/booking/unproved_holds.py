"""Unproved holds, for which no code has been asked yet: their askers, their limits, and giving them back.

The statement that claims a slot counts them (migrations/sql/make_room_for_hold_v2.sql); docs/decisions/0023
gives the reasons.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, Uuid, bindparam, text
from sqlalchemy.orm import Session

from models.base import digests
from models.clinics.organizations import LABEL_OF_CREDENTIAL, Organization


@dataclass(frozen=True, slots=True)
class Day:
    """The local day of a slot in its calendar, as instants, and how many starts it still offers with each
    leader.
    """

    begins: datetime
    ends: datetime
    offered: dict[str, int]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a hold, and for what. `caller` is the number that the call comes from, in E.164.

    `options` are those who and what is open then (models/booking/availability.py); without them whoever can
    do the calendar's own service is asked, whatever the hours are.

    `own`: the patient's number is the same. The clinic's limits on unproved holds apply if `day` is given
    (docs/decisions/0023).
    """

    clinic: Organization
    credential_id: uuid.UUID | None = None
    caller: str | None = None
    own: bool = False
    day: Day | None = None
    service_id: str | None = None
    options: tuple[tuple[tuple[str, ...], ...], ...] | None = None

    def as_json(self) -> str:
        """The JSON that claim_slot_atomic and make_room_for_hold read."""
        asked: dict[str, object] = {
            "credential": self.credential_id and str(self.credential_id),
            "caller": self.caller and caller_digest(self.caller),
            "own": self.own,
        }
        if self.service_id:
            asked["service"] = self.service_id
        if self.options:
            asked["options"] = self.options
        if self.day and self.clinic.unproved_holds:
            asked |= {
                "most": self.clinic.unproved_holds,
                "most_of_caller": self.clinic.unproved_holds_per_caller,
                "percent": self.clinic.unproved_percent_of_day,
                "from": self.day.begins.isoformat(),
                "until": self.day.ends.isoformat(),
                "offered": self.day.offered,
            }
        return json.dumps(asked)


def caller_digest(number: str) -> str:
    """The digest that holds keep of a caller's number: it shows that two holds have the same caller."""
    return digests.keyed("holds-caller", number)[:32]


# --- seen and given back ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asker:
    """One caller, or else one credential, with the number of its unproved holds.

    `number` is the caller's number if the platform has reported the call; `label` is the operator's name of
    the credential.
    """

    caller: str | None
    credential_id: uuid.UUID | None
    number: str | None
    label: str | None
    holds: int


_UNPROVED = """
      FROM appointment_holds h
     WHERE h.org_id = :org AND hold_is_live(h.status, h.expires_at, app_clock()) AND h.code_digest IS NULL
"""

#: A caller or credential with a single unproved hold needs no attention and is left out.
_ASKERS = text(f"""
    SELECT h.caller, NULL::uuid AS credential_id,
           (SELECT c.caller_number FROM calls c
             WHERE c.org_id = :org AND c.id = max(h.call_sid) AND c.erased_at IS NULL) AS number,
           NULL AS label, count(*) AS holds
    {_UNPROVED} AND h.caller IS NOT NULL GROUP BY h.caller HAVING count(*) > 1
    UNION ALL
    SELECT NULL, h.credential_id, NULL,
           ({LABEL_OF_CREDENTIAL.format(org=":org", id="h.credential_id")}), count(*)
    {_UNPROVED} AND h.credential_id IS NOT NULL GROUP BY h.credential_id HAVING count(*) > 1
    ORDER BY holds DESC, 1, 2 LIMIT :most
""")

_MEANT = """
    AND (:hold IS NULL OR h.id = :hold) AND (:caller IS NULL OR h.caller = :caller)
    AND (:credential IS NULL OR h.credential_id = :credential)
"""
_OF = (
    bindparam("hold", type_=Uuid()),
    bindparam("caller", type_=Text()),
    bindparam("credential", type_=Uuid()),
)
# The locks of the resources in sorted order and before any row, as in every transaction that takes several.
_LOCK = text(f"""
    SELECT lock_resources(:org, r.ids)
      FROM (SELECT coalesce(array_agg(u.id), '{{}}') AS ids
              FROM (SELECT unnest(all_resources(h.resource_id, h.other_resources)) AS id
                    {_UNPROVED} {_MEANT}) u) r
""").bindparams(*_OF)
_GIVE_BACK = text(f"""
    UPDATE appointment_holds g SET status = 'released', released_at = app_clock()
     WHERE g.id IN (SELECT h.id {_UNPROVED} {_MEANT}) AND g.status = 'held' AND g.code_digest IS NULL
    RETURNING g.id
""").bindparams(*_OF)


def list_askers(session: Session, org_id: uuid.UUID, *, most: int) -> list[Asker]:
    """The callers and credentials with more than one unproved hold, at most `most`, largest number first."""
    rows = session.execute(_ASKERS, {"org": org_id, "most": most})
    return [Asker(**row._mapping) for row in rows]


def give_back(
    session: Session,
    org_id: uuid.UUID,
    *,
    hold_id: uuid.UUID | None = None,
    caller: str | None = None,
    credential_id: uuid.UUID | None = None,
) -> int:
    """Release unproved holds: one, or all of a caller (its digest) or of a credential. Returns how many.

    A hold for which a code has been asked meanwhile stays. Waits for claims of these resources, at most the
    lock timeout (LockNotAvailable after it). Raises ValueError if no holds are named.
    """
    if (hold_id, caller, credential_id) == (None, None, None):
        raise ValueError("which holds?")
    of = {"org": org_id, "hold": hold_id, "caller": caller, "credential": credential_id}
    session.execute(_LOCK, of)
    return len(session.execute(_GIVE_BACK, of).all())
