"""Admins, and how they log in."""

TEMPLATES = {
    "admin.bad_name": "the admin name {name!r} is not allowed: {reason}",
    "admin.exists": "there is an admin {name!r} already; reset-password gives a new password",
    "admin.unknown": "there is no admin {name!r}; there are: {names}",
    "admin.last_removed":
        "{name!r} is the only admin who may change settings, so they can't be removed. Give that right to another "
        "admin first: admin set NAME --sudo",
    "admin.last_kept":
        "{name!r} is the only admin who may change settings, so this right can't be taken away. Give it to another "
        "admin first: admin set NAME --sudo",
    "password.no_text": "the password is not text in UTF-8",
    "actor.not_sudo":
        "Only an admin who may change settings (sudo) can do this, and {name} is not one. Nothing was changed.",
    "actor.no_admin": "Only an admin can do this, and {name} is not one. Nothing was changed.",
    "login.throttled": "Too many failed logins. Try again in {minutes} min.",
    "login.busy": "Too many people log in at this moment. Try again in a few seconds.",
}
