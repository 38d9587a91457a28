"""What is said in too many ways for phrases: a wish that meets a treatment, a body that is hurt.

Phrases know how something is usually put. These look for two parts in one clause, whatever stands between:
who wants ("I'd be grateful if you could", "we're after") with what they want ("pencil me in", a service), or
what is hurt ("molar", "paw") with how ("in half", "won't stop bleeding"). A word between that changes the
subject ("I want to ask about ...") parts them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from models.lead_vocabulary import Cue


class Sign(NamedTuple):
    """A cue found at a place in a clause, with how many of its own words negate."""

    cue: Cue
    start: int
    end: int
    negations: int = 0


def _words(body: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|(?<= ))(?:{body}) ")


_WISH = _words(
    "want|wants|wanted|wanting|need|needs|needed|needing|would like|would love|would "
    "prefer|would appreciate|hoping|hope"
    "|looking|ready|keen|trying|decided|due|overdue|wish|wishes|desperate|must|told to"
    "|asked to|told me to|supposed to"
    "|am after|are after|was after|were after|like to|love to|rather|grateful|have to"
    "|has to|got to|going to|chosen"
    "|determined|eager|excited|intend|plan|planning|require|requires|prepared|wondering"
    "|wondered|fancy|had better"
    "|am up for|choosing|booking|would take|could do with|could use|requesting|request|about time"
)
#: Whoever rings about a service may only have a question; whoever rings to be booked has not.
_CALLING = _words("wondering|wondered|calling|ringing|phoning|called|rang|here|on the phone")
_REQUEST = _words(
    "(?:can|could|may|might|shall|would|will|should) (?:i|we|you|KIN|he|she|someone"
    "|anyone|NAME|they|it be possible)"
    "|possible|any (?:chance|way|possibility|hope)|how (?:do|can|could|soon|quickly|about|early)|what about"
    "|when (?:can|could|would|will|is|are)|what (?:do|does) (?:i|you)|what is the (?:next"
    "|best|quickest)|(?:is|are|be|you) able to|if (?:you|i|we|NAME|someone"
    "|there) (?:can|could|might|have|had|would)|whether (?:you|i|we) (?:can|could|might)"
    "|let me|let us|who is|you have"
    "|do you (?:have|do)"
)
_BOOKING = _words(
    "book|booked|booking|schedule|scheduled|scheduling|reserve|reserved|arrange|arranged"
    "|secure|lock in|pencil|set up"
    "|squeeze|fit (?:me|us|her|him|KIN|them|\\w+) in|get (?:me|us|her|him|KIN|them"
    "|myself)? ?in|come in|come (?:for|over|down|and see)"
    "|be seen|get seen|seen|seen to|sign (?:me |us )?up|get started|start|started|begin"
    "|go ahead|go forward|proceed"
    "|move forward|move ahead|crack on|prepay|deposit|appointment|appointments|slot|slots"
    "|consultation|consultations|assessment"
    "|opening|openings|a date|spot|evaluation|second opinion|first session|availability"
    "|a gap|fit (?:me|us|her|him|KIN)|see (?:me|us|her"
    "|him|KIN)|get on with|enrol|sign on|put (?:me|us|him|her) (?:in|down)|next step"
    "|programme|program|treatment plan|block of"
    "|ball rolling|on the books|on your books"
)
_TREATED = _words(
    "SVC|(?:my|her|his|it|this|these|them|the|KIN) (?:\\w+ ){0,3}?(?:done|redone|sorted"
    "|fixed|removed|out|straightened|replaced"
    "|repaired|treated|looked at|checked|seen to|redone|whitened|sharpened|corrected"
    "|restored|fitted|stitched|pulled|taken out"
    "|rebuilt|put in|put back|recemented|reattached|glued|topped up)|teeth fixed|work done"
)
_WHEN = _words("TODAY|SOON|TIME|ASAP|now|quickly|sooner|soon|early|earlier|this month")
#: After these a wish is about something else than treatment.
_TURNS = _words(
    "know|ask|asking|about how|find|info|information|copy|talk|speak|hear|price|prices"
    "|cancel|change|move|reschedule|rearrange"
    "|confirm|email|emailed|send|sent|resend|resubmit|certificate|form|forms|bill|parking"
    "|hotel|interview|interviews|apply|job"
    "|message|thank|apology|apologise|report|pick|collect|return|update|address|number"
    "|delivery|note|prescription|pharmacy"
    "|complain|complaint|refund|money back|receipt|invoice|result|results|records|tell"
    "|check|cancelling|moving|changing|exchange"
    "|understand|sue|human|manager|owner|statement|letter|stop|remind|reminder|explain"
    "|measure|adjust|enquire if|claim"
    "|because|since|sponsor|demo|team|position|shift|swap|push|speaker|conference|meeting"
    "|pickup|waste|room|drink|gym|eat"
    "|exercise|fly|work out|swim|drive|after my|after the|after having"
)
_OTHERS = frozenset(
    {"you", "they", "FRIEND", "NAME", "who", "people", "everyone", "someone", "anyone", "nobody", "dr"}
)
_OURS = frozenset({"i", "we", "KIN", "he", "she", "me", "us"})
_INTENDED = re.compile(
    r"(?:was|were|had been) (?:all |both )?(?:going|planning|ready|about|due|supposed"
    r"|prepared|meant)(?: to)? ?$"
)
#: How far the two parts of a wish may be from each other.
_FURTHEST = 80  # characters

_HAVE = _words(
    "(?:my|our|his|her|KIN) (?:SVC )?(?:appointment|appointments|session|surgery"
    "|operation|fitting|consultation|slot|booking"
    "|procedure)(?: time| card| is| was| SOON| TODAY| TIME| on| at| with)?|(?:my|our|his"
    "|her) SVC (?:is|was|on)? ?(?:SOON|TODAY|TIME)"
    "|(?:see you|there) (?:SOON|TODAY|TIME) for my|i am outside|got your reminder|(?:i am"
    "|we are) coming in (?:SOON|TODAY|TIME) (?:for|and|to)|(?:SOON|TODAY|TIME) for my "
    "(?:SVC|appointment|session)"
)
_MAKING = _words(
    "make|making|book|booking|schedule|scheduling|get|getting|arrange|arranging|set up"
    "|want|need|like|keep|upgrade|add|with|about|for|do"
    "|confirmed|start|have|proceed|ahead|forward|after|before|finish|pay"
)

_BODY = (
    "tooth|teeth|molar|molars|gum|gums|jaw|face|cheek|lip|lips|tongue|mouth|eye|eyes|ear"
    "|back|neck|knee|shoulder|ankle|hip"
    "|wrist|finger|thumb|foot|leg|arm|elbow|calf|hamstring|crown|filling|fillings|SVC"
    "|bridge|cap|bracket|wire|wires"
    "|retainer|incisor|incisors|canine|chest|skin|head|stomach|tummy|paw|root|nerve"
    "|stitch|stitches|toe|groin|heel"
    "|muscle|achilles|rib|hand|chin|brace|plate|nail"
)
_HURT = (
    "gone(?! missing| well| to)|broke|broken|breaking|snapped|cracked|chipped|split|exploded|loose|wobbly"
    "|wobbling|swollen|swelling|puffy|puffed"
    "|bleeding|bled|blood|infected|infection|stuck|cut|cutting|sliced|burst|throbbing"
    "|killing|agony|come off|came off|comes off"
    "|fell out|fallen out|fell off|fallen off|coming out|come away|come out|came away"
    "|came out|popped off|popped out|hole|hit|knocked"
    "|smashed|shattered|bump|lump|pus|fever|twisted|torn|tore|ripped|locked|seized|spasm"
    "|spasms|in half|in two|bits|pieces"
    "|stitches|crumbled|crumbling|fractured|weeping|oozing|discharge|discomfort|itching"
    "|dislocated|sprained|unbearable|excruciating|in tears|limping|exposed|dangling"
    "|hanging"
    "|screaming|crying|burning|burned|numb|aching|ached|aches|hurting|hurts|pain|painful"
    "|sore|ballooned|bit through|through (?:my|his|her) lip"
    "|bright red|gave out|gave way|dropped out|pulled|torn|punctured|snapping|splintered|pounding|ripping"
)
_INJURED = re.compile(
    rf"(?:^|(?<= ))(?:{_BODY}) (?:\S+ ){{0,6}}?(?:{_HURT}) (?!between )"
    rf"|(?:^|(?<= ))(?:{_HURT}) (?!between |SVC )(?:\S+ ){{0,4}}?(?!SVC )(?:{_BODY}) "
)
_DANGER = _words(
    "blood (?:everywhere|all over|pouring|gushing)|pouring blood|(?:out of|in) (?:agony"
    "|tears|(?:\\w+ )?pain)|vomiting|throwing up"
    "|can (?:barely|hardly) \\w+|hit by a car|run over|in (?:absolute|total|complete"
    "|real) (?:agony|pain)|heartbeat in my|pain relief|need relief"
    "|some relief|(?:can|could) not (?:stand|take|bear|cope with) (?:this|the|it) (?:pain"
    "|any longer|another|anymore|any more)|pain (?:is|has|wakes|woke|keeps|kept)"
    "|painkillers? (?:\\S+ ){0,4}(?:working|touching|helping)"
    "|(?:advil|ibuprofen|nurofen|paracetamol|tylenol|painkillers|codeine|aspirin|aleve"
    "|motrin) (?:\\S+ ){0,5}(?:touching|working|helping|cutting it|enough)"
    "|(?:awful|terrible|unbearable|sharp|shooting|stabbing|constant|severe|horrible"
    "|horrendous|raging|searing|splitting|intense|mad) (?:pain|pains|toothache|ache)"
    "|raging toothache|fell off|fell down|collapsed|can not (?:breathe|walk|see properly"
    "|open)|choking|allergic reaction|(?:something|wrong) (?:is )?(?:wrong )?with my "
    "(?:eye|tooth|jaw|face|back|heart|leg)|can not look at light|colic|(?:hurting|hurts"
    "|hurt|aching|aches) (?:me |him |her |us )?(?:like hell|bad|badly|a lot|terribly|so "
    "much|too much|non stop)|emergency vet"
    "|electric shocks"
)
_MILD = _words(
    "hurts|sore|aching|aches|ached|pain|painful|hurting|numb|stiff|burning|nagging|niggle|sensitive"
)
_SERVICE = _words("SVC")
#: Somebody tells of a service that was, will be, or is not theirs.
_TOLD = _words(
    "had|have|has|got|did|was|were|went|came|been|is|are|thought|talk|seen|saw|quoted"
    "|booked|heard|hear|cost|costs|how much|do you"
    "|they|FRIEND|you|after|before|since|maybe|might|or|if|called|rang|offer|offers|put"
    "|placed|fitted|gave|missed|when"
)
#: "Isn't this the theatre?"
_ELSEWHERE = re.compile(
    r"(?:oh |sorry |wait |so )*is (?:this|that) (?:not )?(?:the|a|an) (?!\S+ (?:clinic|practice|place) )"
    r"(?!(?:dental|dentist|doctor|vet|clinic|practice|surgery|right|best|price|place"
    r"|number|same|one|normal|good|bad|real|robot|person"
    r"|machine|bot|recording|SVC|thing|joke|new|free|reception|receptionist|office|line"
    r"|correct|problem|physio|optician) )"
)
_ASKING = re.compile(r"^(?:and |so |but )*(?:how|what|why|does|do|did|is|are|would|should|will|if) ")
_QUERY = re.compile(r"^(?:does|do|is|are|will|would|did|how|what|can|could|should|was) ")


def signs(text: str, *, question: bool) -> list[Sign]:
    """Wishes and hurts in one cleaned clause."""
    if question and _ELSEWHERE.match(text):
        return [Sign(Cue.WRONG, 0, len(text))]
    return [*_wishes(text), *_appointments(text), *_hurts(text, question=question)]


def _wishes(text: str) -> list[Sign]:
    wish = None if _ASKING.match(text) else _first_of_ours(text)
    if wish and (object_ := _object_after(text, wish.end(), (_BOOKING, _TREATED))):
        return [Sign(Cue.WANT, wish.start(), object_)]
    calling = _CALLING.search(text)
    if calling and (object_ := _object_after(text, calling.end(), (_BOOKING,))):
        return [Sign(Cue.WANT, calling.start(), object_)]
    request = _REQUEST.search(text)
    if request is None:
        return _service_and_time(text)
    wanted = (_BOOKING, _TREATED) if _WHEN.search(text) else (_BOOKING,)
    if object_ := _object_after(text, request.end(), wanted):
        return [Sign(Cue.WANT, request.start(), object_)]
    return []


def _service_and_time(text: str) -> list[Sign]:
    """To name both is to ask for it ("the filler on Thursday, then"), unless it was or is told of."""
    service, when = _SERVICE.search(text), _WHEN.search(text)
    if not service or not when or _TOLD.search(text) or _ASKING.match(text) or _TURNS.search(text):
        return []
    return [Sign(Cue.WANT, min(service.start(), when.start()), max(service.end(), when.end()))]


def _first_of_ours(text: str) -> re.Match[str] | None:
    """The first wish that is the caller's or their family's, and no former plan."""
    for match in _WISH.finditer(text):
        before = text[: match.start()].split()
        subject = next((word for word in reversed(before) if word in _OURS | _OTHERS), None)
        if subject in _OTHERS or _INTENDED.search(text[: match.end()].rstrip()):
            continue
        return match
    return None


def _object_after(text: str, start: int, wanted: tuple[re.Pattern[str], ...]) -> int:
    """Where the nearest thing wanted ends, or 0 if there is none or the subject was changed before it."""
    found = [match for each in wanted if (match := each.search(text, start, start + _FURTHEST + 40))]
    nearest = min(found, key=lambda match: match.start(), default=None)
    if nearest is None or nearest.start() - start > _FURTHEST:
        return 0
    # What follows at once may still say that it is no appointment: "book an interview".
    return 0 if _TURNS.search(text, start, min(len(text), nearest.end() + 25)) else nearest.end()


def _appointments(text: str) -> list[Sign]:
    """What is theirs already ("my session tomorrow"), unless it is yet to be made."""
    match = _HAVE.search(text)
    if match is None or _MAKING.search(text[: match.start()]):
        return []
    return [Sign(Cue.ADMIN, match.start(), match.end())]


def _hurts(text: str, *, question: bool) -> list[Sign]:
    asked = question and _QUERY.match(text) is not None
    if danger := _DANGER.search(text):
        return [] if asked else [Sign(Cue.NOW, danger.start(), danger.end(), _negations_in(danger[0]))]
    injured = _INJURED.search(text)
    if injured is None or asked:
        return []
    mild = _MILD.search(injured[0]) is not None
    return [Sign(Cue.HURT if mild else Cue.NOW, injured.start(), injured.end())]


def _negations_in(text: str) -> int:
    return sum(word in {"not", "no", "never"} for word in text.split())
