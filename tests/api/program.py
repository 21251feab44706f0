"""A program that uses the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

PASSWORD = "correct horse battery"


class Program:
    """token: "" for none."""

    def __init__(self, panel: Flask, token: str) -> None:
        self.panel, self.token = panel, token

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None,
            **more: Any) -> TestResponse:
        """path: below /api/v1, or from the root on where it begins with //."""
        path = path[1:] if path.startswith("//") else f"/api/v1{path}"
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            more["json"] = body
        return self.panel.test_client().open(path, method=method, headers={**sent, **(headers or {})}, **more)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.ask("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> TestResponse:
        return self.ask("POST", path, body, **more)

    def patch(self, path: str, body: Any, **more: Any) -> TestResponse:
        return self.ask("PATCH", path, body, **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.ask("DELETE", path, **more)
