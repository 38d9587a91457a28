"""Every setting of Holdline, typed, read once from the environment.

Of ours it imports only modules of `runtime` that judge a value or work something out of it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime import platforms, postgres_address, production, redis_address, web_address
from runtime.key_ring import KeyRing
from runtime.key_ring import UnknownKey as UnknownKey  # noqa: PLC0414 -- caught as settings.UnknownKey
from runtime.weak_secrets import DEVELOPMENT_KEY as DEVELOPMENT_KEY  # noqa: PLC0414 -- read from here
from runtime.web_capacity import MOST_WEB_PROCESSES, THREADS_PER_CONNECTION, WEB_CONNECTIONS, WebCapacity

#: Platforms and their examples also set these to words ("auto"), which must not prevent the start.
_SET_BY_PLATFORMS = ("web_concurrency", "web_threads")


class AppEnv(StrEnum):
    PRODUCTION = "production"
    DEVELOPMENT = "development"


class SettingsError(RuntimeError):
    """The environment is incomplete or wrong; the message has one line per variable."""


#: Where Postgres and Redis are in development unless their addresses are set.
_ON_THIS_MACHINE = {
    "database_url": "postgresql://127.0.0.1:5432/holdline",
    "redis_url": "redis://127.0.0.1:6379/0",
}


class Settings(BaseSettings):
    """One field a variable of the environment, in upper case (`database_url` is DATABASE_URL).

    Durations are seconds unless the name says otherwise.
    """

    model_config = SettingsConfigDict(
        case_sensitive=False, extra="ignore", frozen=True, validate_default=True, allow_inf_nan=False
    )

    app_env: AppEnv = Field(
        default=AppEnv.PRODUCTION, description="development also answers tool calls that bring no credential"
    )
    database_url: str = Field(
        min_length=1,
        description="PostgreSQL 15 or newer; postgres:// is understood; development finds one on its machine",
    )
    system_database_url: str = Field(
        default="",
        description="a second role for what belongs to no one clinic (sweeps, look-ups); else row security "
        "alone tells them apart",
    )
    redis_url: str = Field(
        min_length=1,
        description="the Celery broker; redis://, rediss:// (TLS), unix:// or redis+socket://; development "
        "finds one on its machine",
    )
    secret_key: str = Field(
        default="", description="32 or more random characters; codes, digests and stored secrets hang on it"
    )
    former_secret_keys: str = Field(
        default="", description="SECRET_KEYs of before, comma between them: still read, never written with"
    )
    public_base_url: str = Field(
        default="http://127.0.0.1:3001", description="where Twilio reaches us: scheme and host, no path"
    )
    twilio_api_base_url: str = Field(
        default="https://api.twilio.com", description="moved only to send to the sandbox instead of Twilio"
    )
    twilio_timeout: float = Field(default=10.0, gt=0, le=20, description="for one request to Twilio")
    vapi_api_base_url: str = Field(
        default="https://api.vapi.ai", description="moved only to speak to a stand-in instead of Vapi"
    )
    lock_timeout: float = Field(
        default=2.0,
        ge=0,
        le=60,
        description="longest wait for another claim of one calendar; 0 waits for ever, in development only",
    )
    statement_timeout: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="longest SQL statement of a request, waits for locks apart; 0 in development only: any",
    )
    sms_watch: float = Field(
        default=2.0, ge=0, le=10, description="how long a tool may watch its SMS being handed to Twilio"
    )
    broker_timeout: float = Field(default=1.0, gt=0, le=5, description="longest wait for Redis in a request")
    web_concurrency: int = Field(
        default=2, description=f"web processes, {MOST_WEB_PROCESSES} at most; platforms set it by themselves"
    )
    web_threads: int = Field(
        default=64,  # half of them are for one clinic at most, and a busy one has 30 calls at once
        description=f"threads of each web process, {THREADS_PER_CONNECTION} at most to a connection",
    )
    database_pool: int = Field(
        default=0,
        ge=0,
        le=64,
        description=f"connections of each web process; 0 divides {WEB_CONNECTIONS} among the web processes",
    )
    rate_per_credential: float = Field(
        default=10.0,  # 30 calls at once need 3: ten tool calls each, in two minutes
        ge=0,
        description="tool calls a second of one credential to one web process, and as many events; 0: any"
        " number",
    )
    rate_per_call: float = Field(
        default=3.0,  # so that one call never uses up what its clinic may ask
        ge=0,
        description="tool calls a second of one telephone call to one web process; 0: any number",
    )
    rate_per_phone: float = Field(
        default=4.0,  # more than one call may: another can begin as it ends, or come by the same switchboard
        ge=0,
        description="tool calls a second of one telephone, in all its calls, to one web process; 0: any"
        " number",
    )
    client_grace: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="how long a client may take for the head of a request, and at first for its body",
    )
    connections_per_address: int = Field(
        default=512,
        ge=0,
        description="connections of one address that a web process waits for; the oldest makes way; 0: any",
    )
    requests_per_credential: int = Field(
        default=128,
        ge=0,
        description="requests of one credential that a web process receives or works on at once; 0: any",
    )
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="a larger tool call is refused")
    feed_loopback: bool = Field(
        default=False, description="for tests only: fetch calendars from this machine, on any port"
    )
    metrics_token: str = Field(
        default="", description="bearer token for /metrics; without one it is there in development only"
    )
    sentry_dsn: str = Field(default="", description="where errors are reported to, if anywhere: Sentry's DSN")
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        description="where traces go, if anywhere; OpenTelemetry's own OTEL_… variables say the rest",
    )
    redis_self_signed: bool = Field(
        default=False, description="accept the self-signed certificate that managed rediss:// comes with"
    )
    flower_basic_auth: str = Field(
        default="", description="user:password for Flower, comma between several; Flower needs one"
    )
    proxies: int | None = Field(
        default=None,
        ge=0,
        le=10,
        description="reverse proxies in front of the web: as many entries of X-Forwarded-For are true. By "
        "default what a known platform has, and elsewhere 0: the header counts for nothing",
    )
    host: str = Field(
        default="",
        description="the IP address to listen on, by default all (0.0.0.0); a name is ignored",
    )
    port: int = Field(default=0, ge=0, le=65535, description="where the web listens, by default 3001")
    flower_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="where Flower listens, by default PORT or else 5555",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_not_set(cls, value: object, info: ValidationInfo) -> object:
        """An empty variable counts as not set: container files leave such ones behind. So does a number's
        variable that Kubernetes set for a service of that name (FLOWER_PORT=tcp://10.0.0.1:5555).
        """
        name = str(info.field_name)
        field = cls.model_fields[name]
        if not isinstance(value, str):
            return value
        if field.is_required():
            return value.strip() and value
        return field.default if not value.strip() or is_ignored(name, value) else value

    @model_validator(mode="before")
    @classmethod
    def _development_finds_its_services(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Without an address, a developer's commands look for Postgres and Redis on this machine."""
        return (_ON_THIS_MACHINE if given.get("app_env") == AppEnv.DEVELOPMENT else {}) | given

    @field_validator("database_url", "system_database_url")
    @classmethod
    def _is_of_a_database(cls, value: str) -> str:
        if value and not postgres_address.names_a_database(value):
            raise ValueError("it must be postgresql://user:password@host:port/database")
        if value:
            postgres_address.read(value)  # raises ValueError about what its parameters ask for
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_of_a_redis(cls, value: str) -> str:
        redis_address.read(value, accept_self_signed=False)
        return value

    @field_validator(
        *("public_base_url", "twilio_api_base_url", "vapi_api_base_url"),
        *("sentry_dsn", "otel_exporter_otlp_endpoint"),
    )
    @classmethod
    def _is_of_a_web_server(cls, value: str, info: ValidationInfo) -> str:
        parts = web_address.read(value, "http", "https")
        if value and parts is None:
            raise ValueError("it must be http:// or https://, and a host")
        if parts and info.field_name == "public_base_url" and not web_address.is_a_host_alone(parts):
            raise ValueError("it must be a scheme and a host, no path and nothing else")
        if value and info.field_name == "sentry_dsn" and not web_address.is_a_dsn(parts):
            raise ValueError("it must be https://key@host/project, as Sentry shows it under Client Keys")
        return value

    @field_validator("flower_basic_auth")
    @classmethod
    def _is_of_users_with_passwords(cls, value: str) -> str:
        for each in production.listed(value):
            user, _, password = each.partition(":")
            if not (user and password):
                raise ValueError("it must be user:password, or several with a comma between them")
        return value

    @field_validator(*production.RULES)
    @classmethod
    def _suits_production(cls, value: object, info: ValidationInfo) -> object:
        """The last of the validators: what it judges has the right form."""
        # If APP_ENV itself is wrong, it is missing here, and the rules hold.
        if info.data.get("app_env") is not AppEnv.DEVELOPMENT:
            production.RULES[str(info.field_name)](value)
        return value

    @model_validator(mode="after")
    def _production_has_a_limit(self) -> Self:
        rates = (self.rate_per_credential, self.rate_per_call, self.rate_per_phone)
        if not self.development and not any(rates):
            raise ValueError(
                "RATE_PER_CREDENTIAL, RATE_PER_CALL and RATE_PER_PHONE are all 0: in production one of them"
                " must be a limit"
            )
        return self

    @cached_property
    def _web(self) -> WebCapacity:
        return WebCapacity(
            self.web_concurrency, self.web_threads, self.database_pool, bool(self.system_database_url)
        )

    @property
    def web_processes(self) -> int:
        """How many web processes there are: as many as asked for, within what the connections allow."""
        return self._web.processes

    @property
    def web_pool(self) -> int:
        """PostgreSQL connections of one web process, both roles together."""
        return self._web.pool

    @property
    def system_pool(self) -> int:
        """The connections of that pool that are kept for the second role; 0 if there is none."""
        return self._web.system_pool

    @property
    def threads_of_web(self) -> int:
        """Threads of one web process."""
        return self._web.threads

    @property
    def proxies_in_front(self) -> int:
        """How many reverse proxies stand in front of the web: as set, or as a known platform has."""
        if self.proxies is not None:
            return self.proxies
        return next(
            (number for name, number in platforms.PROXIES_OF_PLATFORMS.items() if os.environ.get(name)), 0
        )

    @property
    def proxy_is_overlooked(self) -> bool:
        """Whether there must be a proxy that PROXIES does not count: our address is https, we speak http."""
        return not self.proxies_in_front and urlsplit(self.public_base_url).scheme == "https"

    @property
    def listen_host(self) -> str:
        """The IP address that the web and Flower listen on, without brackets if it is IPv6."""
        return self.host if web_address.is_listened_on(self.host) else "0.0.0.0"  # noqa: S104 -- as platforms expect

    @property
    def web_port(self) -> int:
        return self.port or 3001

    @property
    def port_of_flower(self) -> int:
        return self.flower_port or self.port or 5555

    @cached_property
    def redis(self) -> redis_address.RedisAddress:
        """REDIS_URL as everything that speaks to Redis is to read it."""
        return redis_address.read(self.redis_url, accept_self_signed=self.redis_self_signed)

    @property
    def development(self) -> bool:
        return self.app_env is AppEnv.DEVELOPMENT

    def cookie_name(self, name: str) -> str:
        """The name of a cookie. In production its prefix restricts it to TLS and to this host."""
        return name if self.development else f"__Host-{name}"

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The names of the keys that can be read with; the first one is written with."""
        return self._keys.ids

    def subkey(self, purpose: str, key_id: str | None = None) -> bytes:
        """The 32-byte key for one purpose, from the current SECRET_KEY unless `key_id` names a former one.

        Raises UnknownKey.
        """
        return self._keys.subkey(purpose, key_id)

    @cached_property
    def _keys(self) -> KeyRing:
        return KeyRing(self.secret_key or DEVELOPMENT_KEY, production.listed(self.former_secret_keys))


def is_ignored(name: str, value: str) -> bool:
    """Whether the field takes a number, and nobody can have meant this value as one."""
    if isinstance(Settings.model_fields[name].default, str) or not value.strip():
        return False
    if name not in _SET_BY_PLATFORMS:
        return platforms.names_a_service(value) and not Settings.model_fields[name].is_required()
    return not re.fullmatch(r"\s*[+-]?[0-9]{1,30}(\.0*)?\s*", value)


#: Those of the application that is at work in this thread, where it has its own (webapp/state.py).
_of_the_application: ContextVar[Settings | None] = ContextVar("settings", default=None)


def get() -> Settings:
    """Those of the application at work, else of this process. Raises SettingsError for what is wrong."""
    return _of_the_application.get() or of_process()


def get_or_exit() -> Settings:
    """Likewise for the entry point of a process, which ends with that message where they are wrong."""
    try:
        return get()
    except SettingsError as error:
        sys.exit(str(error))


@contextmanager
def using(config: Settings | None) -> Iterator[None]:
    """`get` returns these inside of the block, in this thread; with None, those of the process."""
    before = _of_the_application.set(config)
    try:
        yield
    finally:
        _of_the_application.reset(before)


@lru_cache(maxsize=1)
def of_process() -> Settings:
    """What the environment says; read at the first use, and not again. Raises SettingsError."""
    platforms.tidy(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"]).upper()
            lines.append(f"  {name + ': ' if name else ''}{problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError(
            "Holdline cannot start, its settings are incomplete or wrong:\n" + "\n".join(lines)
        ) from None
