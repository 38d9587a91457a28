"""Every setting of Holdline, typed, read once from the environment; imports nothing of ours."""

from __future__ import annotations

import hashlib
import hmac
import re
from enum import StrEnum
from functools import cached_property, lru_cache
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

DEVELOPMENT_KEY = "development-only-key-never-in-production"


class AppEnv(StrEnum):
    PRODUCTION = "production"
    DEVELOPMENT = "development"


class UnknownKey(LookupError):
    """Something was written with a SECRET_KEY that is neither the current one nor a former one."""


class SettingsError(RuntimeError):
    """The environment is incomplete or wrong; the message has one line per variable."""


class Settings(BaseSettings):
    """One field a variable of the environment, in upper case (`database_url` is DATABASE_URL).

    Durations are seconds unless the name says otherwise.
    """

    model_config = SettingsConfigDict(
        case_sensitive=False, extra="ignore", frozen=True, validate_default=True
    )

    app_env: AppEnv = Field(
        default=AppEnv.PRODUCTION, description="development also answers tool calls that bring no credential"
    )
    database_url: str = Field(min_length=1, description="PostgreSQL 15 or newer; postgres:// is understood")
    system_database_url: str = Field(
        default="",
        description="a second role for what belongs to no one clinic (sweeps, look-ups); else row security "
        "alone tells them apart",
    )
    redis_url: str = Field(min_length=1, description="the Celery broker; redis:// or rediss://")
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
        description="longest wait for another claim of one calendar; 0 waits for ever",
    )
    statement_timeout: float = Field(
        default=5.0, ge=0, le=60, description="longest SQL statement of a request, waits for locks apart"
    )
    sms_watch: float = Field(
        default=2.0, ge=0, le=10, description="how long a tool may watch its SMS being handed to Twilio"
    )
    broker_timeout: float = Field(default=1.0, gt=0, le=5, description="longest wait for Redis in a request")
    web_concurrency: int = Field(default=2, ge=1, le=16, description="web processes")
    web_threads: int = Field(default=16, ge=2, le=128, description="threads of each web process")
    database_pool: int = Field(default=5, ge=1, le=64, description="connections of each web process")
    rate_per_credential: float = Field(
        default=100.0,
        ge=0,
        description="requests a second of one credential to one web process; 0: any number",
    )
    rate_per_call: float = Field(
        default=20.0,
        ge=0,
        description="requests a second of one telephone call to one web process; 0: any number",
    )
    rate_per_phone: float = Field(
        default=25.0,  # more than one call may: another can begin as it ends, or come by the same switchboard
        ge=0,
        description="requests a second of one telephone, in all its calls, to one web process; 0: any number",
    )
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="a larger request is refused")
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

    @field_validator("database_url", "system_database_url")
    @classmethod
    def _is_of_a_database(cls, value: str) -> str:
        if value and not _names_a_database(value):
            raise ValueError("it must be postgresql://user:password@host:port/database")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_of_a_redis(cls, value: str) -> str:
        if _address(value, "redis", "rediss") is None:
            raise ValueError(
                "it must be redis://:password@host:port/0, or the same with rediss://;"
                " /, ? and # in the password are written %2F, %3F and %23"
            )
        return value

    @field_validator("public_base_url", "twilio_api_base_url", "vapi_api_base_url")
    @classmethod
    def _is_of_a_web_server(cls, value: str, info: ValidationInfo) -> str:
        parts = _address(value, "http", "https")
        if parts is None:
            raise ValueError("it must be http:// or https://, and a host")
        # A slash at the end is no path: whoever adds one takes it off before.
        beside = (parts.path.strip("/"), parts.query, parts.fragment, parts.username)
        if info.field_name == "public_base_url" and any(beside):
            raise ValueError("it must be a scheme and a host, no path and nothing else")
        return value

    @field_validator("secret_key")
    @classmethod
    def _production_has_its_own_secret(cls, value: str, info: ValidationInfo) -> str:
        in_production = info.data.get("app_env") is not AppEnv.DEVELOPMENT
        if in_production and (len(value) < 32 or value == DEVELOPMENT_KEY):
            raise ValueError("in production it must be a secret of your own, 32 characters or more")
        return value

    @field_validator("former_secret_keys")
    @classmethod
    def _production_never_had_the_known_one(cls, value: str, info: ValidationInfo) -> str:
        in_production = info.data.get("app_env") is not AppEnv.DEVELOPMENT
        short = [key for key in value.split(",") if key.strip() and len(key.strip()) < 32]
        if in_production and (short or DEVELOPMENT_KEY in value):
            raise ValueError(
                "in production each of them must be 32 characters or more, and none of them public"
            )
        return value

    @property
    def development(self) -> bool:
        return self.app_env is AppEnv.DEVELOPMENT

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The names of the keys that can be read with; the first one is written with."""
        return tuple(self._roots)

    def subkey(self, purpose: str, key_id: str | None = None) -> bytes:
        """The 32-byte key for one purpose. Keys for different purposes say nothing about each other.

        Without `key_id` it is of the current SECRET_KEY. Raises UnknownKey.
        """
        try:
            root = self._roots[key_id or self.key_ids[0]]
        except KeyError:
            raise UnknownKey(f"no SECRET_KEY here is called {key_id}") from None
        return hmac.new(root, f"holdline/{purpose}".encode(), hashlib.sha256).digest()

    @cached_property
    def _roots(self) -> dict[str, bytes]:
        former = (key.strip() for key in self.former_secret_keys.split(","))
        keys = [self.secret_key or DEVELOPMENT_KEY, *filter(None, former)]
        return {
            hashlib.sha256(b"holdline/key-id/" + key.encode()).hexdigest()[:8]: key.encode() for key in keys
        }


def _names_a_database(url: str) -> bool:
    """Whether it is of PostgreSQL and has a host, read as the engine does: a password may hold slashes."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the port's, which may quote half of a password
        return False
    known = parsed.get_backend_name() in ("postgres", "postgresql")
    return known and bool(parsed.host or parsed.query.get("host"))  # a socket's folder is in the query


def _address(url: str, *schemes: str) -> SplitResult | None:
    """A URL of one of these schemes, in its parts; None if it is another, or no host or port can be read."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 -- reading it is what tells; its error may quote half of a password
    except ValueError:
        return None
    return parts if parts.scheme in schemes and parts.hostname and not re.search(r"\s", url) else None


@lru_cache(maxsize=1)
def get() -> Settings:
    """The settings of this process.

    Raises SettingsError naming every missing or wrong variable at once.
    """
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
