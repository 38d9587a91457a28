"""What somebody pastes as the address of a calendar."""

from __future__ import annotations

import pytest

from models.booking import feeds
from models.booking.hours import Impossible


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (" https://a.test/x.ics\n", "https://a.test/x.ics"),
        ("webcal://a.test/x.ics", "https://a.test/x.ics"),
        ("http://a.test/x.ics", None),
        ("a.test/x.ics", None),
        ("https://", None),
        ("https://me:pw@a.test/", None),
        ("https://a.test/a b", None),
        ("https://a.test:x/", None),
        ("", None),
        ("https://a.test/" + "a" * 2000, None),
    ],
)
def test_what_is_pasted_is_an_address_or_is_refused(given: str, meant: str | None) -> None:
    if meant:
        assert feeds.address_of(given) == meant
    else:
        with pytest.raises(Impossible):
            feeds.address_of(given)
