"""What can be made to go wrong."""

from dataclasses import dataclass

FAULTS_BEFORE = ("429", "500", "drop-before", "refuse")  # the message is never accepted
FAULTS_AFTER = ("500-after-accept", "drop-after-accept", "slow")  # it is, but the client cannot tell
FAULTS_LATE = ("undelivered",)  # it is, and then ends badly
FAULTS_ASKING = (
    *("ask-500", "ask-drop", "ask-slow"),  # lists and single messages cannot be read
    *("ask-hidden", "ask-unsent-last"),  # a list shows nothing yet, or last what has not left
)


@dataclass
class Fault:
    """What goes wrong with the next ``times`` creates (only those to ``to``, if it is set).

    A fault of FAULTS_ASKING waits for requests that ask instead. ``code`` is what a refusal, or a message
    that ends badly, says. With ``ask-unsent-last`` what has left did so ``seconds`` earlier than it did.
    """

    kind: str
    times: int = 1
    seconds: float = 1.0
    to: str | None = None
    code: int = 21211
