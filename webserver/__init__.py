"""How a request gets from a socket to a thread of the web: only when it has arrived whole."""
