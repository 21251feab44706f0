"""Which SNI domain a user may have. On port 443 nginx tells users apart by it, and by nothing else."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime

from app.config.model import Config, User
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.secret import SecretError, valid_domain
from app.rules.links import links

_CONSONANTS, _VOWELS = "bcdfghjklmnprstvz", "aeiou"


def pick(config: Config, now: datetime) -> str:
    """The domain of a new user who asked for none. Raises Refused when there is none left on port 443.

    Everybody gets one of their own - except on ports of their own when the cover is pinned to one
    address: only the declared domain is sure to have a certificate there.
    """
    taken = {domain for domain, _ in owners(config, now)} | {config.panel_domain, config.share_hostname}
    if config.sni_mode == "own" and config.sni_base_domain:
        return random_name(config.sni_base_domain, taken)
    if config.domain_fronting_ip and not config.port_443_mode:
        return config.fake_tls_domain
    free = [d for d in dict.fromkeys((config.fake_tls_domain, *config.domain_pool)) if d not in taken]
    if free:
        # Rather none that a deleted user would need again.
        waiting = {user.fake_tls_domain for user in config.deleted_users}
        return next((domain for domain in free if domain not in waiting), free[0])
    if config.port_443_mode:
        raise Refused("domain.none_free", "domain", count=len(config.domain_pool))
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


def unfit(domain: str) -> Problem | None:
    """Why nginx can't be told of this domain of a secret, which may come from elsewhere; None if it can."""
    try:
        known = valid_domain(domain)
    except SecretError as error:
        return error.problem
    return None if known == domain else Problem("domain.spelling", {"domain": domain, "known": known})


def conflict(config: Config, domain: str, user: User | None, now: datetime) -> Problem | None:
    """Why nobody but somebody else can have this domain; None if `user` (None: a new one) can."""
    if domain and domain == config.panel_domain:
        return Problem("domain.of_panel", {"domain": domain}, "domain")
    if domain and domain == config.share_hostname:
        return Problem("domain.of_share", {"domain": domain}, "domain")
    if config.port_443_mode:
        if why := unfit(domain):
            return why.about("domain")
        if domain == config.sni_base_domain:
            return Problem("domain.of_cover", {"domain": domain}, "domain")
        for theirs, owner in owners(config, now):
            if theirs == domain and owner is not user:
                return Problem("domain.of_user", {"domain": domain, "name": owner.name}, "domain")
    return None
