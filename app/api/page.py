"""The API as a page of the panel: what can be asked for, made of the same document that programs read."""

from __future__ import annotations

from flask import Blueprint, render_template, request

from app.api.document import document
from app.api.operations import PREFIX

blueprint = Blueprint("api_page", __name__)


@blueprint.get("/account/api")
def index() -> str:
    """Every operation, by what it is about."""
    told = document(request.script_root + PREFIX)
    groups = [(tag, [(method.upper(), path, operation) for path, methods in told["paths"].items()
                     for method, operation in methods.items() if tag["name"] in operation["tags"]])
              for tag in told["tags"]]
    return render_template("tokens/api.html", groups=groups, url=request.url_root.rstrip("/") + PREFIX,
                           schemas=told["components"]["schemas"])
