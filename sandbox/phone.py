"""A patient's mobile, which shows the SMS in the sandbox's inbox for its number."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import requests

from sandbox.local_http import reason, request
from sandbox.steps import DidNotHold, must
from sandbox.story import Teller

SMS_PATIENCE = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Sms:
    sid: str
    body: str
    status: str


@dataclass(slots=True)
class Phone:
    """A patient's mobile. It shows the SMS that arrive after its creation."""

    inbox_url: str
    number: str
    teller: Teller = field(default_factory=Teller)
    read: set[str] = field(default_factory=set)
    old: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.old = {row["sid"] for row in _inbox(self.inbox_url, self.number)}

    @classmethod
    def fresh(cls, inbox_url: str, teller: Teller | None = None) -> Phone:
        """A phone with one of Ofcom's numbers for fiction, without SMS as long as such a number is left."""
        for _ in range(50):
            number = f"+447700900{random.randint(100, 999)}"
            if not _inbox(inbox_url, number):
                break
        return cls(inbox_url, number, teller or Teller())

    def messages(self) -> list[Sms]:
        """The SMS that have arrived, oldest first."""
        rows = reversed(_inbox(self.inbox_url, self.number))
        return [Sms(row["sid"], row["body"], row["status"]) for row in rows if row["sid"] not in self.old]

    def wait_for_sms(self, containing: str, *, within: float = SMS_PATIENCE) -> Sms:
        """Wait for the first unread SMS with these words, for `within` seconds; raises DidNotHold."""
        until = time.monotonic() + within
        while True:
            for sms in self.messages():
                if sms.sid not in self.read and containing.casefold() in sms.body.casefold():
                    self.read.add(sms.sid)
                    self.teller.sms(self.number, sms.body)
                    return sms
            must(
                time.monotonic() < until,
                f"an SMS with “{containing}” reaches {self.number} within {within:.0f} s",
                f"the inbox holds {[sms.body for sms in self.messages()] or 'nothing for that number'}",
            )
            time.sleep(0.05)


def _inbox(inbox_url: str, number: str) -> list[dict[str, str]]:
    url = f"{inbox_url}/inbox.json"
    try:
        response = request("GET", url, timeout=5, params={"to": number})
        response.raise_for_status()
        return list(response.json())
    except (requests.RequestException, ValueError) as error:
        raise DidNotHold(f"{url} answers", reason(error)) from error
