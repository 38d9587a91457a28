"""Telephone calls, their tool calls and reports, and the facts that were taken from them."""
