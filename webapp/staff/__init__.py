"""What the clinic's own people look at, signed in: the calls as they come, leads, messages and figures."""
