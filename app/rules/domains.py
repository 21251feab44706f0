"""Which SNI domain a user may have. On port 443 nginx tells users apart by it, and by nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime

from app.config.model import Config, User
from app.control.errors import Refused
from app.mtproto.secret import SecretError, valid_domain
from app.rules.links import links

_CONSONANTS, _VOWELS = "bcdfghjklmnprstvz", "aeiou"


def pick(config: Config, now: datetime) -> str:
    """The domain of a new user who asked for none. Raises Refused when there is none left on port 443.

    Everybody gets one of their own - except on ports of their own when the cover is pinned to one
    address: only the declared domain is sure to have a certificate there.
    """
    taken = {domain for domain, _ in owners(config, now)} | {config.panel_domain}
    if config.sni_mode == "own" and config.sni_base_domain:
        return random_name(config.sni_base_domain, taken)
    if config.domain_fronting_ip and not config.port_443_mode:
        return config.fake_tls_domain
    free = [d for d in dict.fromkeys((config.fake_tls_domain, *config.domain_pool)) if d not in taken]
    if free:
        return free[0]
    if config.port_443_mode:
        raise Refused(f"every one of the {len(config.domain_pool)} domains in domain_pool belongs to a user: add "
                      "domains to it, name one for this user, or use a domain of your own (sni_mode own)", "domain")
    return config.fake_tls_domain


def random_name(base: str, taken: set[str]) -> str:
    """A name under `base` that reads like a word, which nobody has."""
    while True:
        label = "".join(secrets.choice(_CONSONANTS) + secrets.choice(_VOWELS) for _ in range(4))
        if (name := f"{label}.{base}") not in taken:
            return name


def own_names(config: Config, now: datetime) -> tuple[str, ...]:
    """Every name of this server's own that needs the cover's certificate: the base, and users' below it."""
    if not config.sni_base_domain:
        return ()
    names = [domain for domain, _ in owners(config, now) if config.is_own_name(domain)]
    return tuple(dict.fromkeys((config.sni_base_domain, *names)))


def owners(config: Config, now: datetime) -> Iterator[tuple[str, User]]:
    """Every domain that a link has, with the user whose link it is."""
    for user in config.users:
        for link in links(user, config, now):
            if link.domain:
                yield link.domain, user


def unfit(domain: str) -> str:
    """Why nginx can't be told of this domain of a secret, which may come from elsewhere; "" if it can."""
    try:
        known = valid_domain(domain)
    except SecretError as error:
        return str(error)
    return "" if known == domain else f"{domain} has to be written {known}: give the user that domain"


def conflict(config: Config, domain: str, user: User | None, now: datetime) -> str:
    """Why nobody but somebody else can have this domain; "" if `user` (None: a new one) can."""
    if domain and domain == config.panel_domain:
        return f"{domain} is the panel's own name (panel_domain): choose another"
    if config.port_443_mode:
        if why := unfit(domain):
            return why
        if domain == config.sni_base_domain:
            return f"{domain} is the cover site's own name (sni_base_domain): choose a name under it"
        for theirs, owner in owners(config, now):
            if theirs == domain and owner is not user:
                return (f"{domain} belongs to {owner.name!r}, and on port 443 users are told apart by their domain: "
                        "choose another")
    return ""
