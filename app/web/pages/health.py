"""/healthz: for a load balancer or a health check; says that the panel answers, and nothing else."""

from __future__ import annotations

from flask import Blueprint

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[str, dict[str, str]]:
    """200 and "ok", to anybody."""
    return "ok", {"Content-Type": "text/plain; charset=utf-8"}
