"""The page of a user (/s/TOKEN): whose it is, and under which address people find it. Pure.

The token stands in the declaration as it is. The operator must see it again, and what it opens - the user's link -
stands beside it in the same file: a hash would keep nothing from whoever reads that.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter

from app.config.model import Config, User
from app.rules import door

#: What a token looks like: 128 random bits.
TOKEN = r"[A-Za-z0-9_-]{22}"
_TOKEN_BYTES = 16


def new_token() -> str:
    """22 letters, digits, _ and -: 128 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def index(config: Config) -> dict[bytes, str]:
    """Ids of users by what `key` makes of the token of their page. A token that two users have, as after a copy by
    hand, opens neither's: neither of them may see the other's link."""
    found = Counter(user.share_token for user in config.users if user.share_token)
    return {key(user.share_token): user.id for user in config.users if found[user.share_token] == 1}


def key(token: str) -> bytes:
    """What a token is looked up by. Of a digest, no time of any comparison tells how much of the token was right; and
    one look-up takes as long with a thousand pages as with one."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def find(config: Config, token: str) -> User | None:
    """Whose page this token opens; None for nobody's."""
    wanted = index(config).get(key(token)) if token else None
    return next((user for user in config.users if user.id == wanted), None) if wanted else None


def tokens(config: Config) -> tuple[str, ...]:
    """All tokens that open a page, in an order of their own."""
    found = sorted(user.share_token for user in config.users if user.share_token)
    return tuple(token for token in dict.fromkeys(found) if found.count(token) == 1)


def path(token: str) -> str:
    return f"/s/{token}"


def site(config: Config, edge: bool, public_port: int, door_port: int) -> str:
    """Where people find these pages, such as "https://share.example.org"; "" if nginx leads nobody to them.

    edge: whether nginx stands before the panel. public_port, door_port: where people reach it, see Port443.
    """
    host = config.share_hostname or config.panel_domain
    if edge and host:
        return f"https://{host}" + ("" if public_port == 443 else f":{public_port}")
    found = door.address(config) if edge else ""
    if not found or not door_port:
        return ""
    return f"https://{f'[{found}]' if ':' in found else found}:{door_port}"
