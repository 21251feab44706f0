"""Port 443, and what the panel finds beside it."""

TEMPLATES = {
    "port443.no_edge":
        "{@port_443_mode} needs the nginx of docker-compose.yml before the panel (docs/docker.md); this panel runs "
        "without it",
    "port443.no_base": "{@sni_mode own} needs a domain of yours in {@sni_base_domain}",
    "port443.no_cover_url": "{@cover_site proxy} needs the address of the site in {@cover_url}",
    "port443.no_timing_urls": "{@mtg_timing urls} needs addresses in {@mtg_timing_urls}",
    "port443.random_name":
        "every name under {base} must lead here, by a DNS record for *.{base}; a random one does not: {reason}",
    "port443.user": "{name!r}",
    "port443.old_link": "an old link of {name!r}",
    "port443.users_cover":
        "{domain}, the domain of {owner}, {reason}: give that user another one first, or have its DNS record lead "
        "elsewhere",
    "port443.panel_is_cover":
        "{domain} can't be both the panel's name and the cover site's: name the panel panel.{base}, for example",
    "port443.panel_is_user": "{domain} is the domain of {owner}: give that user another one first",
    "port443.panel_is_old_link": "{domain} is the domain of {owner}: give them a new secret first",
    "share.no_edge":
        "{@share_hostname} needs the nginx of docker-compose.yml before the panel (docs/docker.md); this panel runs "
        "without it",
    "share.is_panel":
        "{domain} is the panel's own name ({@panel_domain}): users' pages need another one; empty, they are "
        "under the panel's",
    "share.is_cover":
        "{domain} is the cover site's own name ({@sni_base_domain}): name the pages share.{domain}, for example",
    "port443.plain_secret":
        "{name!r} has a secret without a domain, and on port 443 users are told apart by it: give that user an ee "
        "secret first, or delete them",
    "port443.unfit_domain": "the domain of {name!r} can't be used on port 443: {reason}",
    "port443.shared_domain":
        "{first!r} and {second!r} both have the domain {domain}, and on port 443 users are told apart by it: give one "
        "of them another first",
    "cover.closed":
        "{name}: the domain {domain} {reason}. Strangers are not passed on to it until its DNS record "
        "changes: give this user another domain",
    "port443.turned_away":
        "Port 443: {count:,} connections were turned away in the last 24 hours, as their address had {most:,} already "
        "({@nginx_connections_per_address})",
    "door.no_edge":
        "{@panel_by_address} needs the nginx of docker-compose.yml before the panel (docs/docker.md); this panel runs "
        "without it",
    "door.no_port":
        "{@panel_by_address} needs a port of this server: PANEL_HTTPS_PORT in .env, and then `docker compose up -d`; "
        "install.sh does both",
    "door.no_address": "{@panel_by_address} needs the address that people reach this server at: {@server_ip}",
    "door.no_certificate": "the certificate that the panel makes itself can't be written or read: {reason}",
    "door.private":
        "no certificate authority of the internet issues one for {address}, an address that only this network knows",
    "certificates.no_certbot":
        "certificates need the nginx and the certbot of docker-compose.yml (docs/docker.md); this panel runs without "
        "them",
    # What the environment says.
    "environment.runtime": "MTPROTO_RUNTIME is {value!r}; allowed are {allowed}",
    "environment.edge": "MTPROTO_EDGE is {value!r}; allowed is the address of nginx in the proxies' network",
    "environment.traefik":
        "{variable} is {value!r}; allowed is the address of Traefik, as docker-compose.traefik.yml has it",
    "environment.networks":
        "PANEL_NETWORK is {panel!r} and PROXY_NETWORK is {proxies!r}; Docker publishes ports through the one whose "
        "name comes first in the alphabet, and that has to be PANEL_NETWORK: PANEL_NETWORK=0-{proxies}, for example",
    "environment.port": "{variable} is {value!r}; allowed is a port, or an address and a port",
    "environment.subnet": "{subnet} is {network!r} and {name} is {address!r}: {reason}",
    "environment.outside":
        "{name} is {address}, which is not in {subnet}, {network}: name an address of that network, far from its "
        "beginning, in .env",
    "environment.trusted_proxies":
        "MTPROTO_TRUSTED_PROXIES is {value!r}; allowed are 0 (the panel is reached directly), 1 (only through a "
        "reverse proxy that sets X-Forwarded-For), and the addresses or networks of such proxies, such as 127.0.0.1 or "
        "172.28.0.0/16, with spaces between them",
    # Names in the DNS.
    "dns.silent": "the DNS gave no answer for {name} within {seconds:g} s",
    "dns.empty": "{name} has no address",
    "dns.no_name": "{name} is no host name that the DNS knows how to look up",
    "dns.none": "{name} has no address in the DNS",
    "dns.again": "the DNS gives no answer for {name}; try again, or check the servers in /etc/resolv.conf",
    "dns.failed": "{name} could not be looked up: {reason}",
    "dns.unknown_server": "{name} leads to {addresses}; whether that is this server is not known: set {@server_ip}",
    "dns.elsewhere":
        "the A record of {name} is {address}, which is not this server ({known}): change the record, or set "
        "{@server_ip} if that is this server",
    "dns.elsewhere_ipv6":
        "the AAAA record of {name} is {address}, which is not this server ({known}): change the record or remove it; "
        "if that is this server's own IPv6 address, set {@server_domain} to a name that leads to all of this server's "
        "addresses",
}
