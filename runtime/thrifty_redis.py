"""Kombu's Redis transport with fewer connections: the channels of a process share what they can.

Kombu gives every channel two pools of its own, one of them opened for a single PING. A worker has five
channels, and small Redis plans allow 20 connections in all. Here the channels of a process share one
pool for all commands that do not block, and each keeps its own connection only while it waits on it.
"""

from __future__ import annotations

from typing import Any

import redis
from kombu.transport import redis as kombu_redis

#: One pool for each broker and database. redis-py's pools notice a fork, and begin again in the child.
_shared: dict[str, redis.ConnectionPool] = {}


# The stubs of kombu leave out what a subclass needs.
_Channel: Any = kombu_redis.Channel
_Transport: Any = kombu_redis.Transport


class Channel(_Channel):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Close the connection of the first PING; a channel that blocks on Redis opens it again.
        self.async_pool.disconnect(inuse_connections=False)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 (kombu's signature)
        """Kombu's parameters, but for a Unix socket if the settings name one."""
        path = self.connection.client.transport_options.get("socket_path")
        if path:
            self.connection_class = redis.UnixDomainSocketConnection
        params: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        if path:
            for name in ("host", "port", "socket_keepalive", "socket_keepalive_options"):
                params.pop(name, None)
            params["path"] = path
        return params

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:  # noqa: FBT001, FBT002 (kombu's signature)
        if asynchronous:
            own: redis.ConnectionPool = super()._get_pool(asynchronous=True)
            return own
        params = self._connparams()
        key = repr(sorted((name, str(value)) for name, value in params.items()))
        if key not in _shared:
            _shared[key] = super()._get_pool()
        self.keyprefix_fanout: str = self.keyprefix_fanout.format(db=params["db"])
        return _shared[key]

    def _disconnect_pools(self) -> None:
        self._pool = None  # other channels still use it
        super()._disconnect_pools()


class Transport(_Transport):  # type: ignore[misc]
    Channel = Channel
