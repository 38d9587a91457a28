"""Bodies made from the OpenAPI document, such as it allows and such as it forbids; never a server error.

Schemathesis makes them, and holds every answer against the document: status, content type and schema.
HOLDLINE_SCHEMATHESIS=1000 makes as many for each operation, kind of body and caller.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any, TypeAlias

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.security import ground
from tests.security.ground import Clinic, bare_body, found, instant, post

EXAMPLES = int(os.environ.get("HOLDLINE_SCHEMATHESIS", "50"))
LONGER = "HOLDLINE_SCHEMATHESIS" in os.environ

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]

Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@pytest.fixture
def document(app: Flask) -> BaseSchema:
    generation = {"with-security-parameters": False}  # who asks is decided here
    return schemathesis.openapi.from_wsgi(
        "/openapi.json", app, config=SchemathesisConfig.from_dict({"generation": generation})
    )


def operations(document: BaseSchema) -> list[Operation]:
    every = []
    for result in document.get_all_operations():
        assert isinstance(result, Ok), result
        every.append(result.ok())
    return every


@pytest.fixture
def real(client: FlaskClient) -> tuple[Clinic, dict[str, Any]]:
    """A clinic, and values that mean something to it: made-up ones alone would be refused at the door."""
    clinic = found("a", "bearer", code_length=8)
    arguments = {
        "slotId": instant(ground.slot(0, 0)),
        "patientName": "Pat",
        "patientPhone": "+447400990001",
        "calendarId": clinic.calendars[0],
    }
    body = bare_body(arguments)
    path = "/api/vapi/tools/booking/reserve-atomic"
    held = post(client, path, body, clinic.headers(body)).get_json()
    free = {"slotId": instant(ground.slot(1, 0)), "date": arguments["slotId"][:10], "tenantId": clinic.org_id}
    return clinic, arguments | free | {"holdId": held["holdId"], "contactId": held["contactId"]}


@pytest.mark.timeout(900 + EXAMPLES)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("known", [True, False], ids=["with a credential", "without one"])
def test_no_request_is_answered_with_an_error_of_ours(
    document: BaseSchema, real: tuple[Clinic, dict[str, Any]], mode: GenerationMode, *, known: bool
) -> None:
    clinic, values = real
    headers = {"Authorization": f"Bearer {clinic.secret}"} if known else {}
    every = operations(document)
    assert len(every) >= 5
    for operation in every:
        answered = attempt(operation, mode, headers, values)
        assert answered.total() >= EXAMPLES
        if operation.path.startswith("/api/vapi"):
            assert (answered[401] > 0) == (not known), answered
            assert known or set(answered) == {401}, answered


def attempt(
    operation: Operation, mode: GenerationMode, headers: dict[str, str], values: dict[str, Any]
) -> Counter[int]:
    """Ask one operation many things; how often each status was answered."""
    answered: Counter[int] = Counter()

    @given(case=operation.as_strategy(mode), put=st.sets(st.sampled_from(sorted(values)), max_size=4))
    @hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=not LONGER,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case[Any], put: set[str]) -> None:
        _put(case.body, {name: values[name] for name in put})
        response = case.call(headers=headers)
        note(f"{case.body!r} -> {response.status_code} {response.text[:500]}")
        answered[response.status_code] += 1
        assert response.status_code < 500, response.text  # nothing is busy here, and the database is there
        case.validate_response(response, checks=CHECKS[:2] if _undocumented(response) else CHECKS)

    ask()
    return answered


def _undocumented(response: schemathesis.Response) -> bool:
    """What the document leaves out: of a body in Vapi's form that cannot be read there is an error beside
    the results, and an id that is no text comes back as it came.
    """
    answer = response.json() if "json" in response.headers.get("content-type", [""])[0] else {}
    results = answer.get("results") if isinstance(answer, dict) else None
    return isinstance(results, list) and (
        "error" in answer or any(not isinstance(each["toolCallId"], str) for each in results)
    )


def _put(body: Any, values: dict[str, Any]) -> None:
    """Real values in place of some that were made up, if there is a place for them."""
    call = body.get("toolCall") if isinstance(body, dict) else None
    arguments = call.get("arguments") if isinstance(call, dict) else None
    if isinstance(arguments, dict):
        arguments.update({name: value for name, value in values.items() if name in arguments})
