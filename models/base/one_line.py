"""Names and labels that a person types: one line that can be shown everywhere."""

from __future__ import annotations


class NotOneLine(ValueError):
    """The message says what is wrong with the text; it follows "it" or the name of the field."""


def one_line(said: str, most: int = 80) -> str:
    """The text with single spaces. Raises NotOneLine if it is empty, too long or has invisible characters."""
    words = " ".join(said.split())
    if not words:
        raise NotOneLine("it is empty")
    if not words.isprintable():
        raise NotOneLine("it holds characters that cannot be shown")
    if len(words) > most:
        raise NotOneLine(f"it is longer than {most} characters")
    return words
