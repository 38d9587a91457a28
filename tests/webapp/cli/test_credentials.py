"""A credential that a command made is one that the tools take, until it is revoked."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from flask.testing import FlaskClient

import settings
from tests import afresh
from tests.webapp.cli.commands import ACTOR, Operator

PATH = "/api/vapi/tools/calendar/check"
BODY = json.dumps({"toolCall": {"arguments": {"date": "2026-12-07"}}})


def post(client: FlaskClient, headers: dict[str, str]) -> int:
    return client.post(PATH, data=BODY, content_type="application/json", headers=headers).status_code


@pytest.mark.parametrize(
    ("kind", "header"),
    [("bearer", ("Authorization", "Bearer {}")), ("vapi_secret", ("X-Vapi-Secret", "{}"))],
)
def test_a_secret_is_shown_once_and_opens(
    operator: Operator, clinic: str, client: FlaskClient, kind: str, header: tuple[str, str]
) -> None:
    made = operator.run("credential", "add", clinic, "--kind", kind, "--label", "Vapi, main")
    secret = made.stdout.strip()
    assert len(secret) == 43
    assert secret not in made.stderr
    assert post(client, {header[0]: header[1].format(secret)}) == 200
    (row,) = operator.reads("credential", "list", clinic)
    assert (row["kind"], row["label"], row["revoked"]) == (kind, "Vapi, main", None)
    assert row["last_used"]
    stored = operator.row(
        "SELECT secret_digest, secret_sealed FROM vapi_credentials WHERE org_id = %s", clinic
    )
    assert stored == (hashlib.sha256(secret.encode()).hexdigest(), None)
    assert secret not in operator.run("credential", "list", clinic).output
    assert (ACTOR, "insert", "vapi_credentials", []) in operator.audited(clinic)


def test_a_signing_secret_says_what_to_enter_and_signs(
    operator: Operator, clinic: str, client: FlaskClient
) -> None:
    made = operator.run(
        *("credential", "add", clinic, "--kind", "hmac", "--algorithm", "sha512", "--encoding", "base64"),
        *("--prefix", "v1=", "--signature-header", "X-Sig", "--timestamp-header", "X-Time"),
    )
    secret = made.stdout.strip()
    (row,) = operator.reads("credential", "list", clinic)
    assert f"X-Holdline-Credential: {row['id']}" in made.stderr
    for said in ("algorithm sha512", "encoding base64", 'prefix "v1="', "X-Sig", "X-Time"):
        assert said in made.stderr
    assert "payload format {timestamp}.{method}.{url}.{body}" in made.stderr
    assert row["signs"] == "{timestamp}.{method}.{url}.{body}"

    url = settings.get().public_base_url + PATH

    def signed(key: str, credential_id: str, form: str = "{}.POST.{}.{}") -> dict[str, str]:
        stamp = str(int(time.time()))
        signature = hmac.digest(key.encode(), form.format(stamp, url, BODY).encode(), "sha512")
        encoded = base64.b64encode(signature).decode()
        return {"X-Sig": f"v1={encoded}", "X-Time": stamp, "X-Holdline-Credential": credential_id}

    assert post(client, signed(secret, row["id"])) == 200
    assert post(client, signed("another", row["id"])) == 401
    # The other one, beside it, signs in the same way.
    other = operator.does("credential", "rotate", clinic, row["id"])
    new = operator.reads("credential", "list", clinic)[1]["id"]
    assert other != secret
    assert post(client, signed(other, new)) == 200
    assert post(client, signed(secret, row["id"])) == 200
    # And another one signs the body only, where that is asked for.
    plain = operator.does("credential", "rotate", clinic, row["id"], "--payload", "{timestamp}.{body}")
    last = operator.reads("credential", "list", clinic)[2]
    assert last["signs"] == "{timestamp}.{body}"
    assert post(client, signed(plain, last["id"], "{0}.{2}")) == 200
    assert post(client, signed(plain, last["id"])) == 401


def test_rotation_leaves_the_old_one_until_it_is_revoked(
    operator: Operator, clinic: str, client: FlaskClient
) -> None:
    def opens(secret: str) -> bool:
        afresh.start_anew()
        return post(client, {"Authorization": f"Bearer {secret}"}) == 200

    old = operator.does("credential", "add", clinic, "--label", "main")
    (row,) = operator.reads("credential", "list", clinic)
    rotated = operator.run("credential", "rotate", clinic, row["id"])
    new = rotated.stdout.strip()
    revoke = f"flask credential revoke {clinic} {row['id']}"
    assert revoke in rotated.stderr
    assert opens(old)
    assert opens(new)
    assert "1 left" in operator.does(*revoke.split()[1:])
    assert not opens(old)
    assert opens(new)
    labels: list[dict[str, Any]] = operator.reads("credential", "list", clinic)
    assert [(one["label"], one["revoked"] is None) for one in labels] == [("main", False), ("main", True)]
    last = operator.run("credential", "revoke", clinic, labels[1]["id"])
    assert "no tools until there is another" in last.stderr
    assert not opens(new)
    assert "revoked already" in operator.fails("credential", "rotate", clinic, row["id"])


def test_a_credential_of_another_clinic_is_not_there(operator: Operator, clinic: str) -> None:
    operator.does("credential", "add", clinic)
    (row,) = operator.reads("credential", "list", clinic)
    other = operator.does(
        "organization", "create", "Other", "--region", "GB", "--phone", "020 7946 0958", "--same-name"
    )
    for verb in ("rotate", "revoke"):
        assert "there is no credential" in operator.fails("credential", verb, other, row["id"])
    assert operator.reads("credential", "list", clinic) == [row]


def test_only_a_signature_has_an_algorithm(operator: Operator, clinic: str) -> None:
    assert "only --kind hmac" in operator.fails("credential", "add", clinic, "--algorithm", "sha512")
    assert "only --kind hmac" in operator.fails(
        "credential", "add", clinic, "--payload", "{timestamp}.{body}"
    )
    assert operator.reads("credential", "list", clinic) == []
    operator.does("credential", "add", clinic)
    (row,) = operator.reads("credential", "list", clinic)
    rotate = ("credential", "rotate", clinic, row["id"], "--payload", "{timestamp}.{body}")
    assert "only --kind hmac" in operator.fails(*rotate)
