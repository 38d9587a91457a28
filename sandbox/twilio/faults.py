"""The faults that a test can script."""

from dataclasses import dataclass

FAULTS_BEFORE = ("429", "500", "drop-before", "refuse")  # the message is never accepted
FAULTS_AFTER = ("500-after-accept", "drop-after-accept", "slow")  # it is accepted, but the client cannot tell
FAULTS_LATE = ("undelivered",)  # it is accepted, and then ends badly
FAULTS_ASKING = (
    *("ask-500", "ask-drop", "ask-slow"),  # lists and single messages cannot be read
    *("ask-hidden", "ask-unsent-last"),  # a list shows nothing yet, or last what has not left
)


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests that create a message (to ``to``, if it is set).

    The faults in FAULTS_ASKING apply to requests that read messages instead. ``code`` is the error code of a
    refusal, or of a message that ends badly. With ``ask-unsent-last``, messages seem to have been sent
    ``seconds`` earlier than they were.
    """

    kind: str
    times: int = 1
    seconds: float = 1.0
    to: str | None = None
    code: int = 21211
