"""What each engine makes of a user."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from app.config.model import Config
from app.control.engine_limits import engine_notes, unserved
from app.engines.base import NO_INGRESS, EngineRefusal, by_name
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg, MtgImage, find_mtg
from app.messages import sentence
from app.rules.links import links

KEY = "00112233445566778899aabbccddeeff"
NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
ENGINES = [Builtin(), Mtg("/opt/mtg"), MtgImage()]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_a_workload_is_named_after_its_port_and_knows_its_user(engine, user, config, place):
    workload = engine.workload(user(), config, place)
    assert (workload.name, workload.user_id, workload.engine) == ("mtg-proxy-2443", "a1b2c3d4", engine.name)
    assert (workload.port, workload.place) == (2443, place)
    assert set(workload.files) == {"config.toml"} and workload.command[-2:] == ("run", "{config}")


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_names_notes_limits_and_expiry_restart_nothing(engine, user, config, place):
    alice = user()
    spec = engine.workload(alice, config, place).spec
    for change in ({"name": "Alicia"}, {"note": "new"}, {"traffic_limit_gb": 5}, {"throttle_speed_mbps": 3},
                   {"expires_at": "2030-01-01T00:00:00+00:00"}, {"enabled": False}):
        assert engine.workload(user(secret=alice.secret, **change), config, place).spec == spec
    other = Config(traffic_limit_gb=7, server_domain="a.example.com")
    assert engine.workload(alice, other, place).spec == spec


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_a_new_secret_cover_or_upstream_is_another_workload(engine, user, config, place):
    alice = user()
    others = [engine.workload(user(), config, place)]
    others += [engine.workload(alice, Config(**{key: value}), place) for key, value in (
        ("domain_fronting_ip", "127.0.0.9"), ("upstream_socks5", "127.0.0.1:1080"),
        ("proxy_prefer_ip", "only-ipv4"))]
    assert len({w.spec for w in [engine.workload(alice, config, place), *others]}) == 5


@pytest.mark.parametrize("secret", [KEY, "dd" + KEY])
def test_mtg_takes_no_secrets_without_a_domain_and_the_builtin_engine_serves_them(user, config, place, secret):
    link, = links(user(secret=secret), config, NOW)
    for engine in (Mtg("/opt/mtg"), MtgImage()):
        why = unserved(link, "mtg", by_name(engine))
        assert (why.code, why.params["name"], why.params["engine"]) == ("engine.only_faketls", "Alice", "mtg")
        assert KEY not in sentence(why)
    assert unserved(link, "builtin", by_name(Builtin())) is None
    assert secret in Builtin().workload(user(secret=secret), config, place).files["config.toml"]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_each_link_gets_a_workload_that_names_it_and_has_its_counters(engine, user, config, place):
    both = [link for one in (user(), user(id="b0b", port=2444)) for link in links(one, config, NOW)]
    made = engine.workloads(both, config, lambda port: place, lambda domain: NO_INGRESS)
    assert [(workload.name, workload.links) for workload in made] == [(link.name, (link.id,)) for link in both]
    assert all(link.secret.hex in workload.files["config.toml"] for link, workload in zip(both, made, strict=True))
    text = 'mtg_telegram_traffic{telegram_ip="x",dc="2",direction="to_client"} 100\n'
    (link, counted), = engine.readings(made[0].links, text).items()
    assert (link, counted.down) == (both[0].id, 100)


def test_the_builtin_engine_is_the_same_workload_however_python_is_called():
    show = ("from app.engines.builtin import Builtin; from app.config.model import Config, User; "
            "from app.runtimes.base import Place; "
            f"user = User(id='a', name='A', port=1, secret='{KEY}'); "
            "workload = Builtin().workload(user, Config(), Place('a', 'b')); print(workload.spec)")
    pythons = [p for name in ("python", "python3", f"python3.{sys.version_info.minor}")
               if (p := Path(sys.executable).with_name(name)).exists()]
    specs = [subprocess.run([python, "-c", show], capture_output=True, text=True, check=True,
                            cwd=Path(__file__).resolve().parents[2]).stdout for python in pythons]
    assert len(set(specs)) == 1 and specs[0].strip()


def test_mtg_is_found_by_mtg_bin_before_the_path(tmp_path, monkeypatch):
    for name in ("mtg", "mtg-mine"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_mtg() == str(tmp_path / "mtg")
    monkeypatch.setenv("MTG_BIN", str(tmp_path / "mtg-mine"))
    assert find_mtg() == Mtg().binary == str(tmp_path / "mtg-mine")
    (tmp_path / "mtg-mine").chmod(0o644)
    assert find_mtg() is None


def test_mtg_without_its_program_refuses_and_says_what_helps(monkeypatch, user, config, place):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineRefusal, match="MTG_BIN"):
        Mtg().workload(user(), config, place)


def test_the_image_and_the_memory_of_a_container_are_the_declared_ones(user, place):
    config = Config(proxy_image="registry.example.com/mtg:2", proxy_memory_mb=100)
    workload = MtgImage().workload(user(), config, place)
    assert (workload.image, workload.memory_mb) == ("registry.example.com/mtg:2", 100)
    assert workload.command == ("run", "{config}")


def test_the_image_means_nothing_to_a_local_process_and_the_memory_only_to_the_builtin_engines(user, config, place):
    alice = user()
    for engine, memory in ((Builtin(), 100), (Mtg("/opt/mtg"), 0)):
        other = engine.workload(alice, Config(proxy_image="other", proxy_memory_mb=100), place)
        usual = engine.workload(alice, config, place)
        assert other == replace(usual, memory_mb=memory)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: type(e).__name__)
def test_what_an_engine_does_not_do_is_noted(engine):
    only = by_name(engine)
    assert engine_notes(only, Config()) == []
    (note,) = engine_notes(only, Config(proxy_tag="0123456789abcdef0123456789abcdef"))
    assert (note.code, note.params["setting"]) == ("engine.ignores", "proxy_tag")
    (note,) = engine_notes(only, Config(proxy_blocklist=True))
    assert note.code == "engine.blocklist_private" or note.params["setting"] == "proxy_blocklist"
