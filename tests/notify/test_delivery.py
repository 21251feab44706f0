"""A channel that fails or hangs holds up nobody, is told once, and gets what waits when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.accounts.actor import Actor, NotAllowed, Right
from app.control import channels, views
from app.control.errors import Refused
from app.messages import Problem, sentence
from app.notify import delivery, http
from app.notify.delivery import send_test
from app.notify.service import Notifier
from tests.notify.conftest import Post, hook
from tests.support.fleet import Fleet, named
from tests.support.sinks import Drip, Sink


def threads() -> list[threading.Thread]:
    """Those that send something now."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("notify c")]


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def news(fleet: Fleet, version: str = "v2") -> None:
    (fleet.data_dir / "update.json").write_text(
        f'{{"installed": "v1", "newest": "{version}", "at": 1, "result": ""}}')


def failures(fleet: Fleet) -> list[str]:
    return [event.action for event in fleet.events() if event.action.startswith("channel.")]


def test_it_is_tried_again_with_growing_pauses_told_once_and_arrives_in_the_end(fleet: Fleet, post: Post) -> None:
    post.sink.answer = lambda request: (500, {}, b"")
    news(fleet)
    for _ in range(100):
        post.look(delivery.FIRST)
    assert 5 <= len(post.sink.received) <= 12
    assert failures(fleet) == ["channel.failed"]
    trouble, = channels.problems(fleet)
    assert sentence(trouble) == sentence(next(each for each in views.status(fleet).problems
                                              if each.code == "notify.trouble"))
    post.restart()
    post.look()
    assert failures(fleet) == ["channel.failed"], "a restart tells it no second time"
    post.sink.answer = lambda request: (200, {}, b"")
    said, = post.look(delivery.LONGEST)
    assert "v2" in said and channels.problems(fleet) == []
    assert failures(fleet) == ["channel.works", "channel.failed"]
    assert post.look(delivery.LONGEST) == []


def test_a_server_that_asks_for_patience_gets_it(fleet: Fleet, post: Post) -> None:
    post.sink.answer = lambda request: (429, {"Retry-After": "900"}, b"")
    news(fleet)
    assert len(post.look()) == 1
    assert post.look(800) == []
    assert len(post.look(101)) == 1


def test_a_channel_that_was_changed_is_tried_at_once(fleet: Fleet, post: Post) -> None:
    post.sink.answer = lambda request: (401, {}, b"")
    news(fleet)
    post.look()
    assert post.look() == []
    post.sink.answer = lambda request: (200, {}, b"")
    with fleet.file.edit() as config:
        config.notifications[0].secret = "the right key"
    assert len(post.look()) == 1


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000])
def test_one_that_hangs_or_drips_holds_up_no_other_ends_by_itself_and_is_told_once(
        fleet: Fleet, post: Post, says: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with Drip(says) as drip:
        with fleet.file.edit() as config:
            config.notifications.insert(0, hook(drip.url, "Silent", events=["update"]))
        news(fleet)
        post.watch.look()
        post.delivery.round()
        wait_for(lambda: post.sink.received and len(threads()) == 1 and drip.connections)
        assert threads()[0].daemon, "it alone is still at it"
    wait_for(lambda: not threads())
    monkeypatch.setattr(http, "WHOLE", 0.3 - http.READ)
    with Drip(says) as drip:
        with fleet.file.edit() as config:
            config.notifications[0].url = drip.url
        for _ in range(4):
            post.now += delivery.LONGEST
            post.delivery.round()
            post.delivery.wait(30)
            assert threads() == []
            wait_for(lambda: drip.connections)
    assert failures(fleet) == ["channel.failed"] and len(post.sink.received) == 1


def test_a_channel_that_is_gone_leaves_nothing_that_waits(fleet: Fleet, post: Post) -> None:
    post.sink.answer = lambda request: (500, {}, b"")
    news(fleet)
    post.look()
    with fleet.file.edit() as config:
        config.notifications[0].name, config.notifications[0].id = "Other", "other"
    post.look()
    assert fleet.ledger.letters.boxes_with_letters() == [] and fleet.ledger.letters.states() == {}


def test_a_test_says_what_came_of_it_and_only_owners_may_send_one(fleet: Fleet, post: Post) -> None:
    assert send_test(fleet, named("cli"), "hook") == "Hook"
    assert "This is a test" in post.sink.received[-1].json()["text"]
    post.sink.answer = lambda request: (403, {}, b"")
    with pytest.raises(Refused, match="the token or key is wrong"):
        send_test(fleet, named("cli"), "hook")
    with pytest.raises(NotAllowed):
        send_test(fleet, Actor("web", Right.USERS, "bob"), "hook")


def test_an_unknown_fault_of_one_channel_is_its_own(fleet: Fleet, post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "sender", lambda *_: 1 / 0)
    news(fleet)
    post.look()
    box, = fleet.ledger.letters.states().values()
    assert box.problem == Problem("text", {"text": "ZeroDivisionError"})


def test_the_thread_tells_and_ends_and_only_one_of_two_acts(fleet: Fleet, sink: Sink) -> None:
    with fleet.file.edit() as config:
        config.notifications.append(hook(sink.url, events=["update"]))
    fleet.ledger.letters.note({}, [], [], 1.0)
    both = [Notifier(fleet, look=0.05, every=0.02).start() for _ in range(2)]
    until = time.monotonic() + 20
    while ("", "") not in fleet.ledger.letters.told() and time.monotonic() < until:
        time.sleep(0.01)
    news(fleet)
    while not sink.received and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.2)
    for each in both:
        each.stop()
    assert len(sink.received) == 1 and not any(each._thread.is_alive() for each in both)
