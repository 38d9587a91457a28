"""What a random agent may ask of the tools: wishes, their lines, and the strategies for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.webapp.agents.agent import PATHS, PHONES, Line


@dataclass(frozen=True)
class WhichHold:
    """The n-th newest hold, on its own line or on a stranger's; or no hold; or an unknown id."""

    how: str
    n: int = 0
    #: The hold's "own" line; "any" line; or the line of the same call id at the "other clinic".
    line: str = "own"


@dataclass(frozen=True)
class Check:
    date: str
    calendar: int | str | None  # the n-th of the clinic, or a "foreign" one


@dataclass(frozen=True)
class Reserve:
    slot: str
    n: int
    calendar: int | str | None  # the n-th of the clinic, or a "foreign" one
    phone: str | None


@dataclass(frozen=True)
class Again:
    """A request for a slot that is held already, or that overlaps one, by its call or by a stranger."""

    hold: WhichHold
    aside: int  # quarters of an hour


@dataclass(frozen=True)
class SendCode:
    hold: WhichHold
    phone: str | None


@dataclass(frozen=True)
class Verify:
    hold: WhichHold
    code: str
    n: int
    contact: str


@dataclass(frozen=True)
class Confirm:
    hold: WhichHold
    phone: str | None
    contact: str


@dataclass(frozen=True)
class Nonsense:
    tool: str
    values: tuple[Any, ...]


Wish = Check | Reserve | Again | SendCode | Verify | Confirm | Nonsense

SOME = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4, 5))
LINES = st.builds(
    Line,
    clinic=st.sampled_from((0, 0, 1)),
    call=st.sampled_from((0, 0, 1, 2, None)),
    vapi=st.booleans(),
    auth=st.sampled_from(("credential",) * 9 + ("both", "tenant", "tenant", "nobody", "clash")),
    fresh=st.sampled_from((True, True, True, False)),
)
_hold_refs = st.builds(
    WhichHold,
    how=st.sampled_from(("id",) * 12 + ("missing",) * 6 + ("unknown", "garbage")),
    n=SOME,
    line=st.sampled_from(("own",) * 8 + ("any", "other clinic")),
)
_calendars = st.sampled_from((0,) * 6 + (1, 1, None, None, "foreign"))
_GOOD_PHONES = tuple(said for said, number in PHONES.items() if number)
_phones = st.sampled_from(
    (None,) * 6 + _GOOD_PHONES * 2 + tuple(said for said, number in PHONES.items() if not number)
)
_contacts = st.sampled_from(("missing",) * 12 + ("own",) * 4 + ("other", "unknown", "garbage"))
_DATES = ("the day", "today", "tomorrow", "closed", "monday", "next Friday", "past", "far", "instant")
NO_DATES = ("the 32nd", "2026-02-30", "9999-12-31", "0001-01-01", "soon", "2026-W99-1")
_SLOTS = ("grid",) * 24 + ("other zone",) * 2 + ("off grid", "at closing", "closed", "past", "far", "no zone")
_NO_SLOTS = ("tomorrow at ten", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "2026-13-01T10:00Z")
RIGHT = ("plain", "spaced", "dashes", "words", "sentence", "number")
NO_CODES: dict[str, Any] = {
    "short": "12",
    "long": "1234567890123",
    "fruit": "banana",
    "list": [1, 2, 3, 4],
    "object": {"code": "1234"},
    "true": True,
}
_GARBAGE: tuple[Any, ...] = (
    0,
    -1,
    3.5,
    1e300,
    True,
    [],
    [[]],
    {"a": {}},
    "x" * 300,
    "'; DROP TABLE holds; --",
    "\u0000x",
    "🦷\ud800",
)

CHECKS = st.builds(Check, date=st.sampled_from(_DATES + NO_DATES), calendar=_calendars)
RESERVES = st.builds(
    Reserve, slot=st.sampled_from(_SLOTS + _NO_SLOTS), n=SOME, calendar=_calendars, phone=_phones
)
AGAINS = st.builds(
    Again,
    hold=st.builds(WhichHold, how=st.just("id"), n=SOME, line=st.sampled_from(("own", "own", "any"))),
    aside=st.sampled_from((0, 0, 1, -1)),
)
SEND_CODES = st.builds(SendCode, hold=_hold_refs, phone=_phones)
VERIFIES = st.builds(
    Verify,
    hold=_hold_refs,
    code=st.sampled_from(RIGHT * 4 + ("wrong",) * 12 + ("other",) * 4 + ("missing", *NO_CODES)),
    n=SOME,
    contact=_contacts,
)
CONFIRMS = st.builds(Confirm, hold=_hold_refs, phone=_phones, contact=_contacts)
NONSENSE = st.builds(
    Nonsense,
    tool=st.sampled_from((*PATHS, "book_now")),
    values=st.tuples(*[st.sampled_from(_GARBAGE)] * 3),
)
WISHES = st.one_of(RESERVES, RESERVES, SEND_CODES, SEND_CODES, VERIFIES, VERIFIES, CONFIRMS, CHECKS, NONSENSE)


def nth(items: list[Any], n: int) -> Any:
    """The n-th newest item, wrapping round; None of an empty list."""
    return items[-1 - n % len(items)] if items else None
