"""How it is: of users and their proxies, of certificates, of the whole."""

TEMPLATES = {
    # Several at once, and whose they are.
    "several": "{problems:clauses}",
    "of_user": "{name}: {reason}",
    "of_users": "{names}: {reason}",
    "of_many": "{names} and {count:,} more: {reason}",
    "of_old_link": "{name}, previous link ({domain}): {reason}",
    # Users.
    "user.expired": "expired on {at:end}, until a later date is set",
    "user.estimated":
        "its engine tells no counters (no metrics answer on its metrics port), so its traffic is estimated from the "
        "container's network counters, and its connections and probes are not known",
    "links.changed": "The links have changed: send them again.",
    "limit.used": "used {used_gb:.2f} of {limit_gb:g} GB: {done} {end}",
    "limit.blocked": "blocked",
    "limit.slowed": "slowed to {mbps:g} Mbit/s",
    "limit.not_slowed": "not slowed down, as no speed is set for it",
    "limit.until": "until {at:moment}, when the traffic is reset",
    "limit.until_reset": "until the traffic is reset or the limit is raised",
    "hint.wrong_clock":
        "{count} {count:attempt|attempts} with the right key (the last on {last:moment}) refused, as the device's "
        "clock is {off} this server's. Set the time of that device to automatic - or, if several people have this, "
        "correct the clock of this server",
    "hint.no_sni":
        "{count} {count:attempt|attempts} with the right key (the last on {last:moment}) but without the domain in the "
        "link: shown the cover site. An app or a link converter has shortened the secret: send the whole link again, "
        "and ask the user to update the app",
    "hint.other_sni":
        "{count} {count:attempt|attempts} with the right key (the last on {last:moment}) but for another domain: shown "
        "the cover site. The link in use is from before the domain was changed: send the current one",
    "hint.more": "{count} more {count:note is|notes are} on the pages of the users",
    # Certificates.
    "certificate.trouble": "Certificate {name} ({domain}): {reason}",
    "certificate.ends": "Certificate {name} ({domain}) expires in {days} {days:day|days}",
    # The whole.
    "declaration.no_edge":
        "{@port_443_mode} is on in config.json, but this panel runs without the nginx of docker-compose.yml "
        "(docs/docker.md): users are reached on their own ports",
    "traffic.unwritten":
        "traffic can't be written to panel.db ({reason}): until this is solved, the numbers do not change and "
        "no limit is noticed; what the proxies count is kept in memory",
}
