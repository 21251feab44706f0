"""What the doctor looked at."""

TEMPLATES = {
    "outside.failed": "the helper {url} did not answer: {reason}",
    "outside.odd": "the helper {url} did not answer as one does (scripts/port-helper.py)",
    "doctor.broken": "The check ended with an unexpected error; the panel's log has the details.",
    "doctor.outside_open": "from outside, {ports} can be reached",
    "doctor.outside_closed": "from outside, port {port} can't be reached: a firewall here, one of the provider (in its "
                             "control panel), or a router in between",
    "doctor.outside_address": "from outside, this server is {address}",
    "doctor.outside_other": "from outside, this server is {address}, and links lead to {server} ({found})",
    "doctor.address": "links lead to {server}",
    "doctor.address_name": "links lead to {server}, which is {found} in the DNS",
    "doctor.address_private": "links lead to {server} ({found}), an address of a private network: only devices in the "
                              "same network can connect",
    "doctor.disk": "{free:,} MB are free on the disk of the data folder",
    "doctor.memory": "{free:,} MB of memory are available",
    "doctor.configuration": "config.json is valid, and all of it is understood",
    "doctor.door": "the panel is at {url}, with a certificate that an authority issued, good until {until:day}",
    "doctor.door_own":
        "the panel is at {url}, with a certificate of its own, good until {until:day}: compare its fingerprint "
        "(SHA-256) with what the browser shows, {fingerprint}",
    "doctor.outdated": "{count} {count:proxy runs|proxies run} an old image: `update-proxies` replaces them one by one",
    "doctor.stopped": "all proxies are stopped, as somebody has asked for: `start` ends that",
    "doctor.running": "{running} of {total} {total:proxy|proxies} run",
    "doctor.links": "Telegram answers through {count} {count:link|links}, all that run",
    "doctor.link_bad": "{name}'s link does not work from here: {reason}",
    "doctor.domain": "{domain} answers with TLS 1.3",
    "doctor.domain_bad": "{domain} can't be what a proxy looks like: {reason}",
}
