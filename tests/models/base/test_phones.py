"""Numbers as people say them, and the reasons why a number is impossible."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.base import phones
from models.base.phones import ImpossibleNumber, NotAMobile


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
        # Dashes, spaces and marks of keyboards, web pages and telephones' address books.
        ("07700\u2011900\u2011123", "GB", "+447700900123"),
        ("(415) 555\u20130100", "US", "+14155550100"),
        ("07700\u00a0900\u202f123", "GB", "+447700900123"),
        ("07700\u2212900\u2212123", "GB", "+447700900123"),
        ("\u202a+44 7700 900123\u202c", "GB", "+447700900123"),
        ("07700.900.123", "GB", "+447700900123"),
        ("07700, 900, 123", "GB", "+447700900123"),
        ("07700_900_123", "GB", "+447700900123"),
        # Digits of other scripts.
        ("\uff0b\uff14\uff14 \uff17\uff17\uff10\uff10 \uff19\uff10\uff10123", "GB", "+447700900123"),
        ("+\u0664\u0664\u0662\u0660\u0667\u0669\u0664\u0666\u0660\u0669\u0665\u0668", "GB", "+442079460958"),
        ("\u0966\u096d\u096d\u0966\u0966 \u096f\u0966\u0966123", "GB", "+447700900123"),
        # No text message reaches an extension.
        ("020 7946 0958 ext 12", "GB", "+442079460958"),
        ("020 7946 0958 ext. 12", "GB", "+442079460958"),
        ("020 7946 0958x3", "GB", "+442079460958"),
        ("020 7946 0958, extension three", "GB", "+442079460958"),
        ("020 7946 0958;ext=12", "GB", "+442079460958"),
        ("020 7946 0958 #12", "GB", "+442079460958"),
        ("020 7946 0958\uff0312", "GB", "+442079460958"),
        ("020 7946 0958\uff5812", "GB", "+442079460958"),
        ("514-555-0123 poste 3", "CA", "+15145550123"),
        ("030 901820 DW 12", "DE", "+4930901820"),
        ("030 901820 Durchwahl 12", "DE", "+4930901820"),
        ("020 7946 0958 int. 12", "GB", "+442079460958"),
        ("020 7946 0958 anexo 12", "GB", "+442079460958"),
        ("020 7946 0958 \u0434\u043e\u0431. 12", "GB", "+442079460958"),
        ("020 7946 0958#", "GB", "+442079460958"),
        # Prefixes.
        ("tel:+442079460958", "GB", "+442079460958"),
        ("Tel. 020 7946 0958", "GB", "+442079460958"),
        ("Tel. no.: 020 7946 0958", "GB", "+442079460958"),
        ("Phone #: 020 7946 0958", "GB", "+442079460958"),
        ("Mob. 07700 900123", "GB", "+447700900123"),
        ("sip:+442079460958@example.com", "US", "+442079460958"),
        ("0044 7700 900123", "US", "+447700900123"),
        ("011 44 7700 900123", "GB", "+447700900123"),
        ("+0044 7700 900123", "GB", "+447700900123"),
        ("44 7700 900123", "GB", "+447700900123"),
        ("+44(0)7700 900123", "US", "+447700900123"),
        # In spoken words.
        ("plus four four seven seven double oh nine oh oh one two three", "US", "+447700900123"),
        ("oh seven seven double zero nine hundred one two three", "GB", "+447700900123"),
        ("zero seven seven zero zero, nine zero zero, one two three", "GB", "+447700900123"),
        ("four one five, five five five, oh one double oh", "US", "+14155550100"),
        ("one eight hundred five five five one two three four", "US", "+18005551234"),
        ("07700 nine hundred 123", "GB", "+447700900123"),
        ("My number is 07700 900123, please.", "GB", "+447700900123"),
        ("it's oh seven seven double oh, um, nine hundred, one two three", "GB", "+447700900123"),
    ],
)
def test_a_number_is_one_of_the_clinics_country_unless_it_says_another(
    said: str, region: str, number: str
) -> None:
    assert phones.e164(said, region=region) == number


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
        ("five five five", "GB", "it has too few digits"),
        ("07700 900123 ask for Bob", "GB", "it is not made of digits"),
        ("07700 900123 or 07700 900124", "GB", "it is not made of digits"),
        ("07700 nine hundred and five", "GB", "it is not made of digits"),
        ("07700 nine hundred twelve", "GB", "it is not made of digits"),
        ("*67 415 555 0100", "US", "it is not made of digits"),
        ("ext 12", "GB", "it is not made of digits"),
        ("same as caller", "GB", "it is not made of digits"),
        ("0800 FLOWERS", "GB", "it is not made of digits"),
        ("44+2079460958", "GB", "it is not made of digits"),
        ("++442079460958", "GB", "it is not made of digits"),
        ("+44 20 7946 0958\x00", "GB", "it is not made of digits"),
        # A superscript digit, which no telephone has.
        ("020 7946 095\u2078", "GB", "it is not made of digits"),
        ("1" * 41, "GB", "it has too many digits"),
        ("1 " * 101, "GB", "it is not made of digits"),
    ],
)
def test_an_impossible_number_says_why(said: str, region: str, reason: str) -> None:
    with pytest.raises(ImpossibleNumber) as raised:
        phones.e164(said, region=region)
    assert str(raised.value) == reason


def test_a_sandbox_clinic_takes_the_number_of_the_quick_reference() -> None:
    assert phones.e164("+1-555-1234", region="US", sandbox=True) == "+15551234"
    assert phones.e164("+1-555-1", region="US", sandbox=True) == "+15551"
    with pytest.raises(ImpossibleNumber, match="not made of digits"):
        phones.e164("mine", region="US", sandbox=True)
    with pytest.raises(ImpossibleNumber, match="country code does not exist"):
        phones.e164("+999 123", region="US", sandbox=True)


@pytest.mark.parametrize(
    "said",
    [
        "same as caller",
        "Same.",
        "this number",
        "this one",
        "the number I'm calling from",
        "the number I\u2019m ringing from, please",
        "use the number they are calling from",
        "caller's number",
        "caller_id",
        "customer.number",
        "current number",
        "the one I'm using now",
        "same as mine",
    ],
)
def test_a_number_may_be_named_as_that_of_the_call(said: str) -> None:
    assert phones.means_the_callers(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "my mobile",
        "not this number",
        "my wife's",
        "the one from before",
        "07700 900123",
        "this 07700 900123",
    ],
)
def test_another_number_is_not_taken_for_that_of_the_call(said: str) -> None:
    assert not phones.means_the_callers(said)


@pytest.mark.parametrize(
    ("said", "nothing"),
    [("N/A", True), ("unknown", True), ("null", True), ("no", False), ("-", True), ("not applicable", True)],
)
def test_what_models_write_for_no_number_is_none(said: str, *, nothing: bool) -> None:
    assert phones.says_nothing(said) == nothing


@given(
    st.text(alphabet="+0123456789 -().", max_size=20) | st.text(max_size=20),
    st.sampled_from(("GB", "US", "DE")),
)
def test_whatever_is_said_it_is_a_number_or_a_reason(said: str, region: str) -> None:
    for sandbox in (False, True):
        try:
            number = phones.e164(said, region=region, sandbox=sandbox)
        except ImpossibleNumber:
            continue
        assert number[0] == "+"
        assert number[1:].isascii()
        assert number[1:].isdigit()
        assert sandbox or phones.e164(number, region="FR") == number  # E.164 stays the same in any region


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
    assert phones.readable(number) == text


def test_two_digits_are_all_that_an_answer_carries() -> None:
    assert phones.last_digits("+442079460958") == "58"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+447400123456", "mobile"),
        ("+447797712345", "mobile"),  # Jersey
        ("+12122345678", "mobile"),  # North American numbers do not show their kind
        ("+33612345678", "mobile"),
        ("+4915123456789", "mobile"),
        ("+353851234567", "mobile"),
        ("+61412345678", "mobile"),
        ("+442071234567", "landline"),
        ("+4930901820", "landline"),
        ("+445612345678", "landline"),  # VoIP
        ("+447700900123", "fiction"),
        ("+12125550123", "fiction"),
        ("+15551234", "fiction"),
        ("+33639980123", "fiction"),
        ("+61491570156", "fiction"),
        ("+15005550001", "fiction"),
        ("+19002345678", "never"),
        ("+18005551234", "never"),
        ("+449012345678", "never"),
        ("+449812345678", "never"),
        ("+448712345678", "never"),
        ("+448001234567", "never"),
        ("+447012345678", "never"),  # personal
        ("+447640123456", "never"),  # pager
        ("+443001234567", "never"),  # a company's
        ("+33891123456", "never"),
        ("+491801234567", "never"),
        ("+611900123456", "never"),
        ("+12129761234", "never"),  # pay-per-call
        ("+12125551212", "never"),  # directory enquiries
        ("+12129581234", "never"),  # a test line
        ("+881612345678", "never"),  # a satellite
        ("+979123456789", "never"),
    ],
)
def test_only_what_can_be_a_mobile_is_sent_a_code(number: str, kind: str) -> None:
    def taken(*, landlines: bool = False, fiction: bool = False) -> bool:
        try:
            phones.check_mobile(number, landlines=landlines, fiction=fiction)
        except NotAMobile:
            return False
        return True

    assert taken() == (kind == "mobile")
    assert taken(landlines=True) == (kind in ("mobile", "landline"))
    assert taken(fiction=True) == (kind in ("mobile", "fiction"))


def test_a_landline_of_a_film_is_for_a_sandbox_alone() -> None:
    with pytest.raises(NotAMobile):
        phones.check_mobile("+442079460958", landlines=True)
    phones.check_mobile("+442079460958", landlines=True, fiction=True)
