"""Exceptions that are told to people, in the words of the catalogue."""

from __future__ import annotations

from app.lib import problem
from app.messages.catalogue import ENGLISH


class Coded(problem.Coded):
    """An exception of the panel: its problems are in the catalogue."""

    language = ENGLISH
