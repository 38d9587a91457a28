"""What a browser is told about every answer."""

from __future__ import annotations

import pytest
from flask import Flask, Response, abort
from flask.testing import FlaskClient
from gunicorn import SERVER

import settings
from tests.places import ROOT
from webapp import security_headers


@pytest.fixture
def client() -> FlaskClient:
    app = Flask("pages", static_folder=ROOT / "webapp" / "static")
    security_headers.register(app)
    app.add_url_rule("/json", "json", lambda: {"name": "x"})
    app.add_url_rule("/page", "page", lambda: "<p>x")
    app.add_url_rule("/missing", "missing", lambda: abort(404))

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError

    @app.get("/own")
    def own() -> Response:
        return Response(
            "<p>x",
            headers={
                "Content-Security-Policy": "default-src 'self'",
                "Cache-Control": "max-age=60",
                "Referrer-Policy": "same-origin",
            },
        )

    return app.test_client()


@pytest.mark.parametrize("path", ["/json", "/page", "/missing", "/broken", "/nowhere"])
def test_every_answer_carries_them(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_a_page_may_use_files_of_ours_and_json_nothing(client: FlaskClient) -> None:
    assert client.get("/json").headers["Content-Security-Policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )
    policy = client.get("/page").headers["Content-Security-Policy"]
    assert "style-src 'self'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy


def test_what_a_page_says_itself_stands(client: FlaskClient) -> None:
    headers = client.get("/own").headers
    assert headers.getlist("Content-Security-Policy") == ["default-src 'self'"]
    assert headers.getlist("Cache-Control") == ["max-age=60"]
    assert headers.getlist("Referrer-Policy") == ["same-origin"]


def test_a_file_may_still_be_kept_by_a_browser(client: FlaskClient) -> None:
    with client.get("/static/api.css") as response:
        assert response.headers["Cache-Control"] == "no-cache"  # asked for anew, and mostly unchanged


@pytest.mark.parametrize(
    ("environment", "scheme", "told"),
    [("production", "https", ["max-age=31536000"]), ("production", "http", []), ("development", "https", [])],
)
def test_https_is_insisted_on_in_production_once_there_is_https(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, environment: str, scheme: str, told: list[str]
) -> None:
    config = settings.get().model_copy(update={"app_env": settings.AppEnv(environment)})
    monkeypatch.setattr(settings, "get", lambda: config)
    headers = client.get("/json", base_url=f"{scheme}://holdline.example").headers
    assert headers.getlist("Strict-Transport-Security") == told


def test_nobody_learns_a_version(client: FlaskClient) -> None:
    headers = client.get("/json").headers
    assert not {"Server", "X-Powered-By"} & set(headers)
    assert not any(map(str.isdigit, SERVER))  # the name that gunicorn adds by itself
