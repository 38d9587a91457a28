"""What the application has to know of a voice platform. Its adapter says it, and platforms.py lists it."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint


@dataclass(frozen=True, slots=True)
class Platform:
    """`blueprint` has a prefix of its own, below which only this platform asks."""

    blueprint: Blueprint
    #: Bytes of a body that are read at most.
    most_of_a_body: int
    #: Headers in which the secret of a credential may stand as it is, besides `Authorization: Bearer`.
    secret_headers: tuple[str, ...] = ()

    def is_asked_at(self, path: str) -> bool:
        return path.startswith(f"{self.blueprint.url_prefix}/")
