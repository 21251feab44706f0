"""telemt's API: closed to everybody but its own health check, and never a way to change anything.

What telemt serves stands in its files, and in nothing else: `read_only`.
"""

from __future__ import annotations

import hashlib
import hmac

from app.lib import portmap
from app.runtimes import ports


def settings(metrics: str, secret_key: str, allowed: list[str]) -> dict[str, object]:
    """The table [server.api]. metrics: "ip:port" of the metrics, beside which it listens. allowed: networks."""
    return {"enabled": True, "listen": ports.join(ports.split(metrics)[0], portmap.API), "whitelist": allowed,
            "auth_header": auth_header(secret_key), "read_only": True}


def auth_header(secret_key: str) -> str:
    """The Authorization header that it asks for, worked out from the installation's own key."""
    return "Bearer " + hmac.new(secret_key.encode(), b"telemt api", hashlib.sha256).hexdigest()
