"""What is looked at from this server: its clock and time zone, the address in links, other sites."""

TEMPLATES = {
    "clock.off": "This server's clock is {off} other clocks: {effect}. Set it: sudo timedatectl set-ntp true",
    "probe.clock_off":
        "Telegram answers, but this server's clock is {off} other clocks, so apps will be refused. Set it: sudo "
        "timedatectl set-ntp true",
    "clock.ahead": "{seconds} s ahead of",
    "clock.behind": "{seconds} s behind",
    "clock.refused": "apps with the right time are refused",
    "clock.some_refused": "apps that are some seconds off themselves are refused, as {tolerance} s are allowed",
    "zone.unknown":
        "TZ is {name!r}, which is no time zone that this system knows, so days begin and end by UTC: set TZ to a name "
        "such as Europe/Moscow, and start the panel again",
    "server.no_address": "Links lead to {name}, and nobody can connect by them: {reason}.",
    "server.itself":
        "Links lead to {name}, which is {addresses} in the DNS as this server sees it: this machine itself.",
    "server.elsewhere":
        "Links lead to {name}, which is {addresses} in the DNS, and not {ip}, the declared {@server_ip}. Change the "
        "DNS record, or the setting that is wrong.",
    "server.guessed":
        "Links use {address}, this machine's own address, because neither a server name nor an address is set "
        "({@server_domain}, {@server_ip}). Set the one that people reach from outside.",
    "tls.certificate": "its certificate is not valid: {reason}",
    "tls.old": "it has no TLS 1.3",
    "tls.handshake": "the TLS handshake failed: {reason}",
    "tls.no_answer": "no answer on port {port} within {seconds:g} s",
    "tls.nothing_listens": "nothing listens on its port {port}",
    "tls.reset": "the connection was reset in the TLS handshake: it may be blocked from here",
    "tls.unreachable": "it can't be reached: {reason}",
}
