"""What is said of users who are to be served by another engine than they are now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from app.config.model import User
from app.control.engine_limits import ports_of_move
from app.control.records import UserView
from app.control.snapshot import Snapshot
from app.engines.base import engine_name
from app.messages import Problem

#: What is said of several users together, by what is said of one.
_OF_SEVERAL = {"move.waiting": "moves.waiting", "move.new_link": "moves.new_link",
               "move.changes_link": "moves.changes_link"}


def of_user(user: User, engine: str, sight: Snapshot) -> list[Problem]:
    """Why somebody is still served by this engine and not by the one that is declared, and what becomes of the link."""
    wanted = engine_name(user, sight.config, sight.engines)
    if engine == wanted or not user.enabled:
        return []
    before, after = ports_of_move(user, sight.config, sight.public_port, sight.engines, engine, wanted)
    why = sight.not_moved.get(user.id)
    if before != after and not sight.config.move_changes_links:
        return [why or Problem("move.changes_link", {"engine": wanted, "now": engine, "before": before,
                                                     "after": after})]
    if why is None or why.code == "move.changes_link":  # that was told before it was allowed
        why = Problem("move.waiting", {"engine": wanted, "now": engine})
    return [why] if before == after else [why, Problem("move.new_link", {"before": before, "after": after})]


def of_all(views: Iterable[UserView]) -> list[Problem]:
    """The same of several, by numbers."""
    found = Counter(hint.code for view in views for hint in view.hints)
    return [Problem(said, {"count": found[code]}) for code, said in _OF_SEVERAL.items() if found[code]]


def of_view(view: UserView) -> list[Problem]:
    """The same of one, among everything that is said of them."""
    return [Problem("of_user", {"name": view.name, "reason": hint}) for hint in view.hints
            if hint.code.startswith("move.")]
