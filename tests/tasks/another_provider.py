"""A second SMS provider, Pigeon. It needs only this file and its line in PROVIDERS.

`celery -A tests.tasks.another_provider worker` runs a worker that knows it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import requests

from models.clinics.organizations import IntegrationSettings
from models.messaging.meanings import Failure, Meaning
from models.messaging.receipts import Report
from models.messaging.states import SmsStatus
from tasks.app import app as app  # noqa: PLC0414 (Celery looks for it here)
from tasks.providers import Accepted, OutcomeUnknown, Text, Unavailable, account_of, problem
from tasks.providers.registry import PROVIDERS

NAME = "pigeon"

#: Pigeon's own codes, in the words of the domain.
CODES = {
    "roof": (Meaning.LANDLINE, "pigeons find no roof at a landline"),
    "full": (Meaning.NOT_NOW, "all pigeons are under way"),
    "who": (Meaning.MISCONFIGURED, "Pigeon does not know the clinic's key"),
    "lost": (Meaning.SWITCHED_OFF, "the pigeon found nobody at home"),
}
STATES = {
    "flying": SmsStatus.SENT,
    "landed": SmsStatus.DELIVERED,
    "back": SmsStatus.UNDELIVERED,
}


class Pigeon:
    longest = 5.0

    def __init__(self, clinic: IntegrationSettings, *, timeout: float | None = None) -> None:
        account = account_of(clinic)
        self._url: str = account["url"]
        self._key: str = account["key"]
        self._timeout = timeout or self.longest
        self.account = f"{NAME}:{account['name']}"  # kept with each message, so not the key

    def send(self, text: Text) -> Accepted:
        letter = {"to": text.to, "body": text.body, "reference": text.receipt, "seconds": text.valid_for}
        try:
            answer = self._ask("POST", "/letters", json=letter)
        except requests.RequestException as error:
            raise OutcomeUnknown("the connection to Pigeon broke") from error
        found = answer.json()
        if answer.status_code == requests.codes.service_unavailable:
            raise Unavailable("Pigeon is asleep")
        if answer.status_code != requests.codes.created:
            raise problem(_failure(found["code"]))
        return Accepted(found["id"], segments=1)

    def find(self, *, to: str, bodies: set[str], since: datetime) -> list[Accepted]:
        letters = self._look("/letters", params={"to": to}).json()
        return [
            Accepted(letter["id"], 1, at)
            for letter in letters
            if letter["body"] in bodies and (at := datetime.fromtimestamp(letter["at"], UTC)) >= since
        ]

    def fetch(self, provider_id: str) -> Report | None:
        answer = self._look(f"/letters/{provider_id}")
        if answer.status_code == requests.codes.not_found:
            return None
        letter = answer.json()
        why = _failure(letter["code"]) if letter["code"] else None
        return Report(provider_id, STATES[letter["state"]], why=why, segments=1)

    def _look(self, path: str, **more: Any) -> requests.Response:
        try:
            return self._ask("GET", path, **more)
        except requests.RequestException as error:
            raise Unavailable("Pigeon does not answer") from error

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Key {self._key}"}
        return requests.request(method, self._url + path, headers=headers, timeout=self._timeout, **more)


def _failure(code: str) -> Failure:
    meaning, reason = CODES[code]
    return Failure(reason, code, meaning)


PROVIDERS[NAME] = Pigeon
