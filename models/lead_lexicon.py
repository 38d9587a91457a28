"""Words: contractions, mis-hearings, times, people, and the services that clinics sell with their worth."""

from __future__ import annotations

import re
from typing import Literal

Value = Literal["high", "normal", "low"]


class Replacements:
    """Words in place of others, applied in turn to a text in which a space follows each word.

    Most texts hold the first words of few, so the others are not tried.
    """

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._all = [
            (re.compile(rf"(?:^|(?<= ))(?:{said}) "), f"{meant} " if meant else "") for said, meant in pairs
        ]
        self._always: set[int] = set()
        self._by_word: dict[str, list[int]] = {}
        for number, (said, _) in enumerate(pairs):
            keys = _keys(said)
            if keys is None:
                self._always.add(number)
            for key in keys or ():
                self._by_word.setdefault(key, []).append(number)

    def apply(self, text: str) -> str:
        due = self._due(text)
        number = min(due, default=None)
        while number is not None:
            regex, meant = self._all[number]
            text, times = regex.subn(meant, text)
            if times:  # its words may call for another that comes later
                due = self._due(text)
            number = min((each for each in due if each > number), default=None)
        return text

    def _due(self, text: str) -> set[int]:
        due = set(self._always)
        for word in text.split():
            due.update(self._by_word.get(word, ()))
            if word.isdecimal():
                due.update(self._by_word.get(_NUMBER, ()))
        return due


#: Stands for any number among the keys.
_NUMBER = "#"
_MOST_SPELLINGS = 1_000
_ATOM = re.compile(r"\\d\{1,2\}|\[[a-z]+\]|[A-Za-z# ]")


def _keys(said: str) -> frozenset[str] | None:
    """The words that what matches may begin with; None where they are too many to tell."""
    spellings = _spellings(said)
    return None if spellings is None else frozenset(each.split()[0] for each in spellings)


def _spellings(said: str) -> set[str] | None:
    """What the alternatives of an expression match, written out, to the end of the first word at least."""
    found: set[str] = set()
    for option in _options(said):
        written = _written_out(option)
        if written is None:
            return None
        found |= written
    return found


def _written_out(option: str) -> set[str] | None:
    texts, at = {""}, 0
    while at < len(option) and not all(" " in text.lstrip() for text in texts):
        if option[at] == "(":
            end = _closing(option, at)
            kind, inside = option[at + 2], option[at + 3 : end - 1]
            parts = {""} if kind in "=!" else _spellings(inside)
        else:
            atom = _ATOM.match(option, at)
            end = atom.end() if atom else at
            parts = _letters(atom[0]) if atom else None
        if parts is None:
            return None
        if option[end : end + 1] == "?":
            parts, end = parts | {""}, end + 1
        texts, at = {text + part for text in texts for part in parts}, end
        if len(texts) > _MOST_SPELLINGS:
            return None
    return texts if all(text.strip() for text in texts) else None


def _letters(atom: str) -> set[str]:
    return {_NUMBER} if atom.startswith("\\") else set(atom.strip("[]") or atom)


def _closing(option: str, at: int) -> int:
    """Where the bracket that is opened here ends."""
    depth = 0
    for index in range(at, len(option)):
        depth += {"(": 1, ")": -1}.get(option[index], 0)
        if depth == 0:
            return index + 1
    raise ValueError(option)


def _options(said: str) -> list[str]:
    """What stands between the bars, brackets left whole."""
    options, depth = [""], 0
    for each in said:
        depth += {"(": 1, ")": -1}.get(each, 0)
        if each == "|" and depth == 0:
            options.append("")
        else:
            options[-1] += each
    return options


def _split(text: str) -> dict[str, tuple[str, ...]]:
    """From "teeths: teeth; tooths: teeth; dont: do not; wanna: want to"."""
    pairs = (each.partition(":") for each in text.split(";"))
    return {word.strip(): tuple(meant.split()) for word, _, meant in pairs}


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


#: What is one word on the phone and several to a reader.
CONTRACTIONS: dict[str, tuple[str, ...]] = {
    "can't": ("can", "not"),
    "won't": ("will", "not"),
    "shan't": ("will", "not"),
    "ain't": ("is", "not"),
    "let's": ("let", "us"),
    "y'all": ("you",),
    "ma'am": ("madam",),
    "o'clock": ("oclock",),
    **{
        f"{word}'s": (word, "is")
        for word in _listed(
            "it that he she what there who where here how when everything nothing something "
            "anything someone"
            " somebody one today tomorrow tonight monday tuesday wednesday thursday friday "
            "saturday sunday mum mom"
            " money price cost noon morning afternoon evening fifth sixth seventh eighth ninth tenth"
        )
    },
    **_split(
        "teeths: teeth; tooths: teeth; dont: do not; doesnt: does not; didnt: did not; isnt: "
        "is not; arent: are not; wasnt: was not"
        "; werent: were not; havent: have not; hasnt: has not; hadnt: had not; couldnt: could not"
        "; wouldnt: would not; shouldnt: should not; cant: can not; cannot: can not; wont: will not"
        "; aint: is not; im: i am; ive: i have; youre: you are; theyre: they are; weve: we have"
        "; youve: you have; thats: that is; whats: what is; theres: there is; hes: he is"
        "; shes: she is; its: it is; lets: let us; wanna: want to; gonna: going to; gotta: have to"
        "; gimme: give me; lemme: let me; dunno: do not know; plz: please; pls: please; u: you"
        "; ur: your; wud: would; wuld: would; cud: could; buk: book; thx: thanks; tmrw: tomorrow"
        "; tmr: tomorrow; tomoz: tomorrow; tomoro: tomorrow; tomorro: tomorrow; tmoro: tomorrow"
        "; tomora: tomorrow; yea: yes; yeah: yes; ye: yes; yep: yes; yup: yes; yah: yes; aye: yes"
        "; uhhuh: yes; nope: no; nah: no; naw: no; ok: okay; k: okay; cos: because; cuz: because"
        "; coz: because; asap: as soon as possible; appt: appointment; apt: appointment"
        "; appts: appointments; consult: consultation; mins: minutes; min: minute; hrs: hours"
        "; wk: week; hiya: hi; ta: thanks; cheers: thanks; saterday: saturday; wensday: wednesday"
        "; wednsday: wednesday; thurs: thursday; tues: tuesday; weds: wednesday; fri: friday"
        "; sat: saturday; mon: monday; gotten: got; realy: really; bac: back; rendezvous: appointment"
        "; mam: mum; mommy: mom; mummy: mum; hubby: husband; missus: wife; someones: someone is"
        "; recieve: receive; alot: a lot; whos: who is; cuppa: tea; kinda: ; sorta: ; booky: book"
        "; havnt: have not; ringin: ringing; callin: calling; bookin: booking; lookin: looking"
        "; thinkin: thinking; goin: going; killin: killing; wrt: about; aswell: as well"
        "; nvm: never mind; nevermind: never mind; incase: in case"
    ),
}

#: Words that add nothing to what is meant.
DROPPED = frozenset(
    _listed(
        "um uh er erm ah oh ooh hm hmm mm mmm eh well just really actually honestly basically literally"
        " quite very definitely absolutely so also please pls simply totally truly certainly seriously hey"
        " hi hello hullo sir madam mate dear darling finally already obviously anyway desperately kindly"
        " possibly bloody damn fucking freaking effing flipping gosh god jesus christ haha ha myself"
        " currently especially specifically even"
    )
)

#: Words of ours that are recognised although misspelt or heard in two.
FIXES = frozenset(
    _listed(
        "appointment appointments consultation invisalign veneers veneer botox implants implant whitening"
        " orthodontist orthodontic emergency reschedule tomorrow available availability toothache"
        " extraction dentures denture rhinoplasty liposuction hygienist hygiene cataract lasik"
        " microneedling aligners injections injection deposit urgent swollen infection cleaning filler"
        " fillers dermal profhilo braces treatment dentist surgery crowns checkup physio physiotherapy"
        " abscess throbbing excruciating ibuprofen monday tuesday wednesday thursday friday saturday sunday"
        " facelift abdominoplasty bonding coolsculpting hydrafacial blepharoplasty receptionist invoice"
        " prescription complaint interested cancel cancelled cancellation cancellations possible wisdom"
        " molar"
    )
)

#: The ones so long and unlike any other word that two wrong letters are still a mistake.
LONG_NAMES = frozenset(
    _listed(
        "appointment appointments consultation invisalign orthodontist rhinoplasty liposuction"
        " microneedling emergency abdominoplasty blepharoplasty coolsculpting hydrafacial physiotherapy"
        " cancellation prescription"
    )
)

#: Words that are right as they are, however near to one of ours.
REAL_WORDS = frozenset(
    _listed(
        "a an the i we you he she it they me my your our his her their in on at to of for from by with and"
        " or but if is am are was were be been do does did done have has had can could will would shall"
        " should may might must not no yes this that these those there here what when where who why how"
        " which one two three four five six seven eight nine ten back now out up down off over under again"
        " about need want like get got go going come came call see look book plants plant planted filter"
        " filters filled filling fillings killer miller pillar pillars brides bridge bridges brakes traces"
        " graces grown crown crowd drown frown clown clowns crows venue venues deposits bonding binding"
        " sensation whiting writing wedding weeding biting waiting treatments dentists dental dentistry"
        " dent tent tents surgeon surgeons surgical injected inject infected infections affection hygienic"
        " planning meaning leaning clearing cleaner cleaners physical physics wisdom kingdom random cancels"
        " canceled cancelling council counsel panel camel channel interest interests interesting"
        " disinterested possibly impossible tomorrows availed urgency urgently swallow swallowed swelling"
        " fallen stolen absence obsess throwing throat insulation installation constellation compensation"
        " conversation confirmation information immigration important imports imported invited invite"
        " invites voice voices injury inquiry ointment disappointment disappointed compliment complaints"
        " complained compliant consultant consultants consulting reception receptionists prescriptions"
        " description subscription monthly mondays fridays friend friends fried sundae sunder saturdays"
        " fill fillet molars polar moral fuller finer diner diners dinner refill wider order offer coffee"
        " after later water matter better letter lettuce laser lasers lazier inspection injector election"
        " rejection collection direction crowned facial facials handing banding bounding funding finding"
        " sending"
    )
)

#: Mis-hearings that no spelling rule finds.
ALIASES = Replacements(
    ("(?:bow|boat|both|bo|bought|low|beau) ?(?:tox|talks|tocks|ox|docs|toks|talk|stocks)", "botox"),
    ("in ?plants?|in plans?|him plants?|and plants|implans?|inplants?|m plants|in planted", "implants"),
    (
        ("(?:in|and|an|end|invis) (?:visa|visible|vis a|vis|visa a) ?(?:line|lines|lying|lion|align)"),
        "invisalign",
    ),
    (
        (
            "(?:invisible|invisable|invisa|envisaline|invisaline|invisalin|in visalign) ?(?:line"
            "|lines|align|lines?)?"
            "(?= (?:braces|retainer)? ?)"
        ),
        "invisalign",
    ),
    (
        (
            "(?:a|an|and)? ?(?:point ?m[ie]nt|appoint ?m[iea]nts?|apoint ?m[iea]nts?|pointment"
            "|points? meant|point meant"
            "|ointment|appoint mint|appointed mint)(?= )"
        ),
        "appointment",
    ),
    (
        (
            "(?:v|ve|van|vin|fa|ven) (?:near|ears|nears|neers|ears|nears)|ven ?ears|vaneers"
            "|vineers|venners|fineers"
            "|vuh neers"
        ),
        "veneers",
    ),
    (
        (
            "(?:lip|derma|dermal|under eye|cheek) (?:feeler|feelers|fella|fellas|filla|fillas"
            "|fillaz|filler s|pillar"
            "|pillars|filter|filters)"
        ),
        "lip filler",
    ),
    ("lay ?sick|lay sik|lasic|laysik|laser k|lassik", "lasik"),
    ("cat ?a ?rac[kt]s?|cadillac surgery|caterac[kt]s?|cat tracks", "cataract"),
    ("route canals?|root canal?s?|root can all|rude canal|root kennel", "root canal"),
    ("tooth ?a[ck]h?e|tooth ache|toothake|two thake|toof ?ache|teethache|tooth hake", "toothache"),
    ("(?:whiz|wis|wiz|with)d[uo]m (?:tooth|teeth)|wizdom teeth", "wisdom tooth"),
    ("teeth (?:whiting|wighting|widening|writing|waiting|lightning|whitning)", "teeth whitening"),
    ("console ?tations?|consul tations?|consoltations?|consultations", "consultation"),
    ("e merge and see|emerge and sea|emergancy|emergence see|emergensy|a mergency", "emergency"),
    ("to day", "today"),
    ("want to no", "want to know"),
    ("to morrow|two morrow|tommorow|tomorow|tommorrow", "tomorrow"),
    (
        (
            "(?:look|brook|cook|bok|boook|hook|buck|bock)(?= (?:an|a|my|in for an?|me in for "
            "an?)? ?appointment)"
        ),
        "book",
    ),
    ("check up|chequeup|check ups|cheque up", "checkup"),
    ("all on (?:four|six|4|6)", "all on four"),
    ("pro ?fill? ?o|pro fellow|profilo", "profhilo"),
    ("hydro facial|hydra facial", "hydrafacial"),
    ("micro ?needle(?:ing)?", "microneedling"),
    ("cool sculpting|cool sculpt", "coolsculpting"),
    ("anti wrinkle|anti wrinkles|antiwrinkle", "anti wrinkle"),
    ("x rays?|xrays?", "xray"),
    ("wrong numb[ae]r|wrong numba|rong number", "wrong number"),
    ("miss ?dial(?:l?ed)?|mis ?dial(?:l?ed)?", "misdialled"),
    ("o clock", "oclock"),
    ("a s a p", "as soon as possible"),
    ("re ?schedule", "reschedule"),
    ("every one", "everyone"),
    ("some (?:one|body)", "someone"),
    ("alright|all right", "alright"),
    ("straightaway|straight away|right away|immediately|at once", "straight away"),
)

#: Idioms whose negation is none, and the other way round.
REWRITES = Replacements(
    ("(?:do|would) not you dare", "never"),
    ("(?:can|could) not wait (?:any longer|any more|much longer|long|anymore)", "need it today"),
    ("(?:can|could) not wait", "look forward"),
    ("(?:can|could) not (?:recommend|thank|agree|fault|be happier|be better|speak highly)", "praise"),
    ("would not mind (?=seeing|coming|getting|having|a|an|some|the|booking)", "would like"),
    ("would not say no to", "would like"),
    ("(?:do|does|would|will) not (?:mind|care) (?=what|how|when|which|where|who)", "am happy with"),
    ("(?:do|does|would) not mind", "am happy"),
    ("no (?:problems?|worries|bother|issues?|trouble|objections?|qualms)(?: at all)?", "fine"),
    ("(?:is )?not (?:a|an) (?:problem|issue|bother|concern|worry|obstacle)(?: at all)?", "is fine"),
    ("not too (?:early|late|bad|soon|much|far|expensive|pricey|dear)(?: at all)?", "fine"),
    ("not (?:so |that |at all )?(?:bad|terrible|half bad)(?: at all)?", "good"),
    ("why not", "yes"),
    ("not (?:only|just|merely)", "only"),
    ("no (?:doubt|question|kidding|joke)", ""),
    ("or not|if not", ""),
    ("do not hesitate", ""),
    ("do not get me wrong|do not worry|do not know if|not being funny|not gonna lie|not going to lie", ""),
    (
        (
            "(?:no|not any|without|not in (?:a|any)|not a|there is no|is no) (?:great "
            "|particular |big |real |huge )?"
            "(?:rush|hurry|urgency|panic)"
        ),
        "NORUSH",
    ),
    (
        (
            "not (?:an |at all |so |that |very |really |super |too |terribly |particularly "
            ")?(?:urgent|emergency|desperate)"
        ),
        "NORUSH",
    ),
    ("nothing (?:urgent|serious|pressing)", "NORUSH"),
    (
        (
            "do not want to (?:wait|miss|lose|leave it|put it off|delay|hang about|hang around|waste)"
            "(?: (?:any longer|any more|around|until then))?"
        ),
        "am keen",
    ),
    ("(?:would|will) not wait", "am keen"),
    ("not (?:get|got|been getting) any younger", "older"),
    ("no (?:good|use) (?:for|to) me", "unsuitable"),
    ("rather not wait", "am keen"),
    ("would rather not", "do not want to"),
    (
        (
            "(?:do|did|does|would|can|will) not (?:suppose|think|believe)(?: that)? (?=(?:i|we|it"
            "|that|he|she) )"
        ),
        "not",
    ),
    (
        ("as soon as (?:possible|you can|you have|he can|she can|they can|humanly possible|is possible)"),
        "ASAP",
    ),
    (
        (
            "(?:the )?(?:soonest|earliest|quickest|fastest)(?: possible)?|at your earliest "
            "convenience|the sooner the better"
            "|(?:as )?early as possible|as quick(?:ly)? as (?:possible|you can)|sooner rather "
            "than later|like yesterday"
            "|asap|soon as|next available|first available|earliest available"
        ),
        "ASAP",
    ),
    ("(?:have|has) (?=got )", ""),
    ("i would love|i would be delighted|i should like", "i would like"),
    ("(?:going|about|planning|intending) to (?=(?:book|go ahead|proceed))", "want to"),
)

NEGATED_AUXILIARY = re.compile(
    r"(?<![^ ])(can|could|will|would|do|does|did|is|are|have|has|should) not"
    r" (i|you|we|there|he|she|it|they|someone|somebody|this|that|the)(?= )"
)

_DAYS = (
    "(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    "|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays|sundays)"
)
_MONTHS = "(?:january|february|march|april|june|july|august|september|october|november|december)"
_HOURS = "(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\\d{1,2})"
_MINUTES = (
    "(?:thirty|fifteen|twenty|forty|fifty|ten|twenty five|thirty five|forty five|fifty five|oclock|\\d\\d)"
)
_ORDINAL = (
    "(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth"
    "|thirteenth|fourteenth"
    "|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth|(?:twenty|thirty) "
    "(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|\\d{1,2}(?: (?:st|nd|rd|th))?)"
)
_PART = "(?:morning|afternoon|evening|night|lunchtime)"

#: TODAY, SOON and TIME in place of what people call them.
TIMES = Replacements(
    (
        (f"today|tonight|this (?:very )?{_PART}|right now|straight away|within the hour|later on today"),
        "TODAY",
    ),
    (
        (
            f"(?:tomorrow|the day after tomorrow)(?: {_PART})?|this (?:week|weekend|coming week)"
            f"|(?:in )?(?:the )?next "
            f"(?:few|couple of|two|three) days|before the weekend|end of the week|this {_DAYS}"
            f"|(?:in )?a day or two"
        ),
        "SOON",
    ),
    (f"(?:on |this |next |the following )?{_DAYS}(?: week)?(?: {_PART})?", "TIME"),
    (f"(?:the )?(?:{_ORDINAL}) of (?:{_MONTHS}|may|next month|this month|the month)", "TIME"),
    (f"(?:{_MONTHS})(?: the)? {_ORDINAL}", "TIME"),
    (
        (
            f"(?:in )?{_MONTHS}|in (?:may|march)|next (?:month|year)|in (?:two|three|four|six|a "
            f"few|a couple of) months|in the new year"
            "|(?:in (?:the )?|this |next )(?:spring|summer|autumn|fall|winter)"
        ),
        "MONTH",
    ),
    (
        (
            f"(?:on )?the {_ORDINAL}(?! (?:time|place|thing|person|one|of|half|tooth|session|floor"
            f"|appointment|implant))"
        ),
        "TIME",
    ),
    (
        "next (?:week|weekend|fortnight)|in (?:a|two|three|the) (?:week|weeks|fortnight|month)|this month",
        "TIME",
    ),
    (f"(?:at )?(?:half|quarter) (?:past|to) {_HOURS}(?: ?[ap]m)?|half {_HOURS}", "TIME"),
    (f"(?:at |about |around |for |say )?{_HOURS}(?: {_MINUTES}){{1,2}}(?: ?[ap]m| am| pm)?", "TIME"),
    (f"(?:at |about |around |say )?{_HOURS} ?(?:[ap]m|oclock|am|pm|a m|p m)", "TIME"),
    (
        (
            f"(?:at|for|around|say) {_HOURS}(?! (?:of|people|years|weeks|months|days|minutes|hours"
            f"|times|teeth|implants"
            "|pounds|dollars|hundred|thousand|and|or|grand|k|different|other|per|percent|units"
            "|sessions|more|the|my))"
        ),
        "TIME",
    ),
    (f"(?:at )?(?:half|quarter) (?:past|to) {_HOURS}|half {_HOURS}", "TIME"),
    (
        (
            f"(?:at )?(?:noon|midday|lunchtime|lunch time|midnight)|first thing|(?:in the|any) "
            f"{_PART}|mornings|evenings"
            "|afternoons|after school|after work"
        ),
        "TIME",
    ),
    ("(?:TIME (?:or so |at |the |on |in |around )?)?(?:TODAY|TODAY at) TIME", "TODAY"),
    ("(?:TIME |SOON )*SOON(?: at)?(?: TIME)*", "SOON"),
    ("TODAY(?: (?:at )?TIME)+", "TODAY"),
    ("TIME(?: (?:at |the |on |in |for )?TIME)+", "TIME"),
    ("TODAY (?:or )?(?:TODAY|SOON|TIME)", "TODAY"),
    (f"TIME (?:at )?{_HOURS}(?! (?:of|people|years|weeks|months|days|minutes|hours))", "TIME"),
    (f"{_HOURS} (?=TIME )", ""),
    (f"{_HOURS} (?:on )?TODAY", "TODAY"),
)

_CARE = (
    "(?:husband|wife|partner|son|daughter|mum|mom|mother|dad|father|nan|gran|grandma"
    "|grandmother|grandad|grandfather"
    "|kids?|child|children|boys?|girls?|lads?|baby|toddler|fianc[e]+|boyfriend|girlfriend"
    "|dogs?|cats?|puppy|kitten"
    "|rabbit|horse|pet|parents|twins|grandson|granddaughter|little (?:one|boy|girl)"
    "|eldest|youngest|other half"
    "|better half|family|teenager)"
)
_OTHERS = (
    "(?:friends?|sister(?: in law)?s?|brother(?: in law)?s?|cousins?|neighbou?rs?|mates?"
    "|colleagues?|boss|aunt(?:ie)?"
    "|uncle|niece|nephew|flatmate|roommate|co ?worker|buddy|pal|mother in law|father in law)"
)

#: KIN is who a caller may well book for; FRIEND is who is only talked about.
PEOPLE = Replacements(
    (f"(?:my|our|his|her|the|a) (?:late|ex) {_CARE}|my ex|my exes", "FRIEND"),
    ("the (?:wife|husband|missus|kids|other half|little one|mrs|dog|cat)", "KIN"),
    (
        f"(?:my|our|a|this|your|his|her) (?:\\w+ )?{_OTHERS}(?: (?!and |i |is |had |has |told )(?:NAME))?",
        "FRIEND",
    ),
    (f"(?:both )?(?:my|our) (?:\\w+ |\\w+ year old )?{_CARE}(?: NAME)?", "KIN"),
    ("(?:my|our) \\w+ year old", "KIN"),
)

#: Services by worth, each with the other names that it goes by.
_SERVICES: dict[str, tuple[Value, str]] = {
    "implants": (
        "high",
        (
            "implant, dental implant, tooth implant, teeth implants, all on four, full arch"
            ", implant dentures, implant supported dentures, new set of teeth, bone graft"
            ", sinus lift, teeth in a day"
        ),
    ),
    "invisalign": (
        "high",
        ("aligner, clear aligner, clear brace, invisible brace, invisible aligner"),
    ),
    "braces": (
        "high",
        (
            "brace, orthodontic treatment, orthodontics, teeth straightened, teeth straightening"
            ", straighten my teeth, lingual brace, retainer braces"
        ),
    ),
    "veneers": (
        "high",
        ("veneer, porcelain veneer, composite veneer"),
    ),
    "smile makeover": (
        "high",
        ("full mouth reconstruction, full mouth restoration, new smile, hollywood smile"),
    ),
    "bonding": (
        "high",
        ("composite bonding, teeth bonding, edge bonding, tooth bonding"),
    ),
    "dentures": (
        "high",
        ("denture, false teeth, set of teeth"),
    ),
    "dental surgery": (
        "high",
        ("oral surgery, gum surgery, jaw surgery, gum graft, periodontal surgery"),
    ),
    "crown": (
        "normal",
        ("dental crown, crown lengthening, bridge, dental bridge, inlay, onlay, cap"),
    ),
    "root canal": (
        "normal",
        ("root canal treatment, endodontic treatment"),
    ),
    "extraction": (
        "normal",
        (
            "tooth out, tooth pulled, tooth removed, wisdom tooth, wisdom teeth, tooth extracted"
            ", wisdom tooth extraction, tooth extraction"
        ),
    ),
    "whitening": (
        "normal",
        ("teeth whitening, tooth whitening, teeth whitened, bleaching, teeth bleached, zoom whitening"),
    ),
    "filling": (
        "normal",
        ("white filling, amalgam, tooth filled, lost filling"),
    ),
    "night guard": (
        "normal",
        ("mouth guard, retainer, mouthguard, nightguard, sports guard"),
    ),
    "cleaning": (
        "low",
        (
            "teeth cleaning, hygienist, scale and polish, hygiene, hygiene appointment"
            ", teeth cleaned, clean, polish, dental cleaning, deep clean"
        ),
    ),
    "checkup": (
        "low",
        (
            "routine checkup, dental checkup, examination, exam, routine exam"
            ", routine appointment, routine visit, check in, physical, annual physical"
            ", health check, well woman, annual exam, six month checkup"
        ),
    ),
    "botox": (
        "high",
        (
            "botulinum toxin, anti wrinkle injections, anti wrinkle, anti wrinkle treatment"
            ", dysport, baby botox, wrinkle injections, jaw botox, masseter botox"
            ", frown line injections, tox"
        ),
    ),
    "fillers": (
        "high",
        (
            "filler, lip filler, dermal filler, lip injections, lips done, cheek filler"
            ", tear trough filler, under eye filler, tear trough, juvederm, restylane"
            ", lip augmentation, lip enhancement, russian lips, jawline filler, chin filler"
            ", mil in the lip, mil in my lip, mil of filler, ml in the lip, ml in my lip"
            ", nose filler, liquid rhinoplasty, non surgical rhinoplasty, non surgical nose job"
            ", sculptra"
        ),
    ),
    "laser": (
        "high",
        (
            "laser hair removal, laser treatment, laser session, laser package, laser resurfacing"
            ", tattoo removal, laser course, ipl, hair removal, co two laser"
            ", laser skin resurfacing, fraxel, pigmentation laser, laser removal, scar treatment"
            ", acne scars treated"
        ),
    ),
    "profhilo": (
        "high",
        (
            "skin booster, polynucleotides, polynucleotide, thread lift, prp, vampire facial"
            ", morpheus, microneedling, radio frequency, hifu, ultherapy, skin tightening"
            ", coolsculpting, fat freezing, emsculpt, fat dissolving"
        ),
    ),
    "cosmetic surgery": (
        "high",
        (
            "facelift, face lift, rhinoplasty, nose job, tummy tuck, liposuction, lipo"
            ", breast augmentation, breast implants, boob job, breast reduction, breast lift"
            ", eyelid surgery, blepharoplasty, mummy makeover, mommy makeover, bbl, brow lift"
            ", neck lift, ear pinning, otoplasty, plastic surgery, abdominoplasty, ears pinned"
        ),
    ),
    "hair transplant": (
        "high",
        ("hair restoration, hair graft, fue, transplant, hair transplantation"),
    ),
    "vein treatment": (
        "high",
        ("varicose veins, varicose vein, spider veins, vein removal, sclerotherapy"),
    ),
    "mole removal": (
        "normal",
        (
            "mole removed, skin tag removal, skin tags removed, wart removal, cyst removal"
            ", cyst removed, mole taken off, skin tag removed, mole check, lesion removed"
        ),
    ),
    "facial": (
        "normal",
        (
            "hydrafacial, chemical peel, peel, dermaplaning, led facial, skin treatment"
            ", acne treatment, microdermabrasion, skin consultation, skin peel"
        ),
    ),
    "weight loss": (
        "high",
        (
            "mounjaro, wegovy, ozempic, weight loss injections, weight loss jabs, semaglutide"
            ", tirzepatide, weight loss programme, weight loss program, skinny jab"
            ", weight loss shots, weight loss treatment"
        ),
    ),
    "surgery": (
        "high",
        (
            "vasectomy, knee surgery, hip replacement, knee replacement, hernia surgery"
            ", back surgery, shoulder surgery, cruciate surgery, cruciate operation, dog surgery"
            ", spay, spayed, neuter, neutered, neutering, spaying, castrated, circumcision"
            ", the operation, hand surgery, skin surgery"
        ),
    ),
    "physiotherapy": (
        "normal",
        (
            "physio, physical therapy, sports massage, shockwave therapy, shockwave, rehab"
            ", osteopathy, chiropractor, chiropractic, acupuncture, dry needling"
            ", deep tissue massage, gait analysis, physio session, cortisone injection"
            ", steroid injection, osteopath, adjustment"
        ),
    ),
    "private doctor": (
        "normal",
        (
            "private gp, gp appointment, doctor appointment, hormone replacement, hrt"
            ", allergy testing, allergy test, ultrasound, mri, mri scan, sti test, std test"
            ", hormone test, iv drip, testosterone, ear wax removal, microsuction, ears syringed"
            ", medical"
        ),
    ),
    "vaccination": (
        "low",
        (
            "flu jab, flu shot, vaccine, vaccinations, booster, jabs, travel vaccines, shots"
            ", kennel cough, nail clipping, nails clipped, nail trim, nails trimmed, worming"
            ", flea treatment, microchip, blood test, bloods, smear, smear test"
            ", blood pressure check, blood work"
        ),
    ),
    "laser eye surgery": (
        "high",
        (
            "lasik, eye surgery, laser eye, lens replacement, prk, smile eye surgery, icl"
            ", laser vision correction, vision correction, eyes lasered, lens exchange"
            ", refractive surgery, laser eye correction"
        ),
    ),
    "cataract surgery": (
        "high",
        ("cataract, cataract operation, cataract removal, cataracts done"),
    ),
    "glasses": (
        "normal",
        (
            "new glasses, contact lens fitting, varifocals, contact lenses, contacts"
            ", prescription glasses, contact lens"
        ),
    ),
    "eye test": (
        "low",
        ("eye exam, sight test, vision test, eye check, eyes tested, eyes checked"),
    ),
}

SERVICES: dict[str, tuple[Value, tuple[str, ...]]] = {
    name: (value, tuple(others.split(", "))) for name, (value, others) in _SERVICES.items()
}
