"""The limits of codes and holds, through the tools."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from flask.testing import FlaskClient

from tests.conftest import Clock
from tests.factories import bare, code_of, create_clinic, phone_number, reserve, slot
from tests.models.wrong_codes import wrong
from tests.surroundings import environment
from tests.webapp.agents.calls import PhoneCall
from tests.webapp.agents.vapi.signing import make_secret


def held_for(client: FlaskClient, org: str, number: str, hour: int) -> str:
    answer = reserve(client, org, patientPhone=number, slotId=slot(hour=hour))
    assert answer["success"], answer
    return str(answer["holdId"])


def test_wrong_codes_for_one_number_stop_further_codes_to_it_and_to_no_other(
    client: FlaskClient, sql: psycopg.Connection, clock: Clock
) -> None:
    org, number = create_clinic(wrong_codes_per_phone_a_day=4, holds_per_phone=10), phone_number()
    for hour, tries in ((9, 3), (10, 1)):  # over several holds, the first of which is locked by them
        hold = held_for(client, org, number, hour)
        assert bare(client, "booking/send-otp", holdId=hold)["success"]
        for _ in range(tries):
            bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code_of(hold)))
        sql.execute("UPDATE sms_messages SET status = 'sent' WHERE hold_id = %s", [hold])
    again = bare(client, "booking/send-otp", holdId=hold)
    assert (again["success"], again["code"]) == (False, "too_many_codes")
    third = held_for(client, org, number, 11)
    assert bare(client, "booking/send-otp", holdId=third)["code"] == "too_many_codes"
    # No further code is compared, not even the right one: it would be one more guess.
    tried = bare(client, "booking/verify-otp", holdId=hold, providedOTP=code_of(hold))
    assert (tried["success"], tried["code"]) == (False, "too_many_codes")
    assert "own mobile" in tried["say"]
    # The limit does not bind another number or another clinic.
    other = held_for(client, org, phone_number(), 12)
    assert bare(client, "booking/send-otp", holdId=other)["success"]
    elsewhere = held_for(client, create_clinic(wrong_codes_per_phone_a_day=4), number, 9)
    assert bare(client, "booking/send-otp", holdId=elsewhere)["success"]
    clock.forward(24 * 3600 + 60)
    tomorrow = held_for(client, org, number, 15)
    assert bare(client, "booking/send-otp", holdId=tomorrow)["success"]


def test_wrong_codes_are_forgiven_one_by_one_over_a_day(client: FlaskClient, clock: Clock) -> None:
    org, number = create_clinic(wrong_codes_per_phone_a_day=3, holds_per_phone=10), phone_number()
    hold = held_for(client, org, number, 9)
    assert bare(client, "booking/send-otp", holdId=hold)["success"]
    for _ in range(3):
        bare(client, "booking/verify-otp", holdId=hold, providedOTP=wrong(code_of(hold)))
    for hour, pause in ((10, 0), (11, 3600), (12, 6 * 3600)):
        clock.forward(pause)
        later = held_for(client, org, number, hour)
        assert bare(client, "booking/send-otp", holdId=later)["code"] == "too_many_codes"
    clock.forward(3600 + 60)
    last = held_for(client, org, number, 13)
    assert bare(client, "booking/send-otp", holdId=last)["success"]
    first, second = (
        bare(client, "booking/verify-otp", holdId=last, providedOTP=wrong(code_of(last))) for _ in range(2)
    )
    assert (first["code"], second["code"]) == ("wrong_code", "too_many_codes")


def test_the_default_caps_are_fifteen_wrong_codes_and_three_holds(sql: psycopg.Connection) -> None:
    row = sql.execute(
        "INSERT INTO organizations (name, region) VALUES ('With the defaults', 'GB')"
        " RETURNING wrong_codes_per_phone_a_day, holds_per_phone, allowed_countries"
    ).fetchone()
    assert row == (15, 3, [])


def test_one_number_holds_so_many_times_and_no_more(client: FlaskClient, clock: Clock) -> None:
    org, number = create_clinic(holds_per_phone=2), phone_number()
    for hour in (9, 10):
        first = held_for(client, org, number, hour)
    refused = reserve(client, org, patientPhone=number, slotId=slot(hour=11))
    assert (refused["success"], refused["code"]) == (False, "too_many_holds")
    assert refused["say"].startswith("NOT BOOKED")
    # The limit binds every spelling of the number, and every call that only names it.
    local = "0" + number.removeprefix("+44")
    assert reserve(client, org, patientPhone=local, slotId=slot(hour=11))["code"] == "too_many_holds"
    call, wish = PhoneCall(client, org, phone_number()), {"patientName": "John", "patientPhone": number}
    assert "too_many_holds" in call.say("reserve_atomic", slotId=slot(hour=11), **wish)
    # The limit does not bind another number or another clinic.
    held_for(client, org, phone_number(), 11)
    held_for(client, create_clinic(holds_per_phone=2), number, 11)
    # A booked hold no longer counts, and neither does an expired one.
    assert bare(client, "booking/send-otp", holdId=first)["success"]
    assert bare(client, "booking/verify-otp", holdId=first, providedOTP=code_of(first))["success"]
    held_for(client, org, number, 12)
    assert reserve(client, org, patientPhone=number, slotId=slot(hour=13))["code"] == "too_many_holds"
    clock.forward(601)
    held_for(client, org, number, 13)


def test_those_who_name_a_number_use_up_nothing_of_its_own_callers(client: FlaskClient) -> None:
    org, number = create_clinic(holds_per_phone=2), phone_number()
    for hour in (9, 10):
        held_for(client, org, number, hour)
    for hour in (11, 12):
        own = PhoneCall(client, org, number)
        assert "holdId=" in own.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")
    own = PhoneCall(client, org, number)
    assert "too_many_holds" in own.say("reserve_atomic", slotId=slot(hour=13), patientName="John")


def test_a_call_may_move_its_hold_where_the_number_can_have_no_more(client: FlaskClient) -> None:
    org, number = create_clinic(holds_per_phone=1), phone_number()
    call = PhoneCall(client, org, number)
    for hour in (9, 10):
        assert "holdId=" in call.say("reserve_atomic", slotId=slot(hour=hour), patientName="John")
    other = PhoneCall(client, org, number)
    assert "too_many_holds" in other.say("reserve_atomic", slotId=slot(hour=11), patientName="John")


GB, JE, US, CA, FR = "+442079460123", "+447797712345", "+12125551234", "+14165551234", "+33612345678"
UNDECIDED = "+19995550123"  # of +1, but of no particular country


@pytest.mark.parametrize(
    ("clinic", "number", "allowed"),
    [
        ({}, GB, True),
        ({}, FR, False),
        ({}, US, False),
        ({}, JE, True),  # Jersey shares Britain's numbering plan
        ({}, "+447781123456", True),  # Guernsey
        ({}, "+447624123456", True),  # Isle of Man
        ({"region": "JE"}, GB, True),
        ({"region": "US"}, "+17875551234", True),  # Puerto Rico
        ({"region": "US"}, "+16715551234", True),  # Guam
        ({"region": "PR"}, US, True),
        ({"region": "CA"}, US, True),
        ({"region": "US"}, "+18765551234", False),  # Jamaica is also +1, and expensive
        ({"region": "US"}, "+18095551234", False),  # so is the Dominican Republic
        ({"region": "JM"}, "+18765551234", True),
        ({"region": "JM"}, US, False),
        ({"region": "IT"}, "+390669812345", True),  # Vatican City
        ({"region": "NO"}, "+4779123456", True),  # Svalbard
        ({"region": "FI"}, "+358181234567", True),  # Åland
        ({"region": "AU"}, "+61891641234", True),  # Christmas Island
        ({"region": "DE"}, "+436641234567", False),
        ({"region": "US"}, US, True),
        ({"region": "US"}, CA, True),
        ({"region": "US"}, GB, False),
        ({"region": "US"}, UNDECIDED, True),
        ({"region": "CA"}, UNDECIDED, True),
        ({"region": "FR"}, UNDECIDED, False),
        ({"allowed_countries": ["FR"]}, FR, True),
        ({"allowed_countries": ["FR"]}, GB, False),  # the list replaces the clinic's region
        ({"allowed_countries": ["GB"]}, JE, False),
        ({"allowed_countries": ["GB", "JE", "CA"]}, JE, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, GB, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, CA, True),
        ({"allowed_countries": ["GB", "JE", "CA"]}, US, False),
        ({"sandbox": True}, FR, True),
        ({"sandbox": True}, "+1-555-1234", True),
        ({"sandbox": True, "allowed_countries": ["GB"]}, FR, False),
        ({"sandbox": True, "allowed_countries": ["GB"]}, GB, True),
    ],
)
def test_codes_go_to_the_countries_that_the_clinic_names(
    client: FlaskClient, sql: psycopg.Connection, *, clinic: dict[str, Any], number: str, allowed: bool
) -> None:
    org = create_clinic(**clinic)
    answer = reserve(client, org, patientPhone=number)
    call = PhoneCall(client, org, number)  # the caller's own number is bound as well
    said = call.say("reserve_atomic", slotId=slot(hour=11), patientName="John")
    if allowed:
        assert answer["success"], answer
        assert "holdId=" in said
        assert bare(client, "booking/send-otp", holdId=answer["holdId"])["success"]
    else:
        assert (answer["success"], answer["code"]) == (False, "country_not_allowed")
        assert "country_not_allowed" in said
        held = sql.execute("SELECT count(*) FROM appointment_holds WHERE org_id = %s", [org]).fetchone()
        assert held == (0,)


@pytest.mark.parametrize(
    ("clinic", "number", "taken"),
    [
        ({}, "+447400123456", True),
        ({}, "+442071234567", False),
        ({"landlines_allowed": True}, "+442071234567", True),
        ({"landlines_allowed": True}, "+442079460958", False),
        ({}, "+447700900123", False),
        ({"sandbox": True}, "+447700900123", True),
        ({"sandbox": True, "landlines_allowed": True}, "+449012345678", False),
        ({"landlines_allowed": True}, "+447012345678", False),
        ({"region": "US"}, "+19002345678", False),
    ],
)
def test_in_production_a_time_is_held_only_for_what_can_be_a_mobile(
    client: FlaskClient, *, clinic: dict[str, Any], number: str, taken: bool
) -> None:
    org = create_clinic(**({"landlines_allowed": False} | clinic))
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {make_secret(org)}"
    call = PhoneCall(client, org, number)  # the caller's own number is bound as well
    with environment(APP_ENV="production"):
        said = call.say("reserve_atomic", slotId=slot(hour=11), patientName="John")
    assert ("holdId=" in said, "code=not_a_mobile" in said) == (taken, not taken), said


def test_a_number_of_another_country_is_no_way_round_by_how_it_is_written(client: FlaskClient) -> None:
    org = create_clinic()
    for written in (FR, "+33 6 12 34 56 78", "0033612345678", "(+33) 612-345-678"):
        assert reserve(client, org, patientPhone=written)["code"] in (
            "country_not_allowed",
            "impossible_phone",
        )
