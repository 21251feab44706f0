"""Port 443, as the panel uses it: what nginx should serve, whether a declaration fits it, its certificates."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from app.certificates import pem
from app.certificates.manager import CertificateManager
from app.certificates.renewal import ADDRESS
from app.certificates.selfsigned import SelfSigned
from app.checks.addresses import Addresses, LookupFailed
from app.config.model import Config, User
from app.control.records import DoorView, EdgeStatus
from app.edge.base import Certificate, Door, Edge, EdgeConfig
from app.engines.base import NO_INGRESS, IngressSpec
from app.lib.public import Network, is_public
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.secret import FAKETLS, Secret
from app.rules import domains, door, share

log = logging.getLogger(__name__)

#: Settings that nginx is told of: a value that it refuses is not kept.
NGINX_SETTINGS = ("port_443_mode", "panel_domain", "panel_by_address", "panel_path", "share_hostname",
                  "sni_base_domain", "unknown_sni", "cover_site", "cover_url", "nginx_worker_hours",
                  "nginx_connections_per_address")

#: Settings that decide whether probers of a user are shown this server's own cover.
_PINNING = ("port_443_mode", "sni_base_domain", "domain_fronting_ip")

#: Look-ups at the same time.
_LOOK_UPS = 32

#: A cover where nobody listens: the discard port on the proxy's own loopback.
NOBODY = "127.0.0.1:9"


@dataclass(frozen=True)
class Port443:
    """edge, certificates: None where no nginx, or no certbot, stands beside the panel. public_port: the one that
    links carry, 443 unless docker-compose.yml publishes nginx elsewhere. door_port: the one at which people find the
    panel by HTTPS at the bare address, 0 for none; self_signed: what it shows there while no authority has issued a
    certificate. networks: those of the stack itself, whose addresses are nobody else's business."""

    edge: Edge | None = None
    certificates: CertificateManager | None = None
    addresses: Addresses | None = None
    public_port: int = 443
    door_port: int = 0
    networks: tuple[Network, ...] = ()
    self_signed: SelfSigned | None = None

    def front(self, config: Config, domain: str) -> IngressSpec:
        """What the engine of a link with this domain is told."""
        return self.edge.front(config, domain) if self.edge else NO_INGRESS

    def stored_certificates(self) -> Mapping[str, Certificate]:
        return self.certificates.store.load() if self.certificates else {}

    def site(self, config: Config, routes: Mapping[str, str], now: datetime) -> EdgeConfig:
        """What nginx should serve, with the certificates that there are."""
        at_address = self._door(config, now)
        return EdgeConfig(routes=routes, own_names=domains.own_names(config, now), panel_domain=config.panel_domain,
                    door=at_address, share_hostname=config.share_hostname,
                    share_pages=share.tokens(config) if config.share_hostname or at_address else (),
                    unknown_sni=config.unknown_sni,
                    cover_site=config.cover_site, cover_url=config.cover_url,
                    nginx_worker_hours=config.nginx_worker_hours,
                    nginx_connections_per_address=config.nginx_connections_per_address,
                    names_refused=config.bans,
                    certificates=tuple(self.stored_certificates().values()))

    def _door(self, config: Config, now: datetime) -> Door | None:
        """The panel at the bare address; None where it is not served there, or has no certificate that could be."""
        address = door.address(config)
        if not address or not self.door_port:
            return None
        try:
            return Door(config.panel_path, self._certificate(address, now))
        except OSError as error:
            log.warning("the panel is not served at %s: %s", address, error)  # nobody's proxy has to wait for that
            return None

    def _certificate(self, address: str, now: datetime) -> Certificate:
        """The authority's for this address if there is one that is good for it, else one that signs itself. Raises
        OSError."""
        issued = self.stored_certificates().get(ADDRESS)
        if issued and address in issued.domains and now < issued.not_after:
            return issued
        if self.self_signed is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.self_signed.certificate(address, now)

    def door_view(self, config: Config, now: datetime, trouble: Problem | None) -> DoorView | None:
        """What people see of the panel at the bare address; None where it is not served there. trouble: why there is
        no certificate of an authority, as the last try went."""
        url, address = door.url(config, self.door_port), door.address(config)
        if not url:
            return None
        try:
            shown = self._certificate(address, now)
        except OSError as error:
            reason = Problem("door.no_certificate", {"reason": error.strerror or error})
            return DoorView(url, True, "", "", reason)
        issued = shown.name == ADDRESS
        if not issued and not door.certifiable(config):
            trouble = Problem("door.private", {"address": address})
        return DoorView(url, not issued, pem.fingerprint(shown),
                        shown.not_after.astimezone(now.tzinfo).isoformat(timespec="seconds"), trouble)

    def status(self, config: Config, running: int, trouble: Problem | None,
               problems: Iterable[Problem], by_address: DoorView | None = None) -> EdgeStatus | None:
        """What people see of it; None without nginx. running: how many users' proxies do. trouble: nginx's own."""
        if self.edge is None:
            return None
        names = {domain for certificate in self.stored_certificates().values() for domain in certificate.domains}
        return EdgeStatus(config.port_443_mode, config.panel_domain, config.panel_domain in names,
                          running if config.port_443_mode else 0, trouble,
                          [problem for problem in (trouble, *problems) if problem], by_address, self.edge.name)

    def refuse_settings(self, config: Config, before: Config, now: datetime) -> None:
        """Raise Refused for a change to settings that can't work. Asks DNS for a name that is new among them, and for
        users' names that a change leaves without the cover of this server.

        What was wrong before, by an edit of the file, keeps nobody from changing something else.
        """
        def changed(*names: str) -> bool:
            return any(getattr(config, name) != getattr(before, name) for name in names)

        if config.port_443_mode and changed("port_443_mode"):
            if not self.edge:
                raise Refused("port443.no_edge", "port_443_mode")
            _refuse_users(config)
        if (config.panel_by_address and changed("panel_by_address", "server_ip", "server_domain")
                and (why := door.unfit(config, self.door_port, self.edge is not None))):
            raise Refused(why)
        if config.sni_mode == "own" and not config.sni_base_domain and changed("sni_mode", "sni_base_domain"):
            raise Refused("port443.no_base", "sni_base_domain")
        if config.cover_site == "proxy" and not config.cover_url and changed("cover_site", "cover_url"):
            raise Refused("port443.no_cover_url", "cover_url")
        if config.mtg_timing == "urls" and not config.mtg_timing_urls and changed("mtg_timing", "mtg_timing_urls"):
            raise Refused("port443.no_timing_urls", "mtg_timing_urls")
        if config.panel_domain and changed("panel_domain", "sni_base_domain"):
            _refuse_panel_domain(config, now)
        if config.share_hostname and changed("share_hostname", "panel_domain", "sni_base_domain"):
            _refuse_share_hostname(config, self.edge is not None, now)
        if self.edge and self.addresses:
            _refuse_addresses(self.addresses, config, before)
        field = next((name for name in _PINNING if changed(name)), "")
        if field and self.addresses and not config.domain_fronting_ip:
            self._refuse_covers(config, now, field)

    def refuse_domain(self, config: Config, domain: str, user: User | None, now: datetime) -> None:
        """Raise Refused for a domain that this user (None: a new one) can't have. Asks DNS."""
        if why := domains.conflict(config, domain, user, now):
            raise Refused(why)
        if not self.addresses:
            return
        if self._shows_own_cover(config, domain):
            if why := self.addresses.leads_here(domain, self.addresses.own(config)):
                raise Refused(why.about("domain"))
        # What the settings name for everybody was chosen by who may; the engine looks again before it connects.
        elif ((config.port_443_mode or domain not in (config.fake_tls_domain, *config.domain_pool))
              and (why := self._unfit_if_known(config, domain))):
            raise Refused("domain.cover", "domain", domain=domain, reason=why)

    def unfit_cover(self, config: Config, domain: str) -> Problem | None:
        """Why strangers must not be passed on to the site of this name now, to be read after the name; None if they
        may, or are not. Asks DNS. Raises LookupFailed."""
        if not self.addresses or self._shows_own_cover(config, domain) or config.domain_fronting_ip:
            return None
        found = self.addresses.of(domain)
        looped = found & self.addresses.own(config) if self.edge and config.port_443_mode else frozenset()
        if looped:
            return Problem("cover.circle", {"addresses": sorted(looped)})
        inside = sorted(address for address in found if not is_public(address, self.networks))
        if inside:
            return Problem("cover.inside", {"addresses": inside})
        return None

    def _unfit_if_known(self, config: Config, domain: str) -> Problem | None:
        try:
            return self.unfit_cover(config, domain)
        except LookupFailed:
            return None  # a site that has no address shows probers nothing, but leads nowhere either

    def _shows_own_cover(self, config: Config, domain: str) -> bool:
        return self.edge is not None and config.is_own_name(domain)

    def _refuse_covers(self, config: Config, now: datetime, field: str) -> None:
        """Users' names that lead here or inside are safe as long as their probers are shown something else."""
        theirs = {domain: user for domain, user in domains.owners(config, now)
                  if not self._shows_own_cover(config, domain)}
        with ThreadPoolExecutor(_LOOK_UPS) as pool:
            found = pool.map(lambda domain: self._unfit_if_known(config, domain), theirs)
            for (domain, user), why in zip(theirs.items(), found, strict=True):
                if why:
                    raise Refused("port443.users_cover", field, domain=domain, owner=_whose(user, domain), reason=why)


def _refuse_addresses(addresses: Addresses, config: Config, before: Config) -> None:
    asked: list[tuple[str, str, bool]] = []
    if config.panel_domain and config.panel_domain != before.panel_domain:
        asked.append((config.panel_domain, "panel_domain", False))
    if config.share_hostname and config.share_hostname != before.share_hostname:
        asked.append((config.share_hostname, "share_hostname", False))
    if config.sni_base_domain and config.sni_base_domain != before.sni_base_domain:
        base = config.sni_base_domain
        asked.append((base, "sni_base_domain", False))
        if config.sni_mode == "own":
            asked.append((domains.random_name(base, set()), "sni_base_domain", True))
    if asked:
        here = addresses.own(config)
        for name, field, random in asked:
            if why := addresses.leads_here(name, here):
                raise Refused("port443.random_name", field, base=config.sni_base_domain, reason=why) if random else \
                    Refused(why.about(field))


def _whose(user: User, domain: str) -> Problem:
    today = Secret.parse(user.secret).domain == domain
    return Problem("port443.user" if today else "port443.old_link", {"name": user.name})


def _refuse_panel_domain(config: Config, now: datetime) -> None:
    if config.panel_domain == config.sni_base_domain:
        raise Refused("port443.panel_is_cover", "panel_domain", domain=config.panel_domain,
                      base=config.sni_base_domain)
    for domain, user in domains.owners(config, now):
        if domain == config.panel_domain:
            owner = _whose(user, domain)
            raise Refused("port443.panel_is_user" if owner.code == "port443.user" else "port443.panel_is_old_link",
                          "panel_domain", domain=domain, owner=owner)


def _refuse_share_hostname(config: Config, edge: bool, now: datetime) -> None:
    name = config.share_hostname
    if not edge:
        raise Refused("share.no_edge", "share_hostname")
    if name == config.panel_domain:
        raise Refused("share.is_panel", "share_hostname", domain=name)
    if name == config.sni_base_domain:
        raise Refused("share.is_cover", "share_hostname", domain=name)
    for domain, user in domains.owners(config, now):
        if domain == name:
            owner = _whose(user, domain)
            raise Refused("port443.panel_is_user" if owner.code == "port443.user" else "port443.panel_is_old_link",
                          "share_hostname", domain=domain, owner=owner)


def _refuse_users(config: Config) -> None:
    """On port 443, everybody needs a FakeTLS secret and a domain of their own."""
    owner: dict[str, str] = {}
    for user in config.users:
        secret = Secret.parse(user.secret)
        if secret.kind != FAKETLS:
            raise Refused("port443.plain_secret", "port_443_mode", name=user.name)
        if why := domains.unfit(secret.domain):
            raise Refused("port443.unfit_domain", "port_443_mode", name=user.name, reason=why)
        if secret.domain in owner:
            raise Refused("port443.shared_domain", "port_443_mode", first=owner[secret.domain], second=user.name,
                          domain=secret.domain)
        owner[secret.domain] = user.name


def closing(front: Callable[[Config, str], IngressSpec],
            closed: Mapping[str, Problem]) -> Callable[[Config, str], IngressSpec]:
    """The same fronts, but for covers that are closed: strangers there are passed on to nobody."""
    def found(config: Config, domain: str) -> IngressSpec:
        told = front(config, domain)
        shut = domain in closed and not told.cover and not config.domain_fronting_ip
        return replace(told, cover=NOBODY) if shut else told

    return found
