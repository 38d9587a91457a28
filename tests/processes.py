"""The lines of the Procfile as processes of their own, on the database and the Redis of the tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.places import ROOT

#: Celery's command, as the Procfile has it.
CELERY = (sys.executable, "-m", "celery", "-A", "tasks.app")

PROCFILE = dict(
    line.split(": ", 1)
    for line in (ROOT / "Procfile").read_text().splitlines()
    if line and not line.startswith("#")
)


@contextlib.contextmanager
def running(name: str, log: Path, *under: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run one line of the Procfile, `under` another command if one is given, until the block ends.

    Its output goes to `log`.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*under, "/bin/sh", "-c", PROCFILE[name]],
            cwd=ROOT,
            env=os.environ | {"PATH": path} | env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(process.pid)
            for each in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        process.wait(30)
