"""How hot a lead a call was: 0 to 100, with the reasons, and whether a person should ring the caller back.

**Hot** (70 and more) is a prospective or returning patient who means to book or buy soon: took a time, goes
ahead, asks for an appointment for a treatment that costs a lot, asks for any but a routine one soon, or needs
help now. Booking for family counts as booking for oneself.
**Warm** (35 and more) is interest without the decision: price shoppers, "I'll ask my husband", "I want to
book" and no more, and routine visits in no hurry.
**Cold** is the rest: information, refusals, cancellations, complaints, patients' own affairs, wrong numbers,
people who sell or look for work. A caller who booked is never cold.

The score is the sum of its reasons, kept between 0 and 100. Each reason is a line of the tables below, or the
classifier's (models/leads/classifier.py) if the facts do not say what the caller wanted. Our own rows come
first, then the facts whose quotes the caller said (models/calls/facts.py); the agent's words are no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.booking.services import Worth
from models.calls.facts import CallFacts, Fact, borne_out, words
from models.leads.classifier import Judgement, judge


class Band(StrEnum):
    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Speaker(StrEnum):
    AGENT = "agent"
    CALLER = "caller"


#: Who speaks, by the roles in the files of calls of bench/leads and `flask leads try`.
ROLES = {"user": Speaker.CALLER, "bot": Speaker.AGENT}


class Turn(NamedTuple):
    speaker: Speaker
    text: str


class Reason(NamedTuple):
    """One part of a score, for a person to read; the points of all reasons add up to the score."""

    code: str
    points: int
    why: str
    #: What the caller said, or "" if the reason is in our rows.
    quote: str


def as_objects(reasons: Iterable[Reason]) -> list[dict[str, str | int]]:
    """The reasons as JSON has them: [{"code", "points", "why", "quote"}]."""
    return [
        {"code": code, "points": points, "why": why, "quote": quote} for code, points, why, quote in reasons
    ]


@dataclass(frozen=True, slots=True)
class Score:
    value: int
    band: Band
    #: Whether a person should ring the caller, because there is business to win that is not settled.
    call_back: bool
    #: The caller wants no calls.
    refuses_calls: bool
    reasons: tuple[Reason, ...]
    #: Which of the clinic's services the call was about, if that was understood.
    service: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a call that is over. Everything but the turns may be missing."""

    turns: tuple[Turn, ...]
    #: Seconds.
    duration: float | None = None
    #: From our own rows: an appointment was confirmed in this call, and stands.
    booked: bool = False
    #: The service that was booked, as our rows name it.
    service: str | None = None
    #: The names of the clinic's services.
    services: Collection[str] = ()
    #: The worth of these services by name, where the clinic has set it.
    worths: Mapping[str, Worth] = field(default_factory=dict)
    #: Whether this number had an appointment before; None if the number was withheld.
    returning: bool | None = None
    facts: CallFacts | None = None


Points = Annotated[int, Field(ge=-100, le=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=80)]


class Weights(BaseModel):
    """The points of each reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Points = 10
    # What the caller decided: one of these six.
    booked: Points = 65
    goes_ahead: Points = 65
    wants: Points = 40
    undecided: Points = 30
    enquires: Points = 25
    declined: Points = -20
    # What they want, and how soon.
    now: Points = 45
    soon: Points = 20
    later: Points = -5
    high_worth: Points = 25
    low_worth: Points = -15
    # What speaks for and against it.
    price_accepted: Points = 10
    price_too_dear: Points = -20
    someone_else_decides: Points = -15
    asks_to_be_rung: Points = 10
    refuses_calls: Points = -5
    new_patient: Points = 3
    known_patient: Points = 2
    short_call: Points = -5
    # Calls that are about something else.
    reschedule: Points = -60
    cancel: Points = -70
    patient_matter: Points = -45
    information: Points = -45
    complaint: Points = -60
    wrong_number: Points = -80
    sales: Points = -90
    job: Points = -80
    other: Points = -50
    #: Per cent of the points for the caller's words, which count where there are no facts; 0 leaves them out.
    words: Annotated[int, Field(ge=0, le=100)] = 100


#: Where hot and warm begin, unless the clinic says otherwise. The classifier's points are on this scale.
HOT, WARM = 70, 35


class Rules(BaseModel):
    """What a clinic may set, as JSON: points, thresholds, and the worth of its services."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Weights = Weights()
    hot: int = Field(default=HOT, ge=1, le=100)
    warm: int = Field(default=WARM, ge=0, le=99)
    #: The worth of what callers ask for, by its name. It overrides the platform's fact about the kind of
    #: treatment. The worth that is set with a service of that name (Evidence.worths) counts before it.
    services: dict[Name, Worth] = Field(default_factory=dict, max_length=200)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.warm >= self.hot:
            raise ValueError(f"warm ({self.warm}) must begin below hot ({self.hot})")
        return self


_DEFAULT_RULES = Rules()


class _Line(NamedTuple):
    """If `fact` has this value and the stance is one of `stances`, the points of `code` count."""

    fact: str
    value: str
    code: str
    why: str
    stances: str


#: The caller's stance, and why it counts. It comes from the decision, else from the purpose.
_STANCES = {
    "booked": "Booked an appointment in this call.",
    "goes_ahead": "Goes ahead: took a time, or asked to be booked.",
    "wants": "Asks for an appointment or treatment.",
    "undecided": "Is interested and has not decided.",
    "enquires": "Asks about a treatment or its price.",
    "declined": "Turned down what was offered.",
}
_PURPOSES = {"appointment": "wants", "enquiry": "enquires"}

#: Calls about something else. A wish that the caller mentions besides does not count.
_NO_LEADS = {
    "reschedule": "Moves an appointment.",
    "cancel": "Cancels.",
    "patient_matter": "A patient's own papers, times or results.",
    "information": "Asks for information only.",
    "complaint": "Complains.",
    "wrong_number": "Meant to call somebody else.",
    "sales": "Calls on business of their own, or is a recording.",
    "job": "Looks for work.",
    "other": "Called about something else than treatment.",
}

#: The purposes among them of a patient who may need help now.
_PATIENTS = frozenset({"patient_matter", "complaint", "information"})

_ASKS = "booked goes_ahead wants"
_ANY = f"{_ASKS} undecided enquires"
_TABLE = (
    _Line("urgency", "now", "now", "Needs help now.", _ANY),
    _Line("urgency", "soon", "soon", "Wants it soon.", _ASKS),
    _Line("urgency", "later", "later", "Is in no hurry.", "wants"),
    _Line("treatment_kind", "major", "high_worth", "A treatment that costs a lot.", _ASKS),
    _Line("treatment_kind", "routine", "low_worth", "A routine visit.", "wants"),
    _Line("price", "accepted", "price_accepted", "Takes the price.", _ANY),
    _Line("price", "too_dear", "price_too_dear", "Finds it too dear.", "goes_ahead wants"),
    _Line("decided_by", "someone_else", "someone_else_decides", "Somebody else decides.", "goes_ahead wants"),
    _Line("call_back", "asked", "asks_to_be_rung", "Asks to be rung back.", _ANY),
    _Line("patient", "new", "new_patient", "Is new here.", _ANY),
    _Line("patient", "known", "known_patient", "Has been here before.", _ANY),
)  # fmt: skip
_KINDS = {Worth.HIGH: "major", Worth.NORMAL: "ordinary", Worth.LOW: "routine"}

#: Seconds; a caller decides nothing in less.
_SHORT = 20


def score(evidence: Evidence, rules: Rules = _DEFAULT_RULES) -> Score:
    """Score a call. Pure: the same evidence and rules always give the same score."""
    caller = [turn.text for turn in evidence.turns if turn.speaker is Speaker.CALLER]
    facts = borne_out(evidence.facts or {}, caller)
    wanted = _stance(evidence, facts)
    offered = [*evidence.services, *rules.services]
    service = _service(evidence, facts, offered)
    facts = _with_rows(facts, evidence, rules, service)
    reasons = [Reason("base", rules.weights.base, "Every call begins here.", "")]
    if wanted:
        reasons += _of_facts(*wanted, facts, evidence, rules.weights)
    else:
        reasons += _of_words(caller, evidence, rules)
    refuses = facts["call_back"] if _is(facts, "call_back", "refused") else None
    if refuses and not evidence.booked:
        reasons.append(Reason("refuses_calls", rules.weights.refuses_calls, "Wants no calls.", refuses.quote))
    reasons += _floor(wanted[0] if wanted else None, reasons, rules)
    value = min(100, max(0, sum(each.points for each in reasons)))
    band = Band.HOT if value >= rules.hot else Band.WARM if value >= rules.warm else Band.COLD
    asks = _is(facts, "call_back", "asked") and band is not Band.COLD
    call_back = not refuses and (asks or (band is Band.HOT and not evidence.booked))
    if not (service or "treatment" in facts or (wanted and wanted[0] in _NO_LEADS)):
        service = _last_named(caller, offered)
    kept = tuple(each for each in reasons if each.points)
    return Score(value, band, call_back, refuses is not None, kept, service)


def _is(facts: CallFacts, name: str, value: str) -> bool:
    return name in facts and facts[name].value == value


def _stance(evidence: Evidence, facts: CallFacts) -> tuple[str, str] | None:
    """What the caller wanted, as the code of its points, and the quote; None if no fact says it."""
    if evidence.booked:
        return "booked", ""
    purpose, decision = facts.get("purpose"), facts.get("decision")
    if purpose and purpose.value in _NO_LEADS:
        if purpose.value in _PATIENTS and _is(facts, "urgency", "now"):
            return "enquires", purpose.quote
        return purpose.value, purpose.quote
    if decision:
        return decision.value, decision.quote
    return (_PURPOSES[purpose.value], purpose.quote) if purpose else None


def _with_rows(
    facts: dict[str, Fact], evidence: Evidence, rules: Rules, service: str | None
) -> dict[str, Fact]:
    """The facts, corrected by our own rows: the worth of the service, and whether the patient is known."""
    both = (*rules.services.items(), *evidence.worths.items())
    worths = {name.casefold(): worth for name, worth in both}
    if worth := worths.get((service or "").casefold()):
        quote = facts["treatment"].quote if "treatment" in facts else ""
        facts["treatment_kind"] = Fact(_KINDS[worth], quote)
    if evidence.returning:
        facts["patient"] = Fact("known", "")
    return facts


def _of_facts(
    stance: str, quote: str, facts: CallFacts, evidence: Evidence, weights: Weights
) -> list[Reason]:
    reasons = [Reason(stance, getattr(weights, stance), (_STANCES | _NO_LEADS)[stance], quote)]
    reasons += [
        Reason(line.code, getattr(weights, line.code), line.why, facts[line.fact].quote)
        for line in _TABLE
        if stance in line.stances.split() and _is(facts, line.fact, line.value)
    ]
    if stance != "booked" and evidence.duration is not None and evidence.duration < _SHORT:
        reasons.append(Reason("short_call", weights.short_call, "Was over in seconds.", ""))
    return reasons


def _floor(stance: str | None, reasons: list[Reason], rules: Rules) -> list[Reason]:
    """The reason with the points that are missing from the least that the stance is worth, if any are."""
    total = sum(each.points for each in reasons)
    if stance == "booked" and total < rules.warm:
        return [Reason("never_cold", rules.warm - total, "A caller who booked is never cold.", "")]
    interest = rules.weights.base + rules.weights.undecided
    if stance in {"goes_ahead", "wants"} and total < interest:
        return [Reason("interested", interest - total, "A wish counts no less than interest.", "")]
    return []


# --- the caller's words, where no fact says what they wanted --------------------------------------

#: At most this many sentences are given as reasons, and this many characters of each.
_SENTENCES, _QUOTE = 3, 200
#: If the caller said at most this many words and the facts are empty, there was nothing to find.
_NOTHING = 3


def _of_words(caller: list[str], evidence: Evidence, rules: Rules) -> list[Reason]:
    weights = rules.weights
    said = sum(len(words(turn)) for turn in caller)
    if not said:
        return []
    like = judge(caller)
    if like is None:
        if evidence.facts == {} and said <= _NOTHING:
            return []  # the platform's model found nothing in a hello either
        return [Reason("unclear", rules.warm - weights.base, "What the caller wanted could not be told.", "")]
    points = round((_value(like) - weights.base) * weights.words / 100)
    return _shared(points, like)


def _value(like: Judgement) -> int:
    """The probabilities on the scale of the score, on which hot begins at HOT and warm at WARM."""
    if like.hot >= 0.5:
        return round(HOT + (100 - HOT) * (2 * like.hot - 1))
    if like.warm >= 0.5:
        return WARM + int((HOT - WARM) * 2 * like.hot)
    return int(WARM * 2 * like.warm)


def _shared(points: int, like: Judgement) -> list[Reason]:
    """The points, shared among the sentences that they come from."""
    why = "Sounds like callers who book." if points > 0 else "Sounds like callers who do not book."
    parts = [(each.hot if like.hot >= 0.5 else each.warm, each.text) for each in like.sentences]
    telling = sorted((part for part in parts if part[0] * points > 0), key=lambda part: -abs(part[0]))
    most = telling[:_SENTENCES] or [(1.0, "")]
    whole = sum(weight for weight, _ in most)
    shares = [round(points * weight / whole) for weight, _ in most]
    shares[0] += points - sum(shares)
    return [Reason("words", share, why, text[:_QUOTE]) for share, (_, text) in zip(shares, most, strict=True)]


# --- what the call was about ----------------------------------------------------------------------


def _service(evidence: Evidence, facts: CallFacts, offered: Collection[str]) -> str | None:
    """The clinic's service that a fact names as the treatment, else the booked service.

    A caller who books a check-up and asks for implants is a lead for implants.
    """
    wanted = service_named(facts["treatment"].value, offered) if "treatment" in facts else None
    return wanted or evidence.service


def _last_named(caller: list[str], offered: Collection[str]) -> str | None:
    """The service that the caller named last. It may be for another person, so its worth does not count."""
    return next((name for turn in reversed(caller) if (name := service_named(turn, offered))), None)


def service_named(said: str, offered: Collection[str]) -> str | None:
    """Which of the clinic's services a text names: the longest name whose every word is said, or None.

    The words of a caller, or of a model that speaks for the caller, are never passed on as a service's name.
    """
    heard = {_singular(word) for word in words(said)}
    named = [
        (len(parts), name)
        for name in sorted(offered)
        if (parts := {_singular(word) for word in words(name)} - _UNSAID) and parts <= heard
    ]
    return max(named)[1] if named else None


#: Words of a service's name that callers leave out.
_UNSAID = frozenset({"consultation", "treatment", "appointment", "visit", "session", "and", "the", "a", "of"})


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
