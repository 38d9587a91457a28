"""From a list to a call, and back to where it was opened from."""

from __future__ import annotations

import html
import re

import psycopg
import pytest

from tests.webapp.staff.browsers import Person
from tests.webapp.staff.rows import add_call


def links_to(page: str, call: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(rf'href="(/dashboard/leads/{call}[^"]*)"', page)]


@pytest.mark.parametrize(
    ("path", "name", "lit"),
    [
        ("live", "Live", "live"),
        ("live?most=200", "Live", "live"),
        ("leads", "Leads", "leads"),
        ("leads?band=hot", "Leads", "leads"),
        ("leads?waiting=1", "Leads", "leads"),
        ("calls", "Calls", "calls"),
        ("calls?before=2100-01-01T00:00:00%2B00:00&last=x", "Calls", "calls"),
        ("leads?band=hot&before=2100-01-01T00:00:00%2B00:00", "Leads", "leads"),
    ],
)
def test_the_way_back_leads_to_where_a_call_was_opened_from(
    person: Person, sql: psycopg.Connection, path: str, name: str, lit: str
) -> None:
    call = add_call(sql, person.org)
    [link] = links_to(person.get(path).text, call)
    page = person.client.get(link).text
    back = re.search(r'class="back"><a href="([^"]+)">([^<]+)<', page)
    assert back
    assert back[2] == f"← {name}"
    assert re.findall(r'href="/dashboard/(\w+)" aria-current="page"', page) == [lit]
    query = [address.partition("?")[2].split("&") for address in (path, html.unescape(back[1]))]
    assert sorted(query[0]) == sorted(query[1])
    # And the answer to a form is the same page, with the same way back.
    action = re.search(r'action="([^"]+called-back[^"]*)"', page)
    token = re.search(r'name="csrf" value="([^"]+)"', page)
    assert action
    assert token
    noted = person.client.post(html.unescape(action[1]), data={"csrf": token[1]})
    assert noted.location == link


@pytest.mark.parametrize("query", ["", "?from=", "?from=x", "?from=https://evil.example", "?from=reports"])
def test_a_call_from_nowhere_belongs_to_the_leads(
    person: Person, sql: psycopg.Connection, query: str
) -> None:
    page = person.get(f"leads/{add_call(sql, person.org)}{query}").text
    assert '<a href="/dashboard/leads">← Leads</a>' in page
    assert "evil.example" not in page
