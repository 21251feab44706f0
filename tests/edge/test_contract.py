"""What every edge promises (app/edge/base.py): the same tests for nginx, Traefik and the one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from app.config.model import Config
from app.edge.base import Edge, EdgeConfig, EdgeFailure, EdgeUnavailable
from app.runtimes.base import Devices
from tests.support import edge_lab, traefik_lab
from tests.support.memory_edge import MemoryEdge

ALICE = EdgeConfig(routes={"alice.pool.test": "mtg-proxy-2443:3128"})
BOB = EdgeConfig(routes={**ALICE.routes, "bob.pool.test": "mtg-proxy-2444:3128"})


@dataclass
class Subject:
    """An edge, and hands on it: take it away and bring it back; have it refuse what comes, and take it again.
    command: what starts it where it is away."""

    edge: Edge
    leave: Callable[[], object]
    back: Callable[[], object]
    refuse: Callable[[], object]
    relent: Callable[[], object]
    command: str = "docker compose up -d nginx"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[edge_lab.Lab]:
    with edge_lab.lab(tmp_path_factory.mktemp("contract") / "nginx", newer=True) as lab:
        lab.nginx.apply(EdgeConfig())
        yield lab


@pytest.fixture(scope="module")
def routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[traefik_lab.Lab]:
    with traefik_lab.lab(tmp_path_factory.mktemp("routed")) as lab:
        lab.edge.apply(EdgeConfig())
        yield lab


@pytest.fixture(params=["memory", "nginx", "traefik"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "memory":
        edge = MemoryEdge()

        def set_to(name: str, value: object) -> Callable[[], None]:
            return lambda: setattr(edge, name, value)

        yield Subject(edge, set_to("gone", True), set_to("gone", False), set_to("refusal", "no"), set_to("refusal", ""))
        return
    if request.param == "traefik":
        routed = request.getfixturevalue("routed")
        spoiled = routed.dynamic / "operators.yml"
        yield Subject(routed.edge, routed.stop, routed.start, lambda: spoiled.write_text("tcp: [\n"),
                      lambda: spoiled.unlink(missing_ok=True),
                      "docker compose up -d traefik")
        spoiled.unlink(missing_ok=True)
        routed.start()
        return
    lab = request.getfixturevalue("lab")
    broken = lab.folder / "custom.d" / "broken.conf"
    yield Subject(lab.nginx, lab.stop, lab.start, lambda: broken.write_text("nonsense;\n"),
                  lambda: broken.unlink(missing_ok=True))
    broken.unlink(missing_ok=True)
    lab.start()


def test_what_is_new_is_applied_once(subject: Subject):
    subject.edge.apply(EdgeConfig())
    assert subject.edge.apply(ALICE) is True
    assert subject.edge.apply(ALICE) is False
    assert subject.edge.apply(BOB) is True
    assert subject.edge.apply(EdgeConfig(routes=dict(reversed(BOB.routes.items())))) is False


def test_a_refusal_changes_nothing_and_says_why(subject: Subject):
    subject.edge.apply(ALICE)
    subject.refuse()
    with pytest.raises(EdgeFailure, match="refuses.*served before") as refused:
        subject.edge.apply(BOB)
    assert not isinstance(refused.value, EdgeUnavailable)
    subject.relent()
    assert subject.edge.apply(ALICE) is False, "it was served all the time"
    assert subject.edge.apply(BOB) is True


def test_a_name_that_is_none_is_refused(subject: Subject):
    subject.edge.apply(ALICE)
    with pytest.raises(EdgeFailure, match="no good.test"):
        subject.edge.apply(EdgeConfig(routes={"no good.test": "mtg-proxy-2443:3128"}))
    assert subject.edge.apply(ALICE) is False


def test_an_edge_that_is_away_is_said_and_gets_what_it_missed_when_it_is_back(subject: Subject):
    subject.edge.apply(ALICE)
    subject.leave()
    for site in (ALICE, BOB):
        with pytest.raises(EdgeUnavailable, match=subject.command):
            subject.edge.apply(site)
    subject.back()
    assert subject.edge.apply(BOB) is True
    assert subject.edge.apply(BOB) is False


def test_limits_on_addresses_are_read_back_while_they_are_served(subject: Subject):
    limited = replace(BOB, device_limits={"alice.pool.test": 3, "gone.pool.test": 2})
    assert subject.edge.apply(limited) is True and subject.edge.apply(limited) is False
    assert subject.edge.devices() == {"alice.pool.test": Devices(3, 0, 0)}
    subject.leave()
    with pytest.raises(EdgeUnavailable):
        subject.edge.devices()
    subject.back()
    assert subject.edge.apply(BOB) is True and subject.edge.devices() == {}


def test_the_engines_are_told_the_same_whether_nginx_runs_or_not(subject: Subject):
    config = Config(sni_base_domain="example.com", port_443_mode=True)
    before = subject.edge.front(config, "a.example.com")
    subject.leave()
    assert subject.edge.front(config, "a.example.com") == before
    subject.back()


@pytest.mark.parametrize("domain, own", [
    ("example.com", True), ("a.example.com", True), ("notexample.com", False), ("www.pool.test", False)])
def test_probes_of_own_names_meet_the_cover_site_of_this_server(subject: Subject, domain: str, own: bool):
    cover = subject.edge.front(Config(sni_base_domain="example.com"), domain).cover
    assert cover.endswith(":8444") if own else cover == ""
    assert subject.edge.front(Config(), domain).cover == ""


@pytest.mark.parametrize("on", [True, False])
def test_the_client_is_named_to_the_engine_on_port_443_only(subject: Subject, on: bool):
    assert subject.edge.front(Config(port_443_mode=on), "www.pool.test").proxy_protocol is on


def test_mtg_learns_its_timing_where_the_setting_says(subject: Subject):
    def told(**settings: object) -> tuple[tuple[str, ...], str]:
        front = subject.edge.front(Config(**settings), "www.pool.test")
        return front.timing, front.trusted

    (url,), trusted = told(mtg_timing="cover")
    assert url.startswith("https://") and ":8445/" in url and trusted
    assert told(mtg_timing="urls", mtg_timing_urls=["https://a.test/big"]) == (("https://a.test/big",), "")
    assert told(mtg_timing="default") == ((), "")
