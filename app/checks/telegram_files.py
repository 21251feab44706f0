"""Gets proxy-secret and proxy-multi.conf where Telegram has them for every MTProxy, through the SOCKS5 server if one is
set. What they say is checked by who keeps them (engines/mtproxy/telegram_files)."""

from __future__ import annotations

import time

from app.config.hosts import socks5_url
from app.config.model import Config
from app.engines.mtproxy.telegram_files import LONGEST_CONF
from app.messages.errors import Coded

#: Where, under config.mtproxy_files_url.
SECRET_PATH, CONF_PATH = "/getProxySecret", "/getProxyConfig"
#: Seconds until an answer begins, and until it must be whole.
_TIMEOUT, _WHOLE = 10.0, 30.0


class FetchFailure(Coded):
    """A file could not be got; it says why."""


def fetch(config: Config) -> tuple[bytes, bytes]:
    """proxy-secret and proxy-multi.conf as they come. Takes up to a minute. Raises FetchFailure."""
    base = config.mtproxy_files_url.rstrip("/")
    return _get(base + SECRET_PATH, config.upstream_socks5), _get(base + CONF_PATH, config.upstream_socks5)


def _get(url: str, socks5: str) -> bytes:
    # Only who uses it pays for loading it.
    import requests

    # The name is looked up by the SOCKS5 server: here it may lead astray.
    through = socks5_url(socks5) if socks5 else ""
    end, found = time.monotonic() + _WHOLE, b""
    try:
        with requests.Session() as session:
            if through:
                session.trust_env = False
                session.proxies = {"http": through, "https": through}
            with session.get(url, timeout=_TIMEOUT, stream=True, headers={"Accept-Encoding": "identity"}) as answer:
                if answer.status_code != 200:
                    raise FetchFailure("mtproxy.status", url=url, status=answer.status_code)
                for part in answer.iter_content(8192):
                    found += part
                    if len(found) > LONGEST_CONF:
                        raise FetchFailure("mtproxy.too_large", url=url, most=LONGEST_CONF)
                    if time.monotonic() > end:
                        raise FetchFailure("mtproxy.too_slow", url=url, seconds=_WHOLE)
                told = answer.headers.get("Content-Length", "")
        if told.isdigit() and int(told) != len(found):
            raise FetchFailure("mtproxy.unreachable", url=url, reason=f"{len(found)}/{told} bytes")
        return found
    except (requests.RequestException, OSError, ValueError) as error:
        raise FetchFailure("mtproxy.unreachable", url=url, reason=_why(error)) from None


def _why(error: BaseException) -> str:
    """In a few words: these libraries put one error into another, the first of which says it."""
    cause: BaseException | None = error
    while cause is not None:
        error, cause = cause, cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return str(error)[:200] or type(error).__name__
