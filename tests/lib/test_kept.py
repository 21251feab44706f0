"""What was worked out once: made again only when what it is made of has changed."""

from __future__ import annotations

import threading
import time

import pytest

from app.lib.kept import Kept


def test_it_is_made_again_only_when_something_it_is_made_of_has_changed():
    kept, made = Kept(), []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [kept.get("sum", make, part) for part in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 3]
    assert kept.get("other", make, 1) == 4 and kept.get("sum", make, 1) == 3, "each name has its own"


def test_who_asks_while_it_is_made_waits_for_it_and_makes_no_second_one():
    kept, made, found = Kept(), [], []

    def make() -> object:
        time.sleep(0.05)
        made.append(object())
        return made[-1]

    threads = [threading.Thread(target=lambda: found.append(kept.get("slow", make))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and found == made * 4


def test_a_failure_is_kept_for_nobody():
    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        kept.get("sum", lambda: 1 // 0)
    assert kept.get("sum", lambda: 1) == 1
