"""Nothing of the original quick reference is lost, and no document names what is not there."""

from __future__ import annotations

import importlib
import inspect
import json
import re

import pytest

from tests.journey.blocks import BLOCKS, DOCUMENT, REQUESTS
from tests.places import ROOT

pytestmark = pytest.mark.journey
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The sections of the document that this one follows.
SECTIONS = """\
One-Minute Summary
File Locations (Quick Lookup)
API Endpoints (Test These)
Key Functions
Database Queries (Reference)
System Prompt (What It Says)
Monitoring Queries
Troubleshooting
Performance Notes
Deployment Checklist
Key Takeaways
Support
""".splitlines()

#: Its statements, word for word; only its date, which has passed, became a placeholder.
STATEMENTS = [
    """
    SELECT
      id, status, confirmation_sms_sent,
      confirmation_sms_id, confirmation_sms_sent_at
    FROM appointments
    WHERE id = 'APPOINTMENT_ID'
    LIMIT 1;
    -- Expected: confirmation_sms_sent = true
    """,
    """
    SELECT message_id, status, delivery_timestamp
    FROM sms_confirmation_logs
    WHERE appointment_id = 'APPOINTMENT_ID'
    LIMIT 1;
    -- Expected: status = 'delivered'
    """,
    """
    -- Try to reserve same slot twice
    SELECT claim_slot_atomic(
      'ORG_ID'::uuid, 'cal-1', 'FREE_SLOT_1'::timestamp,
      'call-1', 'John', '+1-555-1234', 10
    );
    """,
    """
    -- First call: success = true
    -- Second call: success = false, error = "Slot already held"
    """,
    """
    SELECT
      DATE(created_at) as date,
      COUNT(*) as appointments_created,
      COUNT(*) FILTER (WHERE confirmation_sms_sent = true) as confirmations_sent,
      ROUND(100.0 * COUNT(*) FILTER (WHERE confirmation_sms_sent = true) / COUNT(*), 2) as confirmation_rate
    FROM appointments
    WHERE org_id = 'YOUR_ORG_ID'
      AND created_at > NOW() - INTERVAL '7 days'
    GROUP BY DATE(created_at)
    ORDER BY date DESC;
    """,
    """
    SELECT
      status,
      COUNT(*) as count
    FROM sms_confirmation_logs
    WHERE created_at > NOW() - INTERVAL '24 hours'
    GROUP BY status;
    -- Expected: All 'delivered' (or very few failures)
    """,
    """
    SELECT
      lead_name,
      lead_phone,
      lead_score,
      alert_sent_at
    FROM hot_lead_alerts
    WHERE org_id = 'YOUR_ORG_ID'
      AND created_at > NOW() - INTERVAL '24 hours'
    ORDER BY created_at DESC;
    """,
    "SELECT * FROM integration_settings WHERE org_id = 'ORG_ID'",
    "SELECT * FROM sms_confirmation_logs ORDER BY created_at DESC LIMIT 5",
    """
    -- Test concurrent reservations
    SELECT claim_slot_atomic('ORG'::uuid, 'cal-1', 'FREE_SLOT_2'::timestamp,
      'call-1', 'John', '+1-555-1', 10);
    SELECT claim_slot_atomic('ORG'::uuid, 'cal-1', 'FREE_SLOT_2'::timestamp,
      'call-2', 'Jane', '+1-555-2', 10);
    -- First: success = true
    -- Second: success = false (expected)
    """,
    "SELECT hot_lead_alert_phone FROM integration_settings",
    "SELECT duration FROM calls WHERE id = 'CALL_ID'",
    "SELECT lead_score FROM hot_lead_alerts WHERE call_id = 'CALL_ID'",
    "appointments(org_id, scheduled_at)",
    "sms_confirmation_logs(appointment_id)",
    "sms_confirmation_logs(org_id, created_at DESC)",
    "contacts(org_id, booking_source) WHERE booking_source = 'phone_ai'",
]


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_the_sections_are_those_of_the_original() -> None:
    assert re.findall(r"^## (.*)$", DOCUMENT.read_text(), re.MULTILINE) == SECTIONS


def test_a_block_can_be_run_or_is_text() -> None:
    assert {block.language for block in BLOCKS} == {"bash", "sql", "text"}


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: one_line(statement)[:40])
def test_the_statements_of_the_original_are_there(statement: str) -> None:
    assert one_line(statement) in one_line("\n".join(block.text for block in BLOCKS))


@pytest.mark.parametrize("path", REQUESTS)
def test_the_requests_of_the_original_are_there(path: str) -> None:
    (first, *_) = [block.text for block in BLOCKS if f"/api/vapi/tools/{path} " in block.text]
    assert f"curl -s -X POST http://localhost:3001/api/vapi/tools/{path} \\\n" in first
    assert '-H "Content-Type: application/json" \\\n' in first
    (body,) = re.findall(r"-d '(.*)'\)?$", first, re.MULTILINE)
    assert list(json.loads(re.sub(r"'\$\w+'", "x", body))["toolCall"]["arguments"]) == REQUESTS[path]


def signatures() -> list[str]:
    text = "\n".join(
        block.text for block in BLOCKS if block.heading in ("Confirmation", "Holds and appointments")
    )
    return re.findall(r"^(?:models|tasks|webapp)\..*\)$", text, re.MULTILINE)


@pytest.mark.parametrize("signature", signatures())
def test_the_functions_are_as_printed(signature: str) -> None:
    name, _, printed = signature.partition("(")
    module, _, function = name.rpartition(".")
    found = getattr(importlib.import_module(module), function)
    bare = inspect.signature(getattr(found, "run", found))
    names = [parameter.replace(annotation=parameter.empty) for parameter in bare.parameters.values()]
    expected = str(bare.replace(parameters=names, return_annotation=bare.empty))
    assert f"({printed}" == expected


def test_the_files_that_are_named_exist() -> None:
    made_at_run_time = {"var/"}
    for page in PAGES:
        named = re.findall(r"`([\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|sql|json|html)))`", page.read_text())
        missing = {name for name in named if not (ROOT / name).exists()} - made_at_run_time
        assert not missing, (page.name, missing)


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if target.startswith(("http://", "https://")):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), (page.name, target)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, (
                    target
                )
