"""What the operator declares: fields, units, defaults, and the rules that need no I/O.

A field's `description` says what is allowed; it is also what a person reads
when a value is refused, and what the README's table is checked against.
Names are those of the installations that came before, so their files load.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.config import older
from app.config.values import (CYCLE_RULE, DNS_RULE, HOST_RULE, IMAGE_RULE, IP_RULE, LIMIT_RULE, NAME_RULE,
                               PORT_RULE, PREFER_IP, SPEED_RULE, TIME_RULE, Address, BaseDomain, BindAddress,
                               Cycle, Dns, Domain, DomainOrEmpty, Domains, Email, Expiry, Host, HttpsSite,
                               HttpsUrl, HttpsUrls, Image, Limit, Moment, Name, Number, OwnCycle, Port, PreferIp,
                               PublicPort, SecretText, Socks5, Text, Whole, now)
from app.config.validation_messages import kind_of, sentence
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


class InvalidConfig(ValueError):
    """The declaration breaks a rule. One line per broken rule: field, value, what is allowed."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=False, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, data: Any) -> Any:
        """A field that null means nothing for may as well not be there: other programs write it so."""
        if not isinstance(data, dict):
            return data
        nothing = {f.alias or name for name, f in cls.model_fields.items()
                   if type(None) not in get_args(f.annotation) and not f.is_required()}
        return {key: value for key, value in data.items() if value is not None or key not in nothing}

    @model_validator(mode="after")
    def _no_misspelt_field(self) -> Self:
        for _, reason in older.misspelt(self.model_extra or {}, type(self)):
            raise ValueError(reason)
        return self


class OldLink(_Part):
    """A link that a user had before their domain was changed, and that still works for a while."""

    secret: SecretText = Field(repr=False, description="the secret of the old link")
    replaced_at: Moment = Field(description=TIME_RULE)
    until: Moment = Field(description=TIME_RULE)

    @property
    def domain(self) -> str:
        return Secret.parse(self.secret).domain


class User(_Part):
    """A person with a proxy link."""

    id: Text = Field(default="", pattern=r"^[0-9a-z-]{1,32}$",
                     description="1 to 32 of 0-9, a-z and -; made by the panel, never changed")
    name: Name = Field(description=NAME_RULE)
    secret: SecretText = Field(
        repr=False, description="a proxy secret: ee + 32 hex digits + the domain in hex (or base64url), "
                                "dd + 32 hex digits, or 32 hex digits")
    port: Port = Field(description=PORT_RULE)
    public_port: PublicPort = Field(
        default=0, description="the port in the link, from 1 to 65535; 0 means as the setting public_port says")
    enabled: bool = Field(default=True, description="true or false")
    fake_tls_domain: DomainOrEmpty = Field(
        default="", description="a host name; it is part of an ee secret, and the secret decides")
    traffic_limit_gb: Annotated[Number, Field(ge=0, le=1e6)] | None = Field(
        default=0, description=f"{LIMIT_RULE} the global limit, null means none")
    throttle_speed_mbps: Annotated[Number, Field(ge=0, le=1e5)] | None = Field(
        default=0, description=f"{SPEED_RULE} the global speed, null means not slowed down")
    at_limit: Literal["", "throttle", "block"] = Field(
        default="", description="throttle, block, or empty for the global one")
    reset_cycle: OwnCycle = Field(default="", description=CYCLE_RULE + "; or empty for the global one")
    expires_at: Expiry = Field(
        default=None, description=TIME_RULE + ", or null for never")
    expires_after_days: Annotated[Whole, Field(ge=0, le=36500)] = Field(
        default=0, description="days from the first use to the expiry, a whole number from 0 to 36,500; 0 "
                               "means no such clock; when it starts, the panel sets expires_at instead")
    old_links: list[OldLink] = Field(default_factory=list, description="a list of old links; kept by the panel")
    note: Text = Field(default="", max_length=1000, description="any text of up to 1,000 characters")
    created_at: Moment = Field(default_factory=now, description=TIME_RULE)

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


class Leftover(_Part):
    """A value that was not understood when this version took the file over, and that nothing uses.

    field: of the settings, or of the user with the id `user`. value: as it stood there.
    """

    field: Text = Field(default="", description="the field's name")
    user: Text = Field(default="", description="the user's id, or empty")
    value: Any = Field(default=None, repr=False, description="the value as it was")
    reason: Text = Field(default="", description="what was wrong with it")


class Admin(_Part):
    """A person who logs in to the panel, beside the first one (`admin_username`)."""

    username: Name = Field(description=NAME_RULE)
    password_hash: Text = Field(repr=False, description="a hash made by the panel")
    sudo: bool = Field(default=False, description="true for an admin who may change settings and admins")
    created_at: Moment = Field(default_factory=now, description=TIME_RULE)


class Config(_Part):
    """The whole declaration: data/config.json."""

    admin_username: Name = Field(default="admin", description=NAME_RULE)
    admin_password_hash: Text = Field(default="", repr=False, description="a hash made by the panel")
    initial_password: Text | None = Field(
        default=None, alias="_initial_password", repr=False,
        description="the first password, removed at the first login")
    admin_password_initial: bool = Field(
        default=False, description="true or false: whether the first admin still has the first password, which was "
                                   "shown in a terminal; the panel then asks for another one")
    admins: list[Admin] = Field(default_factory=list, description="a list of admins")
    secret_key: Text = Field(default="", repr=False, description="the key that signs sessions")
    server_domain: Host = Field(default="", description=HOST_RULE)
    server_ip: Address = Field(default="", description=IP_RULE)
    proxy_port: Port = Field(default=2443, description=PORT_RULE)
    public_port: PublicPort = Field(
        default=0, description="the port in everybody's links, from 1 to 65535; 0 means the port listened on")
    proxy_bind: BindAddress = Field(
        default="", description="an IP address of this machine; empty means all of them")
    proxy_image: Image = Field(default="mtg-custom", description=IMAGE_RULE)
    proxy_tag: Text = Field(
        default="", description="an advertising tag, or empty; mtg 2 and the built-in engine don't use it")
    proxy_concurrency: Annotated[Whole, Field(ge=64, le=1_000_000)] = Field(
        default=4096, description="connections at a time for each user, a whole number from 64 to 1,000,000 "
                                  "(a telephone opens up to 8)")
    proxy_anti_replay: bool = Field(
        default=True, description="true or false: whether a handshake that was seen before is turned away")
    proxy_blocklist: bool = Field(
        default=False, description="true or false: whether mtg turns away the addresses of firehol_level1; "
                                   "private ones are among them, so people in this server's own network are "
                                   "turned away too")
    proxy_dns: Dns = Field(default="", description=DNS_RULE)
    proxy_memory_mb: Annotated[Whole, Field(ge=64, le=1_000_000)] = Field(
        default=256, description="MB (1024^2 bytes) of memory for each user's container or process of the "
                                 "built-in engine, a whole number from 64 to 1,000,000; what needs more is restarted")
    proxy_prefer_ip: PreferIp = Field(
        default="prefer-ipv4", description=", ".join(PREFER_IP[:-1]) + " or " + PREFER_IP[-1])
    fake_tls_domain: Domain = Field(
        default="www.cloudflare.com", description="a host name such as www.example.com")
    stats_enabled: bool = Field(default=True, description="true or false")
    monitor_seconds: Annotated[Whole, Field(ge=1, le=3600)] = Field(
        default=10, description="seconds between two looks at the proxies and their counters, a whole number "
                                "from 1 to 3,600")
    traffic_limit_gb: Annotated[Limit, Field(ge=0, le=1e6)] = Field(
        default=0, description=f"{LIMIT_RULE} no limit")
    at_limit: Literal["throttle", "block"] = Field(default="throttle", description="throttle or block")
    reset_cycle: Cycle = Field(default="never", description=CYCLE_RULE)
    throttle_speed_mbps: Annotated[Number, Field(gt=0, le=1e5)] = Field(
        default=1, description="Mbit/s (10^6 bits per second), more than 0 and up to 100,000")
    port_443_mode: bool = Field(
        default=False, description="true or false: whether all users are reached on port 443, told apart by "
                                   "their domain; needs the nginx of docker-compose.yml")
    panel_domain: DomainOrEmpty = Field(
        default="", description="the host name under which nginx serves this panel by HTTPS, or empty; no user "
                                "can have it")
    panel_hosts: Domains = Field(
        default_factory=list, description="host names with spaces between them, or empty: other names under which "
                                          "this panel is asked for by plain HTTP, as behind a reverse proxy of yours")
    sni_mode: Literal["pool", "own"] = Field(
        default="pool", description="pool (a well-known domain of domain_pool for each new user) or own (a random "
                                    "name under sni_base_domain)")
    domain_pool: Domains = Field(
        default_factory=lambda: list(DOMAIN_POOL),
        description="host names with spaces between them: the domains that new users get")
    sni_base_domain: BaseDomain = Field(
        default="", description="a domain of yours, such as example.com, whose names (*.example.com) lead to this "
                                "server; or empty")
    unknown_sni: Literal["cover", "reject", "close", "panel"] = Field(
        default="cover", description="cover (the cover site, where it has a certificate), reject (a TLS alert), close "
                                     "(the connection), or panel (this panel): what a name that nobody has gets")
    cover_site: Literal["builtin", "folder", "proxy"] = Field(
        default="builtin", description="builtin (a neutral page), folder (the files in data/nginx/cover) or proxy (the "
                                       "site that cover_url names): what a visitor of sni_base_domain sees")
    cover_url: HttpsSite = Field(
        default="", description="https:// and a host name, without a path, or empty: the site that cover_site proxy "
                                "shows")
    domain_grace_days: Annotated[Whole, Field(ge=0, le=365)] = Field(
        default=7, description="days for which the old link still works on port 443 after a user's domain was "
                               "changed, a whole number from 0 to 365")
    mtg_timing: Literal["cover", "urls", "default"] = Field(
        default="cover", description="cover (a file on this server's nginx), urls (those of mtg_timing_urls) or "
                                     "default (mtg's own, which is slow): where mtg learns how fast a real site sends")
    mtg_timing_urls: HttpsUrls = Field(
        default_factory=list, description="https addresses of large files with spaces between them, or empty")
    nginx_worker_hours: Annotated[Whole, Field(ge=1, le=720)] = Field(
        default=6, description="hours, a whole number from 1 to 720, after which nginx ends connections that are "
                               "older than its last reload; more keeps more old nginx processes in memory")
    nginx_connections_per_address: Annotated[Whole, Field(ge=16, le=8192)] = Field(
        default=1024, description="connections at a time on port 443 from one address (or IPv6 /64), a whole number "
                                  "from 16 to 8,192; a telephone opens up to 8, and a provider may show thousands of "
                                  "people with one address")
    acme_directory: HttpsUrl = Field(
        default="", description="the https address of an ACME directory, or empty for Let's Encrypt")
    acme_email: Email = Field(
        default="", description="an e-mail address for the certificate authority, or empty")
    upstream_socks5: Socks5 = Field(
        default="", repr=False, description="host:port or user:password@host:port, or empty")
    domain_fronting_ip: Address = Field(default="", description=IP_RULE)
    domain_fronting_port: Port = Field(default=443, description=PORT_RULE)
    runtime: Literal["auto", "docker", "process"] = Field(
        default="auto", description="auto, docker or process; auto is replaced at the first start by what was found")
    proxies_stopped: bool = Field(
        default=False, description="true or false: whether all proxies are stopped, whoever is enabled")
    users: list[User] = Field(default_factory=list, description="a list of users")

    not_understood: list[Leftover] = Field(
        default_factory=list, alias="_not_understood", repr=False,
        description="values of an older file that were not understood; kept by the panel, may be deleted")

    @model_validator(mode="before")
    @classmethod
    def _complete_old_users(cls, data: Any) -> Any:
        return older.completed(data, new_id) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _nobody_shares(self) -> Self:
        _refuse_shared("id", [(u.id, u.name) for u in self.users])
        _refuse_shared("port", [(u.port, u.name) for u in self.users])
        names = [self.admin_username, *(a.username for a in self.admins)]
        _refuse_shared("admin name", [(n, n) for n in names])
        return self

    def is_own_name(self, domain: str) -> bool:
        """Whether it is sni_base_domain or a name under it: its visitors see this server's own cover site."""
        base = self.sni_base_domain
        return bool(base) and (domain == base or domain.endswith(f".{base}"))

    def problems(self) -> list[str]:
        """What was left out of an older file, for people."""
        return [f"config.json: {old.reason}. This value is not used; it stands under _not_understood until the field "
                "is set, or the entry deleted" for old in self.not_understood]

    def notes(self) -> list[str]:
        """What works, but is odd: domains of secrets that no site can have."""
        found = []
        for user in self.users:
            try:
                valid_domain(user.fake_tls_domain or "www.example.com")
            except SecretError as error:
                found.append(f"user {user.name!r}: the domain in the secret is odd: {error}. The link stays as it "
                             "is; change the user's domain for another one")
        return found

    def settle(self, field: str, user: str = "") -> None:
        """A person has set this field of the settings, or of this user (id): what was left out is history."""
        self.not_understood = [old for old in self.not_understood if (old.field, old.user) != (field, user)]


#: Settings that this version acts on; the others are kept for the installation they came from.
SETTINGS = ("server_domain", "server_ip", "proxy_port", "public_port", "proxy_bind", "proxy_image", "proxy_tag",
            "proxy_prefer_ip", "proxy_concurrency", "proxy_anti_replay", "proxy_blocklist", "proxy_dns",
            "proxy_memory_mb", "fake_tls_domain", "traffic_limit_gb", "throttle_speed_mbps", "at_limit",
            "reset_cycle", "monitor_seconds", "upstream_socks5", "domain_fronting_ip", "domain_fronting_port",
            "panel_hosts", "port_443_mode", "panel_domain", "sni_mode", "domain_pool", "sni_base_domain", "unknown_sni",
            "cover_site", "cover_url", "domain_grace_days", "mtg_timing", "mtg_timing_urls",
            "nginx_worker_hours", "nginx_connections_per_address", "acme_directory", "acme_email")


def new_id(taken: set[str]) -> str:
    """A random id of 8 hex digits that is not in `taken`."""
    while True:
        candidate = secrets.token_hex(4)
        # All digits would read like a number, and like a name that people do use.
        if candidate not in taken and not candidate.isdigit():
            return candidate


def unknown_setting(key: str) -> str:
    """Why this can't be set, for people."""
    why = f"{key} can't be set in this version" if key in Config.model_fields else f"there is no setting {key!r}"
    return f"{why}; settings are: {', '.join(SETTINGS)}"


def load(data: Any, forgiving: bool = False) -> Config:
    """Turn parsed JSON into a Config. Raises InvalidConfig.

    forgiving: for a file that this version has never saved. What is not understood of what older versions wrote
    becomes a Leftover then, and only a file that is no declaration at all is refused.
    """
    if not isinstance(data, dict):
        raise InvalidConfig(f"the file holds {kind_of(data)}; an object {{…}} is expected")
    try:
        return older.take_over(data, Config, {"users": User, "admins": Admin}, _sentence, new_id) if forgiving else \
            Config.model_validate(data)
    except ValidationError as error:
        raise InvalidConfig("\n".join(_sentence(e, data) for e in error.errors())) from None


def dump(config: Config) -> dict[str, Any]:
    """The JSON form of a Config; load(dump(c)) == c."""
    # No warnings: a value as typed may stand in a field until load() has read it.
    data = config.model_dump(mode="json", by_alias=True, warnings=False)
    for unused in ("_initial_password", "_not_understood"):
        if not data[unused]:
            del data[unused]
    return data


def _sentence(error: Any, data: Any) -> str:
    return sentence(error, data, {"": Config, "users": User, "admins": Admin, "old_links": OldLink,
                                  "_not_understood": Leftover})


def _domain_in(data: Any) -> str:
    """The domain of the secret in a user as read; "" without one."""
    try:
        return Secret.parse(data["secret"]).domain
    except (KeyError, TypeError, AttributeError, SecretError):
        return ""


def _refuse_shared(what: str, pairs: list[tuple[Any, str]]) -> None:
    owner: dict[Any, str] = {}
    for value, name in pairs:
        if value in owner:
            raise ValueError(f"users {owner[value]!r} and {name!r} both have the {what} {value}"
                             if what != "admin name" else f"two admins are called {value!r}")
        owner[value] = name
