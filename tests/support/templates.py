"""Templates and routes compiled once for all panels that a test process makes, not once for each panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule


class MemoryCache(BytecodeCache):
    """Jinja's compiled templates by file; one that was changed is compiled again."""

    def __init__(self) -> None:
        self.compiled: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.compiled:
            bucket.bytecode_from_string(self.compiled[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.compiled[bucket.key] = bucket.bytecode_to_string()


_compile: Callable[..., Any] = Rule._compile_builder
#: What builds an address, by the parts of the rule it is for. Werkzeug binds it to each panel's rule afterwards.
_builders: dict[tuple[object, ...], Any] = {}


def _compiled_once(rule: Rule, append_unknown: bool = True) -> Any:
    if rule.defaults:  # they are written into it
        return _compile(rule, append_unknown)
    key = (rule.rule, *rule._trace, append_unknown)
    if key not in _builders:
        _builders[key] = _compile(rule, append_unknown)
    return _builders[key]


def share() -> None:
    """From now on, for every Flask app of this process."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": MemoryCache()}
    Rule._compile_builder = _compiled_once  # type: ignore[method-assign]
