"""What Traefik should route, as its file, and what it says that it routes. Pure."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.edge.base import EdgeConfig

#: Names in the file: of everybody's way to nginx with TLS and without, of those who name each client by a PROXY
#: header, of the share of one address, and of what keeps the proxies out.
_REST, _PLAIN, _NAMED, _SHARE, _FENCE = "rest", "plain", "named", "share", "fence"

#: What the name of a user's route begins with; the domain follows.
_LINK = "link-"

_ENTRY = "websecure"


@dataclass(frozen=True)
class Routed:
    """routers: name -> (rule, service, whether TLS passes through, middlewares). services: name -> "host:port".
    middlewares: name -> its settings. Only those of our names count."""

    routers: Mapping[str, tuple[str, str, bool, tuple[str, ...]]]
    services: Mapping[str, str]
    middlewares: Mapping[str, Mapping[str, Any]]


def document(site: EdgeConfig, nginx: str, proxies: str) -> dict[str, Any]:
    """The dynamic configuration. nginx: the address of nginx, which takes everybody whom no route is for. proxies: the
    proxies' network (CIDR), "" to take everybody.

    A link with a limit on addresses is nginx's, too: Traefik can't count them.
    """
    links = {name: address for name, address in sorted(site.routes.items()) if site.device_limits.get(name, 0) <= 0}
    middlewares: dict[str, Any] = {_SHARE: {"inFlightConn": {"amount": int(site.nginx_connections_per_address)}}}
    if proxies:
        middlewares[_FENCE] = {"ipAllowList": {"sourceRange": _outside(proxies)}}
    used = sorted(middlewares)
    routers: dict[str, Any] = {
        _REST: {"rule": "HostSNI(`*`)", "entryPoints": [_ENTRY], "service": _REST, "tls": {"passthrough": True}},
        _PLAIN: {"rule": "HostSNI(`*`)", "entryPoints": [_ENTRY], "service": _REST}}
    services = {_REST: _service(f"{nginx}:443")}
    for name, address in links.items():
        routers[link(name)] = {"rule": f"HostSNI(`{name}`)", "entryPoints": [_ENTRY], "service": link(name),
                                 "middlewares": used, "tls": {"passthrough": True}}
        services[link(name)] = _service(address)
    return {"tcp": {"serversTransports": {_NAMED: {"proxyProtocol": {"version": 2}}}, "middlewares": middlewares,
                    "routers": routers, "services": services}}


def link(name: str) -> str:
    """What the route of the user with this domain is called."""
    return _LINK + name


def text(routed: Mapping[str, Any]) -> bytes:
    """The file. JSON is YAML, and quotes whatever it has to."""
    return b"# Written by the panel; changes are lost. Other files beside this one are yours.\n" + \
        json.dumps(routed, indent=1).encode() + b"\n"


def declared(routed: Mapping[str, Any]) -> Routed:
    """What a document asks for."""
    tcp = routed["tcp"]
    return Routed({name: _router(found) for name, found in tcp["routers"].items()},
                  {name: _address(found) for name, found in tcp["services"].items()}, tcp["middlewares"])


def served(answer: Mapping[str, Any]) -> Routed:
    """What Traefik serves, from its answer to /api/rawdata. What it has switched off is not served. Raises ValueError,
    LookupError, TypeError, AttributeError for an answer of another kind."""
    def ours(section: str) -> dict[str, Any]:
        found = {name.removesuffix("@file"): told for name, told in (answer.get(section) or {}).items()}
        return {name: told for name, told in found.items()
                if name.startswith(_LINK) or name in (_REST, _PLAIN, _SHARE, _FENCE)}

    return Routed({name: _router(told) for name, told in ours("tcpRouters").items() if told["status"] == "enabled"},
                  {name: _address(told) for name, told in ours("tcpServices").items()},
                  {name: {kind: value for kind, value in told.items() if kind in ("inFlightConn", "ipAllowList")}
                   for name, told in ours("tcpMiddlewares").items()})


def objections(answer: Mapping[str, Any], goal: Routed) -> list[str]:
    """Why Traefik has switched off routes that were asked for."""
    told = {name.removesuffix("@file"): router for name, router in (answer.get("tcpRouters") or {}).items()}
    return [f"{name}: {said}" for name, (rule, *_) in goal.routers.items() if name in told
            and told[name].get("rule") == rule for said in told[name].get("error") or ()]


def _service(address: str) -> dict[str, Any]:
    return {"loadBalancer": {"serversTransport": _NAMED, "servers": [{"address": address}]}}


def _router(told: Mapping[str, Any]) -> tuple[str, str, bool, tuple[str, ...]]:
    return (told["rule"], told["service"].removesuffix("@file"), bool((told.get("tls") or {}).get("passthrough")),
            tuple(sorted(name.removesuffix("@file") for name in told.get("middlewares") or ())))


def _address(told: Mapping[str, Any]) -> str:
    return str(told["loadBalancer"]["servers"][0]["address"])


def _outside(proxies: str) -> list[str]:
    """Every address but those of the proxies; this machine, the first in their network, may come. Traefik has lists of
    who may come only."""
    network = ipaddress.ip_network(proxies)
    everybody: list[Any] = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]
    ranges = [part for each in everybody
              for part in (each.address_exclude(network) if each.version == network.version else (each,))]
    return [str(part) for part in sorted([*ranges, ipaddress.ip_network(network[1])],
                                         key=lambda part: (part.version, part))]
