"""`flask sms provider`: who sends a clinic's SMS, and with which account."""

from __future__ import annotations

import uuid

import pytest

from models.base import sealing
from tests.factories import create_clinic
from tests.webapp.cli.commands import Operator

SET = "SELECT sms_provider, sms_account_sealed FROM integration_settings WHERE org_id = %s"


def test_a_clinic_sends_with_twilio_until_another_provider_is_set_and_can_go_back(operator: Operator) -> None:
    org = create_clinic()
    assert operator.row(SET, org) == ("twilio", None)
    operator.does("sms", "provider", org, "pigeon", typed='{"key": "coo"}\n')
    name, sealed = operator.row(SET, org)
    assert name == "pigeon"
    assert "coo" not in sealed
    assert sealing.unseal(uuid.UUID(org), "sms_account", sealed) == '{"key": "coo"}'
    assert operator.reads("organization", "show", org)["sms_provider"] == "pigeon"
    operator.does("sms", "provider", org, "twilio")
    assert operator.row(SET, org) == ("twilio", None)


@pytest.mark.parametrize(
    ("name", "typed", "why"),
    [
        ("Pigeon post", "{}", "is no name of a provider"),
        ("pigeon", "coo", "must be one JSON object"),
        ("pigeon", '["coo"]', "must be one JSON object"),
        ("pigeon", "", "one line was expected"),
    ],
)
def test_what_is_no_provider_or_no_account_is_refused_and_changes_nothing(
    operator: Operator, name: str, typed: str, why: str
) -> None:
    org = create_clinic()
    assert why in operator.fails("sms", "provider", org, name, typed=typed + "\n")
    assert operator.row(SET, org) == ("twilio", None)
