"""The words of the fields of the configuration: what each allows, and how those are called that people may change.

`FIELDS` has them by code: "user.limit_gb" is a user's, "setting.…" a setting. A hint may have {parameters}, which the
page that shows it fills in.
"""

from __future__ import annotations

from dataclasses import dataclass

#: What a field allows.
TEMPLATES = {
    "rule.flag": "true or false",
    "rule.hash": "a hash made by the panel",
    "rule.oldlink.secret": "the secret of the old link",
    "rule.time": "a date and time such as 2027-01-31T12:00:00+03:00",
    "rule.user.id": "1 to 32 of 0-9, a-z and -; made by the panel, never changed",
    "rule.name": "any text that is not empty",
    "rule.user.secret":
        "a proxy secret: ee + 32 hex digits + the domain in hex (or base64url), dd + 32 hex digits, or 32 hex "
        "digits",
    "rule.port": "a port: a whole number from 1 to 65535",
    "rule.user.public_port": "the port in the link, from 1 to 65535; 0 means as the setting {@public_port} says",
    "rule.user.fake_tls_domain": "a host name; it is part of an ee secret, and the secret decides",
    "rule.user.traffic_limit_gb":
        "GB (1024^3 bytes), from 0 to 1,000,000; 0 means the global limit, none (null in the file) no limit",
    "rule.user.throttle_speed_mbps":
        "Mbit/s (10^6 bits per second), from 0 to 100,000; 0 means the global speed, none (null in the "
        "file) not slowed down",
    "rule.user.at_limit": "throttle, block, or empty for the default",
    "rule.user.reset_cycle":
        "never, daily, weekly and a weekday (weekly monday), or monthly and a day of the month (monthly 1; the "
        "29th to the 31st mean the last day of a shorter month); or empty for the default",
    "rule.user.expires_at": "a date and time such as 2027-01-31T12:00:00+03:00, or never (null in the file)",
    "rule.user.expires_after_days":
        "days from the first use to the expiry, a whole number from 0 to 36,500; 0 means not used; at the "
        "first use, the panel sets expires_at instead",
    "rule.user.max_unique_ips":
        "addresses from which the link may be used at a time, a whole number from 0 to 1,000,000; 0 means as the "
        "setting {@max_unique_ips} says, none (null in the file) any number",
    "rule.user.engine": "mtg, telemt, builtin, or empty for the one in the settings",
    "rule.user.old_links": "a list of old links; kept by the panel",
    "rule.user.note": "any text of up to 1,000 characters",
    "rule.leftover.field": "the field's name",
    "rule.leftover.user": "the user's id, or empty",
    "rule.leftover.value": "the value as it was",
    "rule.leftover.reason": "what was wrong with it",
    "rule.admin.sudo": "true for an admin who may change settings and admins",
    "rule.initial_password": "the first password, removed at the first login",
    "rule.admin_password_initial":
        "true or false: whether the first admin still has the first password, which was shown in a terminal; the "
        "panel then asks for another one",
    "rule.admins": "a list of admins",
    "rule.secret_key": "the key that signs sessions",
    "rule.host": "a host name such as proxy.example.com, an IP address, or empty",
    "rule.address": "an IPv4 or IPv6 address that others can reach, or empty",
    "rule.public_port": "the port in everybody's links, from 1 to 65535; 0 means the port listened on",
    "rule.proxy_bind": "an IP address of this machine; empty means all of them",
    "rule.engine":
        "mtg, telemt or builtin: what serves users who have no other one; empty means what this installation began "
        "with",
    "rule.move_changes_links":
        "true or false: whether users are moved to another engine, too, if their links then carry another port, so "
        "that they must be sent new ones",
    "rule.image": "a Docker image name, such as mtg-custom or registry.example.com/mtg:2.2.8",
    "rule.proxy_tag": "an advertising tag, or empty; mtg 2 and the built-in engine don't use it",
    "rule.proxy_concurrency":
        "connections at a time for each user, a whole number from 64 to 1,000,000 (a telephone opens up to 8)",
    "rule.proxy_anti_replay": "true or false: whether a handshake that was seen before is turned away",
    "rule.proxy_blocklist":
        "true or false: whether mtg turns away the addresses of firehol_level1; private ones are among them, so "
        "people in this server's own network are turned away too",
    "rule.dns":
        "an IP address, https://… (DNS over HTTPS) or tls://… (DNS over TLS), or empty for the system's own "
        "resolver",
    "rule.proxy_memory_mb":
        "MB (1024^2 bytes) of memory for each user's container or process of the built-in engine, a whole number "
        "from 64 to 1,000,000; what needs more is restarted",
    "rule.telemt_image": "a Docker image name, such as ghcr.io/telemt/telemt:3.4.25",
    "rule.telemt_memory_mb":
        "MB (1024^2 bytes) of memory for the one container that serves all users of telemt, a whole number from 64 to "
        "1,000,000; what needs more is restarted",
    "rule.shared_port":
        "the port on which a proxy that serves many users listens, from 1 to 65535; on port 443 it is not used",
    "rule.proxy_prefer_ip": "prefer-ipv4, prefer-ipv6, only-ipv4 or only-ipv6",
    "rule.fake_tls_domain": "a host name such as www.example.com",
    "rule.monitor_seconds":
        "seconds between two looks at the proxies and their counters, a whole number from 1 to 3,600",
    "rule.traffic_limit_gb": "GB (1024^3 bytes), from 0 to 1,000,000; 0 means no limit",
    "rule.max_unique_ips":
        "addresses (or IPv6 /64) from which each link may be used at a time, a whole number from 0 to 1,000,000; 0 "
        "means any number",
    "rule.at_limit": "throttle or block",
    "rule.cycle":
        "never, daily, weekly and a weekday (weekly monday), or monthly and a day of the month (monthly 1; the "
        "29th to the 31st mean the last day of a shorter month)",
    "rule.throttle_speed_mbps": "Mbit/s (10^6 bits per second), more than 0 and up to 100,000",
    "rule.port_443_mode":
        "true or false: whether all users are reached on port 443, told apart by their domain; needs the nginx of"
        " docker-compose.yml",
    "rule.panel_domain": "the host name under which nginx serves this panel by HTTPS, or empty; no user can have it",
    "rule.panel_by_address":
        "true or false: whether nginx serves this panel by HTTPS at {@server_ip}, on a port of its own; needs the "
        "nginx of docker-compose.yml, and PANEL_HTTPS_PORT in .env",
    "rule.panel_path":
        "what follows that address: 16 to 64 of A-Z, a-z, 0-9, _ and -; empty means a new one that nobody can guess",
    "rule.panel_hosts":
        "host names with spaces between them, or empty: other names under which this panel is asked for by plain "
        "HTTP, as behind a reverse proxy of yours",
    "rule.sni_mode":
        "pool (a well-known domain of {@domain_pool} for each new user) or own (a random name under "
        "{@sni_base_domain})",
    "rule.domain_pool": "host names with spaces between them: the domains that new users get",
    "rule.sni_base_domain":
        "a domain of yours, such as example.com, whose names (*.example.com) lead to this server; or empty",
    "rule.unknown_sni":
        "cover (the cover site, where it has a certificate), reject (a TLS alert), close (the connection), or "
        "panel (this panel): what a name that nobody has gets",
    "rule.cover_site":
        "builtin (a neutral page), folder (the files in data/nginx/cover) or proxy (the site that {@cover_url} "
        "names): what a visitor of {@sni_base_domain} sees",
    "rule.cover_url": "https:// and a host name, without a path, or empty: the site that {@cover_site proxy} shows",
    "rule.domain_grace_days":
        "days for which the old link still works on port 443 after a user's domain was changed, a whole number "
        "from 0 to 365",
    "rule.mtg_timing":
        "cover (a file on this server's nginx), urls (those of {@mtg_timing_urls}) or default (mtg's own, which "
        "is slow): where mtg learns how fast a real site sends",
    "rule.mtg_timing_urls": "https addresses of large files with spaces between them, or empty",
    "rule.helper_url":
        "an http:// or https:// address of a helper (scripts/port-helper.py on another machine), which `doctor` asks "
        "what the internet sees of this server; or empty: nobody is asked",
    "rule.backup_schedule": "off, daily or weekly (on Mondays): when the panel makes a backup by itself",
    "rule.backup_keep": "how many of those backups are kept, a whole number from 1 to 365",
    "rule.backup_recipient":
        "a public key of age (age1…), for which these backups are encrypted, or empty: they are then as readable as "
        "the data folder itself",
    "rule.nginx_worker_hours":
        "hours, a whole number from 1 to 720, after which nginx ends connections that are older than its last "
        "reload; more keeps more old nginx processes in memory",
    "rule.nginx_connections_per_address":
        "connections at a time on port 443 from one address (or IPv6 /64), a whole number from 16 to 8,192; a "
        "telephone opens up to 8, and a provider may show thousands of people with one address",
    "rule.acme_directory": "the https address of an ACME directory, or empty for Let's Encrypt",
    "rule.acme_email": "an e-mail address for the certificate authority, or empty",
    "rule.upstream_socks5": "host:port or user:password@host:port, or empty",
    "rule.runtime": "auto, docker or process; auto is replaced at the first start by what was found",
    "rule.proxies_stopped": "true or false: whether all proxies are stopped, whoever is enabled",
    "rule.users": "a list of users",
    "rule.not_understood": "values of an older file that were not understood; kept by the panel, may be deleted",
}


@dataclass(frozen=True)
class Words:
    """label: its name, as a person says it. hint: what to type, and what follows from it.

    option: the same for the command line, in one line; metavar: what stands for the value there.
    """

    label: str
    hint: str = ""
    option: str = ""
    metavar: str = "VALUE"


FIELDS: dict[str, Words] = {
    "user.name": Words("Name", "Only you see it. A person, a family, a device."),
    "user.domain": Words("Cover domain", "{domain_hint}",
                         "Site that the proxy looks like (default: the setting).", "D"),
    "user.limit_gb": Words(
        "Traffic limit", "A number, or the word none. Empty or 0: the default, {limit_of_all}. Download and upload "
                         "count together.",
        "Traffic limit in GB, or none (default: the setting).", "N"),
    "user.speed_mbps": Words(
        "Speed after the limit", "A number, or the word none: not slowed down. Empty or 0: the default, "
                                 "{speed_of_all}.",
        "Speed after the limit, Mbit/s (default: the setting).", "N"),
    "user.at_limit": Words("At the limit",
                           "Blocked, they can't connect until the traffic is reset or the limit raised.",
                           "throttle or block (default: the setting).", "WHAT"),
    "user.max_unique_ips": Words(
        "Address limit", "From how many addresses the link may be used at a time: a number, or the word none. Empty or "
                         "0: the default, {ips_of_all}. A device at home and one on the road are two.",
        "Addresses that may use the link at a time, or none (default: the setting).", "N"),
    "user.reset_cycle": Words(
        "Reset traffic", "At midnight of the server's clock ({zone}). A shorter month is reset on its last day.",
        "never, daily, weekly monday or monthly 1.", "C"),
    "user.expires": Words("Expires on", "The last day of access, by the server's clock ({zone}). Empty: never.",
                          "Last moment of access: 2027-01-31 or 2027-01-31T18:00Z.", "DATE"),
    "user.expires_after_days": Words("Or expires after", "From the first use on. Either this or a date.",
                                     "Access ends so many days after the first use.", "N"),
    "user.public_port": Words(
        "Port in the link", "If people reach this server by another port than it listens on, as behind a router. "
                            "Empty or 0: the default.",
        "Port in the link, if it is not the one listened on.", "P"),
    "user.engine": Words("Engine", "What serves this user. Empty: the default, {engine_of_all}. The link stays.",
                         "mtg, telemt or builtin (default: the setting).", "NAME"),
    "user.note": Words("Note", "For yourself.", "A note for yourself.", "TEXT"),
    "user.port": Words("Port"),
    "user.secret": Words("Secret"),
    "user.link": Words(
        "Existing link", "Of another proxy: its key, its domain and, where it is free, its port are taken "
                                 "over. A tg:// or https://t.me/ link, or the secret alone. Leave the cover domain "
                                 "empty then.",
        "Take over key, domain and port of another proxy's link or secret; - reads it.", "LINK"),

    "setting.server_domain": Words("Host name in links"),
    "setting.server_ip": Words("IP address in links"),
    "setting.public_port": Words("Port in links"),
    "setting.panel_domain": Words("This panel's own host name"),
    "setting.panel_by_address": Words("This panel by HTTPS at the bare address"),
    "setting.port_443_mode": Words("Everybody on port 443"),
    "setting.sni_mode": Words("Domains of new users"),
    "setting.domain_pool": Words("Domains in the pool"),
    "setting.sni_base_domain": Words("Your domain"),
    "setting.unknown_sni": Words("Connections for an unknown name"),
    "setting.cover_site": Words("Cover site"),
    "setting.cover_url": Words("Address of your site"),
    "setting.domain_grace_days": Words("Old links keep working for"),
    "setting.nginx_worker_hours": Words("Long connections may last"),
    "setting.nginx_connections_per_address": Words("Connections per address"),
    "setting.mtg_timing": Words("Where mtg learns its timing"),
    "setting.mtg_timing_urls": Words("Addresses of large files"),
    "setting.acme_directory": Words("Certificate authority"),
    "setting.acme_email": Words("E-mail address for the authority"),
    "setting.helper_url": Words("Helper that looks from outside",
                                "A machine elsewhere that runs scripts/port-helper.py, such as "
                                "http://198.51.100.7:8099. It is told the ports that people need, and nothing else."),
    "setting.backup_schedule": Words("Automatic backups"),
    "setting.backup_keep": Words("How many are kept"),
    "setting.backup_recipient": Words("Public key for encryption"),
    "setting.engine": Words(
        "Engine", "What serves users who have no engine of their own. Existing users are moved once the new engine has "
                  "worked for them; who can't be moved keeps the old one, and their page says why."),
    "setting.shared_port": Words("Port of telemt", "Not used on port 443."),
    "setting.move_changes_links": Words(
        "Move users even if their link changes", "Without port 443 a user of telemt has another port, and so another "
                                                 "link, which has to be sent."),
    "setting.max_unique_ips": Words(
        "Address limit", "From how many addresses each link may be used at a time. 0: any number."),
}


def words(code: str) -> Words:
    """The words of a field. Raises KeyError for one that nobody has given words to."""
    return FIELDS[code]
