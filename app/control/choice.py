"""Which runtime and which engine a data folder uses: decided once, and kept."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from app.config.file import ConfigFile
from app.control import programs
from app.engines.base import Engine, by_name
from app.engines.builtin import SPEED_FILE, Builtin, BuiltinImage
from app.engines.mtg.engine import Mtg, MtgImage
from app.engines.mtproxy.engine import Mtproxy, MtproxyImage
from app.engines.mtproxy.telegram_files import Store
from app.engines.telemt.engine import Telemt, TelemtImage
from app.lib.public import Network
from app.messages.refused import Refused
from app.runtimes.base import Runtime, RuntimeFailure
from app.runtimes.process.runtime import ProcessRuntime

RUNTIMES: tuple[Literal["auto", "docker", "process"], ...] = ("auto", "docker", "process")


def choose(file: ConfigFile) -> tuple[Runtime, dict[str, Engine]]:
    """The runtime of a data folder, and by name the engines that can serve its users; the first one is for users
    without a choice.

    MTPROTO_RUNTIME decides, else the folder's own `runtime`. "auto" takes Docker when its engine
    answers and has the proxies' image, else local processes; the answer is written into the
    declaration, so that a Docker engine that is away tomorrow does not turn containers into
    processes that fight for their ports. Raises Refused for another name, ConfigError.
    """
    named = os.environ.get("MTPROTO_RUNTIME") or "auto"
    asked = next((name for name in RUNTIMES if name == named), None)
    if asked is None:
        raise Refused("environment.runtime", value=named, allowed=RUNTIMES)
    config = file.read()
    chosen = asked if asked != "auto" else config.runtime
    if chosen == "auto":
        chosen = "docker" if _docker_is_ready(config.proxy_image) else "process"
    if config.runtime == "auto":
        with file.edit() as config:
            config.runtime = chosen
    if chosen == "process":
        # Those whose program is not there are named, too: who chooses one is told what is missing.
        mtg = Mtg(programs.find(file.data_dir, Mtg.name, "MTG_BIN"))
        telemt = Telemt(programs.find(file.data_dir, Telemt.name, "TELEMT_BIN"))
        others = (mtg, Builtin()) if mtg.binary else (Builtin(), mtg)
        engines = by_name(*others, telemt, Mtproxy())
        return ProcessRuntime(file.data_dir, SPEED_FILE), engines
    from app.runtimes.docker.runtime import NETWORK, DockerRuntime

    runtime = DockerRuntime(instance(config.secret_key), os.environ.get("MTPROTO_NETWORK") or NETWORK)
    return runtime, by_name(MtgImage(), TelemtImage(), BuiltinImage(_own_image(runtime.instance)),
                            MtproxyImage(Store(file.data_dir / "mtproxy")))


def edge_from_env(data_dir: Path, runtime: Runtime) -> dict[str, Any]:
    """What stands beside the panel, as System's arguments: the DNS, and nginx and certbot where the proxies are
    containers, and docker-compose.yml says by MTPROTO_EDGE which address nginx has in their network.
    MTPROTO_HTTPS_PORT: the port of the machine that it publishes as 443, as a number or address:number.
    MTPROTO_PANEL_HTTPS_PORT: the one that it publishes as the panel's at the bare address, if any, as the same.
    MTPROTO_NGINX: its address in the panel's network, which MTPROTO_PANEL_NETWORK names; MTPROTO_PROXY_SUBNET,
    MTPROTO_PANEL_SUBNET: the networks' addresses. MTPROTO_TRAEFIK, MTPROTO_TRAEFIK_PANEL: the addresses of Traefik in
    both, where docker-compose.traefik.yml has it before nginx. Raises Refused for other values."""
    from app.checks.addresses import Addresses

    ip = (os.environ.get("MTPROTO_EDGE") or "").strip()
    if not ip:
        return {"addresses": Addresses()}
    from app.certificates.certbot import Certbot
    from app.edge.base import Edge
    from app.edge.nginx.edge import Nginx
    from app.edge.traefik.edge import Traefik
    from app.runtimes.docker.runtime import DockerRuntime
    from app.runtimes.docker.service import Service

    if not isinstance(runtime, DockerRuntime):
        return {"addresses": Addresses()}
    try:
        ipaddress.ip_address(ip)
    except ValueError:
        raise Refused("environment.edge", value=ip) from None
    proxies = _network("PROXY_SUBNET", "EDGE_IP", ip)
    panel_side = (os.environ.get("MTPROTO_NGINX") or "").strip()
    panel = _network("PANEL_SUBNET", "NGINX_IP", panel_side)
    panel_network = os.environ.get("MTPROTO_PANEL_NETWORK") or runtime.network
    if panel_network > runtime.network:
        raise Refused("environment.networks", panel=panel_network, proxies=runtime.network)
    port, door = _port("MTPROTO_HTTPS_PORT", "443"), _port("MTPROTO_PANEL_HTTPS_PORT", "0")
    network = runtime.network
    router, router_side = (_router(name) for name in ("MTPROTO_TRAEFIK", "MTPROTO_TRAEFIK_PANEL"))
    if router:
        _network("PROXY_SUBNET", "TRAEFIK_EDGE_IP", router)
        _network("PANEL_SUBNET", "TRAEFIK_IP", router_side)
    nginx = Nginx(data_dir / "nginx", Service("nginx", network), ip, public_port=port, proxies=str(proxies or ""),
                  panel_side=panel_side, router=router_side if router else "")
    edge: Edge = Traefik(nginx, data_dir / "traefik", router, router_side) if router else nginx
    return {"edge": edge, "certbot": Certbot(Service("certbot", panel_network)), "addresses": Addresses(),
            "public_port": port, "door_port": door, "networks": tuple(filter(None, (proxies, panel)))}


def _router(variable: str) -> str:
    """The address that this variable names, "" for none. Raises Refused."""
    value = (os.environ.get(variable) or "").strip()
    try:
        return value and str(ipaddress.ip_address(value))
    except ValueError:
        raise Refused("environment.traefik", variable=variable, value=value) from None


def _port(variable: str, default: str) -> int:
    """The port that this variable names, as a number or address:number. Raises Refused."""
    value = os.environ.get(variable) or default
    port = value.rpartition(":")[2]
    if not (port.isascii() and port.isdigit()) or int(port) > 65535 or (port != default and int(port) < 1):
        raise Refused("environment.port", variable=variable, value=value)
    return int(port)


def _network(subnet: str, name: str, address: str) -> Network | None:
    """The network of docker-compose.yml's variable `subnet`, which its variable `name` has to lie in; None if it is
    not told. Raises Refused."""
    text = (os.environ.get(f"MTPROTO_{subnet}") or "").strip()
    if not text:
        return None
    try:
        network, inside = ipaddress.ip_network(text), ipaddress.ip_address(address)
    except ValueError as error:
        raise Refused("environment.subnet", subnet=subnet, network=text, name=name, address=address,
                      reason=error) from None
    if inside not in network:
        raise Refused("environment.outside", name=name, address=inside, subnet=subnet, network=network)
    return network


def instance(secret_key: str) -> str:
    """A short id of the installation for labels, which tells nothing of the key it comes from."""
    return hashlib.sha256(b"instance " + secret_key.encode()).hexdigest()[:12]


def _own_image(instance: str) -> str:
    """The name under which the image of this panel is that of the built-in engine; "" if the panel runs in none.

    MTPROTO_PANEL_IMAGE tells the image, whose name is another one with each release. Under a name that stays, another
    image makes containers outdated, as with every other proxy, and restarts nobody.
    """
    image = os.environ.get("MTPROTO_PANEL_IMAGE") or ""
    if not image:
        return ""
    from docker.errors import APIError, NotFound

    from app.runtimes.docker.client import Connection

    repository = "mtproto-builtin"
    with suppress(RuntimeFailure, NotFound, APIError), Connection().api() as api:
        api.tag(image, repository, instance)
    return f"{repository}:{instance}"


def _docker_is_ready(image: str) -> bool:
    # Imported here, as above: local processes need not load Docker's client for every command.
    from docker.errors import NotFound

    from app.runtimes.docker.client import Connection

    try:
        with Connection().api() as api:
            api.inspect_image(image)
    except (RuntimeFailure, NotFound):
        return False
    return True
