"""What the doctor asks Twilio and Vapi."""

from __future__ import annotations

import pytest

import settings
from tests.factories import ACCOUNT_SID, AUTH_TOKEN
from tests.places import free_port
from tests.webapp.cli.commands import Operator
from tests.webapp.cli.doctor.checklist import _staffed as _staffed  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import complete as complete  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import findings, push_assistant, states
from tests.webapp.cli.doctor.checklist import live as live  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import production as production  # the fixture  # noqa: PLC0414
from tests.webapp.cli.doctor.checklist import world as world  # the fixture  # noqa: PLC0414
from tests.webapp.cli.outside_world import Outside


@pytest.mark.usefixtures("_staffed")
def test_a_token_is_right_only_if_twilio_takes_it(operator: Operator, live: str, world: Outside) -> None:
    """Any thirty-two characters look like one."""
    found = findings(operator, live)["Twilio account"]
    assert found["state"] == "ok"
    assert "accepts its auth token" in found["why"]
    assert world.asked[0] == (f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json?PageSize=1", AUTH_TOKEN)
    for status in (401, 403, 404):
        world.status = status
        found = findings(operator, live)["Twilio account"]
        assert (found["state"], found["mend"]) == ("missing", f"flask twilio set {live} --auth-token-stdin")
        assert str(status) in found["why"]


@pytest.mark.usefixtures("_staffed")
def test_an_api_key_is_asked_for_in_place_of_the_token(operator: Operator, live: str, world: Outside) -> None:
    key = "SK" + "4b" * 16
    operator.does("twilio", "set", live, "--api-key-sid", key, typed="the secret of the key\n")
    found = findings(operator, live)["Twilio account"]
    assert (found["state"], key in found["why"]) == ("ok", True)
    world.refused = {"the secret of the key"}
    found = findings(operator, live)["Twilio account"]
    assert (found["state"], found["mend"]) == ("missing", f"flask twilio set {live} --api-key-secret-stdin")
    assert "the secret of the key" not in str(found)


@pytest.mark.usefixtures("_staffed")
@pytest.mark.parametrize("status", [302, 429, 500, 503])
def test_what_could_not_be_asked_is_no_ok(operator: Operator, live: str, world: Outside, status: int) -> None:
    world.status = status
    found = findings(operator, live)
    assert states(found, "warning") == {"Twilio account", "assistant"}
    assert states(found, "missing") == set()
    for what in ("Twilio account", "assistant"):
        assert "could not be asked" in found[what]["why"]


@pytest.mark.usefixtures("_staffed")
def test_without_a_way_outside_it_says_so(
    operator: Operator, live: str, production: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    production.setenv("TWILIO_API_BASE_URL", nowhere)
    production.setenv("VAPI_API_BASE_URL", nowhere)
    settings.of_process.cache_clear()
    push_assistant(live)  # which knows where it was pushed
    found = findings(operator, live)
    assert states(found, "warning") == {"Twilio account", "assistant"}
    assert "ConnectionError" in found["Twilio account"]["why"]


@pytest.mark.usefixtures("_staffed")
def test_an_assistant_is_right_only_if_vapi_has_it(operator: Operator, live: str, world: Outside) -> None:
    assert "Vapi has it" in findings(operator, live)["assistant"]["why"]
    assert ("/assistant/assistant-1", "key") in world.asked
    world.unknown = {"assistant-1"}
    assert findings(operator, live)["assistant"]["mend"].endswith("--push --force")
    world.refused = {"key"}
    found = findings(operator, live)["assistant"]
    assert (found["state"], found["mend"]) == (
        "missing",
        f"flask organization vapi {live} --api-key-stdin",
    )
