"""telemt's API: closed to everybody but its own health check and the panel, and never a way to change anything.

What telemt serves stands in its files, and in nothing else: `read_only`.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Mapping, Sequence

from app.engines.base import Question
from app.lib import portmap
from app.runtimes import ports


def settings(metrics: str, secret_key: str, allowed: list[str]) -> dict[str, object]:
    """The table [server.api]. metrics: "ip:port" of the metrics, beside which it listens. allowed: networks."""
    return {"enabled": True, "listen": ports.join(ports.split(metrics)[0], portmap.API), "whitelist": allowed,
            "auth_header": auth_header(secret_key), "read_only": True}


def auth_header(secret_key: str) -> str:
    """The Authorization header that it asks for, worked out from the installation's own key."""
    return "Bearer " + hmac.new(secret_key.encode(), b"telemt api", hashlib.sha256).hexdigest()


def ask_addresses(secret_key: str) -> Question:
    """See Engine.ask_addresses()."""
    return Question(portmap.API, "/v1/stats/users/active-ips", {"Authorization": auth_header(secret_key)})


def addresses(answer: str) -> Mapping[str, Sequence[str]]:
    """See Engine.addresses()."""
    try:
        told = json.loads(answer)["data"]
        return {str(user["username"]): [str(ipaddress.ip_address(ip)) for ip in user["active_ips"]] for user in told}
    except (KeyError, TypeError) as error:
        raise ValueError(answer[:100]) from error
