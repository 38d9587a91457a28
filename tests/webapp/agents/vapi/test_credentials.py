"""A credential in each of its forms says whose call it is; all else is 401."""

from __future__ import annotations

import base64
import gzip
import hmac
import io
import json
import uuid
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.clinics.organizations import CredentialKind, SignatureAlgorithm, SignatureEncoding
from tests.factories import create_clinic
from tests.webapp.agents.vapi.modes import in_production
from tests.webapp.agents.vapi.modes import mode as mode  # the fixture  # noqa: PLC0414
from tests.webapp.agents.vapi.signing import (
    CHECK,
    OWN_HEADERS,
    WEBHOOK,
    Hands,
    Key,
    Request,
    accepted,
    bearing,
    check_body,
    make_key,
    make_secret,
    refused,
)
from tests.webapp.agents.vapi.signing import hands as hands  # the fixture  # noqa: PLC0414
from webapp.agents.credentials import CREDENTIAL_HEADER
from webapp.agents.signatures import WINDOW

# --- every form is understood -------------------------------------------------------------------


@in_production
@pytest.mark.parametrize("headers", ["default", "own"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
@pytest.mark.parametrize("encoding", SignatureEncoding)
@pytest.mark.parametrize("algorithm", SignatureAlgorithm)
def test_a_signature_is_understood_in_every_form(
    client: FlaskClient,
    mode: str,
    hands: Hands,
    algorithm: SignatureAlgorithm,
    encoding: SignatureEncoding,
    prefix: str,
    headers: str,
) -> None:
    own: dict[str, Any] = {"names": OWN_HEADERS} if headers == "own" else {}
    key = make_key(algorithm=algorithm, encoding=encoding, prefix=prefix, **own)
    decoy = make_key(algorithm=algorithm, encoding=encoding, prefix=prefix, **own)
    for stamp, named in product((hands.now, hands.now * 1000 + 7), ("header", "query", "nowhere")):
        accepted(key.signs(stamp, named=named).post(client), key.calendar)
    accepted(decoy.signs(hands.now, named="nowhere").post(client), decoy.calendar)


@in_production
@pytest.mark.parametrize(
    ("kind", "header"),
    [
        (CredentialKind.BEARER, ("Authorization", "Bearer {}")),
        (CredentialKind.BEARER, ("authorization", "bearer  {} ")),
        (CredentialKind.VAPI_SECRET, ("X-Vapi-Secret", "{}")),
    ],
)
def test_a_secret_is_understood(
    client: FlaskClient, mode: str, kind: CredentialKind, header: tuple[str, str]
) -> None:
    org = create_clinic(calendars=("cal-of-a-secret",))
    secret = make_secret(org, kind)
    headers = [(header[0], header[1].format(secret))]
    accepted(Request(CHECK, check_body(), headers).post(client), "cal-of-a-secret")


@in_production
def test_the_bytes_are_signed_as_they_came(client: FlaskClient, mode: str, hands: Hands) -> None:
    """Chunked, oddly spaced, and with what JSON would write another way."""
    key = make_key()
    odd = check_body(patientName="x").replace(b'"x"', b'"\\u0041\\/\xc3\xa9"').replace(b": ", b" :\n ")
    accepted(key.signs(hands.now, odd).post(client), key.calendar)
    request = key.signs(hands.now)
    chunked = replace(request, body=b"", headers=[*request.headers, ("Transfer-Encoding", "chunked")])
    stream = {"wsgi.input": io.BytesIO(request.body), "wsgi.input_terminated": True}
    environ: dict[str, Any] = stream
    accepted(chunked.post(client, environ_overrides=environ), key.calendar)


# --- and all else is refused --------------------------------------------------------------------


def other_digit(text: str, place: int) -> str:
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


@in_production
@pytest.mark.parametrize("named", ["header", "query", "nowhere"])
def test_a_change_of_any_byte_is_refused(client: FlaskClient, mode: str, hands: Hands, named: str) -> None:
    key = make_key()
    request = key.signs(hands.now, named=named)
    accepted(request.post(client), key.calendar)
    for place in range(len(request.body)):
        body = bytearray(request.body)
        body[place] ^= 1
        refused(replace(request, body=bytes(body)).post(client))
    for place in range(64):
        refused(request.changed("X-Signature", partial(other_digit, place=place)).post(client))
    for place in range(10):
        refused(request.changed("X-Timestamp", partial(other_digit, place=place)).post(client))
    accepted(request.post(client), key.calendar)


@in_production
@pytest.mark.parametrize("unit", [1, 1000])
def test_a_signature_lives_for_five_minutes_either_way(
    client: FlaskClient, mode: str, hands: Hands, unit: int
) -> None:
    key = make_key()
    for sign in (-1, 1):
        accepted(key.signs((hands.now + sign * WINDOW) * unit).post(client), key.calendar)
        refused(key.signs((hands.now + sign * WINDOW) * unit + sign).post(client))
        for far in (3000, 86_400, hands.now - 1):
            refused(key.signs((hands.now + sign * far) * unit).post(client))
    assert WINDOW == 300


@in_production
@pytest.mark.parametrize(
    "stamp",
    ["", "x", "-1", "1e9", "NaN", "{now}.0", "{now} ", "+{now}", "0x1", "{now}" * 3, "\u0661", "9" * 400],
)
def test_a_time_that_is_none_is_refused(client: FlaskClient, mode: str, hands: Hands, stamp: str) -> None:
    stamp = stamp.format(now=f"{hands.now:.0f}").encode().decode("latin-1")
    refused(make_key().signs(stamp).post(client))


def changes(key: Key, other: Key, request: Request) -> dict[str, Request]:
    """What is no signature of these bytes by this key."""
    signature = dict(request.headers)["X-Signature"]
    plain = request.body

    def with_signature(text: str) -> Request:
        return request.changed("X-Signature", lambda _: text)

    stamp = dict(request.headers)["X-Timestamp"]
    as_other = replace(key, secret=other.secret)
    named_other = request.changed(CREDENTIAL_HEADER, lambda _: str(other.id))
    raw = bytes.fromhex(signature.removeprefix(key.prefix))
    return {
        "no time": request.without("X-Timestamp"),
        "no signature": request.without("X-Signature"),
        "neither": request.without("X-Timestamp").without("X-Signature"),
        "nothing but a name in the address": Request(CHECK, plain, query={"credential": str(key.id)}),
        "another clinic's key": as_other.signs(stamp),
        "another clinic's credential with one's own key": named_other,
        "a credential that there is not": request.changed(CREDENTIAL_HEADER, lambda _: str(uuid.uuid4())),
        "no id": request.changed(CREDENTIAL_HEADER, lambda _: "credential"),
        "no prefix": with_signature(signature.removeprefix(key.prefix)),
        "two prefixes": with_signature(key.prefix + signature),
        "another prefix": with_signature(signature.replace("sha256=", "sha512=")),
        "a prefix alone": with_signature(key.prefix),
        "an empty signature": with_signature(""),
        "base64 for hex": with_signature(key.prefix + base64.b64encode(raw).decode()),
        "half": with_signature(signature[: len(key.prefix) + 32]),
        "no hex": with_signature(key.prefix + "z" * 64),
        "no ASCII": with_signature(key.prefix + "\xe9" * 64),
        "of another algorithm": replace(key, algorithm=SignatureAlgorithm.SHA512).signs(stamp),
        "of the body alone": with_signature(
            key.prefix + hmac.new(key.secret.encode(), plain, "sha256").hexdigest()
        ),
        "with another time": request.changed("X-Timestamp", lambda text: str(int(text) + 1)),
        "signature twice": request.twice("X-Signature"),
        "time twice": request.twice("X-Timestamp"),
        "name twice": request.twice(CREDENTIAL_HEADER),
        "gzip": replace(
            request, body=gzip.compress(plain), headers=[*request.headers, ("Content-Encoding", "gzip")]
        ),
        "written anew": replace(request, body=json.dumps(json.loads(plain), separators=(",", ":")).encode()),
        "a byte more": replace(request, body=plain + b"\n"),
        "no body": replace(request, body=b""),
        "too large": replace(request, body=check_body(patientName="x" * 5000)),
    }


@pytest.mark.parametrize("path", [CHECK, WEBHOOK])
def test_what_is_no_signature_of_these_bytes_is_refused(
    client: FlaskClient, mode: str, hands: Hands, path: str
) -> None:
    key, other = make_key(prefix="sha256="), make_key(prefix="sha256=")
    request = key.signs(hands.now)
    accepted(request.post(client), key.calendar)
    for change in changes(key, other, request).values():
        refused(replace(change, path=path).post(client))
    unended: dict[str, Any] = {"wsgi.input": io.BytesIO(request.body)}
    chunked = replace(
        request, path=path, body=b"", headers=[*request.headers, ("Transfer-Encoding", "chunked")]
    )
    refused(chunked.post(client, environ_overrides=unended))  # a server that cannot say where it ends


def test_the_names_of_headers_are_the_credentials_own(client: FlaskClient, mode: str, hands: Hands) -> None:
    key = make_key(names=OWN_HEADERS)
    for named in ("header", "query", "nowhere"):
        request = key.signs(hands.now, named=named)
        accepted(request.post(client), key.calendar)
        refused(request.changed(OWN_HEADERS[0], lambda text: other_digit(text, 0)).post(client))
        refused(replace(key, names=("X-Signature", "X-Timestamp")).signs(hands.now, named=named).post(client))


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer guess")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer")],
        [("Authorization", "Basic Z3Vlc3M6Z3Vlc3M=")],
        [("Authorization", "guess")],
        [("Authorization", "")],
        [("Authorization", "Bearer \xe9\xff")],
        [("X-Vapi-Secret", "guess")],
        [("X-Vapi-Secret", "")],
        [("Authorization", "Bearer guess"), ("Authorization", "Bearer guess")],
        [(CREDENTIAL_HEADER, "guess")],
        [(CREDENTIAL_HEADER, "")],
        [("X-Signature", "guess")],
    ],
)
@pytest.mark.parametrize("path", [CHECK, WEBHOOK])
def test_a_wrong_credential_is_refused_in_development_too(
    client: FlaskClient, mode: str, headers: list[tuple[str, str]], path: str
) -> None:
    refused(Request(path, check_body(tenantId=str(uuid.uuid4())), headers).post(client))


def test_without_a_credential_development_alone_answers(client: FlaskClient, mode: str) -> None:
    request = Request(CHECK, check_body(tenantId=create_clinic()))
    if mode == "development":
        accepted(request.post(client), "cal-1")
    else:
        refused(request.post(client))
        refused(Request(WEBHOOK, b"{}").post(client))


def test_a_good_secret_in_the_wrong_place_or_twice_is_refused(client: FlaskClient, mode: str) -> None:
    secret = make_secret(create_clinic())
    for value in (secret, f"Basic {secret}", f"Bearer {secret} {secret}", f"Bearer {secret[:-1]}"):
        refused(Request(CHECK, check_body(), [("Authorization", value)]).post(client))
    refused(bearing(secret).twice("Authorization").post(client))
    of_a_key = make_key()
    refused(bearing(of_a_key.secret).post(client))  # what signs is never shown
    refused(bearing(str(of_a_key.id)).post(client))


@in_production
def test_a_request_too_large_is_refused_by_name_once_it_is_known_whose(
    client: FlaskClient, mode: str
) -> None:
    secret = make_secret(create_clinic())
    large = check_body(patientName="x" * 5000)
    assert bearing(secret, large).post(client).status_code == 413
    refused(bearing("guess", large).post(client))
