"""Live files are written step by step, and what a workload says it goes by counts, not what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from app.control.updating import Updating
from app.engines.base import Basics
from app.messages import Problem
from app.runtimes.base import Place, RuntimeFailure, Workload
from tests.support.memory_runtime import MemoryRuntime

NAME = "mtg-proxy-shared"


class InTwoSteps(Basics):
    """An engine whose file is a word, and which goes by the one that its metrics tell."""

    said: Sequence[Problem] = ()

    def steps(self, held: Mapping[str, str], wanted: Mapping[str, str], metrics: str) -> Sequence[Mapping[str, str]]:
        return [{"live": f"before {wanted['live']}"}, wanted]

    def holds(self, live_files: Mapping[str, str], metrics: str) -> bool:
        if not metrics:
            raise ValueError("cut short")
        return metrics == live_files["live"]

    def findings(self, log: str, started_at: float = 0.0, now: float = 0.0) -> list[Problem]:
        return list(self.said)


class Watched(MemoryRuntime):
    """written: what the live file was made to hold, one after the other; obeys: whether the program takes it over."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.obeys = lambda text: True

    def update(self, name: str, live_files: Mapping[str, str]) -> None:
        super().update(name, live_files)
        self.written.append(live_files["live"])
        if self.obeys(live_files["live"]):
            self.machine.metrics(name, live_files["live"])


@pytest.fixture
def runtime() -> Watched:
    runtime = Watched()
    runtime.create(workload("old"))
    runtime.start(NAME)
    runtime.machine.metrics(NAME, "old")
    return runtime


def workload(text: str) -> Workload:
    return Workload(NAME, "", "shared", "", ("run",), {}, 8443, Place("0.0.0.0:8443", "127.0.0.1:3129"),
                    live_files={"live": text})


class Memory:
    """Which run of each engine has heard."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}

    def by(self, engine: str) -> str:
        return self.runs.get(engine, "")

    def note(self, engine: str, run_id: str) -> None:
        self.runs[engine] = run_id


def updating(runtime: Watched, engine: InTwoSteps | None = None) -> Updating:
    made = Updating(lambda workload: engine or InTwoSteps(), runtime, Memory())
    made.taken_over_in = 0.1
    return made


def test_each_step_is_written_once_the_one_before_is_taken_over(runtime: Watched) -> None:
    updating(runtime).update(workload("new"))
    assert runtime.written == ["before new", "new"]


@pytest.mark.parametrize(("deaf", "written"), [("before new", ["before new"]), ("new", ["before new", "new"])])
def test_after_a_step_that_is_not_taken_over_none_is_written_and_it_is_said(
        runtime: Watched, deaf: str, written: list[str]) -> None:
    """What a step keeps out of a log must not come in by the one after it."""
    runtime.obeys = lambda text: text != deaf
    with pytest.raises(RuntimeFailure) as failure:
        updating(runtime).update(workload("new"))
    assert failure.value.problem.code == "engine.not_taken_over"
    assert runtime.written == written and runtime.held(NAME) == {"live": written[-1]}
    runtime.obeys = lambda text: True
    updating(runtime).update(workload("new"))
    assert runtime.written == [*written, "before new", "new"], "the next one goes on from there"


class Forgetful(InTwoSteps):
    """A program of it that starts takes a file that shouts for one that speaks."""

    def at_start(self, live_files: Mapping[str, str]) -> Mapping[str, str]:
        return {"live": live_files["live"].lower()}


def test_what_a_program_does_not_take_from_its_files_when_it_starts_it_is_told_once_after_each_start(
        runtime: Watched) -> None:
    one = updating(runtime, Forgetful())
    one.update(workload("NEW"))
    assert runtime.written == ["before new", "new", "NEW"]
    assert not one.is_stale(workload("NEW"))
    runtime.stop(NAME)
    runtime.start(NAME)
    runtime.machine.metrics(NAME, "NEW")
    assert one.is_stale(workload("NEW")), "its metrics alone would not tell"
    one.update(workload("NEW"))
    assert not one.is_stale(workload("NEW"))
    one.update(workload("old"))
    assert runtime.written[-2:] == ["before old", "old"], "what it would take by itself is not told twice"


def test_why_it_was_refused_is_told_in_the_engine_s_words(runtime: Watched) -> None:
    engine, runtime.obeys = InTwoSteps(), lambda text: False
    engine.said = [Problem("telemt.file_refused", {"reason": "line 8"})]
    with pytest.raises(RuntimeFailure, match="line 8") as failure:
        updating(runtime, engine).update(workload("new"))
    assert failure.value.problem.code == "engine.refuses"


def test_who_goes_by_something_else_than_it_should_is_noticed_and_who_does_not_answer_is_left(runtime: Watched) -> None:
    assert not updating(runtime).is_stale(workload("old"))
    assert updating(runtime).is_stale(workload("new"))
    runtime.machine.metrics(NAME, "")
    assert not updating(runtime).is_stale(workload("new"))
    runtime.stop(NAME)
    assert not updating(runtime).is_stale(workload("new"))
