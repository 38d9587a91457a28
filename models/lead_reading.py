"""What a caller's own words say, clause by clause: who wants what, how soon, and what they took back.

The agent's words count for one thing only: what a short answer answers. "Yes" after "does Tuesday at ten
work?" takes a slot, after "shall I cancel it?" it does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from models.lead_frames import Sign, signs
from models.lead_phrases import PhraseBook
from models.lead_vocabulary import Cue
from models.lead_words import Clause, Services, clauses, negations

LONGEST_TRANSCRIPT = 100_000  # characters of the caller's; what comes after is not read
LONGEST_QUOTE = 160


class Speaker(StrEnum):
    CALLER = "caller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Turn:
    speaker: Speaker
    text: str
    #: Seconds from the beginning of the call, if known.
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A cue that stands, after negation, condition and hearsay were looked at."""

    cue: Cue
    place: tuple[int, int]
    quote: str
    services: tuple[str, ...] = ()
    #: Takes a slot, without a word of what for: after "can I move my appointment?" it books nothing.
    slot: bool = False
    #: A refusal of one service and not of the clinic.
    scoped: bool = False
    sentence: int = 0


class Spoken(NamedTuple):
    """One turn of the caller's, and the question that it answers, if it is short and there was one."""

    said: list[Clause]
    question: str


@dataclass(slots=True)
class Heard:
    """All that was heard, in order."""

    spoken: list[Spoken] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    #: (place, service): every service that a caller named for themselves or family.
    named: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    #: (turn, sentence) in which a day or an hour is named.
    days: set[tuple[int, int]] = field(default_factory=set)
    substantial_turns: int = 0
    #: Whether the caller spoke of a body, of what ails it, or of a treatment at all.
    ails: bool = False
    words: int = 0

    def of(self, *cues: Cue) -> list[Event]:
        return [event for event in self.events if event.cue in cues]

    def last(self, *cues: Cue) -> Event | None:
        return max(self.of(*cues), key=lambda event: event.place, default=None)


_YES = re.compile(
    r"^(?:oh |and |well |(?:that|it|which) (?:is|would be|sounds|will be) |sounds |i "
    r"(?:would|do|am)(?= $)|go |(?:she|he|they|KIN|FRIEND) (?:says|said|say) )*"
    r"(?:yes|sure|okay|absolutely|certainly|of course|perfect|great|lovely|brilliant|fine"
    r"|good|right|correct|wonderful"
    r"|super|excellent|go on|sold|done|amazing|smashing|please|ideal|fantastic|awesome"
    r"|cool|grand|deal|it would|it does"
    r"|i would|i do|i am|that works|works|lets|by all means|why not|fab|thank god|very "
    r"well|marvellous|terrific|magic|too right|you bet|definitely|please do|for sure|nice one|ideal|rather"
    r"|sweet|beautiful|parfait|yay|alright|go for it|do it|that one|am happy|thank you) "
)
_NO = re.compile(
    r"^(?:oh |and |well |i am afraid |sorry )*(?:no|not|i do not|i would not|i am not|it "
    r"is not|it does not|never) "
)
_PUT_OFF = re.compile(
    r"^(?:no )?(?:i (?:do|am) not (?:know|sure)|not (?:right now|yet|TODAY|at the moment"
    r"|just yet|for now|now|sure|this (?:week|time)|quite))\b"
)
_BARE_REFUSAL = re.compile(
    r"^(?:no )+(?:thanks |thank you |ta |i am (?:good|fine|okay|alright) |not (?:really|TODAY) )*$"
)
#: "Spot on."
FEW = 4  # words
#: What a caller says that has no more to it than yes or no; longer answers speak for themselves.
SHORT_ANSWER = 12  # words

#: Says that it is booked or bought; all else takes what was offered, be it a new appointment or a moved one.
_EXPLICIT = re.compile(
    r"\b(?:book|booked|schedule|scheduled|reserve|sign|signing|ahead|forward|proceed|pay"
    r"|deposit|buy|start|started"
    r"|decided|made up|made my mind|put me|pencil|squeeze|chosen|choosing|quote|trigger"
    r"|accept|commit|sold|treatment|SVC)\b"
)
_CONDITION = re.compile(
    r"(?:^|(?<= ))(?:if|suppose|supposing|imagine|assuming|were) (?:i|we|someone|somebody"
    r"|you|KIN|one|they|FRIEND) "
)
#: "It'd be after that if I do it."
_IN_CASE = re.compile(
    r"(?:\S+ )*if (?:i|we) (?:do|did|decide|decided|ever|end up|ended up|go for|went for)\b"
)
#: "If someone could ring me" asks for it.
_ASKED_OF_US = re.compile(r"if (?:you|someone|somebody|they|NAME) (?:can|could|would|might|will) ")
_INDIRECT = re.compile(
    r"(?:wondering|wonder|see|ask|know|check|checking|asking|seeing|tell me|sure|say|find "
    r"out|grateful|appreciate it|great|lovely|nice|helpful|possible|wonderful|brilliant"
    r"|good|kind) $"
)
_NOT_BOOKED_FOR = frozenset({"FRIEND", "they", "people", "everyone", "nobody", "who"})
_SUBJECTS = _NOT_BOOKED_FOR | {"i", "we", "you", "he", "she", "KIN", "me", "us", "my", "NAME"}
_HEARSAY = re.compile(
    r"(?:^|(?<= ))(?:FRIEND|he|she|they|you|NAME|who|everyone|people) (?:has |had |have "
    r"|just |all |always )*(?:said|says|told|goes|asked|was like|thinks|thought|loves"
    r"|loved|went|got|did) "
)
_MISSED = re.compile(r"(?:would|could|should|might) have (?:\w+ed|had|gone|got|done|come|bought|been) ")
_PAST = re.compile(
    r"(?:^|(?<= ))(?:i|we|KIN|she|he|they|FRIEND|you) (?:(?:have|had|already|once|only|all|both) )*"
    r"(?:had|got|did|used to|went|paid|came|tried|bought|put|gave|done|having)(?! to )(?= )"
)
_PAST_TIME = re.compile(
    r"\b(?:last (?:week|month|year|time|summer|spring|winter|autumn|night)|years ago"
    r"|months ago|weeks ago|days ago|ago|yesterday|back in|in (?:19|20)\d\d|nineteen"
    r"|previously|once|used to|in the past|earlier)\b"
)
_REPORTED = re.compile(
    r"(?:^|(?<= ))(?:do|did|does|should|must|would|will|when|why|how come) (?:i|we|you) "
    r"(?:need|have|want)? ?$"
)
_POLITE_ASK = re.compile(
    r"(?:can|could|would|will|do|shall) (?:you|someone|somebody|i|we|NAME|they) (?:please |just )?$"
)
_NOT_YET = re.compile(r"\b(?:yet|TODAY|now|at the moment|this week|right away|for now|until|unless|first)\b")
_FRAGMENT = re.compile(
    r"^(?:a |an |the |some |for |in |on |at |maybe |yes |okay |please |make it |say |then "
    r"|it is |or |either |probably |about )*"
    r"(?:TODAY|SOON|TIME|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|the (?:first|second|third|last"
    r"|earlier|later|early|late|former|latter|afternoon|morning|evening)(?: one| slot| "
    r"time)?|ten|noon|that one|first one"
    r"|second one|last one|either|any|whichever|the sooner|ASAP|anytime) (?:then |for me "
    r"|if |is |one |slot |yes |thanks |thank you |would |as |at |i |or |it )*"
)
_BARE_SERVICE = re.compile(
    r"^(?:a |an |the |some |need |for |my |yes |new |it is |about |getting |maybe "
    r")*(?:SVC (?:consultation |appointment |treatment |SVC |and )*"
    r"(?:(?:with|for|at|in|by|on) (?:\S+ ){1,2})?|appointment |consultation )$"
)
_DIGITS = re.compile(r"\b(?:\d|zero|oh|one|two|three|four|five|six|seven|eight|nine|double|\d{4,8})\b")

# What the agent asked. Only ever used to read a short answer.
_Q_MORE = re.compile(
    r"\b(?:anything else|also|as well|add|another treatment|with that|while you are|on top|help you with)\b"
)
_Q_CANCEL = re.compile(r"\b(?:cancel|cancelled|cancelling)\b")
_Q_MOVE = re.compile(
    r"\b(?:reschedule|rebook|move it|another (?:day|date|time)|different (?:day|date|time)"
    r"|keep (?:it|the|your))\b"
)
_Q_WRONG = re.compile(r"\bwrong (?:number|place|clinic)|meant to call|looking for somewhere")
#: A question in a transcript that has no marks at all.
_MARKS = re.compile(r"[.?!,]")
_ASKS = re.compile(
    r"\b(?:(?:can|could|would|will|do|does|did|are|is|shall|should|have) (?:you|i|we|it|that|he|she|they)"
    r"|(?:does|would|is) TIME|how about|what about|what|when|which)\b"
)
#: "Bring him straight here." "Will do."
_COME = re.compile(
    r"\b(?:bring|come|head|get) (?:\w+ )?(?:straight|right|here|in|over|down|round|along)\b"
    r"(?!.*\b(?:TIME|SOON)\b)"
)
_WILL = re.compile(
    r"\b(?:will do|on (?:my|our) way|coming|leaving|setting off|doing that|be there|at once)\b"
)
#: "This is a dental clinic." "Oh! Sorry."
_NOT_THERE = re.compile(
    r"\bwrong number\b|\b(?:this is|we are|you have (?:reached|called)|you are through to|we only)\b.*"
    r"\b(?:clinic|surgery|practice|dentists?|opticians?|physio\w*|people|humans)\b"
)
_CORRECTED = re.compile(
    r"\b(?:sorry|mistake|apologies|apologise|wrong|meant|wanted|thought|never mind|shoot|bother|googled"
    r"|looked up|their number|google|anyway)\b"
)
#: What the agent does now: "I'll remove your number right away" offers no time.
_ERRAND = re.compile(
    r"\bi will (?:remove|take|send|pass|let|email|text|transfer|put you|cancel|update|note|tell|ask|check"
    r"|look)\b"
)
_Q_SELL = re.compile(r"\b(?:selling|sales call|calling to sell|cold call|from a company|marketing call)\b")
_Q_PAIN = re.compile(r"\b(?:in (?:any )?pain|emergency|urgent|hurting|swelling|bleeding)\b")
_Q_BEEN = re.compile(
    r"\b(?:been (?:here|to us|with us|in) ?(?:before)?|existing (?:patient|client)"
    r"|visited us|seen us|already (?:a )?(?:patient|client)|registered with us|current "
    r"patient)\b"
)
_Q_NEW = re.compile(r"\b(?:new (?:patient|client)|first (?:time|visit))\b")
_Q_SEND = re.compile(
    r"\b(?:send|email|text|brochure|leaflet|information|guide|price list|directions|take "
    r"a message|put you through|transfer)\b"
)
_Q_CALL = re.compile(r"\b(?:call|ring|phone) you back|someone (?:call|ring)|callback\b")
_Q_CODE = re.compile(r"\bcode\b")
_Q_PAY = re.compile(r"\b(?:deposit|fee|costs?|price|pounds|dollars|pay|charge|\d+|hundred|thousand)\b")
_Q_BOOK = re.compile(
    r"\b(?:book|schedule|reserve|appointment|put you (?:in|down)|go ahead|come in|hold "
    r"(?:it|that)|confirm|secure|get you"
    r" (?:in|booked|started)|pop you in|fit you in|consultation|assessment|make a time"
    r"|set (?:it|that|you) up|take (?:it|that)|proceed"
    r"|visit|slot|see (?:him|her|you)|work for you|suit you|does that work|that okay|is that)\b"
)
_Q_TREATMENT = re.compile(
    r"\b(?:interested in|looking (?:for|to)|thinking (?:of|about)|considering|keen on)\b"
)
_ANY_TIME = re.compile(r"\b(?:TODAY|SOON|TIME|MONTH)\b")
_SLOT = re.compile(r"\b(?:TODAY|SOON|TIME)\b")
_BARE_HOUR = re.compile(
    r"\b(?:ten|eleven|twelve|one|two|three|four|five|six|seven|eight|nine|noon|\d{1,2})\b"
)
_NO_HOURS = re.compile(
    r"\b(?:hundred|thousand|pounds?|dollars?|quid|percent|grand|minutes?|hours?|days?"
    r"|weeks?|months?|years?|sessions?|times|units?)\b"
)
_WHEN = re.compile(
    r"\b(?:what (?:day|time|date)|which (?:day|time|date|one|slot)|when (?:would|can|are"
    r"|do|could|suits)|how soon|do you prefer|morning or afternoon)\b"
)
_CLOSED = re.compile(
    r"\b(?:open|close|closed|closes|opening|hours|you are (?:all )?(?:set|booked)|booked (?:for|in)"
    r"|(?:are|is|fully|all|completely) (?:full|booked))\b"
)
_OFFERED = re.compile(
    r"\b(?:have|had|offer|available|slot|opening|availability|free|can do|could do|got"
    r"|there is|how about|what about|keep|works?|see you|suit)\b"
)


_REFUSED = re.compile(
    r"\b(?:not|tricky|full|busy|working|at work|away|unsuitable|earlier|later|sooner"
    r"|difficult|instead|maybe|perhaps|hmm|oh no|too (?:late|early|far|soon|long))\b"
)
_HOLD = re.compile(
    r"\b(?:hang on|hold on|wait|one (?:second|moment|sec)|just a|let me|shame|pity|hmm|oh dear|hello)\b"
)


_BODY = re.compile(
    r"\b(?:tooth|teeth|gums?|jaw|molar|mouth|smile|bite|dentures?|plate|fillings?|skin|scars?|moles?|lump|rash"
    r"|acne|wrinkles?|lines|spots|face|lips?|chin|nose|cheeks?|forehead|eyes?|sight|vision|lens|floaters|ears?"
    r"|hearing|knees?|hips?|back|neck|shoulders?|ankle|wrist|elbow|foot|feet|legs?|arms?|hands?|thumb|fingers?"
    r"|belly|tummy|stomach|breasts?|hair|veins?|treatment|procedure|surgery|operation|pain|painful|sore|aches?"
    r"|aching|hurts?|hurting|swollen|bleeding|infection|stiff|numb|itchy|loose|snapped|cracked|chipped|SVC)\b"
)


class Asked(NamedTuple):
    """What the agent last said, for as much as a short answer needs."""

    text: str
    question: bool
    time: bool


def hear(turns: Sequence[Turn], book: PhraseBook, services: Services) -> Heard:
    """Read a whole call."""
    heard = Heard()
    question = ""
    left = LONGEST_TRANSCRIPT
    for number, turn in enumerate(turns):
        if turn.speaker is Speaker.AGENT:
            question = turn.text if turn.text.strip() else question
            continue
        text = turn.text[: max(0, left)]
        left -= len(text)
        said = clauses(text, services)
        if said:
            short = sum(len(each.text.split()) for each in said) <= 2 * SHORT_ANSWER
            asked, question = _asked(question, services) if short else None, ""
            if asked and _wants_nothing_more(said, asked):
                continue
            heard.spoken.append(Spoken(said, asked.text if asked and asked.question else ""))
            _hear_turn(heard, number, said, asked, book)
    return heard


#: "Anything else?", "Will that be all?"
_CLOSING = re.compile(
    r"\b(?:anything|something) (?:else|more|further)\b|\b(?:other|more) questions?\b"
    r"|\b(?:is|was|will|would) (?:that|this|it)(?: be)? (?:all|everything|it)\b"
)
_NOTHING_MORE = re.compile(
    r"^(?:no|nope|nah|not|nothing|i am (?:good|fine|all|okay)|all (?:good|done|set|sorted)|thanks|thank you"
    r"|(?:yes )?that (?:is|will be|would be) (?:all|it|everything|great|lovely|perfect|grand|fine)) "
)
_SOMETHING_MORE = re.compile(
    r"\b(?:actually|but|wait|hold on|forget|cancel|change|changed|mind|instead|book|booking|appointment|want"
    r"|need|would like|think about|rather|leave it|one more|SVC|TIME|SOON|NOW)\b"
)


def _wants_nothing_more(said: list[Clause], asked: Asked) -> bool:
    """Whether it is "no, I'm good, thanks" to "anything else?": that refuses, and takes, nothing."""
    whole = " ".join(each.text.strip() for each in said) + " "
    return bool(
        _CLOSING.search(asked.text)
        and _NOTHING_MORE.match(whole)
        and not _SOMETHING_MORE.search(whole)
        and not any(each.question for each in said)
    )


def _asked(text: str, services: Services) -> Asked | None:
    said = clauses(text[-300:], services)
    if not said:
        return None
    questions = [each for each in said if each.question]
    last = [each for each in said if each.sentence >= max(0, said[-1].sentence - 1)]
    if questions:
        last = [each for each in said if each.sentence == questions[-1].sentence]
        whole = " ".join(each.text.strip() for each in last)
        if not _ANY_TIME.search(whole):  # "I have Tuesday at ten. Is that okay?"
            whole = " ".join(each.text.strip() for each in said if each.sentence >= last[0].sentence - 1)
    else:
        whole = " ".join(each.text.strip() for each in last)
    closed = bool(_CLOSED.search(whole)) and not questions
    hour = _BARE_HOUR.search(whole) and not _NO_HOURS.search(whole)
    time = bool(_ANY_TIME.search(whole) or hour) and not closed
    # "Saturday at two thirty": without its question mark it still waits for an answer.
    bare = time and len(whole.split()) <= FEW
    unmarked = not _MARKS.search(text) and bool(_ASKS.search(whole))
    return Asked(whole, bool(questions) or bare or unmarked, time)


def _hear_turn(heard: Heard, turn: int, said: list[Clause], asked: Asked | None, book: PhraseBook) -> None:
    words = sum(len(each.text.split()) for each in said)
    heard.words += words
    heard.substantial_turns += words >= 5
    events: list[Event] = []
    if asked and heard.words > words and _is_put_right(said, asked):
        heard.events.append(Event(Cue.WRONG, (turn, 0), shortened(said[0].quote)))
        return
    if asked and said:
        events += _answer(heard, turn, said, asked, words)
    for index, clause in enumerate(said):
        place = (turn, index + 1)
        before = said[index - 1] if index and said[index - 1].sentence == clause.sentence else None
        events += _of_clause(clause, place, _signs(clause, book), before)
        heard.ails = heard.ails or bool(clause.services or _BODY.search(clause.text))
        if _SLOT.search(clause.text):
            heard.days.add((turn, clause.sentence))
        heard.named += [(place, service) for service in _named_for_self(clause)]
    events += _bare_services(turn, said)
    if asked and said and not any(event.cue is Cue.COMMIT for event in events):
        events += _silent_consent(heard, turn, said, asked, events)
    if asked and _BODY.search(asked.text) and any(event.slot for event in events):
        heard.ails = True  # "A spot for your Fraxel opened up." "I'll take it!"
    if any(event.cue is Cue.ELSEWHERE for event in events):
        events = [event for event in events if event.cue is not Cue.COMPLAINT]
    heard.events += _without_sarcasm(events, said)


#: What a sarcastic turn does not mean.
_SERIOUS = frozenset({Cue.COMMIT, Cue.WANT, Cue.INTEREST, Cue.ACCEPTS, Cue.NOW, Cue.TODAY, Cue.SOON})


def _without_sarcasm(events: list[Event], said: list[Clause]) -> list[Event]:
    """Nobody means "sign me up, I'll sell a kidney"; a later sentence that names a service or a time may."""
    mocking = [event.sentence for event in events if event.cue is Cue.SARCASM]
    if not mocking:
        return events
    named = {each.sentence for each in said if each.services or _SLOT.search(each.text)} - {0}
    return [
        event
        for event in events
        if event.cue not in _SERIOUS or (event.sentence > max(mocking) and event.sentence in named)
    ]


def _bare_services(turn: int, said: list[Clause]) -> list[Event]:
    """As in "Botox, tomorrow if you can": a service with a time is a wish, by itself it is an interest."""
    timely = any(_ANY_TIME.search(each.text) or "ASAP " in each.text for each in said)
    return [
        Event(
            Cue.WANT if timely else Cue.INTEREST,
            (turn, index + 1),
            shortened(each.quote),
            each.services,
            sentence=each.sentence,
        )
        for index, each in enumerate(said)
        if not each.question and _BARE_SERVICE.match(each.text)
    ]


def _signs(clause: Clause, book: PhraseBook) -> list[Sign]:
    said = [
        Sign(Cue(each.phrase.code), each.start, each.end, each.phrase.negations)
        for each in book.search(clause.text)
    ]
    return said + signs(clause.text, question=clause.question)


def _of_clause(
    clause: Clause, place: tuple[int, int], found: Iterable[Sign], before: Clause | None
) -> list[Event]:
    heard = (_event(each, clause, place, before) for each in found)
    events = [event for event in heard if event is not None]
    cues = {event.cue for event in events}
    if cues & {Cue.CANCEL, Cue.ADMIN, Cue.SPAM, Cue.JOB, Cue.OPT_OUT, Cue.WRONG, Cue.OTHER, Cue.STRANGER} or (
        Cue.COMPLAINT in cues and Cue.NOW not in cues
    ):
        # One clause says one thing: "I need to cancel my appointment" wants none.
        gone = {Cue.WANT, Cue.INTEREST} | (set() if Cue.NOW in cues else {Cue.SOON, Cue.TODAY})
        if Cue.CANCEL in cues or Cue.ADMIN in cues:
            gone |= {Cue.COMMIT}
        events = [event for event in events if event.cue not in gone]
    if Cue.REJECT in cues or Cue.UNDECIDED in cues:
        events = [
            event for event in events if event.cue not in {Cue.WANT, Cue.COMMIT} or _outlives(event, cues)
        ]
    return events


def _outlives(event: Event, cues: set[Cue]) -> bool:
    return event.cue is Cue.COMMIT and Cue.REJECT not in cues and not event.slot


#: "Awful weather today": small talk is in no hurry.
_SMALL_TALK = re.compile(r"\b(?:weather|rain|raining|snow|snowing|traffic|heatwave)\b")
_LEADING = frozenset({Cue.COMMIT, Cue.WANT})
_POSITIVE = _LEADING | {Cue.INTEREST, Cue.ACCEPTS, Cue.CALLBACK, Cue.NOW, Cue.TODAY}


def _event(sign: Sign, clause: Clause, place: tuple[int, int], before: Clause | None) -> Event | None:
    """What is left of a sign once the words around it were heard."""
    text, cue = clause.text, sign.cue
    prefix, inside = text[: sign.start], text[sign.start : sign.end]
    if cue in {Cue.NOW, Cue.TODAY, Cue.SOON} and _SMALL_TALK.search(text):
        return None
    near = " ".join(prefix.split()[-7:])
    denied = (negations(near) + max(0, negations(inside) - sign.negations)) % 2 == 1
    event = Event(
        cue,
        place,
        shortened(clause.quote),
        clause.services,
        slot=cue is Cue.COMMIT and not _EXPLICIT.search(inside),
        sentence=clause.sentence,
    )
    if denied:
        return _denied(event, clause, inside)
    if cue in _POSITIVE:
        return _meant(event, clause, prefix, inside, before)
    return None if _explained_away(cue, text, prefix, near, before) else event


def _meant(event: Event, clause: Clause, prefix: str, inside: str, before: Clause | None) -> Event | None:
    """A wish, unless it is imagined, told of somebody else, or over; a request is less than a decision."""
    text, cue = clause.text, event.cue
    asks = replace(event, cue=Cue.ASK, slot=False)
    first = inside.split(" ", 1)[0] + " " if inside.startswith(("i ", "we ")) else ""
    imagined = _hypothetical(prefix + inside, before) or bool(_IN_CASE.match(text[len(prefix + inside) :]))
    if imagined or _HEARSAY.search(prefix) or _MISSED.search(prefix + inside):
        return asks if cue in _LEADING else None
    if cue in _LEADING and _REPORTED.search(prefix + first):
        return asks
    if _over(text, prefix + inside, cue):
        return None
    if cue is Cue.COMMIT and (_POLITE_ASK.search(prefix) or clause.question):
        return replace(event, cue=Cue.WANT, slot=False)
    if cue in {Cue.WANT, Cue.INTEREST} and _others_wish(prefix + inside.partition(" ")[0]):
        return asks
    return event


#: What keeps a cue against a lead from being one.
_EXPLAINED = {
    Cue.CANCEL: re.compile(r"\b(?:had to|cancellation|policy|if i (?:need|have|want) to)\b"),
    Cue.WRONG: re.compile(r"\b(?:twice|earlier|before i got|first time|last time|at first|times)\b"),
    Cue.REJECT: re.compile(
        r"\b(?:told|said to) (?:her|him|them|FRIEND|KIN) no\b|\bif (?:nobody|no one|noone) else\b|"
        r"\bdo not (?:ring|call|phone|text|contact) (?:the|my|our|me at) "
        r"(?:house|home|work|office|landline|job|husband|wife|KIN)\b"
    ),
    Cue.UNDECIDED: re.compile(
        r"\b(?:said|told you|was going|wanted) (?:i|we|to|that)\b.*\b(?:think|check|ask|talk)"
    ),
}
_ENOUGH = re.compile(r"\b(?:done|finished|stopped|enough|over)\b")


def _explained_away(cue: Cue, text: str, prefix: str, near: str, before: Clause | None) -> bool:
    explained = _EXPLAINED.get(cue)
    if explained and explained.search(text):
        return True
    if cue is Cue.UNDECIDED:
        return _ENOUGH.search(near) is not None  # "I'm done thinking about it"
    return cue in {Cue.CANCEL, Cue.COMPLAINT, Cue.ADMIN} and _hypothetical(prefix, before)


def _denied(event: Event, clause: Clause, inside: str) -> Event | None:
    """What the opposite of a cue says."""
    if event.cue in _LEADING:
        return _denied_wish(event, clause, inside)
    if event.cue is Cue.INTEREST and re.search(r"interested|SVC", inside):
        return replace(event, cue=Cue.REJECT, scoped="interested" not in inside)
    return replace(event, cue=Cue.LATER) if event.cue is Cue.NOW else None


def _denied_wish(event: Event, clause: Clause, inside: str) -> Event | None:
    if _NOT_YET.search(clause.text):
        return replace(event, cue=Cue.UNDECIDED, slot=False)
    if event.slot:
        return None  # "Tuesday doesn't work" is about Tuesday
    if clause.question:
        return event
    return replace(event, cue=Cue.REJECT, scoped="SVC" in inside)


def _hypothetical(text: str, before: Clause | None) -> bool:
    """Nobody books with "if I were to book"; "I wonder if I could book" is a wish with good manners."""
    for match in _CONDITION.finditer(text):
        if _ASKED_OF_US.match(text, match.start()):
            continue
        if not _INDIRECT.search(text[: match.start()]):
            return not re.search(r" (?:can|could|will|would) (?:you|i|we) ", text[match.end() :])
    if before is not None and text.startswith("and "):
        return bool(_CONDITION.match(before.text))
    return False


def _others_wish(text: str) -> bool:
    """Whether the wish is that of somebody who is only talked about."""
    subjects = [word for word in text.split() if word in _SUBJECTS]
    if text.startswith("you are ") or " you are " in text:
        return subjects[-1] == "you"  # "you're looking for a hygienist"
    return bool(subjects) and subjects[-1] in _NOT_BOOKED_FOR


def _over(text: str, until: str, cue: Cue) -> bool:
    """Whether it is the past that is spoken of, and no wish."""
    if cue not in {Cue.INTEREST, Cue.COMMIT, Cue.WANT, Cue.NOW}:
        return False
    if cue is Cue.COMMIT and re.search(r"\b(?:decided|made up|chosen|agreed)\b", until):
        return False
    if cue is Cue.NOW:
        return bool(_PAST_TIME.search(text)) and bool(
            re.search(r"\b(?:last (?:year|month|time)|years ago|months ago|used to)\b", text)
        )
    if cue is Cue.WANT and re.search(r"\b(?:want|need|like|hoping|looking|can|could|book|due)\b", until):
        return bool(re.search(r"\bused to\b", until))
    past = _PAST.search(until)
    return bool(past and (cue is Cue.INTEREST or _PAST_TIME.search(text)))


def _named_for_self(clause: Clause) -> tuple[str, ...]:
    """The services of a clause, unless they are someone else's or long past."""
    if not clause.services:
        return ()
    text = clause.text
    if "FRIEND " in text and not re.search(r"\b(?:i|we|my SVC|for me)\b", text):
        return ()
    if _PAST.search(text) and _PAST_TIME.search(text):
        return ()
    return clause.services


def _is_put_right(said: list[Clause], asked: Asked) -> bool:
    """Whether a caller learns here that this is no restaurant; whatever was wanted was wanted of that."""
    return (
        not asked.question
        and bool(_NOT_THERE.search(asked.text))
        and any(_CORRECTED.search(each.text) for each in said)
    )


def _answer(heard: Heard, turn: int, said: list[Clause], asked: Asked, words: int) -> list[Event]:
    """What yes, no, or a time in answer to the agent's question comes to."""
    place, first = (turn, 0), said[0]
    quote = shortened(first.quote)
    whole = " ".join(each.text.strip() for each in said[:3]) + " "
    if _Q_CODE.search(asked.text) and len(_DIGITS.findall(" ".join(each.text for each in said))) >= 3:
        return [Event(Cue.COMMIT, place, shortened(said[-1].quote))]
    yes, no = bool(_YES.match(first.text)), bool(_NO.match(first.text))
    if yes and len(said) > 1 and said[-1].text == "no ":  # "Sure, when pigs fly. No."
        yes, no, whole = False, True, "no "
    wished = bool(heard.of(Cue.WANT, Cue.COMMIT, Cue.NOW))
    if not no and _takes_slot(asked, said, yes=yes, wished=wished, words=words):
        return [Event(Cue.COMMIT, place, shortened(whole if len(quote) < 12 else quote), slot=True)]
    if _COME.search(asked.text) and not no and (yes or _WILL.search(whole)) and words <= SHORT_ANSWER:
        return [Event(Cue.COMMIT, place, quote, slot=True), Event(Cue.NOW, place, quote)]
    if words > SHORT_ANSWER * 2 or not (yes or no):
        return []
    cue = _yes_or_no(asked, whole, yes=yes and not no, wished=wished)
    if cue in {Cue.COMMIT, Cue.ACCEPTS} and (words > SHORT_ANSWER or any(each.question for each in said)):
        cue = None  # "Okay, and what does that cost?"
    return [Event(cue, place, quote, first.services)] if cue else []


def _yes_or_no(asked: Asked, whole: str, *, yes: bool, wished: bool) -> Cue | None:
    if not yes and _PUT_OFF.match(whole):
        return Cue.UNDECIDED
    return _meaning(asked, yes=yes, bare=bool(_BARE_REFUSAL.match(whole)), wished=wished)


_DISSENT = frozenset(
    {
        *(Cue.REJECT, Cue.UNDECIDED, Cue.REFUSES, Cue.LATER, Cue.SARCASM, Cue.CANCEL, Cue.ADMIN, Cue.OTHER),
        *(Cue.WRONG, Cue.COMPLAINT, Cue.SPAM, Cue.JOB, Cue.STRANGER, Cue.OPT_OUT),
    }
)


def _silent_consent(
    heard: Heard, turn: int, said: list[Clause], asked: Asked, events: list[Event]
) -> list[Event]:
    """Whoever wished for an appointment, is offered a time and says nothing against it, takes it.

    So does who was asked whether the time suits, and has only a word or two for it.
    """
    text = " ".join(each.text for each in said)
    wished = bool(heard.of(Cue.WANT, Cue.COMMIT, Cue.NOW)) or (asked.question and len(text.split()) <= FEW)
    if (
        not wished
        or not asked.time
        or len(text.split()) > SHORT_ANSWER + 2
        or any(event.cue in _DISSENT for event in events)
        or any(each.question or _NO.match(each.text) for each in said)
        or _REFUSED.search(text)
        or _Q_CANCEL.search(asked.text)
        or _Q_MOVE.search(asked.text)
        or _HOLD.search(text)
    ):
        return []
    return [Event(Cue.COMMIT, (turn, 0), shortened(said[0].quote), slot=True)]


def _takes_slot(asked: Asked, said: list[Clause], *, yes: bool, wished: bool, words: int) -> bool:
    """Whether a time that was offered, or asked for, is taken."""
    if _Q_CANCEL.search(asked.text) or _Q_MOVE.search(asked.text) or _ERRAND.search(asked.text):
        return False
    offered = asked.time and (asked.question or wished)
    open_question = bool(_WHEN.search(asked.text))
    named = any(
        (_SLOT.search(each.text) and words <= SHORT_ANSWER) or _FRAGMENT.match(each.text) for each in said[:3]
    )
    if any(_REFUSED.search(each.text) for each in said):
        return False
    if asked.time and words <= SHORT_ANSWER and _repeats(said):
        return True
    if any(each.question for each in said):
        return False
    if offered and (named or (yes and words <= SHORT_ANSWER + 6 and not _Q_MORE.search(asked.text))):
        return bool(wished or _Q_BOOK.search(asked.text) or named)
    return open_question and named and (wished or bool(_Q_BOOK.search(asked.text)))


def _repeats(said: list[Clause]) -> bool:
    """Whether a time that was offered is said again: "Tuesday. Twenty to ten. Is he gentle?"."""
    first = next((each for each in said if not _YES.match(each.text)), None)
    return first is not None and not first.question and bool(_FRAGMENT.match(first.text))


def _meaning(asked: Asked, *, yes: bool, bare: bool, wished: bool) -> Cue | None:
    text = asked.text
    if not asked.question:
        return None
    for pattern, on_yes, on_no in (
        (_Q_CANCEL, Cue.CANCEL, None),
        (_Q_MOVE, Cue.ADMIN, None),
        (_Q_WRONG, Cue.WRONG, None),
        (_Q_SELL, Cue.SPAM, None),
        (_Q_BEEN, Cue.RETURNING, Cue.NEW),
        (_Q_NEW, Cue.NEW, Cue.RETURNING),
        (_Q_MORE, None, None),
        (_Q_PAIN, Cue.NOW, Cue.LATER),
        (_Q_SEND, None, None),
        (_Q_CALL, Cue.CALLBACK, None),
        (_Q_BOOK, Cue.COMMIT, Cue.REJECT),
        (_Q_PAY, Cue.ACCEPTS, None),
        (_Q_TREATMENT, Cue.INTEREST, Cue.REJECT),
    ):
        if pattern.search(text):
            if yes:
                return on_yes
            # A slot that does not suit is no refusal of the clinic.
            return on_no if on_no is not Cue.REJECT or bare or not (asked.time or wished) else None
    return None


def shortened(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 1].rstrip() + "…"
