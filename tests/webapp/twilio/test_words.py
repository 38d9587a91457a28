"""Which words of a text are a wish for no more texts."""

from __future__ import annotations

import pytest

from webapp.twilio.wishes import Wish, wish

KEYWORDS = "STOP, stop,Stop.,STOP!, stop ,opt out,OPT-OUT,stop all,STOPALL,unsubscribe,end,quit,Cancel,revoke"

#: Of carriers and other languages; repeated, spelt out, with signs and emoji.
MORE_KEYWORDS = """
Unsuscribe
STOP2END
ARRET
ARRÊT
Arre\u0302t.
« ARRÊT »
DÉSABONNER
Désabonnez-moi
REMOVE
Remove me
TD
STOP STOP
stop stop stop!!!
Stop. Stop.
STOP 🛑
STOP!!! 😡😡
stop 😡 stop
STOP\ufe0f
st\u200bop
S T O P
S.T.O.P.
\uff33\uff34\uff2f\uff30
“STOP”
stop\n
PARAR
¡Alto!
BAJA
dar de baja
cancel cancel
end.
СТОП
ΣΤΟΠ
توقف
إيقاف
रोकें
बंद करें
停止
退订
ストップ
수신거부
"""

SENTENCES = """
🛑
stop 123
Je ne veux plus de sms
Ne m'envoyez plus de messages svp
Dejen de enviarme mensajes
quiero darme de baja
reply STOP
Do not contact me again
remove me from your list
stop these messages
i want to opt out
Hi, please stop texting me, thanks
wrong number, stop texting me
leave me alone
delete my number
I said stop
cancel all texts
Stop, wrong number
afmelden aub
stop sending me messages
Please remove me from your list
I don't want any more texts
unsubscribe from these messages
Do not contact me.
stop all messages
Stop please, thanks
stop 1
stop, thank you!
desabonnement merci
arrêt svp
Arrêt, s'il vous plaît
remove please
opt out please
please stop texting me
Please STOP texting me!!
don't text me again
no more messages
stop messaging me
unsubscribe me
please stop
stop please
opt me out
stop texting
unsubscribe please
no more texts
Please unsubscribe me!
"""

CONSENTS = """
unstop, thanks
START please
opt me back in
opt in
resubscribe
"""

#: What is asked for in words that are not in the table, or with more said beside them.
FREE_TEXT = """
stop end
Baja por favor
CANCELAR
annuler
Fin
This is not Bob. Don't text me again.
start nothing, stop texting me
I want to opt back in
start sending me texts again
"""

OTHER_THINGS = """
cancel thanks
end please
thank you
please
you stop
🛑 is the sign at the corner
cancel 10:30
Cancel 3/12
end 5?
remove 2?
opt out of the whitening
opt out of fluoride?
opt out of the 3pm
please cancel
cancel please
Fine
all
ok thanks
td 3pm
alto riesgo
baja mi cita
fin de semana
no dejen de enviarme mensajes
n'arrêtez pas
annuler mon rendez-vous
cancelar mi cita
je veux arrêter de fumer
😀
123
remove the stitches please
end of the week
arrivée à 10h
stop by at 5?
Can I stop by at 5?
don't stop
please don't stop
no, don't stop
Don't stop texting me
do not stop sending me reminders
I don't want you to stop texting me
I don't want to stop texts
I can't stop coughing
the pain doesn't stop
The bus stop is far
where do I stop
When does the clinic end
cancel my appointment
Can I cancel my appointment?
please cancel tomorrow
don't cancel
Don't cancel my texts
remove me from the 3pm slot
remove my stitches
take me off the waiting list
please don't remove me from your list
don't unsubscribe me
i dont want to opt out
I'm not getting your texts
I never got a text message
I do not get texts
did you text me?
text me when you're ready
why did you stop texting me
You stopped texting me
don't text me before 9am
I want more messages
no more pain, thank you
do I need to stop taking my medication?
stop the bleeding
I need to quit smoking
My husband said stop texting me too much
Text messages don't work for me, call me
yes please
no
never mind
no text
no texts yet
no texts came through
wrong number
I texted the wrong number
is this the wrong number?
don't text my number before 9
I stopped texting my phone company
when do we start please
what time does it start
start of the week please
start the treatment
can I start on Monday
don't start texting me
please don't start
do not opt me in
I don't want to opt back in
I can't subscribe
could you resume treatment
I want to receive the report by post
I want to get texts in Spanish
do I get texts
"""


@pytest.mark.parametrize("text", KEYWORDS.split(","))
def test_keywords(text: str) -> None:
    assert wish(text) is Wish.STOP_KEYWORD


@pytest.mark.parametrize("text", [line for line in MORE_KEYWORDS.splitlines() if line])
def test_keywords_of_carriers_and_other_languages(text: str) -> None:
    assert wish(text) is Wish.STOP_KEYWORD


@pytest.mark.parametrize("text", ["START", "start", "Yes", "UNSTOP", " yes! ", "yes yes", "START \U0001f44d"])
def test_words_that_lift_it(text: str) -> None:
    assert wish(text) is Wish.START


@pytest.mark.parametrize("text", SENTENCES.strip().splitlines())
def test_the_plainest_sentences(text: str) -> None:
    assert wish(text) is Wish.STOP_WORDS


@pytest.mark.parametrize("text", CONSENTS.strip().splitlines())
def test_texts_again_in_other_words(text: str) -> None:
    assert wish(text) is Wish.START


@pytest.mark.parametrize("text", FREE_TEXT.strip().splitlines())
def test_what_is_not_in_the_table_is_no_wish(text: str) -> None:
    assert wish(text) is Wish.NOTHING


@pytest.mark.parametrize(("length", "meant"), [(300, Wish.STOP_KEYWORD), (301, Wish.NOTHING)])
def test_a_long_text_asks_for_nothing(length: int, meant: Wish) -> None:
    assert wish(f"{'STOP':!<{length}}") is meant


@pytest.mark.parametrize("text", OTHER_THINGS.strip().splitlines())
def test_what_only_sounds_like_it(text: str) -> None:
    assert wish(text) is Wish.NOTHING
