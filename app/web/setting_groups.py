"""The pages of the settings: which groups there are, what stands in each, and what may be chosen."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flask_babel import LazyString, lazy_gettext


@dataclass(frozen=True)
class Section:
    """A card of a page. keys: the settings on it, in their order. above, below: templates of what else stands there."""

    title: LazyString | str
    keys: tuple[str, ...]
    about: LazyString | str = ""
    above: str = ""
    below: str = ""


@dataclass(frozen=True)
class Group:
    """A page. name: as its address ends. notes, after: templates before the form, and below it."""

    name: str
    title: LazyString | str
    about: LazyString
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Every setting on it."""
        return tuple(key for section in self.sections for key in section.keys)


@dataclass(frozen=True)
class Option:
    """One of several. traits: what is good and bad about it. inside: settings that belong to this choice alone."""

    value: str
    title: LazyString | str
    text: LazyString | str = ""
    recommended: bool = False
    traits: tuple[tuple[LazyString, LazyString], ...] = ()
    inside: tuple[str, ...] = ()


GROUPS = (
    Group("general", lazy_gettext("General"), lazy_gettext("Where Telegram apps find this server."), (
        Section(lazy_gettext("Address in links"), ("server_domain", "server_ip", "public_port"),
                below="settings/_server_note.html"),
    ), after=("settings/_language.html", "settings/_version.html")),
    Group("panel", lazy_gettext("Panel and users' pages"), lazy_gettext("Under which addresses they are found."), (
        Section(lazy_gettext("This panel"), ("panel_domain", "panel_by_address", "panel_path", "panel_hosts"),
                below="settings/_by_address.html"),
        Section(lazy_gettext("Pages of users"), ("share_hostname", "share_renew")),
    )),
    Group("links", lazy_gettext("Links and disguise"), lazy_gettext("Which web sites the connections look like."), (
        Section(lazy_gettext("Domains"), ("sni_mode", "sni_base_domain", "domain_pool", "fake_tls_domain",
                                          "domain_grace_days")),
        Section(lazy_gettext("Strangers"), ("domain_fronting_ip", "domain_fronting_port", "proxy_anti_replay"),
                lazy_gettext("Whoever connects without a secret is passed on to the site that the link names.")),
    )),
    Group("limits", lazy_gettext("Limits and traffic"),
          lazy_gettext("For users who have no other ones, and no plan that has."), (
        Section(lazy_gettext("Traffic"), ("traffic_limit_gb", "at_limit", "throttle_speed_mbps", "reset_cycle"),
                below="settings/_plans.html"),
        Section(lazy_gettext("Devices"), ("max_unique_ips",)),
    )),
    Group("port-443", lazy_gettext("Port 443 and certificates"), lazy_gettext(
        "Web sites use port 443, so a proxy is least noticeable there, and this port is blocked last."), (
        Section(lazy_gettext("Port 443"), ("port_443_mode",), above="settings/_port_443.html"),
        Section(lazy_gettext("Other visitors"), ("unknown_sni", "cover_site", "cover_url")),
        Section(lazy_gettext("Connections"), ("nginx_worker_hours", "nginx_connections_per_address")),
        Section(lazy_gettext("Certificates"), ("acme_directory", "acme_email"), above="settings/_certificates.html"),
    ), notes=("settings/_no_edge.html",)),
    Group("engines", lazy_gettext("Engines"), lazy_gettext("The programs that serve the links."), (
        Section(lazy_gettext("Engine"), ("engine", "move_changes_links"), below="settings/_compare.html"),
        Section(lazy_gettext("Each proxy"), ("proxy_concurrency", "proxy_memory_mb")),
        Section("mtg", ("mtg_timing", "mtg_timing_urls", "proxy_blocklist", "proxy_tag", "proxy_image")),
        Section("telemt", ("shared_port", "telemt_memory_mb", "telemt_image")),
        Section("MTProxy", ("mtproxy_first_port", "mtproxy_workers", "mtproxy_connections",
                            "new_to_mtproxy_per_minute", "mtproxy_limit_mb", "mtproxy_docker_image",
                            "mtproxy_files_url")),
    )),
    Group("bans", lazy_gettext("Bans"),
          lazy_gettext("Addresses that keep trying wrong keys are locked out by fail2ban."), (
        Section(lazy_gettext("Bans"), ("bans", "ban_after", "ban_window", "ban_length", "ban_never"),
                above="settings/_bans.html"),
    )),
    Group("backups", lazy_gettext("Backups"), lazy_gettext("Copies of everything, by themselves and by hand."), (
        Section(lazy_gettext("Automatic backups"), ("backup_schedule", "backup_keep", "backup_recipient")),
    ), after=("settings/_backup.html",)),
    Group("advanced", lazy_gettext("Advanced"), lazy_gettext("What most installations leave as it is."), (
        Section(lazy_gettext("Network"), ("proxy_port", "proxy_bind", "proxy_prefer_ip", "proxy_dns",
                                          "upstream_socks5", "new_per_minute")),
        Section(lazy_gettext("Looks and checks"), ("monitor_seconds", "helper_url")),
    ), after=("settings/_commands.html",)),
    Group("danger", lazy_gettext("Danger zone"),
          lazy_gettext("What closes everybody's connections, or can't be undone."), after=("settings/_danger.html",)),
)

BY_NAME = {group.name: group for group in GROUPS}

#: Where the sections are that stood on one page, by what their addresses ended in (/settings#speed), and what has a
#: button only.
MOVED = {"address": "general", "limits": "limits", "engine-of-all": "engines", "speed": "engines",
         "certificates": "port-443", "further": "advanced", "version": "general", "backup": "backups",
         "port-443": "port-443", "backups": "backups", "domains": "links", "update": "general"}

#: What does nothing without nginx, and is not offered there.
NEEDS_EDGE = frozenset(("panel_by_address", "panel_path", "port_443_mode", "unknown_sni", "cover_site", "cover_url",
                        "nginx_worker_hours", "nginx_connections_per_address"))

OPTIONS: dict[str, tuple[Option, ...]] = {
    "sni_mode": (
        Option("own", lazy_gettext("Own domain"), recommended=True, inside=("sni_base_domain",), traits=(
            (lazy_gettext("What it is"), lazy_gettext(
                "Each new user gets a random name under your domain, such as bemako.example.com.")),
            (lazy_gettext("What you need"), lazy_gettext(
                "A domain with DNS records for it and for all names under it (*.example.com) that lead to this server; "
                "an open port 80, and the certbot container for certificates.")),
            (lazy_gettext("What a censor sees"), lazy_gettext(
                "A real web site with a valid certificate, on the server that its name leads to. Nothing looks "
                "wrong.")),
            (lazy_gettext("Drawback"), lazy_gettext(
                "All names are under one domain: if it is blocked, all users are blocked. Certificates are public, so "
                "the names can be read in public logs.")))),
        Option("pool", lazy_gettext("Domain pool"), inside=("domain_pool",), traits=(
            (lazy_gettext("What it is"), lazy_gettext(
                "Each new user gets a well-known site from your list as their name.")),
            (lazy_gettext("What you need"), lazy_gettext(
                "Only a list with at least as many sites as users. This server must be able to reach each of them.")),
            (lazy_gettext("What a censor sees"), lazy_gettext(
                "The well-known site itself, with its own certificate.")),
            (lazy_gettext("Drawback"), lazy_gettext(
                "The site's name does not lead to this server's address. A censor who compares them can see that."))))),
    "unknown_sni": (
        Option("cover", lazy_gettext("Cover site"), lazy_gettext(
            "Like a server with one web site. While it has no certificate, a TLS error as below."), recommended=True),
        Option("reject", lazy_gettext("TLS error"), lazy_gettext(
            "As many web servers answer to a name that is not theirs.")),
        Option("close", lazy_gettext("Close the connection"), lazy_gettext("Without any answer.")),
        Option("panel", lazy_gettext("This panel's login page"), lazy_gettext(
            "Not recommended: everybody who scans the address sees what runs here."))),
    "cover_site": (
        Option("builtin", lazy_gettext("A simple page"), lazy_gettext(
            "Generated for this installation, so that no two look alike.")),
        Option("folder", lazy_gettext("Your own files"), lazy_gettext(
            "The web site in the folder data/nginx/cover; docs/port443.md says how to put it there.")),
        Option("proxy", lazy_gettext("Another site of yours"), lazy_gettext("nginx fetches every page from there."),
               inside=("cover_url",))),
    "mtg_timing": (
        Option("cover", lazy_gettext("This server's own nginx"), lazy_gettext(
            "mtg gets a large file that nobody outside can see. More than 200 Mbit/s per connection."),
            recommended=True),
        Option("urls", lazy_gettext("Sites of your choice"), lazy_gettext(
            "mtg downloads the files below at its start and every hour, and becomes as fast as these downloads. Try it "
            "first: with a missing or small file mtg stays slow, and an uneven download can make it stall."),
            inside=("mtg_timing_urls",)),
        Option("default", lazy_gettext("mtg's default"), lazy_gettext(
            "The timing built into mtg: about 18 Mbit/s per connection, and answers up to 0.1 s late."))),
    "backup_schedule": (
        Option("off", lazy_gettext("Off"), lazy_gettext("No backups are made automatically.")),
        Option("daily", lazy_gettext("Every night"), lazy_gettext("After 03:00 in the server's time zone."),
               recommended=True),
        Option("weekly", lazy_gettext("Every week"), lazy_gettext("In the night to Monday."))),
}

#: What is said of short choices, which are a list to select from.
PREFER_IP = {"prefer-ipv4": lazy_gettext("Prefer IPv4"), "prefer-ipv6": lazy_gettext("Prefer IPv6"),
             "only-ipv4": lazy_gettext("IPv4 only"), "only-ipv6": lazy_gettext("IPv6 only")}


def group_of(key: str) -> Group:
    """The page that a setting stands on. Raises StopIteration for one that has no page."""
    return next(group for group in GROUPS if key in group.keys)


def nested(keys: Collection[str]) -> frozenset[str]:
    """Those of these settings that stand inside a choice of another one of them."""
    return frozenset(inner for key in keys for option in OPTIONS.get(key, ()) for inner in option.inside)
