"""What the operator's bot answers: commands as actions, in plain text. Without a network; the bot sends it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.accounts.actor import Actor, Right
from app.actions import traffic, users
from app.control import listing, roster, snapshot, views
from app.control.errors import Refused, Unfinished
from app.control.records import Row, UserView
from app.control.system import System
from app.lib.problem import Language
from app.messages import Problem
from app.mtproto.qr import qr_png
from app.notify.causes import amount

#: Users that a search shows; questions that wait for an answer in a chat, and seconds for which they do.
FOUND, QUESTIONS, WAITS = 10, 20, 300.0

#: What the condition of a person is called.
_CONDITIONS = {
    "disabled": "condition.disabled",
    "expired": "condition.expired",
    "blocked": "condition.blocked",
    "unknown": "condition.unknown",
    "failing": "condition.failing",
    "stopped": "condition.stopped",
    "slowed": "condition.slowed",
    "online": "condition.online",
    "idle": "condition.idle",
    "never": "condition.never",
}


@dataclass(frozen=True)
class Reply:
    """text: plain. picture: a PNG, to go with it. buttons: (label, data) of each."""

    text: str
    picture: bytes = b""
    buttons: tuple[tuple[str, str], ...] = ()


@dataclass
class Chat:
    """What was asked in a chat and waits for "yes": by a code that nobody can guess, (until when, who may, what)."""

    asked: dict[str, tuple[float, str, Callable[[], Reply]]] = field(default_factory=dict)
    old_at: float = 0.0


class Answers:
    """private: nobody but the actor reads along, so a link may be shown."""

    def __init__(self, system: System, actor: Actor, words: Language, chat: Chat, private: bool) -> None:
        self._system, self._actor, self._words, self._chat, self._private = system, actor, words, chat, private

    def said(self, text: str, bot: str = "") -> Reply | None:
        """The answer to a command; None for one to another bot. bot: the name of this one."""
        command, _, rest = text.strip().partition(" ") if " " in text.strip().split("\n")[0] else \
            text.strip().partition("\n")
        name, at, whom = command[1:].partition("@")
        if at and bot and whom.casefold() != bot.casefold():
            return None
        commands: dict[str, Callable[[str], Reply]] = {
            "status": self._status, "find": self._find, "link": self._link, "add": self._add,
            "disable": self._disable, "enable": self._enable, "reset": self._reset}
        return self._safely(lambda: commands.get(name.casefold(), self._help)(rest.strip()))

    def old(self) -> Reply | None:
        """To commands that were sent long ago, once for all that come together."""
        now = time.monotonic()
        before, self._chat.old_at = self._chat.old_at, now
        return None if before and now - before < WAITS else self._reply(Problem("bot.old"))

    def pressed(self, data: str) -> Reply:
        """The answer to a button."""
        yes, _, code = data.partition(" ")
        until, who, act = self._chat.asked.get(code, (0.0, self._actor.name, None))
        if who != self._actor.name:
            return self._reply(Problem("bot.not_yours"))
        self._chat.asked.pop(code, None)
        if act is None or until < time.monotonic():
            return self._reply(Problem("bot.question_over"))
        return self._safely(act) if yes == "yes" else self._reply(Problem("bot.nothing_done"))

    def _safely(self, act: Callable[[], Reply]) -> Reply:
        try:
            return act()
        except (Refused, Unfinished) as refusal:
            return Reply("\n".join(self._words.sentence(problem) for problem in refusal.problems))

    def _reply(self, problem: Problem) -> Reply:
        return Reply(self._words.sentence(problem))

    def _help(self, _: str) -> Reply:
        return self._reply(Problem("bot.help" if self._actor.right >= Right.USERS else "bot.help_viewer"))

    def _status(self, _: str) -> Reply:
        status = views.status(self._system, whole=False)
        return self._reply(Problem("bot.status", {
            "running": status.running, "total": status.total, "users": len(status.rows),
            "connected": sum(row.connections > 0 for row in status.rows),
            "moved": amount(status.period_down + status.period_up),
            "problems": [Problem("bot.problem", {"problem": each}) for each in status.problems[:10]]}))

    def _find(self, text: str) -> Reply:
        if not text:
            return self._reply(Problem("bot.name_needed"))
        found, count = self._matching(text)
        if not found:
            return self._reply(Problem("bot.nobody", {"text": text[:100]}))
        lines: list[Problem] = [self._line(row) for row in found]
        if count > len(found):
            lines.append(Problem("notice.more", {"count": count - len(found)}))
        return self._reply(Problem("bot.lines", {"lines": lines}))

    def _link(self, name: str) -> Reply:
        self._actor.require(Right.USERS)
        if not self._private:
            return self._reply(Problem("bot.private"))
        user = self._user(name)
        return Reply(f"{user.name}\n{user.tme_link}", qr_png(user.tg_link))

    def _add(self, typed: str) -> Reply:
        """NAME; GB; DAYS, of which the name alone is needed."""
        self._actor.require(Right.USERS)
        name, gb, days, *more = [*(part.strip() for part in typed.split(";")), "", ""][:4]
        if not name or any(more):
            return self._reply(Problem("bot.add"))
        user = users.add_user(self._system, self._actor, name, limit_gb=gb or None, expires_after_days=days or None)
        if not self._private:
            return self._reply(Problem("bot.added", {"name": user.name}))
        return Reply(f"{self._words.sentence(Problem('bot.added', {'name': user.name}))}\n{user.tme_link}",
                     qr_png(user.tg_link))

    def _enable(self, name: str) -> Reply:
        self._actor.require(Right.USERS)
        user = users.enable(self._system, self._actor, self._user(name).id)
        return self._reply(Problem("bot.enabled", {"name": user.name}))

    def _disable(self, name: str) -> Reply:
        self._actor.require(Right.USERS)
        user = self._user(name)

        def act() -> Reply:
            users.disable(self._system, self._actor, user.id)
            return self._reply(Problem("bot.disabled", {"name": user.name}))

        return self._ask(Problem("bot.ask_disable", {"name": user.name, "connections": user.connections}), act)

    def _reset(self, name: str) -> Reply:
        self._actor.require(Right.USERS)
        user = self._user(name)

        def act() -> Reply:
            traffic.reset_traffic(self._system, self._actor, user.id)
            return self._reply(Problem("bot.reset", {"name": user.name}))

        used = amount(user.period_down + user.period_up)
        return self._ask(Problem("bot.ask_reset", {"name": user.name, "used": used}), act)

    def _ask(self, question: Problem, act: Callable[[], Reply]) -> Reply:
        now, asked = time.monotonic(), self._chat.asked
        for code in [each for each, (until, _, _) in asked.items() if until < now] + list(asked)[:-QUESTIONS + 1]:
            asked.pop(code, None)
        code = secrets.token_urlsafe(12)
        asked[code] = (now + WAITS, self._actor.name, act)
        yes, no = (self._words.sentence(Problem(each)) for each in ("bot.yes", "bot.no"))
        return Reply(self._words.sentence(question), buttons=((yes, f"yes {code}"), (no, f"no {code}")))

    def _user(self, name: str) -> UserView:
        """Exactly this one: a search that is meant for somebody else must lock nobody out. Raises Refused."""
        if not name:
            raise Refused("bot.name_needed")
        try:
            return views.user(self._system, name)
        except Refused:
            found, _ = self._matching(name)
            same = [row for row in found if row.name.casefold() == name.casefold()]
            if len(same) == 1:
                return views.user(self._system, same[0].id)
            if not found:
                raise
            raise Refused("bot.meant", name=name[:100], names=[row.name for row in found]) from None

    def _matching(self, text: str) -> tuple[list[Row], int]:
        sight = snapshot.take(self._system)
        found = listing.matching(roster.rows(sight), listing.Query.of({"q": text}))
        return found[:FOUND], len(found)

    def _line(self, row: Row) -> Problem:
        used = amount(row.used)
        state = Problem(_CONDITIONS[row.condition])
        return Problem("bot.user_limit", {"name": row.name, "state": state, "used": used, "limit_gb": row.limit_gb}) \
            if row.limit_gb else Problem("bot.user", {"name": row.name, "state": state, "used": used})
