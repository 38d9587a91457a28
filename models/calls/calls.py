"""Calls as Vapi reports them, and their tool calls with the answers."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Numeric,
    UniqueConstraint,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import clock, locks
from models.base.tables import Base, CreatedAt, Id
from models.booking import codes
from models.calls import reports
from models.calls.reports import Report


class Call(Base):
    __tablename__ = "calls"
    __table_args__ = (
        Index("ix_calls_org_id_created_at", "org_id", text("created_at DESC")),
        Index("ix_calls_org_id_caller_number", "org_id", "caller_number"),
        Index("ix_calls_score_due_at", "score_due_at", postgresql_where=text("score_due_at IS NOT NULL")),
        CheckConstraint(
            "num_nulls(worth_call, judged_at, judged_score, judged_band) IN (0, 4)", name="whole_judgement"
        ),
        CheckConstraint("judged_by IS NULL OR worth_call IS NOT NULL", name="judged_by"),
        ForeignKeyConstraint(
            ["org_id", "judged_by"],
            ["staff_users.org_id", "staff_users.id"],
            ondelete="SET NULL (judged_by)",
        ),
    )

    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    #: Vapi's id of the call.
    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    ended_reason: Mapped[str | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    #: Seconds.
    duration: Mapped[int | None]
    #: As Vapi sends it: E.164 or a SIP address; null if it was withheld.
    caller_number: Mapped[str | None]
    #: How the call came, in Vapi's word; webapp/staff/shown.py has the words for those that pages show.
    call_type: Mapped[str | None]
    assistant_id: Mapped[str | None]
    phone_number_id: Mapped[str | None]
    #: The turns of the transcript (models/calls/reports.py), redacted; deleted after keep_words_days.
    turns: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    summary: Mapped[str | None]
    #: The agent's own verdict, in the words of its rubric.
    success: Mapped[str | None]
    facts: Mapped[dict[str, Any] | None]
    #: US dollars.
    cost: Mapped[Decimal | None] = mapped_column(Numeric(10, 4))
    #: The richness of the best report so far.
    richness: Mapped[int] = mapped_column(server_default="0")
    #: When the final report came, or the last report after it that changed the score's inputs.
    reported_at: Mapped[datetime | None]
    #: When the call is due to be scored; null while it goes on, and once it is scored.
    score_due_at: Mapped[datetime | None]
    nudged_at: Mapped[datetime | None]
    scored_at: Mapped[datetime | None]
    #: 0 to 100; the reasons are in lead_reasons: [{"code", "points", "why", "quote"}].
    lead_score: Mapped[int | None]
    lead_band: Mapped[str | None]
    #: Whether a person should ring the caller back; null in a call that was scored before this column.
    lead_call_back: Mapped[bool | None]
    #: The clinic's service that the caller wants, if known.
    lead_service: Mapped[str | None]
    lead_reasons: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB)
    #: When its patient was erased. Since then no late report may bring back what was said in the call.
    erased_at: Mapped[datetime | None]
    #: When the staff noted that they rang back, and who noted it.
    called_back_at: Mapped[datetime | None]
    called_back_by: Mapped[str | None]
    #: Whether the lead was worth ringing, as the staff judge (models/leads/judgements.py); null: not judged.
    #: The judged score and band are those of that moment, and do not change when the call is scored again.
    worth_call: Mapped[bool | None]
    judged_at: Mapped[datetime | None]
    judged_score: Mapped[int | None]
    judged_band: Mapped[str | None]
    #: The person in staff_users; null once that person is deleted.
    judged_by: Mapped[uuid.UUID | None]
    created_at: Mapped[CreatedAt]


class ToolCall(Base):
    """One tool call of a call, with its last answer, which a repeat is given again.

    Vapi's own id repeats between calls and tools ("call_0"), so it is only part of the key. If the same
    request comes again and is no repeat, its answer and time replace the earlier ones. Arguments are kept as
    a keyed digest, because the code that the patient said is among them.
    """

    __tablename__ = "tool_calls"
    __table_args__ = (
        UniqueConstraint("org_id", "call_id", "tool_call_id", "tool", "arguments_digest"),
        Index("ix_tool_calls_org_id_created_at", "org_id", "created_at"),
    )

    id: Mapped[Id]
    org_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("organizations.id"))
    call_id: Mapped[str]
    tool_call_id: Mapped[str]
    tool: Mapped[str]
    arguments_digest: Mapped[str]
    #: As json, because jsonb would lose the order of its keys.
    reply: Mapped[dict[str, Any]] = mapped_column(JSON)
    #: False while the answering request still watches a message: a repeat then waits for the same answer.
    final: Mapped[bool] = mapped_column(server_default="true")
    created_at: Mapped[CreatedAt]


#: The prefix of a signature that stands in place of a call id, for a signed tool call without a call. Its
#: answer is kept for as long as the signature could come again, and is left out where calls are counted.
BY_SIGNATURE = "signed/"


@dataclass(frozen=True, slots=True)
class ToolCallKey:
    """The key by which a repeated tool call is recognised within its clinic."""

    call_id: str
    tool_call_id: str
    tool: str
    arguments_digest: str


@dataclass(frozen=True, slots=True)
class Begun:
    """`reply` is the earlier answer to this tool call; `holds_a_slot` is whether its call holds a slot."""

    reply: dict[str, Any] | None
    final: bool | None
    holds_a_slot: bool


@dataclass(frozen=True, slots=True)
class KeptAs:
    """The row of an answer and its time, because a later answer may replace it in the same row."""

    id: uuid.UUID
    at: datetime


_BEGIN = text(
    "SELECT reply, final, holds_a_slot"
    " FROM begin_tool_call(:org_id, :call_id, :tool_call_id, :tool, :arguments_digest)"
)
_FINAL = text(
    "SELECT reply FROM tool_calls WHERE org_id = :org_id AND call_id = :call_id AND final"
    " AND tool_call_id = :tool_call_id AND tool = :tool AND arguments_digest = :arguments_digest"
)
# Replaces an earlier answer where the tool call is no repeat of the earlier one (webapp/agents/repeats.py).
_KEEP = text(
    "INSERT INTO tool_calls (org_id, call_id, tool_call_id, tool, arguments_digest, reply, final, created_at)"
    " VALUES (:org_id, :call_id, :tool_call_id, :tool, :arguments_digest, :reply, :final, app_clock())"
    " ON CONFLICT (org_id, call_id, tool_call_id, tool, arguments_digest)"
    " DO UPDATE SET reply = EXCLUDED.reply, final = EXCLUDED.final, created_at = EXCLUDED.created_at"
    " RETURNING id, created_at"
).bindparams(bindparam("reply", type_=JSON))
_IS_KEPT = text("SELECT EXISTS (SELECT FROM tool_calls WHERE id = :id AND created_at = :at)")
# The tool call itself comes first; those that were answered at the same moment or later follow it.
_SINCE = text(
    "SELECT later.tool_call_id, later.tool, later.arguments_digest, later.created_at"
    " FROM tool_calls it JOIN tool_calls later"
    "   ON later.org_id = it.org_id AND later.call_id = it.call_id AND later.created_at >= it.created_at"
    " WHERE it.org_id = :org_id AND it.call_id = :call_id AND it.tool_call_id = :tool_call_id"
    " AND it.tool = :tool AND it.arguments_digest = :arguments_digest"
    " ORDER BY later.id <> it.id"
)


def begin(session: Session, org_id: uuid.UUID, key: ToolCallKey) -> Begun:
    """Wait for the other tool calls of this call, then return what is known of this one.

    Takes the lock of the call, before any other lock, and keeps it until the transaction ends.
    """
    row = session.execute(_BEGIN, {"org_id": org_id, **asdict(key)}).one()
    return Begun(row.reply, row.final, row.holds_a_slot)


def keep_reply(
    session: Session, org_id: uuid.UUID, key: ToolCallKey, reply: dict[str, Any], *, final: bool
) -> KeptAs:
    """Keep an answer, in the same transaction as its effect."""
    values = {"org_id": org_id, **asdict(key), "reply": reply, "final": final}
    return KeptAs(*session.execute(_KEEP, values).one())


def is_kept(session: Session, kept: KeptAs) -> bool:
    """Whether an answer, and with it its effect, was committed."""
    return bool(session.scalar(_IS_KEPT, {"id": kept.id, "at": kept.at}))


def answered_since(
    session: Session, org_id: uuid.UUID, key: ToolCallKey
) -> tuple[datetime, set[ToolCallKey]]:
    """When the kept answer was given, and the tool calls of the same call that were answered since then."""
    it, *later = session.execute(_SINCE, {"org_id": org_id, **asdict(key)}).all()
    since = {ToolCallKey(key.call_id, row.tool_call_id, row.tool, row.arguments_digest) for row in later}
    return it.created_at, since


def was_answered(session: Session, org_id: uuid.UUID, call_id: str, *, tool: str, code: str) -> bool:
    """Whether a tool has been answered with this refusal code before in this call."""
    found = session.scalar(
        select(ToolCall.id)
        .where(
            ToolCall.org_id == org_id,
            ToolCall.call_id == call_id,
            ToolCall.tool == tool,
            ToolCall.reply["code"].as_string() == code,
        )
        .limit(1)
    )
    return found is not None


def answers_of(
    session: Session, org_id: uuid.UUID, call_id: str, *, tools: Collection[str]
) -> list[dict[str, Any]]:
    """The last answers of these tools in a call, the newest first; no more than a caller can have in mind."""
    query = (
        select(ToolCall.reply)
        .where(ToolCall.org_id == org_id, ToolCall.call_id == call_id, ToolCall.tool.in_(tools))
        .order_by(ToolCall.created_at.desc(), ToolCall.id)
        .limit(20)
    )
    return list(session.scalars(query))


def get_final_reply(session: Session, org_id: uuid.UUID, key: ToolCallKey) -> dict[str, Any] | None:
    """The final answer to a tool call; None before there is one."""
    reply: dict[str, Any] | None = session.execute(_FINAL, {"org_id": org_id, **asdict(key)}).scalar()
    return reply


def replace_reply(session: Session, tool_call: uuid.UUID, reply: dict[str, Any]) -> None:
    """Put the final answer in place of the answer that was true when its transaction committed."""
    session.execute(update(ToolCall).where(ToolCall.id == tool_call).values(reply=reply, final=True))


def lock(session: Session, org_id: uuid.UUID, call_id: str) -> None:
    """Take the lock that `begin` takes, for events that are no tool calls, such as the end of the call."""
    locks.take(session, func.call_lock_key(org_id, call_id))


#: How long after its report a call is scored, since a richer report often follows at once.
AFTER_REPORT = timedelta(seconds=2)

#: How long after its end a call is scored if no report comes.
WITHOUT_REPORT = timedelta(minutes=15)

#: Fields that a better report replaces, and a poorer report only fills in where they are empty.
_REPORTED = (
    *("ended_reason", "started_at", "ended_at", "duration", "caller_number", "call_type", "assistant_id"),
    *("phone_number_id", "summary", "success", "facts", "cost"),
)

#: The inputs of a score and an alert: if any of them changes, the call is scored again.
_SCORED = ("turns", "duration", "facts", "caller_number")

ENDED = "ended"

#: A nudge waits in the queue for a moment no further away than this; later moments are left to the sweep.
SOON = timedelta(seconds=10)

#: A report that dates its call further back than this has a wrong clock, and does not date the call.
LATEST_REPORT = timedelta(days=7)


def record_report(session: Session, *, org_id: uuid.UUID, call_id: str, report: Report, final: bool) -> Call:
    """Add a report to its call. Reports may come in any order and more than once.

    A report at least as rich as those before replaces their fields; a poorer one fills in what is missing; a
    field that it does not have changes nothing. `final` is the report after the call. An ended call stays
    ended.
    """
    report = reports.without_codes(report, codes.codes_of_call(session, org_id, call_id))
    now = clock.now(session)
    began = report.started_at or report.ended_at or now
    session.execute(
        insert(Call)
        .values(
            org_id=org_id,
            id=call_id,
            status=report.status or "in-progress",
            created_at=began if now - LATEST_REPORT < began < now else now,
        )
        .on_conflict_do_nothing()
    )
    call = session.scalars(
        select(Call).where(Call.org_id == org_id, Call.id == call_id).with_for_update()
    ).one()
    if call.erased_at:
        return call
    before = [getattr(call, name) for name in _SCORED]
    better = report.richness >= call.richness
    for name in _REPORTED:
        said = getattr(report, name)
        if said is not None and (better or getattr(call, name) is None):
            setattr(call, name, said)
    if report.turns and (call.turns is None or len(report.turns) >= len(call.turns)):
        call.turns = list(report.turns)
    if final or report.status == ENDED:
        call.status = ENDED
        call.ended_at = call.ended_at or now
    elif call.status != ENDED and report.status:
        call.status = report.status
    call.richness = max(call.richness, report.richness)
    changed = before != [getattr(call, name) for name in _SCORED]
    if (final and call.reported_at is None) or (call.reported_at and changed):
        call.reported_at, call.score_due_at, call.nudged_at = now, now + AFTER_REPORT, None
    elif call.status == ENDED and call.scored_at is None and call.score_due_at is None:
        call.score_due_at = now + WITHOUT_REPORT
    session.flush()
    return call


@dataclass(frozen=True, slots=True)
class Due:
    """The content of a nudge: a call that is due to be scored, at once or after a wait."""

    org_id: uuid.UUID
    call_id: str
    wait: timedelta = timedelta()


def due_soon(session: Session, org_id: uuid.UUID, call_id: str) -> Due | None:
    """The call with the wait that is left, if it is due to be scored within SOON; else None."""
    now = clock.now(session)
    due_at = session.scalar(
        select(Call.score_due_at).where(
            Call.org_id == org_id, Call.id == call_id, Call.score_due_at <= now + SOON
        )
    )
    return Due(org_id, call_id, max(due_at - now, timedelta())) if due_at else None


def sweep(session: Session, *, limit: int = 100) -> list[Due]:
    """At most `limit` calls that are due to be scored and were not nudged in the last 30 seconds."""
    now = func.app_clock()
    due = (
        select(Call.org_id, Call.id)
        .where(
            Call.score_due_at <= now,
            or_(Call.nudged_at.is_(None), Call.nudged_at < now - timedelta(seconds=30)),
        )
        .order_by(Call.score_due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.execute(due).all()
    for row in rows:
        session.execute(
            update(Call).where(Call.org_id == row.org_id, Call.id == row.id).values(nudged_at=now)
        )
    return [Due(row.org_id, row.id) for row in rows]
