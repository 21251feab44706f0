"""What somebody saw before they changed it: nothing that somebody else has changed meanwhile is overwritten without a
word. People send what their page showed, field by field; programs the version of the whole that they read. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping

from pydantic import BaseModel

from app.config.model import Config, User
from app.messages import Problem
from app.messages.refused import Refused

#: What passes by itself, and is nobody's change: the end of an old link.
_BY_ITSELF = {"old_links"}


class Outdated(Refused):
    """It is not as it was when it was read. Nothing was changed."""


def version(part: BaseModel, only: Collection[str] | None = None, key: str = "") -> str:
    """Stands for what is declared of a user, a plan or the settings: as long as nobody changes it, it is the same.

    only: the fields that count; None for all. key: for what holds something that could be guessed at, and is not for
    whoever reads the version.
    """
    declared = part.model_dump(mode="json", by_alias=True, include=set(only) if only is not None else None,
                               exclude=_BY_ITSELF if isinstance(part, User) else None, warnings=False)
    text = json.dumps(declared, sort_keys=True).encode()
    return (hmac.digest(key.encode(), text, "sha256").hex() if key else hashlib.sha256(text).hexdigest())[:20]


def refuse_outdated(part: BaseModel, wanted: Collection[str], only: Collection[str] | None = None,
                    key: str = "") -> None:
    """Raises Outdated unless its version is one of those wanted."""
    if version(part, only, key) not in wanted:
        name = "" if isinstance(part, Config) else str(getattr(part, "name", ""))
        raise Outdated("stale.version", name=name) if name else Outdated("stale.settings")


def refuse_stale(shown: Mapping[str, str], changes: Mapping[str, str], now: Mapping[str, str],
                 together: Collection[str] = ()) -> None:
    """Raises Refused, with a part for every field that somebody else has changed since it was shown, and this person
    too, to something else. Fields that only one of both has changed are merged by leaving the others alone.

    shown, now: what was and is declared, as it is typed. changes: what this person typed where it differs from what
    was shown. together: fields that say one thing, so that a change to one is a change to all.
    """
    Refused.raise_all([
        Refused("form.stale", name, before=shown[name] or Problem("form.empty"), now=now[name] or Problem("form.empty"))
        for name in dict.fromkeys((*changes, *together))
        if words(now[name]) not in (words(shown[name]), words(changes.get(name, shown[name])))])


def words(text: str) -> list[str]:
    """What is typed, without what only separates: a list may be in one line or in many."""
    return text.replace(",", " ").replace(";", " ").split()
