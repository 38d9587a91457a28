"""/docs: the OpenAPI document as a page for people, without JavaScript."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, render_template

from webapp.ops.openapi import document

blueprint = Blueprint("api_page", __name__)

_JSON = "application/json"

#: Stands for the credential, which a page must not show.
_CREDENTIAL = "YOUR_CREDENTIAL"


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    required: bool
    about: str
    example: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A body, or the command that sends one."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    about: str
    fields: tuple[Field, ...]
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    path: str
    summary: str
    about: str
    parameters: tuple[Field, ...]
    fields: tuple[Field, ...]
    requests: tuple[Sample, ...]
    answers: tuple[Answer, ...]


@blueprint.get("/docs")
def page() -> str:
    described = document()
    found = list(operations(described))
    return render_template(
        "api.html",
        info=described["info"],
        paragraphs=described["info"]["description"].split("\n\n"),
        groups=[
            (tag["name"], tag["description"], [each for tags, each in found if tag["name"] in tags])
            for tag in described["tags"]
        ],
        schemes=[
            (scheme.get("name", "Authorization: Bearer …"), scheme.get("description", ""))
            for scheme in described["components"]["securitySchemes"].values()
        ],
        codes=_codes(described),
    )


def operations(described: dict[str, Any]) -> Iterator[tuple[list[str], Operation]]:
    """Every operation of a document with its tags, in the document's order."""
    for path, methods in described["paths"].items():
        for method, said in methods.items():
            yield said["tags"], _operation(described, method, path, said)


def _operation(described: dict[str, Any], method: str, path: str, said: dict[str, Any]) -> Operation:
    [(media, body)] = said["requestBody"]["content"].items()
    first = _choices(body["schema"])[0]
    schema = _inner(described, _resolved(described, first))
    return Operation(
        name=said["operationId"],
        method=method.upper(),
        path=path,
        summary=said["summary"],
        about=said.get("description", ""),
        parameters=tuple(
            Field(each["name"], _kind(each["schema"]), each["required"], each["description"], "")
            for each in said.get("parameters", ())
        ),
        fields=tuple(_fields(described, schema)),
        requests=tuple(
            Sample(f"curl, {example['summary']}", _curl(described, path, media, example["value"], said))
            for example in body["examples"].values()
        ),
        answers=tuple(_answer(described, status, answer) for status, answer in said["responses"].items()),
    )


def _answer(described: dict[str, Any], status: str, answer: dict[str, Any]) -> Answer:
    content = answer.get("content", {}).get(_JSON, {})
    first = _resolved(described, _choices(content["schema"])[0]) if content else {}
    samples = content.get("examples", {}).values()
    return Answer(
        status,
        answer["description"],
        tuple(_fields(described, first)) if samples else (),
        tuple(Sample(each["summary"], json.dumps(each["value"], indent=2)) for each in samples),
    )


def _curl(described: dict[str, Any], path: str, media: str, value: object, said: dict[str, Any]) -> str:
    lines = [f"curl -X POST {shlex.quote(described['servers'][0]['url'] + path)}"]
    if "bearer" in said["security"][0]:
        lines.append(f"-H 'Authorization: Bearer {_CREDENTIAL}'")
    if media == _JSON:
        lines += [f"-H 'Content-Type: {media}'", f"-d {shlex.quote(json.dumps(value, indent=2))}"]
    else:
        lines.append(f"-d {shlex.quote(urlencode(dict(value)))}")  # type: ignore[call-overload]
    return " \\\n  ".join(lines)


# --- schemas ------------------------------------------------------------------------------------


def _resolved(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = described["components"]["schemas"][reference] if reference else schema
    return found


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return list(schema.get("anyOf", [schema]))


def _inner(described: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the bare form, without their wrapper."""
    call = schema["properties"].get("toolCall")
    return _resolved(described, call["properties"]["arguments"]) if call else schema


def _fields(described: dict[str, Any], schema: dict[str, Any], before: str = "") -> Iterator[Field]:
    """The fields of a schema; nested ones by their full name, such as slots[].label."""
    required = schema.get("required", ())
    for name, said in sorted(schema["properties"].items(), key=lambda item: item[0] not in required):
        if "$ref" not in said:  # else its own fields are listed instead
            about, example = said.get("description", ""), str(said.get("example", ""))
            yield Field(before + name, _kind(said), name in required, about, example)
        within = _resolved(described, said.get("items", said))
        if "properties" in within:
            yield from _fields(described, within, f"{before}{name}{'[]' if 'items' in said else ''}.")


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "object" if "$ref" in schema else "any")
    if kind == "array":
        return f"list of {_kind(schema['items'])}s"
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return f"{words} ({schema['format']})" if "format" in schema else words


def _codes(described: dict[str, Any]) -> list[str]:
    """The machine codes of refusals; the answers of all tools list the same codes."""
    for schema in described["components"]["schemas"].values():
        codes: list[str] = schema["properties"].get("code", {}).get("enum", [])
        if codes:
            return codes
    return []
