"""Keeps commands running, and leaves none behind, however their starter ends.

Each command has a keeper: this file, run as a small process in a session of its own. The keeper starts the
command again when it dies, and stops it when standard input ends, which also happens when the starter is
killed with kill -9. It uses only the standard library, and nothing that exists on Linux alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import subprocess
import sys
import time
from multiprocessing import connection
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

GRACE = 8.0  # seconds between the stop signal and kill -9
EARLY = 5.0  # a command that ends within this time has failed to start
EARLY_DEATHS = 3  # this many in a row are a failure
LOG_LIMIT = 5_000_000  # bytes; a longer log is set aside at the next start


class ProcessFailedError(RuntimeError):
    """A process cannot be kept running; the message ends with the last lines of its log."""


@dataclasses.dataclass(frozen=True)
class Process:
    """A command, and everything that its keeper must know."""

    name: str
    command: list[str]
    log: str
    env: Mapping[str, str]
    cwd: str = "/"
    stdin: str = ""  # the command's standard input; secrets are safe here, unlike in arguments and files
    stop_signal: int = signal.SIGTERM
    account: tuple[int, int] | None = None  # user and group id to run as, when we are root
    inherit: tuple[int, ...] = ()  # file descriptors that stay open, such as a lock
    once: bool = False  # it is not started again after its end


def procfile(path: Path) -> dict[str, str]:
    """The lines of a Procfile by name. Each must begin with `exec`, or signals would stop at a shell."""
    entries = {}
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, command = line.partition(":")
        if not command.strip().startswith("exec "):
            raise ValueError(f"{path.name}: the line of {name!r} does not start with 'exec'")
        entries[name.strip()] = command.strip()
    return entries


# The keeper process.


def keep() -> None:
    with open(0, "rb", buffering=0, closefd=False) as starter:  # unbuffered: then only its end matters
        process = Process(**json.loads(starter.readline()))
    bell, ringer = os.pipe()
    os.set_blocking(ringer, False)
    signal.set_wakeup_fd(ringer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def told_to_stop(seconds: float | None) -> bool:
        """Sleep until told to stop, until a child ends, or for some seconds."""
        ready, _, _ = select.select([0, bell], [], [], seconds)
        rung = os.read(bell, 512) if bell in ready else b""
        return 0 in ready or signal.SIGTERM in rung or signal.SIGINT in rung

    crashes = short_lives = 0
    while True:
        started = time.monotonic()
        try:
            child = _spawn(process)
        except OSError as error:
            return _tell(f"failed cannot start: {error}")
        _tell(f"pid {child.pid}")
        while child.poll() is None:
            if told_to_stop(None):
                return _end(child, process.stop_signal)
        # Processes that it leaves, such as the workers of a killed gunicorn, would still hold its port.
        _kill_group(child.pid)
        if process.once:
            return _tell(f"ended {child.returncode}")
        early = time.monotonic() - started < EARLY
        short_lives = short_lives + 1 if early else 0
        # kill -9 comes from outside, and does not show whether the command can run.
        killed = child.returncode == -signal.SIGKILL
        crashes = crashes + (not killed) if early else 0
        if crashes == EARLY_DEATHS:
            return _tell(f"failed {_how(child.returncode)}")
        _tell(f"died {_how(child.returncode)}")
        if told_to_stop(min(0.1 * 2**short_lives, 2.0)):
            return None


def _spawn(process: Process) -> subprocess.Popen[bytes]:
    user, group = process.account or (None, None)
    child = subprocess.Popen(
        process.command,
        stdin=subprocess.PIPE if process.stdin else subprocess.DEVNULL,
        stdout=2,  # our own standard error is the log
        stderr=2,
        cwd=process.cwd,
        env=process.env,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
        pass_fds=process.inherit,
        process_group=0,
    )
    if child.stdin:
        with contextlib.suppress(BrokenPipeError), child.stdin:
            child.stdin.write(process.stdin.encode())
    return child


def _end(child: subprocess.Popen[bytes], stop_signal: int) -> None:
    for _ in range(4):  # more than once, because Celery loses a signal while it boots
        child.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE / 4)
            break
    _kill_group(child.pid)
    child.wait()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says "permission" of zombies
        os.killpg(pid, signal.SIGKILL)


def _how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"


def _tell(event: str) -> None:
    with contextlib.suppress(OSError):  # the starter may be gone
        os.write(1, f"{event}\n".encode())


# The starter's side.


class Keeper:
    """The starter's end of one keeper process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.pid: int | None = None  # of the command
        self.failed: str | None = None
        self.returncode: int | None = None  # of a command with `once`
        self.start()

    def start(self) -> None:
        log = Path(self.process.log)
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(f"{log}.1")
        self._log_start = log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                start_new_session=True,  # Ctrl-C in the terminal goes to the starter only
                pass_fds=self.process.inherit,
                bufsize=0,
            )
        self._pipe(self._keeper.stdin).write(json.dumps(dataclasses.asdict(self.process)).encode() + b"\n")
        os.set_blocking(self.fileno(), False)
        self._unread = b""

    def fileno(self) -> int:
        return self._pipe(self._keeper.stdout).fileno()

    def events(self) -> list[str]:
        """The events since the last look, in words. Never waits."""
        try:
            data = os.read(self.fileno(), 65536)
        except BlockingIOError:
            return []
        if not data:
            return [] if self.ended else [self._revive()]
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [words for line in lines if (words := self._take(line.decode()))]

    @property
    def ended(self) -> bool:
        return self.failed is not None or self.returncode is not None

    def tail(self) -> str:
        """The last 20 lines of the log since our start."""
        written = Path(self.process.log).read_bytes()[self._log_start :]
        return "\n".join(f"  {line}" for line in written.decode(errors="replace").splitlines()[-20:])

    def let_go(self) -> None:
        """Tell the keeper to stop; `wait` waits for it."""
        self._pipe(self._keeper.stdin).close()

    def wait(self) -> None:
        try:
            self._keeper.wait(GRACE + 2)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()
        self._bury()

    def _take(self, event: str) -> str:
        word, _, rest = event.partition(" ")
        if word == "pid":
            self.pid = int(rest)
        elif word == "ended":
            self.returncode = int(rest)
        elif word == "failed":
            self.failed = rest
        elif word == "died":
            return f"{self.process.name} died ({rest}); starting it again"
        return ""

    def _revive(self) -> str:
        """Start keeper and command again after the keeper died. Returns the event in words."""
        self.let_go()
        self._keeper.wait()
        self._bury()
        self.start()
        return f"the keeper of {self.process.name} died; starting both again"

    def _bury(self) -> None:
        """Kill what a killed keeper left running, and close our end of the pipe."""
        if self._keeper.returncode != 0:
            with contextlib.suppress(BlockingIOError):
                for line in os.read(self.fileno(), 65536).split(b"\n"):
                    self._take(line.decode())
            if self.pid is not None:
                _kill_group(self.pid)
        self._pipe(self._keeper.stdout).close()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # noqa: S101 -- Popen was asked for a pipe
        return pipe


def stop(keepers: Iterable[Keeper]) -> None:
    """Stop all keepers at once, and return when they are gone."""
    keepers = list(keepers)
    for keeper in keepers:
        keeper.let_go()
    for keeper in keepers:
        keeper.wait()


class Supervisor:
    """Watches keepers: says what happens to their commands, and raises when one cannot run."""

    def __init__(self, say: Callable[[str], None] = print, others: Iterable[Keeper] = ()) -> None:
        self._say = say
        self._others = list(others)  # watched as well, but stopped by their starter
        self._ours: list[Keeper] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop(self._ours)

    def start(self, process: Process) -> Keeper:
        keeper = Keeper(process)
        self._ours.append(keeper)
        return keeper

    def run(self, process: Process) -> None:
        """Run a command to its end; raises ProcessFailedError unless it succeeds."""
        keeper = self.start(dataclasses.replace(process, once=True))
        while not keeper.ended:
            self.watch(1.0)
        if keeper.returncode:
            raise ProcessFailedError(
                f"{process.name} failed ({_how(keeper.returncode)})."
                f" The end of {process.log}:\n{keeper.tail()}"
            )

    def watch(self, seconds: float) -> None:
        """Say what happens; returns after `seconds` or the first event.

        Raises ProcessFailedError when a command died three times at its start.
        """
        watched = [keeper for keeper in [*self._ours, *self._others] if not keeper.ended]
        connection.wait([keeper.fileno() for keeper in watched], seconds)
        for keeper in watched:
            for event in keeper.events():
                self._say(event)
            if keeper.failed:
                raise ProcessFailedError(
                    f"{keeper.process.name} does not run ({keeper.failed})."
                    f" The end of {keeper.process.log}:\n{keeper.tail()}"
                )


if __name__ == "__main__":
    keep()
