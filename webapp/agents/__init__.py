"""The runner: one tool call, once, answered; and one adapter for each voice platform."""
