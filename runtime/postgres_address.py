"""DATABASE_URL in the forms that platforms, poolers and other libraries write, read once for our driver."""

from __future__ import annotations

import re
from functools import lru_cache

from psycopg import pq
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

#: The values that libpq takes; it refuses others only when the connection is already being made.
_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
    "target_session_attrs": ("any", "read-write", "primary"),  # servers of the other kinds refuse to write
}

#: The parameters in which other libraries name the schema. The migrations and the SQL functions name ours.
_SCHEMA = ("schema", "currentschema", "search_path")
_SEARCH_PATH = re.compile(r"search_path\s*=\s*(\S+)")

#: How other libraries ask for TLS, and libpq's word for it.
_TLS = {
    **dict.fromkeys(("true", "1", "on", "yes", "no-verify"), "require"),
    **dict.fromkeys(("false", "0", "off", "no"), "prefer"),
}

#: postgresql://user:password@one:5432,two:5432/database, for which SQLAlchemy has another form.
_SEVERAL_HOSTS = re.compile(
    r"(?P<before>[\w+]+://(?:[^:/@]*(?::[^@]*)?@)?)(?P<hosts>[^/?@]*,[^/?@]*)"
    r"(?P<database>/[^?]*)?(?:\?(?P<query>.*))?"
)


def read(text: str) -> tuple[URL, list[str]]:
    """The address of a platform or pooler, for our driver; and the names of the parameters that were ignored.

    Raises ValueError with a sentence for a parameter that cannot be complied with.
    """
    url = _read_address(text).set(drivername="postgresql+psycopg")
    kept: dict[str, str | tuple[str, ...]] = {}
    ignored = []
    for written, value in url.query.items():
        name = written.lower()
        if name in _SCHEMA:
            _only_public(written, value)
        elif name == "ssl":
            kept.setdefault("sslmode", _of_libpq("sslmode", value))
        elif name in _known_to_libpq():
            if name == "options":
                for path in _SEARCH_PATH.findall(str(value)):
                    _only_public("search_path", path)
            if value:
                kept[name] = _of_libpq(name, value)
        else:
            ignored.append(written)
    if len(_hosts(url)) > 1:
        # One of several servers is the primary, and after a failover another server is.
        kept.setdefault("target_session_attrs", "read-write")
    return url.set(query=kept), ignored


def _read_address(text: str) -> URL:
    if several := _SEVERAL_HOSTS.fullmatch(text):
        hosts = [f"host={host}" for host in several["hosts"].split(",")]
        rest = [several["query"]] if several["query"] else []
        text = f"{several['before']}{several['database'] or '/'}?{'&'.join(hosts + rest)}"
    return make_url(text)


def _hosts(url: URL) -> tuple[str, ...]:
    named = url.query.get("host", ())
    return tuple(named.split(",")) if isinstance(named, str) else named


@lru_cache(maxsize=1)
def _known_to_libpq() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _only_public(name: str, value: str | tuple[str, ...]) -> None:
    named = value if isinstance(value, str) else ",".join(value)
    if any(part.strip(" '\"") not in ("public", "$user", "") for part in named.split(",")):
        raise ValueError(f"the tables are in the schema public: take {name} out of it")


def _of_libpq(name: str, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    possible = _VALUES.get(name)
    if possible is None:
        return value
    said = str(value).lower()
    meant = _TLS.get(said, said) if name == "sslmode" else said
    if meant not in possible:
        raise ValueError(f"its {name} must be one of {', '.join(possible)}")
    return meant


def names_a_database(url: str) -> bool:
    """Whether `url` is PostgreSQL's and has a host, read as the engine does: a password may hold slashes."""
    try:
        parsed = _read_address(url)
    except (ArgumentError, ValueError):  # an error about the port may quote half of a password
        return False
    known = parsed.get_backend_name() in ("postgres", "postgresql")
    return known and bool(parsed.host or parsed.query.get("host"))  # a socket's folder is in the query
