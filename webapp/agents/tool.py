"""What a tool is: everything that is known of it, in one place, which each tool fills in its own file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema

from webapp.agents.desk import Desk
from webapp.agents.replies import Reply, Watched
from webapp.agents.schemas import NOT_FOR_MODELS, WORDS


@dataclass(frozen=True, slots=True)
class Example:
    """For the description of the API: what is asked, what is answered, and what a refusal is."""

    arguments: dict[str, Any]
    reply: Reply
    refused: Reply


def _succeeded(_desk: Desk, _arguments: dict[str, Any], reply: Reply) -> bool:
    return reply.success


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """`says_not_booked`: a failure of this tool is a booking that did not happen. `is_kept`: whether a repeat
    is given this answer. If not, as after most refusals, it is worked on once more, for by now it may be
    otherwise.
    """

    name: str
    path: str
    summary: str
    #: When a model is to use it.
    use: str
    arguments: type[Schema]
    answer: type[Schema]
    example: Example
    run: Callable[[Desk, dict[str, Any]], Reply | Watched]
    #: Its part of the prompt, where it is one of the phases in which an appointment is booked: a heading, and
    #: below it what the agent does.
    phase: str | None = None
    says_not_booked: bool = True
    is_kept: Callable[[Desk, dict[str, Any], Reply], bool] = _succeeded

    def in_words(self, argument: str) -> str:
        """What the agent is told to ask for, where an argument is missing or makes no sense."""
        field = self.arguments._declared_fields.get(argument)  # noqa: SLF001
        return str(field.metadata.get(WORDS, argument)) if field else argument

    @property
    def not_for_models(self) -> set[str]:
        """Arguments that no model is offered: with those it could only do harm."""
        fields = self.arguments._declared_fields  # noqa: SLF001
        return {name for name, field in fields.items() if field.metadata.get(NOT_FOR_MODELS)}
