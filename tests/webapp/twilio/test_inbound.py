"""What patients text back, as Twilio posts it, and which words are a wish for no more texts."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.base.session import Door, system_transaction
from models.messaging import opt_outs
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, create_clinic, phone_number
from tests.places import free_port
from tests.surroundings import environment
from webapp.twilio.wishes import Wish, wish


class Patient:
    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.client, self.sql = client, sql
        self.org = create_clinic()
        self.phone = phone_number()

    def texts(self, body: str, *, token: str = AUTH_TOKEN, org: str | None = None, **form: Any) -> Any:
        path = f"/api/twilio/inbound/{org or self.org}"
        sid = "SM" + uuid.uuid4().hex
        fields = {
            "MessageSid": sid,
            "SmsSid": sid,
            "SmsMessageSid": sid,
            "AccountSid": ACCOUNT_SID,
            "From": self.phone,
            "To": "+447700900001",
            "Body": body,
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsStatus": "received",
        } | form
        signature = RequestValidator(token).compute_signature(settings.get().public_base_url + path, fields)
        return self.client.post(path, data=fields, headers={"X-Twilio-Signature": signature})

    def wants_none(self) -> str | None:
        row = self.sql.execute(
            "SELECT source FROM opt_outs WHERE org_id = %s AND phone = %s AND lifted_at IS NULL",
            [self.org, self.phone],
        ).fetchone()
        return row[0] if row else None


@pytest.fixture
def patient(client: FlaskClient, sql: psycopg.Connection) -> Patient:
    return Patient(client, sql)


def test_the_answer_is_empty_twiml(patient: Patient) -> None:
    answer = patient.texts("see you on Monday")
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert answer.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
    assert patient.wants_none() is None


def test_stop_and_start(patient: Patient) -> None:
    patient.texts("STOP", OptOutType="STOP")
    assert patient.wants_none() == "keyword"
    patient.texts("Start")
    assert patient.wants_none() is None
    patient.texts("please stop texting me")
    assert patient.wants_none() == "words"
    patient.texts("unstop")
    assert patient.wants_none() is None


def test_the_same_message_many_times_is_one_opt_out(patient: Patient) -> None:
    for _ in range(3):
        assert patient.texts("Stop", MessageSid="SM" + "1" * 32).status_code == 200
    assert patient.sql.execute(
        "SELECT count(*) FROM opt_outs WHERE org_id = %s", [patient.org]
    ).fetchone() == (1,)


def test_an_old_wish_that_comes_again_does_not_undo_a_newer_one(patient: Patient) -> None:
    old, new, other = ("SM" + digit * 32 for digit in "abc")
    patient.texts("START", MessageSid=old)
    patient.texts("STOP", MessageSid=new)
    assert patient.texts("START", MessageSid=old).status_code == 200
    assert patient.wants_none() == "keyword"
    patient.texts("START", MessageSid=other)
    assert patient.wants_none() is None
    assert patient.texts("STOP", MessageSid=new).status_code == 200
    assert patient.wants_none() is None


def test_of_a_wish_only_its_id_is_kept_and_of_any_other_text_nothing(patient: Patient) -> None:
    patient.texts("see you on Monday")
    patient.texts("please stop texting me", MessageSid="SM" + "d" * 32)
    rows = patient.sql.execute(
        "SELECT to_jsonb(w) - 'created_at' FROM inbound_wishes w WHERE org_id = %s", [patient.org]
    ).fetchall()
    assert rows == [({"org_id": patient.org, "provider_id": "SM" + "d" * 32},)]


def test_a_keyword_of_the_clinics_own_is_what_twilio_says_it_is(patient: Patient) -> None:
    patient.texts("ARRET", OptOutType="STOP")
    assert patient.wants_none() == "keyword"
    patient.texts("please stop texting me", OptOutType="START")
    assert patient.wants_none() is None
    patient.texts("stop", OptOutType="HELP")
    assert patient.wants_none() is None


def test_whoever_opted_out_at_one_clinic_did_so_at_one(
    patient: Patient, client: FlaskClient, sql: Any
) -> None:
    other = Patient(client, sql)
    other.phone = patient.phone
    patient.texts("stop")
    assert (patient.wants_none(), other.wants_none()) == ("keyword", None)


@pytest.mark.parametrize(
    "forged", [{"token": "another"}, {"AccountSid": "AC" + "0" * 32}, {"AccountSid": ""}]
)
def test_a_forged_message_changes_nothing(patient: Patient, forged: dict[str, str]) -> None:
    assert patient.texts("STOP", **forged).status_code == 403
    assert patient.wants_none() is None


def test_an_organisation_that_does_not_exist(patient: Patient) -> None:
    assert patient.texts("STOP", org=str(uuid.uuid4())).status_code == 403
    assert patient.texts("STOP", org="not-an-id").status_code == 404


def test_twilio_is_asked_to_come_again_while_the_database_is_away(patient: Patient) -> None:
    """To a 500 it does not."""
    sid = {"MessageSid": "SM" + uuid.uuid4().hex}
    with environment(DATABASE_URL=f"postgresql://holdline@127.0.0.1:{free_port()}/x"):
        assert patient.texts("STOP", **sid).status_code == 503
    assert patient.wants_none() is None
    assert patient.texts("STOP", **sid).status_code == 200
    assert patient.wants_none() == "keyword"


def test_without_an_auth_token_nobody_can_be_believed(patient: Patient) -> None:
    patient.sql.execute(
        "UPDATE integration_settings SET twilio_auth_token_sealed = NULL WHERE org_id = %s", [patient.org]
    )
    assert patient.texts("STOP").status_code == 403
    assert patient.wants_none() is None


def test_a_signature_of_nothing_is_refused(patient: Patient) -> None:
    path = f"/api/twilio/inbound/{patient.org}"
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "\u00e9"}):
        form = {"AccountSid": ACCOUNT_SID, "From": patient.phone, "Body": "STOP", "MessageSid": "SM1"}
        assert patient.client.post(path, data=form, headers=headers).status_code == 403
    assert patient.client.post(path, json={"AccountSid": ACCOUNT_SID}).status_code == 403
    assert patient.client.get(path).status_code == 405


def test_a_huge_message_is_not_read(patient: Patient) -> None:
    assert patient.texts("STOP " * 50_000).status_code == 413


@pytest.mark.parametrize("sender", ["55512", "Lakeside", "", "+1", "whatsapp:+447700900123", "\0"])
def test_who_has_no_telephone_number_wants_nothing_of_us(patient: Patient, sender: str) -> None:
    assert patient.texts("STOP", From=sender).status_code == 200
    assert patient.sql.execute(
        "SELECT count(*) FROM opt_outs WHERE org_id = %s", [patient.org]
    ).fetchone() == (0,)


def test_nothing_that_was_written_is_kept_or_logged(
    patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    patient.texts("stop texting me. My canary died of a rare disease")
    assert patient.wants_none() is None
    patient.texts("stop texting me.")
    assert patient.wants_none() == "words"
    assert "canary" not in caplog.text
    assert "stop texting me" not in caplog.text
    assert patient.phone not in caplog.text


def test_after_stop_nothing_is_sent_and_after_start_it_is(patient: Patient) -> None:
    patient.texts("stop")
    with system_transaction(Door.OPERATOR) as session:
        assert opt_outs.stands(session, uuid.UUID(patient.org), patient.phone)
    patient.texts("yes")
    with system_transaction(Door.OPERATOR) as session:
        assert not opt_outs.stands(session, uuid.UUID(patient.org), patient.phone)


# --- words --------------------------------------------------------------------------------------

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
START please
opt me back in
opt in
resubscribe
"""

#: What is asked for in words that are not in the table, or with more said beside them.
FREE_TEXT = """
desabonnement merci
🛑
stop 123
stop end
Baja por favor
CANCELAR
annuler
afmelden aub
Fin
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
This is not Bob. Don't text me again.
leave me alone
delete my number
I said stop
cancel all texts
Stop, wrong number
start nothing, stop texting me
unstop, thanks
I want to opt back in
start sending me texts again
"""

OTHER_THINGS = """
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


def test_a_canadian_patient_who_texts_arret_gets_no_more_and_start_brings_them_back(patient: Patient) -> None:
    patient.texts("ARRÊT")
    assert patient.wants_none() == "keyword"
    patient.texts("START")
    assert patient.wants_none() is None


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
