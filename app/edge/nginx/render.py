"""What nginx should serve, as the files of its configuration. Pure: the same input, the same bytes."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.edge.base import Certificate, EdgeConfig, EdgeFailure
from app.edge.nginx import devices
from app.edge.nginx.abilities import Abilities, made_for
from app.lib import portmap
from app.mtproto.secret import SecretError, valid_domain

TEMPLATES = Path(__file__).resolve().parents[3] / "nginx" / "templates"

#: Where the folder of the panel is in the nginx container.
MOUNTED = "/etc/nginx/edge"

_PANEL, _COVER, _REJECT, _CLOSE, _DOOR = (f"127.0.0.1:{port}" for port in (portmap.PANEL_HTTPS, portmap.COVER,
                                                                    portmap.REJECT, portmap.CLOSE, portmap.DOOR_HTTPS))
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*:\d{1,5}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_STEP = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAGE = re.compile(r"[A-Za-z0-9_-]{22}")
_URL = re.compile(r"https://(?P<host>[A-Za-z0-9.-]+)(?P<port>:\d{1,5})?")


@dataclass(frozen=True)
class RenderContext:
    """What the configuration depends on beside the EdgeConfig.

    panel: "host:port" of the panel in its network. status: the address there at which nginx says what it
    serves, "" for all of them. proxies: the network of the proxies (CIDR), which come to 443 only when
    a name leads them in a circle; "" to take everybody. public_port: where people reach port 443. router: the address
    of whoever stands before 443 and names the client by a PROXY header; "" where clients come straight.
    ipv6: whether nginx can listen on IPv6. cover: the files of the built-in cover site. custom: the
    operator's own *.conf files. trusted: PEM of the authorities that a cover_url is checked by.
    timing: chain and key (PEM) and the folder, as nginx sees it, of the server that mtg learns from.
    token: letters and digits that mark this installation's own requests. can: what this nginx can do.
    """

    panel: str = f"panel:{portmap.PANEL}"
    status: str = ""
    proxies: str = ""
    public_port: int = 443
    router: str = ""
    ipv6: bool = True
    cover: Mapping[str, bytes] = field(default_factory=dict)
    custom: Mapping[str, bytes] = field(default_factory=dict)
    trusted: bytes = b""
    timing: tuple[bytes, bytes, str] | None = field(default=None, repr=False)
    token: str = "edge"
    can: Abilities = field(default_factory=Abilities)


@dataclass(frozen=True)
class _Secured:
    """A server with a certificate. names: its host names; chain, key: paths in the tree."""

    names: tuple[str, ...]
    chain: str
    key: str = field(repr=False)


def render(site: EdgeConfig, around: RenderContext) -> dict[str, bytes]:
    """Relative path -> content. Raises EdgeFailure for what no configuration can be made of."""
    refuse_names(site)
    panel_pair = _best((site.panel_domain,), site.certificates).get(site.panel_domain)
    cover_pairs = _best(site.own_names, site.certificates)
    share_pair = _best((site.share_hostname,), site.certificates).get(site.share_hostname)
    share = _secured((site.share_hostname,), share_pair) if share_pair else None
    panel = _secured((site.panel_domain,), panel_pair) if panel_pair else None
    covers = _covers(site.own_names, cover_pairs)
    door = _secured((), site.door.certificate) if site.door else None
    files = _pem_files([pair for pair in (panel_pair, share_pair, site.door and site.door.certificate,
                                          *cover_pairs.values())
                        if pair])

    def text(template: str, **values: object) -> bytes:
        return _templates().get_template(template).render(listen=_listen(around.ipv6), ports=portmap, **values).encode()

    limits = devices.limits(site) if around.can.scripts is not None else {}
    unknown = _unknown(site, panel, covers)
    if limits:
        files[devices.LIMITS] = json.dumps(limits, indent=1).encode()
        files[devices.SCRIPT] = (TEMPLATES / "devices.js").read_bytes()
    files["main.d/limits.conf"] = text("limits.conf.j2", worker_hours=int(site.nginx_worker_hours),
                                       load=around.can.scripts if limits else "")
    files["stream.d/port443.conf"] = text(
        "stream.conf.j2", unknown=unknown, backends=_backends(site, panel, share, limits), status=_on(around.status),
        fence=_fence(around.proxies), share=int(site.nginx_connections_per_address), door=_DOOR if door else "",
        router=around.router, names_refused=site.names_refused,
        links=[(name, f"{most} {site.routes[name]} {_COVER if covers and name in site.own_names else unknown}")
               for name, most in limits.items()], links_id=devices.limits_id(files.get(devices.LIMITS, b"")))
    files |= made_for(around.can)
    files["parts/challenge.conf"] = text("challenge.conf.j2")
    # nginx compares without case; two that differ in nothing else would be one to it.
    pages = sorted({page.lower(): page for page in site.share_pages}.values()) if share or door else []
    if pages:
        files["parts/share.conf"] = text("share.conf.j2", token=around.token, panel_upstream=around.panel)
    files |= _cover_site(site, around, text)
    if around.timing:
        files["certs/timing.pem"], files["certs/timing.key"], _ = around.timing
    files |= {f"custom.d/{name}": content for name, content in around.custom.items()}
    secure = tuple(name for name in site.own_names if name in cover_pairs)
    values = {
        "panel": panel, "share": share, "pages": pages, "door": door,
        "path": site.door.path if site.door else "", "covers": covers,
        "panel_upstream": around.panel,
        "status": _on(around.status), "http2": around.can.http2_on,
        "unknown_sees_cover": site.unknown_sni == "cover",
        "secure_names": (((site.panel_domain,) if panel else ()) + ((site.share_hostname,) if share else ())
                         + secure),
        "plain_names": tuple(name for name in site.own_names if name not in cover_pairs),
        "public_port": "" if around.public_port == 443 else f":{around.public_port}",
        "timing_root": around.timing[2] if around.timing else ""}
    files["version"] = digest({**files, "http": text("http.conf.j2", version="", **values)}).encode()
    files["conf.d/edge.conf"] = text("http.conf.j2", version=files["version"].decode(), **values)
    return files


def digest(files: Mapping[str, bytes]) -> str:
    """16 hex digits that are others for other files, or other content."""
    seen = hashlib.sha256()
    for path in sorted(files):
        # fsencode: a file of the operator's may be called by bytes that are no text.
        seen.update(os.fsencode(path) + b"\0" + hashlib.sha256(files[path]).digest())
    return seen.hexdigest()[:16]


@cache
def _templates() -> Environment:
    # Nothing is HTML here; every value that gets in was checked against what it may be.
    return Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, autoescape=False,
                       trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def _listen(ipv6: bool) -> Callable[[int], list[str]]:
    """Port -> the addresses of a `listen` for it."""
    return lambda port: [str(port), f"[::]:{port}"] if ipv6 else [str(port)]


def _on(address: str) -> str:
    """What stands before the port of a `listen` at this address, "" for all of them."""
    return address and f"{address}:"


def _fence(proxies: str) -> str:
    """What turns the proxies away at once; but not this machine, whose address is the first in their network."""
    if not proxies:
        return "# Everybody may come."
    network = ipaddress.ip_network(proxies)
    return f"allow {network[1]}; deny {network};"


def refuse_names(site: EdgeConfig) -> None:
    """Raises EdgeFailure for names and addresses that can't be written into a configuration."""
    for name in (*site.routes, *site.own_names, *filter(None, (site.panel_domain, site.share_hostname))):
        try:
            if valid_domain(name) != name:
                raise EdgeFailure("nginx.name", name=name, known=valid_domain(name))
        except SecretError as error:
            raise EdgeFailure("nginx.no_name", reason=error) from error
    for name, address in site.routes.items():
        if not _ADDRESS.fullmatch(address):
            raise EdgeFailure("nginx.address", name=name, address=address)
    if site.door and not _STEP.fullmatch(site.door.path):
        raise EdgeFailure("nginx.path", path=site.door.path)
    for page in site.share_pages:
        if not _PAGE.fullmatch(page):
            raise EdgeFailure("nginx.share_page")
    if site.share_hostname and site.share_hostname in (site.panel_domain, *site.routes, *site.own_names):
        raise EdgeFailure("nginx.share_taken", domain=site.share_hostname)
    if site.panel_domain and site.panel_domain in site.routes:
        raise EdgeFailure("nginx.panel_is_user", domain=site.panel_domain)
    if site.panel_domain and site.panel_domain in site.own_names:
        raise EdgeFailure("nginx.panel_is_cover", domain=site.panel_domain)


def _covering(name: str, certificate: Certificate) -> bool:
    parent = name.partition(".")[2]
    return any(domain in (name, f"*.{parent}") for domain in map(str.lower, certificate.domains))


def _best(names: Iterable[str], certificates: Iterable[Certificate]) -> dict[str, Certificate]:
    """Name -> the certificate for it that is good for longest."""
    ranked = sorted(certificates, key=lambda c: (c.not_after, c.name), reverse=True)
    found = {name: next((c for c in ranked if name and _covering(name, c)), None) for name in names}
    return {name: certificate for name, certificate in found.items() if certificate}


def _paths(certificate: Certificate) -> tuple[str, str]:
    if not _FILE_NAME.fullmatch(certificate.name) or certificate.name in ("timing", "trusted"):
        raise EdgeFailure("nginx.certificate_name", name=certificate.name)
    return f"certs/{certificate.name}.pem", f"certs/{certificate.name}.key"


def _secured(names: tuple[str, ...], certificate: Certificate) -> _Secured:
    return _Secured(names, *_paths(certificate))


def _covers(names: Iterable[str], pairs: Mapping[str, Certificate]) -> list[_Secured]:
    """One server for each certificate; the first, for names without one, has that of the first name."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if name in pairs:
            groups.setdefault(pairs[name].name, []).append(name)
    return [_secured(tuple(group), pairs[group[0]]) for group in groups.values()]


def _pem_files(certificates: Iterable[Certificate]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for certificate in certificates:
        pems = dict(zip(_paths(certificate), (certificate.chain.encode(), certificate.key.encode()), strict=True))
        if any(files.get(path, pem) != pem for path, pem in pems.items()):
            raise EdgeFailure("nginx.certificate_twice", name=certificate.name)
        files |= pems
    return files


def _unknown(site: EdgeConfig, panel: _Secured | None, covers: list[_Secured]) -> str:
    """Where a name goes that nobody has. What needs a certificate that is not there rejects instead."""
    if site.unknown_sni == "close":
        return _CLOSE
    if site.unknown_sni == "cover" and covers:
        return _COVER
    if site.unknown_sni == "panel" and panel:
        return _PANEL
    return _REJECT


def _backends(site: EdgeConfig, panel: _Secured | None, share: _Secured | None,
              limited: Iterable[str]) -> list[tuple[str, str]]:
    """(name, address) of every name that is known; of limited ones the script decides."""
    known = dict.fromkeys(site.own_names, _COVER) | dict(site.routes) | dict.fromkeys(limited, "$edge_entered")
    if site.panel_domain:
        known[site.panel_domain] = _PANEL if panel else _REJECT
    if site.share_hostname:
        known[site.share_hostname] = _COVER if share else _REJECT
    return sorted(known.items())


def _cover_site(site: EdgeConfig, around: RenderContext, text: Callable[..., bytes]) -> dict[str, bytes]:
    if site.cover_site == "proxy":
        address = _URL.fullmatch(site.cover_url)
        if not address:
            raise EdgeFailure("nginx.cover_url", value=site.cover_url)
        host = address["host"].lower()
        if host in (site.panel_domain, site.share_hostname, *site.own_names, *site.routes):
            raise EdgeFailure("nginx.cover_circle", value=site.cover_url)
        shown = text("cover-proxy.conf.j2", site=host + (address["port"] or ""), host=host,
                     token=around.token)
        return {"parts/cover.conf": shown, "certs/trusted.pem": around.trusted}
    if site.cover_site == "folder":
        return {"parts/cover.conf": text("cover-files.conf.j2", root=f"{MOUNTED}/cover", foreign=True)}
    shown = text("cover-files.conf.j2", root=f"{MOUNTED}/current/cover", foreign=False)
    return {"parts/cover.conf": shown, **{f"cover/{name}": body for name, body in around.cover.items()}}
