"""What the operator declares: fields, units, defaults, and the rules that need no I/O.

A field's `description` is the code of what is allowed, which a person reads when a value is refused.
Names are those of the installations that came before, so their files load.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (BaseModel, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer,
                      model_validator)

from app.config import containers, older
from app.config.channels import Channel
from app.config.invalid import InvalidValue
from app.config.part import Part as _Part
from app.config.schema import Typed, fields
from app.config.second_factors import SecondFactors
from app.config.values import (Address, BaseDomain, BindAddress, Cycle, Dns, Domain, DomainOrEmpty, Domains,
                               Email, Expiry, Host, HttpsSite, HttpsUrl, HttpsUrls, Image, Limit, Moment, Name,
                               Networks, Number, OwnCycle, PanelPath, Port, PreferIp, PublicPort, Recipient,
                               SecretText, Socks5, Tags, Text, WebUrl, Whole, now)
from app.config.validation_messages import kind_of, problem
from app.lib import portmap
from app.messages import Problem
from app.mtproto.secret import Secret, SecretError, valid_domain

#: Domains that many people visit and that speak TLS 1.3: the SNI of a user who asked for none.
DOMAIN_POOL = (
    "www.cloudflare.com", "www.google.com", "www.apple.com", "www.microsoft.com", "www.amazon.com",
    "www.netflix.com", "www.github.com", "www.reddit.com", "www.wikipedia.org", "www.mozilla.org",
    "www.dropbox.com", "www.spotify.com", "www.twitch.tv", "www.stackoverflow.com", "www.nvidia.com",
    "www.intel.com", "www.oracle.com", "www.ibm.com", "www.adobe.com", "www.samsung.com",
    "vk.com", "ya.ru", "mail.ru", "ok.ru", "dzen.ru", "rutube.ru", "www.ozon.ru", "www.avito.ru",
    "habr.com", "www.kinopoisk.ru",
)


class InvalidConfig(InvalidValue):
    """The declaration breaks rules. One problem per broken rule: field, value, what is allowed."""


#: What a user has, and a plan.
LimitGb = Annotated[Annotated[Number, Field(ge=0, le=1e6)] | None, Typed("limit_gb", "GB", "limits")]
AtLimit = Annotated[Literal["", "throttle", "block"], Typed(group="limits")]
SpeedMbps = Annotated[Annotated[Number, Field(ge=0, le=1e5)] | None, Typed("speed_mbps", "Mbit/s", "limits")]
MaxUniqueIps = Annotated[
    Annotated[Whole, Field(ge=0, le=1_000_000)] | None, Typed(group="limits", kind="text")]
ResetCycle = Annotated[OwnCycle, Typed(group="limits", kind="choice")]
Days = Annotated[Whole, Field(ge=0, le=36500), Typed(unit="days", group="limits")]


class OldLink(_Part):
    """A link that a user had before their domain was changed, and that still works for a while."""

    secret: SecretText = Field(repr=False, description="rule.oldlink.secret")
    replaced_at: Moment = Field(description="rule.time")
    until: Moment = Field(description="rule.time")

    @property
    def domain(self) -> str:
        return Secret.parse(self.secret).domain


class User(_Part):
    """A person with a proxy link."""

    id: Text = Field(default="", pattern=r"^[0-9a-z-]{1,32}$", description="rule.user.id")
    name: Annotated[Name, Typed(group="who")] = Field(description="rule.name")
    secret: Annotated[SecretText, Typed()] = Field(repr=False, description="rule.user.secret")
    port: Annotated[Port, Typed()] = Field(description="rule.port")
    enabled: bool = Field(default=True, description="rule.flag")
    fake_tls_domain: Annotated[DomainOrEmpty, Typed("domain", group="details")] = Field(
        default="", description="rule.user.fake_tls_domain")
    public_port: Annotated[PublicPort, Typed(group="details")] = Field(default=0, description="rule.user.public_port")
    plan: Annotated[Text, Typed(group="limits", kind="choice")] = Field(default="", description="rule.user.plan")
    traffic_limit_gb: LimitGb = Field(default=0, description="rule.user.traffic_limit_gb")
    at_limit: AtLimit = Field(default="", description="rule.user.at_limit")
    throttle_speed_mbps: SpeedMbps = Field(default=0, description="rule.user.throttle_speed_mbps")
    max_unique_ips: MaxUniqueIps = Field(default=0, description="rule.user.max_unique_ips")
    reset_cycle: ResetCycle = Field(default="", description="rule.user.reset_cycle")
    expires_at: Annotated[Expiry, Typed("expires", group="limits", kind="date")] = Field(
        default=None, description="rule.user.expires_at")
    expires_after_days: Days = Field(default=0, description="rule.user.expires_after_days")
    old_links: list[OldLink] = Field(default_factory=list, description="rule.user.old_links")
    engine: Annotated[Literal["", "mtg", "telemt", "builtin", "mtproxy"], Typed(group="details")] = Field(
        default="", description="rule.user.engine")
    mtproxy_container: Whole = Field(default=0, ge=0, le=65535, description="rule.user.mtproxy_container")
    tags: Annotated[Tags, Typed(group="details", kind="text")] = Field(
        default_factory=list, description="rule.user.tags")
    note: Annotated[Text, Typed(group="details")] = Field(default="", max_length=1000, description="rule.user.note")
    share_token: Text = Field(default="", pattern=r"^([A-Za-z0-9_-]{22})?$", repr=False,
                              description="rule.user.share_token")
    created_at: Moment = Field(default_factory=now, description="rule.time")

    @model_validator(mode="before")
    @classmethod
    def _no_other_domain(cls, data: Any) -> Any:
        """What stands beside a secret that has a domain is neither needed nor checked."""
        return {key: value for key, value in data.items() if key != "fake_tls_domain"} if _domain_in(data) else data

    @model_validator(mode="after")
    def _domain_of_the_secret(self) -> Self:
        """As it stands, odd or not: it is part of links that people have, and they work."""
        secret = Secret.parse(self.secret)
        if secret.domain:
            self.fake_tls_domain = secret.domain
        return self


class DeletedUser(User):
    """A user who was deleted and can be restored for a while, as they were."""

    deleted_at: Moment = Field(description="rule.time")


class Plan(_Part):
    """A set of limits with a name. What a user of it leaves empty is as the plan says; what the plan leaves empty, too,
    as the settings say.

    expires_after_days: of a user who is added with the plan and without an expiry.
    """

    id: Text = Field(default="", pattern=r"^[0-9a-z-]{1,32}$", description="rule.user.id")
    name: Annotated[Name, Typed(group="who")] = Field(description="rule.name")
    traffic_limit_gb: LimitGb = Field(default=0, description="rule.user.traffic_limit_gb")
    at_limit: AtLimit = Field(default="", description="rule.user.at_limit")
    throttle_speed_mbps: SpeedMbps = Field(default=0, description="rule.user.throttle_speed_mbps")
    max_unique_ips: MaxUniqueIps = Field(default=0, description="rule.user.max_unique_ips")
    reset_cycle: ResetCycle = Field(default="", description="rule.user.reset_cycle")
    expires_after_days: Days = Field(default=0, description="rule.plan.expires_after_days")


class Leftover(_Part):
    """A value that was not understood when this version took the file over, and that nothing uses.

    field: of the settings, or of the user with the id `user`. value: as it stood there.
    """

    field: Text = Field(default="", description="rule.leftover.field")
    user: Text = Field(default="", description="rule.leftover.user")
    value: Any = Field(default=None, repr=False, description="rule.leftover.value")
    reason: Text = Field(default="", description="rule.leftover.reason")


#: What an admin may do: everything; users, but neither settings nor admins; look at states and traffic.
Role = Literal["owner", "operator", "viewer"]
ROLES: tuple[Role, ...] = get_args(Role)


class Admin(_Part):
    """A person who logs in to the panel, beside the first one (`admin_username`), who is an owner.

    sudo: how older versions say that somebody is an owner. Written for them, too, so that a way back to one of them
    makes nobody less; of a file in which the two differ, the lesser right counts.
    """

    username: Name = Field(description="rule.name")
    password_hash: Text = Field(repr=False, description="rule.hash")
    role: Role = Field(default="operator", description="rule.admin.role")
    sudo: bool = Field(default=False, description="rule.admin.sudo")
    created_at: Moment = Field(default_factory=now, description="rule.time")

    @model_validator(mode="after")
    def _sudo_means_owner(self) -> Self:
        if "role" not in self.model_fields_set:
            self.role = "owner" if self.sudo else "operator"
        elif "sudo" in self.model_fields_set and not self.sudo and self.role == "owner":
            self.role = "operator"
        self.sudo = self.role == "owner"
        return self

    @model_serializer(mode="wrap")
    def _without_no_sudo(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Whoever makes an operator an owner by hand changes the role, and nothing stands beside it that says no."""
        return {key: value for key, value in dump(self).items() if key != "sudo" or value}

    @property
    def manages_users(self) -> bool:
        """Whether this admin may change users, and see what lets somebody in: secrets, links, addresses of pages."""
        return self.role != "viewer"

    def with_role(self, role: Role) -> Admin:
        return self.model_copy(update={"role": role, "sudo": role == "owner"})


#: What a program may do with a token, at most: look; change users; all that its admin may.
Scope = Literal["read", "users", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class ApiToken(_Part):
    """A key of a program that uses the API for an admin. The key itself is kept nowhere."""

    id: Text = Field(pattern=r"^[0-9a-z-]{1,32}$", description="rule.user.id")
    name: Name = Field(description="rule.name")
    token_hash: Text = Field(repr=False, pattern=r"^[0-9a-f]{64}$", description="rule.token.hash")
    admin: Name = Field(description="rule.token.admin")
    scope: Scope = Field(default="read", description="rule.token.scope")
    expires_at: Expiry = Field(default=None, description="rule.user.expires_at")
    created_at: Moment = Field(default_factory=now, description="rule.time")


class Config(_Part):
    """The whole declaration: data/config.json."""

    admin_username: Name = Field(default="admin", description="rule.name")
    admin_password_hash: Text = Field(default="", repr=False, description="rule.hash")
    initial_password: Text | None = Field(
        default=None, alias="_initial_password", repr=False,
        description="rule.initial_password")
    admin_password_initial: bool = Field(default=False, description="rule.admin_password_initial")
    admins: list[Admin] = Field(default_factory=list, description="rule.admins")
    second_factors: list[SecondFactors] = Field(default_factory=list, repr=False, description="rule.second_factors")
    api_tokens: list[ApiToken] = Field(default_factory=list, repr=False, description="rule.api_tokens")
    secret_key: Text = Field(default="", repr=False, description="rule.secret_key")
    server_domain: Annotated[Host, Typed()] = Field(default="", description="rule.host")
    server_ip: Annotated[Address, Typed()] = Field(default="", description="rule.address")
    proxy_port: Annotated[Port, Typed()] = Field(default=portmap.FIRST_PROXY, description="rule.port")
    public_port: Annotated[PublicPort, Typed()] = Field(default=0, description="rule.public_port")
    proxy_bind: Annotated[BindAddress, Typed()] = Field(default="", description="rule.proxy_bind")
    engine: Annotated[Literal["", "mtg", "telemt", "builtin", "mtproxy"], Typed()] = Field(
        default="", description="rule.engine")
    move_changes_links: Annotated[bool, Typed()] = Field(default=False, description="rule.move_changes_links")
    proxy_image: Annotated[Image, Typed()] = Field(default="mtg-custom", description="rule.image")
    proxy_tag: Annotated[Text, Typed()] = Field(default="", description="rule.proxy_tag")
    proxy_concurrency: Annotated[Whole, Field(ge=64, le=1_000_000), Typed()] = Field(
        default=4096, description="rule.proxy_concurrency")
    proxy_anti_replay: Annotated[bool, Typed()] = Field(default=True, description="rule.proxy_anti_replay")
    proxy_blocklist: Annotated[bool, Typed()] = Field(default=False, description="rule.proxy_blocklist")
    proxy_dns: Annotated[Dns, Typed()] = Field(default="", description="rule.dns")
    proxy_memory_mb: Annotated[Whole, Field(ge=64, le=1_000_000), Typed(unit="MB")] = Field(
        default=256, description="rule.proxy_memory_mb")
    telemt_image: Annotated[Image, Typed()] = Field(
        default="ghcr.io/telemt/telemt:3.4.25", description="rule.telemt_image")
    telemt_memory_mb: Annotated[Whole, Field(ge=64, le=1_000_000), Typed(unit="MB")] = Field(
        default=512, description="rule.telemt_memory_mb")
    shared_port: Annotated[Port, Typed()] = Field(default=portmap.SHARED_PROXY, description="rule.shared_port")
    mtproxy_docker_image: Annotated[Image, Typed()] = Field(default="mtproxy", description="rule.mtproxy_docker_image")
    mtproxy_first_port: Annotated[Port, Typed()] = Field(default=portmap.MTPROXY, description="rule.mtproxy_first_port")
    mtproxy_workers: Annotated[Whole, Field(ge=0, le=8), Typed()] = Field(
        default=1, description="rule.mtproxy_workers")
    mtproxy_connections: Annotated[Whole, Field(ge=64, le=60_000), Typed()] = Field(
        default=10_000, description="rule.mtproxy_connections")
    mtproxy_limit_mb: Annotated[Whole, Field(ge=64, le=1_000_000), Typed(unit="MB")] = Field(
        default=512, description="rule.mtproxy_limit_mb")
    new_to_mtproxy_per_minute: Annotated[Whole, Field(ge=0, le=100_000), Typed()] = Field(
        default=10, description="rule.new_per_minute")
    mtproxy_files_url: Annotated[WebUrl, Typed()] = Field(
        default="https://core.telegram.org", description="rule.mtproxy_files_url")
    proxy_prefer_ip: Annotated[PreferIp, Typed()] = Field(default="prefer-ipv4", description="rule.proxy_prefer_ip")
    fake_tls_domain: Annotated[Domain, Typed()] = Field(
        default="www.cloudflare.com", description="rule.fake_tls_domain")
    stats_enabled: bool = Field(default=True, description="rule.flag")
    monitor_seconds: Annotated[Whole, Field(ge=1, le=3600), Typed(unit="s")] = Field(
        default=10, description="rule.monitor_seconds")
    traffic_limit_gb: Annotated[Limit, Field(ge=0, le=1e6), Typed(unit="GB")] = Field(
        default=0, description="rule.traffic_limit_gb")
    at_limit: Annotated[Literal["throttle", "block"], Typed()] = Field(default="throttle", description="rule.at_limit")
    max_unique_ips: Annotated[Whole, Field(ge=0, le=1_000_000), Typed()] = Field(
        default=0, description="rule.max_unique_ips")
    reset_cycle: Annotated[Cycle, Typed(kind="choice")] = Field(default="never", description="rule.cycle")
    throttle_speed_mbps: Annotated[Number, Field(gt=0, le=1e5), Typed(unit="Mbit/s")] = Field(
        default=1, description="rule.throttle_speed_mbps")
    port_443_mode: Annotated[bool, Typed()] = Field(default=False, description="rule.port_443_mode")
    panel_domain: Annotated[DomainOrEmpty, Typed()] = Field(default="", description="rule.panel_domain")
    panel_by_address: Annotated[bool, Typed()] = Field(default=False, description="rule.panel_by_address")
    panel_path: Annotated[PanelPath, Typed()] = Field(default="", repr=False, description="rule.panel_path")
    share_hostname: Annotated[DomainOrEmpty, Typed()] = Field(default="", description="rule.share_hostname")
    share_renew: Annotated[bool, Typed()] = Field(default=False, description="rule.share_renew")
    panel_hosts: Annotated[Domains, Typed()] = Field(default_factory=list, description="rule.panel_hosts")
    sni_mode: Annotated[Literal["pool", "own"], Typed()] = Field(default="pool", description="rule.sni_mode")
    domain_pool: Annotated[Domains, Typed()] = Field(
        default_factory=lambda: list(DOMAIN_POOL), description="rule.domain_pool")
    sni_base_domain: Annotated[BaseDomain, Typed()] = Field(default="", description="rule.sni_base_domain")
    unknown_sni: Annotated[Literal["cover", "reject", "close", "panel"], Typed()] = Field(
        default="cover", description="rule.unknown_sni")
    cover_site: Annotated[Literal["builtin", "folder", "proxy"], Typed()] = Field(
        default="builtin", description="rule.cover_site")
    cover_url: Annotated[HttpsSite, Typed()] = Field(default="", description="rule.cover_url")
    domain_grace_days: Annotated[Whole, Field(ge=0, le=365), Typed(unit="days")] = Field(
        default=7, description="rule.domain_grace_days")
    mtg_timing: Annotated[Literal["cover", "urls", "default"], Typed()] = Field(
        default="cover", description="rule.mtg_timing")
    mtg_timing_urls: Annotated[HttpsUrls, Typed()] = Field(default_factory=list, description="rule.mtg_timing_urls")
    nginx_worker_hours: Annotated[Whole, Field(ge=1, le=720), Typed(unit="hours")] = Field(
        default=6, description="rule.nginx_worker_hours")
    nginx_connections_per_address: Annotated[Whole, Field(ge=16, le=8192), Typed()] = Field(
        default=1024, description="rule.nginx_connections_per_address")
    bans: Annotated[bool, Typed()] = Field(default=False, description="rule.bans")
    ban_after: Annotated[Whole, Field(ge=2, le=1000), Typed()] = Field(default=5, description="rule.ban_after")
    ban_window: Annotated[Whole, Field(ge=1, le=1440), Typed(unit="minutes")] = Field(
        default=10, description="rule.ban_window")
    ban_length: Annotated[Whole, Field(ge=1, le=525_600), Typed(unit="minutes")] = Field(
        default=60, description="rule.ban_length")
    ban_never: Annotated[Networks, Typed()] = Field(default_factory=list, description="rule.ban_never")
    acme_directory: Annotated[HttpsUrl, Typed()] = Field(default="", description="rule.acme_directory")
    acme_email: Annotated[Email, Typed()] = Field(default="", description="rule.acme_email")
    backup_schedule: Annotated[Literal["off", "daily", "weekly"], Typed()] = Field(
        default="daily", description="rule.backup_schedule")
    backup_keep: Annotated[Whole, Field(ge=1, le=365), Typed()] = Field(default=7, description="rule.backup_keep")
    backup_recipient: Annotated[Recipient, Typed()] = Field(default="", description="rule.backup_recipient")
    new_per_minute: Annotated[Whole, Field(ge=0, le=100_000), Typed()] = Field(
        default=0, description="rule.new_per_minute")
    helper_url: Annotated[WebUrl, Typed()] = Field(default="", description="rule.helper_url")
    upstream_socks5: Annotated[Socks5, Typed()] = Field(default="", repr=False, description="rule.upstream_socks5")
    domain_fronting_ip: Annotated[Address, Typed()] = Field(default="", description="rule.address")
    domain_fronting_port: Annotated[Port, Typed()] = Field(default=443, description="rule.port")
    runtime: Literal["auto", "docker", "process"] = Field(default="auto", description="rule.runtime")
    proxies_stopped: bool = Field(default=False, description="rule.proxies_stopped")
    first_run: bool = Field(default=False, description="rule.flag")
    notifications: list[Channel] = Field(default_factory=list, repr=False, description="rule.notifications")
    plans: list[Plan] = Field(default_factory=list, description="rule.plans")
    users: list[User] = Field(default_factory=list, description="rule.users")
    deleted_users: list[DeletedUser] = Field(default_factory=list, repr=False, description="rule.deleted_users")

    not_understood: list[Leftover] = Field(
        default_factory=list, alias="_not_understood", repr=False,
        description="rule.not_understood")

    @model_validator(mode="before")
    @classmethod
    def _complete_old_users(cls, data: Any) -> Any:
        return older.completed(data, new_id) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _nobody_shares(self) -> Self:
        for (value, first), second in _shared([(u.id, u.name) for u in self.users]):
            raise InvalidValue("config.shared_id", first=first, second=second, value=value)
        for (value, first), second in _shared([(u.port, u.name) for u in self.users]):
            raise InvalidValue("config.shared_port", first=first, second=second, value=value)
        for (value, first), second in _shared([(c.id, c.name) for c in self.notifications]):
            raise InvalidValue("config.shared_channel", first=first, second=second, value=value)
        for (value, first), second in _shared([(p.id, p.name) for p in self.plans]):
            raise InvalidValue("config.shared_id", first=first, second=second, value=value)
        for (_, first), second in _shared([(p.name.casefold(), p.name) for p in self.plans]):
            raise InvalidValue("config.shared_plan", first=first, second=second)
        for (name, _), _ in _shared([(name, name) for name in
                                     (self.admin_username, *(a.username for a in self.admins))]):
            raise InvalidValue("config.shared_admin", name=name)
        return self

    @model_validator(mode="after")
    def _mtproxy_containers(self) -> Self:
        containers.settle(self.users, self.engine, self.mtproxy_first_port, self.shared_port)
        return self

    def plan_of(self, user: User) -> Plan | None:
        """None for a user without one, or with one that nobody has declared."""
        return next((plan for plan in self.plans if plan.name == user.plan), None) if user.plan else None

    def is_own_name(self, domain: str) -> bool:
        """Whether it is sni_base_domain or a name under it: its visitors see this server's own cover site."""
        base = self.sni_base_domain
        return bool(base) and (domain == base or domain.endswith(f".{base}"))

    def problems(self) -> list[Problem]:
        """What was left out of an older file."""
        return [Problem("config.left_out", {"reason": old.reason}) for old in self.not_understood]

    def notes(self) -> list[Problem]:
        """What works, but is odd: domains of secrets that no site can have, and plans that are not there."""
        found = []
        plans = {"", *(plan.name for plan in self.plans)}
        for user in self.users:
            if user.plan not in plans:
                found.append(Problem("config.unknown_plan", {"name": user.name, "plan": user.plan}))
            try:
                valid_domain(user.fake_tls_domain or "www.example.com")
            except SecretError as error:
                found.append(Problem("config.odd_domain", {"name": user.name, "reason": error}))
        return found

    def settle(self, field: str, user: str = "") -> None:
        """A person has set this field of the settings, or of this user (id): what was left out is history."""
        self.not_understood = [old for old in self.not_understood if (old.field, old.user) != (field, user)]


#: Settings that this version acts on; the others are kept for the installation they came from.
SETTINGS = tuple(fields(Config))


def new_id(taken: set[str]) -> str:
    """A random id of 8 hex digits that is not in `taken`."""
    while True:
        candidate = secrets.token_hex(4)
        # All digits would read like a number, and like a name that people do use.
        if candidate not in taken and not candidate.isdigit():
            return candidate


def unknown_setting(key: str) -> Problem:
    """Why this can't be set."""
    return Problem("setting.fixed" if key in Config.model_fields else "setting.unknown",
                   {"name": key, "settings": SETTINGS}, key)


def load(data: Any, forgiving: bool = False) -> Config:
    """Turn parsed JSON into a Config. Raises InvalidConfig.

    forgiving: for a file that this version has never saved. What is not understood of what older versions wrote
    becomes a Leftover then, and only a file that is no declaration at all is refused.
    """
    if not isinstance(data, dict):
        raise InvalidConfig("config.kind", kind=kind_of(data))
    try:
        lists: dict[str, type[BaseModel]] = {"users": User, "admins": Admin, "plans": Plan,
                                             "deleted_users": DeletedUser, "notifications": Channel}
        return older.take_over(data, Config, lists, _problem, new_id) if forgiving else Config.model_validate(data)
    except ValidationError as error:
        raise InvalidConfig.of(_problem(e, data) for e in error.errors()) from None


def dump(config: Config) -> dict[str, Any]:
    """The JSON form of a Config; load(dump(c)) == c."""
    # No warnings: a value as typed may stand in a field until load() has read it.
    data = config.model_dump(mode="json", by_alias=True, warnings=False)
    for unused in ("_initial_password", "_not_understood"):
        if not data[unused]:
            del data[unused]
    return data


def _problem(error: Any, data: Any) -> Problem:
    return problem(error, data, {"": Config, "users": User, "admins": Admin, "plans": Plan,
                                 "deleted_users": DeletedUser, "old_links": OldLink, "api_tokens": ApiToken,
                                 "notifications": Channel,
                                 "_not_understood": Leftover})


def _domain_in(data: Any) -> str:
    """The domain of the secret in a user as read; "" without one."""
    try:
        return Secret.parse(data["secret"]).domain
    except (KeyError, TypeError, AttributeError, SecretError):
        return ""


def _shared(pairs: Iterable[tuple[Any, str]]) -> Iterator[tuple[tuple[Any, str], str]]:
    """((value, who has it), who has it too) for each value that is there twice."""
    owner: dict[Any, str] = {}
    for value, name in pairs:
        if value in owner:
            yield (value, owner[value]), name
        owner[value] = name
