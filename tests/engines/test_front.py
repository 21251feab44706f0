"""What the engines are told of nginx: the PROXY protocol, the pinned cover, the timing to learn."""

from __future__ import annotations

import tomllib

import pytest

from app.builtin.settings import Endpoint, parse_settings
from app.config.model import Config
from app.engines.base import NO_INGRESS, IngressSpec
from app.engines.builtin import Builtin
from app.engines.mtg.engine import Mtg, MtgImage

ENGINES = [Builtin(), Mtg("/opt/mtg"), MtgImage()]
URL = "https://172.28.255.254:8445/timing.bin"
FRONT = IngressSpec(proxy_protocol=True, cover="172.28.255.254:8444", timing=(URL,),
              trusted="-----BEGIN CERTIFICATE-----\n")

#: What earlier versions wrote for this user: a proxy whose file is another one is restarted.
WITHOUT = """\
secret = "ee00112233445566778899aabbccddeeff7777772e6578616d706c652e636f6d"
bind-to = "127.0.0.1:2443"
concurrency = 4096
prefer-ip = "prefer-ipv4"
tolerate-time-skewness = "20s"

[defense.anti-replay]
enabled = true

[network.timeout]
tcp = "5s"
http = "10s"
idle = "5m"
handshake = "10s"

[stats.prometheus]
enabled = true
bind-to = "127.64.9.139:3129"
http-path = "/"
"""


@pytest.fixture
def alice(user):
    return user(secret="ee00112233445566778899aabbccddeeff" + b"www.example.com".hex())


def told(workload) -> dict:
    return tomllib.loads(workload.files["config.toml"])


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: type(e).__name__)
def test_without_nginx_nothing_is_restarted_by_an_update(engine, alice, place):
    workload = engine.workload(alice, Config(), place)
    assert workload == engine.workload(alice, Config(), place, NO_INGRESS)
    assert dict(workload.files) == {"config.toml": WITHOUT} and workload.env == {}


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: type(e).__name__)
def test_the_way_in_and_the_pinned_cover_are_told_to_every_engine(engine, alice, place):
    workload = engine.workload(alice, Config(), place, FRONT)
    assert told(workload)["proxy-protocol-listener"] is True
    assert told(workload)["domain-fronting"] == {"ip": "172.28.255.254", "port": 8444, "proxy-protocol": True,
                                                 "host": "172.28.255.254"}
    settings = parse_settings(workload.files["config.toml"])
    assert (settings.proxy_protocol_listener, settings.cover_proxy_protocol) == (True, True)
    assert settings.cover == Endpoint("172.28.255.254", 8444)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: type(e).__name__)
def test_the_pinned_cover_goes_before_a_declared_one(engine, alice, place):
    config = Config(domain_fronting_ip="192.0.2.7", domain_fronting_port=4443)
    assert told(engine.workload(alice, config, place, FRONT))["domain-fronting"]["ip"] == "172.28.255.254"
    declared = told(engine.workload(alice, config, place, IngressSpec(proxy_protocol=True)))["domain-fronting"]
    assert declared == {"ip": "192.0.2.7", "port": 4443, "host": "192.0.2.7"}
    six = told(engine.workload(alice, config, place, IngressSpec(cover="[fd00::5]:8444")))["domain-fronting"]
    assert six == {"ip": "fd00::5", "port": 8444, "proxy-protocol": True, "host": "fd00::5"}


def test_mtg_in_a_container_learns_from_our_file_and_trusts_it_beside_the_others(alice, place):
    workload = MtgImage().workload(alice, Config(), place, FRONT)
    assert told(workload)["defense"]["doppelganger"] == {
        "urls": [URL], "repeats-per-raid": 3, "raid-each": "300s"}
    assert workload.files["ca.pem"] == FRONT.trusted
    assert workload.env == {"SSL_CERT_FILE": "/config/ca.pem"}


def test_addresses_that_everybody_trusts_need_no_file_and_are_asked_for_once_an_hour(alice, place):
    urls = ("https://www.example.com/large", "https://www.example.org/large")
    for engine in (MtgImage(), Mtg("/opt/mtg")):
        workload = engine.workload(alice, Config(), place, IngressSpec(timing=urls))
        assert told(workload)["defense"]["doppelganger"] == {
            "urls": list(urls), "repeats-per-raid": 3, "raid-each": "3600s"}
        assert set(workload.files) == {"config.toml"} and workload.env == {}


def test_a_local_mtg_is_not_sent_to_a_server_that_it_can_not_trust(alice, place):
    assert "doppelganger" not in told(Mtg("/opt/mtg").workload(alice, Config(), place, FRONT))["defense"]


def test_the_builtin_engine_has_no_timing_to_learn_and_is_not_restarted_for_it(alice, place):
    plain = Builtin().workload(alice, Config(), place, IngressSpec(proxy_protocol=True))
    timed = Builtin().workload(alice, Config(), place, IngressSpec(True, "", (URL,), FRONT.trusted))
    assert plain == timed and set(plain.files) == {"config.toml"}
