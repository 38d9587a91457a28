"""An operator sees who holds several times without a code, and gives them back."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.factories import create_clinic, phone_number, slot
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.cli.commands import Operator


def test_all_of_a_caller_are_given_back(client: FlaskClient, operator: Operator) -> None:
    org, caller = create_clinic(), phone_number()
    for hour in (9, 10):
        call = PhoneCall(client, org, caller)
        said = call.say(
            "reserve_atomic", slotId=slot(hour=hour), patientName="John", patientPhone=phone_number()
        )
        assert "holdId=" in said
    [asker] = operator.reads("hold", "askers", org)
    assert asker["holds"] == 2
    assert operator.does("hold", "give-back", org, "--caller", asker["caller"]) == "given back: 2"
    assert operator.reads("hold", "askers", org) == []
    assert "give one of" in operator.run("hold", "give-back", org).output
