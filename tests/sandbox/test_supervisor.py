"""The supervisor with tiny stand-in commands: what dies is started again, and nothing is left behind."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from sandbox import supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(supervisor.__file__).parent.parent
# A command with a child of its own, as gunicorn and Celery have.
FAMILY = "sleep 1000 & exec sleep 1000"


def process(tmp_path: Path, script: str, *, inherit: tuple[int, ...] = ()) -> supervisor.Process:
    command = ["/bin/sh", "-c", script]
    return supervisor.Process(
        "worker", command, str(tmp_path / "worker.log"), dict(os.environ), inherit=inherit
    )


def until(done: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def watch_until(watcher: supervisor.Supervisor, done: Callable[[], bool]) -> None:
    def watched() -> bool:
        watcher.watch(0.1)
        return done()

    until(watched)


def free(lock: IO[str]) -> bool:
    """Whether no process is left that inherited the lock: unlike a pid, it cannot be taken for another's."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "lock").open("w") as file:
        yield file


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def watcher(said: list[str]) -> Iterator[supervisor.Supervisor]:
    with supervisor.Supervisor(said.append) as watcher:
        yield watcher


def pid_of(watcher: supervisor.Supervisor, keeper: supervisor.Keeper) -> int:
    watch_until(watcher, lambda: keeper.pid is not None)
    assert keeper.pid is not None
    return keeper.pid


def test_a_killed_command_is_started_again(
    tmp_path: Path, watcher: supervisor.Supervisor, said: list[str]
) -> None:
    keeper = watcher.start(process(tmp_path, FAMILY))
    for _ in range(supervisor.EARLY_DEATHS):  # somebody's kill -9 is not the command's own failure
        pid, keeper.pid = pid_of(watcher, keeper), None
        os.kill(pid, signal.SIGKILL)
        assert pid_of(watcher, keeper) != pid
    assert said == ["worker died (signal 9); starting it again"] * 3


def test_its_children_do_not_outlive_a_command(
    tmp_path: Path, watcher: supervisor.Supervisor, lock: IO[str]
) -> None:
    keeper = watcher.start(process(tmp_path, FAMILY, inherit=(lock.fileno(),)))
    os.kill(pid_of(watcher, keeper), signal.SIGKILL)
    supervisor.stop([keeper])
    with (tmp_path / "lock").open("w") as other:
        lock.close()
        until(lambda: free(other), 2.0)


def test_three_quick_deaths_are_a_failure_that_shows_the_log(
    tmp_path: Path, watcher: supervisor.Supervisor, said: list[str]
) -> None:
    (tmp_path / "worker.log").write_text("of an earlier run\n")
    watcher.start(process(tmp_path, "seq 1 30; exit 3"))
    with pytest.raises(supervisor.ProcessFailedError) as failure:
        watch_until(watcher, lambda: False)
    lines = str(failure.value).splitlines()
    assert "worker does not run (exit code 3)" in lines[0]
    assert [line.strip() for line in lines[1:]] == [str(number) for number in range(11, 31)]
    assert said == ["worker died (exit code 3); starting it again"] * 2


def test_a_command_that_cannot_start_is_a_failure(tmp_path: Path, watcher: supervisor.Supervisor) -> None:
    watcher.start(supervisor.Process("web", ["/nonexistent"], str(tmp_path / "web.log"), {}))
    with pytest.raises(supervisor.ProcessFailedError, match="cannot start"):
        watch_until(watcher, lambda: False)


def test_a_command_that_runs_once_must_end_well(tmp_path: Path, watcher: supervisor.Supervisor) -> None:
    watcher.run(process(tmp_path, "echo done"))
    with pytest.raises(supervisor.ProcessFailedError, match=r"exit code 2(.|\n)*no such table"):
        watcher.run(process(tmp_path, "echo no such table; exit 2"))


def test_a_command_that_swallows_the_first_signal_is_asked_again(
    tmp_path: Path, watcher: supervisor.Supervisor, lock: IO[str]
) -> None:
    script = "trap 'trap - TERM' TERM; echo trapped; while :; do sleep 0.1; done"
    keeper = watcher.start(process(tmp_path, script))
    until(lambda: "trapped" in keeper.tail())
    started = time.monotonic()
    supervisor.stop([keeper])
    assert time.monotonic() - started < supervisor.GRACE / 2


def test_a_killed_keeper_is_replaced_together_with_its_command(
    tmp_path: Path, watcher: supervisor.Supervisor, said: list[str]
) -> None:
    keeper = watcher.start(process(tmp_path, FAMILY))
    orphan, keeper.pid = pid_of(watcher, keeper), None
    keeper._keeper.kill()
    keeper.pid = orphan
    watch_until(watcher, lambda: bool(said))
    assert said == ["the keeper of worker died; starting both again"]
    watch_until(watcher, lambda: keeper.pid != orphan)


# Ends with its standard input, so that nothing outlives a pytest that is killed.
HOLDER = """
import fcntl, os, sys
from sandbox import supervisor
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
with supervisor.Supervisor() as processes:
    for name in ("web", "worker"):
        processes.start(supervisor.Process(
            name, ["/bin/sh", "-c", sys.argv[3]], sys.argv[2], dict(os.environ), inherit=(lock.fileno(),)))
    while not all(keeper.pid for keeper in processes._ours):
        processes.watch(0.1)
    print("started", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("end", ["kill -9", "end of input"])
def test_nothing_is_left_however_the_supervisor_ends(tmp_path: Path, lock: IO[str], end: str) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock"), str(tmp_path / "log"), FAMILY]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "started\n"
        assert not free(lock)
        if end == "kill -9":
            holder.kill()
        else:
            holder.stdin.close()
        until(lambda: free(lock), 5.0)


def test_the_procfile_names_every_process_and_hides_none_behind_a_shell(tmp_path: Path) -> None:
    names = supervisor.procfile(ROOT / "Procfile")
    assert set(names) == {"release", "web", "worker", "worker_otp", "beat", "flower"}
    (tmp_path / "Procfile").write_text("# comment\n\nweb: gunicorn wsgi:app\n")
    with pytest.raises(ValueError, match="does not start with 'exec'"):
        supervisor.procfile(tmp_path / "Procfile")
