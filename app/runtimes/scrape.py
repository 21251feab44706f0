"""Reading metrics over HTTP, many at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType

from app.messages.errors import Coded
from app.runtimes import ports

#: Bytes. mtg's own is some kB; more than this is no engine of ours.
_LARGEST = 4 << 20


class ScrapeFailure(Coded):
    """The metrics could not be read; it says why."""


class Unreachable(ScrapeFailure):
    """Nothing at the address answers at all, not even that the port is closed."""


def scrape(address: str, path: str, timeout: float, headers: Mapping[str, str] = MappingProxyType({})) -> str:
    """The text served at http://<address><path>, whole. timeout: seconds. headers: of the request. Raises
    ScrapeFailure."""
    ip, port = ports.split(address)
    connection = HTTPConnection(ip, port, timeout=timeout)
    try:
        return _ask(connection, address, path, headers)
    finally:
        connection.close()


def _ask(connection: HTTPConnection, address: str, path: str,
         headers: Mapping[str, str] = MappingProxyType({})) -> str:
    try:
        if connection.sock is None:
            connection.connect()
    except OSError as error:
        kind = ScrapeFailure if isinstance(error, ConnectionError) else Unreachable
        raise kind("scrape.no_answer", address=address, reason=error) from error
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(_LARGEST + 1)
    except (OSError, HTTPException) as error:
        raise ScrapeFailure("scrape.no_answer", address=address, reason=str(error) or type(error).__name__) from error
    if answer.status != 200:
        raise ScrapeFailure("scrape.status", address=address, status=answer.status, reason=answer.reason)
    # read(amount) tells a body cut short only by its length; half a text would read as lost traffic.
    if len(body) > _LARGEST or (answer.length or 0) > 0:
        raise ScrapeFailure("scrape.cut_short", address=address)
    return body.decode("utf-8", errors="replace")


def scrape_all(targets: Mapping[str, tuple[str, str]], timeout: float) -> dict[str, str]:
    """The texts of all (address, path) that answer, by the key of the target."""
    return _all(lambda key: scrape(*targets[key], timeout), targets)


def _all(read: Callable[[str], str], targets: Iterable[str]) -> dict[str, str]:
    """What could be read, by key; all at a time."""
    targets = list(targets)
    if not targets:
        return {}

    def attempt(key: str) -> str | None:
        try:
            return read(key)
        except ScrapeFailure:
            return None

    with ThreadPoolExecutor(max_workers=min(32, len(targets)), thread_name_prefix="scrape") as pool:
        texts = dict(zip(targets, pool.map(attempt, targets)))
    return {key: text for key, text in texts.items() if text is not None}


class KeptConnections:
    """scrape_all() over connections that stay open between two readings."""

    def __init__(self) -> None:
        self._connections: dict[tuple[str, str], HTTPConnection] = {}
        self._lock = threading.Lock()  # two readings at a time would mix up their answers

    def scrape_all(self, targets: Mapping[str, tuple[str, str]], timeout: float) -> dict[str, str]:
        """As scrape_all(); a connection is of one target's key and address, and of no other one's."""
        with self._lock:
            wanted = {(key, address) for key, (address, _) in targets.items()}
            for gone in self._connections.keys() - wanted:
                self._connections.pop(gone).close()
            return _all(lambda key: self._scrape(key, *targets[key], timeout), targets)

    def close(self) -> None:
        with self._lock:
            while self._connections:
                self._connections.popitem()[1].close()

    def _scrape(self, key: str, address: str, path: str, timeout: float) -> str:
        connection = self._connections.pop((key, address), None)
        if connection is not None:
            try:
                text = _ask(connection, address, path)
                self._connections[key, address] = connection
                return text
            except ScrapeFailure:
                connection.close()  # the other side had closed it in the meantime: once more, anew
        connection = HTTPConnection(*ports.split(address), timeout=timeout)
        try:
            text = _ask(connection, address, path)
        except ScrapeFailure:
            connection.close()
            raise
        self._connections[key, address] = connection
        return text
