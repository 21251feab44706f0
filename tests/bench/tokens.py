"""python -m tests.bench.tokens [--users 10,1000] [--turns 400]: what a wrong token of a user's page costs.

It is asked for beside an address that there is no route for, in this process and without a network, the two in no
order. The ratio of the medians is what a stranger could tell them apart by: 1.00 is nothing.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from app import create_app
from app.rules.share import new_token
from tests.bench.pages import installation

KINDS = {"no route": "/t/", "wrong token": "/s/"}


def medians(folder: Path, users: int, turns: int) -> dict[str, float]:
    """Microseconds of each kind, with so many users who all have a page."""
    system = installation(folder, users)
    with system.file.edit() as config:
        for user in config.users:
            user.share_token = new_token()
    client = create_app(system).test_client()
    took: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(turns + 20):
        # In no order: what Python does now and then, such as collecting garbage, must not fall on one of the two.
        for kind in random.sample(list(KINDS), len(KINDS)):
            path = KINDS[kind] + new_token()
            began = time.perf_counter()
            assert client.get(path).status_code == 404
            if turn >= 20:  # the first ones make what is kept
                took[kind].append((time.perf_counter() - began) * 1e6)
    return {kind: statistics.median(each) for kind, each in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", default="10,1000")
    parser.add_argument("--turns", type=int, default=400)
    options = parser.parse_args()
    print(f"{'users':>6} {'no route us':>12} {'wrong token us':>15} {'ratio':>6}")
    for users in map(int, options.users.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            found = medians(Path(folder), users, options.turns)
        unknown, wrong = found["no route"], found["wrong token"]
        print(f"{users:>6} {unknown:>12.0f} {wrong:>15.0f} {wrong / unknown:>6.2f}")


if __name__ == "__main__":
    main()
