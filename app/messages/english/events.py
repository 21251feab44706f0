"""Details in the audit log."""

TEMPLATES = {
    "event.may": "may change settings",
    "event.may_not": "may no longer change settings",
    "event.from": "from {place}",
    "event.failures": "from {place}, {count:,} times in {minutes} min",
    "event.container": "from the container {name}",
    "event.speed": "{bits_per_second} bit/s",
    "event.fields": "{names}",
    "event.expires": "expires on {at}",
    "event.cover": "{domain} {reason}",
    "event.of_old_image": "{count} of an old image",
    "event.of_new_image": "by one of the new image",
}
