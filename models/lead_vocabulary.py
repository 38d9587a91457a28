"""What callers say when they want to book, or do not: the phrases that every organisation starts with.

In the language of models/lead_phrases.py. A clinic adds its own in Rules.phrases, under the same codes.
"""

from __future__ import annotations

from enum import StrEnum


class Cue(StrEnum):
    """What a clause can tell."""

    COMMIT = "commit"  # goes ahead: takes the slot, pays the deposit
    WANT = "want"  # asks for an appointment or says that it is needed
    INTEREST = "interest"  # considers it
    ASK = "ask"  # asks about it
    NOW = "now"  # is in pain or in danger
    HURT = "hurt"  # something aches: a reason to come, and none to come at once
    TODAY = "today"  # asks for today, or says that it is urgent
    SOON = "soon"
    LATER = "later"
    ACCEPTS = "accepts"  # the price
    REFUSES = "refuses"
    UNDECIDED = "undecided"
    REJECT = "reject"
    CANCEL = "cancel"
    ADMIN = "admin"  # a patient's papers, results, times; moving an appointment
    COMPLAINT = "complaint"
    WRONG = "wrong"  # wrong number, wrong kind of place
    SPAM = "spam"  # sells something, for sure
    PITCH = "pitch"  # sounds like selling; two of them are enough
    JOB = "job"
    OPT_OUT = "opt_out"
    STRANGER = "stranger"  # writes an article, brings a parcel, asks in an office: no patient
    OTHER = "other"  # hours, directions, small talk
    SARCASM = "sarcasm"
    NEW = "new"
    RETURNING = "returning"
    CALLBACK = "callback"
    ELSEWHERE = "elsewhere"  # speaks of another clinic


_IN = "(in|down|up|on|through for)"

PHRASES: dict[Cue, tuple[str, ...]] = {
    Cue.COMMIT: (
        f"(book|put|pop|stick|squeeze|slot|pencil|sign|fit|count|lock|jot|get|pen) <me> ... {_IN}",
        "(book|pencil|lock|slot|pop|stick) (it|that|<svc>|this) ... (in|down)",
        f"(book|put|pop|stick|squeeze|slot|pencil|sign|fit|count|lock) {_IN} <me>",
        ("(book|reserve|schedule|confirm|grab|hold|lock|keep|save) (it|that|that one|this one|one|the slot"
        "|that slot|the appointment|<time>|the <time>|that <time>)"),
        ("(book|schedule) (me|us|them|her|him|both|KIN) (in|for|on|down|with|<time>|then|$|(an"
"|a|the|my) <appt>|(an|a|the|my) <svc>)"),
        "pull the trigger",
        "i accept",
        "i am down",
        "(i am|we are) (signing up|booking|booking in) (<time>|for that|for the)",
        "(keep|hold) (it|my slot|my appointment|the appointment|the slot|me) (for|please|then|$)",
        "(move|get) [on|on with|going] (on|with|going) (the <svc>|it|this) $",
        "get (<me>|it|that|this|my) ... (booked|scheduled|started|on the (books|schedule|calendar)|in for)",
        ("i (will|would|can|shall) ... (take|have|grab|go for|go with|do|pick|choose|keep) (it"
"|that|this|<time>|those|them"
        "|the first|the second|the last|the earlier|the later|the one|the <svc>|<svc>|both"
"|the early|the late|one)"),
        "^ (take|grab|have) (it|that|<time>|that one)",
        "i take (it|that|this|<time>|the)",
        ("<i> (want|would like|am ready|am happy|have decided|decided|am going|am good|are "
"ready|are happy|need|wants)"
        " to (go ahead|proceed|move forward|move ahead|go for it|commit|crack on|press on|get going)"),
        "(go|going) ahead (with|on)",
        "(am|are) going ahead",
        "let us (do|go|book|get|make|schedule|set|start|proceed|move|crack|take|have|lock|say <time>)",
        "(^|then|okay|yes|right|now) go (for it|ahead|on then|ahead then)",
        "we are (in|sold|all in|convinced) $",
        "i am (in|sold|ready|all in|good to go|game|convinced|up for it) $",
        ("(am|are) [both] (ready|good|happy|set|all set|keen) to (go|book|start|proceed|commit"
"|pay|begin|sign|move)"),
        "ready when you are",
        "(sign|count) <me> (up|in)",
        "^ (sold|deal|confirmed|done deal|book away|done) $",
        ("<time> ... (works|suits|is|it is|would be|will be|sounds|would|would work|will work"
"|works out|will do|looks|do"
        "|does it|that is|be) ... (<good>|for me|me|us|works|suits|then|convenient|lovely|for us|with me)"),
        "<time> (works|suits|does|it is|please|then|yes|will do|confirmed|sounds <good>|would work|<good>)",
        ("(the first|the second|the last|the earlier|the later|the early|the late|that|that "
"one|this|both) [one|slot|time"
        "|appointment] (works|suits|will work|would work|will do|would be|is|sounds|suit) "
"... (<good>|for me|me|us)"),
        ("(that|it|this) (works|suits|will do|would work|would suit|will work|would be) "
"[<good>|for me|me|nicely|us]"),
        "(<good>|yes) <time>",
        "(<good>|yes) (then|for) <time>",
        "(works|suits) (for (me|us|her|him)|me|us|her|him)",
        ("(i|we) (come|am coming|are coming|can come|can do|can make|could do|could make|will "
"do|will come|can be there"
        "|can get there) [in|there] (<time>|it|that|<time> then|at|now)"),
        "<i> will (be there|see you|bring|be in (<time>|at|then|$))",
        "see (you|ya) (then|<time>|at|soon|there|in|on)",
        "(on my|on our) way",
        "(coming|leaving) (now|TODAY|over)",
        "(i have|i am|we have|have) (made up my mind|made my mind up|made our minds up|decided)",
        "(decided|chosen|agreed) ... (to|on) (go|do|have|get|proceed|book|<svc>|it)",
        ("(pay|put down|leave|place|send|transfer|give you|take) ... <money> (now|TODAY|over "
"the phone|up front|upfront"
        "|to secure|straight)"),
        ("(pay|put down|leave|place|give you|take) (the|a|my|your|our) (deposit|card|booking "
"fee|full amount|consultation fee)"),
        "(my card|card) ... (ready|number is|details are|here|in my hand)",
        "(how|where) do i (pay|send) ... <money>",
        ("<call> me ... (to|so) [that] [i|we] [can] (book|schedule|arrange|fix|set|go ahead"
"|get|pay|confirm|give|sort|start)"),
        "(want|would like|like|wants) to (buy|pay for|purchase|sign up|enrol|enroll|start|commit)",
        "(i|we) (am|are) having (<svc>|it done|that done|this done|them done)",
        "(said|saying|says) yes to",
        "(all set|set) for (the|my) ... <svc>",
        "then <time> it is",
        "set the date",
        "(like|want|happy|ready|here|calling) to say yes",
        "(not|no longer) waiting any (more|longer)",
        "(go|going|get|move|moving) forward with",
        "(happy|okay|fine) with (the|your) (quote|price|plan|estimate)",
        "(add|stick) (it|that|them) (on|to my) ...",
        "(charge|take|here is|use|have|run) my (card|credit card|debit card)",
        "(choosing|chosen|picked|going with) you",
        "i (will|would) (be there|come in|make it work|make that work|make it|come at)",
        "locked in",
        "i want in",
        "(put|write|get) (my|our|his|her) name (on|down|against|next to)",
        "(i am|we are) going for (it|that|this|the)",
        "(put|take|run) (my|the|a) (deposit|payment|money) (through|off|now)",
        "(charge|debit|use) the card",
        "(let us|i will) (go on|do it|have it) then",
        "(i am|we are) doing (it|this|them)",
        "(it is|that is|is) [a] yes (from|to|on) ...",
        "^ (setting|heading|driving|popping) (off|over|down|round|out)",
        "(hardly|not) going to say no",
        "(book|put|get|fit) (the pair|both|the two|all|the four|the three) of us",
        "(come|coming|be) (straight|right) (over|in|down|round|there)",
        "(get|grab|call|order|jump in|catch) (a|an|the) (taxi|cab|uber|lyft|bus|lift)",
        "(i|we) (had|would) better (come|have|take|get|book|see|make|say)",
        "(get|let us get) <me> in",
        "before i (bottle|chicken|change my mind|back out|lose my nerve)",
        "(want|like|love) to go ahead",
        "accept the (quote|plan|offer|estimate|price|treatment)",
        "(go|going) with (the|your|that) (quote|plan|offer|treatment|option|<svc>)",
        "money (is|was) (ready|there|in the bank|put aside|put by)",
        "i (am|are) (sure|certain) (i|we) want",
    ),
    Cue.WANT: (
        "(saved|been saving|saving) up for (the|it|this|them|a|my) ...",
        "(want|like|love|need) (the same|the same thing|what she has|what he has|what she had) ...",
        "what i want is (for|to) ...",
        "<svc> ... (TODAY|SOON) (if you have|if possible|please|any chance|if poss|if you could)",
        "i (shall|will) pay (myself|privately|for it|out of my own pocket)",
        ("<i> <want> ... to [come and|come in and|come in to|come to|be able to] <book> [in"
"|<me>] [a|an|the|my|another|some|both]"
        " (<appt>|<svc>|<time>|in|for|time|with|it|two|something|her|him|visit|KIN|that|this|one|them)"),
        "<i> <want> ... to (book|schedule) $",
        ("<i> <want> ... to [be able to] (get|have|be|come|start|do|try|see|bring|go|begin"
"|proceed|return|visit|meet|treat|look at)"
        " ... (in|<svc>|<appt>|<done>|seen|<treat>|<time>|started|someone|somebody|a look"
"|checked|on the books|NAME|ASAP"
        "|back in|over to you|with you|treatment|my teeth|my skin|my eyes|my knee|my back|my smile)"),
        "<i> <wants> ... (<svc>|<appt>|dentist|doctor|physio|vet) $",
        "<i> <wants> (<me>|my|the|a|an|some|both|another|one|two|three|more|for) ... (<svc>|<appt>)",
        "<i> <wants> <svc>",
        "(book|schedule|reserve|arrange) [in] [for] [a|an|the|my|his|her|some|another|one] <svc>",
        "book in (for|the|a|an|with)",
        "<am> (signing up|coming in|booking|booking in|going|ready|down|up|game) for ... <svc>",
        "(how is|how about|is) <time> ... (for|okay for|good for) ... (<svc>|<appt>)",
        "when (to|should i|do i|can i) come",
        "(voucher|gift card) ... (<svc>|use it)",
        "(use|redeem) ... (voucher|gift card|it <time>)",
        "able to (see|fit|squeeze|do|take) (me|her|him|us|KIN)",
        "(need|want|wants|needs|needing) [to be] (seen|treated|an appointment|a consultation|SVC)",
        ("(need|want|wants|needs|get|getting|have|having|like) (it|this|that|them|these|those"
"|my ...|her ...|his ...) <done>"),
        ("(need|wants|want|needs) (a dentist|a doctor|a vet|a physio|the dentist|the doctor"
"|dentist|someone to (see|look|treat|help|check|take))"),
        ("(was|am|were) (hoping|looking|wondering|calling|ringing|trying|after|keen|phoning"
"|enquiring|seeing|checking|looking"
        " into) ... (to|for|if|about) ... (booking|getting|book|get in|get booked|<appt>"
"|come in|be seen|fit|squeeze|see me"
        "|availability|slot|see you|anything <time>|anything|have SVC|get SVC|start SVC)"),
        ("wondering if <one> (have|had|could|can|would|do) ... (<time>|<appt>|see|fit|squeeze"
"|availability|me in|space)"),
        "wondering ... (could|can|might|would) (i|we) (book|get|come|have|be|see|make|schedule)",
        ("(wonder|see|ask|check|know) if (i|we|KIN) (can|could|may|might) ... (book|get|come"
"|be seen|make|have|see|schedule)"),
        "(see|know|check|hoping) if <one> (can|could|would) ... <svc> <time>",
        ("(see|know|check|hoping) [if] [that] <one> (can|could|have|had|might|would) ... (fit"
"|squeeze|see|anything|<appt>|slot|take"
        "|space|get <me>|room)"),
        ("(can|could|may|shall|might|please|able) (<i>|i please|to) ... (book|get|make|have"
"|schedule|reserve|arrange|set up|grab"
        "|take|do) ... (in|<appt>|<svc>|<time>|booked|seen|started|<done>|her|him)"),
        ("(can|could|may|shall|might) (<i>|i please) ... (be seen|come in|come over|come down"
"|come by|come round|pop in|see <treat>|see the"
        " <treat>|see a <treat>|see someone|come and see|come <time>|come for|bring|start "
"<svc>|start|come and have|come now)"),
        (f"(can|could|would|will) <one> ... (fit|squeeze|see|slot|get|book|put|take|pop"
f"|schedule) <me> ... ({_IN}|<time>|ASAP|for|now"
        "|sooner|quick|with|a|an|at|any)"),
        ("(can|could|would|will) <one> ... (see|treat|help|do|look at) (me|her|him|it|us|KIN"
"|them|this|that|my ...) [out] (<time>|ASAP|now"
        "|soon|quickly|sooner)"),
        "(see|fit|squeeze|do|help) (me|her|him|us|KIN) (<time>|ASAP|in|sooner|now)",
        ("(do|have|got|has|with) [<one>] [got|have] (any|an|a|some|the) ... (<appt>"
"|availability|openings|slots|space|spaces|gaps|gap"
        "|room|time|cancellation|cancellations|times|appointments|spots|consultations) ..."),
        ("(have|do|got) <one> [got|have] (anything|something|time|space|room|availability|a "
"slot|slots) ... (<time>|ASAP|sooner|free"
        "|earlier|soon|available|going|left|before|open|for me|for SVC|$)"),
        ("(anything|something|any slots|any appointments|any openings|any spaces|any spots"
"|anyone|any time|slot|room) [free|available|going"
        "|open] (<time>|ASAP|sooner|this week|on <time>|for <time>|before <time>|earlier)"),
        "any (chance|way|possibility|hope) ... (<time>|<appt>|see|in|ASAP|getting|come|<svc>|you could)",
        ("(is|are) there [any|a|an|some|anything] ... (<appt>|availability|slots|openings"
"|anything|space|cancellations|appointments|spots)"
        " [available|free|left|open] [for|on] (<time>|ASAP|sooner|for me|available|free|left|$)"),
        ("(what|when|which|where) (is|are|would be|have you|have you got|do you have) [the"
"|your|my] ... (ASAP|next appointment|next slot"
        "|next opening|next free|next one|soonest|first)"),
        "(your|the) (ASAP|first available|next available|next slot|next appointment|next opening)",
        "ASAP [available] (<appt>|date|time|one|you have|you have got)",
        "^ [your|the] ASAP (available|$)",
        ("(when|how soon|how quickly|what time|which day|what day|where) (can|could|would"
"|will) (<i>|you|it|they|someone) ... (come|get|have|see"
        "|start|do|fit|be|book|bring|take|treat|look)"),
        ("(what|which|any) (dates|times|days|slots|availability|appointments|openings|date"
"|time|day) (do|have|has|can|would|are|could)"
        " (you|there|i|we) [got|have|do]"),
        "what ... (have|has) you got (<time>|for|available|free|open|coming|$)",
        "what have you (got|available|free)",
        "(have you got|do you have|you have) <time>",
        ("how (do|can|could|would) (i|we) ... (book|get on|sign up|get started|proceed|go "
"about booking|get booked|start|register|get in|make"
        " an appointment|schedule)"),
        "what (do|should) i do next",
        "(need|have|got) to do to (get|book|start|come|be)",
        "(due|overdue) ... for (my|his|her|another|a|the|our|their) ... (<svc>|<appt>)",
        "it is time ... (<svc>|<appt>)",
        "<am> (due|overdue) ... (<svc>|again|another|my|top up|for)",
        "(needs|need) (his|her|my|their|its|a|an|some|another) ... <svc>",
        "(need|want|require) ... <svc>",
        ("(looking|here|calling|ringing|phoning|enquiring|on the phone) (for|to get|to have"
"|to book|about booking|to schedule|to make|to arrange"
        "|to start|about getting|about having|to set up|about arranging) ... (<svc>|<appt>|in"
"|<done>|dentist|doctor|vet|booked|appointment)"),
        ("^ [i|need|to] (book|schedule|make|arrange|set up|booking) [in] [a|an|the|my|some|for"
"|for a] (<appt>|<svc>)"),
        "^ [a|an|just|some|the|new] (<appt>|<svc> <appt>) (please|for|with|<time>|ASAP|to)",
        "(am|are) after (a|an|some|the|<svc>) ... (<appt>|<svc>|slot)",
        "(fancy|fancied) (a|an|some|<svc>|getting|having|another)",
        "get back (in|on) ... (for|the|to see|with|books)",
        "(get|getting) (on|onto) (the|your) (books|schedule|calendar|list)",
        "(get|getting) <me> in ... (<time>|ASAP|for|with|before|to|$)",
        "(get|getting) in (<time>|with|for|to see|before|sooner|ASAP)",
        "(get|have|getting) (booked|an appointment|a consultation|scheduled|set up|a slot) ...",
        ("(set|fix|arrange|sort) (it|that|this|something|one|a date|a time|a visit) [up|out] "
"[again|soon|for]"),
        "do something about (my|these|this|it|the)",
        "got to (do|have|get) ... (something|<svc>|<done>|seen)",
        "(will|going to) need ... (<svc>|<done>|an appointment|to be seen|to come in)",
        "(buy|purchase) ... (<svc>|package|course|block|sessions|voucher)",
        "(start|begin) ... (<svc>|treatment|course)",
        ("(like|want|love) [to see|to meet|to talk to|to speak to] the (surgeon|orthodontist"
"|specialist|consultant)"),
        "(how about|what about|could you do|can you do|would <time>|do you do) <time>",
        "(want|need) you to (do|see|look at|treat|take|fix|check)",
        "like you to (do|see|look at|treat|take|fix|check)",
        "(have|has) been referred",
        "want make appointment",
        "you have (time|appointment|space|slot) <time>",
        "i (plan|intend) to (book|have|get|come)",
    ),
    Cue.INTEREST: (
        "interested in",
        "(be|am|are|is|was|quite|get) interested",
        ("(thinking|thought|dreaming|talking) (about|of) ... (<svc>|getting|having|it|doing"
"|starting|booking|trying)"),
        "(considering|contemplating|debating|pondering|toying with|tempted by|tempted) ...",
        "curious about",
        "(looking|look) (into|at) ... (<svc>|getting|having|options|it)",
        ("(would like|want) to (know|find out|hear|learn|understand|enquire|ask) ... (about"
"|more|how|whether|if)"),
        "(like|want|would like|wish) ... (whiter|straighter|better|younger|get rid of|lose|fix|improve)",
        "<svc> ... (candidate|suitable|right for me|for my|hurt|safe|recovery)",
        ("(recommended|recommend|suggested|advised|mentioned|says|said|told) ... (<svc>|i need"
"|i should|i could)"),
        "(get|have|having|getting) ... <svc>",
        "(might|may|could) (need|want|have|be up for|like|be interested)",
        "(have|got) ... quoted",
        "(saw|seen|read) ... (ad|advert|advertised|offer|instagram|facebook|website|online|tiktok|reviews)",
        "(want|wants|would like|like) ... (<svc>|my teeth|my skin|my nose)",
    ),
    Cue.ASK: (
        ("(how much|what is the price|what is the cost|price of|cost of|prices for|charge for"
"|cost for|quote for|price for"
        "|what do you charge|how much are|how much is|what does it cost|going rate) ..."),
        ("(ballpark|estimate|estimates|rough idea|rough price|rough cost|price list|price "
"range|price guide|figure) ..."),
        "(before and after|brochure|leaflet|membership plan|offer on|special on|deal on|promotion on) ...",
        "(cost|price|prices|costs|fee|fees|charge|rates) ... <svc>",
        "<svc> ... (cost|price|prices|costs|fee|charge|how much)",
        "do you (do|offer|provide|have|perform|sell|treat|use|take) ... <svc>",
        "(tell me|information|info|details|question|questions|enquiry|enquiring|wondering) ... <svc>",
        "how (long|many|painful) ...",
        ("(accept|take|covered|cover) ... (insurance|dental plan|medicaid|medicare|ppo|hmo"
"|delta|cigna|aetna|bupa|axa|denplan)"),
        "(finance|financing|payment plan|payment plans|instalments|installments|monthly payments)",
        "(new|nhs|private) patients",
    ),
    Cue.NOW: (
        ("(agony|excruciating|unbearable|killing me|killing him|killing her|horrendous pain"
"|crippling|screaming)"),
        ("(so much|a lot of|lots of|terrible|severe|extreme|awful|bad|serious|constant|in"
"|very much|really bad|much|horrible|intense|shooting"
        "|crazy|insane|sharp|chronic|massive|huge) [of] pain"),
        ("(pain|ache|it|this|tooth|back|neck|knee|jaw|toothache) ... (unbearable|excruciating"
"|is killing|was killing|is throbbing|is so bad|got worse"
        "|getting worse|keeps me up|is terrible|is horrible|all night|is awful|kept me up|is severe)"),
        "(throbbing|abscess|abscessed|hemorrhaging|haemorrhaging|pus)",
        "(will not|not) stop bleeding",
        "(bleeding|bleeds) ... (a lot|badly|heavily|everywhere|since|non stop|profusely|again)",
        ("(can|could) not (sleep|eat|chew|walk|stand|breathe|breath|move|bend|see|open|swallow"
"|straighten|turn|think|work|lift|put weight)"),
        ("(can|could) (barely|hardly) (sleep|eat|chew|walk|stand|breathe|move|bend|see|open"
"|swallow|turn|talk)"),
        "not (slept|eaten|been sleeping|sleeping|sleep|eating)",
        ("(face|jaw|cheek|gum|eye|mouth|knee|ankle|lip|neck) ... (swollen|swelling|swelled"
"|ballooned|blown up|puffed|huge)"),
        "(swollen|swelling) ... (face|jaw|cheek|gum|eye|mouth|knee|ankle|up|badly)",
        ("(knocked|broke|broken|snapped|cracked|chipped|smashed|shattered|split|fractured) "
"... (tooth|teeth|molar|crown|filling|bone|wrist|ankle|out"
        "|bridge|denture|dentures|veneer|incisor|leg|toe|finger)"),
        ("(tooth|teeth|crown|filling|veneer|molar|bridge|cap|incisor|temporary) ... (broke"
"|broken|snapped|cracked|knocked|fell out|came out|come out|come off"
        "|came off|chipped|fallen out|split|smashed|shattered|out in my hand)"),
        "(lost|swallowed) (a|my|his|her) (crown|tooth|filling|veneer|cap)",
        "(toothache|tooth ache|earache)",
        ("(tooth|teeth|molar|gum|jaw|back|knee|eye) ... (hurts|hurting|aching|aches|pain|sore"
"|agony|infected|painful)"),
        "(infected|infection) ... (tooth|gum|jaw|eye|wound|spread|spreading)",
        "(tooth|gum|dental|eye|bad|chest|serious) infection",
        "(have|got|is) an infection",
        "(is|an|have|got|it|real|dental|this) ... emergency",
        "^ emergency",
        ("(flashing lights|flashes|floaters|curtain ...|lost my sight|lost vision|blurred "
"vision|went blind|vision has gone|double vision"
        "|lost my vision) ..."),
        ("(eaten|ate|swallowed|eating) ... (poison|chocolate|grapes|raisins|battery|antifreeze"
"|xylitol|lilies|lily|bleach|sock|toy|bone)"),
        ("(poisoned|seizure|seizures|collapsed|hit by|choking|limping|not breathing|dying"
"|unconscious|bloat|bloated|attacked by|wheezing)"),
        "(put|done|thrown|threw) (my|his|her) (back|neck|knee|shoulder|hip) (out|in)",
        ("(back|neck|knee|shoulder) ... (locked|gone|seized|gave way|gone out|went|popped"
"|gave out|in spasm|spasms)"),
        "(stuck in|lost in) ... eye",
        ("(did|done|done in|twisted|sprained|rolled|tore|torn|pulled|popped|wrecked|buggered) (my|his|her)"
" (ankle|knee|wrist|back|shoulder|hamstring|calf|achilles|groin|elbow|hip|neck)"),
        "(size of|like) (a|an) (melon|golf ball|balloon|egg|football|tennis ball|grapefruit|orange)",
        "(flashes|floaters|curtain|shadow) ... (eye|vision|worse|sight)",
        "(red|painful|sore|streaming|swollen) [painful|red|sore] eye",
        "(sight|eye|vision|it) ... (getting dim|getting dimmer|going dark|went dark|fading)",
        "(cutting|cut|slicing) (my|his|her) (tongue|cheek|lip|gum)",
        "(chest|breathing) ... (pain|tight|infection|trouble|difficulty)",
        "(high|raging) (fever|temperature)",
    ),
    Cue.TODAY: (
        "(it is|is|this is|bit|really|need|quite|seen) (urgent|urgently)",
        "urgent ... (appointment|slot|help|care|dentist|doctor|seen|consultation|treatment)",
        ("(seen|see me|see her|see him|see my|see us|fit|squeeze|get|come in|you have|got time"
"|slot|appointment|book|anything|something|available|space|openings|availability|spot"
"|cancellations"
        "|opening) ... TODAY"),
        "(any|every) ... (chance|hope|way) ... TODAY",
        ("need ... (out|appointment|dentist|doctor|vet|someone|help|seen|it|you|in|somebody"
"|<svc>|slot) ... TODAY"),
        "need it TODAY",
        "need ... (now|TODAY) $",
        "(someone|somebody|a dentist|a vet|a doctor) (TODAY|now)",
    ),
    Cue.SOON: (
        "SOON",
        "ASAP",
        "(soon|quickly|quick|sooner|earlier)",
        ("before (my|the|our|christmas|i go|i fly|we go|he goes|school|xmas|new year"
"|thanksgiving|easter|then) ..."),
        "am keen",
        ("(wedding|holiday|vacation|party|prom|interview|photos|reunion) ... (in|is|on|coming"
"|next|<time>) ..."),
        "look forward",
        "within (a|the|two|three|this|days|weeks) ...",
        "(any longer|long enough|fed up|had enough)",
        "TODAY",
    ),
    Cue.LATER: (
        "NORUSH",
        ("(whenever|some point|some stage|one day|some day|someday|eventually|in the future"
"|down the line|down the road|sometime"
        "|later this year|next year|few months|months away|months time|early days|not until"
"|not till|not before|not for a"
        " while|when i can afford|after the summer|after christmas|payday|in the new year) ..."),
    ),
    Cue.ACCEPTS: (
        ("(money|price|cost|budget|finance|financing|loan|funds|expense) (is|are|has been|was"
"|have been) ... (fine|okay|approved|sorted|ready|no object|in place"
        "|available|no problem|unimportant|no issue|not an issue|not a problem|good|put by"
"|there|put aside)"),
        "(money|price|cost) (no|is no) object",
        ("(have|got|has) ... (the|my|enough|saved) ... (money|budget|savings|funds|cash) ... "
"(put by|ready|saved|aside|together|for it|now|$)"),
        ("(whatever|regardless of what|no matter what|do not care what) (it|the|you|that) ... "
"(costs|takes|cost|price|charge|is|deposit)"),
        ("(happy|fine|okay|comfortable|good) (with|about|paying|to pay|on) ... (price|cost"
"|that|fee|quote|deposit|it|pay)"),
        "(happy|fine|able|willing|ready|prepared) to (pay|put down|leave)",
        ("(that|it|which|price|cost|fee|quote|deposit) (is|sounds|seems|was|works) ... "
"(reasonable|affordable|fair|within my budget|in my budget|doable|good value"
        "|what i expected|manageable|cheaper than)"),
        "(fair enough|good deal|good value|good price|reasonable price|not asking the price)",
        "(pay|paying) ... (cash|in full|up front|upfront|today|now|card|TODAY)",
        "(within|in) (my|our) budget",
        "(i|we) (can|could) (afford|manage|stretch to) ...",
        "am happy with (what|how)",
        "i will pay",
        "(deposit|fee) ... (fine|okay|alright|not a problem|no problem|ready|now)",
    ),
    Cue.REFUSES: (
        "(too|way too|so|bit too|far too|little too) (expensive|much|pricey|dear|steep|high|rich)",
        "(can|could) not (afford|justify|pay|stretch|manage) ...",
        ("(daylight robbery|rip off|ripping|ripped off|extortionate|extortion|ridiculous price"
"|having a laugh|you are joking|taking the mick|taking the piss|scandalous"
        "|highway robbery|for real money|for that price|out of my league|out of my budget"
"|outrageous|are you kidding|must be joking|absurd)"),
        "(over|above|beyond|outside|out of) (my|our) (budget|price range|means)",
        ("(more|lot more|much more) than (i|we) (wanted|can|could|thought|expected|planned"
"|was expecting|want|have|hoped)"),
        ("(that|it) is (expensive|steep|pricey|a lot|dear|a fortune|a bit much|mad|crazy"
"|insane|outrageous|ridiculous|extortionate)"),
        "(cheaper|half the price|third of the price) (elsewhere|somewhere|in|at|with|abroad|over)",
        "not paying (that|this|so|those|a)",
        "not (worth|got|have) (it|that|the money|that kind|that sort)",
    ),
    Cue.UNDECIDED: (
        "(have|having) (that|the|a|this) (conversation|chat|talk|think|discussion) ...",
        "see (where|how) (we|i) (get to|get on|stand|feel)",
        "see if (i am|we are) (brave|ready|up to it|sure)",
        "(not|am not|are not) (there|ready) yet",
        "(something|anything) (i|we) (could|can) (read|look at|take away)",
        "(think|thinking|thought) (about it|it over|on it|it through|about that|things over|this over) ...",
        "(mull|sleep|chew|reflect|ponder) (it|on|over|that|this) ...",
        "(have|having|get) (a|another|some) (think|ponder|chat|look|talk|read|word) ...",
        ("(not|un|am not|not so|not too|not entirely|not totally|not completely|not 100) sure "
"[if|about|whether|yet|that|i|what to do|either|on] [i|it|yet|we|about]"),
        ("(undecided|on the fence|in two minds|of two minds|weighing|torn|wavering|hesitant"
"|unsure|dithering|umming|hesitating|swithering)"),
        ("(can|could|have) not (decide|decided|make up my mind|made up my mind|made my mind up"
"|make my mind up|commit)"),
        ("(need|have|want|going|should|better|like|let me|let|rather|got|will|would) [to|me] "
"(check|ask|talk|speak|discuss|run|consult|chat|look|see|clear) ..."
        " (KIN|FRIEND|partner|boss|insurance|diary|calendar|rota|schedule|bank|finances|work"
"|accountant|them|him|her|past|over with|it over|with|shifts|childcare)"),
        "(i|we) (need|have) to (think|consider|look|save|budget|research|compare|wait|decide|see what)",
        "(talk|talking|discuss|chat) (it|this|that) (over|through|about|out|with)",
        "(get|come|be|go) back (to|with|in touch) (you|with) ...",
        "(circle|loop|check|reach|swing) (back|out|in) ...",
        "(putting|put|keep putting) (it|this|that) off",
        "psych (myself|me) up",
        ("(back and forth|pros and cons|cold feet|second thoughts|not convinced|let you know"
"|keep you posted|keep in mind|keep it in mind|keep you in mind|something to keep)"),
        "(get|come) back to (you|this)",
        "(i|we) (will|would|can|might|may) (call|ring|phone|try) [you] (back|again|later|another) ...",
        "(i|we) (will|would) (call|ring|phone) [you] (later|when|if|once|tomorrow|SOON|TIME)",
        "(give|gives) you a (call|ring|bell|shout|buzz) ...",
        "(shop|shopping|ring|ringing|call|calling|phone|phoning|looking|asking|look) (around|round) ...",
        "(compare|comparing) ...",
        ("(other|more|few|several|different|couple of) (quotes|quote|clinics|places"
"|options|dentists|clinic|practices|surgeons) ..."),
        ("only (looking|asking|curious|browsing|enquiring|wondering|exploring|finding"
"|gathering|researching|want to know|wanted to know|want information)"),
        ("(^|am|i am) (looking|asking|curious|browsing|exploring|enquiring) (for now|at this "
"stage|at the moment|really|$)"),
        "(gathering|collecting|getting) (information|info|prices|ideas|quotes)",
        "(doing|do) ... (research|homework|sums|maths|math)",
        "(early|very early|beginning) stages",
        "(need|want|have|like) to (read|look|see|find out|learn|know) ... (more|up|first|into)",
        "(read|reading) (up|more)",
        "(sound|idea) of",
        "(trying|try) to decide",
        ("(once|after|when|until) (i|we) (have|am|are) ... (finished|done|stopped|saved|paid"
"|healed|recovered|had|back)"),
        "nearer (the time|the date|to the time|then)",
        "(hold|holding) (fire|back)",
        "keep (changing my mind|going back|umming)",
        "(will|would) be the MONTH",
        "(maybe|perhaps|possibly) $",
        "look at my (week|diary|calendar|schedule|shifts)",
        "still (deciding|thinking|choosing|looking|considering|researching|undecided)",
        "(deciding|choosing) between",
        "(be|keep|get) in touch",
        "(between|choosing between|deciding between) (you|your) and",
        "(i|we) would be (up for|interested|tempted|keen)",
        "researching",
        "(finding|find) out (what|how|about|prices) ...",
        ("not (ready|yet|today|TODAY|right now|at the moment|quite|this week|now|for now|at "
"this stage|right away|straight away|there yet|in a position|necessarily|this minute)"),
        "not ... (decided|ready to|convinced|committed|right this second|just yet|at this point) ...",
        "(hold|holding) off",
        "(save|saving) (up|for)",
        "(toying|flirting) with",
        "(food for thought|early days|only at the|talking stage|at this stage|no decision|no decisions)",
        ("(maybe|perhaps) (later|another time|some day|one day|call|try|getting|book|i will|i "
"would|at some|$)"),
        "(might|may) ... (call|ring|try|book|come|do it|go for it|be|get|have|want|need|consider|later|in)",
        "(at some|some) (point|stage) ...",
        "(one day|someday|some day|eventually|down the line|in the future|down the road)",
        "(not|no) ... (commit|committing|commitment|obligation|promises|promising)",
        "(had better|better) (wait|hold|leave|check|ask|not)",
        "wait (until|till|to) [i] (hear|see|get|find)",
        "waiting (to|for) (hear|see|find out|approval|my insurance|the insurance)",
        "(rather|prefer to) (wait|think|hold|leave it)",
        "(i|we) suppose",
        "(i|we) (will|would) ... see (what|how|if|when|whether) ...",
        "(i|we) (will|would|can) (wait|leave it|look) ... (online|until|till|see|for now|website)",
        "(check|look at|look on|have a look at|see) (your|the) website",
        ("(i would|we would|would) [have|need|want] [to] (book|come|do it|go ahead|consider"
"|go for it|be interested) (if|when|once|but|only)"),
        "(if|unless) ... (cheaper|discount|lower|afford)",
        "(try|persuade|convince|talk) <me> [into|to|round]",
    ),
    Cue.REJECT: (
        "(get|getting|got|have|having) (it|that|this|them) done [out|over|up|down] (there|at home|locally)",
        "not [at all|that|remotely|particularly|in the least|for me|in the slightest] interested",
        "(not|no) [any] (interest|interested)",
        "never mind",
        "(forget|leave|drop|scrap|skip|scratch) (it|that|about it|all that|this)",
        "(changed|change) (my|our|his|her) mind",
        "do not bother",
        "(no|not a|fat|not any) chance",
        "no way",
        "not in a million",
        "(not|no) for (me|us)",
        "(it|this|that) is not for (me|us)",
        ("(i|we|think i) (will|would) (pass|give it a miss|leave it|skip|decline|leave that"
"|not bother|stick with|stay with|go without|live with|survive)"),
        "hard pass",
        "(decided|deciding|choose|chose|chosen) (against|not to)",
        ("(gone|going|go|went) (elsewhere|somewhere else|to someone else|with someone|with "
"somebody|with another|to another|with a different"
        "|with the other|for another|with your competitor|to a competitor)"),
        ("(found|booked|booking|chosen|chose|picked|using|signed) ... (another (dentist|clinic"
"|place|one|doctor)|somewhere else|someone else|somebody else|elsewhere|a different "
"(dentist|clinic|place|one|doctor)|cheaper|closer|nearer)"
        " [clinic|dentist|place|one|doctor|surgeon]"),
        "no longer (need|want|interested|looking|require|a patient)",
        "(no|not) (need|want|require|wanted|like|looking) ... (any more|anymore|any longer|now|after all)",
        "no need",
        "(thanks|thank you) but (no|not)",
        ("not (need|want|require|fancy) (it|them|that|this|anything|any|one|[the|your|an|a"
"|any] <svc>|[an|a|your|any] <appt>|to (book|come|go ahead|have|do it|make|buy|get "
"<svc>|pay|spend|rebook|proceed|start|do))"),
        ("not (looking|wanting|going|planning|trying|here|calling|ringing|wishing|hoping"
"|coming|ready|willing|prepared|intending|phoning|about) (to|for) ..."
        " (book|buy|get|have|anything|an <appt>|come|spend|<svc>|back|pay|make|booking|do"
"|start|sign|appointment)"),
        "not (booking|buying|having|coming|getting|doing|signing|spending|paying) ...",
        "(never|not) (booked|asked|requested|signed|enquired|agreed)",
        "never again",
        "(panic over|found a spare|false alarm)",
        "(at|with|by) (her|his|their|my|our) own (dentist|doctor|clinic|vet|surgeon|orthodontist)",
        "(too late|changed my mind)",
        "going to (leave it|pass|skip it|give it a miss)",
        "i am good for",
        "(is a|a|be a|the answer is) no (from|for) (me|us)",
        "leave it (there|at that|for now|be)",
        "(no|not any|no longer any) (use|intention|plans|wish|desire|appetite) (for|of|to)",
        "(decided|deciding) not",
        "(since|had|have had) ... (done|them done|it done) elsewhere",
        "rather (keep|not|die|eat|stick|stay)",
        "over (my|what) ... (can spend|budget)",
        "glad i did not",
        "(tell|told) (him|her|them|you) no",
        "(keep|stick|shove|stuff) your (appointment|offer|botox|deposit|consultation)",
        "(miles away|too far|too far away)",
        "(postpone|put off) ... indefinitely",
        "(good luck to|god help|heaven help) (him|her|them|you)",
        "do not (ring|call|phone|book|text|contact)",
        "(do|did) not (plan|intend|propose) to ...",
        "(saved the tooth|pain went away|gone away|cleared up|got better|better now|it stopped)",
        "not (be|been) (needing|wanting|going ahead|going through|coming back|interested) ...",
        "(need|want) no ...",
        "(nothing|nobody|no one) ... (book|needs|wants|buy)",
        "no appointment",
        "did want to ... but",
        "not (justify|afford) it",
        ("(you are|you re|i am|we are) (alright|okay|good|fine|all set) (thanks|thank you|for "
"now|as i am|$)"),
        "(happy|fine|okay|good) (with|as) (it is|i am|what i have|they are|my|them|him|her|how)",
        "already (booked|sorted|had it done|got one|have one|found)",
        "(already|have) (booked|sorted|had it done|got one) (elsewhere|it|with|somewhere|by)",
        "(call|the|off|whole) (it|thing) off",
        "no (more|further) <svc>",
        "(would|can|could) not (dream|touch|trust|be bothered)",
        "(i|we) (refuse|decline)",
        "over my dead body",
        "(absolutely|definitely|certainly|hell) not",
        "^ not (a|an|the|at|for|on|me|really|today|thanks|interested) $",
        "wasting (my|your) time",
        "(hang|hanging) up",
    ),
    Cue.CANCEL: (
        ("(need|want|like|have|going|wanted|calling|ringing|phoning|had better|wish|please"
"|can i|could i|must|i|to|will|can you|could you|you|^) [to] [go ahead and]"
        " (cancel|call off|withdraw) [my|the|our|his|her|that|it|this|all|a|both|KIN]"),
        ("(cancel|delete|scrap|withdraw|call off) (my|the|our|his|her|that|it|this|all|both"
"|everything|them) ... (appointment|booking|slot|consultation|it|please|session|time)"),
        "(cancel|delete) (that|it|this|everything|them|the booking) $",
        "(appointment|booking|it) (cancelled|called off|taken off|cancelled please)",
        "cancelling (my|the|our|it|that|his|her)",
        "(can|could|will) not (make|attend|keep|get to|come to) (it|my|the|our|his|her|that|this) ...",
        "take (me|us|my name|it|that) off (that|the|it|your books|the books|the recall|the schedule)",
        "(i am|we are|i will be|will) not (coming|be coming|going to make|make it|attend) ...",
    ),
    Cue.ADMIN: (
        ("(reschedule|rearrange|re arrange|rebook|postpone|push back|re book|move|change|swap"
"|switch|shift|put back|bring forward|alter) (my|the|our|his|her|that|it|this|an|KIN"
"|FRIEND|a|NAME)"
        " ... (appointment|booking|slot|consultation|it|time|<time>|session|visit|to|surgery"
"|SVC|date|day|$)"),
        "(reschedule|rearrange|rebook|postpone) ...",
        ("(confirming|confirm|checking|check|make sure|making sure) ... still (down|booked|on|in|coming"
"|expected|scheduled|going ahead)"),
        "(swap|move|switch|change|shift|bump) me (to|onto|over|into)",
        "(had|got|have|was) [a] missed call ...",
        ("(insurance|reimbursement|claim|paperwork|narrative) ... (thing|sorted|figured out|sent|waiting|want"
"|wants|rejected|denied|back|form)"),
        "(my|the|that) (paperwork|reimbursement|narrative)",
        ("(pick|picks|picking|collect|collects|collecting) [up] (his|her|my|the|our|some|it|them) ..."
" (glasses|SVC|lenses|contacts|prescription|order|aligners|retainer|xrays|notes)"),
        "<svc> (back|in|ready|arrived) (from the lab|yet|for collection)",
        ("(pay|paying|paid|settle) ... (instalment|instalments|installment|installments|bill|balance"
"|invoice|what i owe|monthly)"),
        "you (sent|texted|emailed|left) me (a|an) (text|message|email|voicemail|reminder|letter)",
        "(can not|could not|will not) [be able to] make (it|my|our|TODAY|tomorrow|<time>) ...",
        "(am|are) i still (down|booked|on|in|coming|expected|scheduled)",
        "(move|change|swap|shift) (it|the time|the date|the day|my time|my date|my slot|that)",
        "(need|want|have|like) to (move|change|swap|shift) (it|that|my|the|our|his|her)",
        "(blood|test|scan|lab|biopsy|xray|my|the|her|his|KIN) (results|test results|result)",
        "(results|result) (of|from|back|in|ready|for my) ...",
        ("(repeat|my|a|the|new|another|renew|refill|his|her|of my) ... (prescription"
"|prescriptions|refill|medication|inhaler|tablets|sick note|fit note|meds|pills)"),
        "refill",
        ("(invoice|receipt|statement|billing|my bill|the bill|balance|account|overcharged"
"|charged twice|charged me|double charged|direct debit|owe) ..."),
        ("(my|the|our|his|her|dental|medical|patient|old) (records|notes|xrays|xray|file|chart"
"|referral letter|scans)"),
        ("(send|email|forward|transfer|copy|copies|fax|post|request|share) ... (records|notes"
"|xray|xrays|file|letter|receipt|invoice|form|forms|results|copy|referral|sheet"
"|paperwork"
        "|certificate|code|report|statement)"),
        ("(confirm|check|double check|remind|verify|confirming|checking|reminder|remember) "
"... (my|the|our|her|his|KIN|what time|when|time|date) ... (appointment|booking|time"
"|slot|consultation|visit|is|i am)"),
        "(confirm|confirming|about) (my|the|our|her|his|KIN|that) ... appointment",
        ("(what|which) (time|day|date) ... (is|was|am|are) (my|our|his|her|KIN|i|the|it|we) "
"... (appointment|booked|booking|in|slot|consultation|surgery|due)"),
        ("(when|what time|where) (is|was|am) (my|our|his|her|KIN|i|the) ... (appointment"
"|booking|booked|consultation|next|in)"),
        ("^ [yes|because|and|but] (i|we|KIN|he|she) [already] (have|had|has|got) [got] (an|my"
"|our|already an) (appointment|booking|existing appointment|consultation) ... (<time>"
"|with|booked|already|at|on|for|later)"),
        "(i am|we are|am already|KIN is) [already] (booked|booked in|down) (for|in|on|at|with|<time>)",
        "(running|going to be|will be|be|bit|am) ... late",
        "(stuck in|in) traffic",
        "(minutes|bit|little) late",
        ("(left|lost|forgot|forgotten|find|found|seen|hand|handed|misplaced) (my|a|an|the|her"
"|his|any) (scarf|umbrella|coat|jacket|phone|glove|gloves|bag|hat|book|keys|purse"
"|wallet|earring"
        "|sunglasses|jumper|cardigan|card|watch|ring|ipad|laptop|charger|water bottle|bottle"
"|toy|teddy|sheet|cane|stick)"),
        "(aftercare|after care|post op|post operative) ...",
        "(push|put|bump) (my|the|our|his|her|that|it|KIN) ... (back|forward|out)",
        "(swap|change|switch|trade) (my|the|our|her|his) ... (for|to) (<time>|the|another|a)",
        "(copy|copies) of (my|the|her|his|our|KIN)",
        "(have|got) [my] <svc> (booked|on|in|coming up|scheduled|arranged|for) [for|on] [<time>]",
        "(time|date|slot|appointment) you gave me",
        "(a|different|another|new) (time|date|slot|day|one) (instead|for my)",
        "not (work|suit) ... (any more|anymore|any longer|now)",
        "(tray|aligner|retainer|invisalign) ... (cracked|broke|broken|lost|post me|replacement)",
        "(from|at) (the|saint|st|ward|a) ... (pharmacy|hospital|ward|surgery|practice)",
        "(this|it) is the (pharmacy|hospital|lab|school|council|nursing home|care home)",
        "(put me through to|speak to|get hold of) NAME $",
        "^ is NAME (there|in|about|around|free|available) ...",
        "(what time|when) should i (stop|start|arrive|eat|fast|take)",
        "(night|day|morning) before $",
        "(wine|alcohol|drink|makeup|make up|gym) ... (before|after)",
        "(can|could|should) i have (wine|alcohol|a drink|coffee|breakfast|food)",
        "(passed away|died|deceased)",
        "(pay|settle|clear) (my|the|our) [remaining|outstanding] (bill|balance|invoice|account)",
        "what i owe",
        "(lost|forgot|find) my appointment",
        "bring ... appointment ... forward",
        "(another|different) (week|day|time|date) $",
        "(quote|letter|confirmation) (in writing|for my insurer|for my insurance|for work|for my boss)",
        "(meant|supposed|due|scheduled|booked) to be (with you|in|seeing|there|coming|seen)",
        "still on (for|<time>)",
        "<time> instead",
        "double checking",
        "(it is|this is|from) ... (pharmacy|chemist|surgery|nursing home|care home|ward)",
        "(script|prescription|tablets|drops|inhaler) ...",
        "(gone missing|replacement) ... ",
        "order (more|another|some) ...",
        "(resend|resubmit|re send|refile) ...",
        "(certificate|paperwork|intake form|consent form|forms) ...",
        ("tell (her|him|NAME|the doctor|the dentist|KIN|them) ... (late|downstairs|outside"
"|waiting|thank|hello|here)"),
        "(had|have had) my ... (told|okay|normal|can i|should i)",
        "(is it|is that) (okay|normal|safe|alright) to (eat|drink|exercise|fly|swim|work|sleep|brush|go)",
        ("(can|could|should) i (drink|eat|exercise|swim|fly|shower|wash|sleep|work out|go to "
"the gym|go swimming|wear) ..."),
        "(how long|when can i) ... (drink|exercise|swim|shower|work out|gym|sauna) ...",
        ("(change|update|new|moved|changed) (my|of|our|to|house) (address|number|phone|details"
"|email|surname|name|insurance)"),
        ("(procedure code|claim|claims|pre authorisation|pre authorization|authorization|eob"
"|insurance form|claim form|explanation of benefits|insurance card) ..."),
        "(missed|miss) (a|your|the|my) (call|appointment|message|voicemail) ...",
        "(returning|return) (your|a|the) (call|message|voicemail)",
        "(close|delete|deactivate) (my|our|the) (account|file|record|profile)",
        "(thank|thanks) (NAME|dr|the team|everyone|the doctor|her|him|you all) ... for",
        "(say|pass on|leave|send) ... (thank|thanks|praise|feedback|flowers|compliment)",
        ("(speak|talk|put me through) (to|with) (accounts|billing|the manager|the owner"
"|reception|hr|human resources|the practice manager|whoever|the person|the office "
"manager)"),
        ("(moving|transferring|switching|changing|transfer|move) to (a|another) (different|new"
"|another) (dentist|doctor|practice|vet|clinic)"),
        "(had|got) (an|my) appointment (this|earlier|yesterday|last) ...",
        ("(is|are) (my|her|his|the|our) ... (ready|back|in yet|arrived) [yet|for collection"
"|to collect|to pick up]"),
        "(pick|collect|collecting|picking) [up] (my|the|her|his|some) ...",
    ),
    Cue.COMPLAINT: (
        "(burnt|burned|scarred|botched|ruined|damaged|butchered) ... (from|by|since) (your|you|the)",
        "(see|speak to|talk to|want|get) (whoever|who) [is] in charge",
        ("(make|file|lodge|raise|register|submit|put in|have|formal|official|got) (a|an|my"
"|this|your) ... complaint"),
        "(complaint|complain|complaining|complaints) ...",
        "(refund|money back|reimburse|compensation|reimbursed|chargeback) ...",
        ("(solicitor|solicitors|lawyer|attorney|sue|suing|legal action|small claims|trading "
"standards|ombudsman|medical board|dental board|legal papers|malpractice|negligence"
        "|general dental council|gdc|better business bureau|bbb|reporting you|report you|negligent) ..."),
        ("(disgusting|disgusted|disgrace|disgraceful|appalling|unacceptable|shocking|outraged"
"|furious|livid|shambles|fuming|shoddy|incompetent|unprofessional|disappointed"
        "|diabolical|pathetic|a joke|ashamed|atrocious|botched|ruined|butchered|scammers"
"|crooks|cowboys|scam|con artists|outrageous service)"),
        "(rude|unhelpful|dismissive|disrespectful|angry)",
        ("(bad|terrible|awful|negative|one star|honest|horrible) (review|experience|service"
"|reviews|job|customer service)"),
        "(leave|leaving|write|writing|post|posting|put) ... (review|google|trustpilot|yelp|facebook)",
        ("(not|un|unhappy|dissatisfied) [happy|satisfied|pleased|impressed] (with|about|at) "
"(you|your|the (service|result|results|way|treatment|work|outcome|job)|how|what|this"
"|it)"),
        "(happened|told|said|done) ... (third|second|fourth|again) time",
        "(third|second|fourth|fifth|umpteenth|nth) time ...",
        "(sick|tired|sick and tired) of (this|you|your|it|being|waiting|the)",
        ("(nobody|no one|never|not) ... (called me back|rung me back|returned my|phoned me "
"back|got back to me|call me back|return my|answers|bothered)"),
        "(went|gone|going) wrong",
        ("(you|they) (messed|screwed|ruined|burnt|burned|butchered|botched|hurt|damaged"
"|scarred|overcharged|lied|lost|cancelled on|let me down|stood me up|ripped)"),
        ("(lopsided|uneven|infected after|burns after|scarred|worse than before|botched|lumpy"
"|burned|burnt|wonky)"),
        "(speak|talk) (to|with) (the|a|your) (manager|supervisor|owner|person in charge)",
        "not (paying|going to pay) (a|another|one|for|you) (penny|cent|dime|more|pound|dollar|this|that)",
        "(gone|fallen|come|broken|falling) (off|out|again|apart) (again|for the|twice|already)",
        "how dare you",
    ),
    Cue.WRONG: (
        ("(wrong|incorrect) (number|place|clinic|person|people|company|business|shop"
"|department|office|extension|house|line|dr|doctor|practice)"),
        ("(misdialled|pocket dial|butt dial|butt dialled|pocket dialled|rang by mistake"
"|called by mistake|dialled by mistake|called by accident|rang by accident|by mistake"
"|by accident)"),
        "(dialled|dialed|rung|rang|got|called|punched) ... (wrong|wrongly|incorrectly|mistake|accident)",
        ("(i|we) (thought|think|assumed) (this|you|it|that|i|we) (was|were|is|are) (calling"
"|ringing|the|a|an|my|another|somebody|someone) ..."),
        "(was|am) after the other ...",
        "(meant|wanted|supposed) to (ring|call|phone|dial) (the|my|a|NAME|KIN|FRIEND)",
        "(meant for|previous owner|not mine|not my appointment|no idea who you are|have a clue who)",
        "(sorry to bother|sorry to trouble|sorry for bothering) you",
        ("is (this|that|it) (not|the|a|an) [the|a] (salon|garage|pizza|pizzeria|bank|hotel"
"|school|restaurant|taxi|cab|plumber|hospital switchboard|council|library|pharmacy"
"|post office|cinema|gym"
        "|hairdresser|hairdressers|barber|lawyer|airport|police|courier|vets|takeaway|chinese"
"|insurance company|tax office|dmv|number for|pub|florist|car wash|mechanic)"),
        ("(trying|meant|meaning|wanted|supposed|looking|hoping) to (reach|call|ring|phone|get "
"hold of|get through to|find|dial|contact)"
        " (NAME|someone|somebody|the|a|my|another|FRIEND|KIN) ... (lawyer|garage|salon|school"
"|hotel|bank|restaurant|pizza|plumber|taxi|company|else|pharmacy|law firm|lawyers "
"office|NAME office|NAME s office|hospital|council)"),
        "my (mistake|bad)",
        "equivocado",
        "(sat|sitting) on my phone",
        "(not|never) (mean|meant|meaning|intend) to (call|ring|dial|phone)",
        "(do not know|never heard of) (you|who|this|your)",
        "who (is this|are you|am i speaking|have i called|did i call)",
        "not a patient",
        "table (for|<time>) ...",
        "(double|single|twin|family) room ... (for|with|tonight|night|nights|TODAY|TIME)",
        "(wanted|after|looking for|meant) the ... (on|in) (NAME|the|high) (street|road|lane|square)",
        "(mot|my car|the car|my van) ... (ready|done|pick up|collect|fixed|passed)",
    ),
    Cue.SPAM: (
        "(business|practice|clinic|company) owner",
        ("(search engine|seo|page one|google (listing|ranking|business|ads)|first page|lead "
"generation|more leads|digital marketing|web design|social media management|online "
"presence|backlinks)"),
        "press (one|two|nine|1|2|9|any|the|zero|hash|star)",
        "(merchant|card machine|card processing|payment processing|credit card rates|card terminal|eftpos)",
        ("(energy|electricity|gas|electric|broadband|telecoms|phone|water|utility|utilities"
"|internet) (supplier|bill|bills|contract|rates|provider|tariff|prices|costs|renewal"
"|deal)"),
        ("(business|company) (electricity|gas|rates|loan|loans|funding|insurance|energy"
"|broadband|finance|phone|listing|account|cash advance)"),
        "(decision maker|person who buys)",
        ("(who|whoever|person|someone who) (is responsible for|is in charge of|in charge of"
"|responsible for|handles|does"
        "|deals with|looks after|manages|orders|buys|makes) (your|the) ... (marketing"
"|ordering|it|website|recruitment"
        "|purchasing|advertising|signage|supplies|accounts|energy|phones|payroll|hiring"
"|insurance|seo|stock|buying|equipment"
        "|decisions|social media|bookings|botox|staffing|cleaning|premises|waste)"),
        ("(we|i|company) ... (supply|supplies|manufacture|distribute|wholesale|stock|sell"
"|specialise in|specialize in|partner with|install) ... "),
        ("(on behalf|calling on behalf|ringing on behalf) of ... (local|county|charity|air|our"
"|the|a|company|children|police|research|bank|hospice)"),
        ("(short|quick|brief|customer|satisfaction|market|our|carrying out a|conducting a"
"|doing a|national|a) survey"),
        ("(free|complimentary) (audit|demo|website|quote|trial|analysis|consultation for your "
"business|review of your) ..."),
        ("(book|schedule|arrange|set up|have|get|get you on|offer|give|do) ... (demo"
"|demonstration|sales call|discovery call|quick call|minute call|brief call|short "
"call|fifteen minute call|quick chat with the owner|zoom)"),
        "(minutes|minute|moment|two minutes) of (your|their|his|her|the) (time|owner|doctor)",
        "(car|extended|vehicle|warranty) warranty",
        ("(candidates|temp staff|temps|locums|staffing|recruitment agency|staffing agency"
"|dental nurses available|talent|headhunt|recruiter|recruitment) ..."),
        "(sales|account|area|territory|regional|product) (rep|representative|manager|executive)",
        "(i am|am) (the|a|your|new|your new) ... (rep|representative|supplier|distributor)",
        "(rep|representative) (for|from|of|with)",
        ("(new|our|latest|innovative) ... (device|product|products|product line|software"
"|platform|system|solution|range) ..."),
        ("(content creator|influencer|my followers|collab|collaboration|in exchange for|shout "
"out|brand deal)"),
        "(sales visit|product launch|lunch and learn)",
        "(sponsor|sponsorship|raffle|donation|donate|fundraising|fundraiser|charity) ...",
        "(pre approved|pre approval|no obligation quote|cash advance|tax relief|government grant)",
        ("(we|i) (help|helping|work with|partner|make|build|design|offer) ... (dental "
"practices|dentists|clinics|practices|businesses|practice owners|med spas|businesses "
"like yours|doctors|dental offices|an ai|vets"
        "|companies like yours|physios|medical practices)"),
        ("(important message|final notice|last attempt|courtesy call|automated message"
"|automated call|this is a recorded|has not been verified|will be removed|been "
"suspended|been selected|won a|congratulations you|urgent notice)"),
        "(irs|hmrc|microsoft|bitcoin|crypto|inheritance)",
        ("(grow|boost|increase|double|improve|scale) (your|their|the) (business|practice"
"|patient|revenue|sales|patients|clinic|bookings|profit|reviews|online|visibility"
"|profits)"),
        ("(come|pop|drop|call) (in|by|round|over) (and|to) (show|measure|present|demonstrate"
"|discuss|quote|install|inspect|pitch|introduce)"),
        ("(measure up|fire extinguisher|new blinds|pest control|service your|calibrate|your "
"annual|your free|your quarterly)"),
        "(practice|clinic|business) owner",
        "minutes with (the|your) ...",
        "(new|more) patients (for you|every|per|to your|each|into|through)",
        ("(save|saving) (you|your business|your practice|your clinic) ... (percent|money|on"
"|hundreds|thousands)"),
        ("(improve|update|redesign|rank|ranking|rebuild|optimise|optimize|looked at|looking at"
"|reviewed|noticed) your (website|site|listing|reviews)"),
        ("(accounts department|invoice ... overdue|overdue (invoice|payment|account|balance)"
"|outstanding invoice|remittance|purchase order)"),
        ("(bookkeeping|payroll|accountancy|accounting services|cleaning company|cleaning "
"contract|office supplies|solar panels|solar|window cleaning|waste collection|it "
"support|vending|photocopier|toner)"),
        ("(reached the voicemail|leave a message after|after the tone|after the beep|is not "
"available to take)"),
    ),
    Cue.PITCH: (
        "(calling|ringing|phoning) from",
        "(this is|it is|i am) NAME (from|at|with|of)",
        "NAME (from|at|with) ...",
        ("(clinics|practices|dentists|offices|businesses|owners|doctors|vets|salons) (like"
"|such as) (yours|you)"),
        "(we|our) (have been|are) (getting|helping|working|offering|seeing|running|generating) ...",
        ("(guaranteed|guarantee|no obligation|free of charge|risk free|percent|per month|roi"
"|return on investment)"),
        "(show|walk|take) (the|your|you|them|her|him) ... (how it works|through|our|what we)",
        "(orders|buys|handles|manages|responsible for|in charge of) (your|the) ...",
        ("(marketing|advertising|agency|distributor|supplier|supplies|wholesale|software"
"|platform|subscription|nominated|award|claim your|stay on the line)"),
        "(your profile|your listing|your website|your google|your account (qualifies|is|has))",
        "(would|is) (the|your) (practice|clinic|business|office|company) be",
        "(i run|we run|i own|we are) (a|an) ... (agency|company|firm|business|startup|team)",
        "(i am|we are) with NAME",
        ("(new|special|trade|bulk|wholesale|better|lower) (distributor|price|prices|rates|rate"
"|interest rate|pricing)"),
        "(reorder|restock|re order|stock up) ...",
        "(makes|make) the decisions",
        "(speak|talk) to (the|whoever|a) (person|whoever|owner|representative) ...",
        "how are you (TODAY|doing|this)",
        "is (now|this) a (good|bad|convenient) time",
        ("we (have|offer|provide|supply|do|can) ... (rate|rates|line of|deals|solution"
"|solutions|discounts|service for|equipment|programme for|clients)"),
        "(been|be) [pre] (qualified|selected|approved|chosen|shortlisted)",
        "(funding|financing|capital|lease|leasing) ... (practice|business|equipment|line|options for)",
        "(catch|get|grab) you at a (good|bad) time",
        "(who|whom) (am i speaking|do i speak|should i speak|would i speak|could i speak|can i speak) ...",
        ("(the owner|owner|the manager|practice manager|office manager|purchasing|procurement"
"|your marketing|your website)"),
        "(offer you|limited time|exclusive offer|percent cheaper|percent off your|quick question for the)",
        ("(our company|our service|our services|our product|our clients|our team|our platform"
"|our software|we are a|we offer|we provide|we can offer)"),
        "(your business|your company|your practice|your clinic)",
    ),
    Cue.JOB: (
        "(you|you are|are you|currently|you re) (hiring|recruiting|taking on staff)",
        ("(hiring|vacancies|vacancy|job|jobs|positions|position|apprenticeship|apprenticeships"
"|internship|work experience|placement|employment|shadowing|shadow|volunteering"
"|volunteer) (available|going|opening|openings|open"
        "|vacancy|application|as|advert|ad|for|with you|at your|in|interview|at the"
"|opportunities|listing)"),
        "(apply|applying|applied|application) (for|to|and|as)",
        ("(a|any|the|for) (job|position|vacancy|role|vacancies|jobs|placement|apprenticeship"
"|internship|openings for) [as|for|at|with|going|available]"),
        "(my|a) (cv|resume|curriculum|job application)",
        "(send|drop|email|hand) [in|you|off] (my|a) (cv|resume)",
        ("(looking|searching) for (work|a job|employment|a position|a role|a placement|some "
"work|work experience|an internship|a nursing job)"),
        "(schedule|scheduling|book|arrange|arranging|booking) ... interview",
        "(indeed|linkedin|job board|job ad|job advert)",
        ("looking for [a|an] [dental|new] (hygienist|nurse|receptionist|associate|assistant"
"|physio to join|therapist|technician)"),
        "(job interview|the interviews|an interview (for|with you)|book an interview)",
        "openings (on|in|at) your (team|clinic|practice|office|staff)",
        "(join|joining) (your|the) team",
        ("(i am|am) [a|an] [dental|registered|licensed|qualified|certified|trained|newly "
"qualified|experienced] ... (hygienist|nurse|aesthetician|esthetician|assistant"
"|technician|injector|therapist|receptionist|practitioner|physiotherapist) ... (with"
"|looking|seeking|and|available|wondering|to see|$)"),
        ("(need|needing|looking for|short of|want) (cover|staff|a nurse|nurses|a hygienist|an "
"associate|locum) ..."),
        ("(applied|applying|application|apply) ... (role|job|position|nurse|post|receptionist"
"|assistant|with you)"),
        "(vacancy|vacancies)",
        ("(advert|ad|advertisement|posting|listing|opening) ... (receptionist|nurse|hygienist|assistant"
"|dentist|associate|therapist|cleaner|manager|job|role)"),
        "(summer|saturday|part time|full time|weekend) (job|work)",
        "(work|working) (for|at|with) (you|your)",
        "work experience",
        "(newly|recently|fully) qualified",
    ),
    Cue.OPT_OUT: (
        "(stop|quit|no more) [with] (the|these|those|your|sending) [me] (messages|texts|calls|emails)",
        "keep getting (your|these|those|all these) (text messages|texts|messages|emails|calls|adverts)",
        ("(take|remove|delete|strike|get) (me|my|us|my number|my name|my details|this number) "
"... (off|from|list|database|number|system|details)"),
        ("(stop|quit) (calling|ringing|phoning|texting|contacting|messaging|bothering|emailing"
"|harassing|sending|pestering) ..."),
        "do not (call|ring|contact|phone|text|message|email) (me|us|this number|here|again|back) ...",
        "(never|not) (call|ring|contact|phone) (me|us|here|this) again",
        "(remove|delete|take off) (my|me|this|our) (number|name|details|data)",
        "(opt out|unsubscribe|do not call list|no more calls|no more texts|lose my number|leave me alone)",
        "(keep|keeps) (calling|ringing|texting|phoning|messaging|contacting|harassing) me",
        "can you stop",
    ),
    Cue.STRANGER: (
        "(window|signage|alarm|photocopier|plumber|boiler) (man|engineer|company|guy)",
        "who does your (signage|website|flooring|branding|marketing|windows|garden)",
        "(verify|verifying) ... (benefits|eligibility|coverage|information)",
        "(rate|review) your ... (purchase|experience|visit) ... (from|with|at)",
        "(scale of one to|how likely are you to recommend)",
        "i inject",
        ("(dissertation|thesis|school project|for my paper|coursework|case study|university "
"project|for a project|research project"
        "|pub quiz|quiz night|for a quiz|quiz question)"),
        "(parcel|delivery|deliver|courier|sign for it)",
        "(dental lab|dental laboratory)",
        ("(newsletter|village|article|museum|church|conference|guest speaker) ... (comparison"
"|article|for our|print|our readers)"),
        "comparison for",
        "(essay|student nurse|article|blog) ... (about|on|for)",
        "(student|studying|writing) ... (essay|article|blog|report|paper)",
        "goes to print",
        ("(social worker|interpreter|postman|mystery shop|mystery shopper|blood bank|class "
"project|travel blog|loss adjuster)"),
        "(i write for|we write for|our students|our pupils|school health day)",
        "(rent|hire) (a|the|your) ... (chair|room|space)",
        "(insurance|tax|solicitors|council|court|claims) office",
        "(reporter|journalist|documentary|press office|news channel)",
        "(writing|doing|recording) (a|an|our) (piece|article|story|podcast)",
    ),
    Cue.OTHER: (
        "(bet on|have a bet)",
        ("(blocking my|your van|your alarm|parking ticket|your bins|live upstairs|your "
"neighbour|your dog|trip to the moon)"),
        "(car|van|bike) in",
        "(order|deliver) (a|some|the|two|me)",
        "(toilet|restroom|waiting room|gift wrapping|vending)",
        "(drop them|loading bay|amazon order)",
        "test call",
        ("(book|schedule|reserve|arrange|need|booked) ... (room|hotel|table|pickup|pick up"
"|meeting|flight|ride|cab|haircut|speaker|inspection|tour|collection|removal van"
"|conference|waste|bathroom|kitchen|window)"),
        "(showroom|uber|siri|alexa|lyft|officer|police|the school|school visit|adjuster|stethoscope)",
        "(sell|recycle|stock) ... (toothbrush|toothbrushes|toothpaste|floss|mouthwash|gloves|solution)",
        "(is|are) (NAME|dr|the doctor|she|he) ... (still working|working there|on duty|in today|in TODAY)",
        "who (is|are) the (dentist|doctor|vet) ... (on duty|TODAY)",
        "waiting for (KIN|FRIEND|my) ...",
        "(checking|testing) the line",
        "(goldfish|hamster wheel|prank)",
        ("(dr NAME s|reception at|secretary at|secretary to|on behalf of dr|the practice of"
"|referring a|calling from the hospital|from the hospital|from the surgery|colleague "
"at)"),
        ("(haircut|mot|oil change|pizza|taxi|table for|hotel room|flight|manicure|nails done"
"|hair done|car service|tyre|tyres|plumber|electrician|boiler|takeaway|curry|perm"
"|highlights|pedicure|tire rotation)"),
        ("(what time|when) (do|are|does|will) (you|the clinic|it|they|the office) ... (open"
"|close|shut|closing|opening|closed|closes|opens)"),
        "(are|is|you) ... (open|closed) (on|TIME|TODAY|SOON|over|at|bank|for|during|right)",
        "(opening|office|business|what are your|your) (hours|times)",
        "(where|how) (are you|do i get|can i find|do i find) ... (located|based|you|to you|there)",
        ("(directions|address|postcode|zip code|parking|park|fax number|fax|car park|which "
"floor|lift|bus stop|entrance|email address|wheelchair|ramp|umbrella|glove)"),
        "(are|am) (you|i) ... (real person|robot|human|a machine|speaking to a computer)",
        "(asking|call) for a friend",
        "hypothetically",
    ),
    Cue.SARCASM: (
        "yes right",
        "as if",
        "^ why do you $",
        "in your dreams",
        "(when|if) (hell freezes|pigs fly|pigs might fly)",
        "(sell|selling|sold) (a|my|one) (kidney|house|soul|car|organs|firstborn)",
        "(remortgage|mortgage) (the|my) (house|home)",
        "lying around",
        "(grow|grows|growing) on trees",
        "(made|am made) of money",
        "(win|won) the lottery",
        "what i (needed|always wanted|wanted|need)",
        "(like|need) (a|another) hole in",
        ("(because|since) (i|we) (have|had|got) ... (spare|money to burn|nothing better"
"|hundred|thousand|million)"),
        "(thrilled|delighted|overjoyed|honoured|over the moon) to (be|wait|pay|hear|spend|have been)",
        "what a (bargain|steal|surprise|joy|treat)",
        "(love|enjoy|adore) (being|paying|waiting|getting|it when|spending|nothing more) ...",
        "(another|yet another|a) (robot|machine|bot|computer|recording)",
        "(sure|yes) because",
        "(great|lovely|brilliant|fantastic|wonderful) (another|more|just)",
        "good one",
        "not holding my breath",
        "(flight|trip|ticket) to (mars|the moon)",
        "sing for",
        "who (would not|does not) (love|want|enjoy)",
    ),
    Cue.NEW: (
        "(new|first time) (patient|client|customer|here|to you|to the area|caller|in the area)",
        "(i am|am|we are) new",
        "(never|not) been (to|before|with|there|here) ...",
        "first time",
        "(just|recently|have|we) moved (here|to|in|into|house|from) ...",
        ("(looking|searching) for a [new|good|different] (dentist|doctor|vet|clinic|gp|physio"
"|optician|practice)"),
        "(recommended|referred) (you|me|her|by|to you|your) ...",
        ("(saw|seen|found) (your|you|the|an) ... (ad|advert|offer|instagram|facebook|website"
"|online|google|tiktok)"),
        "(register|sign up) as a",
        "(switch|switching|change|changing) (to you|dentists|dentist|from)",
    ),
    Cue.RETURNING: (
        "(come|been coming|came|been) to you ... (for|before|years|last|regularly)",
        "(existing|current|regular|old|established|long time) (patient|client|customer)",
        "(i am|am|was) a patient",
        "(my|the) usual",
        "been (there|here|to you|with you) ... (before|times|years|last)",
        "(with|at) you (last|in|before|for)",
    ),
    Cue.CALLBACK: (
        "(call|ring|phone|buzz) me [back]",
        "(can|could|would|will|have|get) (<one>|her|him) ... (call|ring|phone) [me|us|back]",
        "call back",
        "callback",
    ),
    Cue.ELSEWHERE: (
        "(a|another|some|one) (place|clinic|dentist|fella|bloke|woman|outfit) (over|down|up|out) in",
        ("(last|previous|old|other|another|former|ex|current|first|regular) (dentist|clinic"
"|place|practice|doctor|surgeon|vet|optician|physio|provider|injector|salon)"),
        ("(my|our) (dentist|doctor|vet|gp|regular guy|optician) (retired|is out|left|moved"
"|closed|is away|can not|could not|has|is)"),
        "(somewhere else|elsewhere|another clinic|at another|in turkey|abroad|at a different)",
    ),
}  # fmt: skip
