"""Listens to the bots by long polling, and lets nobody but the listed people of a channel ask for anything.

Others are answered nothing at all, so that nobody learns what the bot is. An update is noted as seen before it is acted
on: a panel that is killed in the middle, or starts again, carries out no command twice.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from app.accounts.actor import RIGHTS, Actor
from app.config.channels import Channel
from app.config.model import Config
from app.control.system import System
from app.lib.backoff import pause
from app.messages.translations import for_people
from app.notify.answers import Answers, Chat, Reply
from app.notify.message import SendFailed
from app.notify.senders import bot_of
from app.notify.telegram import Bot

log = logging.getLogger(__name__)

#: Seconds that a poll waits for news; after which a command is no longer carried out.
POLL, OLD = 25, 300.0
#: Seconds between tries of what fails.
FIRST, LONGEST = 5.0, 300.0

class Bots:
    """One listener for each token that a channel lets people write to."""

    def __init__(self, system: System, poll: int = POLL) -> None:
        self._system, self._poll = system, poll
        self._listeners: dict[str, Listener] = {}

    def keep(self) -> None:
        """Begin to listen where somebody may write, and end where nobody may any more. Returns at once."""
        config = self._system.declaration.last_good()
        self._system.ledger.letters.keep_bots({bot_of(channel, config).id for channel in config.notifications
                                               if channel.kind == "telegram"})
        wanted = {channel.secret for channel in _listening(config)}
        for token in [each for each in self._listeners if each not in wanted]:
            self._listeners.pop(token).stopping.set()
        for token in wanted:
            if token not in self._listeners or not self._listeners[token].thread.is_alive():
                self._listeners[token] = Listener(self._system, token, self._poll)
                self._listeners[token].thread.start()

    def stop(self, patience: float) -> None:
        """No more commands; one that is being carried out is waited for."""
        until = time.monotonic() + patience
        for listener in self._listeners.values():
            listener.stopping.set()
        for listener in self._listeners.values():
            if listener.busy.acquire(timeout=max(0.0, until - time.monotonic())):
                listener.busy.release()


class Listener:
    """One bot. busy: held while a command is carried out."""

    def __init__(self, system: System, token: str, poll: int = POLL) -> None:
        self._system, self._token, self._poll = system, token, poll
        self._chats: dict[int, Chat] = {}
        self._failures, self._called = 0, ""
        self.stopping, self.busy = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=self._run, name="notify bot", daemon=True)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                alive = self.once()
            except Exception as error:
                # Neither an odd update nor a full disk ends it; what was said may hold anything, so it is not logged.
                log.warning("a look at the messages to a bot failed: %s", type(error).__name__)
                self._failures, alive = self._failures + 1, True
            if not alive:
                return
            self.stopping.wait(pause(self._failures, FIRST, LONGEST))

    def once(self) -> bool:
        """One poll, and what it brings; False once nobody may write to this bot."""
        config = self._system.declaration.last_good()
        channels = [channel for channel in _listening(config) if channel.secret == self._token]
        if not channels:
            return False
        letters, bot = self._system.ledger.letters, bot_of(channels[0], config)
        box = f"{channels[0].id}/bot"
        try:
            updates = bot.call("getUpdates", None, self._poll, offset=letters.next_update(bot.id), timeout=self._poll,
                               allowed_updates=["message", "callback_query"])
        except SendFailed as failure:
            self._failures += 1
            if letters.failed(box, failure.problem, self._system.reconciler.clock(), 3):
                self._system.ledger.events.record("panel", "channel.failed", channels[0].name, failure.problem)
            return True
        if self._failures or box in letters.states():
            self._failures = 0
            letters.delivered(box)
        for update in updates if isinstance(updates, list) else ():
            if self.stopping.is_set():
                break
            with self.busy:
                self._take(update, channels, bot)
        return True

    def _take(self, update: Any, channels: list[Channel], bot: Bot) -> None:
        if not isinstance(update, dict) or not isinstance(update.get("update_id"), int):
            return
        # First of all: what can't be noted is not acted on.
        self._system.ledger.letters.set_next_update(bot.id, update["update_id"] + 1)
        pressed = update.get("callback_query")
        said = pressed.get("message") if isinstance(pressed, dict) else update.get("message")
        source = pressed if isinstance(pressed, dict) else said
        chat, sender = _id(said, "chat"), _id(source, "from")
        channel = next((each for each in channels if chat in each.chats and sender in each.chats), None)
        # In a group everybody can write, so the person counts, too.
        if channel is None or chat is None or not isinstance(said, dict) or not isinstance(source, dict):
            return
        actor = Actor("bot", RIGHTS["operator" if channel.bot == "operator" else "viewer"], str(sender))
        answers = Answers(self._system, actor, for_people(channel.language), self._chats.setdefault(chat, Chat()),
                         private=chat == sender)
        try:
            if isinstance(pressed, dict):
                bot.call("answerCallbackQuery", callback_query_id=str(pressed.get("id", "")))
                self._reply(bot, chat, answers.pressed(str(pressed.get("data", ""))))
                return
            text = said.get("text")
            if not isinstance(text, str) or not text.startswith("/"):
                return
            now = bot.date or self._system.reconciler.clock()
            date = said.get("date")
            if not isinstance(date, (int, float)) or now - date > OLD:
                self._reply(bot, chat, answers.old())
                return
            self._reply(bot, chat, answers.said(text, self._name(bot)))
        except SendFailed as failure:
            log.warning("a bot could not answer: %s", failure)

    def _name(self, bot: Bot) -> str:
        """What the bot is called in groups, "" if nobody tells."""
        if not self._called:
            told = bot.call("getMe")
            self._called = str(told.get("username", "")) if isinstance(told, dict) else ""
        return self._called

    @staticmethod
    def _reply(bot: Bot, chat: int, said: Reply | None) -> None:
        if said is None:
            return
        if said.picture:
            bot.send_photo(chat, said.picture, said.text)
        elif said.buttons:
            bot.send(chat, said.text, reply_markup={"inline_keyboard": [
                [{"text": label, "callback_data": data} for label, data in said.buttons]]})
        else:
            bot.send(chat, said.text)


def _listening(config: Config) -> list[Channel]:
    return [channel for channel in config.notifications if channel.enabled and channel.kind == "telegram"
            and channel.bot != "off" and channel.secret and channel.chats]


def _id(holder: Any, key: str) -> int | None:
    found = holder.get(key) if isinstance(holder, dict) else None
    number = found.get("id") if isinstance(found, dict) else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None
