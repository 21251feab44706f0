"""What the doctor looked at."""

TEMPLATES = {
    "doctor.disk": "{free:,} MB are free on the disk of the data folder",
    "doctor.memory": "{free:,} MB of memory are available",
    "doctor.configuration": "config.json is valid, and all of it is understood",
    "doctor.door": "the panel is at {url}, with a certificate that an authority issued, good until {until}",
    "doctor.door_own":
        "the panel is at {url}, with a certificate of its own, good until {until}: compare its fingerprint (SHA-256) "
        "with what the browser shows, {fingerprint}",
    "doctor.outdated": "{count} {count:proxy runs|proxies run} an old image: `update-proxies` replaces them one by one",
    "doctor.stopped": "all proxies are stopped, as somebody has asked for: `start` ends that",
    "doctor.running": "{running} of {total} {total:proxy|proxies} run",
    "doctor.links": "Telegram answers through {count} {count:link|links}, all that run",
    "doctor.link_bad": "{name}'s link does not work from here: {reason}",
    "doctor.domain": "{domain} answers with TLS 1.3",
    "doctor.domain_bad": "{domain} can't be what a proxy looks like: {reason}",
}
