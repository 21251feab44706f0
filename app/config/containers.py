"""Which of MTProxy's containers serves whom: one serves 16 keys at most, so further users get a further one.

Once decided it is kept, as the container's port is in the links of its users: who is added or deleted moves nobody
else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from app.mtproto.secret import FAKETLS, Secret

if TYPE_CHECKING:
    from app.config.model import Config, User

#: MTProxy's own limit: `-S` may be given so often.
MOST = 16
#: The engine that is served so, and the one that has one port for all.
ENGINE, SHARED_ENGINE = "mtproxy", "telemt"


class Served(Protocol):
    """A user, as far as this goes by."""

    @property
    def secret(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def engine(self) -> str: ...

    mtproxy_container: int


def settle(users: Sequence[Served], default_engine: str, first_port: int, shared_port: int = 0) -> None:
    """Give each user of MTProxy without a place one, and those theirs is too full for, or for another kind of secret.

    A container is either for FakeTLS secrets or for all others: MTProxy serves the others only if it is told no domain.
    The container number N is on port first_port + N - 1. shared_port: that of telemt, which is taken while it serves
    somebody. Who has left MTProxy keeps the number, for the day that they come back, but no place.
    """
    theirs = [user for user in users if (user.engine or default_engine) == ENGINE]
    if not theirs:
        return
    taken = {user.port for user in users}
    if any((user.engine or default_engine) == SHARED_ENGINE for user in users):
        taken.add(shared_port)
    votes = Counter((user.mtproxy_container, is_tls(user)) for user in theirs)
    # Whoever was given another kind of secret is outvoted by those who were not.
    kinds = {number: votes[number, True] > votes[number, False] for number, _ in votes if number}
    count: dict[int, int] = {}
    homeless = []
    for user in theirs:
        number = user.mtproxy_container
        if number < 1 or count.get(number, 0) >= MOST or kinds[number] != is_tls(user):
            homeless.append(user)
        else:
            count[number] = count.get(number, 0) + 1
    for user in homeless:
        tls = is_tls(user)
        number = next((n for n in sorted(count) if kinds[n] == tls and count[n] < MOST), 0) or next(
            (n for n in range(1, 65537 - first_port) if n not in count and first_port + n - 1 not in taken), 0)
        if number:
            kinds[number] = tls
            count[number] = count.get(number, 0) + 1
        user.mtproxy_container = number


def users_of(config: Config) -> list[User]:
    """Those whom MTProxy serves, or is to serve."""
    return [user for user in config.users if (user.engine or config.engine) == ENGINE]


def meets_telemt(config: Config) -> bool:
    """Whether a container has the port of telemt, while both serve somebody."""
    return any((user.engine or config.engine) == SHARED_ENGINE for user in config.users) \
        and config.shared_port in ports(users_of(config), config.mtproxy_first_port)


def is_tls(user: Served) -> bool:
    """Whether the user's secret is a FakeTLS one."""
    return Secret.parse(user.secret).kind == FAKETLS


def ports(users: Iterable[Served], first_port: int) -> set[int]:
    """Those of all containers that users have."""
    return {first_port + number - 1 for number in {user.mtproxy_container for user in users} - {0}}
