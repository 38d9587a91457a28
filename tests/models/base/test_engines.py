"""The engines of settings that are no longer in use."""

from __future__ import annotations

import settings
from models.base import session


def test_a_connection_in_use_is_closed_when_it_is_given_back() -> None:
    own = settings.of_process()
    others = own.model_copy(update={"lock_timeout": own.lock_timeout + 1})
    with settings.using(others), session.engine().connect() as used:
        driver = used.connection.driver_connection
        assert driver is not None
        session.forget_engines(but=own)
        assert used.exec_driver_sql("SELECT 1").scalar_one() == 1
    assert driver.closed
