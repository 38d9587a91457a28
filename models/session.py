"""The way to the database: one engine a process, the doors through row security, the one commit."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from psycopg import Connection, errors
from sqlalchemy import TextClause, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

import settings

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterator

    from psycopg.abc import PQGen
    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

T = TypeVar("T")


class Door(StrEnum):
    """The few reasons to look beyond one organisation. tests/architecture lists who opens which."""

    CREDENTIAL = "whose credential this is"
    DEVELOPMENT = "whose hold, appointment or number this is, where no credential is asked for"
    RECEIPT = "whose message a receipt is about"
    PATIENT_LINK = "whose appointment a patient's link is about"
    SIGN_IN = "whose e-mail address this is"
    SWEEP = "what is due, whoever it belongs to"
    READINESS = "whether the schema is the one that the code needs"
    METRICS = "figures of all clinics, without names"
    OPERATOR = "an operator's command"


def sqlalchemy_url(database_url: str) -> URL:
    """The URL as managed platforms write it (postgres://…), with our driver named in it."""
    url = make_url(database_url)
    return url.set(drivername="postgresql+psycopg")


#: Seconds beyond the longest statement after which a server that says nothing at all is given up.
PATIENCE = 1.5


class ImpatientConnection(Connection[Any]):
    """Waits no longer than `patience` seconds for the server.

    The limits of a statement are the server's own, and one that is frozen keeps none of them, while its
    machine goes on acknowledging what it is sent.
    """

    patience: float | None = None

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            return super().wait(gen, interval, timeout or self.patience)
        except errors._WaitTimeout:  # noqa: SLF001 (an OperationalError; only this one leaves it half read)
            self.close()
            raise


@lru_cache(maxsize=1)
def engine() -> Engine:
    """This process's engine; it connects at first use, so that nothing connects at import."""
    config = settings.get()
    return _engine(config.database_url, config.web_pool - config.system_pool)


@lru_cache(maxsize=1)
def system_engine() -> Engine:
    """The engine for what belongs to no one organisation: a role of its own where one is given."""
    url = settings.get().system_database_url
    return _engine(url, settings.get().system_pool) if url else engine()


def _engine(url: str, pool_size: int) -> Engine:
    config = settings.get()
    # A wait for a lock is part of its statement, and must not be cut short by the other limit.
    longest = max(config.statement_timeout, config.lock_timeout + 1) if config.lock_timeout else 0
    session_settings = {
        "timezone": "UTC",
        "lock_timeout": f"{config.lock_timeout * 1000:.0f}",
        "statement_timeout": f"{longest * 1000:.0f}",
        # A client that froze while it held a calendar's lock must not hold it for long.
        "idle_in_transaction_session_timeout": "5000",
    }
    made = create_engine(
        sqlalchemy_url(url),
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # names and numbers are among them, and errors are logged
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=2,
        pool_pre_ping=False,
        pool_recycle=300,
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "application_name": "holdline",
            "options": " ".join(f"-c {name}={value}" for name, value in session_settings.items()),
        },
    )

    def connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> Connection:
        connection = ImpatientConnection.connect(*args, **options)
        connection.patience = longest + PATIENCE if longest else None
        return connection

    event.listen(made, "do_connect", connect)
    return made


@contextmanager
def transaction(org_id: uuid.UUID, *, actor: str = "holdline") -> Iterator[Session]:
    """One transaction within one organisation, owned by the entrypoint that opens it.

    Commits on leaving, rolls back on raising. Rows of other organisations are not there. `actor` is who
    the audit log says changed what: "call <id>", "operator <name>", "twilio".
    Verbs in models/ are handed the session and never commit.
    """
    with _committing(engine(), _WITHIN, org_id=str(org_id), actor=actor) as session:
        yield session


@contextmanager
def system_transaction(door: Door, *, actor: str = "holdline") -> Iterator[Session]:
    """One transaction that sees every organisation; only for the reasons that Door names."""
    with _committing(system_engine(), _BEYOND, door=door.value, actor=actor) as session:
        yield session


# Local to the transaction: a connection goes back to the pool without them.
_WITHIN = text("SELECT set_config('app.org_id', :org_id, true), set_config('app.actor', :actor, true)")
_BEYOND = text(
    "SELECT set_config('app.scope', 'system', true), set_config('app.door', :door, true),"
    " set_config('app.actor', :actor, true)"
)


@contextmanager
def _committing(bind: Engine, enter: TextClause, **local: str) -> Iterator[Session]:
    with Session(bind, expire_on_commit=False) as session:
        session.execute(enter, local)
        yield session
        session.commit()


def forget_connections() -> None:
    """In a forked child: leave the parent's connections alone, and make own ones."""
    engine().dispose(close=False)
    system_engine().dispose(close=False)
