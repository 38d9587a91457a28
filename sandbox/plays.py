"""Whole calls, from the greeting to the confirmation: `python -m sandbox.plays --play booking` plays one.

sandbox/demo.py is what `make demo` shows.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable

from sandbox.answers import Slot
from sandbox.caller import INBOX, WEB
from sandbox.dialogue import Booking, World
from sandbox.seed import LONDON
from sandbox.steps import DidNotHold, must
from sandbox.story import Terminal


def play_booking(world: World) -> Booking:
    """Books without a mistake."""
    patient = world.caller("Amelia Hart")
    slot = patient.finds_a_time()
    booking = patient.books(slot, patient.holds(slot))
    patient.hangs_up()
    return booking


def play_wrong_code(world: World) -> Booking:
    """Misreads the code, and books at the second try."""
    patient = world.caller("Noah Reid")
    slot = patient.finds_a_time()
    hold_id = patient.holds(slot)
    code = patient.is_sent_a_code(hold_id)
    patient.reads_wrongly(hold_id, code)
    appointment_id = patient.reads_back(hold_id, code)
    booking = Booking(appointment_id, slot, patient.is_confirmed(appointment_id))
    patient.hangs_up()
    return booking


def play_hang_up(world: World) -> Slot:
    """Hangs up while the time is held, which frees it for others."""
    patient, other = world.caller("Isla Grant"), world.caller("Oscar Webb", "Caller 2")
    slot = patient.finds_a_time()
    patient.holds(slot)
    other.says("Is that time free?")
    must(not other.is_free(slot), "a time that is held is not offered to others", slot)
    patient.hangs_up()
    other.says("And now?")
    must(other.is_free(slot), "a time is offered again once the call that held it has ended", slot)
    other.hears("Yes, it has just become free.")
    other.hangs_up()
    return slot


def play_taken_slot(world: World) -> Booking:
    """Asks for a time that another call holds, and books one of the nearest instead."""
    holder, patient = world.caller("Ruby Shaw", "Caller 1"), world.caller("Theo Lane", "Caller 2")
    slot = holder.finds_a_time()
    holder.holds(slot)
    instead, *_ = patient.is_refused(slot)
    patient.hears(f"I am sorry, that has just gone. I could offer {instead.label}.")
    booking = patient.books(instead, patient.holds(instead))
    patient.hangs_up()
    holder.hangs_up()
    return booking


PLAYS: dict[str, Callable[[World], object]] = {
    "booking": play_booking,
    "wrong-code": play_wrong_code,
    "hang-up": play_hang_up,
    "taken-slot": play_taken_slot,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.plays", description=__doc__)
    parser.add_argument("--web", default=WEB, help="where Holdline answers")
    parser.add_argument("--inbox", default=INBOX, help="where the sandbox Twilio is")
    parser.add_argument("--tenant", default=str(LONDON), help="the clinic that is called")
    parser.add_argument("--credential", help="sent as a bearer token, as a Vapi credential would be")
    parser.add_argument("--play", choices=PLAYS, default="booking")
    chosen = parser.parse_args()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that `… | head` ends without a traceback
    world = World(
        chosen.web.rstrip("/"), chosen.inbox.rstrip("/"), chosen.tenant, chosen.credential, Terminal()
    )
    play = PLAYS[chosen.play]
    world.teller.scene(str(play.__doc__).rstrip("."))
    try:
        play(world)
    except DidNotHold as failure:
        world.teller.failed(failure.step, failure.instead)
        return 1
    world.teller.held("Every step held.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
