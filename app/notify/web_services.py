"""A webhook of the operator's own, signed; and ntfy (docs.ntfy.sh/publish)."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import urlsplit

from app.lib.clock import WALL, Clock
from app.notify import http
from app.notify.message import Message, SendFailed

#: Bytes of a message that ntfy shows as one; a longer one becomes a file.
NTFY_LONGEST = 4000


class Webhook:
    """A JSON document by POST. X-Signature is "sha256=" and the HMAC-SHA256, by the key, of X-Timestamp, a full stop
    and the body: who receives it can tell that it is ours, and not an old one that somebody sends again."""

    def __init__(self, url: str, key: str, clock: Clock = WALL) -> None:
        self._url, self._key, self._clock = url, key, clock

    def send(self, message: Message) -> None:
        """See Sender."""
        body = json.dumps({"id": message.id, "title": message.title, "text": message.text,
                           "events": list(message.entries)}, ensure_ascii=False).encode("utf-8", "replace")
        at = str(int(self._clock()))
        _expect(http.post(self._url, data=body, headers={
            "Content-Type": "application/json", "X-Delivery": message.id, "X-Timestamp": at,
            "X-Signature": signature(self._key, at, body)}), self._url)


def signature(key: str, timestamp: str, body: bytes) -> str:
    """As X-Signature has it."""
    return "sha256=" + hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Ntfy:
    """url: of the topic, such as https://ntfy.sh/alerts. token: "" for none."""

    def __init__(self, url: str, token: str = "") -> None:
        self._server, _, self._topic = url.rstrip("/").rpartition("/")
        self._token = token

    def send(self, message: Message) -> None:
        """See Sender. As JSON, because a header can't hold the names of people."""
        text = message.text.encode("utf-8", "replace")
        if len(text) > NTFY_LONGEST:
            text = text[:NTFY_LONGEST - 3].decode(errors="ignore").encode() + "…".encode()
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        _expect(http.post(f"{self._server}/", headers=headers, json={
            "topic": self._topic, "title": message.title, "message": text.decode()}), self._server)


def _expect(answer: http.Answer, url: str) -> None:
    host = urlsplit(url).netloc
    if answer.ok:
        return
    if answer.status in (401, 403):
        raise SendFailed("notify.not_allowed", host=host, status=answer.status)
    if 300 <= answer.status < 400:
        raise SendFailed("notify.redirects", host=host, to=_host(answer.headers.get("Location", "")) or host)
    if answer.status == 429:
        after = answer.headers.get("Retry-After", "")
        raise SendFailed("notify.busy", float(min(int(after), 3600)) if after.isdecimal() else 0.0, host=host)
    # What it says is not repeated: it is a page for people, or echoes what was sent.
    raise SendFailed("notify.answered", host=host, status=answer.status, reason="")


def _host(location: str) -> str:
    """The host in an address that somebody else wrote, without a name and password; "" for none."""
    try:
        return urlsplit(location).netloc.rpartition("@")[2][:253]
    except ValueError:
        return ""
