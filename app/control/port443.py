"""Port 443 as the fleet uses it: what nginx should serve, whether a declaration fits it, its certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from app.certificates.manager import CertificateManager
from app.checks.addresses import Addresses, LookupFailed
from app.config.model import Config, User
from app.control.errors import Refused
from app.control.views import EdgeStatus
from app.edge.base import Certificate, Edge, EdgeConfig
from app.engines.base import NO_INGRESS, IngressSpec
from app.lib.public import Network, is_public
from app.mtproto.secret import FAKETLS, Secret
from app.rules import domains

#: Settings that nginx is told of: a value that it refuses is not kept.
NGINX_SETTINGS = ("port_443_mode", "panel_domain", "sni_base_domain", "unknown_sni", "cover_site", "cover_url",
                  "nginx_worker_hours", "nginx_connections_per_address")

#: Settings that decide whether probers of a user are shown this server's own cover.
_PINNING = ("port_443_mode", "sni_base_domain", "domain_fronting_ip")

#: Look-ups at the same time.
_LOOK_UPS = 32

_NO_EDGE = ("port_443_mode needs the nginx of docker-compose.yml before the panel (docs/docker.md); this panel runs "
            "without it")


@dataclass(frozen=True)
class Port443:
    """edge, certificates: None where no nginx, or no certbot, stands beside the panel. public_port: the one that
    links carry, 443 unless docker-compose.yml publishes nginx elsewhere. networks: those of the stack itself,
    whose addresses are nobody else's business."""

    edge: Edge | None = None
    certificates: CertificateManager | None = None
    addresses: Addresses | None = None
    public_port: int = 443
    networks: tuple[Network, ...] = ()

    def front(self, config: Config, domain: str) -> IngressSpec:
        """What the engine of a link with this domain is told."""
        return self.edge.front(config, domain) if self.edge else NO_INGRESS

    def stored_certificates(self) -> Mapping[str, Certificate]:
        return self.certificates.store.load() if self.certificates else {}

    def site(self, config: Config, routes: Mapping[str, str], now: datetime) -> EdgeConfig:
        """What nginx should serve, with the certificates that there are."""
        return EdgeConfig(routes=routes, own_names=domains.own_names(config, now), panel_domain=config.panel_domain,
                    unknown_sni=config.unknown_sni, cover_site=config.cover_site, cover_url=config.cover_url,
                    nginx_worker_hours=config.nginx_worker_hours,
                    nginx_connections_per_address=config.nginx_connections_per_address,
                    certificates=tuple(self.stored_certificates().values()))

    def status(self, config: Config, running: int, trouble: str, problems: Iterable[str]) -> EdgeStatus | None:
        """What people see of it; None without nginx. running: how many users' proxies do. trouble: nginx's own."""
        if self.edge is None:
            return None
        names = {domain for certificate in self.stored_certificates().values() for domain in certificate.domains}
        return EdgeStatus(config.port_443_mode, config.panel_domain, config.panel_domain in names,
                          running if config.port_443_mode else 0, trouble,
                          [problem for problem in (trouble, *problems) if problem])

    def refuse_settings(self, config: Config, before: Config, now: datetime) -> None:
        """Raise Refused for a change to settings that can't work. Asks DNS for a name that is new among them, and for
        users' names that a change leaves without the cover of this server.

        What was wrong before, by an edit of the file, keeps nobody from changing something else.
        """
        def changed(*names: str) -> bool:
            return any(getattr(config, name) != getattr(before, name) for name in names)

        if config.port_443_mode and changed("port_443_mode"):
            if not self.edge:
                raise Refused(_NO_EDGE, "port_443_mode")
            _refuse_users(config)
        if config.sni_mode == "own" and not config.sni_base_domain and changed("sni_mode", "sni_base_domain"):
            raise Refused("sni_mode own needs a domain of yours in sni_base_domain", "sni_base_domain")
        if config.cover_site == "proxy" and not config.cover_url and changed("cover_site", "cover_url"):
            raise Refused("cover_site proxy needs the address of the site in cover_url", "cover_url")
        if config.mtg_timing == "urls" and not config.mtg_timing_urls and changed("mtg_timing", "mtg_timing_urls"):
            raise Refused("mtg_timing urls needs addresses in mtg_timing_urls", "mtg_timing_urls")
        if config.panel_domain and changed("panel_domain", "sni_base_domain"):
            _refuse_panel_domain(config, now)
        if self.edge and self.addresses:
            _refuse_addresses(self.addresses, config, before)
        field = next((name for name in _PINNING if changed(name)), "")
        if field and self.addresses and not config.domain_fronting_ip:
            self._refuse_covers(config, now, field)

    def refuse_domain(self, config: Config, domain: str, user: User | None, now: datetime) -> None:
        """Raise Refused for a domain that this user (None: a new one) can't have. Asks DNS."""
        if why := domains.conflict(config, domain, user, now):
            raise Refused(why, "domain")
        if not self.addresses:
            return
        if self._shows_own_cover(config, domain):
            if why := self.addresses.leads_here(domain, self.addresses.own(config)):
                raise Refused(why, "domain")
        # What the settings name for everybody was chosen by who may; the engine looks again before it connects.
        elif ((config.port_443_mode or domain not in (config.fake_tls_domain, *config.domain_pool))
              and (why := self._unfit_if_known(config, domain))):
            raise Refused(f"{domain} {why}: choose a site elsewhere", "domain")

    def unfit_cover(self, config: Config, domain: str) -> str:
        """Why strangers must not be passed on to the site of this name now, to be read after the name; "" if they
        may, or are not. Asks DNS. Raises LookupFailed."""
        if not self.addresses or self._shows_own_cover(config, domain) or config.domain_fronting_ip:
            return ""
        found = self.addresses.of(domain)
        looped = found & self.addresses.own(config) if self.edge and config.port_443_mode else frozenset()
        if looped:
            return (f"leads to this server itself ({', '.join(sorted(looped))}), so whoever probes it would be "
                    "passed round in a circle - a name of this server's own is one under sni_base_domain")
        inside = sorted(address for address in found if not is_public(address, self.networks))
        if inside:
            return (f"leads to {', '.join(inside)}, which is not an address of the internet, and whoever probes it "
                    "would be passed on to what answers there")
        return ""

    def _unfit_if_known(self, config: Config, domain: str) -> str:
        try:
            return self.unfit_cover(config, domain)
        except LookupFailed:
            return ""  # a site that has no address shows probers nothing, but leads nowhere either

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
                    raise Refused(f"{domain}, the domain of {_whose(user, domain)}, {why}: give that user another one "
                                  "first, or have its DNS record lead elsewhere", field)


def _refuse_addresses(addresses: Addresses, config: Config, before: Config) -> None:
    asked: list[tuple[str, str, Callable[[str], str]]] = []
    if config.panel_domain and config.panel_domain != before.panel_domain:
        asked.append((config.panel_domain, "panel_domain", lambda why: why))
    if config.sni_base_domain and config.sni_base_domain != before.sni_base_domain:
        base = config.sni_base_domain
        asked.append((base, "sni_base_domain", lambda why: why))
        if config.sni_mode == "own":
            asked.append((domains.random_name(base, set()), "sni_base_domain",
                          lambda why: f"every name under {base} must lead here, by a DNS record for *.{base}; "
                                      f"a random one does not: {why}"))
    if asked:
        here = addresses.own(config)
        for name, field, words in asked:
            if why := addresses.leads_here(name, here):
                raise Refused(words(why), field)


def _whose(user: User, domain: str) -> str:
    return repr(user.name) if Secret.parse(user.secret).domain == domain else f"an old link of {user.name!r}"


def _refuse_panel_domain(config: Config, now: datetime) -> None:
    if config.panel_domain == config.sni_base_domain:
        raise Refused(f"{config.panel_domain} can't be both the panel's name and the cover site's: name the panel "
                      f"panel.{config.sni_base_domain}, for example", "panel_domain")
    for domain, user in domains.owners(config, now):
        if domain == config.panel_domain:
            what = "that user another one" if _whose(user, domain) == repr(user.name) else "them a new secret"
            raise Refused(f"{domain} is the domain of {_whose(user, domain)}: give {what} first", "panel_domain")


def _refuse_users(config: Config) -> None:
    """On port 443, everybody needs a FakeTLS secret and a domain of their own."""
    owner: dict[str, str] = {}
    for user in config.users:
        secret = Secret.parse(user.secret)
        if secret.kind != FAKETLS:
            raise Refused(f"{user.name!r} has a secret without a domain, and on port 443 users are told apart by it: "
                          "give that user an ee secret first, or delete them", "port_443_mode")
        if why := domains.unfit(secret.domain):
            raise Refused(f"the domain of {user.name!r} can't be used on port 443: {why}", "port_443_mode")
        if secret.domain in owner:
            raise Refused(f"{owner[secret.domain]!r} and {user.name!r} both have the domain {secret.domain}, and on "
                          "port 443 users are told apart by it: give one of them another first", "port_443_mode")
        owner[secret.domain] = user.name
