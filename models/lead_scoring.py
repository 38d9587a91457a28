"""How hot a lead a call was: 0 to 100, from facts and from the caller's own words, with the reasons.

**Hot** (70 and more) is a prospective or returning patient who means to book or buy soon: took a slot or
goes ahead (also by "ring me tomorrow, I want to go ahead"), asks for an appointment for a service that is
worth much, or for any but a routine one soon, or needs help now. Family they book for counts as themselves.
**Warm** (35 and more) is interest without the decision: price shoppers, "I'll ask my husband", "I want to
book" and no more, and routine visits (check-up, cleaning, eye test) that are in no hurry.
**Cold** is the rest: information, refusals, cancellations, complaints, patients' papers and times, wrong
numbers, people who sell or look for work.

A score is the sum of its reasons, held between 0 and 100. Facts that a structured-data plan found lead where
they can be believed (models/lead_facts.py says when): a quoted reason must have been said by the caller, and
nothing may contradict our rows. Where there are none, the words are read (models/lead_reading.py), and the
call as a whole is compared with labelled ones (models/lead_likeness.py). The agent's words are never
evidence, and its own verdict on the call weighs next to nothing: it praises wrong numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from math import exp
from typing import Annotated, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.lead_facts import CallFacts
from models.lead_lexicon import SERVICES, Value
from models.lead_likeness import likeness
from models.lead_phrases import BadPhraseError, PhraseBook, read_phrase
from models.lead_reading import Heard, Speaker, Turn, hear
from models.lead_view import NO_PATIENT, WISHES, View, apply_facts, check_rows, view_of
from models.lead_vocabulary import PHRASES, Cue
from models.lead_words import Services, services_of, spelled

__all__ = [
    "Band",
    "Evidence",
    "Reason",
    "Rules",
    "Score",
    "Speaker",
    "Turn",
    "Weights",
    "score",
]


class Band(StrEnum):
    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Reason(NamedTuple):
    """One part of a score: for a human to read, and to add up."""

    code: str
    points: int
    why: str
    #: What the caller said, or "" where the reason is in our rows.
    quote: str


@dataclass(frozen=True, slots=True)
class Score:
    value: int
    band: Band
    reasons: tuple[Reason, ...]
    #: What the call was about, if that was understood.
    service: str | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a call that is over. Everything but the turns may be missing."""

    turns: tuple[Turn, ...]
    #: Seconds.
    duration: float | None = None
    #: From our own rows: an appointment was confirmed in this call.
    booked: bool = False
    #: The service that was booked or asked for, as our rows name it.
    service: str | None = None
    #: The clinic's services, each with its worth if the clinic gave it one.
    services: Mapping[str, Value | None] = field(default_factory=dict)
    #: Whether this number has been here before.
    returning: bool | None = None
    ended_reason: str | None = None
    #: The success evaluation of the agent's own analysis, in whichever of its forms.
    evaluation: str | None = None
    facts: CallFacts | None = None


Points = Annotated[int, Field(ge=-100, le=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=80)]


class Weights(BaseModel):
    """Points for each reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base: Points = 15
    booked: Points = 50
    commit: Points = 50
    want: Points = 35
    interest: Points = 20
    ask: Points = 8
    high_value: Points = 22
    normal_value: Points = 10
    low_value: Points = -3
    unknown_value: Points = 6
    now: Points = 55
    today: Points = 30
    soon: Points = 12
    soon_routine: Points = 4
    later: Points = -12
    accepts_price: Points = 10
    refuses_price: Points = -15
    decides: Points = 2
    does_not_decide: Points = -6
    new_patient: Points = 5
    returning: Points = 2
    undecided: Points = -8
    callback: Points = 5
    engaged: Points = 2
    duration: Points = 1
    evaluation: Points = 2
    #: For each unit of the log odds; 0 leaves the comparison out.
    likeness: Annotated[int, Field(ge=0, le=100)] = 40
    rejected: Points = -45
    cancelled: Points = -50
    admin: Points = -40
    other: Points = -40
    sarcasm: Points = -20
    complaint: Points = -60
    wrong_number: Points = -80
    spam: Points = -90
    job: Points = -70
    stranger: Points = -70
    opt_out: Points = -80


#: Where hot and warm begin, unless the organisation says otherwise. On this scale calls are compared.
_HOT, _WARM = 70, 35


class Rules(BaseModel):
    """What an organisation may set, as JSON: weights, thresholds, the worth of services, more phrases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: Weights = Weights()
    hot: int = Field(default=_HOT, ge=1, le=100)
    warm: int = Field(default=_WARM, ge=0, le=99)
    #: The worth of a service, by its name; also for names that the defaults have.
    services: dict[Name, Value] = Field(default_factory=dict, max_length=200)
    #: More of what callers say, in the language of models/lead_phrases.py.
    phrases: dict[Cue, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.warm >= self.hot:
            raise ValueError(f"warm ({self.warm}) must begin below hot ({self.hot})")
        if sum(len(each) for each in self.phrases.values()) > 200:
            raise ValueError("at most 200 phrases of one's own")
        for cue, texts in self.phrases.items():
            for text in texts:
                try:
                    read_phrase(cue, text)
                except BadPhraseError as error:
                    raise ValueError(str(error)) from error
        return self


_DEFAULT_RULES = Rules()
#: Below so many seconds nothing can be said for a call's length.
_A_CONVERSATION = 120


def score(evidence: Evidence, rules: Rules = _DEFAULT_RULES) -> Score:
    """Score a call. Pure: the same evidence and rules always give the same score."""
    heard = listen(evidence, rules)
    view = view_of(heard)
    check_rows(view, booked=evidence.booked, returning=evidence.returning)
    facts_lead = evidence.facts is not None and apply_facts(
        view,
        evidence.facts,
        caller=[turn.text for turn in evidence.turns if turn.speaker is Speaker.CALLER],
        heard=heard,
        services=_services(evidence, rules),
    )
    view.service = _best_worth(evidence.service, view.service, evidence, rules)
    reasons = _reasons(view, evidence, rules, heard)
    if not (facts_lead or view.booked):
        reasons += _alike(view, rules, heard, sum(each.points for each in reasons))
    value = min(100, max(0, sum(each.points for each in reasons)))
    band = Band.HOT if value >= rules.hot else Band.WARM if value >= rules.warm else Band.COLD
    return Score(value, band, tuple(reasons), view.service)


def listen(evidence: Evidence, rules: Rules = _DEFAULT_RULES) -> Heard:
    """Read what was said, without judging it."""
    return hear(evidence.turns, _book(_own_phrases(rules)), _services(evidence, rules))


def _own_phrases(rules: Rules) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(sorted((cue.value, texts) for cue, texts in rules.phrases.items()))


@lru_cache(maxsize=64)
def _book(own: tuple[tuple[str, tuple[str, ...]], ...]) -> PhraseBook:
    phrases: dict[str, tuple[str, ...]] = {cue.value: texts for cue, texts in PHRASES.items()}
    for cue, texts in own:
        phrases[cue] += texts
    return PhraseBook(phrases)


_DEFAULT_SERVICES = tuple((said, name) for name, (_, others) in SERVICES.items() for said in (name, *others))


def _services(evidence: Evidence, rules: Rules) -> Services:
    own = {*evidence.services, *rules.services} | ({evidence.service} if evidence.service else set())
    return services_of((*_DEFAULT_SERVICES, *((name, name) for name in sorted(own))))


def service_named(said: str, offered: Iterable[str]) -> str | None:
    """Which service a text is about: one that the clinic offers, else a known one; None if it names neither.

    What a caller says, or a model for them, is never passed on as the name of a service.
    """
    own = tuple(sorted(offered))
    names = services_of((*_DEFAULT_SERVICES, *((name, name) for name in own)))
    exact = next((name for name in own if name.casefold() == said.strip().casefold()), None)
    match = names.regex.search(f" {spelled(said)}")
    return exact or (names.name(match[0]) if match else None)


# --- From the view to points ------------------------------------------------------------------------

_AGAINST: dict[Cue, tuple[str, str]] = {
    Cue.OPT_OUT: ("opt_out", "Does not want to be contacted."),
    Cue.SPAM: ("spam", "Sells something, or is a recording."),
    Cue.JOB: ("job", "Looks for work."),
    Cue.STRANGER: ("stranger", "Is no patient: writes, delivers, or calls on business."),
    Cue.WRONG: ("wrong_number", "Meant to call somebody else."),
    Cue.COMPLAINT: ("complaint", "Complains."),
    Cue.CANCEL: ("cancelled", "Cancelled."),
    Cue.REJECT: ("rejected", "Refused."),
    Cue.ADMIN: ("admin", "A patient's own papers, times or results."),
    Cue.OTHER: ("other", "Called about something else than treatment."),
    Cue.SARCASM: ("sarcasm", "Did not mean it."),
}
_STANCE_WORDS = {
    Cue.COMMIT: ("commit", "Goes ahead: took a time, or asked to be booked."),
    Cue.WANT: ("want", "Asks for an appointment or treatment."),
    Cue.INTEREST: ("interest", "Is interested and has not decided."),
    Cue.ASK: ("ask", "Asks about a treatment or its price."),
}


def _reasons(view: View, evidence: Evidence, rules: Rules, heard: Heard) -> list[Reason]:
    weights = rules.weights
    lead = _for_a_lead(view, evidence, rules)
    reasons = [Reason("base", weights.base, "Every call begins here.", ""), *lead]
    for cue, quote in view.against.items():
        code, why = _AGAINST[cue]
        reasons.append(Reason(code, getattr(weights, code), why, quote))
    if not view.against and view.stance in WISHES:
        reasons += _small_change(evidence, weights, heard)
    if view.stance and (sign := _verdict(evidence.evaluation)):
        reasons.append(
            Reason("evaluation", sign * weights.evaluation, "The agent's own verdict on the call.", "")
        )
    return [each for each in reasons if each.points]


def _for_a_lead(view: View, evidence: Evidence, rules: Rules) -> list[Reason]:
    if any(cue in view.against for cue in (*NO_PATIENT, Cue.WRONG)):
        return []
    weights, worth = rules.weights, _worth(view.service, evidence, rules)
    reasons = _intent(view, weights, worth) if view.stance else []
    if not view.against:
        reasons += _timing(view, weights, worth)
    reasons += _price_and_doubt(view, weights)
    if view.stance in WISHES and not view.against:
        if view.new and not evidence.returning:
            reasons.append(Reason("new_patient", weights.new_patient, "Is new here.", view.new))
        elif view.returning:
            reasons.append(Reason("returning", weights.returning, "Has been here before.", ""))
    return reasons


def _intent(view: View, weights: Weights, worth: Value | None) -> list[Reason]:
    code, why = _STANCE_WORDS[view.stance or Cue.ASK]
    if view.booked:
        code, why = "booked", "Booked an appointment in this call."
    about = view.service[:1].upper() + view.service[1:] if view.service else "No service was named"
    named = f"{about}: of {worth} value." if worth else f"{about}."
    value = f"{worth or 'unknown'}_value"
    reasons = [
        Reason(code, getattr(weights, code), why, view.stance_quote),
        Reason(value, getattr(weights, value), named, ""),
    ]
    if view.decides is not None:
        code = "decides" if view.decides else "does_not_decide"
        why = "Decides alone." if view.decides else "Somebody else decides."
        reasons.append(Reason(code, getattr(weights, code), why, ""))
    return reasons


def _price_and_doubt(view: View, weights: Weights) -> list[Reason]:
    reasons = []
    if view.budget is Cue.ACCEPTS and view.stance:
        reasons.append(Reason("accepts_price", weights.accepts_price, "Takes the price.", view.budget_quote))
    elif view.budget is Cue.REFUSES:
        why = "Finds it too dear."
        reasons.append(Reason("refuses_price", weights.refuses_price, why, view.budget_quote))
    if view.undecided is not None:
        reasons.append(Reason("undecided", weights.undecided, "Has not decided.", view.undecided))
    if view.callback:
        reasons.append(Reason("callback", weights.callback, "Asks to be called back.", view.callback))
    return reasons


def _timing(view: View, weights: Weights, worth: Value | None) -> list[Reason]:
    if view.urgency is Cue.NOW:
        return [Reason("now", weights.now, "Needs help now.", view.urgency_quote)]
    if view.urgency is Cue.TODAY and view.stance in WISHES:
        return [Reason("today", weights.today, "Asks for today, or says it is urgent.", view.urgency_quote)]
    if view.urgency in {Cue.SOON, Cue.TODAY} and view.stance:
        # Without a service, only a time that was taken tells a wish for soon from an errand for today.
        slight = worth == "low" or (worth is None and view.stance is not Cue.COMMIT)
        points = weights.soon_routine if slight else weights.soon
        return [Reason("soon", points, "Wants it soon.", view.urgency_quote)]
    if view.urgency is Cue.LATER and view.stance is not Cue.COMMIT:
        return [Reason("later", weights.later, "Is in no hurry.", view.urgency_quote)]
    return []


def _small_change(evidence: Evidence, weights: Weights, heard: Heard) -> list[Reason]:
    reasons = []
    if heard.substantial_turns >= 3:
        reasons.append(Reason("engaged", weights.engaged, "Talked with the agent, turn by turn.", ""))
    if evidence.duration is not None and evidence.duration >= _A_CONVERSATION:
        reasons.append(Reason("duration", weights.duration, "Stayed for a conversation.", ""))
    return reasons


#: Log odds. What was understood is less than what was meant: alone it makes too few calls hot, too many warm.
#: Chosen, as _CLEAR and the weight of likeness, on rounds of bench/leads/fresh.jsonl that were left out.
_FOR_HOT, _FOR_WARM = 0.75, -0.25
#: Log odds that could not be clearer; without an end, nothing that a clinic weighs differently would count.
_CLEAR = 2.5
#: Up to so many words of the caller's there is nothing to compare; from twice as many on it counts in full.
_FEW_WORDS = 10
#: Where less of what was said is known from other calls, nothing can be said of it.
_LEAST_KNOWN = 0.1
#: Against whom the words speak like this is no hot lead, whatever the call is like.
_NEVER_HOT = frozenset((*NO_PATIENT, Cue.WRONG, Cue.COMPLAINT, Cue.CANCEL))
#: So many points beyond a boundary are two thirds of the way through its band.
_BAND = 60.0


def _alike(view: View, rules: Rules, heard: Heard, points: int) -> list[Reason]:
    """What makes up the difference between the points of the words and what such calls are."""
    share = min(1.0, heard.words / _FEW_WORDS - 1)
    if share <= 0 or not rules.weights.likeness:
        return []
    like = likeness(heard.spoken)
    if like.known < _LEAST_KNOWN:
        return []
    read = min(100, points)  # what spoke against a lead counts in full
    weight = share * rules.weights.likeness
    hot = read + weight * (_FOR_HOT + min(_CLEAR, max(-_CLEAR, like.hot)))
    warm = read + weight * (_FOR_WARM + min(_CLEAR, max(-_CLEAR, like.warm)))
    value = round(_within_its_band(hot, warm))
    shown = min(100, max(0, points))
    if Cue.OPT_OUT in view.against:  # whoever wants no call is rung about by nobody
        value = min(value, shown)
    elif not _NEVER_HOT.isdisjoint(view.against):
        value = min(value, max(shown, _HOT - 1))
    if value == shown:
        return []
    why, quote = ("Speaks", like.pro) if value > shown else ("Does not speak", like.contra)
    return [Reason("likeness", value - points, f"{why} like those who book.", quote)]


def _within_its_band(hot: float, warm: float) -> float:
    """Both margins have no bounds: the further beyond the boundary, the closer together calls stand."""
    if hot >= _HOT:
        return 100 - (100 - _HOT) * exp((_HOT - hot) / _BAND)
    if warm >= _WARM:
        return _WARM + (_HOT - 1 - _WARM) * exp((hot - _HOT) / _BAND)
    return (_WARM - 1) * exp((min(hot, warm) - _WARM) / _BAND)


def _best_worth(booked: str | None, wanted: str | None, evidence: Evidence, rules: Rules) -> str | None:
    """What a lead is about: who books a check-up and asks for implants is an implant lead."""
    order: tuple[Value | None, ...] = (None, "low", "normal", "high")
    both = [each for each in (booked, wanted) if each]
    return max(both, key=lambda each: order.index(_worth(each, evidence, rules)), default=None)


def _worth(service: str | None, evidence: Evidence, rules: Rules) -> Value | None:
    if service is None:
        return None
    for named in (evidence.services, rules.services):
        for name, value in named.items():
            if value is not None and name.casefold() == service.casefold():
                return value
    return _default_worth(service)


@lru_cache(maxsize=4_096)
def _default_worth(service: str) -> Value | None:
    """The worth of the best known service in a name: "Implant consultation" is about implants."""
    if service in SERVICES:
        return SERVICES[service][0]
    names = services_of(_DEFAULT_SERVICES)
    order: tuple[Value, ...] = ("high", "normal", "low")
    values = {SERVICES[names.name(match[0])][0] for match in names.regex.finditer(f" {spelled(service)}")}
    return next((value for value in order if value in values), None)


_GOOD = re.compile(
    r"^\s*(?:true|yes|pass(?:ed)?|success\w*|good|excellent|great|(?:strongly )?agree|[ab][+-]?)\s*\.?\s*$",
    re.IGNORECASE,
)
_BAD = re.compile(
    r"^\s*(?:false|no|fail(?:ed|ure)?|poor|bad|(?:strongly )?disagree|[def][+-]?)\s*\.?\s*$", re.IGNORECASE
)
_NUMBER = re.compile(r"^\s*(\d{1,3})(?:\.\d+)?\s*(%|/\s*10|/\s*100)?\s*$")


def _verdict(evaluation: str | None) -> int:
    """1, 0 or -1 from a pass or fail, a letter, a percentage, a mark out of ten, or a word; 0 from prose."""
    text = (evaluation or "")[:40]
    if _GOOD.match(text):
        return 1
    if _BAD.match(text):
        return -1
    if match := _NUMBER.match(text):
        number = int(match[1])
        share = number * 10 if match[2] in {None, "/10", "/ 10"} and number <= 10 else number
        return 1 if share >= 70 else -1 if share < 40 else 0
    return 0
