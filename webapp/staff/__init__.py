"""The dashboard for a clinic's signed-in staff: the calls as they come, leads, messages and figures."""
