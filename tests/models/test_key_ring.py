"""A new SECRET_KEY, with the former one kept or lost; and what bounds codes and holds, through the tools."""

from __future__ import annotations

import os
import uuid
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator

import settings
from models.base import sealing
from models.base.sealing import CannotUnseal
from models.messaging import receipts
from tasks.messaging import deliver_sms
from tests.conftest import Clock
from tests.factories import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    bare,
    code_of,
    create_clinic,
    phone_number,
    reserve,
    slot,
)
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.vapi.signing import make_secret

FORMER = os.environ["SECRET_KEY"]
NEW, THIRD = "new-key-" + "n" * 32, "third-key-" + "t" * 32
ORG = uuid.uuid4()


def rotated(*former: str) -> AbstractContextManager[None]:
    return environment(SECRET_KEY=NEW, FORMER_SECRET_KEYS=",".join(former))


@pytest.fixture(autouse=True)
def the_key_of_the_tests() -> None:
    assert settings.get().secret_key == FORMER


# --- sealed secrets -----------------------------------------------------------------------------


def test_a_former_key_still_reads_and_never_writes() -> None:
    sealed = sealing.seal(ORG, "token", "secret")
    assert sealing.is_current(sealed)
    for former in ((FORMER,), (THIRD, FORMER), (f" {FORMER} ", "", THIRD)):
        with rotated(*former):
            assert sealing.unseal(ORG, "token", sealed) == "secret"
            assert not sealing.is_current(sealed)
            anew = sealing.seal(ORG, "token", "secret")
            assert sealing.is_current(anew)
            assert anew.split(".")[1] == settings.get().key_ids[0] != sealed.split(".")[1]
        with pytest.raises(CannotUnseal):
            sealing.unseal(ORG, "token", anew)
    with rotated(), pytest.raises(CannotUnseal):
        sealing.unseal(ORG, "token", sealed)


def test_the_name_of_a_key_says_nothing_of_it_and_cannot_be_changed() -> None:
    sealed = sealing.seal(ORG, "token", "secret")
    version, key_id, rest = sealed.split(".")
    assert len(key_id) == 8
    assert key_id not in FORMER
    with rotated(FORMER):
        for wrong in (settings.get().key_ids[0], "00000000", "", "none", key_id.upper()):
            if wrong != key_id:
                with pytest.raises(CannotUnseal):
                    sealing.unseal(ORG, "token", f"{version}.{wrong}.{rest}")


@pytest.mark.parametrize(
    "change", ["v1.{key}.{rest}", "v3.{key}.{rest}", ".{key}.{rest}", "v2..{rest}", "v1..{rest}"]
)
def test_what_is_sealed_says_how_and_with_which_key(change: str) -> None:
    _, key, rest = sealing.seal(ORG, "token", "secret").split(".")
    with pytest.raises(CannotUnseal):
        sealing.unseal(ORG, "token", change.format(key=key, rest=rest))


# --- codes --------------------------------------------------------------------------------------


class Held:
    """A hold whose code was asked for."""

    def __init__(self, client: FlaskClient, sql: psycopg.Connection) -> None:
        self.client, self.sql = client, sql
        self.org = create_clinic(sandbox=True)
        self.id = reserve(client, self.org)["holdId"]
        self.ask_for_code()
        self.code = code_of(self.id)

    def ask_for_code(self) -> str:
        answer = bare(self.client, "booking/send-otp", holdId=self.id)
        assert answer["success"], answer
        return str(answer["status"])

    def say(self, code: str) -> dict[str, Any]:
        return bare(self.client, "booking/verify-otp", holdId=self.id, providedOTP=code)

    def messages(self) -> list[tuple[Any, ...]]:
        return self.sql.execute(
            "SELECT id, status FROM sms_messages WHERE hold_id = %s ORDER BY created_at", [self.id]
        ).fetchall()

    def sent(self) -> None:
        self.sql.execute("UPDATE sms_messages SET status = 'sent' WHERE hold_id = %s", [self.id])


@pytest.fixture
def held(client: FlaskClient, sql: psycopg.Connection) -> Held:
    return Held(client, sql)


def wrong(code: str) -> str:
    return str((int(code) + 1) % 10 ** len(code)).zfill(len(code))


def test_a_code_sent_before_the_rotation_books_after_it(held: Held) -> None:
    with rotated(FORMER):
        assert held.say(wrong(held.code))["code"] == "wrong_code"
        assert held.say(held.code)["success"]


def test_a_code_asked_for_again_after_the_rotation_is_the_same(held: Held) -> None:
    held.sent()
    with rotated(FORMER):
        held.ask_for_code()
        assert len(held.messages()) == 2
        assert code_of(held.id) == held.code
        assert held.say(held.code)["success"]


def test_once_the_former_key_is_gone_its_code_is_refused_and_another_can_be_had(held: Held) -> None:
    held.sent()
    with rotated(THIRD):
        for _ in range(4):
            refusal = held.say(held.code)
            assert (refusal["success"], refusal["code"]) == (False, "wrong_code")
        held.ask_for_code()
        assert held.say(code_of(held.id))["success"]
    [tries] = held.sql.execute("SELECT code_tries FROM appointment_holds WHERE id = %s", [held.id]).fetchall()
    assert tries == (1,)  # what could not be checked cost no try


def test_a_waiting_code_whose_key_is_gone_is_not_sent_and_another_can_be_asked_for(
    held: Held, twilio: str
) -> None:
    [(message, _)] = held.messages()
    with rotated():
        # The account's token was sealed with the lost key, too, and was entered anew.
        token = sealing.seal(uuid.UUID(held.org), "twilio_auth_token", AUTH_TOKEN)
        held.sql.execute(
            "UPDATE integration_settings SET twilio_auth_token_sealed = %s WHERE org_id = %s",
            [token, held.org],
        )
        deliver_sms.run(org_id=held.org, message_id=str(message))
        assert held.messages() == [(message, "failed")]
        held.ask_for_code()
        [_, (second, _)] = held.messages()
        deliver_sms.run(org_id=held.org, message_id=str(second))
        assert held.messages()[1] == (second, "sent")
        assert held.say(code_of(held.id))["success"]


def test_an_account_sealed_with_a_lost_key_keeps_its_messages_waiting(held: Held) -> None:
    [(message, _)] = held.messages()
    with rotated():
        deliver_sms.run(org_id=held.org, message_id=str(message))
        assert held.messages() == [(message, "queued")]


# --- receipts -----------------------------------------------------------------------------------


def report(client: FlaskClient, message: uuid.UUID, token: str) -> int:
    path = f"/api/twilio/status/{message}/1/{token}"
    form = {"MessageSid": "SM" + "b" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT_SID}
    signature = RequestValidator(AUTH_TOKEN).compute_signature(settings.get().public_base_url + path, form)
    return client.post(path, data=form, headers={"X-Twilio-Signature": signature}).status_code


def test_an_address_given_out_before_the_rotation_is_still_ours(client: FlaskClient, held: Held) -> None:
    [(message, _)] = held.messages()
    token = receipts.receipt_token(message, 1)
    with rotated():
        assert report(client, message, token) == 403
        assert (
            report(client, message, receipts.receipt_token(message, 1)) == 503
        )  # its account cannot be read
    with rotated(THIRD):
        assert report(client, message, token) == 403
    assert held.messages() == [(message, "queued")]
    with rotated(THIRD, FORMER):
        assert token != receipts.receipt_token(message, 1)
        assert report(client, message, token) == 204
    assert held.messages() == [(message, "delivered")]


# --- caps ---------------------------------------------------------------------------------------


def held_for(client: FlaskClient, org: str, number: str, hour: int) -> str:
    answer = reserve(client, org, patientPhone=number, slotId=slot(hour=hour))
    assert answer["success"], answer
    return str(answer["holdId"])


def test_wrong_codes_for_one_number_stop_further_codes_to_it_and_to_no_other(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org, number = create_clinic(wrong_codes_per_phone_a_day=4, holds_per_phone=10), phone_number()
    for hour, tries in ((9, 3), (10, 1)):  # over several holds, one of them locked by it
        hold = held_for(client, org, number, hour)
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        for _ in range(tries):
            bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code_of(hold)))
        sql.execute("UPDATE sms_messages SET status = 'sent' WHERE hold_id = %s", [hold])
    again = bare(client, "booking/send-otp", holdId=hold)
    assert (again["success"], again["code"]) == (False, "too_many_codes")
    third = held_for(client, org, number, 11)
    assert bare(client, "booking/send-otp", holdId=third)["code"] == "too_many_codes"
    # Nor is one more tried, right or wrong: it would be one more guess.
    tried = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    assert (tried["success"], tried["code"]) == (False, "too_many_codes")
    assert "own mobile" in tried["say"]
    # Another number, and another clinic, are not bound.
    other = held_for(client, org, phone_number(), 12)
    assert bare(client, "booking/send-otp", holdId=other)["success"]
    elsewhere = held_for(client, create_clinic(wrong_codes_per_phone_a_day=4), number, 9)
    assert bare(client, "booking/send-otp", holdId=elsewhere)["success"]
    clock.forward(24 * 3600 + 60)
    tomorrow = held_for(client, org, number, 15)
    assert bare(client, "booking/send-otp", holdId=tomorrow)["success"]


def test_wrong_codes_are_forgiven_one_by_one_over_a_day(client: FlaskClient, clock: Clock) -> None:
    org, number = create_clinic(wrong_codes_per_phone_a_day=3, holds_per_phone=10), phone_number()
    hold = held_for(client, org, number, 9)
    assert bare(client, "booking/send-otp", holdId=hold)["success"]
    for _ in range(3):
        bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code_of(hold)))
    for hour, pause in ((10, 0), (11, 3600), (12, 6 * 3600)):
        clock.forward(pause)
        later = held_for(client, org, number, hour)
        assert bare(client, "booking/send-otp", holdId=later)["code"] == "too_many_codes"
    clock.forward(3600 + 60)
    last = held_for(client, org, number, 13)
    assert bare(client, "booking/send-otp", holdId=last)["success"]
    first, second = (
        bare(client, "booking/verify-otp", holdId=last, providedOTP=wrong(code_of(last))) for _ in range(2)
    )
    assert (first["code"], second["code"]) == ("wrong_code", "too_many_codes")


def test_the_default_caps_are_fifteen_wrong_codes_and_three_holds(sql: psycopg.Connection) -> None:
    row = sql.execute(
        "INSERT INTO organizations (name, region) VALUES ('With the defaults', 'GB')"
        " RETURNING wrong_codes_per_phone_a_day, holds_per_phone, allowed_countries"
    ).fetchone()
    assert row == (15, 3, [])


def test_one_number_holds_so_many_times_and_no_more(client: FlaskClient, clock: Clock) -> None:
    org, number = create_clinic(holds_per_phone=2), phone_number()
    for hour in (9, 10):
        first = held_for(client, org, number, hour)
    refused = reserve(client, org, patientPhone=number, slotId=slot(hour=11))
    assert (refused["success"], refused["code"]) == (False, "too_many_holds")
    assert refused["say"].startswith("NOT BOOKED")
    # However it is written, and in whichever call that only names it.
    local = "0" + number.removeprefix("+44")
    assert reserve(client, org, patientPhone=local, slotId=slot(hour=11))["code"] == "too_many_holds"
    call, wish = PhoneCall(client, org, phone_number()), {"patientName": "John", "patientPhone": number}
    assert "too_many_holds" in call.say("reserve_atomic", slotId=slot(hour=11), **wish)
    # Nobody else is bound by it.
    held_for(client, org, phone_number(), 11)
    held_for(client, create_clinic(holds_per_phone=2), number, 11)
    # What is booked is held no more, and neither is what is over.
    assert bare(client, "booking/send-otp", holdId=first)["success"]
    assert bare(client, "booking/verify-otp", holdId=first, providedOTP=code_of(first))["success"]
    held_for(client, org, number, 12)
    assert reserve(client, org, patientPhone=number, slotId=slot(hour=13))["code"] == "too_many_holds"
    clock.forward(601)
    held_for(client, org, number, 13)


def test_those_who_name_a_number_use_up_nothing_of_its_own_callers(client: FlaskClient) -> None:
    org, number = create_clinic(holds_per_phone=2), phone_number()
    for hour in (9, 10):
        held_for(client, org, number, hour)
    for hour in (11, 12):
        own = PhoneCall(client, org, number)
        assert "holdId=" in own.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")
    own = PhoneCall(client, org, number)
    assert "too_many_holds" in own.say("reserve_atomic", slotId=slot(hour=13), patientName="John")


def test_a_call_may_move_its_hold_where_the_number_can_have_no_more(client: FlaskClient) -> None:
    org, number = create_clinic(holds_per_phone=1), phone_number()
    call = PhoneCall(client, org, number)
    for hour in (9, 10):
        assert "holdId=" in call.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")
    other = PhoneCall(client, org, number)
    assert "too_many_holds" in other.say("reserve_atomic", slotId=slot(hour=11), patientName="John")


GB, JE, US, CA, FR = "+442079460123", "+447797712345", "+12125551234", "+14165551234", "+33612345678"
UNDECIDED = "+19995550123"  # of +1, and of no country in particular


@pytest.mark.parametrize(
    ("clinic", "number", "allowed"),
    [
        ({}, GB, True),
        ({}, FR, False),
        ({}, US, False),
        ({}, JE, True),  # of the same numbering plan
        ({}, "+447781123456", True),  # Guernsey
        ({}, "+447624123456", True),  # Isle of Man
        ({"region": "JE"}, GB, True),
        ({"region": "US"}, "+17875551234", True),  # Puerto Rico
        ({"region": "US"}, "+16715551234", True),  # Guam
        ({"region": "PR"}, US, True),
        ({"region": "CA"}, US, True),
        ({"region": "US"}, "+18765551234", False),  # Jamaica is +1, too, and dear
        ({"region": "US"}, "+18095551234", False),  # the Dominican Republic likewise
        ({"region": "JM"}, "+18765551234", True),
        ({"region": "JM"}, US, False),
        ({"region": "IT"}, "+390669812345", True),  # Vatican City
        ({"region": "NO"}, "+4779123456", True),  # Svalbard
        ({"region": "FI"}, "+358181234567", True),  # Åland
        ({"region": "AU"}, "+61891641234", True),  # Christmas Island
        ({"region": "DE"}, "+436641234567", False),
        ({"region": "US"}, US, True),
        ({"region": "US"}, CA, True),
        ({"region": "US"}, GB, False),
        ({"region": "US"}, UNDECIDED, True),
        ({"region": "CA"}, UNDECIDED, True),
        ({"region": "FR"}, UNDECIDED, False),
        ({"allowed_countries": ["FR"]}, FR, True),
        ({"allowed_countries": ["FR"]}, GB, False),  # the list is all there is
        ({"allowed_countries": ["GB"]}, JE, False),
        ({"allowed_countries": ["GB", "JE", "CA"]}, JE, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, GB, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, CA, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, US, False),
        ({"sandbox": True}, FR, True),
        ({"sandbox": True}, "+1-555-1234", True),
        ({"sandbox": True, "allowed_countries": ["GB"]}, FR, False),
        ({"sandbox": True, "allowed_countries": ["GB"]}, GB, True),
    ],
)
def test_codes_go_to_the_countries_that_the_clinic_names(
    client: FlaskClient, sql: psycopg.Connection, *, clinic: dict[str, Any], number: str, allowed: bool
) -> None:
    org = create_clinic(**clinic)
    answer = reserve(client, org, patientPhone=number)
    call = PhoneCall(client, org, number)  # the caller's own number is bound as well
    said = call.say("reserve_atomic", slotId=slot(hour=11), patientName="John")
    if allowed:
        assert answer["success"], answer
        assert "holdId=" in said
        assert bare(client, "booking/send-otp", holdId=answer["holdId"])["success"]
    else:
        assert (answer["success"], answer["code"]) == (False, "country_not_allowed")
        assert "country_not_allowed" in said
        held = sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
        assert held == (0,)


@pytest.mark.parametrize(
    ("clinic", "number", "taken"),
    [
        ({}, "+447400123456", True),
        ({}, "+442071234567", False),
        ({"landlines_allowed": True}, "+442071234567", True),
        ({"landlines_allowed": True}, "+442079460958", False),
        ({}, "+447700900123", False),
        ({"sandbox": True}, "+447700900123", True),
        ({"sandbox": True, "landlines_allowed": True}, "+449012345678", False),
        ({"landlines_allowed": True}, "+447012345678", False),
        ({"region": "US"}, "+19002345678", False),
    ],
)
def test_in_production_a_time_is_held_only_for_what_can_be_a_mobile(
    client: FlaskClient, *, clinic: dict[str, Any], number: str, taken: bool
) -> None:
    org = create_clinic(**({"landlines_allowed": False} | clinic))
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_secret(org)}"
    call = PhoneCall(client, org, number)  # the caller's own number is bound as well
    with environment(APP_ENV="production"):
        said = call.say("reserve_atomic", slotId=slot(hour=11), patientName="John")
    assert ("holdId=" in said, "code=not_a_mobile" in said) == (taken, not taken), said


def test_a_number_of_another_country_is_no_way_round_by_how_it_is_written(client: FlaskClient) -> None:
    org = create_clinic()
    for written in (FR, "+33 6 12 34 56 78", "0033612345678", "(+33) 612-345-678"):
        assert reserve(client, org, patientPhone=written)["code"] in (
            "country_not_allowed",
            "impossible_phone",
        )
