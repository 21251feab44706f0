"""The name of something that is found by its name or its id, such as a plan: as it was typed, if it is free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from app.config import values
from app.config.invalid import InvalidValue
from app.messages.refused import Refused


class Named(Protocol):
    """id: by which it is found, too."""

    name: str
    id: str


def free(text: str, mine: Named, all_of_them: Iterable[Named], taken: str) -> str:
    """The name for `mine`. Raises Refused for no name, and, with the code `taken`, for one that finds another one."""
    try:
        name = values.clean_name(text)
    except InvalidValue as error:
        raise Refused(error.problem.about("name")) from None
    for other in all_of_them:
        if other is not mine and (name.casefold() == other.name.casefold() or name == other.id):
            raise Refused(taken, "name", name=other.name)
    return name
