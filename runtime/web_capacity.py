"""How many processes, threads and PostgreSQL connections the web has, given what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

#: PostgreSQL connections that the web processes of one machine share. With the workers' five they leave
#: room for a release and for an operator within the 20 of a small plan.
WEB_CONNECTIONS = 10
#: The same if there is a second role, which doubles the connections of each worker.
WEB_CONNECTIONS_OF_TWO_ROLES = 8
#: With more web processes than this, each would have fewer than two PostgreSQL connections.
MOST_WEB_PROCESSES = 4
#: With more threads than this to one connection, some would wait for it longer than a request can.
THREADS_PER_CONNECTION = 32
MOST_THREADS = 128


@dataclass(frozen=True, slots=True)
class WebCapacity:
    """What was asked for, and what the web has instead if the connections do not allow that."""

    processes_asked: int
    threads_asked: int
    #: Connections of each process; 0 divides those of the machine among the processes.
    pool_asked: int
    two_roles: bool

    @property
    def processes(self) -> int:
        return min(max(self.processes_asked, 1), MOST_WEB_PROCESSES)

    @property
    def pool(self) -> int:
        """PostgreSQL connections of one web process, both roles together."""
        if not self.two_roles:
            return self.pool_asked or WEB_CONNECTIONS // self.processes
        # Each role has at least one connection; a pool size of 0 would mean no limit.
        return max(2, self.pool_asked or WEB_CONNECTIONS_OF_TWO_ROLES // self.processes)

    @property
    def system_pool(self) -> int:
        """The connections of the pool that are kept for the second role; 0 if there is no second role."""
        return max(1, self.pool // 3) if self.two_roles else 0

    @property
    def threads(self) -> int:
        """Threads of one web process."""
        return min(max(self.threads_asked, 2), max(2, THREADS_PER_CONNECTION * self.pool), MOST_THREADS)
