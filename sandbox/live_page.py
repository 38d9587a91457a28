"""A browser that a member of the clinic's staff left open on the live page."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from html import unescape
from typing import Self

import requests

from sandbox.steps import DidNotHold, must

PATIENCE = 15.0  # seconds


class LivePage:
    """A context that signs in and reads the page's stream of states as the page itself does."""

    def __init__(self, web_url: str, email: str, password: str) -> None:
        self._at = f"{web_url}/dashboard"
        self._email = email
        self._browser = requests.Session()
        self._browser.trust_env = False  # a proxy cannot reach this machine's own ports
        self._sign_in(password)
        self._stream = self._get("/live/stream", stream=True)  # 503 while too many pages are open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._browser.close()

    @property
    def name(self) -> str:
        return self._email

    def wait_for_lead(self, call_id: str) -> str:
        """Wait for the hot lead of a call; returns the page's words about it. Raises DidNotHold."""
        until = time.monotonic() + PATIENCE
        try:
            for line in self._lines():
                found = re.search(rf'data-lead="{re.escape(call_id)}" data-says="([^"]*)"', line)
                if found:
                    return unescape(found[1])
                if time.monotonic() > until:
                    break
        except requests.RequestException as error:
            raise DidNotHold("the live page's stream goes on", type(error).__name__) from error
        raise DidNotHold(f"the live page shows the lead within {PATIENCE:.0f} s", "it does not")

    def _lines(self) -> Iterator[str]:
        """The lines of the stream; if every stream is taken, those of the state, asked for every second."""
        if self._stream.ok:
            yield from self._stream.iter_lines(decode_unicode=True)
        while not self._stream.ok:
            yield from self._get("/live/state").text.splitlines()
            time.sleep(1)

    def _sign_in(self, password: str) -> None:
        form = self._get("/sign-in").text
        token = re.search(r'name="csrf" value="([^"]+)"', form)
        must(token, "the page to sign in has a form", form[:200])
        answer = self._browser.post(
            f"{self._at}/sign-in",
            data={"csrf": token[1] if token else "", "email": self._email, "password": password},
            timeout=PATIENCE,
        )
        must(answer.ok and "/live" in answer.url, f"{self._email} can sign in", answer.status_code)

    def _get(self, path: str, *, stream: bool = False) -> requests.Response:
        try:
            return self._browser.get(f"{self._at}{path}", stream=stream, timeout=PATIENCE)
        except requests.RequestException as error:
            raise DidNotHold(f"{self._at}{path} answers", type(error).__name__) from error
