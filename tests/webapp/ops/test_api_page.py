"""The page at /docs: it shows what is in the document, and keeps to the headers that every page gets."""

from __future__ import annotations

import html
import json
import re
import shlex
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.places import ROOT
from webapp.agents.replies import Code
from webapp.agents.tools import TOOLS
from webapp.ops import api_page, openapi
from webapp.ops.openapi import document


@pytest.fixture(scope="module")
def page() -> str:
    app = Flask("webapp", root_path=str(ROOT / "webapp"))
    app.register_blueprint(api_page.blueprint)
    app.register_blueprint(openapi.blueprint)
    response = app.test_client().get("/docs")
    assert response.status_code == 200
    assert response.mimetype == "text/html"
    return response.text


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def plain(page: str) -> str:
    """The page's words."""
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_every_operation_is_there_with_its_fields_answers_and_examples(page: str) -> None:
    words = plain(page)
    paths = document()["paths"]
    assert len(paths) == len(TOOLS) + 3
    for path, methods in paths.items():
        assert path in words
        for said in methods.values():
            assert f'id="{said["operationId"]}"' in page
            assert f'href="#{said["operationId"]}"' in page
            for status, answer in said["responses"].items():
                assert status in words
                assert answer["description"] in words
    for tool in TOOLS:
        for name, field in tool.arguments().fields.items():
            assert name in words
            assert field.metadata.get("description", "") in words
        assert json.dumps(tool.example.reply.bare(), indent=2) in words
        assert json.dumps(tool.example.refused.bare(), indent=2) in words
    assert all(code.value in words for code in Code)


def test_what_is_required_says_so(page: str) -> None:
    article = page.split('<article id="reserve_atomic"')[1].split("</article>", maxsplit=1)[0]
    rows = re.findall(r"<tr>(.*?)</tr>", article.split("<figure>")[0], re.DOTALL)
    required = {name for row in rows if "required" in row for name in re.findall(r"<code>(\w+)", row)[:1]}
    assert required == {"slotId", "patientName"}


def test_the_curl_commands_are_what_a_shell_understands(page: str) -> None:
    commands = [html.unescape(said) for said in re.findall(r"<code>(curl .*?)</code>", page, re.DOTALL)]
    assert len(commands) == 2 * len(TOOLS) + 3
    for command in commands:
        words = shlex.split(command)
        assert words[:3] == ["curl", "-X", "POST"]
        body = words[words.index("-d") + 1]
        if "/api/twilio/inbound/" in words[3]:
            assert "Body=STOP" in words[-1]
        elif "/api/twilio/" in words[3]:
            assert "MessageStatus=delivered" in body
        else:
            assert "Authorization: Bearer YOUR_CREDENTIAL" in words
            assert set(json.loads(body)) in ({"toolCall"}, {"message"})


def test_the_elements_are_nested_and_nothing_is_inline(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    tags = {tag for tag, _ in elements.all}
    assert not {"script", "style", "img", "iframe"} & tags
    for _, attributes in elements.all:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
    loaded = [attributes["href"] for tag, attributes in elements.all if tag == "link"]
    assert loaded == ["/static/icon.svg", "/static/api.css"]
    assert all((ROOT / f"webapp{address}").exists() for address in loaded)


def test_every_link_within_the_page_leads_somewhere_and_ids_are_unique(page: str) -> None:
    elements = Elements(page)
    ids = [attributes["id"] for _, attributes in elements.all if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes.get("href") or "" for tag, attributes in elements.all if tag == "a"]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    labels = [attributes.get("aria-labelledby") for _, attributes in elements.all]
    assert {label for label in labels if label} <= set(ids)


def test_the_product_serves_it(client: FlaskClient) -> None:
    assert client.get("/docs").status_code == 200
