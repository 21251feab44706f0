"""Compares what stands with what people were told, and writes letters for what is new, each cause once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from app.actions.updates import told as told_update
from app.config.channels import Channel
from app.control import certificates, roster, snapshot
from app.control.records import Row
from app.control.system import System
from app.ledger.history import HOUR
from app.ledger.letters import Letter, Subject, Told
from app.lib.backoff import pause
from app.lib.clock import STEADY, Clock
from app.messages import Problem
from app.notify import causes
from app.notify.causes import HOLDS, SETTLES, WRONG, Cause
from app.notify.senders import boxes

#: Stands for itself: people are told of what changes from here on, not of what had been so before.
_BEGUN: Subject = ("", "")
#: Trouble that comes back is over only after a longer while each time, up to this (seconds).
_LONGEST_SETTLE = 7200.0
#: What must last before it is told, and be over for a while.
_FLAPS = frozenset(("proxy_down", "domain", "certificate"))


class Watch:
    """In memory is only how long something has lasted; what was told is in the ledger, so a restart tells nothing
    twice. clock: steady, so no clock that is set makes anything older."""

    def __init__(self, system: System, clock: Clock = STEADY) -> None:
        self._system, self._clock = system, clock
        self._since: dict[Subject, float] = {}
        self._over: dict[Subject, float] = {}
        self._flaps: dict[Subject, int] = {}

    def look(self) -> None:
        """Once. Raises sqlite3.OperationalError, and Refused without a declaration; then the next look tells it."""
        ledger, config = self._system.ledger, self._system.declaration.last_good()
        channels = [channel for channel in config.notifications if channel.enabled]
        if not channels:
            ledger.letters.forget_told()
            return
        sight = snapshot.take(self._system)
        rows = roster.rows(sight)
        told = ledger.letters.told()
        update = told_update(self._system.data_dir)
        found = {(each.event, each.subject): each for each in causes.of(
            sight, rows, ledger.strangers.closed_covers(), certificates.views(ledger, sight.zone, sight.now),
            (update.installed, update.newest) if update else None)}
        new, gone, letters = self._compare(found, told, channels, sight.seconds)
        for channel in channels:
            self._digest(channel, rows, told, sight.now.astimezone(sight.zone), new, letters)
        if _BEGUN not in told:
            new[_BEGUN], letters = Told("", 0), []
        if new or gone or letters:
            ledger.letters.note(new, gone, letters, sight.seconds)

    def _compare(self, found: dict[Subject, Cause], told: dict[Subject, Told], channels: list[Channel],
                 at: float) -> tuple[dict[Subject, Told], list[Subject], list[Letter]]:
        new: dict[Subject, Told] = {}
        gone: list[Subject] = []
        letters: list[Letter] = []
        begun = _BEGUN in told
        for subject, cause in found.items():
            before = told.get(subject)
            if cause.event in _FLAPS:
                self._flap(subject, cause, before, begun, new, gone, letters, channels, at)
            elif before and not cause.stands and (cause.early or before.cause != cause.cause):
                gone.append(subject)
            elif cause.stands and (not before or before.cause != cause.cause or before.mark < cause.mark):
                passed = before.mark if before and before.cause == cause.cause else 0
                new[subject] = Told(cause.cause, cause.mark)
                letters += _letters(channels, _events(cause, passed), cause.told, at)
        for subject, before in told.items():
            if subject in found or subject == _BEGUN or subject[0] == "digest":
                continue
            if subject[0] == "domain":  # what is not closed any more is not in the ledger
                well = Cause("domain", subject[1], "", False, Problem("notice.domain_well", {"domain": subject[1]}),
                             Problem("notice.domain_well", {"domain": subject[1]}))
                self._flap(subject, well, before, begun, new, gone, letters, channels, at)
            else:
                gone.append(subject)
        there = {channel.id for channel in channels}
        gone += [subject for subject in told if subject[0] == "digest" and subject[1] not in there]
        for memory in (self._since, self._over, self._flaps):
            for subject in [each for each in memory if each not in found and each not in told]:
                del memory[subject]
        return new, gone, letters

    def _flap(self, subject: Subject, cause: Cause, before: Told | None, begun: bool, new: dict[Subject, Told],
              gone: list[Subject], letters: list[Letter], channels: list[Channel], at: float) -> None:
        if cause.stands is None:
            return
        now = self._clock()
        if cause.stands:
            self._over.pop(subject, None)
            lasted = now - self._since.setdefault(subject, now)
            if not before and (lasted >= HOLDS or not begun):
                new[subject] = Told(cause.cause, cause.mark)
                letters += _letters(channels, {cause.event}, cause.told, at)
            return
        over = now - self._over.setdefault(subject, now)
        if over >= pause(self._flaps.get(subject, 0) + 1, SETTLES, _LONGEST_SETTLE):
            self._since.pop(subject, None)
            if before:
                self._flaps[subject] = self._flaps.get(subject, 0) + 1
                gone.append(subject)
                letters += _letters(channels, {cause.event}, cause.well, at) if cause.well else []
            elif over >= 3 * _LONGEST_SETTLE:
                self._flaps.pop(subject, None)
        elif not before and over >= HOLDS:
            self._since.pop(subject, None)

    def _digest(self, channel: Channel, rows: list[Row], told: dict[Subject, Told], now: datetime,
                new: dict[Subject, Told], letters: list[Letter]) -> None:
        subject, before = ("digest", channel.id), told.get(("digest", channel.id))
        if channel.digest == "off":
            return
        weekly = channel.digest == "weekly"
        due = _last_due(channel, now)
        cause = f"{channel.digest} {channel.digest_hour} {due}"
        if before and before.cause == cause:
            return
        new[subject] = Told(cause, 1)
        kind, _, day = (before.cause if before else "").rpartition(" ")
        # The first one, one at another time, and one by a clock that was set back are not told for what has been.
        if kind != cause.rpartition(" ")[0]:
            return
        ahead = date.fromisoformat(day) - due
        if timedelta() < ahead:
            if ahead < WRONG:
                del new[subject]
            return
        length = 7 * 86400 if weekly else 86400
        start = now.timestamp() - length
        sums = self._sums(start)
        last = sum(sums.values())
        letters += [Letter(box, "digest", causes.digest(rows, sums, last, self._all(start - length) - self._all(start),
                                                        weekly), now.timestamp()) for box in boxes(channel)]

    def _sums(self, since: float) -> dict[str, int]:
        return {user: down + up for user, (down, up) in self._system.ledger.traffic.sums(since, HOUR).items()}

    def _all(self, since: float) -> int:
        return sum(point.down + point.up for point in self._system.ledger.traffic.history(None, since, HOUR))


def _last_due(channel: Channel, now: datetime) -> date:
    """The day of the last digest that should have been sent by now."""
    due = now.date() if now.hour >= channel.digest_hour else now.date() - timedelta(days=1)
    return due - timedelta(days=due.weekday()) if channel.digest == "weekly" else due


def _events(cause: Cause, passed: int) -> set[str]:
    if cause.event != "limit":
        return {cause.event}
    return {f"limit_{mark}" for mark in (80, 95, 100) if passed < mark <= cause.mark}


def _letters(channels: Iterable[Channel], events: set[str], told: Problem, at: float) -> list[Letter]:
    """For who wants to know of one of these events; under the highest of them."""
    found = []
    for channel in channels:
        wanted = [event for event in channel.events if event in events]
        if wanted:
            event = max(wanted, key=lambda each: int(each.rpartition("_")[2]) if each.startswith("limit_") else 0)
            found += [Letter(box, event, told, at) for box in boxes(channel)]
    return found
