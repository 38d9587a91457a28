"""The commands of docs/operations.md can be typed as they are printed."""

from __future__ import annotations

import re
import shlex
import uuid

from tests.factories import phone_number
from tests.places import ROOT
from tests.webapp.cli.commands import Operator

PAGE = (ROOT / "docs/operations.md").read_text()


def commands() -> list[list[str]]:
    lines = re.findall(r"^(?:ORG_ID=\$\()?flask .*$", PAGE, re.MULTILINE)
    return [shlex.split(line.removeprefix("ORG_ID=$(").removesuffix(")"))[1:] for line in lines]


def test_every_line_can_be_typed(operator: Operator) -> None:
    assert len(commands()) >= 20
    phone = phone_number()
    org = credential = ""
    known = {"owner@example.com": f"owner-{uuid.uuid4()}@example.com", "+44 7700 900123": phone}
    for words in commands():
        filled = [known.get(word, word).replace("$ORG_ID", org) for word in words]
        if "CREDENTIAL_ID" in filled:
            credential = credential or operator.reads("credential", "list", org)[0]["id"]
            filled = [word.replace("CREDENTIAL_ID", credential) for word in filled]
        if filled[:2] == ["patient", "export"]:
            operator.sql.execute(
                "INSERT INTO contacts (org_id, phone, name) VALUES (%s, %s, 'Jo')", [org, phone]
            )
        if filled[0] == "secrets":
            assert "sealed anew" in operator.run(*filled).output  # other tests leave what cannot be opened
            continue
        printed = operator.does(*filled, typed="a secret, typed or piped\n") if filled[0] != "doctor" else ""
        org = org or printed
        if filled[0] == "doctor":
            said = operator.run(*filled).output
            assert "Error" not in said or "missing" in said
    assert operator.reads("organization", "show", org)["keep_patients_days"] == 730
