"""The link in a confirmation: unguessable, readable, stored in no row, and valid after a change of keys."""

from __future__ import annotations

import logging
import os
import re
import uuid

import psycopg
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

import settings
from models.base.session import Door, system_transaction, transaction
from models.booking import links
from models.messaging import messages
from models.notices import registry
from tests.concurrency.racing import confirm, hold_with_code, make_clinic
from tests.linked import Linked, at
from tests.surroundings import environment

SHAPE = re.compile(r"[0-9abcdefghjkmnpqrstvwxyz]{12}")


@pytest.fixture
def linked(client: FlaskClient, sql: psycopg.Connection) -> Linked:
    return Linked(client, sql)


def text_of(linked: Linked) -> str:
    """The text that the provider gets."""
    with transaction(uuid.UUID(linked.org)) as session:
        message = messages.get_or_none(session, uuid.UUID(linked.org), linked.newest())
        assert message is not None
        text = registry.render(session, message)
    assert text is not None
    return text


def test_a_token_is_twelve_characters_that_nobody_mistakes_for_each_other() -> None:
    tokens = {links.derive(uuid.uuid4()) for _ in range(2000)}
    assert len(tokens) == 2000
    assert all(SHAPE.fullmatch(token) for token in tokens)
    assert set("".join(tokens)) == set(links.ALPHABET)
    assert len(links.ALPHABET) == len(set(links.ALPHABET)) == 32  # 12 characters of 5 bits: 60 bits
    assert not set("ilou") & set(links.ALPHABET)


def test_every_place_of_a_token_has_every_character() -> None:
    """An error in the arithmetic would leave fewer bits than the length promises."""
    tokens = [links.derive(uuid.uuid4()) for _ in range(2000)]
    for place in range(links.LENGTH):
        assert len({token[place] for token in tokens}) == 32


def test_it_is_the_same_every_time_and_another_for_every_message_and_key() -> None:
    message = uuid.uuid4()
    token = links.derive(message)
    assert links.derive(message) == token
    assert links.derive(uuid.uuid4()) != token
    with environment(SECRET_KEY="another-" + "k" * 32):
        assert links.derive(message) != token


def test_another_purpose_has_another_key() -> None:
    assert settings.get().subkey("patient-link") != settings.get().subkey("sms-receipts")


@pytest.mark.parametrize(
    ("typed", "token"),
    [
        ("0123456789ab", "0123456789ab"),
        ("ABCDEFGHJKMN", "abcdefghjkmn"),
        ("oOiIlL234567", "001111234567"),
        ("0123456789a", None),
        ("0123456789abc", None),
        ("0123456789au", None),
        ("0123456789a\u0661", None),
        ("\u212a123456789ab", "k123456789ab"),  # the kelvin sign becomes k in lower case
        ("", None),
        ("../../../etc", None),
    ],
)
def test_what_somebody_may_type(typed: str, token: str | None) -> None:
    assert links.as_typed(typed) == token


@given(st.text(max_size=20))
def test_nothing_that_is_typed_is_more_than_a_token(typed: str) -> None:
    token = links.as_typed(typed)
    assert token is None or SHAPE.fullmatch(token)


def test_a_confirmation_gets_a_link_that_ends_as_the_appointment_begins(linked: Linked) -> None:
    assert linked.link() == (None, False, at(linked.start))
    stored = linked.one("SELECT token_digest FROM patient_links WHERE message_id = %s", linked.message)
    assert stored == links.digest(linked.token)
    assert text_of(linked).count(f"{os.environ['PUBLIC_BASE_URL']}/a/{linked.token}") == 1


def test_a_confirmation_by_plain_sql_has_no_link_and_no_mention_of_one(sql: psycopg.Connection) -> None:
    org = make_clinic(sql)
    confirmed = confirm(sql, org, hold_with_code(sql, org))
    assert confirmed.message_id
    assert sql.execute("SELECT 1 FROM patient_links WHERE org_id = %s", [org]).fetchall() == []
    with transaction(uuid.UUID(org)) as session:
        message = messages.get_or_none(session, uuid.UUID(org), confirmed.message_id)
        assert message is not None
        assert "/a/" not in (registry.render(session, message) or "")


def test_a_code_that_is_read_twice_makes_one_link(client: FlaskClient, sql: psycopg.Connection) -> None:
    linked = Linked(client, sql)
    again = client.post(
        "/api/vapi/tools/booking/verify-otp",
        json={"toolCall": {"arguments": {"holdId": str(linked.row("hold_id")), "providedOTP": linked.code}}},
    )
    assert again.get_json()["appointmentId"] == linked.appointment
    assert linked.one("SELECT count(*) FROM patient_links WHERE org_id = %s", linked.org) == 1


def test_the_link_survives_a_change_of_secret_key(linked: Linked) -> None:
    before = os.environ["SECRET_KEY"]
    with environment(SECRET_KEY="next-" + "k" * 32, FORMER_SECRET_KEYS=f"older-{'k' * 32},{before}"):
        assert f"/a/{linked.token}" in text_of(linked)
    with environment(SECRET_KEY="next-" + "k" * 32):  # without the former key there is no link
        assert "/a/" not in text_of(linked)
        assert "Confirmed: " in text_of(linked)


def test_it_is_found_by_its_token_alone_across_organisations(linked: Linked) -> None:
    with system_transaction(Door.PATIENT_LINK) as session:
        found = links.find(session, linked.token)
        assert found == links.Found(uuid.UUID(linked.org), linked.message)
        assert links.find(session, "0" * 12) is None
        assert links.find(session, links.digest(linked.token)) is None


def test_the_token_is_in_no_row_of_any_table_and_in_no_log(
    linked: Linked, twilio: str, caplog: pytest.LogCaptureFixture
) -> None:
    del twilio
    with caplog.at_level(logging.DEBUG):
        linked.have_sent()
        linked.client.get(linked.path)
        linked.client.post(f"{linked.path}/cancel")
        linked.client.get(linked.path)
    assert linked.sms() == ("sent", "accepted by the provider")
    tables = linked.sql.execute(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    ).fetchall()
    assert len(tables) > 15
    for (table,) in tables:
        [found] = linked.sql.execute(
            f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s'.encode(), [f"%{linked.token}%"]
        ).fetchall()
        assert found == (0,), table
    # runtime/logs.py silences the HTTP client's own debug lines, so they count for nothing here.
    ours = [record for record in caplog.records if not record.name.startswith("twilio")]
    assert not [record for record in ours if linked.token in record.getMessage()]


def test_what_was_sent_is_kept_with_three_dots_and_known_again(linked: Linked, twilio: str) -> None:
    del twilio
    sent = text_of(linked)
    linked.have_sent()
    body = linked.sms(columns="body")
    assert body == sent.replace(linked.token, "...")
    with transaction(uuid.UUID(linked.org)) as session:
        message = messages.get_or_none(session, uuid.UUID(linked.org), linked.message)
        assert message is not None
        assert registry.as_sent(session, message) == sent
        assert registry.as_shown(session, message) == body


def test_before_it_is_sent_it_is_shown_without_its_token_too(linked: Linked) -> None:
    with transaction(uuid.UUID(linked.org)) as session:
        message = messages.get_or_none(session, uuid.UUID(linked.org), linked.message)
        assert message is not None
        assert message.body is None
        shown = registry.as_shown(session, message)
    assert shown is not None
    assert shown == text_of(linked).replace(linked.token, "...")


def test_a_code_is_never_shown(linked: Linked) -> None:
    otp = linked.one("SELECT id FROM sms_messages WHERE org_id = %s AND kind = 'otp'", linked.org)
    with transaction(uuid.UUID(linked.org)) as session:
        message = messages.get_or_none(session, uuid.UUID(linked.org), otp)
        assert message is not None
        assert registry.as_shown(session, message) is None


def test_a_text_is_hidden_and_revealed_at_its_link_alone() -> None:
    token = links.derive(uuid.uuid4())
    text = f"Clinic /a/... and /a/b, {token[:6]}. Ref A. To change: https://x.example/a/{token} or call 1"
    kept = links.hidden(text)
    assert kept == text.replace(token, "...")
    assert links.revealed(kept, token) == text
    assert links.hidden("no link at all") == "no link at all"
    assert links.revealed("no link at all", token) == "no link at all"
