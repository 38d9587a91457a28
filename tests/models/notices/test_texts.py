"""The words of an SMS: one SMS long, complete, and without digits that could be taken for the code."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.messaging.states import SmsKind
from models.notices import registry, texts
from sandbox.segments import count_segments

#: The basic set of GSM 03.38, written here a second time, independently.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
LONDON = ZoneInfo("Europe/London")
START = datetime(2027, 7, 5, 9, 0, tzinfo=UTC)
APPOINTMENT = uuid.UUID("12345678-1234-5678-1234-567812345678")

clinic_names = st.text(max_size=60) | st.text(alphabet="0123456789 -/.\u0661\u00b2\uff11\u00bd", max_size=60)


LINK = "https://book.oakdental.example/a/0123456789ab"


def confirmation(
    clinic: str = "Oak Dental", phone: str | None = "+442079460958", link: str | None = None
) -> str:
    return texts.confirmation(
        clinic=clinic,
        clinic_phone=phone,
        starts_at=START,
        zone=LONDON,
        appointment_id=APPOINTMENT,
        link=link,
    )


def test_a_confirmation_names_the_date_the_time_the_clinic_and_its_telephone() -> None:
    text = confirmation()
    assert text.startswith("Confirmed: Mon 5 Jul 2027 at 10:00 am, Oak Dental.")
    assert "call +44 20 7946 0958." in text
    assert text.endswith(f"Ref {texts.reference(APPOINTMENT)}")


def test_without_a_telephone_none_is_named() -> None:
    assert confirmation(phone=None) == (
        f"Confirmed: Mon 5 Jul 2027 at 10:00 am, Oak Dental. Ref {texts.reference(APPOINTMENT)}"
    )


@given(clinic_names)
@example("\u7259\u79d1\u8bca\u6240")
@example("Smile \U0001f9b7 Clinic")
@example("Zahn\u00e4rzte \u2013 \u201eAm See\u201c")
@example("{Curly} [Square] ~Tilde^ |Pipe\\ €uro `tick`")
@example("line\nbreak\rreturn\x00null\x1besc")
@example("x" * 400)
def test_a_confirmation_fits_one_sms_whatever_the_clinic_is_called(name: str) -> None:
    text = confirmation(name)
    assert set(text) <= GSM - {"\n", "\r"}
    assert len(text) <= 160
    assert "Mon 5 Jul 2027 at 10:00 am" in text


MOVED = "Moved from Fri 2 Jul 2027 at 4:30 pm to Mon 5 Jul 2027 at 10:00 am"


@given(clinic_names, st.sampled_from([None, "+442079460958", "020 7946 0958 (reception) " + "x" * 90]))
@example("x" * 400, "x" * 90)
@example("", None)
def test_a_move_and_a_cancellation_are_as_bounded_as_a_booking(name: str, phone: str | None) -> None:
    facts: dict[str, Any] = {"clinic": name, "clinic_phone": phone, "starts_at": START, "zone": LONDON}
    facts["appointment_id"] = APPOINTMENT
    before = datetime(2027, 7, 2, 15, 30, tzinfo=UTC)
    link = f"https://{'a' * 40}.herokuapp.com/a/0123456789ab"
    moved = texts.move(**facts, moved_from=before, link=link)
    assert moved.startswith(f"{MOVED}, ")
    assert re.findall(r"https://\S+", moved) == [link]
    assert count_segments(moved) <= 2
    cancelled = texts.cancellation(**facts)
    assert cancelled.startswith("Cancelled: Mon 5 Jul 2027 at 10:00 am, ")
    assert ("To book again call" in cancelled) == (phone is not None)
    assert count_segments(cancelled) == 1
    for text in (moved, cancelled):
        assert set(text) <= GSM - {"\n", "\r"}
        assert f"Ref {texts.reference(APPOINTMENT)}" in text


def test_a_link_stands_where_nothing_can_be_taken_for_a_part_of_it() -> None:
    text = confirmation(link=LINK)
    assert text == (
        f"Confirmed: Mon 5 Jul 2027 at 10:00 am, Oak Dental. Ref {texts.reference(APPOINTMENT)}."
        f" To change or cancel: {LINK} or call +44 20 7946 0958"
    )
    assert count_segments(text) == 1
    assert confirmation(phone=None, link=LINK).endswith(f" To change or cancel: {LINK}")


@given(clinic_names, st.sampled_from([None, "+442079460958", "020 7946 0958 (reception) " + "x" * 90]))
@example("x" * 400, "x" * 90)
@example("Zahn\u00e4rzte \u2013 \u201eAm See\u201c", "+4930123456")
def test_with_a_link_it_is_at_most_two_sms_whatever_the_clinic_is_called(
    name: str, phone: str | None
) -> None:
    link = f"https://{'a' * 40}.herokuapp.com/a/0123456789ab"
    text = confirmation(name, phone, link)
    assert set(text) <= GSM - {"\n", "\r"}
    assert count_segments(text) <= 2
    assert re.findall(r"https://\S+", text) == [link]
    assert "Mon 5 Jul 2027 at 10:00 am" in text
    assert texts.reference(APPOINTMENT) in text


@pytest.mark.parametrize(
    "host",
    [
        "https://" + "long." * 40 + "example",
        "http://[::1]:3001",
        "https://caf\u00ea.example",
        "https://a~b.example",
    ],
)
def test_a_link_that_does_not_fit_or_cannot_be_written_is_left_out(host: str) -> None:
    text = confirmation(link=f"{host}/a/0123456789ab")
    assert text == confirmation()
    assert count_segments(text) == 1


def test_the_longest_that_fits_two_sms_keeps_its_link() -> None:
    longest = confirmation("x" * 60, "x" * 60, "https://x/a/0123456789ab")
    room = 2 * 153 - len(longest)
    fitting = f"https://x{'y' * room}/a/0123456789ab"
    assert fitting in confirmation("x" * 60, "x" * 60, fitting)
    assert count_segments(confirmation("x" * 60, "x" * 60, fitting)) == 2
    assert "https" not in confirmation("x" * 60, "x" * 60, fitting.replace("https://", "https://z"))


@given(
    clinic_names, st.integers(4, 8).flatmap(lambda n: st.text(alphabet="0123456789", min_size=n, max_size=n))
)
@example("Studio 2024 / 1234 Smile", "5678")
@example("1234", "0000")
@example("24/7 Dental 365", "1234")
@example("\uff11\uff12\uff13\uff14 Smile", "5678")
@example("\u0661\u0662\u0663\u0664 Smile", "5678")
@example("1\u00b2\u00b34 Smile", "5678")
def test_the_code_is_the_only_number_like_it(name: str, digits: str) -> None:
    text = texts.code(name, digits)
    assert set(text) <= GSM - {"\n", "\r"}
    assert len(text) <= 160
    assert re.findall(r"\d{3,}", text) == [digits]
    assert text.startswith(f"{digits} is your ")


@pytest.mark.parametrize(
    "name", ["\u7259\u79d1\u8bca\u6240", "\u0421\u0442\u043e\u043c\u0430\u0442", "2024", ""]
)
def test_a_clinic_whose_name_the_set_cannot_write_leaves_no_hole(name: str) -> None:
    for text in (texts.code(name, "1234"), confirmation(name)):
        assert "  " not in text
        assert not re.search(r"[ ,][.,]", text)


def test_a_clinics_telephone_keeps_to_the_set_too() -> None:
    text = confirmation(phone="020\u20117946\u20110958 (reception) " + "x" * 90)
    assert set(text) <= GSM
    assert len(text) <= 160


def test_the_code_names_the_clinic_and_what_it_is_for() -> None:
    assert texts.code("Oak Dental", "0042") == (
        "0042 is your Oak Dental code."
        " Read it to the assistant on the phone. Not calling us? Ignore this text."
    )
    assert re.findall(r"\d{4}", texts.code("Studio 2024 / 1234 Smile", "5678")) == ["5678"]
    assert "Studio" in texts.code("Studio 2024 / 1234 Smile", "5678")
    assert "Smile" in texts.code("Studio 2024 / 1234 Smile", "5678")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Oak Dental", "Oak Dental"),
        ("Zahn\u00e4rzte K\u00f6ln", "Zahn\u00e4rzte K\u00f6ln"),  # these are in the set
        ("Caf\u00ea Fran\u00e7ais", "Cafe Francais"),  # these are not
        ("O\u2019Neill \u2013 Dental\u2026", "O'Neill - Dental..."),
        ("  two\n lines  ", "two lines"),
        ("Smile \U0001f9b7 Clinic", "Smile Clinic"),
        ("\u0141\u00f3d\u017a", "odz"),
    ],
)
def test_characters_outside_the_set_are_replaced_by_what_looks_like_them(name: str, plain: str) -> None:
    assert texts.gsm(name, limit=40) == plain


@given(st.text(max_size=100), st.integers(0, 60))
def test_plain_text_is_bounded_and_stays_as_it_is_the_second_time(text: str, limit: int) -> None:
    plain = texts.gsm(text, limit=limit)
    assert len(plain) <= limit
    assert plain == plain.strip()
    assert texts.gsm(plain, limit=limit) == plain


def test_a_reference_is_six_letters_and_digits_of_its_appointment() -> None:
    assert re.fullmatch(r"[A-Z2-7]{6}", texts.reference(APPOINTMENT))
    assert len({texts.reference(uuid.uuid4()) for _ in range(1000)}) >= 999


def test_a_code_is_one_sms_with_the_longest_name() -> None:
    text = texts.code("N" * 40, "12345678")
    assert "N" * 40 in text
    assert text.endswith("Not calling us? Ignore this text.")
    assert len(text) <= 160
    assert set(text) <= GSM


@pytest.mark.parametrize(
    "said",
    [
        "paypal.com",
        "www.example.com",
        "https://example.com/a",
        "example\u3002com",
        "example\u2024com",
        "example\uff0ecom",
        "exa@mple.com",
        "\ufdfb.com",
        "+44 900 123 4567",
        "0900-123-4567",
        "example.com.",
        "tel:0900123",
        *(f"07700{sign}900{sign}123" for sign in (", ", "*", "'", ";", '"', "=", " - ")),
        "text 90012",
        "a/b",
        "a\u200b.b",
    ],
)
def test_an_owners_telephone_makes_a_link_of_nothing_that_was_said(said: str) -> None:
    text = texts.hot_lead(
        name=said, number=None, service=said, score=80, reasons=[f"wants {said} now"], seconds=60
    )
    body = text.removeprefix("Hot lead 80/100: ")
    assert not re.search(r"[^\s][./:@][^\s]|//|@|\d{5}|\d(\W{0,3}\d){5}", body), text


@pytest.mark.parametrize(
    "number",
    ["+449012345678", "+19005551234", "+979123456789", "+881612345678", "+447012345678", "+12129761234"],
)
def test_an_owner_is_shown_no_number_that_earns_from_being_rung_back(number: str) -> None:
    text = texts.hot_lead(name="Jo", number=number, service=None, score=80, reasons=[], seconds=60)
    assert text.startswith("Hot lead 80/100: Jo, number not shown.")


def test_no_text_takes_more_segments_than_are_counted_for_its_kind() -> None:
    """The longest texts there are; of GSM characters only, which a test above ensures."""
    name, number = "W" * 200, "+4420794609580000"
    about: dict[str, Any] = {
        "clinic": name,
        "clinic_phone": number,
        "starts_at": datetime(2026, 12, 30, 22, 30, tzinfo=UTC),
        "zone": ZoneInfo("UTC"),
        "appointment_id": uuid.uuid4(),
    }
    link = "https://" + "w" * 200 + "/a/0123456789ab"
    short = "https://" + "w" * 60 + "/a/0123456789ab"
    lead: dict[str, Any] = {"name": name, "number": number, "service": name, "score": 100, "seconds": 59999}
    since = datetime(2026, 12, 30, 22, 30, tzinfo=UTC)
    kinds = {
        SmsKind.OTP: [texts.code(name, "12345678")],
        SmsKind.CONFIRMATION: [
            text
            for each in (link, short, None)
            for text in (
                texts.confirmation(**about, link=each),
                texts.move(**about, moved_from=about["starts_at"], link=each),
            )
        ],
        SmsKind.CANCELLATION: [texts.cancellation(**about)],
        SmsKind.HOT_LEAD_ALERT: [
            texts.hot_lead(**lead, reasons=[name] * 9),
            texts.hot_leads(count=99999, since=since, zone=ZoneInfo("UTC"), best=100, page=link * 3),
            texts.hot_leads(count=99999, since=since, zone=ZoneInfo("UTC"), best=100, page=short),
        ],
    }
    assert set(kinds) == set(SmsKind)
    for kind, longest in kinds.items():
        for text in longest:
            assert count_segments(text) <= registry.of(kind).segments, (kind, len(text), text)
