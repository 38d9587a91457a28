"""How a request gets from a socket to a thread of the web: only when all of it is there."""
