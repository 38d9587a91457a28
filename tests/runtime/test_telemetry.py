"""What is told to Sentry and to a collector of traces, by a real process to a real listener: never who."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from runtime import telemetry
from tests.factories import create_clinic, phone_number, slot
from tests.places import ROOT

NAME, CODE = "Canary Telemetry", "4711"

#: A web process in small: a tool call, a patient's page, and an error that quotes what it should not.
PROCESS = """
import logging, sys, uuid
from wsgi import app
from models.base.session import transaction
from sqlalchemy import text
from opentelemetry import trace
org, slot, phone, name, code = sys.argv[1:]
client = app.test_client()
call = {"tenantId": org, "slotId": slot, "calendarId": "cal-1", "patientPhone": phone, "patientName": name}
assert client.post(
    "/api/vapi/tools/booking/reserve-atomic", json={"toolCall": {"arguments": call}}
).get_json()["success"]
client.get("/a/SecretTokenOfALink")
try:
    {}[f"{name} {phone} {code}"]
except KeyError:
    logging.getLogger("webapp.canary").exception("no row for %s, code %s", phone, code)
insert = text("INSERT INTO contacts (org_id, phone, name) VALUES (:org, :phone, :name)")
try:
    with transaction(uuid.UUID(org)) as session:
        session.execute(insert, {"org": uuid.uuid4(), "phone": phone, "name": name + code})
except Exception:
    logging.getLogger("webapp.canary").exception("a row was refused")
provider = trace.get_tracer_provider()
if hasattr(provider, "force_flush"):
    provider.force_flush()
import sentry_sdk
sentry_sdk.flush()
"""


class Listener:
    """Takes whatever is posted to it."""

    def __init__(self) -> None:
        self.received: dict[str, bytes] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.received[self.path] = outer.received.get(self.path, b"") + body
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    thread = threading.Thread(target=listening.server.serve_forever)
    thread.start()
    yield listening
    listening.server.shutdown()
    listening.server.server_close()
    thread.join()


def run(phone: str, **variables: str) -> None:
    subprocess.run(
        [sys.executable, "-c", PROCESS, create_clinic(), slot(), phone, NAME, CODE],
        cwd=ROOT,
        env=os.environ | variables,
        check=True,
        timeout=300,
    )


def test_errors_and_traces_are_told_and_nobody_is_named(listener: Listener) -> None:
    phone = phone_number()
    run(
        phone,
        SENTRY_DSN=f"http://key@127.0.0.1:{listener.port}/1",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{listener.port}",
    )
    errors, traces = listener.received["/api/1/envelope/"], listener.received["/v1/traces"]
    assert b"KeyError" in errors
    assert b"webapp.canary" in errors
    assert b"sqlalchemy.exc.ProgrammingError" in errors
    assert f"***{phone[-2:]}".encode() in errors
    assert b"POST /api/vapi/tools/booking/reserve-atomic" in traces
    assert b"claim_slot_atomic" in traces
    assert b"INSERT INTO contacts (org_id, phone, name)" in traces  # also what the database refused
    for canary in (NAME, phone, phone[1:], CODE, "SecretTokenOfALink"):
        assert canary.encode() not in errors + traces, canary


def test_nothing_is_sent_where_nothing_is_set(listener: Listener) -> None:
    run(phone_number())
    assert listener.received == {}


def test_of_a_span_everything_that_is_text_is_masked() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(telemetry.masked(kept)))
    phone = phone_number()
    with provider.get_tracer("tests").start_as_current_span(f"GET /numbers/{phone}") as span:
        span.set_attribute("said", f"for {phone}")
        span.set_attribute("rows", 3)
        span.add_event("asked", {"of": f"of {phone}"})
        span.record_exception(KeyError(phone), attributes={"exception.escaped": "False"})
        span.set_status(Status(StatusCode.ERROR, f"no row for {phone}"))
    [told] = kept.get_finished_spans()
    ending = f"***{phone[-2:]}"
    assert (told.name, dict(told.attributes or {})) == (
        f"GET /numbers/{ending}",
        {"said": f"for {ending}", "rows": 3},
    )
    assert [dict(event.attributes or {}) for event in told.events] == [
        {"of": f"of {ending}"},
        {"exception.type": "KeyError", "exception.escaped": "False"},
    ]
    assert (told.status.status_code, told.status.description) == (StatusCode.ERROR, None)
