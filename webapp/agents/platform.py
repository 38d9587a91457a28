"""What the application needs to know of a voice platform. Its adapter says it, and platforms.py lists it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint


@dataclass(frozen=True, slots=True)
class Platform:
    """`blueprint` has its own URL prefix, below which only this platform sends requests."""

    blueprint: Blueprint
    #: The most bytes of a body that are read.
    most_of_a_body: int
    #: Headers in which the secret of a credential may stand as it is, besides `Authorization: Bearer`.
    secret_headers: tuple[str, ...] = ()

    def is_asked_at(self, path: str) -> bool:
        return path.startswith(f"{self.blueprint.url_prefix}/")
