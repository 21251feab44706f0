"""Which links a workload serves: as it tells itself, or, of one from before links had ids, as can be worked out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from app.rules.links import UserLink
from app.runtimes.base import Observed

#: At the end of the names of workloads that only try whether somebody could be served so (control/moving).
TRIAL = "-trial"


def standing(observed: Iterable[Observed]) -> list[Observed]:
    """Without trials."""
    return [each for each in observed if not each.name.endswith(TRIAL)]


def served(observed: Iterable[Observed], by_name: Callable[[], Mapping[str, UserLink]]) -> dict[str, tuple[str, ...]]:
    """The ids of the links that each of these workloads serves, by run id.

    by_name: the links that are declared, by the name of their workload; asked only for those that do not tell. Where
    nobody has such a workload any more, its name stands for the one link that it serves. () for one that is
    shared, whose engine tells which they are.
    """
    observed = list(observed)
    declared = {} if all(each.links or each.shared for each in observed) else by_name()

    def known(each: Observed) -> tuple[str, ...]:
        if each.links or each.shared:
            return each.links
        link = declared.get(each.name)
        return (link.id if link and link.user.id == each.user_id else each.name,)

    return {each.run_id: known(each) for each in observed}
