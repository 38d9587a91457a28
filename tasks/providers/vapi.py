"""Vapi's list of calls, for reports that were lost while we were down.

Plain HTTP and not the official client: that one costs 15 seconds and 300 MB of types, which a worker has
no use for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

import settings
from tasks.providers import Unavailable

#: Seconds for one answer; calls of one page, which is Vapi's own limit for a list.
PATIENCE = 15
PAGE = 100


def calls_between(
    api_key: str, assistant_id: str | None, since: datetime, until: datetime
) -> list[Mapping[str, Any]]:
    """The calls that changed in this time. Raises Unavailable.

    Vapi does not say in which order a list comes, so a full page is asked for again in two halves.
    """
    found = _page(api_key, assistant_id, since, until)
    if len(found) < PAGE or until - since < timedelta(seconds=1):
        return found
    middle = since + (until - since) / 2
    return [
        *calls_between(api_key, assistant_id, since, middle),
        *calls_between(api_key, assistant_id, middle, until),
    ]


def _page(
    api_key: str, assistant_id: str | None, since: datetime, until: datetime
) -> list[Mapping[str, Any]]:
    query = {"updatedAtGe": _written(since), "updatedAtLe": _written(until), "limit": str(PAGE)}
    if assistant_id:
        query["assistantId"] = assistant_id
    try:
        answer = requests.get(
            settings.get().vapi_api_base_url.rstrip("/") + "/call",
            params=query,
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
