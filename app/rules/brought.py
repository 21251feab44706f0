"""Links of another proxy that a new user brings along: what is taken over, and what can't be kept. Pure."""

from __future__ import annotations

from urllib.parse import unquote

from app.config.model import Config
from app.messages import Problem
from app.messages.refused import Refused
from app.mtproto.links import Link, LinkError, parse_link
from app.mtproto.secret import Secret, SecretError


def read(text: str) -> tuple[Secret, Link | None]:
    """The secret of a link, or of a secret alone, for which there is no link. Raises Refused."""
    text = text.strip().removeprefix("<").removesuffix(">").strip()
    if "%3f" in text.lower():
        text = unquote(text)  # a link that was copied out of another one's query
    if text.lower().startswith(("t.me/", "telegram.me/")):
        text = f"https://{text}"
    try:
        if ":" in text or "?" in text:
            link = parse_link(text)
            return link.secret, link
        return Secret.parse(text), None
    except (LinkError, SecretError) as error:
        raise Refused(error.problem.about("link")) from None


def refuse_ours(config: Config, secret: Secret) -> None:
    """Raise Refused for a secret that a user has already, in today's link or an old one."""
    for user in config.users:
        if secret.hex in (user.secret, *(old.secret for old in user.old_links)):
            raise Refused("user.link_known", "link", name=user.name)


def not_kept(text: str, now: str) -> list[Problem]:
    """What of the link that was brought along is another in the link `now`."""
    link, ours = read(text)[1], parse_link(now)
    if link is None:
        return []
    found: list[Problem] = []
    if link.server.lower() != ours.server.lower():
        found.append(Problem("user.link_server", {"server": link.server, "ours": ours.server}))
    if link.port != ours.port:
        found.append(Problem("user.link_port", {"port": link.port, "ours": ours.port}))
    return found
