"""Fetching an image that is missing: once, and with an answer a person can act on when it fails."""

from __future__ import annotations

import threading
import time

from docker.errors import APIError

from app.messages import Problem, text
from app.runtimes.base import ImageMissing, RuntimeFailure
from app.runtimes.docker.client import PATIENT, Connection


class Images:
    """Fetches images for many callers at a time."""

    pull_timeout = 300.0  # seconds for a whole image
    remember_failure = 30.0  # seconds in which nobody asks the registry again

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[float, Problem | None]] = {}

    def fetch(self, image: str) -> None:
        """Pull it, unless another caller has just done so. Raises ImageMissing."""
        with self._lock:
            if self._present(image):
                return
            at, why = self._failed.get(image, (0.0, None))
            if why is None or time.monotonic() - at > self.remember_failure:
                why = self._pull(image)
                self._failed[image] = (time.monotonic(), why)
            if why:
                raise ImageMissing("docker.image_missing", image=image, reason=why)

    def _present(self, image: str) -> bool:
        with self._connection.api() as api:
            try:
                api.inspect_image(image)
            except APIError as error:
                if error.status_code == 404:
                    return False
                raise
        return True

    def _pull(self, image: str) -> Problem | None:
        """Why it could not be had; None if it is there now."""
        name, tag = split(image)
        deadline = time.monotonic() + self.pull_timeout
        try:
            with self._connection.api(PATIENT) as api:
                for progress in api.pull(name, tag=tag, stream=True, decode=True):
                    if "error" in progress:
                        return text(str(progress["error"])[:300])
                    if time.monotonic() > deadline:
                        return Problem("docker.pull_slow", {"seconds": self.pull_timeout})
        except RuntimeFailure as failure:
            return text(str(failure.params["reason"])[:300]) if failure.code == "docker.refuses" else failure.problem
        return None


def split(image: str) -> tuple[str, str]:
    """(name, tag or digest) of an image name; a name without either means latest."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    name, colon, tag = image.rpartition(":")
    # A colon before a slash belongs to the registry's port.
    return (name, tag) if colon and "/" not in tag else (image, "latest")
