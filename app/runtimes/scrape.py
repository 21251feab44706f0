"""Reading metrics over HTTP, many at a time."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException

from app.runtimes import ports

#: Bytes. mtg's own is some kB; more than this is no engine of ours.
_LARGEST = 4 << 20


class ScrapeFailure(Exception):
    """The metrics could not be read; the message says why."""


def scrape(address: str, path: str, timeout: float) -> str:
    """The text served at http://<address><path>, whole. timeout: seconds. Raises ScrapeFailure."""
    ip, port = ports.split(address)
    connection = HTTPConnection(ip, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(_LARGEST + 1)
    except (OSError, HTTPException) as error:
        raise ScrapeFailure(f"{address} does not answer: {error or type(error).__name__}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise ScrapeFailure(f"{address} answers {answer.status} {answer.reason}")
    # read(amount) tells a body cut short only by its length; half a text would read as lost traffic.
    if len(body) > _LARGEST or (answer.length or 0) > 0:
        raise ScrapeFailure(f"{address} answers with a text that is too long or cut short")
    return body.decode("utf-8", errors="replace")


def scrape_all(targets: Mapping[str, tuple[str, str]], timeout: float) -> dict[str, str]:
    """The texts of all (address, path) that answer, by the key of the target."""
    if not targets:
        return {}

    def attempt(key: str) -> str | None:
        try:
            return scrape(*targets[key], timeout)
        except ScrapeFailure:
            return None

    with ThreadPoolExecutor(max_workers=min(32, len(targets)), thread_name_prefix="scrape") as pool:
        texts = dict(zip(targets, pool.map(attempt, targets)))
    return {key: text for key, text in texts.items() if text is not None}
