"""The first run of a new installation: its steps, and which of them are done.

Where somebody is in it is kept nowhere. It is read off the declaration, so it can be left, continued by somebody else,
and done in part on the command line or by install.sh. What is kept is one thing: whether it is over.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from app.accounts.admins import has_first_password
from app.config.model import Config
from app.config.values import is_ip
from app.control.system import System
from app.lib.public import is_public
from app.runtimes.ports import own_address

#: In their order.
PASSWORD, ADDRESS, MODE, USER, LINK = STEPS = ("password", "address", "mode", "user", "link")


def done(system: System, username: str) -> dict[str, bool]:
    """Each step, and whether this admin has nothing left to do there.

    The mode is chosen as soon as there is a link that would change with it.
    """
    config = system.declaration.last_good()
    addressed = bool(config.server_domain or config.server_ip)
    return {
        PASSWORD: not has_first_password(config, username),
        ADDRESS: addressed and system.server.note(config) is None,
        MODE: config.port_443_mode or bool(config.users),
        USER: bool(config.users),
        LINK: not config.first_run,
    }


def upcoming(steps: dict[str, bool], after: str = "") -> str:
    """The first step that is not done, of those after this one ("": of all); the last one if all are."""
    later = STEPS[STEPS.index(after) + 1:] if after else STEPS
    return next((step for step in later if not steps[step]), LINK)


def likely_address(config: Config, asked_for: str) -> str:
    """What to offer as the server's address, a name or an IP address: "" if nothing is likely, or one is declared.

    asked_for: the name or address by which the admin's browser reached the panel. It may be a tunnel's.
    """
    if config.server_domain or config.server_ip:
        return ""
    if is_ip(asked_for):
        if not ipaddress.ip_address(asked_for).is_loopback:
            return asked_for
    elif "." in asked_for and not asked_for.endswith(".localhost"):
        return asked_for
    own = own_address()
    with suppress(ValueError):
        # A container's own address leads nobody anywhere.
        return own if is_public(own) else ""
    return ""
