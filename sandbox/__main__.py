"""`python -m sandbox up | demo | psql | urls`: Holdline on one machine, as make starts it."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback for a Ctrl-C during the imports

import redis  # noqa: E402
from celery import Celery  # noqa: E402
from kombu.exceptions import OperationalError  # noqa: E402
from sqlalchemy import NullPool, create_engine  # noqa: E402
from sqlalchemy.exc import DBAPIError  # noqa: E402

import celeryconfig  # noqa: E402
import settings  # noqa: E402
from models.base.session import sqlalchemy_url  # noqa: E402
from runtime import platforms, preflight  # noqa: E402
from sandbox import data_folder, demo, services, supervisor  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

ROOT = Path(__file__).resolve().parent.parent
PORTS = {"WEB_PORT": 3001, "INBOX_PORT": 3002, "FLOWER_PORT": 5555, "PG_PORT": 5433, "REDIS_PORT": 6390}
PROCESSES = ("web", "worker", "worker_otp", "beat", "flower")  # of the Procfile
SERVERS = ("DATABASE_URL", "SYSTEM_DATABASE_URL", "REDIS_URL")
QUEUES = {"otp", "sms", "calls", "feeds", "housekeeping"}
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_LIMIT = 300.0  # seconds; for a busy machine only, since a process that cannot start is told at once


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="run everything until Ctrl-C")
    played = commands.add_parser("demo", help="run everything and play one phone call")
    played.add_argument(
        "--once", action="store_true", help="stop after the call; exit 0 only if it went well"
    )
    commands.add_parser("psql", help="an SQL session on the running database")
    commands.add_parser("urls", help="where the running copy is")
    arguments = parser.parse_args()
    try:
        match arguments.command:
            case "up":
                return _up()
            case "demo":
                return _up(story=True, once=arguments.once)
            case "psql":
                _psql()
            case _:
                print(*(f"{name} {url}" for name, url in _running_urls().items()), sep="\n")
                return 0
    except (services.ServicesError, supervisor.ProcessFailedError, settings.SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # such as `make up | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


# Up.


def _up(*, story: bool = False, once: bool = False) -> int:
    for number in STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup keeps it ignored
            signal.signal(number, _stop)
    starter = _surroundings()
    ports = _ports()
    data_dir = _data_dir()
    given = [name for name in SERVERS if os.environ.get(name)]
    clock = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - clock:5.1f}s  {text}", flush=True)

    say(f"starting Postgres and Redis; their data is in {data_dir}")
    with (
        services.running(
            data_dir,
            pg_port=ports["PG_PORT"],
            redis_port=ports["REDIS_PORT"],
            ports={name: ports[name] for name in ("WEB_PORT", "INBOX_PORT", "FLOWER_PORT")},
            database_url=os.environ.get("DATABASE_URL"),
            redis_url=os.environ.get("REDIS_URL"),
        ) as servers,
        supervisor.Supervisor(say, others=servers.keepers) as processes,
        _published(data_dir, servers, ports) as urls,
    ):
        os.environ.update(_environment(servers, ports))
        _connect_once(given)
        _start_processes(processes, data_dir, servers.lock, say)
        _await_ready(processes, ports["WEB_PORT"], say)
        print(f"database {urls['database']}\nredis {urls['redis']}\nlogs {data_dir / 'log'}")
        print(f"inbox {urls['inbox']} (what patients were sent)")
        print(f"flower {urls['flower']} (tasks; sign in with {os.environ['FLOWER_BASIC_AUTH']})")
        print(f"ready {urls['web']}", flush=True)
        if story:
            held = demo.tell_the_story(
                web_url=urls["web"], inbox_url=urls["inbox"], database_url=urls["database"]
            )
            if once:
                return 0 if held else 1
            print(f"{urls['web']} stays up; Ctrl-C stops everything", flush=True)
        while not _abandoned(starter):
            processes.watch(1.0)
        return 0


def _surroundings() -> tuple[int, bool]:
    return os.getppid(), sys.stdin.isatty()


def _abandoned(starter: tuple[int, bool]) -> bool:
    """Whether the make that started us was killed or lost its terminal, which make does not pass on.

    Only make asks for this (STOP_WITH_PARENT), because a shell may end on purpose, as with nohup.
    """
    return "STOP_WITH_PARENT" in os.environ and _surroundings() != starter


def _stop(number: int, _frame: object) -> NoReturn:
    for again in STOP_SIGNALS:
        signal.signal(again, signal.SIG_IGN)  # stopping takes seconds, and a second Ctrl-C would interrupt it
    with contextlib.suppress(OSError):
        print("\nstopping", flush=True)
    raise SystemExit(0 if number == signal.SIGINT else 128 + number)


def _environment(servers: services.Services, ports: dict[str, int]) -> dict[str, str]:
    """The variables that every process gets besides our own environment."""
    bin_dir = Path(sys.executable).parent
    wanted = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "PATH": f"{bin_dir}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "HOST": "127.0.0.1",
        "PORT": str(ports["WEB_PORT"]),
        "PYTHONUNBUFFERED": "1",
        **{name: str(port) for name, port in ports.items()},
    }
    defaults = {
        "APP_ENV": "development",
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{ports['WEB_PORT']}",
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{ports['INBOX_PORT']}",
        "PROXIES": "0",
        "FLOWER_BASIC_AUTH": "holdline:holdline",
        # Every call here, and in a load test, comes from the sample's number.
        "RATE_PER_PHONE": "0",
        # A browser on the live page must not hold up Ctrl-C.
        "GUNICORN_CMD_ARGS": "--graceful-timeout 3",
    }
    return wanted | {name: value for name, value in defaults.items() if not os.environ.get(name)}


def _connect_once(given: Collection[str]) -> None:
    """Read the settings, and ask each server that is not ours once.

    Without this, a release would report a silent server as a traceback, and a worker only after minutes.
    Raises SettingsError, or ServicesError with one line for each server that does not answer.
    """
    settings.get()
    problems = []
    for name in given:
        try:
            if name == "REDIS_URL":
                preflight.redis_client().ping()
            else:
                _connect(os.environ[name])
        except (DBAPIError, redis.RedisError) as error:
            why = " ".join(str(getattr(error, "orig", error)).split())
            problems.append(f"{name} names a server that cannot be used: {why}")
    if problems:
        raise services.ServicesError("\n".join(problems))


def _connect(database_url: str) -> None:
    timeout = {"connect_timeout": 3}
    engine = create_engine(sqlalchemy_url(database_url), poolclass=NullPool, connect_args=timeout)
    engine.connect().close()


def _start_processes(
    processes: supervisor.Supervisor, data_dir: Path, lock: int, say: Callable[[str], None]
) -> None:
    lines = supervisor.procfile(ROOT / "Procfile")

    def process(name: str, command: list[str]) -> supervisor.Process:
        log = str(data_dir / "log" / f"{name}.log")
        return supervisor.Process(name, command, log, dict(os.environ), cwd=str(ROOT), inherit=(lock,))

    say("release: " + lines["release"].removeprefix("exec "))
    processes.run(process("release", ["/bin/sh", "-c", lines["release"]]))
    if (ROOT / "sandbox" / "seed.py").exists():
        say("seed: a clinic to call")
        processes.run(process("seed", [sys.executable, "-m", "sandbox.seed"]))
    say(f"starting twilio, {', '.join(PROCESSES)}")
    processes.start(process("twilio", [sys.executable, "-m", "sandbox.twilio"]))
    for name in PROCESSES:
        processes.start(process(name, ["/bin/sh", "-c", lines[name]]))


def _await_ready(processes: supervisor.Supervisor, port: int, say: Callable[[str], None]) -> None:
    """Wait until the web says that it is ready and a worker of every queue has answered."""
    deadline = time.monotonic() + READY_LIMIT
    answer = ""
    while (answer := _readyz(port)) != "ready":
        _check_deadline(deadline, f"the web does not say that it is ready ({answer})")
        processes.watch(0.1)
    say("the web is ready")
    with Celery(set_as_current=False) as app:
        celeryconfig.configure(app, settings.get())
        app.conf.broker_pool_limit = 0  # the product's limit may be too small to ask and listen at once
        while missing := QUEUES - _queues_with_worker(app):
            _check_deadline(deadline, f"no worker answers for {', '.join(sorted(missing))}")
            processes.watch(0.1)
    say("a worker of every queue has answered")


def _check_deadline(deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise supervisor.ProcessFailedError(f"{problem}; the logs say more")


def _readyz(port: int) -> str:
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        web.request("GET", "/readyz")
        answer = web.getresponse()
        if answer.status == http.HTTPStatus.OK:
            return "ready"
        return f"{answer.status}: {answer.read(300).decode(errors='replace').strip()}"
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        web.close()


def _queues_with_worker(app: Celery) -> set[str]:
    try:
        answers = app.control.inspect(timeout=0.5).active_queues()
    except (OSError, OperationalError, redis.RedisError):  # Redis is restarting
        return set()
    return {queue["name"] for queues in (answers or {}).values() for queue in queues}


# Ports, folder and addresses.


def _ports() -> dict[str, int]:
    ports = {}
    for name, default in PORTS.items():
        value = os.environ.get(name) or str(default)
        if platforms.names_a_service(value):
            print(f"{name} is ignored: it was set by Kubernetes for a service, to {value}", file=sys.stderr)
            value = str(default)
        if not (value.isdecimal() and 0 < int(value) < 65536):
            raise services.ServicesError(f"{name} is {value!r}; set it to a number from 1 to 65535")
        ports[name] = int(value)
    if len(set(ports.values())) < len(ports):
        raise services.ServicesError(f"two of {', '.join(PORTS)} are the same; set them to different ports")
    return ports


def _data_dir() -> Path:
    if chosen := os.environ.get("HOLDLINE_DATA_DIR"):
        return Path(chosen).resolve()
    default = ROOT / "var"
    if data_folder.reachable(default):
        return default
    # The account of Postgres cannot enter root's home.
    digest = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
    return Path(f"/var/tmp/holdline-{os.geteuid()}-{digest}")  # noqa: S108 -- services checks whose it is


@contextlib.contextmanager
def _published(data_dir: Path, servers: services.Services, ports: dict[str, int]) -> Iterator[dict[str, str]]:
    """Write urls.json, from which the commands psql and urls learn where this copy is; yields the URLs."""
    urls = {"database": servers.database_url, "redis": servers.redis_url}
    for name, variable in (("web", "WEB_PORT"), ("inbox", "INBOX_PORT"), ("flower", "FLOWER_PORT")):
        urls[name] = f"http://127.0.0.1:{ports[variable]}"
    file = data_dir / "urls.json"
    data_folder.write_private(file, json.dumps({**urls, "bin_dir": str(servers.bin_dir or "")}))
    try:
        yield urls
    finally:
        file.unlink(missing_ok=True)


def _running_urls() -> dict[str, str]:
    data_dir = _data_dir()
    if data_folder.in_use(data_dir):  # a killed copy leaves its urls.json behind
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads((data_dir / "urls.json").read_text()))
    raise services.ServicesError("Holdline is not running here; start it with `make up`")


def _psql() -> NoReturn:
    """Become psql. The password goes through the environment, because every user can read arguments."""
    known = {} if os.environ.get("DATABASE_URL") else _running_urls()
    # With a second role, only that role may see every clinic.
    given = os.environ.get("SYSTEM_DATABASE_URL") or os.environ.get("DATABASE_URL", "")
    url = urlsplit(known.get("database") or given)
    psql = shutil.which("psql", path=known.get("bin_dir")) or shutil.which("psql")
    if psql is None:
        raise services.ServicesError("there is no psql; install PostgreSQL's client")
    user, host = url.netloc.rpartition("@")[::2]
    address = urlunsplit(("postgresql", f"{user.split(':')[0]}@{host}", url.path, url.query, ""))
    # An operator sees every clinic; row security would otherwise require one.
    environment = os.environ | {"PGOPTIONS": "-c app.scope=system"}
    if url.password:
        environment["PGPASSWORD"] = unquote(url.password)
    os.execve(psql, ["psql", "-v", "ON_ERROR_STOP=1", address], environment)  # noqa: S606 -- no shell wanted


if __name__ == "__main__":
    sys.exit(main())
