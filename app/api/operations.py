"""What can be asked for, each with everything that OpenAPI tells of it, and one way to carry all of it out."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from flask import Blueprint, Response, g, request

from app.accounts.actor import Actor, Right
from app.api.fields import Field, refuse_misfits
from app.api.problems import Bad, NothingThere
from app.config.json_text import NotJson, parse
from app.config.model import Config
from app.control.errors import Unfinished, refusing
from app.control.system import System
from app.messages import Problem, coded
from app.rules import seen
from app.web.context import the_config, the_system

#: What a path says in <…>, and how.
_IN_PATH = re.compile(r"<(?:(\w+):)?(\w+)>")
#: Versions as If-Match has them. A weak one (W/) is as good: whoever compresses an answer on its way makes it so.
_TAGS = re.compile(r'\s*(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*\s*')
_JSON = ("application/json", "application/merge-patch+json")


@dataclass(frozen=True)
class Answer:
    """data: a record, as `Operation.answers` says; None for nothing. version: of what may be changed, "" for none.
    raw: what is no JSON. location: of what was made, below the API."""

    data: Any = None
    status: int = 200
    version: str = ""
    location: str = ""
    raw: Response | None = None


@dataclass(frozen=True)
class Asked:
    """One request, checked: who asks, and what they sent. wanted: the versions of If-Match, None where any will do."""

    actor: Actor
    system: System
    body: Mapping[str, Any]
    query: Mapping[str, Any]

    @property
    def config(self) -> Config:
        return the_config()

    wanted: Sequence[str] | None

    def check(self, part: Any, only: Sequence[str] | None = None, key: str = "") -> None:
        """Raises Outdated for what is not as the program has read it. only, key: as in seen.version."""
        if self.wanted is not None:
            seen.refuse_outdated(part, self.wanted, only, key)

    def made_once(self, make: Callable[[], str]) -> str:
        """The id of what is made by the request's Idempotency-Key, now or before; without one, always now."""
        key = request.headers.get("Idempotency-Key")
        if key is None:
            return make()
        if not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
            raise Bad("api.key", 422, "Idempotency-Key")
        asked = f"{request.method} {request.path}\0".encode() + json.dumps(self.body, sort_keys=True).encode()
        # A body may hold a password, and a plain hash of it could be guessed at. The token is kept nowhere.
        fingerprint = hmac.digest(g.bearer_text.encode(errors="replace"), asked, "sha256")
        with refusing():
            made, now = self.system.ledger.idempotency_keys.once(
                g.bearer.token.id, key, fingerprint, self.system.reconciler.now().timestamp(), make)
        if not now:
            g.replayed = True
        return made

    def done_once(self, do: Callable[[], Answer], again: Callable[[], Answer]) -> Answer:
        """What `do` answers; where an earlier request with this Idempotency-Key did it, what `again` does. What was
        saved and not applied yet was done."""
        first: list[Answer | Unfinished] = []

        def make() -> str:
            try:
                first.append(do())
            except Unfinished as unfinished:
                first.append(unfinished)
            return "done"

        self.made_once(make)
        if not first:
            return again()
        if isinstance(first[0], Unfinished):
            raise first[0]
        return first[0]


@dataclass(frozen=True)
class Operation:
    """right: what it needs. answers: the record that it answers with, a list of one as `list[…]`; None for nothing.
    body: None where none is sent. query: the parameters of the address. versioned: whether If-Match is looked at, and
    the answer has an ETag. once: whether Idempotency-Key is. again: what answers where it was done by an earlier
    request with its key; None where the view itself makes something once. media: of an answer that is no JSON."""

    method: str
    path: str
    right: Right
    view: Callable[..., Answer]
    answers: Any
    status: int
    body: tuple[Field, ...] | None
    query: tuple[Field, ...]
    versioned: bool
    once: bool
    again: Callable[..., Answer] | None
    media: tuple[str, ...]

    @property
    def name(self) -> str:
        """Unique: of the file that it stands in, and the function."""
        return f"{self.group}_{self.view.__name__}"

    @property
    def group(self) -> str:
        return self.view.__module__.rpartition(".")[2]

    @property
    def if_match(self) -> bool:
        """Whether it changes something that has a version."""
        return self.versioned and self.method != "GET" and self.status not in (201, 202)

    @property
    def template(self) -> str:
        """The path as OpenAPI has it."""
        return _IN_PATH.sub(r"{\2}", self.path)

    @property
    def in_path(self) -> list[str]:
        return [name for _, name in _IN_PATH.findall(self.path)]


OPERATIONS: list[Operation] = []

View = Callable[..., Answer]


def operation(method: str, path: str, right: Right = Right.VIEW, answers: Any = None, status: int = 200,
              body: Sequence[Field] | None = None, query: Sequence[Field] = (), versioned: bool = False,
              once: bool = False, again: View | None = None,
              media: Sequence[str] = ()) -> Callable[[View], View]:
    """Registers a view: its docstring says what it does. With `again`, it takes Idempotency-Key."""
    def register(view: View) -> View:
        OPERATIONS.append(Operation(method, path, right, view, answers, status,
                                    None if body is None else tuple(body), tuple(query), versioned,
                                    once or again is not None, again, tuple(media)))
        return view
    return register


def add_to(blueprint: Blueprint) -> None:
    """Adds a route for each operation."""
    for each in OPERATIONS:
        blueprint.add_url_rule(PREFIX + each.path, each.name, _answering(each), methods=[each.method],
                               provide_automatic_options=False, merge_slashes=False)


def _answering(asked_for: Operation) -> Callable[..., Response]:
    def answering(**ids: str) -> Response:
        actor: Actor = g.bearer.actor
        # What the action asks for again; a read asks nowhere else.
        actor.require(asked_for.right)
        query = _query(asked_for.query)
        body = {} if asked_for.body is None else _body(asked_for.body)
        wanted = _wanted() if asked_for.if_match else None
        asked, again = Asked(actor, the_system(), body, query, wanted), asked_for.again
        if again is None:
            return _sent(asked_for.view(asked, **ids))
        return _sent(asked.done_once(lambda: asked_for.view(asked, **ids), lambda: again(asked, **ids)))
    return answering


def _wanted() -> list[str] | None:
    """The versions of If-Match; None where any will do. Raises Bad."""
    text = request.headers.get("If-Match")
    if text is None or text.strip() == "*":
        return None
    if not _TAGS.fullmatch(text):
        raise Bad("api.if_match", 422, "If-Match")
    return re.findall(r'"([^"]*)"', text)


def _body(expected: Sequence[Field]) -> dict[str, Any]:
    """What was sent, of the right types. Raises Refused."""
    raw = request.get_data()
    if not raw.strip():
        body: Any = {}
    else:
        if (encoding := request.headers.get("Content-Encoding", "identity")).lower() != "identity":
            raise Bad("api.encoding", 415, encoding=encoding[:60])
        if request.mimetype not in _JSON:
            raise Bad("api.media", 415, type=(request.mimetype or "")[:60])
        try:
            body = parse(raw)
        except NotJson as error:
            raise Bad("api.no_json", reason=error) from None
    if not isinstance(body, dict):
        raise Bad("api.no_object")
    refuse_misfits(expected, body)
    return body


def _query(expected: Sequence[Field]) -> dict[str, Any]:
    """The parameters of the address, of the right types. Raises Refused."""
    by_name, found = {each.name: each for each in expected}, {}
    for name, several in request.args.lists():
        if len(several) > 1:
            raise Bad("api.twice", 422, name)
        found[name] = _read(by_name[name], several[0]) if name in by_name else several[0]
    refuse_misfits(expected, found, "api.unknown_parameter")
    return {each.name: each.default for each in expected} | found


def _read(expected: Field, text: str) -> Any:
    if expected.kind == "whole" and re.fullmatch(r"-?[0-9]{1,15}", text, re.ASCII):
        return int(text)
    if expected.kind == "number" and re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text, re.ASCII):
        return float(text)
    if expected.kind == "switch":
        return {"true": True, "false": False}.get(text, text)
    return text


def _sent(answer: Answer) -> Response:
    response = answer.raw
    if response is None:
        text = "" if answer.data is None else json.dumps(plain(answer.data), ensure_ascii=False)
        response = Response(text, answer.status, mimetype="application/json")
        if answer.data is None:
            response.headers.pop("Content-Type")
    if answer.version:
        response.set_etag(answer.version)
    if answer.location:
        response.headers["Location"] = request.script_root + PREFIX + answer.location
    if g.get("replayed"):
        response.headers["Idempotency-Replayed"] = "true"
    return response


#: Where the API begins.
PREFIX = "/api/v1"


def plain(value: Any) -> Any:
    """A record as JSON has it; a problem is its code, params and message."""
    if isinstance(value, Problem):
        return coded(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def empty(status: int) -> Callable[..., Answer]:
    """Answers nothing, which is all that there is to say of it again."""
    return lambda asked, **ids: Answer(status=status)


def nothing(what: str, ref: str) -> NothingThere:
    """There is nothing of this id. what: the code that says so."""
    return NothingThere(what, ref=ref)


