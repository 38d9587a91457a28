"""The periodic task that expires holds."""

from __future__ import annotations

import logging

from celeryconfig import Task
from models.base.session import Door, system_transaction
from models.booking import holds
from tasks.app import app
from tasks.beat import Sweep

log = logging.getLogger(__name__)


@app.task(name=Task.EXPIRE_HOLDS.value, base=Sweep)
def expire_holds() -> None:
    """Mark the holds whose time is over, so that reports and rows agree with what claims already know."""
    with system_transaction(Door.SWEEP, actor=Task.EXPIRE_HOLDS.value) as session:
        expired = holds.expire(session)
    if expired:
        log.info("expired %d holds", expired)
