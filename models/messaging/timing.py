"""The times by which messages are sent, tried again and asked about, in one table.

Each comment says what a time is for. The times fit into each other: tests/tasks/test_celery.py says how.
"""

from __future__ import annotations

from datetime import timedelta


def _seconds(*each: float) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=seconds) for seconds in each)


# --- one attempt ----------------------------------------------------------------------------------

#: A worker that waits for the provider's answer says this often that its attempt lives.
BEAT = timedelta(seconds=0.4)
#: An attempt that was silent for longer died with its process, and holds up no others of its clinic.
ALIVE = timedelta(seconds=1.5)
#: The outcome of an attempt is awaited for this long, more than a task may take; then it is `unknown`.
LEASE = timedelta(seconds=30)

# --- waiting for a turn ---------------------------------------------------------------------------

#: Until a message looks again whether another one of its clinic is done: usually, and while the provider
#: takes seconds to answer.
NEXT_TURN = timedelta(seconds=0.25)
SLOW_TURN = timedelta(seconds=1)
#: If many of a clinic's messages wait in this way, this many look in a second. Each look costs a claim.
LOOKS_A_SECOND = 10
#: A message may go this much before its moment, so as not to be put back for nothing. Within one second a
#: clinic can exceed its pace by that much.
EARLY = timedelta(seconds=0.2)
#: A message whose moment is at most this far away waits in the queue; else its row waits for the sweep.
SOON = timedelta(seconds=10)

# --- the sweep ------------------------------------------------------------------------------------

#: The sweep leaves a row to its first nudge for this long, and then nudges it this often.
SWEEP_AFTER = timedelta(seconds=2)
NUDGE_AGAIN_AFTER = timedelta(seconds=30)

# --- trying again what was certainly not sent -----------------------------------------------------

#: After the n-th attempt, up to JITTER less, so that many do not come back together. Celery's own retries
#: fall into the first three waits.
BACKOFF = _seconds(1, 1, 1, 15, 30, 60)
#: The waits of an urgent message, such as a code, for which a person waits on the telephone.
URGENT_BACKOFF = _seconds(1, 1, 1, 5)
#: The waits where the provider said that it will be a while. A code lives long enough for a few of these.
LATER = _seconds(90, 180, 300, 600, 900)
JITTER = 0.25

# --- a sender that cannot send --------------------------------------------------------------------

#: This many attempts in a row without an answer make a sender pause, since each of them held a worker for
#: the whole time-out; and each further one makes it pause for longer.
SILENT_ATTEMPTS = 3
PAUSES = _seconds(5, 15, 30, 60)
#: Between tries of a sender that the provider refuses: soon at first, because a refusal of a few seconds must
#: not cost a clinic its codes, which live for minutes; then ever more rarely, because it waits for a person.
PROBES = _seconds(5, 15, 60, 300, 600)
#: Between tries where the provider takes each message first and fails it later: each try is billed and lost.
LATE_PROBES = _seconds(60, 300, 600)

# --- asking the provider --------------------------------------------------------------------------

#: The provider may take this long to show a message that it accepted. Before that its "no" proves nothing.
GRACE = timedelta(seconds=90)
#: A message whose outcome is unknown is asked about again after this long at least, and then after half of
#: the time since, up to the second figure.
ASK_AGAIN, ASK_AGAIN_AT_MOST = timedelta(seconds=60), timedelta(minutes=3)
#: The same two figures for a message that the provider accepted and of which no receipt came.
RECEIPT_AGAIN, RECEIPT_AGAIN_AT_MOST = timedelta(minutes=5), timedelta(hours=1)
#: When an accepted message without a receipt is asked about, counted from the hand-over. After the last one
#: it is `unconfirmed`.
ASK_AFTER = (timedelta(minutes=5), timedelta(hours=1), timedelta(hours=24), timedelta(hours=72))
#: A message about which no provider can be asked is left alone this long: the key or account may come back.
LOST_SIGHT = timedelta(hours=1)
