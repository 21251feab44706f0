"""telemt's config.toml: what needs a restart, and so follows from the settings alone, never from users.

Keys as in telemt 3.4.25. It would take any name (SNI) for a user's, as a list of names that are good would have to be
in this file: what is asked for is the key. Whoever does not have it is passed on, like at the other engines, to this
server's own cover site, or to the site that was asked for where that is one that users get, else to the first of those.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from app.config.model import Config
from app.config.values import parse_socks5
from app.engines.base import FrontOf, IngressSpec
from app.engines.telemt import api, live
from app.engines.toml import render
from app.runtimes.base import Place
from app.runtimes.ports import join, split

METRICS_PATH = "/metrics"
#: Who may ask for metrics and, with its key, the API: this machine, and Docker's networks, which are private ones.
#: What listens on :: sees an IPv4 address as an IPv6 one.
LOOPBACK = ["127.0.0.0/8", "::ffff:127.0.0.0/104", "::1/128"]
PRIVATE = [*LOOPBACK, "10.0.0.0/8", "::ffff:10.0.0.0/104", "172.16.0.0/12", "::ffff:172.16.0.0/108",
           "192.168.0.0/16", "::ffff:192.168.0.0/112", "100.64.0.0/10", "::ffff:100.64.0.0/106", "fc00::/7"]

#: Bytes that wait encrypted for a slow reader; one TLS record. With more, which is telemt's default, the end of a
#: transfer may stay inside until the next byte moves: 5 of 24 downloads of 3 MB did (with 4 MB here, 22 of 24), and
#: none of 30 with this.
_PENDING = 16_384
#: Connections at a time, of all users and strangers, at least.
_CONNECTIONS = 10_000


def render_config(config: Config, place: Place, front: FrontOf, allowed: list[str]) -> str:
    """The text. Pure. allowed: networks that may ask for the metrics."""
    ip, port = split(place.listen)
    around = front(config.fake_tls_domain)
    server: dict[str, object] = {
        "port": port, "listeners": [{"ip": each} for each in (("0.0.0.0", ip) if ip == "::" else (ip,))],
        "max_connections": max(_CONNECTIONS, config.proxy_concurrency),
        "metrics_listen": place.metrics, "metrics_whitelist": allowed, "proxy_protocol": around.proxy_protocol,
        # Left out, anybody's would be believed.
        "proxy_protocol_trusted_cidrs": _only(around),
    }
    tables: dict[str, Mapping[str, object]] = {
        "": {"upstreams": [_upstream(config)]},
        "general.modes": {"classic": False, "secure": False, "tls": True},
        # Its log would have links, which are secrets.
        "general.links": {"show": []},
        # It asks nobody else which address this server has.
        "network": {"stun_use": False, "stun_servers": [], "http_ip_detect_urls": [],
                    "ipv4": True, "ipv6": config.proxy_prefer_ip != "only-ipv4",
                    "prefer": 6 if config.proxy_prefer_ip.endswith("ipv6") else 4},
        "server": server,
        "server.api": api.settings(place.metrics, config.secret_key, allowed),
        "server.conntrack_control": {"inline_conntrack_control": False},
        "censorship": {"unknown_sni_action": "accept", "mask": True, "tls_emulation": True, **_cover(config, front)},
    }
    general = {"use_middle_proxy": False, "ntp_check": False, "disable_colors": True, "beobachten": config.bans,
               "crypto_pending_buffer": _PENDING}
    return f'{render(tables)}\n{render({"general": general})}include = "{live.FILE}"\n'


def _cover(config: Config, front: FrontOf) -> dict[str, object]:
    """Where strangers are passed on to, and whose handshake is imitated."""
    if config.domain_fronting_ip:
        return {"tls_domain": config.fake_tls_domain, "mask_host": config.domain_fronting_ip,
                "mask_port": config.domain_fronting_port}
    own = config.sni_base_domain if config.sni_mode == "own" else ""
    if own and front(own).cover:
        return _pinned(own, front(own).cover)
    # Those that are told a cover have no site of their own name, or none that is safe to pass on to.
    sites = [name for name in dict.fromkeys((config.fake_tls_domain, *config.domain_pool)) if not front(name).cover]
    if not sites:
        return _pinned(config.fake_tls_domain, front(config.fake_tls_domain).cover)
    return {"tls_domain": sites[0], "tls_domains": sites[1:]}


def _pinned(name: str, cover: str) -> dict[str, object]:
    ip, port = split(cover)
    return {"tls_domain": name, "mask_host": f"[{ip}]" if ":" in ip else ip, "mask_port": port,
            "mask_proxy_protocol": 1}


def _only(around: IngressSpec) -> list[str]:
    return [str(ipaddress.ip_network(address)) for address in around.addresses]


def _upstream(config: Config) -> dict[str, object]:
    if not config.upstream_socks5:
        return {"type": "direct"}
    host, port, user, password = parse_socks5(config.upstream_socks5)
    login = {"username": user, "password": password} if user else {}
    return {"type": "socks5", "address": join(host, port), **login}
