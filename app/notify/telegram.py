"""Telegram's Bot API (core.telegram.org/bots/api), directly or through upstream_socks5."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from app.notify import http
from app.notify.line import READ
from app.notify.message import Message, SendFailed

API = "https://api.telegram.org"
#: Characters of a text, and of what stands below a picture; counted as Telegram's own library does, in UTF-16.
LONGEST, LONGEST_CAPTION = 4096, 1024


class Bot:
    """token: as BotFather gave it. api: another server of the Bot API than Telegram's, "" for that one. proxy:
    upstream_socks5. date: of the last answer, Unix seconds by the server's clock; 0.0 if it tells none."""

    def __init__(self, token: str, api: str = "", proxy: str = "") -> None:
        self._token, self._api, self._proxy = token, (api or API).rstrip("/"), proxy
        self.date = 0.0

    @property
    def id(self) -> str:
        """The bot's number, which is no secret."""
        return self._token.partition(":")[0]

    def call(self, method: str, files: dict[str, Any] | None = None, wait: float = 0.0, /, **params: Any) -> Any:
        """The result of a method. files: to send with it. wait: seconds that the server may take longer. Raises
        SendFailed."""
        what: dict[str, Any] = {"data": params, "files": files} if files else {"json": params}
        answer = http.post(f"{self._api}/bot{self._token}/{method}", self._proxy, READ + wait, **what)
        self.date = _moment(answer.headers.get("Date", ""))
        if not answer.whole:
            raise SendFailed("notify.endless", host=urlsplit(self._api).netloc)
        told = answer.json()
        if isinstance(told, dict) and told.get("ok") is True and "result" in told:
            return told["result"]
        raise self._refused(answer, told if isinstance(told, dict) else {}, str(params.get("chat_id", "")))

    def send(self, chat: int, text: str, **params: Any) -> Any:
        """A plain text: no part of it is markup, whatever users are called. Raises SendFailed."""
        return self.call("sendMessage", chat_id=chat, text=shortened(text, LONGEST),
                         link_preview_options={"is_disabled": True}, **params)

    def send_photo(self, chat: int, picture: bytes, caption: str) -> Any:
        """A PNG with a plain text below it. Raises SendFailed."""
        return self.call("sendPhoto", {"photo": ("link.png", picture, "image/png")}, chat_id=chat,
                         caption=shortened(caption, LONGEST_CAPTION))

    def _refused(self, answer: http.Answer, told: dict[str, Any], chat: str) -> SendFailed:
        host = urlsplit(self._api).netloc
        said = str(told.get("description", ""))[:200].replace(self._token, "…")
        found = told.get("parameters")
        more: dict[str, Any] = found if isinstance(found, dict) else {}
        if answer.status in (401, 404):
            return SendFailed("notify.bot_token", host=host)
        if answer.status == 403:
            return SendFailed("notify.bot_blocked", chat=chat)
        if answer.status == 409:
            return SendFailed("notify.bot_conflict")
        if moved := more.get("migrate_to_chat_id"):
            return SendFailed("notify.chat_moved", chat=chat, new=str(moved))
        if answer.status == 400 and "chat not found" in said.lower():
            return SendFailed("notify.no_chat", chat=chat)
        if answer.status == 429:
            return SendFailed("notify.busy", _seconds(more.get("retry_after")), host=host)
        return SendFailed("notify.answered", host=host, status=answer.status, reason=said)


class ToChat:
    """Sends to one chat."""

    def __init__(self, bot: Bot, chat: int) -> None:
        self._bot, self._chat = bot, chat

    def send(self, message: Message) -> None:
        """See Sender."""
        self._bot.send(self._chat, f"{message.title}\n\n{message.text}")


def shortened(text: str, most: int) -> str:
    """At most so many characters as UTF-16 counts them; what is left out is shown by "…"."""
    whole = text.encode("utf-16-le", "replace")
    if len(whole) <= 2 * most:
        return whole.decode("utf-16-le")
    return whole[:2 * (most - 1)].decode("utf-16-le", "ignore") + "…"


def _moment(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _seconds(value: Any) -> float:
    return float(min(max(value, 0), 3600)) if isinstance(value, (int, float)) else 0.0
