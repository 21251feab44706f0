from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.engines.builtin import Builtin
from app.notify.delivery import Delivery
from app.notify.watch import Watch
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime
from tests.support.sinks import BotApi, Received, Sink


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def fleet(tmp_path: Path, machine: Machine) -> Fleet:
    return Fleet(tmp_path, MemoryRuntime(machine), Builtin())


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture
def api() -> Iterator[BotApi]:
    api = BotApi()
    yield api
    api.stop()


@dataclass
class Post:
    """The notifications of a fleet, a look at a time. now: of the steady clock, in seconds."""

    fleet: Fleet
    sink: Sink
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """As a panel that starts again."""
        self.watch = Watch(self.fleet, lambda: self.now)
        self.delivery = Delivery(self.fleet, lambda: self.now)

    def look(self, later: float = 0.0) -> list[str]:
        """The texts of what arrives after one look, so many seconds later."""
        self.now += later
        before = len(self.sink.received)
        self.watch.look()
        self.delivery.round()
        self.delivery.wait(20)
        return [_text(each) for each in self.sink.received[before:]]


def _text(received: Received) -> str:
    return str(received.json()["text"])


@pytest.fixture
def post(fleet: Fleet, sink: Sink) -> Post:
    """With one webhook, which is told everything, and has been told what stood at the beginning: nothing."""
    with fleet.file.edit() as config:
        config.notifications.append(hook(sink.url, events="limit_80 limit_95 limit_100 expiring expired proxy_down "
                                                          "domain certificate update".split()))
    post = Post(fleet, sink)
    assert post.look() == []
    return post


def hook(url: str, name: str = "Hook", **fields: object) -> object:
    from app.config.channels import Channel

    return Channel.model_validate({"name": name, "kind": "webhook", "url": url, "secret": "key", **fields})
