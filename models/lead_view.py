"""What a whole call comes to: where the caller stands in the end, and what speaks against a lead.

A call changes its mind. What was said last counts: "never mind" after "I'd like to book" takes it back, and
"go on then, book me in" after "I wasn't going to book" stands. Then our own rows have their say, and then the
facts that a structured-data plan found, as far as they can be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.lead_facts import CallFacts, Said
from models.lead_reading import Event, Heard, shortened
from models.lead_vocabulary import Cue
from models.lead_words import Services, spelled


@dataclass(slots=True)
class View:
    """Where a call ended, each point with the caller's words for it."""

    stance: Cue | None = None  # COMMIT, WANT, INTEREST or ASK
    stance_quote: str = ""
    booked: bool = False
    service: str | None = None
    urgency: Cue | None = None  # NOW, TODAY, SOON or LATER
    urgency_quote: str = ""
    budget: Cue | None = None  # ACCEPTS or REFUSES
    budget_quote: str = ""
    decides: bool | None = None
    undecided: str | None = None
    new: str | None = None
    returning: bool = False
    callback: str | None = None
    #: Why it is no lead, the gravest first.
    against: dict[Cue, str] = field(default_factory=dict)


WISHES = frozenset({Cue.WANT, Cue.COMMIT})
#: These are no patients, whatever else they say.
NO_PATIENT = (Cue.OPT_OUT, Cue.SPAM, Cue.JOB, Cue.STRANGER)
_RANK = {Cue.ASK: 1, Cue.INTEREST: 2, Cue.WANT: 3, Cue.COMMIT: 4}


def view_of(heard: Heard) -> View:
    """What the caller's words alone come to."""
    view = View()
    _read_against(view, heard)
    _read_stance(view, heard)
    view.service = _service(heard)
    _read_urgency(view, heard)
    _read_price(view, heard)
    if event := heard.last(Cue.NEW):
        view.new = event.quote
    view.returning = bool(heard.of(Cue.RETURNING))
    if (event := heard.last(Cue.CALLBACK)) and view.stance in {Cue.WANT, Cue.INTEREST}:
        view.callback = event.quote
    return view


def _wish_after(heard: Heard, place: tuple[int, int], *, own_words: bool) -> bool:
    """Whether something is wanted after this; with own_words more than a slot that is taken."""
    return any(event.place > place and not (own_words and event.slot) for event in heard.of(*WISHES))


def _read_against(view: View, heard: Heard) -> None:
    if event := heard.last(Cue.OPT_OUT):
        view.against[Cue.OPT_OUT] = event.quote
    spam, pitch = heard.of(Cue.SPAM), heard.of(Cue.PITCH)
    if spam or len({event.quote for event in pitch}) > 1 or len(pitch) > 2:
        view.against[Cue.SPAM] = (spam or pitch)[0].quote
    for cue in (Cue.JOB, Cue.STRANGER):
        if event := heard.last(cue):
            view.against[cue] = event.quote
    for cue in (Cue.WRONG, Cue.COMPLAINT, Cue.CANCEL, Cue.REJECT, Cue.SARCASM):
        last = heard.last(cue)
        if last and not _taken_back(last, heard):
            view.against[cue] = last.quote
    wished = any(not event.slot for event in heard.of(*WISHES))
    admin = heard.of(Cue.ADMIN)
    if admin and not heard.of(Cue.NOW) and (not wished or _all_along(admin, heard)):
        view.against[Cue.ADMIN] = admin[-1].quote
    # Whoever takes a time that was offered may ask where to park.
    if (last := heard.last(Cue.OTHER)) and not heard.of(*WISHES, Cue.NOW):
        view.against[Cue.OTHER] = last.quote


def _all_along(admin: list[Event], heard: Heard) -> bool:
    """Whether a call began with an errand and ends with it: a wish between was part of it."""
    wishes = [event.place for event in heard.of(*WISHES) if not event.slot]
    places = [event.place for event in admin]
    return min(places) < min(wishes) and max(places) > max(wishes)


def _taken_back(event: Event, heard: Heard) -> bool:
    if _wish_after(heard, event.place, own_words=event.cue in {Cue.CANCEL, Cue.COMPLAINT}):
        return True
    return event.cue is Cue.REJECT and event.scoped and _wants_another(event, heard)


def _wants_another(reject: Event, heard: Heard) -> bool:
    """Whether a service was refused ("I don't want botox") by someone who wants a different one."""
    refused = set(reject.services)
    return any(set(event.services) - refused for event in heard.of(*WISHES) if event.place != reject.place)


def _read_stance(view: View, heard: Heard) -> None:
    candidates = heard.of(*_RANK)
    if Cue.ADMIN in view.against or Cue.CANCEL in view.against:
        # The time is for the old appointment.
        candidates = [event for event in candidates if not event.slot]
    context = heard.of(*_RANK, Cue.NOW, Cue.ACCEPTS, Cue.UNDECIDED, Cue.HURT)
    if not heard.ails and all(event.slot for event in context):
        candidates = [event for event in candidates if not event.slot]  # the time is for the boiler
    best = max(candidates, key=lambda event: (_RANK[event.cue], event.place), default=None)
    doubt = heard.last(Cue.UNDECIDED)
    if best is not None:
        view.stance, view.stance_quote = best.cue, best.quote
    elif doubt and heard.named:
        view.stance, view.stance_quote = Cue.INTEREST, doubt.quote  # "torn between implants and a bridge"
    elif (hurt := heard.last(Cue.HURT)) and not view.against:
        view.stance, view.stance_quote = Cue.INTEREST, hurt.quote
    if doubt and view.stance and not _wish_after(heard, doubt.place, own_words=False):
        # "Let me sleep on it" takes a yes back. Who weighs what they only asked about is interested.
        view.undecided, view.stance = doubt.quote, Cue.INTEREST


def _service(heard: Heard) -> str | None:
    refused = {service for event in heard.of(Cue.REJECT) if event.scoped for service in event.services}
    wanted = (service for event in heard.of(*WISHES, Cue.INTEREST) for service in event.services)
    named = (service for _, service in heard.named)
    return next((service for service in (*wanted, *named) if service not in refused), None)


def _read_urgency(view: View, heard: Heard) -> None:
    later = heard.last(Cue.LATER)
    for cue in (Cue.NOW, Cue.TODAY, Cue.SOON):
        event = heard.last(cue)
        if event and (later is None or event.place >= later.place):
            view.urgency, view.urgency_quote = cue, event.quote
            return
    if later:
        view.urgency, view.urgency_quote = Cue.LATER, later.quote
    elif event := _wish_with_day(heard):
        view.urgency, view.urgency_quote = Cue.SOON, event.quote


def _wish_with_day(heard: Heard) -> Event | None:
    """A wish that names its day or hour wants it soon."""
    wishes = [event for event in heard.of(Cue.WANT) if (event.place[0], event.sentence) in heard.days]
    return max(wishes, key=lambda event: event.place, default=None)


def _read_price(view: View, heard: Heard) -> None:
    accepts, refuses = heard.last(Cue.ACCEPTS), heard.last(Cue.REFUSES)
    if refuses and not _wish_after(heard, refuses.place, own_words=False):
        if accepts is None or refuses.place > accepts.place:
            view.budget, view.budget_quote = Cue.REFUSES, refuses.quote
    elif accepts:
        view.budget, view.budget_quote = Cue.ACCEPTS, accepts.quote


# --- Our own rows ---------------------------------------------------------------------------------------


def check_rows(view: View, *, booked: bool, returning: bool | None) -> None:
    """What our rows know is so, whatever was said."""
    view.returning = view.returning or bool(returning)
    view.booked = booked
    if not booked:
        return
    view.against.pop(Cue.WRONG, None)  # nobody books at a wrong number
    if Cue.CANCEL not in view.against and Cue.ADMIN not in view.against:
        view.stance, view.undecided = Cue.COMMIT, None
        view.against.pop(Cue.REJECT, None)


# --- The facts of a structured-data plan ------------------------------------------------------------

_AGAINST_BY_INTENT = {
    "wrong_number": Cue.WRONG,
    "spam": Cue.SPAM,
    "complaint": Cue.COMPLAINT,
    "cancel": Cue.CANCEL,
    "reschedule": Cue.ADMIN,
    "other": Cue.OTHER,
}


def apply_facts(
    view: View,
    facts: CallFacts,
    *,
    caller: Sequence[str],
    heard: Heard,
    services: Services,
) -> bool:
    """Let those facts lead that can be believed; `caller` is what the caller said, turn by turn.

    Whether they say what the caller wanted or did not want, and by which words.
    """
    said = Said(caller)
    found = [quote for quote in facts.reasons if said.has(quote)]
    if len(found) * 2 < len(facts.reasons):
        return False  # it quotes what this caller never said, so it speaks of somebody else
    if facts.booked is not None and facts.booked != view.booked and not found:
        return False  # wrong about what we know, and nothing to show for the rest
    quote = shortened(found[0]) if found else None
    if facts.service:
        _fact_service(view, facts.service, heard, services)
    _fact_against(view, facts, quote)
    _fact_intent(view, facts, quote)
    _fact_urgency(view, facts, quote)
    _fact_budget(view, facts, quote)
    view.decides = facts.decision_maker
    told = facts.intent or facts.wrong_number or facts.complaint or facts.rejection
    return bool(told) and quote is not None


def _fact_service(view: View, found: str, heard: Heard, services: Services) -> None:
    """A service counts if the caller named it, too."""
    match = services.regex.search(f" {spelled(found)}")
    name = services.name(match[0]) if match else None
    if name in {service for _, service in heard.named}:
        view.service = name


def _fact_against(view: View, facts: CallFacts, quote: str | None) -> None:
    """A fact against the lead needs a quote, or that the words said nothing; a booking overrules it."""
    if view.stance is Cue.COMMIT or view.booked:
        if quote and facts.complaint is False:
            view.against.pop(Cue.COMPLAINT, None)
        return
    if quote is None and view.stance is not None:
        return
    claims = {
        Cue.WRONG: facts.wrong_number,
        Cue.COMPLAINT: facts.complaint,
        Cue.REJECT: facts.rejection,
    }
    claimed = [cue for cue, claim in claims.items() if claim and view.stance is not Cue.WANT]
    intended = _AGAINST_BY_INTENT.get(facts.intent or "")
    grave = intended in {Cue.SPAM, Cue.WRONG, Cue.COMPLAINT}
    if intended and view.urgency is not Cue.NOW and (grave or view.stance is not Cue.WANT):
        claimed.append(intended)
    for cue in claimed:
        view.against.setdefault(cue, quote or "")


def _fact_intent(view: View, facts: CallFacts, quote: str | None) -> None:
    """To book raises what was not understood to a wish; it revives nothing that the words took back."""
    if quote is None or view.against or view.undecided is not None:
        return
    if facts.intent == "book" and view.stance not in WISHES:
        view.stance, view.stance_quote = Cue.WANT, quote
    elif facts.intent in {"ask", "price"} and view.stance is None:
        view.stance, view.stance_quote = Cue.ASK, quote


def _fact_urgency(view: View, facts: CallFacts, quote: str | None) -> None:
    if facts.urgency in {"now", "soon"} and quote and view.urgency is None and not view.against:
        view.urgency, view.urgency_quote = Cue.SOON, quote
    elif facts.urgency == "later" and view.urgency in {None, Cue.SOON}:
        view.urgency, view.urgency_quote = Cue.LATER, quote or ""


def _fact_budget(view: View, facts: CallFacts, quote: str | None) -> None:
    if facts.budget == "accepted" and view.budget is None and quote:
        view.budget, view.budget_quote = Cue.ACCEPTS, quote
    elif facts.budget == "refused" and view.stance is not Cue.COMMIT:
        view.budget, view.budget_quote = Cue.REFUSES, quote or ""
