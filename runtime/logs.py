"""What every process writes to its log: one JSON object a line, without personal data.

Telephone numbers are cut to their last two digits; codes, secrets and the tokens in addresses go. Of an error
only the parts stay that cannot hold a person's data: its class, where it was raised, SQLSTATE and constraint.
Ids stay, so that staff and operators with access can look up the rest.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import billiard.exceptions
import kombu.exceptions
import psycopg
import redis
import sqlalchemy.exc
import urllib3.exceptions
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter
from twilio.base.exceptions import TwilioRestException, TwilioServiceException

import settings
from runtime.masking import GONE, mask, mask_digits

ROOT = Path(__file__).parent.parent

#: Loggers whose lines below a warning hold SQL, bodies and addresses.
TOO_TALKATIVE = (
    "psycopg",
    "sqlalchemy",
    "twilio",
    "urllib3",
    "requests",
    "httpx",
    "httpcore",
    "vapi",
    "redis",
    "alembic",
)

#: Longer texts are cut: a log service splits lines that are too long, and then they are not JSON.
LONGEST = 4_000


# --- whose line it is ---------------------------------------------------------------------------

_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=MappingProxyType({}))


def bind(**fields: object) -> None:
    """Add fields to every following line of this thread or task, until `unbind`. None adds nothing."""
    _context.set({**_context.get(), **{name: value for name, value in fields.items() if value is not None}})


def unbind() -> None:
    _context.set(MappingProxyType({}))


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Like `bind`, for the lines within the block."""
    before = _context.set(_context.get())
    bind(**fields)
    try:
        yield
    finally:
        _context.reset(before)


# --- what is told of an error -------------------------------------------------------------------

#: Errors of libraries whose text is about servers and not about rows. The text of any other library's error
#: stays out: a database's may quote a row, a ValidationError or KeyError a value.
TELLING = (
    OSError,  # also the connection errors of requests and of http
    redis.ConnectionError,
    redis.TimeoutError,
    urllib3.exceptions.HTTPError,
    kombu.exceptions.OperationalError,
    sqlalchemy.exc.TimeoutError,
    billiard.exceptions.WorkerLostError,
)

#: Packages whose errors are ours: these never quote what a person said.
OURS = {"webapp", "tasks", "models", "sandbox", "runtime", "settings"}

#: Classes of SQLSTATE that are about the server (connections, transactions, resources, shutdown): the text of
#: these errors helps.
_SERVERS_TROUBLE = {"08", "25", "53", "57", "58"}

_MOST_CAUSES = 6
_MOST_FRAMES = 24
_FOREIGN_FRAMES = 4


def describe(error: BaseException, trace: TracebackType | None = None) -> list[dict[str, Any]]:
    """An error and its causes, the outermost first, without what could be personal in any of them."""
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(found) < _MOST_CAUSES:
        seen.add(id(link))
        found.append(_described(link, trace if link is error and trace else link.__traceback__))
        before = link.__context__ if not link.__suppress_context__ else None
        link = link.__cause__ or _wrapped(link) or before
    return found


def _wrapped(error: BaseException) -> BaseException | None:
    """The error that this error only wraps: SQLAlchemy wraps psycopg's, Celery a task's own."""
    shelled = getattr(error, "orig", None) or getattr(error, "exc", None)
    return shelled if isinstance(shelled, BaseException) else None


def _described(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    told: dict[str, Any] = {"class": _class_name(error), "text": _text_of(error)}
    if isinstance(error, psycopg.Error):
        told |= {"sqlstate": error.sqlstate, "constraint": error.diag.constraint_name}
    if isinstance(error, TwilioRestException | TwilioServiceException):
        told |= {"status": error.status, "code": error.code}
    told["at"] = _frames(trace)
    return {name: value for name, value in told.items() if value}


def _class_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _text_of(error: BaseException) -> str | None:
    """The error's own text, masked, if it quotes no person; else None."""
    if isinstance(error, psycopg.Error):
        words = _words_of_postgres(error)
    elif type(error).__module__.partition(".")[0] in OURS:
        words = str(error)
    elif isinstance(error, TELLING) and not isinstance(error, ValueError):
        # A ValueError of requests is an OSError, too, and quotes the header or the answer that it refuses.
        words = str(error)
    else:
        return None
    return _masked(words)


def _words_of_postgres(error: psycopg.Error) -> str:
    """The text if it is about the server; without a SQLSTATE the client wrote it, about the connection."""
    if error.sqlstate is None:
        return str(error) if isinstance(error, psycopg.OperationalError) else ""
    return (error.diag.message_primary or "") if error.sqlstate[:2] in _SERVERS_TROUBLE else ""


def _frames(trace: TracebackType | None) -> list[str]:
    """Where the error was raised: every line of our code, and the last few others. No source, no values."""
    frames: list[tuple[bool, str]] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        ours, file = _file(code.co_filename)
        frames.append((ours, f"{file}:{trace.tb_lineno} {code.co_name}"))
        trace = trace.tb_next
    last = len(frames) - _FOREIGN_FRAMES
    return [frame for number, (ours, frame) in enumerate(frames) if ours or number >= last][-_MOST_FRAMES:]


def _file(name: str) -> tuple[bool, str]:
    """Whether a file is ours, and a short name for it."""
    _, packages, module = name.rpartition("site-packages/")
    if not packages and name.startswith(f"{ROOT}/"):
        return True, name.removeprefix(f"{ROOT}/")
    return False, module if packages else "/".join(name.split("/")[-2:])


# --- the line -----------------------------------------------------------------------------------

_SECRET_FIELD = re.compile(
    r"secret|token|passw|authorization|api_?key|cookie|signature|credential$"
    r"|(?:patient|contact|customer|caller)_?name|email|arguments|^(?:body|content|text|said)$",
    re.IGNORECASE,
)
_NUMBER_FIELD = re.compile(r"phone|number$|^(?:to|from)_?$|otp|code$|pin$", re.IGNORECASE)
_ERROR_FIELD = re.compile(r"^(?:error|provider|status|exit|http)_?code$|^sqlstate$", re.IGNORECASE)
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_NOT_EXTRA = {*RESERVED_ATTRS, "taskName", "data", "time", "level", "message", "errors"}


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _masked(text: str) -> str:
    return _short(mask(text[: LONGEST * 4]))  # cut first, so that a text of any length takes little time


def _field(name: str, value: object, levels: int = 4) -> object:
    """The value of a field as it may stand in the log."""
    if value is None or isinstance(value, bool | float):
        return value
    if _SECRET_FIELD.search(name) or not levels:
        return GONE
    if isinstance(value, Mapping):
        return {_masked(str(key)): _field(str(key), each, levels - 1) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_field(name, each, levels - 1) for each in value]
    return _single(name, value)


def _single(name: str, value: object) -> int | str:
    if isinstance(value, BaseException):
        return _in_words(value)
    of_an_error = _ERROR_FIELD.search(name)
    said = not of_an_error and _NUMBER_FIELD.search(name)
    if isinstance(value, int) and not said:
        return int(value)
    if of_an_error:
        return _short(str(value))
    return mask_digits(_short(str(value))) if said else _masked(str(value))


def _in_words(error: BaseException) -> str:
    """An error on one line: its text if that may be logged, else its class, SQLSTATE and constraint."""
    told = _described(_wrapped(error) or error, None)
    if "text" in told:
        return str(told["text"])
    state = f" sqlstate {told['sqlstate']}" if "sqlstate" in told else ""
    return f"{told['class']}{state} {told.get('constraint', '')}".strip()


def _message(record: logging.LogRecord) -> str:
    """The text of a record, with each error among its arguments as `_in_words` has it."""
    msg: object = record.msg
    text = _in_words(msg) if isinstance(msg, BaseException) else str(msg)
    args: Any = record.args
    if isinstance(args, Mapping):
        args = {name: _argument(value) for name, value in args.items()}
        if isinstance(args.get("exc"), str):  # Celery's repr of an error: Class('its text')
            args["exc"] = args["exc"].partition("(")[0]
    elif args:
        args = tuple(map(_argument, args))
    try:
        return _masked(text % args if args else text)
    except (TypeError, ValueError, KeyError):
        return _masked(text)  # the arguments do not fit: a mistake, but no reason to lose the line


def _argument(value: object) -> object:
    return _in_words(value) if isinstance(value, BaseException) else value


def told(record: logging.LogRecord) -> dict[str, Any]:
    """What is written about a record besides its time, level and logger: `message`, fields, and `errors`."""
    fields: dict[str, object] = dict(_context.get())
    celerys = record.__dict__.get("data")
    if isinstance(celerys, Mapping) and "id" in celerys:  # the rest of it has arguments and tracebacks
        fields |= {"task": celerys.get("name"), "task_id": celerys["id"]}
    fields |= {name: value for name, value in record.__dict__.items() if name not in _NOT_EXTRA}
    data: dict[str, Any] = {"message": _message(record)}
    data |= {name: _field(name, value) for name, value in fields.items() if name not in _NOT_EXTRA}
    if record.exc_info and record.exc_info[1]:
        data["errors"] = describe(record.exc_info[1], record.exc_info[2])
    return data


class Formatter(JsonFormatter):
    """A record as one JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        data: dict[str, Any] = {
            "time": at.removesuffix("+00:00") + "Z",
            "level": record.levelname,
            "logger": record.name,
        }
        try:
            data |= told(record)
        except Exception as error:  # noqa: BLE001 (a log that fails must not take its process along)
            data["message"] = f"this line could not be written: {type(error).__name__}"
        return self.serialize_log_record(data)


class Readable(Formatter):
    """The same as one line of words, for a person at a terminal."""

    def jsonify_log_record(self, log_data: dict[str, Any]) -> str:
        data = dict(log_data)
        head = f"{data.pop('time')[11:19]} {data.pop('level'):<7} {data.pop('logger')}: {data.pop('message')}"
        errors = data.pop("errors", [])
        fields = [f"{name}={value}" for name, value in data.items()]
        causes = [" ".join(_flat(error)) for error in errors]
        return _BREAKS.sub(" ", " ".join([head, *fields]) + "".join(f" | {cause}" for cause in causes))


def _flat(error: Mapping[str, Any]) -> Iterator[str]:
    for name, value in error.items():
        yield f"at {', '.join(value)}" if name == "at" else str(value)


class _ToStderr(logging.Handler):
    """Writes to what sys.stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Does nothing: Python's own handler would print the record with its arguments."""


def _worth_a_line(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING or record.name.partition(".")[0] not in TOO_TALKATIVE


def configure(level: int = logging.INFO) -> None:
    """Make this process log in this form. A second call is harmless: the last call counts."""
    at_a_terminal = settings.get().development and sys.stderr.isatty()
    handler = _ToStderr()
    handler.setFormatter(Readable() if at_a_terminal else Formatter())
    handler.addFilter(_worth_a_line)
    root = logging.getLogger()
    for before in [each for each in root.handlers if isinstance(each, _ToStderr)]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(level)
    gunicorn = logging.getLogger("gunicorn.error")  # it has a handler of its own, which masks nothing
    gunicorn.handlers.clear()
    gunicorn.propagate = True
