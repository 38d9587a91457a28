"""Numbers as people say them, and the reason why one cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from models import phone
from models.phone import ImpossibleNumber

any_speed = hypothesis_settings(deadline=None)  # a busy machine is no failure


@pytest.mark.parametrize(
    ("said", "region", "number"),
    [
        ("+442079460958", "US", "+442079460958"),
        ("+44 20 7946 0958", "US", "+442079460958"),
        ("+44 (0)20 7946 0958", "US", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("(020) 7946-0958", "GB", "+442079460958"),
        ("020.7946.0958", "GB", "+442079460958"),
        ("  07700 900123  ", "GB", "+447700900123"),
        ("00 44 7700 900123", "DE", "+447700900123"),
        ("011 44 7700 900123", "US", "+447700900123"),
        ("212-555-0123", "US", "+12125550123"),
        ("1 212 555 0123", "US", "+12125550123"),
        ("030/901820", "DE", "+4930901820"),
        ("06 12 34 56 78", "FR", "+33612345678"),
    ],
)
def test_a_number_is_one_of_the_clinics_country_unless_it_says_another(
    said: str, region: str, number: str
) -> None:
    assert phone.e164(said, region=region) == number


@pytest.mark.parametrize(
    ("said", "region", "reason"),
    [
        ("+1-555-1234", "GB", "its area code is missing"),
        ("555-1234", "US", "its area code is missing"),
        ("+1 55", "GB", "it has too few digits"),
        ("123", "GB", "it has too few digits"),
        ("+", "GB", "it is not made of digits"),
        ("+44 20 7946 0958 1234", "GB", "it has too many digits"),
        ("212 555 0123 99", "US", "it has too many digits"),
        ("1" * 18, "GB", "it has too many digits"),
        ("+44" + "1" * 20, "GB", "it has too many digits"),
        ("+44", "GB", "it has too few digits"),
        ("12", "GB", "it has too few digits"),
        ("+999 123 456 789", "GB", "its country code does not exist"),
        ("+0 123 456 789", "GB", "its country code does not exist"),
        ("", "GB", "it is not made of digits"),
        ("   ", "GB", "it is not made of digits"),
        ("five five five", "GB", "it is not made of digits"),
        ("0800 FLOWERS", "GB", "it is not made of digits"),
        ("020 7946 0958 ext 12", "GB", "it is not made of digits"),
        ("020 7946 0958;ext=12", "GB", "it is not made of digits"),
        ("tel:+442079460958", "GB", "it is not made of digits"),
        ("44+2079460958", "GB", "it is not made of digits"),
        ("++442079460958", "GB", "it is not made of digits"),
        ("+44 20 7946 0958\x00", "GB", "it is not made of digits"),
        # Digits, but not those of a telephone: Arabic-Indic, full-width, superscript.
        (
            "+\u0664\u0664\u0662\u0660\u0667\u0669\u0664\u0666\u0660\u0669\u0665\u0668",
            "GB",
            "it is not made of digits",
        ),
        ("\uff0b\uff14\uff14\uff12\uff10", "GB", "it is not made of digits"),
        ("020 7946 095\u2078", "GB", "it is not made of digits"),
        ("1" * 41, "GB", "it is not made of digits"),
    ],
)
def test_an_impossible_number_says_why(said: str, region: str, reason: str) -> None:
    with pytest.raises(ImpossibleNumber) as raised:
        phone.e164(said, region=region)
    assert str(raised.value) == reason


def test_a_sandbox_clinic_takes_the_number_of_the_quick_reference() -> None:
    assert phone.e164("+1-555-1234", region="US", sandbox=True) == "+15551234"
    assert phone.e164("+1-555-1", region="US", sandbox=True) == "+15551"
    with pytest.raises(ImpossibleNumber, match="not made of digits"):
        phone.e164("five", region="US", sandbox=True)
    with pytest.raises(ImpossibleNumber, match="country code does not exist"):
        phone.e164("+999 123", region="US", sandbox=True)


@any_speed
@given(
    st.text(alphabet="+0123456789 -().", max_size=20) | st.text(max_size=20),
    st.sampled_from(("GB", "US", "DE")),
)
def test_whatever_is_said_it_is_a_number_or_a_reason(said: str, region: str) -> None:
    for sandbox in (False, True):
        try:
            number = phone.e164(said, region=region, sandbox=sandbox)
        except ImpossibleNumber:
            continue
        assert number[0] == "+"
        assert number[1:].isascii()
        assert number[1:].isdigit()
        assert sandbox or phone.e164(number, region="FR") == number  # said again, the same


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("+442079460958", "+44 20 7946 0958"),
        ("+12125550123", "+1 212-555-0123"),
        ("reception", "reception"),
        ("", ""),
    ],
)
def test_a_number_is_readable(number: str, text: str) -> None:
    assert phone.readable(number) == text


def test_two_digits_are_all_that_an_answer_carries() -> None:
    assert phone.last_digits("+442079460958") == "58"
