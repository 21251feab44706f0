"""The declaration as it can be carried out on this installation, whatever a hand edit has made of the file."""

from __future__ import annotations

from app.config.file import ConfigError, ConfigFile
from app.config.model import Config
from app.control.errors import Refused
from app.messages import Problem
from app.rules.links import UserLink, all_links


class Declaration:
    """Reads config.json. Without an edge, nobody is on port 443, whatever the file says.

    The last good version is kept, for as long as a hand edit has broken the file.
    """

    def __init__(self, file: ConfigFile, has_edge: bool) -> None:
        self._file = file
        self._has_edge = has_edge
        self._last_good: Config | None = None
        self._read: Config | None = None

    def read(self) -> Config:
        """What the file says now. Raises ConfigError."""
        config = self._file.read()
        if self._last_good is None or config is not self._read:
            # As long as the file is the same, so is the object: what is made of it is known by that.
            self._last_good = config if self._has_edge else config.model_copy(update={"port_443_mode": False})
            self._read = config
        return self._last_good

    def last_good(self) -> Config:
        """What the file says now; while it is broken, what it said before. Raises Refused if it was never read."""
        try:
            return self.read()
        except ConfigError as error:
            if self._last_good is None:
                raise Refused.of(error.problems) from None
            return self._last_good

    def links(self) -> dict[str, UserLink]:
        """Every link that is declared, by the name of its workload. Raises Refused as last_good() does."""
        return {link.name: link for link in all_links(self.last_good())}

    def problems(self) -> list[Problem]:
        """What is wrong with the file now."""
        try:
            config = self._file.read()
        except ConfigError as error:
            return list(error.problems)
        return [] if self._has_edge or not config.port_443_mode else [Problem("declaration.no_edge")]
