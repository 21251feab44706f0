"""Whatever happens to others, and however often nginx reads its configuration again: sessions go on."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from app.engines.mtg.engine import MtgImage
from app.runtimes.base import Observed, Place, Sample, Workload
from app.runtimes.docker.runtime import DockerRuntime
from tests.support.crowd import DOWN, UP, Crowd
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.lab443 import Stage
from tests.support.memory_runtime import MemoryRuntime

CHANGES, STREAMS = 100, 50


class PartlyReal(MemoryRuntime):
    """Containers for the users with these ports. Of the others nginx is told, and nothing runs: a hundred
    containers would take a minute more and show nothing more of the reloads."""

    def __init__(self, docker: DockerRuntime, ports: set[int]) -> None:
        super().__init__()
        self._docker, self._ports = docker, ports

    def _real(self, name: str) -> bool:
        return int(name.split("-")[2]) in self._ports

    def place(self, port: int, bind: str) -> Place:
        return self._docker.place(port, bind)

    def observe(self) -> list[Observed]:
        return self._docker.observe() + super().observe()

    def samples(self) -> list[Sample]:
        return self._docker.samples() + super().samples()

    def create(self, workload: Workload) -> None:
        self._docker.create(workload) if self._real(workload.name) else super().create(workload)

    def start(self, name: str) -> None:
        self._docker.start(name) if self._real(name) else super().start(name)

    def stop(self, name: str) -> None:
        self._docker.stop(name) if self._real(name) else super().stop(name)

    def remove(self, name: str) -> None:
        self._docker.remove(name) if self._real(name) else super().remove(name)

    def throttled(self, name: str) -> int | None:
        return self._docker.throttled(name) if self._real(name) else super().throttled(name)


@pytest.fixture
def fleet(stage: Stage) -> Iterator[Fleet]:
    """The stage's fleet, with 5 users in containers."""
    users = [stage.fleet.add_user(f"Streamer {number}", domain=f"s{number}.example") for number in range(5)]
    yield Fleet(stage.fleet.data_dir, PartlyReal(stage.fleet.runtime, {user.port for user in users}), MtgImage(),
                edge=stage.lab.nginx, addresses=stage.fleet.port443.addresses, public_port=stage.public)


#: A busy machine may need a second for each of the changes, and more.
@pytest.mark.timeout(400)
def test_fifty_sessions_lose_no_byte_while_a_hundred_changes_reload_nginx(stage, fleet):
    dice, others, served = random.Random(5), [], [stage.version()]
    *streamers, neighbour = fleet.users()
    links = [user.tg_link for user in streamers[:4]] + [streamers[0].tg_link]
    done: dict[str, int] = {}
    with Crowd(links, each=STREAMS // len(links), pause=1.5) as crowd:
        before = [(o.name, o.run_id) for o in fleet.runtime.observe() if o.name != f"mtg-proxy-{neighbour.port}"]
        for number in range(CHANGES):
            verb = _change(fleet, dice, number, others, neighbour.id)
            done[verb] = done.get(verb, 0) + 1
            served.append(stage.version())
            assert served[-1] not in ("", served[-2]), f"nginx serves the same as before after {number}, {verb}"
            assert not crowd.broken, f"after {number} changes, the last: {verb}"
    assert not crowd.broken and len(crowd.members) == STREAMS
    assert min(member.rounds for member in crowd.members) >= 10, "they did not run beside the changes"
    # What was relayed is what was counted, and nothing of these five was started anew.
    there = {(o.name, o.run_id) for o in fleet.runtime.observe()}
    assert set(before) <= there and len(before) == 4
    fleet.sample()
    rounds = sum(member.rounds for member in crowd.members)
    views = [fleet.user(user.id) for user in streamers[:4]]
    assert sum(view.bytes_down for view in views) >= rounds * DOWN
    assert sum(view.bytes_up for view in views) >= rounds * UP
    assert [view.reason for view in fleet.users()] == [""] * len(fleet.users())
    assert fleet.reconcile() == [] and stage.version() == served[-1]
    # Those workers are left that have connections, and the ones of the last reload.
    eventually(lambda: stage.lab.workers() <= 4 * os.cpu_count(), "workers that nobody needs any more end")


def _change(fleet: Fleet, dice: random.Random, number: int, others: list[str], neighbour: str) -> str:
    """Change something that nginx is told of; what it was."""
    if number % 10 == 9:  # for real, a container beside the busy ones
        verb = ("disable", "enable")[number // 10 % 2]
        (fleet.disable if verb == "disable" else fleet.enable)(neighbour)
        return f"{verb} for real"
    verb = dice.choice(("add", "add", "domain", "disable", "remove", "setting"))
    if verb == "add" or len(others) < 2:
        others.append(fleet.add_user(f"user {number}", domain=f"u{number}.example").id)
        return "add"
    if verb == "domain":
        fleet.update_user(dice.choice(others), {"domain": f"d{number}.example"})
    elif verb == "setting":
        choices = {"reject", "close"} - {fleet.settings()["unknown_sni"]}
        fleet.set_settings({"unknown_sni": sorted(choices)[0]})
    elif verb == "disable":
        who = others.pop(dice.randrange(len(others)))
        fleet.disable(who)
    else:
        fleet.remove(others.pop(dice.randrange(len(others))))
    return verb
