"""The OpenAPI document, made from the schemas that the tools really use."""

from __future__ import annotations

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from flask import Blueprint, Response, jsonify
from marshmallow import Schema, fields

import settings
from webapp.agents.credentials import CREDENTIAL_HEADER
from webapp.agents.replies import Code
from webapp.agents.signatures import SIGNATURE_HEADER
from webapp.agents.tool import Tool
from webapp.agents.tools import TOOLS
from webapp.ops import openapi_examples as examples
from webapp.state import per_app

blueprint = Blueprint("openapi", __name__)

_ABOUT = """\
The tools of a phone agent that books appointments while the patient is on the line.

Every tool takes two forms of request. In Vapi's form (a message of the type tool-calls) the name of the \
function decides, any tool may be called at any of their addresses, and the answer is 200 with one line of \
text for each call. In the bare form the address decides, and the answer is one JSON object.

A refusal is an answer, too: 200, success is false, code is stable, and say begins with NOT BOOKED where a \
booking was asked for. Ids that are left out are those of the telephone call."""


class VapiResult(Schema):
    toolCallId = fields.String(required=True)
    name = fields.String(required=True)
    result = fields.String(metadata={"description": "one line: what to say, then the facts in brackets"})
    error = fields.String(metadata={"description": "only for an unknown tool or unreadable arguments"})


class VapiResults(Schema):
    results = fields.List(fields.Nested(VapiResult), required=True)
    error = fields.String(metadata={"description": "only where the message could not be read"})


class Received(Schema):
    received = fields.Boolean(required=True, metadata={"description": "always true"})


class VapiCustomer(Schema):
    number = fields.String(metadata={"description": "who is calling", "example": "+442079460123"})


class VapiCall(Schema):
    id = fields.String(
        metadata={"description": "of the telephone call; a repeat of it is recognised by this"}
    )
    customer = fields.Nested(VapiCustomer)


class VapiFunction(Schema):
    name = fields.String(required=True, metadata={"description": "which tool"})
    arguments = fields.Raw(
        required=True,
        metadata={
            "type": ["object", "string"],
            "description": "of the tool; as an object, or as JSON in a string",
        },
    )


class VapiToolCall(Schema):
    id = fields.String(required=True, metadata={"description": "comes back as toolCallId"})
    function = fields.Nested(VapiFunction, required=True)


class VapiToolCallsMessage(Schema):
    type = fields.String(required=True, metadata={"enum": ["tool-calls"]})
    call = fields.Nested(VapiCall)
    toolCallList = fields.List(
        fields.Nested(VapiToolCall),
        required=True,
        metadata={"description": "Vapi's older names and shapes are read, too"},
    )


class VapiToolCalls(Schema):
    message = fields.Nested(VapiToolCallsMessage, required=True)


class VapiEventMessage(Schema):
    type = fields.String(
        required=True,
        metadata={"description": "status-update, end-of-call-report, tool-calls …; others are passed over"},
    )
    call = fields.Nested(VapiCall)
    status = fields.String(metadata={"description": "of a status-update; ended gives back the call's holds"})


class VapiEvent(Schema):
    message = fields.Nested(VapiEventMessage, required=True)


class SmsReceipt(Schema):
    AccountSid = fields.String(required=True, metadata={"description": "the account that sent the SMS"})
    MessageSid = fields.String(required=True, metadata={"description": "Twilio's id of the SMS"})
    MessageStatus = fields.String(
        required=True, metadata={"description": "sent, delivered, undelivered, failed …"}
    )
    ErrorCode = fields.String(metadata={"description": "why it was not delivered"})


class SmsReply(Schema):
    AccountSid = fields.String(required=True, metadata={"description": "the account that received the SMS"})
    MessageSid = fields.String(required=True, metadata={"description": "Twilio's id of the SMS"})
    From = fields.String(required=True, metadata={"description": "the patient's number, E.164"})
    Body = fields.String(metadata={"description": "read for a wish to stop or to start, and not kept"})
    OptOutType = fields.String(metadata={"description": "STOP, START or HELP, where Twilio read it"})


@blueprint.get("/openapi.json")
def as_json() -> Response:
    return jsonify(document())


@per_app
def document() -> dict[str, Any]:
    """The document as a dict, which /openapi.json and, for people, /docs show."""
    spec = APISpec(
        title="Holdline",
        version="0.2.0",
        openapi_version="3.1.0",
        info={"description": _ABOUT},
        plugins=[MarshmallowPlugin()],
        servers=[{"url": settings.get().public_base_url}],
        tags=[
            {"name": "Tools", "description": "What the agent asks during a call."},
            {"name": "Events", "description": "What Vapi and Twilio tell by themselves."},
        ],
    )
    for name, scheme in _SECURITY.items():
        spec.components.security_scheme(name, scheme)
    for schema in (VapiToolCalls, VapiResults, VapiEvent, Received, SmsReceipt, SmsReply):
        spec.components.schema(schema.__name__, schema=schema)
    for tool in TOOLS:
        _add_tool(spec, tool)
    _add_events(spec)
    _add_receipts(spec)
    described = spec.to_dict()
    codes = [code.value for code in Code]
    for tool in TOOLS:
        described["components"]["schemas"][tool.answer.__name__]["properties"]["code"]["enum"] = codes
    return described


_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "the secret of a credential"},
    "vapiSecret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Vapi-Secret",
        "description": "likewise, as Vapi's server secret sends it",
    },
    "vapiSignature": {
        "type": "apiKey",
        "in": "header",
        "name": SIGNATURE_HEADER,
        "description": "HMAC over the time and the raw body, as a custom credential of Vapi's makes it;"
        f" {CREDENTIAL_HEADER} names the credential",
    },
    "twilioSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Twilio-Signature",
        "description": "as Twilio signs its callbacks, with the auth token of the account",
    },
}
_FROM_VAPI: list[dict[str, list[str]]] = [{"bearer": []}, {"vapiSecret": []}, {"vapiSignature": []}]


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(*names: str, **more: object) -> dict[str, Any]:
    """The content of a body that is one of these schemas."""
    choices = [_reference(name) for name in names]
    return {"application/json": {"schema": choices[0] if len(choices) == 1 else {"anyOf": choices}, **more}}


def _add_tool(spec: APISpec, tool: Tool) -> None:
    arguments, answer = tool.arguments.__name__, tool.answer.__name__
    spec.components.schema(arguments, schema=tool.arguments)
    spec.components.schema(answer, schema=tool.answer)
    bare = f"Bare{arguments}"
    call = {"type": "object", "required": ["arguments"], "properties": {"arguments": _reference(arguments)}}
    spec.components.schema(
        bare, {"type": "object", "required": ["toolCall"], "properties": {"toolCall": call}}
    )

    def trouble(description: str, **more: object) -> dict[str, Any]:
        return {"description": f"bare form: {description}", "content": _json(answer), **more}

    spec.path(
        path=f"/api/vapi/tools/{tool.path}",
        operations={
            "post": {
                "operationId": tool.name,
                "summary": tool.summary,
                "tags": ["Tools"],
                "security": _FROM_VAPI,
                "requestBody": {
                    "required": True,
                    "content": _json(
                        bare,
                        "VapiToolCalls",
                        examples={
                            "bare": {"summary": "bare form", "value": examples.bare_request(tool)},
                            "vapi": {"summary": "Vapi's form", "value": examples.vapi_request(tool)},
                        },
                    ),
                },
                "responses": {
                    "200": {
                        "description": "the answer, or a refusal; in Vapi's form always this",
                        "content": _json(answer, "VapiResults", examples=examples.answers(tool)),
                    },
                    "400": trouble("the body cannot be read"),
                    "401": {"description": "no valid credential, in both forms", "content": _json(answer)},
                    "413": trouble("the body is too large"),
                    "429": trouble(
                        "this credential, call or telephone asks too often",
                        headers={"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}},
                    ),
                    "503": trouble("try again in a moment"),
                },
            }
        },
    )


def _add_events(spec: APISpec) -> None:
    spec.path(
        path="/api/vapi/webhook",
        operations={
            "post": {
                "operationId": "vapi_event",
                "summary": "Hear what happens in a call",
                "description": "For the server URL of the assistant. Tool calls that come here are answered,"
                " too; an event of any other type is answered with no results. An event that could not be"
                " taken in has another status than 200, so that Vapi sends it again.",
                "tags": ["Events"],
                "security": _FROM_VAPI,
                "requestBody": {
                    "required": True,
                    "content": _json(
                        "VapiEvent", examples={"ended": {"summary": "a call ended", "value": examples.EVENT}}
                    ),
                },
                "responses": {
                    "200": {
                        "description": "taken in, or nothing to take in",
                        "content": _json(
                            "VapiResults",
                            "Received",
                            examples={"ended": {"summary": "to an event", "value": {"results": []}}},
                        ),
                    },
                    "400": {"description": "not received: the event cannot be read to its end"},
                    "401": {"description": "no valid credential"},
                    "413": {"description": "not received: the event is too large to see whose call it is"},
                    "429": {"description": "not received: this credential sends too much at once"},
                    "503": {"description": "not received: the database is away, or too much is under way"},
                },
            }
        },
    )


def _add_receipts(spec: APISpec) -> None:
    uuid = {"type": "string", "format": "uuid"}
    parts = (
        ("message_id", uuid, "of the SMS"),
        ("attempt", {"type": "integer", "minimum": 0}, "which attempt at sending it"),
        ("token", {"type": "string"}, "made for this attempt: who knows it was told by us"),
    )
    spec.path(
        path="/api/twilio/status/{message_id}/{attempt}/{token}",
        operations={
            "post": {
                "operationId": "sms_receipt",
                "summary": "Hear what became of an SMS",
                "description": "Twilio's status callback. Its address goes out with every SMS; there is"
                " nothing to set up.",
                "tags": ["Events"],
                "security": [{"twilioSignature": []}],
                "parameters": [
                    {"name": name, "in": "path", "required": True, "schema": schema, "description": about}
                    for name, schema, about in parts
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": _reference("SmsReceipt"),
                            "examples": {"delivered": {"summary": "delivered", "value": examples.RECEIPT}},
                        }
                    },
                },
                "responses": {
                    "204": {"description": "noted, or known already"},
                    "403": {"description": "not ours, or not signed by the account that sent the SMS"},
                    "404": {"description": "no such address"},
                    "503": {"description": "come again: the database is away"},
                },
            }
        },
    )
    spec.path(
        path="/api/twilio/inbound/{org_id}",
        operations={
            "post": {
                "operationId": "sms_reply",
                "summary": "Hear what a patient texts back",
                "description": "The incoming message webhook of the clinic's number or messaging service."
                " STOP and its like, in whatever words, end all SMS to that number; START begins them again.",
                "tags": ["Events"],
                "security": [{"twilioSignature": []}],
                "parameters": [
                    {
                        "name": "org_id",
                        "in": "path",
                        "required": True,
                        "schema": uuid,
                        "description": "whose",
                    }
                ],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/x-www-form-urlencoded": {
                            "schema": _reference("SmsReply"),
                            "examples": {"stop": {"summary": "stop", "value": examples.REPLY}},
                        }
                    },
                },
                "responses": {
                    "200": {
                        "description": "taken; no SMS in return",
                        "content": {"text/xml": {"schema": {"type": "string"}}},
                    },
                    "403": {"description": "not signed by the clinic's account"},
                    "404": {"description": "no such address"},
                    "503": {"description": "come again: the database is away"},
                },
            }
        },
    )
