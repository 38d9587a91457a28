"""A worker that is killed at its n-th line of our code: `python -m tests.tasks.dying_worker`.

Reads lines of "clinic message n", and answers each with "killed" and the place, or "done" if the task ended
before its n-th line. Each task runs in a process of its own, forked before any connection.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from models.base.session import engine
from tasks.messaging import deliver_sms

FILES = (
    "/tasks/messaging.py",
    "/tasks/delivery.py",
    "/tasks/providers/twilio.py",
    "/models/messaging/messages.py",
    "/models/messaging/outbox.py",
    "/models/messaging/outcomes.py",
    "/models/messaging/limits.py",
    "/models/clinics/allowances.py",
    "/models/messaging/senders.py",
    "/models/base/session.py",
)


def killing_at(line: int, answer: int) -> Callable[[FrameType, str, Any], Any]:
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if not frame.f_code.co_filename.endswith(FILES):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"  # noqa: PTH119
                os.write(answer, f"killed {where}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def work(org_id: str, message_id: str, line: int) -> None:
    with engine().connect():
        pass  # before the trace, because connecting runs hundreds of lines of SQLAlchemy's
    sys.settrace(killing_at(line, sys.stdout.fileno()))
    try:
        deliver_sms.run(org_id=org_id, message_id=message_id)
    finally:
        sys.settrace(None)
    os.write(sys.stdout.fileno(), b"done\n")


def main() -> None:
    for asked in sys.stdin:
        org_id, message_id, line = asked.split()
        child = os.fork()
        if child == 0:
            work(org_id, message_id, int(line))
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
