"""Who asks: a token in each request, how often it may, how much may be sent. Nothing here knows a session."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, current_app, g, jsonify, request

from app.accounts.logins import Place
from app.accounts.tokens import NoToken
from app.api import metrics, problems
from app.api.document import document
from app.api.operations import OPERATIONS as OPERATIONS
from app.api.operations import PREFIX, add_to
from app.api.problems import TooMany
from app.web.context import client_address, current_admin, door, the_system
from app.web.security import LARGEST_FORM
from app.web.share.limit import Limit

#: Requests a minute of one token.
MOST = 600

blueprint = Blueprint("api", __name__)


def init_app(app: Flask) -> None:
    """Counts the requests of tokens, and takes these addresses out of what only pages of the panel may send."""
    app.extensions["api_limit"] = Limit(MOST)
    app.extensions["api_error"] = problems.http_error  # where there is no such address, or method
    app.extensions["csrf"].exempt(blueprint)


@blueprint.before_request
def recognize() -> None:
    """Finds the token of this request. Raises NoToken and TooMany."""
    request.max_content_length = LARGEST_FORM
    if request.endpoint == "api.openapi" and current_admin() is not None:
        return
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise NoToken("token.missing")
    system = the_system()
    place = Place(client_address(), door())
    g.bearer_text = text.strip()
    g.bearer = system.tokens.bearer(g.bearer_text, place, system.reconciler.now())
    wait = current_app.extensions["api_limit"].wait(g.bearer.token.id, "")
    if wait:
        raise TooMany(wait)


@blueprint.get(f"{PREFIX}/openapi.json", provide_automatic_options=False)
def openapi() -> Response:
    """This API as a document."""
    return jsonify(document(request.script_root + PREFIX))


@blueprint.get("/metrics", provide_automatic_options=False)
def prometheus() -> Response:
    """For Prometheus."""
    return metrics.answer(the_system(), whole=request.args.get("users") != "0")


add_to(blueprint)
problems.init_blueprint(blueprint)
