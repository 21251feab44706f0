"""mtg's configuration file, which the built-in engine reads too.

Keys as in mtg 2.2.8 (internal/config/parse.go). An unknown key is ignored there,
but a wrong type or a bad address stops it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote

from app.config.model import Config, User
from app.config.values import parse_socks5
from app.engines.base import NO_INGRESS, IngressSpec
from app.engines.mtg import timing as mtgtiming
from app.engines.toml import render
from app.runtimes.base import Place
from app.runtimes.ports import split

METRICS_PATH = "/"
#: The handshakes that the built-in engine has seen (an SQLite file): they outlive a replacement, as the secret does -
#: by mtg, too, should the built-in engine come back.
REPLAYS = ("replays.db", "replays.db-wal", "replays.db-shm")
#: Known attackers, and every private range: clients in Docker's network or the LAN are turned away too.
BLOCKLIST = "https://iplists.firehol.org/files/firehol_level1.netset"


def render_config(user: User, config: Config, place: Place, front: IngressSpec = NO_INGRESS,
                  more: Mapping[str, object] = MappingProxyType({})) -> str:
    """The config.toml of this user's proxy. Pure; without a front, nothing in it tells of nginx. more: settings of one
    engine alone, at the top."""
    tables: dict[str, dict[str, object]] = {
        "": {
            "secret": user.secret,
            "bind-to": place.listen,
            "concurrency": config.proxy_concurrency,
            "prefer-ip": config.proxy_prefer_ip,
            # Phones with a clock some seconds off are common; mtg's own 3 s turn them away.
            "tolerate-time-skewness": "20s",
        },
        "network.timeout": {"tcp": "5s", "http": "10s", "idle": "5m", "handshake": "10s"},
        "defense.anti-replay": {"enabled": config.proxy_anti_replay},
        "stats.prometheus": {"enabled": True, "bind-to": place.metrics, "http-path": METRICS_PATH},
    }
    network: dict[str, object] = {}
    if config.upstream_socks5:
        network["proxies"] = [socks5_url(config.upstream_socks5)]
    if config.proxy_dns:
        network["dns"] = config.proxy_dns
    if network:
        tables["network"] = network
    if config.proxy_blocklist:
        tables["defense.blocklist"] = {"enabled": True, "urls": [BLOCKLIST], "update-each": "24h"}
    tables[""] |= more
    if front.proxy_protocol:
        tables[""]["proxy-protocol-listener"] = True
    if front.timing:
        tables["defense.doppelganger"] = mtgtiming.settings(front.timing)
    if front.cover:
        ip, port = split(front.cover)
        tables["domain-fronting"] = {"ip": ip, "port": port, "proxy-protocol": True, "host": ip}
    elif config.domain_fronting_ip:
        tables["domain-fronting"] = {"ip": config.domain_fronting_ip, "port": config.domain_fronting_port,
                                     "host": config.domain_fronting_ip}
    return render(tables)


def unhashed(text: str) -> tuple[str, ...]:
    """The lines of a config.toml that files of earlier versions did not have, and that need no restart.

    mtg up to 2.2.8 reads the `ip` of [domain-fronting]; builds of 2026 ignore it and read `host`. Who changes to such
    an image replaces the container, and with it the file.
    """
    return tuple(line for line in text.splitlines() if line.startswith("host = "))


def socks5_url(upstream: str) -> str:
    """"host:port" or "user:password@host:port" as the URL that mtg wants.

    User and password are percent-encoded, so they may hold any character. Raises ValueError.
    """
    host, port, user, password = parse_socks5(upstream)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user else ""
    return f"socks5://{login}{f'[{host}]' if ':' in host else host}:{port}"
