"""Vapi's list of calls, for reports that were lost while we were down.

Plain HTTP and not the official client, which costs 15 seconds and 300 MB for types that a worker does not
need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

import settings
from tasks.providers import Unavailable

#: Seconds for one answer; and the calls of one page, which is Vapi's own limit for a list.
PATIENCE = 8
PAGE = 100


@dataclass(frozen=True, slots=True)
class Whose:
    """What distinguishes a clinic's calls from others in the same account; one of the two is enough."""

    assistant_id: str | None
    phone_number_id: str | None

    def owns(self, call: Mapping[str, Any]) -> bool:
        ours = {self.assistant_id, self.phone_number_id} - {None}
        return not ours.isdisjoint(
            value for name in ("assistantId", "phoneNumberId") if isinstance(value := call.get(name), str)
        )

    @property
    def query(self) -> dict[str, str]:
        if self.assistant_id:
            return {"assistantId": self.assistant_id}
        return {"phoneNumberId": self.phone_number_id or ""}


def calls_between(
    api_key: str, whose: Whose, since: datetime, until: datetime
) -> Iterator[tuple[datetime, list[Mapping[str, Any]]]]:
    """The calls that changed in this time, in parts, each with the moment up to which the calls are complete.

    Raises Unavailable; the parts yielded before stand. Vapi does not say in which order a list comes, so the
    time of a full page is asked for again in two halves.
    """
    found = _page(api_key, whose, since, until)
    if len(found) < PAGE or until - since < timedelta(seconds=1):
        yield until, [call for call in found if whose.owns(call)]
        return
    middle = since + (until - since) / 2
    yield from calls_between(api_key, whose, since, middle)
    yield from calls_between(api_key, whose, middle, until)


def _page(api_key: str, whose: Whose, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
    query = {"updatedAtGe": _written(since), "updatedAtLe": _written(until), "limit": str(PAGE)}
    try:
        answer = requests.get(
            settings.get().vapi_api_base_url.rstrip("/") + "/call",
            params=query | whose.query,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=PATIENCE,
            allow_redirects=False,
        )
        found = answer.json() if answer.status_code == requests.codes.ok else None
    except (requests.RequestException, ValueError) as error:
        raise Unavailable("Vapi could not be asked") from error
    if not isinstance(found, list):
        raise Unavailable(f"Vapi answered {answer.status_code}")
    return [call for call in found if isinstance(call, dict) and isinstance(call.get("id"), str)]


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
