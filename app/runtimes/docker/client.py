"""The connection to the Docker engine: made when it is needed, and every failure told as one of ours."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker import APIClient
from docker.errors import APIError, DockerException

from app.messages import Problem
from app.runtimes.base import RuntimeFailure, RuntimeUnavailable

SOCKET = "unix:///var/run/docker.sock"

#: Seconds to wait for an answer: to a question, to a verb, and (None) for as long as it takes.
QUICK, PATIENT = 5.0, 60.0

_POOL = 32


class Connection:
    """A Docker engine by its address ("unix:///…", "tcp://…"; "" is DOCKER_HOST, else the usual socket).

    Nothing is kept that a restart of the engine makes wrong: after a failure the next
    call connects, and negotiates the version of the protocol, anew. While the engine hangs, one
    question waits for it and those of the next seconds fail at once: a page asks several, and
    would be waited for as many times.
    """

    def __init__(self, url: str = "") -> None:
        self.url = url or os.environ.get("DOCKER_HOST") or SOCKET
        self._clients: dict[float | None, APIClient] = {}
        self._lock = threading.Lock()
        self._silent: tuple[float, Problem | None] = (0.0, None)

    @property
    def on_this_machine(self) -> bool:
        """Whether the engine's network is the one this process sees: its ports are ours."""
        inside = os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv")
        return self.url.startswith("unix://") and not inside

    @contextmanager
    def api(self, seconds: float | None = QUICK) -> Iterator[APIClient]:
        """The engine's API. seconds: how long one answer may take.

        Inside, docker's APIError may be caught where it is an outcome; what leaves is a
        RuntimeFailure, or RuntimeUnavailable when the engine itself does not answer.
        """
        until, silent = self._silent
        if seconds is not None and silent and time.monotonic() < until:
            raise RuntimeUnavailable(silent)
        try:
            yield self._client(seconds)
            self._silent = 0.0, None
        except APIError as error:
            if "client version" in str(error.explanation):
                self._forget()  # the engine was replaced by one that speaks other versions
                raise RuntimeUnavailable("docker.replaced", url=self.url) from error
            raise RuntimeFailure("docker.refuses", reason=str(error.explanation or error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, DockerException, OSError) as error:
            self._forget()
            problem = self._problem(error)
            if problem.code == "docker.silent":
                self._silent = time.monotonic() + QUICK, problem
            raise RuntimeUnavailable(problem) from error

    def _client(self, seconds: float | None) -> APIClient:
        with self._lock:
            client = self._clients.get(seconds)
        if client is None:
            with self._lock:
                known = next(iter(self._clients.values()), None)
            # Only the first one asks which version to speak, and it never waits for long.
            version = known.api_version if known else \
                APIClient(base_url=self.url, version="auto", timeout=QUICK).api_version
            client = APIClient(base_url=self.url, version=version, timeout=seconds, max_pool_size=_POOL)
            with self._lock:
                client = self._clients.setdefault(seconds, client)
        return client

    def _forget(self) -> None:
        # Not closed: other threads may be in the middle of an answer.
        with self._lock:
            self._clients.clear()

    def _problem(self, error: BaseException) -> Problem:
        number = _errno(error)
        if number in (errno.EACCES, errno.EPERM):
            return Problem("docker.forbidden", {"url": self.url})
        if number == errno.ENOENT:
            return Problem("docker.missing", {"url": self.url})
        if number == errno.ECONNREFUSED:
            return Problem("docker.stopped", {"url": self.url})
        if isinstance(_root(error), TimeoutError) or "timed out" in str(error).lower():
            return Problem("docker.silent", {"url": self.url})
        return Problem("docker.no_answer", {"url": self.url, "reason": str(_root(error))})


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and what caused it: by `raise from`, or packed as requests and urllib3 do."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [e for e in (*current.args, getattr(current, "reason", None), current.__cause__,
                                current.__context__) if isinstance(e, BaseException)]


def _root(error: BaseException) -> BaseException:
    return list(_chain(error))[-1]


def _errno(error: BaseException) -> int | None:
    return next((e.errno for e in _chain(error) if isinstance(e, OSError) and e.errno), None)
