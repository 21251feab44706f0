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
    "rule.user.share_token":
        "what the address of the user's own page ends in: 22 of A-Z, a-z, 0-9, _ and -; or empty for no page",
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
    "rule.user.plan": "the name of a plan, or empty",
    "rule.plan.expires_after_days":
        "days from the first use to the expiry of a user who is added with this plan and without an expiry of their "
        "own, a whole number from 0 to 36,500; 0 means never",
    "rule.plans": "a list of plans",
    "rule.user.engine": "mtg, telemt, builtin, mtproxy, or empty for the one in the settings",
    "rule.user.mtproxy_container":
        "the number of MTProxy's container that serves the user, from 1 to 65535, which the panel chooses; 0 for none",
    "rule.user.old_links": "a list of old links; kept by the panel",
    "rule.user.tags": "up to 20 tags of up to 32 characters, with commas between them",
    "rule.user.note": "any text of up to 1,000 characters",
    "rule.leftover.field": "the field's name",
    "rule.leftover.user": "the user's id, or empty",
    "rule.leftover.value": "the value as it was",
    "rule.leftover.reason": "what was wrong with it",
    "rule.admin.sudo": "true for an owner",
    "rule.second_factors": "a list of what admins need beside the password",
    "rule.totp_secret": "the secret of an app's codes, 32 characters of base32 (A-Z, 2-7), or empty",
    "rule.recovery_codes": "a list of hashes, as the panel writes them",
    "rule.passkeys": "a list of passkeys, as the panel writes them",
    "rule.passkey.name": "any text of up to 64 characters",
    "rule.passkey.credential": "text in base64url, as the panel writes it",
    "rule.admin.role":
        "owner (may do everything), operator (users, but neither settings nor admins), or viewer (sees states and "
        "traffic)",
    "rule.api_tokens": "a list of tokens, made by the panel",
    "rule.token.hash": "the SHA-256 of a token, made by the panel",
    "rule.token.admin": "the name of the admin whose token it is",
    "rule.token.scope": "read, users or admin",
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
        "mtg, telemt, builtin or mtproxy: what serves users who have no other one; empty means what this installation "
        "began with",
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
    "rule.mtproxy_docker_image": "a Docker image name, such as mtproxy or registry.example.com/mtproxy:3.0.10",
    "rule.mtproxy_first_port":
        "the port of MTProxy's first container, from 1 to 65535; each further one, for 16 users more, has the next "
        "port",
    "rule.mtproxy_workers":
        "processes of each container of MTProxy beside the first, a whole number from 0 to 8; with domains it has none",
    "rule.mtproxy_connections":
        "connections at a time for each worker of MTProxy, a whole number from 64 to 60,000",
    "rule.new_per_minute":
        "new connections a minute from one address, a whole number from 0 to 100,000; 0 means any number",
    "rule.mtproxy_limit_mb":
        "MB (1024^2 bytes) of memory for each container of MTProxy, a whole number from 64 to 1,000,000; what needs "
        "more is restarted",
    "rule.mtproxy_files_url":
        "an address such as https://core.telegram.org, from which /getProxySecret and /getProxyConfig are downloaded",
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
    "rule.share_hostname":
        "a host name of its own under which nginx serves the pages of users, and nothing else of this panel; or empty",
    "rule.share_renew": "true or false: whether users may give themselves a new link on their page, once an hour",
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
    "rule.bans": "true or false; fail2ban on the server does the banning",
    "rule.ban_after": "offences of one address (or IPv6 /64) until it is banned, a whole number from 2 to 1,000",
    "rule.ban_window": "minutes within which they count, a whole number from 1 to 1,440",
    "rule.ban_length": "minutes that a ban lasts, a whole number from 1 to 525,600",
    "rule.ban_never":
        "up to 1,000 IP addresses and networks such as 198.51.100.0/24, with spaces between them, that are never "
        "banned",
    "rule.acme_directory": "the https address of an ACME directory, or empty for Let's Encrypt",
    "rule.acme_email": "an e-mail address for the certificate authority, or empty",
    "rule.upstream_socks5": "host:port or user:password@host:port, or empty",
    "rule.runtime": "auto, docker or process; auto is replaced at the first start by what was found",
    "rule.proxies_stopped": "true or false: whether all proxies are stopped, whoever is enabled",
    "rule.users": "a list of users",
    "rule.deleted_users": "a list of users who were deleted in the last 30 days; kept by the panel",
    "rule.notifications": "a list of channels",
    "rule.channel.name": "a name of up to 64 characters",
    "rule.channel.kind": "telegram, email, webhook or ntfy",
    "rule.channel.events":
        "any of limit_80, limit_95, limit_100, expiring, expired, proxy_down, domain, certificate and update; or none",
    "rule.channel.digest": "off, daily or weekly (on Mondays)",
    "rule.channel.digest_hour": "an hour of the server's clock, a whole number from 0 to 23",
    "rule.channel.language": "en or ru",
    "rule.channel.secret":
        "the token of the bot, the password of the mailbox, the key of the webhook or the token of ntfy: one line",
    "rule.channel.url": "an http or https address, or empty",
    "rule.channel.chats": "up to 20 numbers of chats, such as 123456789 or, for a group, -1001234567890",
    "rule.channel.bot": "off, viewer or operator",
    "rule.channel.host": "the host name or the address of a mail server",
    "rule.channel.security": "starttls, tls or none",
    "rule.channel.username": "the name to log in with, one line, or empty",
    "rule.channel.sender": "an e-mail address, or empty for the first recipient",
    "rule.channel.recipients": "up to 20 e-mail addresses",
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
    "user.plan": Words("Plan", "The defaults below follow the plan, and then the settings.",
                       "Plan that says what is not given here.", "PLAN"),
    "user.limit_gb": Words(
        "Traffic limit", "Download and upload count together.",
        "Traffic limit in GB, or none (default: the setting).", "N"),
    "user.speed_mbps": Words(
        "Speed after the limit", "",
        "Speed after the limit, Mbit/s (default: the setting).", "N"),
    "user.at_limit": Words("At the limit",
                           "Blocked, they can't connect until the traffic is reset or the limit raised.",
                           "throttle or block (default: the setting).", "WHAT"),
    "user.max_unique_ips": Words(
        "Address limit", "From how many addresses the link may be used at the same time. A device "
                         "at home and one on a mobile network are two.",
        "Addresses that may use the link at a time, or none (default: the setting).", "N"),
    "user.reset_cycle": Words(
        "Reset traffic", "At midnight of the server's clock ({zone}). A shorter month is reset on its last day.",
        "never, daily, weekly monday or monthly 1.", "C"),
    "user.expires": Words("Expires on", "A date is the last day of access, by the server's clock ({zone}).",
                          "Last moment of access: 2027-01-31 or 2027-01-31T18:00Z.", "DATE"),
    "user.expires_after_days": Words("Expires after", "",
                                     "Access ends so many days after the first use.", "N"),
    "user.public_port": Words(
        "Port in the link", "Only if people reach this server on another port than it listens on, for example behind a "
                            "router. Empty or 0: the default.",
        "Port in the link, if it is not the one listened on.", "P"),
    "user.engine": Words("Engine", "The program that serves this user. Empty: the default, {engine_of_all}. The link "
                                   "stays the same.",
                         "mtg, telemt, builtin or mtproxy (default: the setting).", "NAME"),
    "user.tags": Words("Tags", "Separated by commas, for example: family, work. You can search for users by them.",
                       "Tags, with commas between them.", "TAGS"),
    "user.note": Words("Note", "For yourself.", "A note for yourself.", "TEXT"),
    "user.port": Words("Port"),
    "user.secret": Words("Secret"),
    "user.link": Words(
        "Existing link", "A tg:// or https://t.me/ link of another proxy, or only its secret. Its key, its domain and, "
                         "if it is free, its port are reused. Leave the cover domain empty then.",
        "Take over key, domain and port of another proxy's link or secret; - reads it.", "LINK"),

    "plan.name": Words("Name", "Such as: family, guests, month."),
    "plan.limit_gb": Words("Traffic limit", "",
                           "Traffic limit in GB, or none (default: the setting).", "N"),
    "plan.speed_mbps": Words("Speed after the limit", "",
                             "Speed after the limit, Mbit/s (default: the setting).", "N"),
    "plan.at_limit": Words("At the limit", "", "throttle or block (default: the setting).", "WHAT"),
    "plan.max_unique_ips": Words("Address limit", "From how many addresses a link may be used at the same time.",
                                 "Addresses that may use a link at a time, or none (default: the setting).", "N"),
    "plan.reset_cycle": Words("Reset traffic", "", "never, daily, weekly monday or monthly 1.", "C"),
    "plan.expires_after_days": Words("Expires after", "For users who are added with this plan.",
                                     "Access of who is added with it ends so many days after the first use.", "N"),
    "setting.server_domain": Words(
        "Host name in links",
        "The name under which Telegram apps find this server. It is part of every link: if you change it, you have "
        "to send all links again."),
    "setting.server_ip": Words(
        "IP address in links",
        "Used in links if no host name is set. It also says which addresses belong to this server."),
    "setting.public_port": Words(
        "Port in links",
        "Only if a router or load balancer accepts connections on another port and passes them on. 0: the port "
        "that the proxies listen on. Used in every link that has no port of its own."),
    "setting.panel_domain": Words(
        "This panel's own host name",
        "nginx serves this panel by HTTPS under this name, and no user can have it. The name must lead to this "
        "server. Empty: the panel has no name."),
    "setting.share_hostname": Words(
        "Host name of users' pages", "A separate name that leads to this server. It shows the cover site, and to each "
                                     "user their page. Empty: the pages are under the panel's own name, and people "
                                     "see it."),
    "setting.share_renew": Words(
        "Users may renew their link", "On their own page, once an hour. The previous link stops working at once."),
    "setting.panel_by_address": Words(
        "Panel by HTTPS at the server's address",
        "For a server without a domain: on a separate port, under a path that nobody can guess. Requests for any "
        "other path get the cover site."),
    "setting.panel_path": Words(
        "Path of that address",
        "What follows the server's address. 16 to 64 letters, digits, _ and -. Empty: a new one that nobody can guess. "
        "The previous path stops working at once."),
    "setting.port_443_mode": Words(
        "All users on port 443",
        "Before it is switched, the panel says what will happen and asks you to confirm."),
    "setting.sni_mode": Words(
        "Domains of new users",
        "Existing users keep their domain. You can change it at any time on the user's page."),
    "setting.domain_pool": Words(
        "Domains in the pool",
        "One per line. Existing users keep their domain when the list changes."),
    "setting.sni_base_domain": Words("Your domain", "Its IPv4 and IPv6 records are checked before it is used."),
    "setting.unknown_sni": Words(
        "Answer to an unknown name",
        "For connections to port 443 that ask for a name that no user has."),
    "setting.cover_site": Words("Cover site", "What visitors without a secret see under your own domain."),
    "setting.cover_url": Words("Address of your site", "https:// and its host name, nothing more."),
    "setting.domain_grace_days": Words(
        "Previous links keep working for",
        "After a change of a user's domain, which changes the link. 0: the previous link stops working at once."),
    "setting.nginx_worker_hours": Words(
        "Longest connection",
        "At every change nginx starts a new process, and the old one stays for its open connections. Fewer hours: "
        "long connections are closed sooner, and Telegram connects again by itself. More hours: more old processes "
        "stay in memory."),
    "setting.nginx_connections_per_address": Words(
        "Connections per address",
        "At the same time on port 443, so that one address can't use up all connections. A phone opens up to 8; a "
        "mobile operator may have thousands of people behind one address."),
    "setting.bans": Words(
        "Ban addresses that try wrong keys",
        "fail2ban has to be installed on the server. Switching this on or off restarts the proxies once: it changes "
        "whether they tell which addresses they turn away."),
    "setting.ban_after": Words("Offences until a ban", "A wrong key is one; one visit to the cover site is no reason."),
    "setting.ban_window": Words("Within", "Older offences do not count."),
    "setting.ban_length": Words("A ban lasts", "After that, the address may connect again."),
    "setting.ban_never": Words(
        "Never ban",
        "Addresses and networks, such as 198.51.100.0/24. A mobile operator may have thousands of people behind one "
        "address."),
    "setting.mtg_timing": Words(
        "Where mtg learns its timing",
        "mtg sends data with the timing of a real web site, so that the two look alike. It can only be as fast as "
        "the site it has learned from."),
    "setting.mtg_timing_urls": Words(
        "Addresses of large files",
        "One https address per line. If one of them fails, mtg learns nothing and stays slow."),
    "setting.acme_directory": Words(
        "Certificate authority",
        "The https address of an ACME directory. Empty: Let's Encrypt."),
    "setting.acme_email": Words(
        "E-mail address for the authority",
        "The authority writes to it if something is wrong. Optional."),
    "setting.helper_url": Words("Helper that looks from outside",
                                "Another machine that runs scripts/port-helper.py, such as "
                                "http://198.51.100.7:8099. It learns the ports to check, and nothing else."),
    "setting.backup_schedule": Words(
        "Automatic backups",
        "Backups are kept on this server. They help against mistakes, not if the server is lost: download one from "
        "time to time, below."),
    "setting.backup_keep": Words("How many are kept", "Older ones are removed."),
    "setting.backup_recipient": Words(
        "Public key for encryption",
        "A public key of age (age1…). The backups can then be opened only with the secret key. Empty: not "
        "encrypted, like the data folder itself."),
    "setting.engine": Words(
        "Engine", "The program that serves users without their own engine. Existing users are moved once the new "
                  "engine has been tested for them. Users that can't be moved keep the old one, and their page says "
                  "why."),
    "setting.shared_port": Words("Port of telemt", "Not used on port 443."),
    "setting.move_changes_links": Words(
        "Move users even if their link changes", "Without port 443, telemt uses another port, so a user's link changes "
                                                 "and has to be sent again."),
    "setting.traffic_limit_gb": Words("Traffic limit", "Of each user, download and upload together. 0: no limit."),
    "setting.at_limit": Words(
        "At the limit", "Blocked, they can't connect until the traffic is reset or the limit raised."),
    "setting.throttle_speed_mbps": Words("Speed after the limit", "For those who are slowed down."),
    "setting.reset_cycle": Words(
        "Reset traffic", "At midnight of the server's clock. A shorter month is reset on its last day."),
    "setting.proxy_port": Words("First port", "New users get the next free port from here on."),
    "setting.proxy_bind": Words("Address to listen on", "Empty: all addresses of this machine."),
    "setting.fake_tls_domain": Words(
        "Cover domain of new users", "The site that a connection looks like, for who is given none."),
    "setting.proxy_prefer_ip": Words("IPv4 or IPv6", "How Telegram's servers are reached."),
    "setting.proxy_concurrency": Words("Connections of a user", "At a time. A telephone opens up to 8."),
    "setting.proxy_memory_mb": Words("Memory of a proxy", "One that needs more is restarted."),
    "setting.proxy_anti_replay": Words(
        "Turn away repeated handshakes", "Censors record a handshake and send it again."),
    "setting.proxy_blocklist": Words(
        "Turn away known attackers", "mtg only, the list firehol_level1. Private addresses are among them."),
    "setting.proxy_dns": Words("Resolver", "An address, https://… or tls://…. Empty: the system's own."),
    "setting.proxy_tag": Words("Advertising tag", "Neither mtg 2 nor the built-in engine uses it."),
    "setting.proxy_image": Words(
        "Image of mtg", "Of containers that are made from now on; running ones are replaced."),
    "setting.telemt_image": Words("Image of telemt", "Of the container that serves all of its users."),
    "setting.telemt_memory_mb": Words("Memory of telemt", "For all of its users together."),
    "setting.mtproxy_docker_image": Words("Image of MTProxy", "Dockerfile.mtproxy makes it."),
    "setting.mtproxy_first_port": Words(
        "Port of MTProxy", "On port 443, too. Each further container, for 16 users more, has the next port."),
    "setting.mtproxy_workers": Words("Workers of MTProxy", "Of each container. Secrets with a domain have none."),
    "setting.mtproxy_connections": Words("Connections of MTProxy", "At a time, of each worker."),
    "setting.new_to_mtproxy_per_minute": Words(
        "New connections a minute to MTProxy",
        "From one address, by the server's own firewall. Mobile providers give many people one address (CGNAT): if "
        "users wait at \"Connecting…\", raise it. 0: any number."),
    "setting.mtproxy_limit_mb": Words("Memory of MTProxy", "Of each container."),
    "setting.mtproxy_files_url": Words(
        "Source of MTProxy's files", "Telegram's key and addresses are downloaded every day while MTProxy is used."),
    "setting.domain_fronting_ip": Words(
        "Address of the cover site", "Where strangers are passed on to, if not to the address of the cover domain."),
    "setting.domain_fronting_port": Words("Port of the cover site"),
    "setting.upstream_socks5": Words(
        "Way out through a SOCKS5 proxy",
        "host:port or user:password@host:port. Telegram's servers are reached through it, for a server whose own "
        "network blocks them. Empty: directly."),
    "setting.new_per_minute": Words(
        "New connections a minute",
        "From one address to each port of a proxy but MTProxy's, by the server's own firewall. Many people share one "
        "address at mobile providers (CGNAT), and apps open several connections: a low number locks users "
        "out. 0: any number."),
    "setting.monitor_seconds": Words("Time between two looks", "At the proxies and their counters."),
    "setting.panel_hosts": Words(
        "Other names of this panel", "Under which it is asked for by plain HTTP, as behind a reverse proxy of yours."),
    "setting.max_unique_ips": Words(
        "Address limit", "From how many addresses each link may be used at the same time. 0: any number."),
}


def words(code: str) -> Words:
    """The words of a field. Raises KeyError for one that nobody has given words to."""
    return FIELDS[code]
