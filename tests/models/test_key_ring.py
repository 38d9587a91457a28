"""A new SECRET_KEY, with the former key kept or lost."""

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
from tests.factories import ACCOUNT_SID, AUTH_TOKEN, bare, code_of, create_clinic, reserve
from tests.models.wrong_codes import wrong
from tests.surroundings import environment

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
    assert tries == (1,)  # a code that could not be checked cost no try


def test_a_waiting_code_whose_key_is_gone_is_not_sent_and_another_can_be_asked_for(
    held: Held, twilio: str
) -> None:
    [(message, _)] = held.messages()
    with rotated():
        # The account's token was also sealed with the lost key, and was entered again.
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
