"""The runner, which runs each tool call once and answers it; and one adapter for each voice platform."""
