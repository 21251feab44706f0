"""OpenAPI 3.1, made of the operations: whatever can be asked for is in it, with the types that are checked."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter

from app.accounts.actor import Right
from app.api import bans, declared, many, mtproxy, notifications, people, server, users
from app.api.fields import Field
from app.api.operations import OPERATIONS, Operation
from app.api.problems import MEDIA
from app.lib.version import version

#: The scope that a token needs for a right.
SCOPES = {Right.VIEW: "read", Right.USERS: "users", Right.SUDO: "admin"}
#: Each file of operations, and what it is about.
GROUPS = {users: "Users", many: "Many users, and deleted ones", declared: "Plans and settings",
          notifications: "Notifications", server: "The whole", mtproxy: "MTProxy", bans: "Bans",
          people: "Admins, tokens and backups"}

_TOLD = {
    "type": "object", "description": "What is wrong, or worth knowing: a code that stays, and the sentence in English.",
    "properties": {"code": {"type": "string"}, "params": {"type": "object"}, "message": {"type": "string"}},
    "required": ["code", "params", "message"]}
_PROBLEM = {
    "type": "object", "description": "RFC 9457. `errors` has everything that is wrong at once, each with its field.",
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "instance": {"type": "string"}, "code": {"type": "string"},
        "errors": {"type": "array", "items": {
            "type": "object", "properties": {"field": {"type": "string"}, **_TOLD["properties"]},  # type: ignore[dict-item]
            "required": ["field", "code", "params", "message"]}}},
    "required": ["type", "title", "status", "detail", "instance", "code", "errors"]}
_WHY = {
    400: "The body, or a part of it, can't be read.", 401: "No token, or one that is worth nothing.",
    403: "The token may not do this.", 404: "There is nothing of this id.",
    409: "It can't be done as things are now, or is saved and not applied yet (code `unfinished`).",
    412: "It is not as it was when it was read (If-Match).", 413: "More was sent than is allowed.",
    415: "The body is no JSON.", 422: "Something that was sent is not allowed; `errors` says what, all at once.",
    429: "Too many requests, or too many wrong tokens. Retry-After says when."}


def document(server_url: str) -> dict[str, Any]:
    """The whole document. server_url: where the API begins, as the reader has to write it."""
    return {**_document(), "servers": [{"url": server_url}]}


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    schemas: dict[str, Any] = {
        "Told": _TOLD, "Problem": _PROBLEM, "UserFields": _object(users.TOLD), "PlanFields": _object(declared.PLAN),
        "Settings": _object(declared.FIELDS), "ChannelFields": _some(notifications.TOLD)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.template, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "MTProto Proxy Manager", "version": version(),
                 "description": "What the panel does, for programs. docs/api.md has examples."},
        "security": [{"token": []}],
        "tags": [{"name": _group(module.__name__), "description": words} for module, words in GROUPS.items()],
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "description": "A token of the panel."}}}}


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    scope = SCOPES[operation.right]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
                  for name in operation.in_path]
    parameters += [{"name": field.name, "in": "query", "required": field.required,
                    "description": field.help, "schema": _without_help(field)} for field in operation.query]
    if operation.if_match:
        parameters.append(_header("If-Match", 'The ETag that was read, such as "3f…", or *: a change is refused if '
                                              "somebody else made one since.", "^(\\*|\"[^\"]*\")$"))
    if operation.once:
        parameters.append(_header("Idempotency-Key",
                                  "Of your choice, a new one for each thing to be done. With the same one, "
                                  "nothing is done again for a day.", "^[ -~]{1,255}$"))
    summary, _, more = inspect.cleandoc(operation.view.__doc__ or "").partition(". ")
    told = {"operationId": operation.name, "tags": [operation.group], "summary": summary.rstrip("."),
            "description": f"{more}\n\nNeeds the scope `{scope}`.".strip(), "parameters": parameters,
            "security": [{"token": [scope]}],
            "responses": {str(operation.status): _answer(operation, schemas), **_refusals(operation)}}
    if operation.body is not None:
        told["requestBody"] = {"required": any(field.required for field in operation.body),
                               "content": {"application/json": {"schema": _object(operation.body, strict=True)}}}
    return told


def _answer(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": "Done." if operation.status != 202 else "Begun."}
    if operation.answers is not None:
        answer["content"] = {"application/json": {"schema": _schema(operation.answers, schemas)}}
    elif operation.media:
        answer["content"] = {media: {"schema": {"type": "string", "format": "binary"}} for media in operation.media}
    headers = {}
    if operation.versioned and operation.status != 204 and operation.name != "users_new_link":
        headers["ETag"] = {"description": "The version, for If-Match.", "schema": {"type": "string"}}
    if operation.status in (201, 202) and operation.once and operation.again is None:
        headers["Location"] = {"description": "Where it is.", "schema": {"type": "string"}}
    return {**answer, **({"headers": headers} if headers else {})}


def _refusals(operation: Operation) -> dict[str, Any]:
    codes = {401, 403, 409, 429, 422}
    if operation.body is not None:
        codes |= {400, 413, 415}
    if operation.in_path or operation.once or operation.name == "server_logs":
        codes |= {404}
    if operation.name == "people_new_password":
        codes |= {404}
    if operation.if_match:
        codes |= {412}
    content = {"content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {str(code): {"description": _WHY[code], **content} for code in sorted(codes)}


def _object(fields: Sequence[Field], strict: bool = False) -> dict[str, Any]:
    """strict: as it is sent, where nothing else is allowed; else as it is told, where nothing is missing."""
    needed = [field.name for field in fields if field.required or not strict]
    schema: dict[str, Any] = {"type": "object", "properties": {
        field.name: field.schema() if strict else _told_schema(field) for field in fields}}
    if strict:
        schema["additionalProperties"] = False
    return {**schema, **({"required": needed} if needed else {})}


def _some(fields: Sequence[Field]) -> dict[str, Any]:
    """As it is told, where a kind has some of them."""
    schema = _object(fields)
    del schema["required"]
    return schema


def _told_schema(field: Field) -> dict[str, Any]:
    return {key: value for key, value in field.schema().items() if key != "default"}


def _without_help(field: Field) -> dict[str, Any]:
    return {key: value for key, value in field.schema().items() if key != "description"}


def _header(name: str, description: str, pattern: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description,
            "schema": {"type": "string", "pattern": pattern}}


def _schema(answers: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of what is answered; the records in it are added to `schemas`."""
    if get_origin(answers) is list:
        return {"type": "array", "items": _schema(get_args(answers)[0], schemas)}
    if answers is str:
        return {"type": "string"}
    schema = TypeAdapter(answers).json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    for name, part in schema.pop("$defs", {}).items():
        schemas.setdefault(name, _linked(part))
    name = answers.__name__ if answers.__name__ != "Settings" else "SettingsAnswer"
    schemas.setdefault(name, _linked(schema))
    return {"$ref": f"#/components/schemas/{name}"}


def _linked(schema: Any) -> Any:
    """The same with a reference in place of what is described here, and without titles, which only repeat names."""
    if isinstance(schema, dict):
        if "$comment" in schema:
            return {"$ref": f"#/components/schemas/{schema['$comment']}"}
        return {key: _linked(value) for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return [_linked(each) for each in schema] if isinstance(schema, list) else schema


def _group(module: str) -> str:
    return module.rpartition(".")[2]
