"""Errors to Sentry and traces by OpenTelemetry, each only where its variable of the environment is set.

Neither service receives more than the log says: an error is reported as runtime/logs.py describes it, and all
text that leaves is masked. The packages are imported only if they are used; importing takes half a second.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, event

import settings
from runtime import logs
from runtime.masking import mask

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer
    from sentry_sdk.types import Event, Hint
    from sqlalchemy.engine import ExceptionContext

#: What is kept of an error in a span: only its class. Its text may quote a row, its trace the row's values.
_OF_AN_ERROR = {"exception.type", "exception.escaped"}


def configure(service: str, app: object = None) -> None:
    """Start the services that are set, once in each process after the fork. `service` is web or worker.

    `app`: the Flask application of a web process, which only webapp may import.
    """
    config = settings.get()
    if config.sentry_dsn:
        _report_errors(config.sentry_dsn, service)
    if config.otel_exporter_otlp_endpoint:
        _trace(service, app)


# --- Sentry -------------------------------------------------------------------------------------


def _report_errors(dsn: str, service: str) -> None:
    """Report what is logged as an error, in the log's own words, and nothing from other sources."""
    import sentry_sdk  # noqa: PLC0415
    from sentry_sdk.integrations.atexit import AtexitIntegration  # noqa: PLC0415
    from sentry_sdk.integrations.logging import LoggingIntegration  # noqa: PLC0415

    sentry_sdk.init(
        dsn=dsn,
        environment=settings.get().app_env.value,
        default_integrations=False,  # these would add headers, bodies, arguments and local variables
        integrations=[
            LoggingIntegration(level=None, event_level=logging.ERROR),
            AtexitIntegration(callback=lambda _pending, _timeout: None),
        ],
        max_breadcrumbs=0,
        send_default_pii=False,
        include_local_variables=False,
        server_name=service,
        before_send=_as_logged,
    )


def _as_logged(event: Event, hint: Hint) -> Event | None:
    """The event with only what the log says about the same record."""
    record = hint.get("log_record")
    if not isinstance(record, logging.LogRecord):
        return None
    told = logs.told(record)
    errors = told.pop("errors", [])
    kept: dict[str, Any] = {
        name: value
        for name, value in event.items()
        if name
        in {"event_id", "timestamp", "level", "platform", "environment", "server_name", "release", "sdk"}
    }
    kept |= {
        "logger": record.name,
        "logentry": {"message": told.pop("message")},
        "tags": {name: str(value) for name, value in told.items() if not isinstance(value, list | Mapping)},
        # Sentry wants a cause before its consequence.
        "exception": {"values": [_as_sentry_has_it(error) for error in reversed(errors)]},
    }
    return kept  # type: ignore[return-value]  # it has some of the TypedDict's keys


def _as_sentry_has_it(error: Mapping[str, Any]) -> dict[str, Any]:
    frames = []
    for frame in error.get("at", ()):
        file, _, rest = frame.partition(":")
        line, _, function = rest.partition(" ")
        frames.append({"filename": file, "lineno": int(line), "function": function, "in_app": True})
    rest = {name: str(error[name]) for name in ("sqlstate", "constraint", "status", "code") if name in error}
    value = " ".join([str(error.get("text", "")), *(f"{name}={text}" for name, text in rest.items())]).strip()
    return {"type": error["class"], "value": value, "stacktrace": {"frames": frames}}


# --- OpenTelemetry ------------------------------------------------------------------------------


def _trace(service: str, app: object) -> None:
    """Send spans of requests, tasks and SQL to the address in OpenTelemetry's own variables."""
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.instrumentation.celery import CeleryInstrumentor  # noqa: PLC0415
    from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.name": f"holdline-{service}"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(masked(OTLPSpanExporter())))
    trace.set_tracer_provider(provider)
    _trace_statements(provider.get_tracer("holdline.sql"))
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]
    if app is not None:
        FlaskInstrumentor().instrument_app(app)  # type: ignore[no-untyped-call]


def _trace_statements(tracer: Tracer) -> None:
    """One span for each statement, with its text and without its values. OpenTelemetry's own library for this
    does not support SQLAlchemy 2.1.
    """
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

    @event.listens_for(Engine, "before_cursor_execute")
    def begin(*told: Any) -> None:
        _, _, statement, _, context, _ = told
        if context is None:
            return  # a statement of the driver's, when a connection begins
        context.holdline_span = tracer.start_span(statement.split(None, 1)[0].upper(), kind=SpanKind.CLIENT)
        context.holdline_span.set_attributes({"db.system.name": "postgresql", "db.query.text": statement})

    @event.listens_for(Engine, "after_cursor_execute")
    def end(*told: Any) -> None:
        if told[4] is not None:
            told[4].holdline_span.end()

    @event.listens_for(Engine, "handle_error")
    def fail(context: ExceptionContext) -> None:
        if span := getattr(context.execution_context, "holdline_span", None):
            span.set_status(Status(StatusCode.ERROR))
            span.end()


def masked(inner: SpanExporter) -> SpanExporter:
    """An exporter whose spans hold no telephone number, code, name or secret address."""
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415
    from opentelemetry.trace import Status  # noqa: PLC0415

    def happened(each: Event) -> Event:
        known = each.attributes or {}
        if each.name == "exception":
            known = {name: value for name, value in known.items() if name in _OF_AN_ERROR}
        return Event(each.name, _attributes(known), each.timestamp)

    def clean(span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=mask(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=_attributes(span.attributes or {}),
            events=[happened(each) for each in span.events],
            links=span.links,
            kind=span.kind,
            status=Status(span.status.status_code),  # its description may be an error's text
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    class Masked(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return inner.export([clean(span) for span in spans])

        def shutdown(self) -> None:
            inner.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return inner.force_flush(timeout_millis)

    return Masked()


def _attributes(known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: mask(value) if isinstance(value, str) else value for name, value in known.items()}
