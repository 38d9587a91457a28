"""The measurements can still be made: each script and request, for a moment, and every claim is there."""

from __future__ import annotations

import pytest

from bench import ground
from bench.diary import Diary
from bench.sql import Pgbench
from bench.web import Web

pytestmark = pytest.mark.journey


def test_what_is_measured_can_be_measured() -> None:
    with ground.prepared(lambda _: None) as here:
        pgbench = Pgbench(here, 0)
        for series in pgbench.series():
            assert series.measure() > 0
        web = Web(here, 0.2)
        for series in web.series():
            assert series.measure() > 0
        diary = Diary(here, (100, 1000), lambda _: None)
        assert "1,000 behind it" in diary.measure(1, 1)
