"""Admins, and how they log in."""

TEMPLATES = {
    "admin.bad_name": "the admin name {name!r} is not allowed: {reason}",
    "login.throttled": "Too many failed logins. Try again in {minutes} min.",
    "login.busy": "Too many people log in at this moment. Try again in a few seconds.",
}
