"""A browser without a window, for tests of pages and forms."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

#: The admin that the fleet of these tests has.
NAME, PASSWORD = "ada", "correct horse battery"


class Visitor:
    """Keeps cookies, and sends a form with the token of a page it has seen."""

    def __init__(self, client: FlaskClient):
        self.client = client

    def get(self, path: str, **how: object) -> TestResponse:
        return self.client.get(path, **how)

    def token(self, path: str = "/login") -> str:
        """A CSRF token of this visitor's session, taken from a page that has a form."""
        page = self.client.get(path, follow_redirects=True).get_data(as_text=True)
        return re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page).group(1)

    def post(self, path: str, fields: dict[str, str] | None = None, **how: object) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token(), **(fields or {})}, **how)

    def login(self, name: str = NAME, password: str = PASSWORD, **how: object) -> TestResponse:
        return self.post("/login", {"username": name, "password": password}, **how)
