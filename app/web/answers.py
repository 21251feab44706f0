"""What goes over the line: answers are compressed, and a live part that is as it was is not sent again.

Compression and secrets (BREACH): whoever can make a browser ask for pages that hold both a secret and words of the
asker's choice, and can see how long the answers are, could guess the secret letter by letter. So what a page of another
site has asked for is sent as it is; the cookie, SameSite=Lax, comes along with nothing but a visible change of page
anyway. What is searched for stands on no page that holds a link, and a CSRF token has a signature with its second.
"""

from __future__ import annotations

import gzip
import hashlib
import re

from flask import Flask, Response, request

#: Below this many bytes it makes nothing shorter.
WORTH_IT = 500
#: Text is made so much shorter by this; a higher level takes longer for a hundredth more.
LEVEL = 6

_TEXT = ("text/", "application/json", "application/javascript", "application/manifest+json", "image/svg+xml",
         "application/openmetrics-text")
_TOKEN = re.compile(rb'name="csrf_token" value="[^"]*"')


def init_app(app: Flask) -> None:
    """Shortens every answer."""
    app.after_request(shortened)


def shortened(response: Response) -> Response:
    """The same answer, in fewer bytes."""
    if request.method == "GET" and response.status_code == 200 and "HX-Request" in request.headers:
        if not response.get_etag()[0]:
            # A token is another one each second, and all of them are good for as long as the session is.
            response.set_etag(hashlib.sha256(_TOKEN.sub(b"", response.get_data())).hexdigest()[:24], weak=True)
        response.make_conditional(request)
    if (response.mimetype or "").startswith(_TEXT):
        response.vary.add("Accept-Encoding")
        if _is_welcome() and response.status_code == 200 and "Content-Encoding" not in response.headers:
            _compress(response)
    return response


def _is_welcome() -> bool:
    """Whether this browser takes gzip, and it was no other site's page that made it ask."""
    return request.accept_encodings["gzip"] > 0 and request.headers.get("Sec-Fetch-Site", "") not in (
        "cross-site", "same-site")


def _compress(response: Response) -> None:
    if response.is_streamed and request.endpoint != "static":
        return
    response.direct_passthrough = False
    plain = response.get_data()
    if len(plain) < WORTH_IT:
        return
    response.set_data(gzip.compress(plain, LEVEL, mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("Accept-Ranges", None)
    if tag := response.get_etag()[0]:
        response.set_etag(tag, weak=True)  # it is the same text, in other bytes
