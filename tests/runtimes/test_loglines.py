"""Merging logs: by time, and never out of order within one workload."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from app.runtimes.loglines import Line, merge, stamped

stamps = st.integers(0, 9).map(lambda n: f"2026-11-21T08:24:0{n}Z")
logs = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(st.tuples(stamps, st.text()), max_size=8)).map(
    lambda each: {name: [Line(stamp, name, text) for stamp, text in sorted(lines, key=lambda line: line[0])]
                  for name, lines in each.items()})


@given(logs, st.integers(0, 30))
def test_the_last_lines_of_all_come_in_order_of_time_and_each_log_in_its_own(given_logs, tail):
    merged = merge(given_logs, tail)
    assert len(merged) == min(tail, sum(map(len, given_logs.values())))
    assert [line.stamp for line in merged] == sorted(line.stamp for line in merged)
    for name, lines in given_logs.items():
        kept = [line for line in merged if line.name == name]
        assert kept == lines[len(lines) - len(kept):]


def test_our_engines_lines_and_mtgs_tell_their_time_and_others_belong_to_the_line_before():
    ours = "2026-11-21T08:24:01Z WARNING the cover host is away"
    mtgs = json.dumps({"level": "warn", "timestamp": 1795249442123, "message": "x"})
    lines = stamped("p", ["first", ours, "  a second line of it", mtgs, "{not json"])
    assert [line.stamp for line in lines] == [
        "", "2026-11-21T08:24:01Z", "2026-11-21T08:24:01Z", "2026-11-21T08:24:02.123000Z",
        "2026-11-21T08:24:02.123000Z"]
    assert str(lines[1]) == f"[p] {ours}"
