"""What connections cost: the memory targets of issue 3, and that the benchmark measures what it says.

Times are printed by `python -m tests.bench`, never asserted.
"""

from __future__ import annotations

import asyncio
import math
import time

from tests.bench.__main__ import CROWD, Effort, collect, rows, show
from tests.support.dc import DataCenter
from tests.support.engine import Engine
from tests.support.stream import Stream


def test_idle_connections_and_a_stalled_reader_stay_within_their_memory_and_every_figure_is_measured() -> (
    None
):
    figures = collect(Effort(rounds=1, handshakes=3, echoes=20, seconds=0.4, idle_seconds=0.4))
    builtin = figures["builtin"]
    assert builtin.idle[CROWD].rss < 100
    assert builtin.stalled < 4
    table = show(figures)
    for row in rows(figures["direct"]):
        assert row.title in table
        for name in ("relay", "builtin"):
            assert math.isfinite(row.value(figures[name]))


def test_a_client_that_reads_nothing_stops_the_flow_from_telegram(engine: Engine, dc: DataCenter) -> None:
    """Only what the kernel's socket buffers hold is taken from the DC; other connections go on."""

    async def go() -> int:
        stalled = await Stream.open(engine.link)
        await stalled.req_pq()
        await stalled.ask(500_000_000)
        session, before, still = dc.sessions[-1], -1, 0
        deadline = time.monotonic() + 90
        while still < 5:
            assert time.monotonic() < deadline, "the flow from the DC does not stop"
            await asyncio.sleep(0.1)
            still = still + 1 if session.bytes_out == before > 1_000_000 else 0
            before = session.bytes_out
        other = await Stream.open(engine.link)
        await other.download(20_000_000)
        await other.close()
        stalled.abort()
        return before

    assert asyncio.run(go()) < 100_000_000
