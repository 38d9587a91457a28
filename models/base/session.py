"""Access to the database: engines, doors through row security, and transactions, which commit here."""

from __future__ import annotations

import logging
import math
import threading
from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import Connection, errors
from sqlalchemy import TextClause, create_engine, event, text
from sqlalchemy.orm import Session

import settings
from runtime import postgres_address

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator

    from psycopg.abc import PQGen
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL, ExceptionContext
    from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

    from settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")


class Door(StrEnum):
    """The reasons to look beyond one clinic. tests/architecture lists the code that opens each door."""

    CREDENTIAL = "whose credential this is"
    DEVELOPMENT = "whose hold, appointment or number this is, where no credential is asked for"
    RECEIPT = "whose message a receipt is about"
    PATIENT_LINK = "whose appointment a patient's link is about"
    PUBLISHED_CALENDAR = "whose calendar this link is to"
    SIGN_IN = "whose e-mail address this is"
    SWEEP = "what is due, whoever it belongs to"
    READINESS = "whether the schema is the one that the code needs"
    METRICS = "figures of all clinics, without names"
    OPERATOR = "an operator's command"


@lru_cache(maxsize=4)
def sqlalchemy_url(database_url: str) -> URL:
    """For our driver: a URL as managed platforms and poolers write it (postgres://…?pgbouncer=true)."""
    url, ignored = postgres_address.read(database_url)
    if ignored:
        log.warning("ignored in the address of the database: %s", ", ".join(ignored))
    return url


#: Options of every connection. A prepared statement belongs to one session of the server, and behind a pooler
#: the next transaction may run in another session.
DRIVER_OPTIONS: dict[str, Any] = {"prepare_threshold": None}


#: Seconds beyond the longest statement after which a silent server is given up.
PATIENCE = 1.5


class ImpatientConnection(Connection[Any]):
    """Waits no longer than `patience` seconds for the server; None is for ever.

    The server itself applies the time limits of statements. A frozen server applies none of them, while its
    machine still acknowledges what it is sent.
    """

    patience: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except errors._WaitTimeout:  # noqa: SLF001 (an OperationalError; only this one leaves it half read)
            self.close()
            raise


def engine() -> Engine:
    """The engine of the current settings. It connects at first use, so that no import connects."""
    return engines(settings.get())[0]


def system_engine() -> Engine:
    """The engine for work beyond one clinic, with a role of its own where the settings name one."""
    return engines(settings.get())[1]


#: The engines of each settings that this process has worked with.
_engines: dict[Settings, tuple[Engine, Engine]] = {}
_making = threading.Lock()


def engines(config: Settings) -> tuple[Engine, Engine]:
    """The engine and the system engine of these settings, which are one engine where there is no second role.

    Different settings never share connections.
    """
    found = _engines.get(config)
    if found is None:
        with _making:
            found = _engines.get(config) or _engines.setdefault(config, _made(config))
    return found


def _made(config: Settings) -> tuple[Engine, Engine]:
    own = _engine(config.database_url, config.web_pool - config.system_pool, config)
    if not config.system_database_url:
        return own, own
    return own, _engine(config.system_database_url, config.system_pool, config)


def forget_engines(*, but: Settings) -> None:
    """Close the connections of all other settings, and make their engines anew if they come again.

    A connection that a thread still uses is closed when it is given back.
    """
    with _making:
        for config in [each for each in _engines if each != but]:
            for each in _engines.pop(config):
                event.listen(each.pool, "checkin", lambda _, record: record.invalidate())
                each.dispose()


def pool(*, of_the_system: bool) -> QueuePool:
    """The pool of this process for work within one clinic, or beyond. It is the same pool unless there is a
    second role.
    """
    found: QueuePool = (system_engine() if of_the_system else engine()).pool  # type: ignore[assignment]
    return found


def _engine(url: str, pool_size: int, config: Settings) -> Engine:
    longest = _longest_statement(config)
    made = create_engine(
        sqlalchemy_url(url),
        isolation_level="READ COMMITTED",  # sent with each BEGIN, so that it also holds behind a pooler
        hide_parameters=True,  # they include names and numbers, and errors are logged
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=max(2.0, config.lock_timeout + 1),  # the others may wait that long for a lock
        pool_pre_ping=False,
        pool_recycle=300,
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "application_name": "holdline",
            **DRIVER_OPTIONS,
        },
    )

    def connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> Connection:
        connection = ImpatientConnection.connect(*args, **options)
        connection.patience = longest + PATIENCE if longest else None
        return connection

    event.listen(made, "do_connect", connect)
    event.listen(made, "checkout", _count_use)
    event.listen(made, "handle_error", _give_up_a_useless_session)
    return made


def _count_use(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
    record.info["uses"] = record.info.get("uses", 0) + 1


def _give_up_a_useless_session(context: ExceptionContext) -> None:
    """Close a connection whose session became read-only in a failover, since the session stays read-only.

    The pool's other connections, which are as old, are closed before their next use. A connection that was
    opened for this transaction is kept: then the database itself is read-only, and a new one is no better.
    """
    connection = context.connection
    if isinstance(context.original_exception, errors.ReadOnlySqlTransaction) and connection is not None:
        context.is_disconnect = connection.info.get("uses", 0) > 1


# --- transactions -------------------------------------------------------------------------------


@contextmanager
def transaction(
    org_id: uuid.UUID, *, actor: str = "holdline", mark: uuid.UUID | None = None
) -> Iterator[Session]:
    """One transaction within one clinic, owned by the entrypoint that opens it.

    It commits on leaving and rolls back on raising. Rows of other clinics are invisible. The audit log names
    the `actor` of each change: "call <id>", "operator <name>", "twilio". A transaction with a `mark` waits
    until no other transaction with that mark is open, at most the lock timeout (LockNotAvailable after it).
    Verbs in models/ receive the session and never commit.
    """
    local = {"org_id": str(org_id), "actor": actor}
    if mark:
        local["mark"] = str(mark)
    with _committing(engine(), _MARKED if mark else _WITHIN, local) as session:
        yield session


@contextmanager
def system_transaction(door: Door, *, actor: str = "holdline") -> Iterator[Session]:
    """One transaction that sees every clinic; only for the reasons that Door names."""
    with _committing(system_engine(), _BEYOND, {"door": door.value, "actor": actor}) as session:
        yield session


# These settings are local to the transaction, during which a pooler keeps to one session of the server. They
# are set in the statement that begins every transaction, so they cost no round trip of their own.
_ASKED = (
    "SELECT set_config('TimeZone', :TimeZone, true), set_config('lock_timeout', :lock_timeout, true),"
    " set_config('statement_timeout', :statement_timeout, true),"
    " set_config('idle_in_transaction_session_timeout', :idle_in_transaction_session_timeout, true),"
)
_WITHIN = text(f"{_ASKED} set_config('app.org_id', :org_id, true), set_config('app.actor', :actor, true)")
# The mark comes last, so that the lock timeout already limits the wait for it.
_MARKED = text(f"{_WITHIN.text}, pg_advisory_xact_lock(hashtextextended('transaction/' || :mark, 0))")
_BEYOND = text(
    f"{_ASKED} set_config('app.scope', 'system', true), set_config('app.door', :door, true),"
    " set_config('app.actor', :actor, true)"
)


@contextmanager
def _committing(bind: Engine, enter: TextClause, local: dict[str, str]) -> Iterator[Session]:
    with Session(bind, expire_on_commit=False) as session:
        session.execute(enter, asked_of_a_session() | local)
        yield session
        session.commit()


#: Seconds. A client that froze while it held a calendar's lock must not hold it for long.
IDLE_IN_TRANSACTION = 5


def _longest_statement(config: Settings) -> float:
    """The time limit of a statement in seconds; 0 is for ever. A wait for a lock is part of its statement, so
    this limit must not cut it short.
    """
    return max(config.statement_timeout, config.lock_timeout + 1) if config.lock_timeout else 0


def asked_of_a_session() -> dict[str, str]:
    """The settings that every transaction asks for, as pg_settings shows them; durations in milliseconds."""
    config = settings.get()
    return {
        "TimeZone": "UTC",
        # Rounded up, because 0 means for ever.
        "lock_timeout": str(math.ceil(config.lock_timeout * 1000)),
        "statement_timeout": str(math.ceil(_longest_statement(config) * 1000)),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION * 1000),
    }


def not_kept(session: Session) -> list[str]:
    """The settings that a transaction asked for and did not get, each as "name is 0, not 2000"."""
    wanted = asked_of_a_session() | {"transaction_isolation": "read committed"}
    found = {row.name: row.setting for row in session.execute(_SETTINGS, {"names": list(wanted)})}
    return [
        f"{name} is {found.get(name)}, not {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]


_SETTINGS = text("SELECT name, setting FROM pg_settings WHERE name = ANY (:names)")


def forget_connections() -> None:
    """In a forked child: leave the parent's connections alone and make new ones."""
    for each in set(engines(settings.get())):
        each.dispose(close=False)
