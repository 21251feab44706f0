"""The panel's door at the bare address: HTTPS on a port of its own, under a path that nobody can guess."""

from __future__ import annotations

import secrets

from app.config.model import Config
from app.config.values import is_ip
from app.lib.public import is_public
from app.messages import Problem

#: Bytes of a path that is made here.
_PATH_BYTES = 16


def new_path() -> str:
    """22 letters, digits, _ and -: 128 random bits."""
    return secrets.token_urlsafe(_PATH_BYTES)


def address(config: Config) -> str:
    """The IP address at which the panel is served; "" if it is at none."""
    if not (config.panel_by_address and config.panel_path):
        return ""
    return config.server_ip or (config.server_domain if is_ip(config.server_domain) else "")


def certifiable(config: Config) -> str:
    """The same, if an authority is to be asked for a certificate for it: "" for an address that only this network
    knows, unless the authority is one of the operator's."""
    found = address(config)
    return found if found and (config.acme_directory or is_public(found)) else ""


def url(config: Config, port: int) -> str:
    """Where people find the panel, by this port of the machine; "" if the address is not served."""
    found = address(config)
    if not found or not port:
        return ""
    host = f"[{found}]" if ":" in found else found
    return f"https://{host}:{port}/{config.panel_path}/"


def unfit(config: Config, port: int, edge: bool) -> Problem | None:
    """Why the panel can't be served at the bare address; None if it can. edge: whether nginx stands before it."""
    if not edge:
        return Problem("door.no_edge", {}, "panel_by_address")
    if not port:
        return Problem("door.no_port", {}, "panel_by_address")
    if not (config.server_ip or is_ip(config.server_domain)):
        return Problem("door.no_address", {}, "server_ip")
    return None
