"""What a problem says, as codes."""

from __future__ import annotations

from app.messages import Problem


def codes(problem: Problem | None) -> list[str]:
    """Its code, and those of the problems in it, from the outside in; none for no problem."""
    if problem is None:
        return []
    found = [problem.code]
    for value in problem.params.values():
        for each in value if isinstance(value, list) else [value]:
            found += codes(each) if isinstance(each, Problem) else []
    return found
