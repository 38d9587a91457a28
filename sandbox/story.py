"""Tells a call: who said what, which tool answered what, which SMS arrived.

The events of the call are in sandbox/dialogue.py; this module only prints them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping

WIDTH = 100
MARGIN = 13  # where spoken words begin
PAUSE = 0.25  # seconds after each spoken line, so that a person can read along

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


class Teller:
    """Tells nothing; tests make the same calls with it."""

    def scene(self, title: str) -> None: ...

    def says(self, who: str, words: str) -> None: ...

    def tool(self, name: str, arguments: Mapping[str, object], text: str, ms: float) -> None: ...

    def event(self, text: str) -> None: ...

    def sms(self, to: str, body: str) -> None: ...

    def row(self, table: str, row: Mapping[str, object]) -> None: ...

    def look(self, what: str, where: str) -> None: ...

    def held(self, text: str) -> None: ...

    def failed(self, step: str, instead: str) -> None: ...


class Terminal(Teller):
    """Tells on standard output, line by line as it happens."""

    def __init__(self) -> None:
        self._alive = sys.stdout.isatty()
        self._coloured = self._alive and not os.environ.get("NO_COLOR")
        self._plain = "utf" not in (sys.stdout.encoding or "").lower()
        self._width = WIDTH
        if self._alive:
            self._width = max(60, min(WIDTH, shutil.get_terminal_size().columns))

    def scene(self, title: str) -> None:
        rule = "─" * max(0, self._width - len(title) - 6)
        self._print(f"\n{self._ink('── ', DIM)} {self._ink(title, BOLD)} {self._ink(rule, DIM)}")

    def says(self, who: str, words: str) -> None:
        colour = CYAN if who == "Agent" else YELLOW
        first, *more = self._wrapped(words, MARGIN)
        self._print()
        self._print(self._ink(f"{who + ':':<{MARGIN}}", colour) + first)
        for line in more:
            self._print(" " * MARGIN + line)
        if self._alive:
            time.sleep(PAUSE)

    def tool(self, name: str, arguments: Mapping[str, object], text: str, ms: float) -> None:
        took = f"{ms:.0f} ms"
        asked = ", ".join(f"{key}={_short(value)}" for key, value in arguments.items() if key != "tenantId")
        head = self._cut(f"▸ {name}({asked})", self._width - MARGIN - 9)
        gap = " " * (self._width - MARGIN - len(head) - len(took))
        self._print(" " * MARGIN + self._ink(head, BOLD) + gap + took)
        said, _, facts = _short(text).partition(" [")
        colour = RED if said.startswith("NOT BOOKED") else GREEN
        self._print(f"{'':{MARGIN}}  {self._ink(self._cut(said, self._width - MARGIN - 2), colour)}")
        if facts:
            self._print(f"{'':{MARGIN}}  {self._ink(self._cut('[' + facts, self._width - MARGIN - 2), DIM)}")

    def event(self, text: str) -> None:
        self._print("\n" + " " * MARGIN + self._ink(f"({text})", DIM))

    def sms(self, to: str, body: str) -> None:
        inside = 56
        label = f" SMS to {to} "
        lines = [line for part in body.splitlines() for line in textwrap.wrap(part, inside)]
        self._print("\n" + " " * MARGIN + f"┌─{self._ink(label, BOLD)}{'─' * (inside + 1 - len(label))}┐")
        for line in lines:
            self._print(" " * MARGIN + f"│ {line:<{inside}} │")
        self._print(" " * MARGIN + f"└{'─' * (inside + 2)}┘")

    def row(self, table: str, row: Mapping[str, object]) -> None:
        self._print("\n  " + self._ink(table, BOLD))
        for column, value in row.items():
            self._print(f"    {column:<26}{str(value).lower() if isinstance(value, bool) else value}")

    def look(self, what: str, where: str) -> None:
        gap = " " if len(where) + 38 <= self._width else "\n      "
        self._print(f"    {what:<33}{gap}{self._ink(where, CYAN)}")

    def held(self, text: str) -> None:
        self._print("\n  " + self._ink("✓ " + text, GREEN))

    def failed(self, step: str, instead: str) -> None:
        self._print("\n  " + self._ink(f"✗ This did not hold: {step}.", RED))
        for line in self._wrapped(f"Instead: {instead}", 4):
            self._print("    " + line)
        self._print()

    def _wrapped(self, text: str, margin: int) -> list[str]:
        return textwrap.wrap(text, self._width - margin) or [""]

    def _cut(self, text: str, width: int) -> str:
        return text if len(text) <= width else text[: width - 1].rstrip() + "…"

    def _ink(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._coloured else text

    def _print(self, text: str = "") -> None:
        if self._plain:
            text = text.translate(_ASCII)
            encoding = sys.stdout.encoding or "ascii"
            text = text.encode(encoding, "replace").decode(encoding)
        print(text.rstrip(), flush=True)


def _short(value: object) -> str:
    """The value as text, with each UUID cut to its first eight digits, which suffice to recognise it."""
    return _UUID.sub(r"\1…", str(value))


_UUID = re.compile(r"\b([0-9a-f]{8})(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_ASCII = str.maketrans("─│┌┐└┘▸✓✗…", "-|++++>+x~")
