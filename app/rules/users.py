"""Changes to users, as changes to the declaration. No I/O but a look at which ports are free."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.config import containers, schema, values
from app.config.invalid import InvalidValue
from app.config.model import Config, User, new_id
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.secret import FAKETLS, Secret, SecretError, valid_domain
from app.rules import brought, domains, plans, typed_limits
from app.rules.links import replace_domain

#: What `user set` and the panel's form may change, by the names that they use.
CHANGEABLE = schema.fields(User)


def find(config: Config, ref: str) -> User:
    """The user with this id, or else with this name. Refuses unknown and ambiguous ones."""
    by_id = [u for u in config.users if u.id == ref]
    name = _composed(ref.strip())
    found = by_id or [u for u in config.users if _composed(u.name) == name]
    if not found:
        raise Refused("user.unknown", "name", ref=ref)
    if len(found) > 1:
        raise Refused("user.ambiguous", "name", count=len(found), ref=ref, ids=[u.id for u in found])
    return found[0]


def _composed(name: str) -> str:
    """The same name, however its letters were put together: some keyboards and shells write é as e and an accent."""
    return unicodedata.normalize("NFC", name)


@dataclass(frozen=True)
class Checks:
    """What is known outside of the declaration. port_taken: who has the port, or None. refuse_domain: raises
    Refused for an SNI domain that this user (None: a new one) can't have. port_free: whether nobody has the port,
    which is known sooner than who has it."""

    port_taken: Callable[[int], Problem | None]
    refuse_domain: Callable[[Config, str, User | None], None]
    port_free: Callable[[int], bool]


def add(config: Config, changes: Mapping[str, object], enabled: bool, world: Checks) -> User:
    """Append a new user with a secret, a port and a domain.

    Raises Refused, and then the config is not to be saved.
    """
    changes = {key: value for key, value in changes.items() if value is not None}
    # MTProxy's own are without a domain, unless one is asked for.
    mtproxy = (changes.get("engine") or config.engine) == containers.ENGINE
    padded = mtproxy and not changes.get("domain")
    refused: list[Refused] = []
    link = changes.pop("link", "")
    name, domain = "new", config.fake_tls_domain
    try:
        name = _name(config, changes.pop("name", ""), None)
    except Refused as refusal:
        refused.append(refusal)
    try:
        if link and changes.get("domain"):
            raise Refused("user.link_and_domain", "domain")
        if not link:
            domain = _domain(changes.pop("domain", "") or domains.pick(config, values.now()))
            world.refuse_domain(config, domain, None)
        changes.pop("domain", "")
    except Refused as refusal:
        refused.append(refusal)
    user = User(id=new_id({u.id for u in (*config.users, *config.deleted_users)}), name=name, enabled=enabled,
                secret=(Secret.padded() if padded else Secret.generate(domain)).hex, port=free_port(config, world),
                engine=containers.ENGINE if mtproxy and changes.get("engine") else "")
    try:
        if link:
            _bring(config, user, str(link), world)
    except Refused as refusal:
        refused.append(refusal)
    config.users.append(user)
    try:
        change(config, user, changes, world)
    except Refused as refusal:
        refused += refusal.parts
    if (plan := config.plan_of(user)) and not user.expires_at and not changes.get("expires"):
        user.expires_after_days = user.expires_after_days or plan.expires_after_days
    if refused:
        config.users.remove(user)
    Refused.raise_all(refused)
    return user


def change(config: Config, user: User, changes: Mapping[str, object], world: Checks) -> None:
    """Apply values as they come from a form or a command line. Raises Refused, with a part for each that is."""
    refused: list[Refused] = []
    for key, value in changes.items():
        try:
            _set(config, user, key, str(value).strip(), changes, world)
        except Refused as refusal:
            refused.append(refusal)
    Refused.raise_all(refused)


def _set(config: Config, user: User, key: str, text: str, changes: Mapping[str, object], world: Checks) -> None:
    if key not in CHANGEABLE:
        raise Refused("user.no_field", key, name=key, names=list(CHANGEABLE))
    config.settle(CHANGEABLE[key].attribute, user.id)
    match key:
        case "name":
            user.name = _name(config, text, user)
        case "note":
            user.note = _note(text)
        case "domain":
            _change_domain(config, user, _domain(text), world)
        case "port":
            user.port = _port(config, user, text, world.port_taken)
        case "public_port":
            user.public_port = _public_port(text)
        case "plan":
            user.plan = plans.find(config, text).name if text else ""
        case "expires":
            user.expires_at = _expiry(text)
            # An empty field of a form is no decision about the other clock; "never" is.
            user.expires_after_days = 0 if text else user.expires_after_days
        case "expires_after_days":
            user.expires_after_days = typed_limits.days(text)
            if user.expires_after_days:
                if str(changes.get("expires") or "").strip().lower() not in ("", "never", "none"):
                    raise Refused("user.two_expiries", key)
                user.expires_at = None
        case "secret":
            secret = _secret(text)
            if secret.domain != Secret.parse(user.secret).domain:
                _refuse_secret(config, user, secret, world)
            user.secret, user.fake_tls_domain = secret.hex, secret.domain or user.fake_tls_domain
            user.old_links = []
        case _ if typed_limits.set_limit(user, key, text):
            pass
        case _:
            setattr(user, CHANGEABLE[key].attribute, typed_limits.read(CHANGEABLE[key], text))


def _bring(config: Config, user: User, text: str, world: Checks) -> None:
    """Give a new user the secret of this link, and its port where that can be had."""
    secret, link = brought.read(text)
    brought.refuse_ours(config, secret)
    _refuse_secret(config, user, secret, world)
    user.secret, user.fake_tls_domain = secret.hex, secret.domain
    if link and not config.port_443_mode and all(link.port != other.port for other in config.users) \
            and world.port_free(link.port):
        user.port = link.port


def rotate(user: User) -> None:
    """A new key: no link from before works any more."""
    user.old_links = []
    user.secret = Secret.parse(user.secret).rotated().hex


def free_port(config: Config, world: Checks) -> int:
    """The lowest port from proxy_port on that no user has, nor one who may be restored, and no program listens on."""
    mtproxy = containers.ports(config.users, config.mtproxy_first_port)
    used, last = {config.shared_port, *mtproxy, max(mtproxy, default=0) + 1,
                  *(u.port for u in (*config.users, *config.deleted_users))}, 0
    for port in range(config.proxy_port, 65536):
        if port in used:
            continue
        if world.port_free(port):
            return port
        last = port
    why = world.port_taken(last) if last else None
    raise Refused("port.none_free", "port", first=config.proxy_port, reason=why or Problem("port.all_of_users"))


def _name(config: Config, text: object, user: User | None) -> str:
    try:
        name = values.clean_name(str(text))
    except InvalidValue as error:
        raise Refused(error.problem.about("name")) from None
    for other in config.users:
        if other is not user and (name.casefold() == _composed(other.name).casefold() or name == other.id):
            raise Refused("user.exists", "name", name=other.name, id=other.id)
    return name


def _note(text: str) -> str:
    try:
        return values.clean_note(text)
    except InvalidValue as error:
        raise Refused(error.problem.about("note")) from None


def _domain(text: object) -> str:
    try:
        return valid_domain(str(text))
    except SecretError as error:
        raise Refused(error.problem.about("domain")) from None


def _secret(text: str) -> Secret:
    try:
        return Secret.parse(text)
    except SecretError as error:
        raise Refused(error.problem.about("secret")) from None


def _change_domain(config: Config, user: User, domain: str, world: Checks) -> None:
    """The same key under another domain. A secret without one keeps the domain beside it, for a later one."""
    secret = Secret.parse(user.secret)
    if secret.kind != FAKETLS:
        user.fake_tls_domain = domain
    elif domain != secret.domain:
        world.refuse_domain(config, domain, user)
        replace_domain(user, config, secret.with_domain(domain), values.now())


def _refuse_secret(config: Config, user: User, secret: Secret, world: Checks) -> None:
    if secret.kind == FAKETLS:
        world.refuse_domain(config, secret.domain, user)
    elif config.port_443_mode and (user.engine or config.engine) != containers.ENGINE:
        raise Refused("user.secret_without_domain", "secret")


def _port(config: Config, user: User, text: str, port_taken: Callable[[int], Problem | None]) -> int:
    if not re.fullmatch(r"\d{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Refused("port.typed", "port", typed=text)
    port = int(text)
    if port == user.port:
        return port
    for other in config.users:
        if other is not user and other.port == port:
            raise Refused("port.of_user", "port", port=port, name=other.name)
    if by := port_taken(port):
        raise Refused(by.about("port"))
    return port


def _public_port(text: str) -> int:
    """The port in the link; "" and 0 mean the one of the settings."""
    if text and (not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535):
        raise Refused("port.typed_public", "public_port", typed=text)
    return int(text or 0)


def _expiry(text: str) -> datetime | None:
    try:
        moment = values.parse_expiry(text)
    except InvalidValue as error:
        raise Refused(error.problem.about("expires")) from None
    if moment and moment <= values.now():
        raise Refused("user.expiry_past", "expires", typed=text)
    return moment
