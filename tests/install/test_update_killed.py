"""update.sh ended at any point: another run completes what it began, or takes it back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.update_lab import DATA, Server


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.mark.timeout(900)
def test_killed_at_any_step_a_second_run_completes_it(server: Server, tmp_path: Path) -> None:
    server.publish("v2", proxy="mtg 2", nginx="events { }")
    assert server.update().code == 0
    steps = int((server.stubs / "calls").read_text())
    assert steps > 30
    for step in range(1, steps + 1):
        other = Server(tmp_path / str(step))
        other.publish("v2", proxy="mtg 2", nginx="events { }")
        killed = other.update(kill_at=step)
        assert killed.code == -9, f"step {step}: {killed.told}"
        at = other.calls[-1]
        done = other.update()
        assert done.code == 0, f"{at}: {done.told}"
        assert other.version == "v2" and other.data() == DATA, at
        assert other.image("mtg-custom:latest") == server.image("mtg-custom:latest") != other.image("mtg-custom:v1"), at
        assert sorted(path.name for path in other.home.iterdir()) == sorted(
            path.name for path in server.home.iterdir()), at


@pytest.mark.timeout(900)
def test_killed_on_the_way_back_a_second_run_completes_that(server: Server, tmp_path: Path) -> None:
    server.publish("v2")
    server.say("broken", "v2")
    assert server.update().code == 1
    steps = int((server.stubs / "calls").read_text())
    for step in range(steps - 14, steps + 1):
        other = Server(tmp_path / str(step))
        other.publish("v2")
        other.say("broken", "v2")
        assert other.update(kill_at=step).code == -9
        done = other.update()
        assert done.code == 1 and "v1 serves again" in done.stderr, done.told
        assert other.version == "v1" and other.data() == DATA


def test_an_interrupted_update_is_taken_back_if_one_likes_that_better(server: Server, tmp_path: Path) -> None:
    server.publish("v2")
    server.update()
    other = Server(tmp_path / "other")
    other.publish("v2")
    assert other.update(kill_at=server.number_of("up -d --no-build")).code == -9
    done = other.update("--rollback")
    assert done.code == 0 and "was interrupted; it is taken back" in done.stdout and other.version == "v1", done.told
    assert other.data() == DATA and other.update().code == 0 and other.version == "v2"
