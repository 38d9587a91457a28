"""The web application: Twilio's own addresses, the inbox, and the controls of a test."""

import socket
from dataclasses import asdict
from typing import Any

from flask import Flask, Response, g, jsonify, render_template, request

from sandbox.twilio.exchange import Exchange
from sandbox.twilio.faults import FAULTS_AFTER, FAULTS_ASKING, FAULTS_BEFORE, FAULTS_LATE, Fault
from sandbox.twilio.messages import API_VERSION
from sandbox.twilio.numbers import read_recipient
from sandbox.twilio.refusals import RefusedError

MESSAGES_URL = f"/{API_VERSION}/Accounts/<account>/Messages"


def json_object() -> dict[str, Any]:
    asked = request.get_json()
    if not isinstance(asked, dict):
        raise RefusedError(20001, "The body must be a JSON object.")
    return asked


def play(fault: Fault, exchange: Exchange) -> Response | None:
    """The answer that replaces the true answer, or None if the true answer still goes out."""
    match fault.kind:
        case "429":
            raise RefusedError(20429)
        case "refuse":
            raise RefusedError(fault.code)
        case "500" | "500-after-accept" | "ask-500":
            raise RefusedError(20500)
        case "drop-before" | "drop-after-accept" | "ask-drop":
            # Everything that Flask sends after this is lost.
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return Response()
        case "undelivered" | "ask-hidden" | "ask-unsent-last":
            return None
        case _:
            exchange.closing.wait(fault.seconds)
            return None


def create_app(exchange: Exchange) -> Flask:
    app = Flask(__name__)
    app.register_error_handler(RefusedError, lambda refused: (jsonify(refused.body()), refused.status))
    app.register_error_handler(404, lambda _: (jsonify(RefusedError(20404, request.path).body()), 404))
    add_twilio(app, exchange)
    add_inbox(app, exchange)
    add_controls(app, exchange)
    return app


def add_twilio(app: Flask, exchange: Exchange) -> None:
    """The addresses that https://api.twilio.com has."""

    @app.before_request
    def authenticate() -> None:
        account = (request.view_args or {}).get("account")
        if account is None:
            return
        login = request.authorization
        username, password = (login.username, login.password) if login else (None, None)
        if not username or not password or not (username == account or username.startswith("SK")):
            raise RefusedError(20003)
        g.token = exchange.token_for(account, username, password)

    @app.post(f"{MESSAGES_URL}.json")
    def create(account: str) -> Response | tuple[dict[str, Any], int]:
        form = request.form.to_dict()
        fault = exchange.next_fault(form.get("To", ""))
        accepts = fault is None or fault.kind not in FAULTS_BEFORE
        ends_with = fault.code if fault and fault.kind in FAULTS_LATE else None
        created = exchange.create(account, g.token, form, ends_with) if accepts else {}
        return (play(fault, exchange) if fault else None) or (created, 201)

    @app.get(f"{MESSAGES_URL}.json")
    def search(account: str) -> Response | dict[str, Any]:
        fault = exchange.next_fault(request.args.get("To", ""), asking=True)
        answer = play(fault, exchange) if fault else None
        return answer or exchange.search(account, request.args.to_dict(), fault)

    @app.get(f"{MESSAGES_URL}/<sid>.json")
    def fetch(account: str, sid: str) -> Response | dict[str, Any]:
        fault = exchange.next_fault("", asking=True)
        return (play(fault, exchange) if fault else None) or exchange.fetch(account, sid)

    @app.post(f"{MESSAGES_URL}/<sid>.json")
    def update(account: str, sid: str) -> dict[str, Any]:
        return exchange.update(account, sid, request.form.to_dict())

    @app.delete(f"{MESSAGES_URL}/<sid>.json")
    def delete(account: str, sid: str) -> tuple[str, int]:
        exchange.delete(account, sid)
        return "", 204


def add_inbox(app: Flask, exchange: Exchange) -> None:
    """The inbox: the SMS that patients would see."""

    @app.get("/")
    def page() -> Response:
        answer = Response(render_template("inbox.html"))
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; connect-src 'self'; img-src data:; "
            "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
        )
        return answer

    @app.get("/inbox.json")
    def inbox() -> list[dict[str, Any]]:
        return exchange.inbox(request.args.to_dict())


def add_controls(app: Flask, exchange: Exchange) -> None:
    """The controls for tests. They accept JSON only, so that no foreign web page can post to them."""

    @app.get("/sandbox/health")
    def health() -> dict[str, Any]:
        return {"status": "ok", "messages": len(exchange)}

    @app.post("/sandbox/inbound")
    def inbound() -> tuple[dict[str, Any], int]:
        return exchange.receive(json_object()), 201

    @app.post("/sandbox/faults")
    def add_fault() -> tuple[dict[str, Any], int]:
        asked = json_object()
        try:
            fault = Fault(
                kind=str(asked["kind"]),
                times=int(asked.get("times", 1)),
                seconds=float(asked.get("seconds", 1)),
                to=read_recipient(str(asked["to"])) if asked.get("to") else None,
                code=int(asked.get("code", 21211)),
            )
        except (KeyError, TypeError, ValueError):
            raise RefusedError(
                20001, "A fault needs kind, and may have times, seconds, to and code."
            ) from None
        kinds = FAULTS_BEFORE + FAULTS_AFTER + FAULTS_LATE + FAULTS_ASKING
        if fault.kind not in kinds:
            raise RefusedError(20001, f"kind is one of {', '.join(kinds)}.")
        exchange.script(fault)
        return asdict(fault), 201

    @app.delete("/sandbox/faults")
    def clear_faults() -> tuple[str, int]:
        exchange.script()
        return "", 204
