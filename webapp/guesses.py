"""Links that let their holder in without a sign-in: who guesses at them is slowed, and no holder is.

Only unknown links are limited: valid ones open beside guesses from the same address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from flask import request

from webapp import attacks
from webapp.addresses import group
from webapp.limits import Limiter
from webapp.state import per_app
from webapp.turns import NoTurn, Turns

T = TypeVar("T")

#: Unknown links of one address: ten count as mistakes, and one more every six seconds; the rest are guesses.
MOST_UNKNOWN = 10
_A_MINUTE = 60.0
unknown = per_app(lambda: Limiter(MOST_UNKNOWN / _A_MINUTE, burst=_A_MINUTE))
#: Look-ups at once in one application for addresses that guess, and so connections that these may have.
MOST_LOOK_UPS = 2
#: Seconds that one of these look-ups may wait for its turn. Each takes about a millisecond.
LONGEST_WAIT = 0.5
look_ups = per_app(lambda: Turns(MOST_LOOK_UPS, waiting=8))


class UnknownLink(Exception):
    """Nothing has this link."""


class TooMany(Exception):
    """A link was opened too often, or this address tried too many links that do not exist."""


def find(look: Callable[[], T | None]) -> T:
    """What `look` finds for the link of this request. It looks into the database, and returns None for an
    unknown link.

    Raises UnknownLink, TooMany, and what `look` raises.
    """
    whose = group(request.remote_addr or "")
    counted = unknown().allow(whose)  # before the look-up, so that many guesses at once are counted, too
    is_unknown = False
    try:
        found = look() if counted else _in_turn(look)
        is_unknown = found is None
    finally:
        if counted and not is_unknown:
            unknown().give_back(whose)
    if found is not None:
        return found
    attacks.count(attacks.Kind.GUESSED_LINK if counted else attacks.Kind.LIMITED_LINK)
    raise UnknownLink if counted else TooMany


def _in_turn(look: Callable[[], T | None]) -> T | None:
    """Look up a link for an address that guesses. Only MOST_LOOK_UPS are under way at once.

    Raises TooMany if no turn comes in time.
    """
    try:
        with look_ups().turn(longest=LONGEST_WAIT):
            return look()
    except NoTurn:
        raise TooMany from None
