"""Checks of the running database and Redis before a process begins to serve.

A finding that would break a promise forbids the start. A check that cannot be made is only a warning: the
product starts and answers while the database or Redis is away.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Callable, Iterable, Iterator

import redis

import settings
from runtime import platforms
from runtime.findings import Notice, Problem
from runtime.masking import mask

log = logging.getLogger(__name__)

#: The exit status. Gunicorn takes it for "the application cannot start" and stops, instead of starting
#: the worker again and again.
REFUSED = 3


#: Variables that a platform sets by itself: Heroku, Render, Railway, Fly, Cloud Run, App Service.
PLATFORMS = ("DYNO", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME", "K_SERVICE", "WEBSITE_SITE_NAME")


#: Checks the database. It is an argument, because this module does not know the domain.
Look = Callable[[], Iterable[Problem | Notice]]


def problems(database: Look) -> list[str]:
    """The findings that forbid the start, each as a sentence that says how to mend it."""
    return [found for found in _look(database) if isinstance(found, Problem)]


def warnings(database: Look) -> list[str]:
    """The findings that the operator should know, and the checks that could not be made."""
    return [found for found in _look(database) if isinstance(found, Notice)]


def refuse_to_start(database: Look) -> None:
    """Log the notices; if there are problems, write all to standard error and exit with REFUSED."""
    found = list(_look(database))
    for notice in found:
        if isinstance(notice, Notice):
            log.warning("%s", notice)
    fatal = [problem for problem in found if isinstance(problem, Problem)]
    if fatal:
        sys.stderr.write("\n  ".join(["Holdline does not start:", *fatal]) + "\n")
        raise SystemExit(REFUSED)


def redis_client() -> redis.Redis:
    """A client of the broker that waits for it no longer than a request does."""
    config = settings.get()
    return redis.Redis(**config.redis.client(patience=config.broker_timeout))


def no_answer_of_redis(error: redis.RedisError) -> str:
    """Why Redis could not be asked, as the end of a sentence that begins "Redis", without its address."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"has a certificate that is not trusted ({cause.verify_message}); where it is self-signed,"
                " set REDIS_SELF_SIGNED=true, else name its authority: REDIS_URL=…?ssl_ca_certs=/path"
            )
        if isinstance(cause, ssl.SSLError):
            return f"does not speak TLS as REDIS_URL asks for ({cause.reason}); redis:// is without it"
        if isinstance(cause, redis.AuthenticationError):
            return "refuses the user or the password of REDIS_URL"
        if isinstance(cause, redis.ResponseError):
            return f"refuses what REDIS_URL asks for ({mask(str(cause))})"
    return f"does not answer ({type(error).__name__})"


def _look(database: Look) -> Iterator[Problem | Notice]:
    """In development only the lack of credentials can forbid the start; all other findings are notices."""
    for name in platforms.ignored:
        yield Notice(f"{name} is ignored: the broker is what REDIS_URL names, and there is no other.")
    if not settings.get().development:
        yield from _debugging()
        yield from database()
        yield from _redis()
        return
    for name in PLATFORMS:
        if name in os.environ:
            yield Problem(
                f"APP_ENV is development on a managed platform ({name} is set), so tool calls would be"
                " answered without a credential: unset APP_ENV there."
            )
    if settings.get().public_base_url.startswith("https://"):
        yield Notice(
            "APP_ENV is development, and PUBLIC_BASE_URL is for the world: whoever reaches it needs no"
            " credential. Unset APP_ENV where that is not one machine's own trial."
        )
    yield from map(Notice, (*database(), *_redis()))


def _debugging() -> Iterator[Problem]:
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no"):
        yield Problem("FLASK_DEBUG is on, and shows code and values to whoever meets an error: unset it.")


# --- Redis --------------------------------------------------------------------------------------


def _redis() -> Iterator[Problem | Notice]:
    try:
        with redis_client() as client:
            client.ping()
            policy = _policy(client)
    except redis.RedisError as error:
        yield Notice(f"Redis {no_answer_of_redis(error)}: SMS wait in the database meanwhile.")
    else:
        if isinstance(policy, redis.ResponseError):
            yield _unknown_policy(type(policy).__name__)
        elif policy is None:
            yield _unknown_policy("INFO does not name it")
        elif policy != "noeviction":
            yield Problem(
                f"Redis throws keys away when it is full (maxmemory-policy {policy}), and tasks with them:"
                " run `CONFIG SET maxmemory-policy noeviction`, or choose it where the platform offers it."
            )


def _policy(client: redis.Redis) -> str | redis.ResponseError | None:
    """What Redis does when it is full; the error if the platform refuses to say."""
    try:
        policy: str | None = client.info("memory").get("maxmemory_policy")
    except redis.ResponseError as error:
        return error
    return policy


def _unknown_policy(why: str) -> Notice:
    return Notice(f"Redis does not tell its maxmemory-policy ({why}): make sure that it is noeviction.")
