"""A list that refreshes: to who has its rows already, only those are sent that are others now.

A phone takes long to look through a whole list, and shows nothing else meanwhile; panel.js puts these rows into the
page one by one. Which rows a browser has is remembered by the tag (ETag) of what it was sent last; whoever comes with a
tag that is known no more gets the whole list.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass

from flask import Response
from markupsafe import Markup, escape

#: Pages of lists that are remembered; one of 50 rows takes 7 kB.
KEPT = 100

_ROW = re.compile(r'<tr role="row" id="([^"]+)">.*?</tr>', re.DOTALL)
_LIST_BEGINS = '<div id="list"'


@dataclass(frozen=True)
class _Page:
    """What a browser has: the list without its rows, and each row by its id, as hashes; rows in their order."""

    frame: bytes
    rows: dict[str, bytes]

    @property
    def tag(self) -> str:
        return _hash(self.frame + b"".join(self.rows.values())).hex()


class Sent:
    """What was sent to whom. For all threads of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pages: OrderedDict[str, _Page] = OrderedDict()

    def whole(self, html: str) -> Markup:
        """The list, for a page: with the tag by which its next refresh is known."""
        tag = escape(f'W/"{self._note(_page(html))}"')
        return Markup(html.replace(_LIST_BEGINS, f'{_LIST_BEGINS} data-tag="{tag}"', 1))

    def refreshed(self, html: str, tag: str | None) -> Response:
        """What is to be sent to who has what was sent with this tag (an ETag without its quotes)."""
        now = _page(html)
        with self._lock:
            has = self._pages.get(tag or "")
        if has is None or has.frame != now.frame or list(has.rows) != list(now.rows):
            return _tagged(Response(html), self._note(now))
        changed = (match[0] for match in _ROW.finditer(html) if has.rows[match[1]] != now.rows[match[1]])
        answer = Response("".join(changed))
        answer.headers["HX-Reswap"] = "none"  # they come alone: panel.js knows by this where they go
        return _tagged(answer, self._note(now))

    def _note(self, page: _Page) -> str:
        with self._lock:
            self._pages[page.tag] = page
            self._pages.move_to_end(page.tag)
            while len(self._pages) > KEPT:
                self._pages.popitem(last=False)
        return page.tag


def _page(html: str) -> _Page:
    return _Page(_hash(_ROW.sub("", html).encode()), {match[1]: _hash(match[0].encode())
                                                      for match in _ROW.finditer(html)})


def _tagged(answer: Response, tag: str) -> Response:
    answer.set_etag(tag, weak=True)
    return answer


def _hash(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()[:12]
