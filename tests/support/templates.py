"""Templates compiled once for all panels that a test process makes, not once for each panel."""

from __future__ import annotations

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache


class MemoryCache(BytecodeCache):
    """Jinja's compiled templates by file; one that was changed is compiled again."""

    def __init__(self) -> None:
        self.compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.compiled:
            bucket.bytecode_from_string(self.compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.compiled[bucket.key] = bucket.bytecode_to_string()


def share() -> None:
    """From now on, for every Flask app of this process."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": MemoryCache()}
