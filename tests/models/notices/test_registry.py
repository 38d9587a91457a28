"""The registry's entry of each kind of message agrees with the enum and with the database."""

from __future__ import annotations

import subprocess
import sys
import uuid

import psycopg
import pytest

from models.messaging.states import SmsKind
from models.notices import registry
from tests.factories import create_clinic
from tests.places import ROOT

Sql = psycopg.Connection


def test_every_kind_has_an_entry() -> None:
    assert registry.kinds() == set(SmsKind)


def test_whoever_sends_knows_every_kind_whichever_room_is_imported_first() -> None:
    code = (
        "from models.messaging import handling, states\n"
        "assert all(handling.of(kind).kind is kind for kind in states.SmsKind)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", SmsKind)
def test_the_database_knows_the_same_kinds_as_urgent(sql: Sql, kind: SmsKind) -> None:
    assert sql.execute("SELECT sms_is_urgent(%s)", [kind.value]).fetchone() == (registry.of(kind).urgent,)


@pytest.mark.parametrize("kind", SmsKind)
def test_the_database_refuses_a_message_that_does_not_name_what_its_kind_is_about(
    sql: Sql, kind: SmsKind
) -> None:
    about = f"ck_sms_messages_about_{kind.value}"
    assert sql.execute("SELECT 1 FROM pg_constraint WHERE conname = %s", [about]).fetchone()
    insert = "INSERT INTO sms_messages (org_id, kind, to_phone) VALUES (%s, %s, '+447700900123')"
    values = [create_clinic(), kind.value]
    if registry.of(kind).about.column is None:
        sql.execute(insert, values)
        return
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        sql.execute(insert, values)
    assert refused.value.diag.constraint_name in {about, "ck_sms_messages_code_is_not_kept"}


@pytest.mark.parametrize("kind", [kind for kind in SmsKind if not registry.of(kind).about.column])
def test_what_is_about_no_appointment_names_none(sql: Sql, kind: SmsKind) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=f"about_{kind.value}"):
        sql.execute(
            "INSERT INTO sms_messages (org_id, kind, to_phone, appointment_id)"
            " VALUES (%s, %s, '+447700900123', %s)",
            [create_clinic(), kind.value, uuid.uuid4()],
        )


@pytest.mark.parametrize("kind", [kind for kind in SmsKind if not registry.of(kind).keeps_text])
def test_a_text_that_is_not_to_be_kept_is_refused(sql: Sql, kind: SmsKind) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="not_kept"):
        sql.execute(
            "INSERT INTO sms_messages (org_id, kind, to_phone, hold_id, body)"
            " VALUES (%s, %s, '+447700900123', %s, 'words')",
            [create_clinic(), kind.value, uuid.uuid4()],
        )
