"""`flask vapi assistant`, with the real SDK talking to a small Vapi of the test's own."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import psycopg
import pytest
import typing_extensions
from click.testing import CliRunner, Result

import settings
from models.base import sealing
from models.base.session import transaction
from models.clinics import organizations
from models.clinics.organizations import IntegrationSettings
from tests import factories
from tests.places import free_port
from webapp.agents.vapi import assistant
from webapp.cli import assistant as command
from webapp.cli import doctor
from webapp.cli.assistant import vapi
from webapp.cli.credentials import credential

KEY = "private-key-of-the-clinic"
BASE = "https://holdline.example"


class Account:
    """An account at Vapi: its assistants, what was asked of it, and how it is to misbehave."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = KEY
        self.assistants: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        #: Answered to every request in place of what was asked for.
        self.trouble: tuple[int, str] | None = None
        #: Set to let a request that is made to wait go on.
        self.patience: threading.Event | None = None

    def answer(self, method: str, path: str, key: str | None, sent: dict[str, Any]) -> tuple[int, str]:
        self.requests.append(f"{method} {path}")
        if self.patience:
            self.patience.wait(10)
        if self.trouble:
            return self.trouble
        if key != f"Bearer {self.key}":
            return (
                401,
                '{"message": "Invalid Key. Hot tip, you may be using the public one.", "statusCode": 401}',
            )
        parts = path.strip("/").split("/")
        if (method, parts) == ("POST", ["assistant"]):
            assistant_id = str(uuid.uuid4())
            self.assistants[assistant_id] = sent
            return 201, json.dumps({"id": assistant_id, "orgId": "org", **sent})
        if method == "GET" and parts[0] == "assistant" and parts[1] in self.assistants:
            return 200, json.dumps({"id": parts[1], "orgId": "org"})
        if method == "PATCH" and parts[0] == "assistant" and parts[1] in self.assistants:
            self.assistants[parts[1]] |= sent
            return 200, json.dumps({"id": parts[1], "orgId": "org", **sent})
        return 404, '{"message": "Couldn\'t Find Assistant", "statusCode": 404}'


class Handler(BaseHTTPRequestHandler):
    account: ClassVar[Account]

    def _serve(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        status, text = self.account.answer(self.command, self.path, self.headers["Authorization"], sent)
        body = text.encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 (the names that the standard library looks for)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(autouse=True, scope="module")
def _hints_are_kept() -> Iterator[None]:
    """The SDK reads the hints of a type again for each field that it writes: a second of work for a push."""
    kept = cache(typing_extensions.get_type_hints)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vapi.core.serialization.typing_extensions.get_type_hints", kept)
        yield


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.account = Account(f"http://127.0.0.1:{server.server_port}")
        configure(monkeypatch, vapi_api_base_url=Handler.account.url)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield Handler.account
        server.shutdown()
        thread.join()


def configure(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    changed = settings.get().model_copy(update={"public_base_url": BASE} | values)
    monkeypatch.setattr(settings, "get", lambda: changed)


def store(org_id: str, **values: str | None) -> None:
    with transaction(uuid.UUID(org_id)) as session:
        account = organizations.get_integration_settings(session, uuid.UUID(org_id))
        assert account is not None
        for name, value in values.items():
            setattr(account, name, value)


def stored(org_id: str) -> IntegrationSettings:
    with transaction(uuid.UUID(org_id)) as session:
        account = organizations.get_integration_settings(session, uuid.UUID(org_id))
    assert account is not None
    return account


def store_key(org_id: str, key: str = KEY) -> None:
    store(org_id, vapi_api_key_sealed=sealing.seal(uuid.UUID(org_id), "vapi_api_key", key))


@pytest.fixture
def clinic() -> str:
    org_id = factories.create_clinic(calendar={"service_names": ["check-up"]})
    store(org_id, vapi_credential_id="cred-1")
    store_key(org_id)
    return org_id


def run(*arguments: str) -> Result:
    return CliRunner().invoke(vapi, ["assistant", *arguments])


def push(org_id: str, *more: str) -> str:
    result = run(org_id, "--push", *more)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def refused(*arguments: str) -> str:
    """The command fails, in one sentence. Returns it."""
    result = run(*arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr.strip()


# --- printing -----------------------------------------------------------------------------------


def test_it_prints_the_assistant_and_calls_nobody(clinic: str, account: Account) -> None:
    result = run(clinic)
    assert result.exit_code == 0
    body = json.loads(result.stdout)
    assert body["server"]["url"] == f"{BASE}/api/vapi/webhook"
    assert f"TENANT_ID: {clinic}" in body["model"]["messages"][0]["content"]
    assert result.stderr == ""
    assert run(clinic).stdout == result.stdout
    assert account.requests == []
    assert stored(clinic).vapi_assistant_id is None


def test_it_prints_for_a_clinic_that_has_no_account_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    org_id = factories.create_clinic()
    configure(monkeypatch, public_base_url="http://127.0.0.1:3001")
    result = run(org_id)
    assert "credentialId" not in result.stdout
    assert json.loads(result.stdout)
    assert "Vapi will not reach the tools there" in result.stderr


def test_what_does_not_fit_is_neither_printed_nor_pushed(
    clinic: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "MODEL", {"provider": "openai", "modell": "gpt-4.1"})
    assert "model.model: Field required" in refused(clinic)
    assert "model.model: Field required" in refused(clinic, "--push")
    assert account.requests == []


# --- pushing ------------------------------------------------------------------------------------


def test_the_first_push_creates_what_is_printed_and_keeps_its_id(clinic: str, account: Account) -> None:
    said = push(clinic)
    [(assistant_id, body)] = account.assistants.items()
    assert said == f"created: {assistant_id}"
    assert stored(clinic).vapi_assistant_id == assistant_id
    assert body == json.loads(run(clinic).stdout)
    assert account.requests == ["POST /assistant"]


def test_unchanged_means_no_call(clinic: str, account: Account) -> None:
    push(clinic)
    account.requests.clear()
    assert push(clinic) == f"unchanged: {stored(clinic).vapi_assistant_id}"
    assert account.requests == []


def test_the_doctor_says_when_a_push_is_due(clinic: str, account: Account) -> None:
    def said() -> list[tuple[str, str]]:
        found = doctor.examine(uuid.UUID(clinic))
        return [(each.state.value, each.mend) for each in found if each.what == "assistant"]

    due = [("missing", f"flask vapi assistant {clinic} --push")]
    assert said() == due
    push(clinic)
    [(state, mend)] = said()
    assert (state, mend) == ("ok", "")
    with transaction(uuid.UUID(clinic)) as session:
        session.get_one(organizations.Organization, uuid.UUID(clinic)).phone = "+442079460999"
    assert said() == due
    push(clinic)
    assert [state for state, _ in said()] == ["ok"]


def test_a_clinic_whose_calls_are_signed_is_named_in_every_request(
    clinic: str, account: Account, sql: psycopg.Connection
) -> None:
    assert "headers" not in json.dumps(json.loads(run(clinic).stdout))
    made = CliRunner().invoke(credential, ["add", clinic, "--kind", "hmac"])
    assert made.exit_code == 0, made.output
    [(signs,)] = sql.execute("SELECT id FROM vapi_credentials WHERE org_id = %s", [clinic]).fetchall()
    body = json.loads(run(clinic).stdout)
    for server in (body["server"], *(tool["server"] for tool in body["model"]["tools"])):
        assert server["headers"] == {"X-Holdline-Credential": str(signs)}
    push(clinic)
    [pushed] = account.assistants.values()
    assert pushed["server"]["headers"] == {"X-Holdline-Credential": str(signs)}


def test_a_change_updates_the_same_assistant(clinic: str, account: Account) -> None:
    push(clinic)
    [assistant_id] = account.assistants
    account.requests.clear()
    store(clinic, vapi_credential_id="cred-2")
    assert push(clinic) == f"updated: {assistant_id}"
    assert account.requests == [f"PATCH /assistant/{assistant_id}"]
    assert account.assistants == {assistant_id: json.loads(run(clinic).stdout)}
    assert account.assistants[assistant_id]["server"]["credentialId"] == "cred-2"
    assert push(clinic) == f"unchanged: {assistant_id}"


def test_force_undoes_what_was_changed_by_hand(clinic: str, account: Account) -> None:
    push(clinic)
    [assistant_id] = account.assistants
    account.assistants[assistant_id]["firstMessage"] = "What?"
    assert push(clinic, "--force") == f"updated: {assistant_id}"
    assert account.assistants[assistant_id]["firstMessage"].startswith("Hello, this is")


def test_an_assistant_that_was_deleted_is_created_anew(clinic: str, account: Account) -> None:
    push(clinic)
    [gone] = account.assistants
    account.assistants.clear()
    account.requests.clear()
    store(clinic, vapi_credential_id="cred-2")
    said = push(clinic)
    [assistant_id] = account.assistants
    assert said == f"created: {assistant_id}"
    assert stored(clinic).vapi_assistant_id == assistant_id != gone
    assert account.requests == [f"PATCH /assistant/{gone}", "POST /assistant"]


def test_another_account_does_not_have_it_yet(clinic: str, account: Account) -> None:
    push(clinic)
    account.assistants.clear()
    account.key = "key-of-another-account"
    store_key(clinic, account.key)
    said = push(clinic)
    [assistant_id] = account.assistants
    assert said == f"created: {assistant_id}"


def test_two_clinics_have_two_assistants(clinic: str, account: Account) -> None:
    other = factories.create_clinic()
    store(other, vapi_credential_id="cred-9")
    store_key(other)
    push(clinic)
    push(other)
    assert len(account.assistants) == 2
    assert stored(clinic).vapi_assistant_id != stored(other).vapi_assistant_id


# --- refusals, and trouble of Vapi's ------------------------------------------------------------


def test_an_unknown_clinic(account: Account) -> None:
    org_id = str(uuid.uuid4())
    assert f"there is no organisation {org_id}" in refused(org_id, "--push")
    assert account.requests == []


def test_a_clinic_without_a_calendar(account: Account) -> None:
    assert "has no calendar yet" in refused(factories.create_clinic(calendars=()))


@pytest.mark.parametrize("column", ["vapi_api_key_sealed", "vapi_credential_id"])
def test_what_is_missing_to_push(clinic: str, account: Account, column: str) -> None:
    store(clinic, **{column: None})
    assert clinic in refused(clinic, "--push")
    assert account.requests == []


def test_a_key_that_cannot_be_unsealed(clinic: str, account: Account) -> None:
    store(clinic, vapi_api_key_sealed=sealing.seal(uuid.uuid4(), "vapi_api_key", KEY))
    assert "cannot be read with this SECRET_KEY" in refused(clinic, "--push")
    assert account.requests == []


@pytest.mark.parametrize(
    ("status", "body", "said", "lost"),
    [
        (401, "{}", "refused the API key (401)", False),
        (403, "{}", "refused the API key (403)", False),
        (
            400,
            '{"message": ["name must be shorter", "voice\\nis unknown"], "error": "Bad Request"}',
            "refused the assistant (400): name must be shorter; voice is unknown",
            False,
        ),
        (402, '{"message": "No credit left"}', "refused the assistant (402): No credit left", False),
        (429, '"slow down"', "refused the assistant (429)", False),
        (302, "", "answered 302", True),
        (500, '{"message": "Internal"}', "answered 500", True),
        (503, "<html>", "answered 503", True),
        (200, "<html>", "answered 200", True),
        (201, "{}", "names no assistant", True),
        (201, "null", "names no assistant", True),
    ],
)
@pytest.mark.parametrize("known", [None, "a-1"], ids=["create", "update"])
def test_trouble_is_one_sentence_one_request_and_stores_nothing(
    clinic: str, account: Account, known: str | None, status: int, body: str, said: str, *, lost: bool
) -> None:
    """`lost`: nobody knows whether Vapi has created one."""
    store(clinic, vapi_assistant_id=known, vapi_assistant_digest=known and "of-before")
    account.trouble = (status, body)
    sentence = refused(clinic, "--push")
    assert said in sentence
    assert KEY not in sentence
    assert ("delete it first" in sentence) == (lost and known is None)
    assert account.requests == ["PATCH /assistant/a-1" if known else "POST /assistant"]
    after = stored(clinic)
    assert (after.vapi_assistant_id, after.vapi_assistant_digest) == (known, known and "of-before")


def test_nowhere_to_create(clinic: str, account: Account) -> None:
    account.trouble = (404, "{}")
    assert "Is VAPI_API_BASE_URL right?" in refused(clinic, "--push")
    assert stored(clinic).vapi_assistant_id is None


def test_an_answer_that_does_not_come(clinic: str, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE", 0.3)
    account.patience = threading.Event()
    sentence = refused(clinic, "--push")
    account.patience.set()
    assert "gave no answer in 0.3 seconds" in sentence
    assert "delete it first" in sentence
    assert account.requests == ["POST /assistant"]
    assert stored(clinic).vapi_assistant_id is None


def test_nobody_there(clinic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(monkeypatch, vapi_api_base_url=f"http://127.0.0.1:{free_port()}")
    assert refused(clinic, "--push") == "Error: Vapi cannot be reached. Nothing was changed."
    assert stored(clinic).vapi_assistant_id is None
