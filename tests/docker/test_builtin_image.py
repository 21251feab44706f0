"""The built-in engine as a container a user, of the panel's image: served, limited and renewed without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.control.moving import Moving
from app.engines.base import by_name
from app.engines.builtin import BuiltinImage
from app.engines.mtg.engine import MtgImage
from app.runtimes.base import RUNNING
from app.runtimes.docker.runtime import DockerRuntime
from tests.docker.conftest import Lab
from tests.support import docker_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually
from tests.support.fleet import Fleet
from tests.support.stream import Stream, passes


@pytest.fixture
def lab(tmp_path: Path, runtime: DockerRuntime, hands, docker_dc, image: str) -> Iterator[Lab]:
    name = f"mtproto-builtin-{runtime.instance}"
    hands.tag(docker_lab.builtin_image(), name, "test")
    fleet = Fleet(tmp_path / "data", runtime, by_name(BuiltinImage(f"{name}:test"), MtgImage()))
    fleet.set_settings({"proxy_image": image, "upstream_socks5": docker_dc.socks5, "server_ip": "127.0.0.1",
                        "proxy_bind": "127.0.0.1", "proxy_port": str(free_port())})
    yield Lab(fleet, hands)
    hands.remove_image(f"{name}:test", force=True)


def run_of(lab: Lab, name: str) -> str:
    seen = lab.seen(name)
    assert seen and seen.state == RUNNING
    return seen.run_id


def test_a_user_is_served_limited_and_told_of_a_new_image_without_a_restart(lab: Lab) -> None:
    fleet = lab.fleet
    anna = fleet.add_user("Anna")
    name = f"mtg-proxy-{anna.port}"
    assert passes(anna.tg_link)
    run = run_of(lab, name)
    body = lab.hands.inspect_container(name)
    host, config = body["HostConfig"], body["Config"]
    assert (config["User"], host["ReadonlyRootfs"], host["CapDrop"], host["Memory"]) == (
        "65534:65534", True, ["ALL"], 256 << 20)
    eventually(lambda: lab.hands.exec_start(lab.hands.exec_create(name, config["Healthcheck"]["Test"][1:])["Id"])
               == b"", "its health check ends without a word")

    fleet.update_user("Anna", {"max_unique_ips": "2"})
    eventually(lambda: "builtin_unique_ips_limit 2" in sample(lab, name), "the engine goes by its live file")
    assert run_of(lab, name) == run

    lab.hands.tag(fleet.config().proxy_image, fleet.engine.image.rpartition(":")[0], "test")
    eventually(lambda: lab.seen(name).outdated, "the panel's image is another one")
    fleet.reconcile()
    assert run_of(lab, name) == run, "offered for renewal, not restarted"


def test_handshakes_that_were_seen_are_kept_beyond_a_restart_and_nothing_else_can_be_written(lab: Lab) -> None:
    anna = lab.fleet.add_user("Anna")
    name = f"mtg-proxy-{anna.port}"
    assert passes(anna.tg_link)
    said = lab.hands.logs(name).decode()
    assert "can't be kept" not in said, said

    def tried(words: str) -> str:
        return lab.hands.exec_start(lab.hands.exec_create(name, ["bash", "-c", words])["Id"]).decode()

    look = """python3 -c 'import sqlite3
(count,) = sqlite3.connect("/config/own/replays.db").execute("SELECT count(*) FROM recent").fetchone()
print(count)'"""
    eventually(lambda: int(tried(look)) > 0, "the handshake is in the file")
    lab.hands.restart(name)
    eventually(lambda: passes(anna.tg_link), "it serves again")
    assert int(tried(look)) > 0 and "can't be kept" not in lab.hands.logs(name).decode()
    for words in ("rm -f /config/config.toml", "mv /config/own /config/other", "touch /config/new"):
        assert "denied" in tried(words), words


def sample(lab: Lab, name: str) -> str:
    found = lab.runtime.sample(name)
    return found.text if found else ""


def test_users_are_moved_to_and_from_mtg_with_links_that_stay_and_bills_that_go_on(lab: Lab) -> None:
    fleet = lab.fleet
    fleet.set_settings({"engine": "mtg"})
    anna, boris = fleet.add_user("Anna"), fleet.add_user("Boris")
    name = f"mtg-proxy-{anna.port}"
    for rounds, engine in enumerate(("mtg", "builtin", "mtg"), 1):
        fleet.set_settings({"engine": engine})
        assert all(outcome.ok for outcome in Moving(fleet).step())
        assert [(user.served_by, user.hints) for user in fleet.users()] == [(engine, [])] * 2
        assert lab.hands.inspect_container(name)["Config"]["Labels"]["mtproto.engine"] == engine
        for user, link in ((anna, anna.tg_link), (boris, boris.tg_link)):
            eventually(lambda link=link: passes(link), "the link works")
            asyncio.run(move_bytes(link))
            fleet.sample()
            assert fleet.user(user.id).bytes_down == pytest.approx(rounds * 300_000, rel=0.01)
    assert sorted(each.name for each in lab.runtime.observe()) == sorted(
        f"mtg-proxy-{user.port}" for user in (anna, boris))


def test_the_engine_itself_slows_whoever_is_over_the_limit(lab: Lab) -> None:
    fleet = lab.fleet
    anna = fleet.add_user("Anna", limit_gb=0.0002, speed_mbps=2)
    run = run_of(lab, f"mtg-proxy-{anna.port}")
    asyncio.run(move_bytes(anna.tg_link))
    fleet.sample()
    assert all(outcome.ok for outcome in fleet.reconcile())
    assert fleet.user("Anna").throttled_bps == 2_000_000
    fleet.update_user("Anna", {"limit_gb": "none"})
    assert fleet.user("Anna").throttled_bps is None
    assert run_of(lab, f"mtg-proxy-{anna.port}") == run


async def move_bytes(link: str) -> None:
    async with asyncio.timeout(90):
        stream = await Stream.open(link)
        await stream.download(300_000)
        await stream.close()
