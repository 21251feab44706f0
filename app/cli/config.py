"""`config …`: the declaration as it stands in data/config.json."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from app.cli.root import Group, Invocation
from app.config.masked import MASK, without_password

#: Fields of which not even a part is shown.
HIDDEN = {"_not_understood", "admin_password_hash", "password_hash", "_initial_password", "secret_key", "totp_secret",
          "recovery_codes"}
#: Fields of other versions, which are kept, may hold anything.
SOUNDS_SECRET = re.compile(r"passw|token|hash|private|api_?key", re.IGNORECASE)


@click.group(cls=Group)
def config() -> None:
    """The declaration: data/config.json."""


@config.command()
@click.pass_obj
def check(obj: Invocation) -> None:
    """Read config.json, and say what is wrong with it or odd."""
    from app.messages import sentence

    file = obj.file()
    warnings = [sentence(warning) for warning in file.check()]
    lines = [f"! {warning}" for warning in warnings]
    obj.answer({"ok": True, "warnings": warnings}, "\n".join([*lines, f"{file.path} is valid."]))


@config.command()
@click.option("--reveal", is_flag=True, help="Secrets, password hashes and keys too.")
@click.pass_obj
def show(obj: Invocation, reveal: bool) -> None:
    """Print config.json, with what must stay secret masked."""
    from app.config import model

    document = model.dump(obj.file().read())
    if not reveal:
        document = masked(document)
    obj.answer(document, json.dumps(document, indent=2, ensure_ascii=False))


def masked(node: Any) -> Any:
    """A copy of the dumped declaration without anything that lets somebody in."""
    from app.mtproto.secret import Secret

    if isinstance(node, list):
        return [masked(item) for item in node]
    if not isinstance(node, dict):
        return node
    shown = {key: value if key in HIDDEN else masked(value) for key, value in node.items()}
    for key, value in node.items():
        if not value:
            continue
        if key in HIDDEN or (isinstance(value, str) and SOUNDS_SECRET.search(key)):
            shown[key] = MASK
        elif key == "secret":
            shown[key] = Secret.parse(value).masked()
        elif key == "upstream_socks5":
            shown[key] = without_password(value)
    return shown
