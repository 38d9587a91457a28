"""Reads Vapi's reports of calls leniently: any JSON is accepted, and every field that is usable is read.

Webhooks and Vapi's API send the same shape. Documented fields may be missing, and undocumented ones sent; the
poorer of two reports of a call may come before or after the richer one. The rest of the body is not kept,
because it holds secrets (Twilio's tokens, an address that controls the call).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from models.base import phones, times
from models.base.json_values import an_object, objects
from models.calls import redaction
from models.calls.facts import NAME, SCHEMA, parse_facts

Object = Mapping[str, Any]

MOST_TURNS = 600
MOST_WORDS = 2_000  # characters of one turn
MOST_SAID = 200_000  # characters of all turns: some four hours of talk
LONGEST_CALL = 24 * 3600  # seconds

CALLER, AGENT = "caller", "agent"
_SPEAKERS = dict.fromkeys(("user", "customer", "caller"), CALLER) | dict.fromkeys(
    ("bot", "assistant", "agent", "ai"), AGENT
)
#: A time outside these years comes from a wrong clock or a wrong figure, and some pages could not show it.
_YEARS = range(2000, 2100)


@dataclass(frozen=True, slots=True)
class Report:
    """The contents of one report of a call. None means that the report does not say it."""

    status: str | None = None
    ended_reason: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: Seconds.
    duration: int | None = None
    caller_number: str | None = None
    call_type: str | None = None
    assistant_id: str | None = None
    phone_number_id: str | None = None
    #: `{"who": "caller" | "agent", "text": …, "at": seconds or None}`, redacted.
    turns: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    summary: str | None = field(default=None, repr=False)
    #: The agent's own verdict, in the words of its rubric: "true", "8", "Good" …
    success: str | None = None
    facts: dict[str, Any] | None = field(default=None, repr=False)
    #: US dollars.
    cost: Decimal | None = None

    @property
    def richness(self) -> int:
        """How much the report contains, to tell the better of two reports of one call."""
        extras = (self.duration, self.summary, self.success, self.facts, self.ended_reason)
        return len(self.turns) + 1_000 * sum(extra is not None for extra in extras)


def without_codes(report: Report, codes: Sequence[str]) -> Report:
    """The report without the codes of its call, even if they were said in words or over several turns."""
    if not codes:
        return report
    texts = redaction.without_codes([turn["text"] for turn in report.turns], codes)
    turns = tuple({**turn, "text": text} for turn, text in zip(report.turns, texts, strict=True))

    summary = report.summary and redaction.without_codes([report.summary], codes)[0]
    success = report.success and redaction.without_codes([report.success], codes)[0]
    facts = report.facts and {
        name: dict(zip(fact, redaction.without_codes([*fact.values()], codes), strict=True))
        for name, fact in report.facts.items()
    }
    return replace(report, turns=turns, summary=summary, success=success, facts=facts)


def read(message: Object) -> Report:
    """Read a webhook's message, or a call from Vapi's API wrapped as {"call": …}. Never raises."""
    call = an_object(message.get("call"))
    artifact = an_object(message.get("artifact")) or an_object(call.get("artifact"))
    analysis = an_object(message.get("analysis")) or an_object(call.get("analysis"))
    turns = tuple(_within(MOST_SAID, _turns(message, call, artifact)))
    started = _moment(message.get("startedAt")) or _moment(call.get("startedAt"))
    ended = _moment(message.get("endedAt")) or _moment(call.get("endedAt"))
    numbers = (_word(an_object(each.get("customer")).get("number")) for each in (message, call))
    return Report(
        status=_word(message.get("status")) or _word(call.get("status")),
        ended_reason=_word(message.get("endedReason")) or _word(call.get("endedReason")),
        started_at=started,
        ended_at=ended,
        duration=_duration(message, call, started, ended, turns),
        caller_number=next(filter(None, map(phones.of_caller, filter(None, numbers))), None),
        call_type=_word(call.get("type")),
        assistant_id=_word(call.get("assistantId")),
        phone_number_id=dialled(message),
        turns=turns,
        summary=_words(analysis.get("summary")) or _words(message.get("summary")),
        success=_success(analysis.get("successEvaluation")),
        facts=_facts(analysis, artifact),
        cost=_cost(message) or _cost(call),
    )


def dialled(message: Object) -> str | None:
    """Vapi's id of the dialled number, from the call itself or from the number beside it; None if missing."""
    call = an_object(message.get("call"))
    places = (
        call.get("phoneNumberId"),
        an_object(message.get("phoneNumber")).get("id"),
        an_object(call.get("phoneNumber")).get("id"),
        message.get("phoneNumberId"),
    )
    return next(filter(None, map(_word, places)), None)


# --- who said what ------------------------------------------------------------------------------


def _turns(message: Object, call: Object, artifact: Object) -> Iterator[dict[str, Any]]:
    lists = (
        artifact.get("messages"),
        message.get("messages"),
        call.get("messages"),
        artifact.get("messagesOpenAIFormatted"),
    )
    for entries in lists:
        said = [turn for entry in objects(entries) if (turn := _turn(entry))]
        if said:
            yield from said[:MOST_TURNS]
            return
    for text in (artifact.get("transcript"), message.get("transcript"), call.get("transcript")):
        if isinstance(text, str) and text.strip():
            yield from _from_text(text)
            return


def _within(characters: int, turns: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for turn in turns:
        characters -= len(turn["text"])
        if characters < 0:
            return
        yield turn


def _turn(entry: Object) -> dict[str, Any] | None:
    role = entry.get("role")
    who = _SPEAKERS.get(role.lower()) if isinstance(role, str) else None
    content = entry.get("content")
    if isinstance(content, list):  # OpenAI's format, in parts
        content = " ".join(part["text"] for part in objects(content) if isinstance(part.get("text"), str))
    text = _words(entry.get("message")) or _words(content)
    return {"who": who, "text": text, "at": _seconds(entry.get("secondsFromStart"))} if who and text else None


def _from_text(text: str) -> Iterator[dict[str, Any]]:
    """Turns from lines as “AI: …” and “User: …”; a line without a speaker continues the line before."""
    turns: list[dict[str, Any]] = []
    for line in text.splitlines()[: MOST_TURNS * 4]:
        speaker, colon, rest = line.partition(":")
        who = _SPEAKERS.get(speaker.strip().lower()) if colon else None
        if who:
            turns.append({"who": who, "text": rest.strip(), "at": None})
        elif turns and line.strip():
            turns[-1]["text"] += " " + line.strip()
    for turn in turns[:MOST_TURNS]:
        if words := _words(turn["text"]):
            yield {**turn, "text": words}


# --- figures ------------------------------------------------------------------------------------


def _duration(
    message: Object,
    call: Object,
    started: datetime | None,
    ended: datetime | None,
    turns: Sequence[dict[str, Any]],
) -> int | None:
    """Seconds: as sent (undocumented, it may vanish), else from start to end, else to the last turn."""
    for source in (message, call):
        for name, unit in (("durationSeconds", 1.0), ("durationMs", 0.001), ("durationMinutes", 60.0)):
            seconds = _seconds(source.get(name))
            if seconds is not None and seconds * unit <= LONGEST_CALL:
                return round(seconds * unit)
    if started and ended and 0 <= (ended - started).total_seconds() <= LONGEST_CALL:
        return round((ended - started).total_seconds())
    last = max((turn["at"] for turn in turns if turn["at"] is not None), default=None)
    return round(last) if last is not None and last <= LONGEST_CALL else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _moment(value: object) -> datetime | None:
    """The moment, in UTC, of an ISO time or of milliseconds since the epoch."""
    moment = times.parsed(value, zone=UTC) if isinstance(value, str) else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            moment = datetime.fromtimestamp(value / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return None
    return moment if moment and moment.year in _YEARS else None


def _cost(source: Object) -> Decimal | None:
    """US dollars: the total that was sent, else the total of the breakdown, else the sum of the parts."""
    parts = [amount for each in objects(source.get("costs")) if (amount := _dollars(each.get("cost")))]
    return (
        _dollars(source.get("cost"))
        or _dollars(an_object(source.get("costBreakdown")).get("total"))
        or (sum(parts, Decimal()) if parts else None)
    )


def _dollars(value: object) -> Decimal | None:
    amount = _seconds(value)
    return Decimal(f"{amount:.4f}") if amount is not None and amount < 10_000 else None


# --- what the agent thinks ----------------------------------------------------------------------


def _success(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if math.isfinite(value) and abs(value) <= 1_000 else None
    return _words(value[:200]) if isinstance(value, str) else None


def _facts(analysis: Object, artifact: Object) -> dict[str, Any] | None:
    """The facts that Vapi found: in our structured output, in another one, or in older structured data.

    A clinic may have structured outputs of its own. Ours counts first, even if it found nothing; else the
    first output with a usable fact counts.
    """
    outputs = objects([*an_object(artifact.get("structuredOutputs")).values()])
    ours = [each.get("result") for each in outputs if each.get("name") == NAME]
    others = [each.get("result") for each in outputs if each.get("name") != NAME]
    if {} in ours:
        return {}
    found = (_bounded(an_object(each)) for each in (*ours, *others, analysis.get("structuredData")))
    return next((facts for facts in found if parse_facts(facts)), None)


def _bounded(data: Object) -> dict[str, Any]:
    """The value and the quote of each fact in SCHEMA (models/calls/facts.py), shortened and redacted."""
    return {
        name: {
            part: redaction.redact(_clean(text, 400))
            for part in ("value", "quote")
            if isinstance(text := an_object(data.get(name)).get(part), str)
        }
        for name in SCHEMA["properties"]
        if an_object(data.get(name))
    }


# --- texts --------------------------------------------------------------------------------------


def _word(value: object) -> str | None:
    """A short text, such as an id or a status. Vapi has hundreds of reasons for the end of a call."""
    return (_clean(value, 200) or None) if isinstance(value, str) else None


def _words(value: object) -> str | None:
    """A text that a person or a model said or wrote, redacted; None if there is none."""
    return (redaction.redact(_clean(value, MOST_WORDS)) or None) if isinstance(value, str) else None


def _clean(text: str, limit: int) -> str:
    """The text fit to be stored: without NUL, lone surrogates and control characters, cut to `limit`."""
    whole = text[: limit * 2].encode("utf-8", "ignore").decode()
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else " " for c in whole)).strip()[:limit]
