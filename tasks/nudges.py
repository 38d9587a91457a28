"""How a task nudges the workers about a row that is due. If the nudge is lost, a sweep finds the row."""

from __future__ import annotations

from celeryconfig import nudge_of
from models.booking import feed_readings
from models.calls import calls
from models.messaging import messages
from tasks.app import app


def nudge(due: messages.Due | calls.Due | feed_readings.Due) -> None:
    told = nudge_of(due)
    app.send_task(told.task.value, kwargs=told.kwargs, queue=told.queue.value, countdown=told.wait)
