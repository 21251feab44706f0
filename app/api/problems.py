"""What goes wrong, for programs: RFC 9457, application/problem+json, made of the same problems that people read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.accounts.actor import NotAllowed
from app.accounts.tokens import NoToken
from app.control.errors import LoginBusy, LoginThrottled, Refused, Unfinished
from app.ledger.idempotency import KeyInUse
from app.messages import Problem, coded
from app.messages.errors import Coded
from app.rules.seen import Outdated

MEDIA = "application/problem+json"


class Bad(Refused):
    """What was sent can't be read. status: of HTTP."""

    def __init__(self, code: str | Problem, status: int = 400, field: str = "", **params: object) -> None:
        super().__init__(code, field, **params)
        self.status = status


class TooMany(Refused):
    """Too many requests; `seconds` until the next one is answered."""

    def __init__(self, seconds: float) -> None:
        super().__init__("api.too_many", seconds=max(1, math.ceil(seconds)))
        self.seconds = seconds


class NothingThere(Refused):
    """There is nothing of this id."""


def init_blueprint(blueprint: Blueprint) -> None:
    """Answers what its views raise."""
    blueprint.register_error_handler(Coded, refused)
    blueprint.register_error_handler(HTTPException, http_error)


def refused(error: Coded) -> Response:
    """What was not done, and why, field by field."""
    return answer(status_of(error), error.problems, headers_of(error))


def http_error(error: HTTPException) -> Response:
    """What Flask itself refuses, and what it could not answer at all."""
    code = error.code or 500
    headers = {"Allow": ", ".join(sorted(error.valid_methods or ()))} if isinstance(error, MethodNotAllowed) else {}
    return answer(code, [Problem(_OF_HTTP.get(code, "api.failed" if code >= 500 else "api.refused"))], headers)


def status_of(error: Coded) -> int:
    """The status of HTTP that tells a program what kind of trouble it is."""
    if isinstance(error, Bad):
        return error.status
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    if isinstance(error, Unfinished) or not any(problem.field for problem in error.problems):
        return 409
    return 422


def headers_of(error: Coded) -> dict[str, str]:
    if isinstance(error, NoToken):
        return {"WWW-Authenticate": "Bearer" if error.code == "token.missing" else 'Bearer error="invalid_token"'}
    seconds = getattr(error, "seconds", None)
    if isinstance(error, KeyInUse):
        seconds = 1
    return {"Retry-After": str(max(1, math.ceil(seconds)))} if seconds else {}


def answer(status: int, problems: Sequence[Problem], headers: Mapping[str, str] | None = None,
           instance: str = "") -> Response:
    """The document: the first problem as its detail, and all of them, each with the field that it is about. instance:
    what was asked for, "" for the path of this request."""
    told = [entry(problem) for problem in problems if problem.code != "unchanged"] or [entry(problems[0])]
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status,
                "detail": told[0]["message"], "instance": instance or request.path, "code": told[0]["code"],
                "errors": told}
    # What was sent may hold half a character.
    text = json.dumps(document, ensure_ascii=False).encode(errors="replace")
    return Response(text, status, dict(headers or {}), mimetype=MEDIA)


def entry(problem: Problem) -> dict[str, Any]:
    """One problem: its field, "" if it is about none, code, params and message."""
    inner = problem.params.get("problem") if problem.code == "config.at" else problem
    return {"field": problem.field, **coded(inner if isinstance(inner, Problem) else problem)}


#: The first that fits.
_STATUS: tuple[tuple[type[Coded], int], ...] = (
    (NoToken, 401), (NotAllowed, 403), (NothingThere, 404), (KeyInUse, 409), (Outdated, 412), (TooMany, 429),
    (LoginThrottled, 429), (LoginBusy, 429))
#: What nginx answers by itself, in nginx/panel.conf and the template of the door: a panel that is away says nothing.
OF_NGINX = {413: Problem("api.large"), 502: Problem("api.away")}
_OF_HTTP = {404: "api.not_found", 405: "api.method", 413: "api.large", 500: "api.failed"}
