"""What the agent is told of an SMS that will not arrive, while the patient is still on the line."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.messaging import senders
from models.messaging.meanings import Action
from models.messaging.messages import SmsMessage
from models.messaging.states import Cause, SmsStatus
from webapp.agents.desk import Desk
from webapp.agents.replies import Code

#: The provider accepted the message, whether or not a receipt has come since.
HANDED_OVER = (SmsStatus.SENT, SmsStatus.DELIVERED, SmsStatus.UNCONFIRMED)
LOST = (SmsStatus.FAILED, SmsStatus.UNDELIVERED, SmsStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`why` is a clause to say; `way_out` a sentence: what the patient or the agent can do."""

    code: Code
    why: str
    way_out: str


OPTED_OUT = Trouble(
    Code.OPTED_OUT,
    "that number has asked for no more text messages from the clinic",
    "The patient can text START to the number that the clinic's messages come from, or give me another"
    " mobile number to reserve with again.",
)
SENDER_STOPPED = Trouble(
    Code.SMS_FAILED,
    "the clinic's text messages are not going out at the moment",
    "That is not the patient's fault. The clinic can book this by hand.",
)
HELD_UP = Trouble(
    Code.SMS_FAILED,
    "the text message is held up on its way",
    "It may still come within some minutes. If it does not, the clinic can book this by hand.",
)
ANOTHER_NUMBER = (
    "Ask for another mobile number, and reserve again with it. If there is none, the clinic can book this by"
    " hand."
)
#: The message waits until the clinic may send more.
WAITS = replace(HELD_UP, why="the clinic has sent as many text messages as it may for now")
_AGAIN = "Shall I send it again? Otherwise ask for another mobile number, and reserve again with it."


def stop_of_sender(desk: Desk) -> Trouble | None:
    """Why waiting messages do not go out, if the clinic's sender is stopped; else None."""
    sender = senders.get_or_none(desk.session, desk.org_id)
    return SENDER_STOPPED if sender and sender.stopped_at else None


def trouble_of(message: SmsMessage) -> Trouble | None:
    """Why the message did not arrive or does not go out; None if no trouble is known."""
    meaning = message.error_meaning
    # The error may be from an earlier attempt: it says nothing of a message that is, or may be, handed over.
    open_or_lost = message.status not in (*HANDED_OVER, SmsStatus.UNKNOWN)
    if meaning and meaning.stops_sender and open_or_lost:
        return replace(SENDER_STOPPED, why=meaning.spoken) if meaning.spoken else SENDER_STOPPED
    if message.status not in LOST:
        return _why_it_waits(message) if message.status is SmsStatus.QUEUED else None
    if message.cause is Cause.OPTED_OUT or (meaning and meaning.action is Action.OPT_OUT):
        return OPTED_OUT
    if meaning and meaning.action in (Action.NUMBER, Action.NOT_ALLOWED):
        why = meaning.spoken or "that number cannot receive text messages"
        return Trouble(Code.CANNOT_RECEIVE_SMS, why, ANOTHER_NUMBER)
    if meaning and meaning.spoken:
        return Trouble(Code.SMS_FAILED, meaning.spoken, _AGAIN)
    return Trouble(Code.SMS_FAILED, "the text message could not be sent", _AGAIN)


def _why_it_waits(message: SmsMessage) -> Trouble | None:
    if message.cause is Cause.CLINIC_HAD_MANY:
        return WAITS
    meaning = message.error_meaning
    return HELD_UP if meaning and meaning.action is Action.RETRY_LATER else None
