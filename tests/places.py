"""The project's folder, and free ports."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Sockets that are bound, but do not listen, until this process ends.
_kept: list[socket.socket] = []


def free_port() -> int:
    """A port for a server that is started later; no process listens on it until then.

    The port stays ours meanwhile. If it were only looked up, the system could give it to another process's
    outgoing connection, and the server would not start. Linux lets a server bind a port that another socket
    has bound without listening, if both set SO_REUSEADDR, as servers do; elsewhere it is only looked up.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    if sys.platform == "linux":
        _kept.append(probe)
    else:
        probe.close()
    return port
