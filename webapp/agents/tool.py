"""The definition of a tool: everything about it in one object, which each tool makes in its own file."""

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
    """An example for the description of the API: arguments, an answer, and a refusal."""

    arguments: dict[str, Any]
    reply: Reply
    refused: Reply


def _succeeded(_desk: Desk, _arguments: dict[str, Any], reply: Reply) -> bool:
    return reply.success


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """`says_not_booked`: a failure of this tool means that nothing was booked, and its refusal says so.
    `is_kept`: whether a repeat gets this answer again. If not, as after most refusals, the tool runs once
    more, since the answer may have changed.
    """

    name: str
    path: str
    summary: str
    #: What a model is told about when to use it.
    use: str
    arguments: type[Schema]
    answer: type[Schema]
    example: Example
    run: Callable[[Desk, dict[str, Any]], Reply | Watched]
    #: Its part of the prompt, if it is a phase of booking an appointment: a heading, and below it what the
    #: agent does.
    phase: str | None = None
    says_not_booked: bool = True
    is_kept: Callable[[Desk, dict[str, Any], Reply], bool] = _succeeded

    def in_words(self, argument: str) -> str:
        """What the agent is told to ask for if this argument is missing or unusable."""
        field = self.arguments._declared_fields.get(argument)  # noqa: SLF001
        return str(field.metadata.get(WORDS, argument)) if field else argument

    @property
    def not_for_models(self) -> set[str]:
        """Arguments that are not offered to a model, which could only do harm with them."""
        fields = self.arguments._declared_fields  # noqa: SLF001
        return {name for name, field in fields.items() if field.metadata.get(NOT_FOR_MODELS)}
