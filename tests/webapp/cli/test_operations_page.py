"""The commands of docs/operations.md can be typed as they are printed."""

from __future__ import annotations

import re
import shlex
import tempfile
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flask.testing import FlaskClient

from tests.factories import bare, phone_number
from tests.places import ROOT
from tests.webapp.cli.commands import Operator

PAGE = (ROOT / "docs/operations.md").read_text()

#: The year of the dates on the page becomes one that is still to come.
YEAR = str(datetime.now(UTC).year + 1)


def commands() -> list[tuple[str, list[str]]]:
    """Each command, with the variable that its output is kept in."""
    lines = re.findall(r"^(?:(\w+)=\$\()?(flask .*?)\)?$", PAGE, re.MULTILINE)
    return [(variable, shlex.split(line)[1:]) for variable, line in lines]


def files() -> dict[str, str]:
    """The files that the page names, with a row and an event in them."""
    folder = Path(tempfile.mkdtemp())
    header = "Date,Time,Duration,Patient,Mobile,Service,Provider"
    rows = f"{header}\n{YEAR}-12-08,09:00,30,Jo,07700 900124,Check-up,Lee\n"
    at = f"DTSTAMP:{YEAR}0101T000000Z\nDTSTART:{YEAR}1208T090000Z\nDTEND:{YEAR}1208T100000Z\n"
    event = f"UID:1\n{at}SUMMARY:Away\n"
    lines = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:x\nBEGIN:VEVENT\n{event}END:VEVENT\nEND:VCALENDAR\n"
    for name, text in (("diary.csv", rows), ("calendar.ics", lines.replace("\n", "\r\n"))):
        (folder / name).write_text(text)
    return {name: str(folder / name) for name in ("diary.csv", "calendar.ics")}


def typed(operator: Operator) -> dict[str, str]:
    """Type every command of the page. Returns the variables."""
    phone = phone_number()
    credential = ""
    variables: dict[str, str] = {}
    known = {f"{who}@example.com": f"{who}-{uuid.uuid4()}@example.com" for who in ("owner", "desk")}
    known |= {"+44 7700 900123": phone, **files()}
    for variable, words in commands():
        filled = [re.sub(r"\b2026\b", YEAR, known.get(word, word)) for word in words]
        for name, value in variables.items():
            filled = [word.replace(f"${name}", value) for word in filled]
        org = variables.get("ORG_ID", "")
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
        if filled[0] == "doctor":
            said = operator.run(*filled).output
            assert "Error" not in said or "missing" in said
            continue
        if filled[:2] == ["organization", "create"]:
            filled.append("--same-name")  # another test has typed the page before
        secret = "https://calendar.test/basic.ics" if filled[0] == "feed" else "a secret, typed or piped"
        printed = operator.does(*filled, typed=f"{secret}\n")
        if variable:
            variables[variable] = printed
    return variables


def test_every_line_can_be_typed(operator: Operator, client: FlaskClient) -> None:
    assert len(commands()) >= 45
    variables = typed(operator)
    assert operator.reads("organization", "show", variables["ORG_ID"])["keep_patients_days"] == 730
    # The clinic with several people is as the page says, and answers its callers.
    clinic = variables["CLINIC"]
    kinds = [each["kind"] for each in operator.reads("resource", "list", clinic, "--all")]
    assert sorted(kinds) == ["person"] * 3 + ["room"] * 2
    services = {each["id"]: each for each in operator.reads("service", "list", clinic, "--all")}
    assert len(services) == 5
    assert services["cleaning"]["words"] == ["hygienist", "scale and polish"]
    day = next_tuesday()
    for wanted in (
        {},
        {"calendarId": "cal-anna"},
        {"service": "hygienist"},
        {"person": "Carla Diaz", "service": "cleaning"},
    ):
        free = bare(client, "calendar/check", tenantId=clinic, date=day.isoformat(), **wanted)
        assert free["slots"], (wanted, free)
    closed = [each["date"] for each in operator.reads("closure", "list", clinic)]
    assert closed == [f"{YEAR}-12-25", f"{YEAR}-12-26", f"{YEAR}-12-26"]


def next_tuesday() -> date:
    """Two weeks ahead or more, which nothing on the page closes before December."""
    day = datetime.now(UTC).date() + timedelta(days=14)
    return day + timedelta(days=(1 - day.weekday()) % 7)
