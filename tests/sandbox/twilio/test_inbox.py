"""The segments of a text, the inbox, and the sandbox as a process."""

import json
import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
import requests

from sandbox.segments import count_segments
from tests.sandbox.twilio.wire import OURS, PATIENT, texts


@pytest.mark.parametrize(
    ("body", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("a" * 158 + "€", 1),
        ("a" * 159 + "€", 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # the escape pair does not fit in the first part's last place
        ("é\n" * 80, 1),
        ("a" * 69 + "\u2019", 1),
        ("a" * 70 + "\u2019", 2),
        ("a" * 68 + "😀", 1),
        ("a" * 69 + "😀", 2),
        ("a" * 66 + "😀" + "a" * 66, 3),  # nor does the second half of an emoji
        ("ç" * 70, 1),
        ("Ç" * 160, 1),
        ("`" * 71, 2),
        ("👨‍👩‍👧‍👦" * 7, 2),
    ],
)
def test_segments(body: str, segments: int) -> None:
    assert count_segments(body) == segments


def test_inbox_is_a_plain_list_newest_first(standing_url: str, standing_client: Any) -> None:
    sids = [standing_client.messages.create(to=PATIENT, from_=OURS, body=body).sid for body in ("one", "two")]
    rows = requests.get(f"{standing_url}/inbox.json", timeout=60).json()
    assert [row["sid"] for row in rows] == sids[::-1]
    assert rows[0] == {
        "sid": sids[1],
        "to": PATIENT,
        "from": OURS,
        "body": "two",
        "status": "queued",
        "created_at": rows[0]["created_at"],
    }
    assert rows[0]["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(rows[0]["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_inbox_filters(standing_url: str, standing_client: Any) -> None:
    standing_client.messages.create(to=PATIENT, from_=OURS, body="one")
    standing_client.messages.create(to="+1-555-1234", from_=OURS, body="two")
    assert texts(standing_url, to=PATIENT) == ["one"]
    assert texts(standing_url, to="+1-555-1234") == ["two"]
    by_hand = requests.get(f"{standing_url}/inbox.json?to=+15551234", timeout=60).json()
    assert [row["body"] for row in by_hand] == ["two"]
    since = requests.get(f"{standing_url}/inbox.json", timeout=60).json()[0]["created_at"]
    assert texts(standing_url, since=since) == ["two"]
    assert texts(standing_url, limit="1") == ["two"]
    assert requests.get(f"{standing_url}/inbox.json?since=soon", timeout=60).status_code == 400


def test_page_needs_nothing_from_elsewhere(url: str) -> None:
    answer = requests.get(url, timeout=60)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "//" not in re.sub(r"//\s.*", "", answer.text).replace("data:,", "")
    assert "innerHTML" not in re.sub(r"//\s.*", "", answer.text)


def test_process_serves_on_its_port_and_stops_at_once() -> None:
    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.twilio"],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"INBOX_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
        health = requests.get(f"http://127.0.0.1:{port}/sandbox/health", timeout=60)
        assert health.json() == {"status": "ok", "messages": 0}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_json_errors_are_json(url: str) -> None:
    assert json.loads(requests.get(f"{url}/nowhere", timeout=60).text)["code"] == 20404
