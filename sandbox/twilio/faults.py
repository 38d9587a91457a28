"""The faults that a test can script."""

from dataclasses import dataclass

FAULTS_BEFORE = ("429", "500", "drop-before", "refuse")  # never accepted
FAULTS_AFTER = ("500-after-accept", "drop-after-accept", "slow")  # accepted, but the client cannot know
FAULTS_LATE = ("undelivered",)  # accepted, and fails later
FAULTS_ASKING = (
    *("ask-500", "ask-drop", "ask-slow"),  # lists and single messages cannot be read
    *("ask-hidden", "ask-unsent-last"),  # a list is empty yet, or shows unsent messages last
)


@dataclass
class Fault:
    """A fault of the next ``times`` requests that create a message (to ``to``, if it is set).

    The faults in FAULTS_ASKING apply to requests that read messages instead. ``code`` is the error code of a
    refusal, or of a message that ends badly. With ``ask-unsent-last``, messages seem to have been sent
    ``seconds`` earlier than they were.
    """

    kind: str
    times: int = 1
    seconds: float = 1.0
    to: str | None = None
    code: int = 21211
