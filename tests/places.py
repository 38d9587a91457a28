"""Where the project is, and a port that is free."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

#: Bound, and never listened on, until this process ends.
_kept: list[socket.socket] = []


def free_port() -> int:
    """A port for a server that is started later; nobody listens on it until then.

    It stays ours meanwhile. Were it only looked up, any connection that another process makes could be given
    it as its own end, and the server would not start. Linux lets a server have a port that is bound by
    somebody who does not listen, if both say SO_REUSEADDR, as servers do; elsewhere it is only looked up.
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
