"""Under which names the panel may be asked for: a page elsewhere can have its own name lead to this machine
("DNS rebinding"), and would then be the panel's own origin to the browser."""

from __future__ import annotations

from flask import Flask, render_template, request
from flask.typing import ResponseReturnValue

from app.web.context import the_config
from app.web.forwarded import address
from app.web.language import gettext

#: Answered under any name and without looking at the session: they tell nothing, a load balancer has names of its
#: own for them, and they work even while the configuration can't be read.
OPEN_ENDPOINTS = frozenset({"health.healthz", "static"})
#: Answered without looking at the session, under names of ours only: a user's own page.
KEYED_ENDPOINTS = frozenset({"share.page"})
#: Answered to whoever has a token (app/api), and by it alone: no session is looked at, no page shown. One address of it
#: is for who is logged in, too.
BY_TOKEN, BY_BOTH = "api", "api.openapi"


def init_app(app: Flask) -> None:
    """Refuses names that are not the panel's."""
    app.before_request(refuse_foreign_names)


def refuse_foreign_names() -> ResponseReturnValue | None:
    """421 under a name that nobody declared. By HTTPS the certificate sees to that already, and a page elsewhere has no
    token."""
    if request.is_secure or request.endpoint in OPEN_ENDPOINTS or is_by_token():
        return None
    name = name_of(request.environ.get("HTTP_HOST", ""))
    if _is_local(name) or name in _declared():
        return None
    # Not the whole command: it would have to hold the names that are declared already, which are not for strangers.
    sentence = gettext("%(name)s is not one of the names that lead to this page. If it is yours, add it to the setting "
                       "panel_hosts, on the server.", name=name[:253])
    return render_template("error.html", code=421, title=gettext("Not under this name"), sentence=sentence), 421


def name_of(host: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    return (host if host.endswith("]") else host.rpartition(":")[0] if ":" in host else host).lower().rstrip(".")


def _is_local(name: str) -> bool:
    """No Host at all (not a browser), an address, or a name that no DNS of the internet can have."""
    return "." not in name or name.endswith(".localhost") or address(name) is not None


def _declared() -> set[str]:
    config = the_config()
    return {config.server_domain, config.panel_domain, *config.panel_hosts}


def is_by_token() -> bool:
    """Whether this request is one of the API's, known addresses of it or not."""
    blueprint = (request.blueprint or "").partition(".")[0]
    return blueprint == BY_TOKEN or request.path.startswith("/api/") or request.path == "/metrics"
