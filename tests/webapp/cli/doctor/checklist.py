"""What the doctor found, by what it is about."""

from __future__ import annotations

import json
import uuid

from models.base import sealing
from models.base.session import transaction
from models.clinics.organizations import IntegrationSettings, Organization
from tests.webapp.cli.commands import Operator
from webapp.cli import assistant

Findings = dict[str, dict[str, str]]


def findings(operator: Operator, org: str) -> Findings:
    """By what they are about; of several the worst."""
    result = operator.run("doctor", org, "--json")
    text = result.stdout
    rows = json.loads(text[: text.rindex("]") + 1])
    rank = ["ok", "warning", "missing"]
    rows.sort(key=lambda row: rank.index(row["state"]))
    assert result.exit_code == (1 if any(row["state"] == "missing" for row in rows) else 0)
    return {row["what"]: row for row in rows}


def states(found: Findings, *wanted: str) -> set[str]:
    return {what for what, row in found.items() if row["state"] in wanted}


def push_assistant(org: str) -> None:
    """As a push leaves it; test_assistant.py pushes to a Vapi, and asks the doctor then."""
    with transaction(uuid.UUID(org)) as session:
        clinic = session.get_one(Organization, uuid.UUID(org))
        row = session.get_one(IntegrationSettings, uuid.UUID(org))
        row.vapi_api_key_sealed = sealing.seal(row.org_id, "vapi_api_key", "key")
        row.vapi_assistant_id = "assistant-1"
        row.vapi_assistant_digest = assistant._digest(assistant.wanted(session, clinic, row), "key")
