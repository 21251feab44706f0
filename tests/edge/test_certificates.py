"""The keeper of the certificates, with an authority that is played; tests/docker asks a real one."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from app.certificates.certbot import START, CertificateFailure, NotAsked
from app.certificates.manager import COLLECT, Keeper, Result, Store
from app.certificates.renewal import BETWEEN_ADDITIONS
from app.config.model import Config
from app.ledger.ledger import Ledger
from tests.support.memory_certbot import MemoryCertbot, issue

HOUR, DAY = 3600.0, 86400.0
PANEL = Config(panel_domain="panel.example.com")
BASE = ("example.com",)


class Desk:
    """A keeper, with hands on its clock and on the authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_800_000_000.0
        self.certbot = MemoryCertbot(lambda: self.now)
        self.ledger = Ledger(folder)
        self.store = Store(folder / "certificates")
        self.keeper = Keeper(self.certbot, self.store, self.ledger.certificates, folder, lambda: self.now)

    @property
    def row(self):
        return self.ledger.certificates.all()

    def asked_for(self) -> list[tuple[str, tuple[str, ...], bool]]:
        """The requests since the last call."""
        requests, self.certbot.requests = self.certbot.requests, []
        return requests


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# The store


def test_a_certificate_comes_back_from_the_store_as_it_was(desk: Desk) -> None:
    made = issue("panel", ["panel.example.com"], desk.now)
    desk.store.save(made)
    assert desk.store.load() == {"panel": made}
    assert stat.S_IMODE((desk.store.folder / "panel.pem").stat().st_mode) == 0o600
    assert os.listdir(desk.store.folder) == ["panel.pem"]
    desk.store.remove("panel")
    desk.store.remove("panel")
    assert desk.store.load() == {}


@pytest.mark.parametrize(("damage", "words"), [
    (lambda pem, other: pem[:len(pem) // 3], "has no key"),
    (lambda pem, other: pem.replace("MII", "MIX", 1), "can't be read"),
    (lambda pem, other: pem[:pem.index("-----BEGIN PRIVATE")] + other[other.index("-----BEGIN PRIVATE"):],
     "belongs to another"),
    (lambda pem, other: "", "has no key"),
    (lambda pem, other: "\0" * 4096, "has no key"),
])
def test_a_damaged_certificate_is_left_out_and_told_and_fetched_again(desk: Desk, damage, words: str) -> None:
    desk.keeper.tend(PANEL, ())
    other = issue("cover-1", BASE, desk.now)
    desk.store.save(other)
    path = desk.store.folder / "panel.pem"
    path.write_text(damage(path.read_text(), other.chain + other.key))
    assert desk.store.load() == {"cover-1": other}
    assert words in desk.store.damaged["panel"] and str(path) in desk.store.damaged["panel"]
    desk.asked_for()
    assert desk.keeper.tend(PANEL, BASE) == [Result("panel", True)]
    assert desk.asked_for() == [("panel", ("panel.example.com",), False)], "certbot still has the old one"
    assert desk.store.load()["panel"] == desk.certbot.live["panel"] and desk.store.damaged == {}


# The keeper


def test_whoever_has_no_domain_asks_for_nothing(desk: Desk) -> None:
    assert desk.keeper.tend(Config(), (), force=True) == []
    assert desk.asked_for() == [] and desk.row == {}


def test_a_certificate_is_asked_for_once_kept_and_noted(desk: Desk) -> None:
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)]
    assert desk.keeper.tend(PANEL, ()) == []
    assert desk.asked_for() == [("panel", ("panel.example.com",), False)]
    got, row = desk.store.load()["panel"], desk.row["panel"]
    assert got.domains == row.domains == ("panel.example.com",)
    assert (row.issued_at, row.expires_at, row.tried_at) == (desk.now, desk.now + 90 * DAY, desk.now)
    assert (row.failures, row.reason) == (0, "")


def test_it_is_renewed_thirty_days_before_its_end(desk: Desk) -> None:
    desk.keeper.tend(PANEL, ())
    first = desk.store.load()["panel"]
    desk.now += 60 * DAY - 1
    assert desk.keeper.tend(PANEL, ()) == []
    desk.now += 1
    desk.asked_for()
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)]
    assert desk.asked_for() == [("panel", ("panel.example.com",), True)], "certbot itself might find it early"
    assert desk.store.load()["panel"].not_after > first.not_after


def test_users_names_that_come_one_after_another_are_asked_for_together(desk: Desk) -> None:
    names = [*BASE]
    for number in range(6):
        names.append(f"n{number}.example.com")
        assert desk.keeper.tend(Config(), names) == []
        desk.now += COLLECT / 6
    assert desk.keeper.tend(Config(), names) == [Result("cover-1", True)]
    assert desk.asked_for() == [("cover-1", tuple(names), False)]
    names.append("late.example.com")
    desk.now += COLLECT
    assert desk.keeper.tend(Config(), names) == []
    desk.now += BETWEEN_ADDITIONS
    assert desk.keeper.tend(Config(), names) == [Result("cover-1", True)]
    assert desk.asked_for() == [("cover-1", tuple(names), False)]


def test_a_person_need_not_wait_and_may_have_all_of_them_anew(desk: Desk) -> None:
    assert desk.keeper.tend(PANEL, BASE, asked=True) == [Result("panel", True), Result("cover-1", True)]
    assert desk.keeper.tend(PANEL, BASE, asked=True) == []
    desk.asked_for()
    assert desk.keeper.tend(PANEL, BASE, force=True) == [Result("panel", True), Result("cover-1", True)]
    assert desk.asked_for() == [("panel", ("panel.example.com",), True), ("cover-1", BASE, True)]


def test_after_a_failure_it_waits_longer_each_time_and_what_there_was_is_kept(desk: Desk) -> None:
    desk.keeper.tend(PANEL, ())
    had = desk.store.load()
    desk.now += 70 * DAY
    desk.certbot.failure = CertificateFailure("port 80 is closed")
    for hours in (1, 2, 4):
        assert desk.keeper.tend(PANEL, ()) == [Result("panel", False, "port 80 is closed")]
        desk.now += hours * HOUR - 1
        assert desk.keeper.tend(PANEL, ()) == []
        desk.now += 1
    assert desk.store.load() == had
    assert (desk.row["panel"].failures, desk.row["panel"].reason) == (3, "port 80 is closed")
    assert desk.row["panel"].expires_at == had["panel"].not_after.timestamp()
    desk.certbot.failure = None
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)]
    assert (desk.row["panel"].failures, desk.row["panel"].reason) == (0, "")


def test_one_name_that_is_refused_does_not_keep_the_others_from_their_certificate(desk: Desk) -> None:
    names = (*BASE, "bad.example.com", "good.example.com")
    desk.certbot.refused = {"bad.example.com"}
    [result] = desk.keeper.tend(Config(), names, asked=True)
    assert result.ok and result.reason.startswith("it is without bad.example.com: could not check bad.example.com")
    assert desk.store.load()["cover-1"].domains == ("example.com", "good.example.com")
    assert desk.row["cover-1"].reason == result.reason
    desk.asked_for()
    desk.now += HOUR
    assert [r.ok for r in desk.keeper.tend(Config(), names)] == [False]
    assert desk.asked_for() == [("cover-1", names, False)], "the same certificate is not issued again and again"
    desk.certbot.refused = set()
    desk.now += 2 * HOUR
    assert desk.keeper.tend(Config(), names) == [Result("cover-1", True)]
    assert desk.row["cover-1"].reason == ""


def test_the_trouble_with_a_name_is_forgotten_with_the_name(desk: Desk) -> None:
    desk.certbot.refused = {"bad.example.com"}
    desk.keeper.tend(Config(), (*BASE, "bad.example.com"), asked=True)
    assert desk.row["cover-1"].reason
    assert desk.keeper.tend(Config(), BASE) == []
    assert desk.row["cover-1"].reason == ""


def test_where_no_certbot_runs_that_is_told_once_and_costs_no_pause(desk: Desk) -> None:
    desk.certbot.failure = NotAsked(f"certbot does not run; start it with: {START}")
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", False, str(desk.certbot.failure))]
    assert desk.keeper.tend(PANEL, ()) == [], "told already"
    assert len(desk.keeper.tend(PANEL, (), asked=True)) == 1, "but not to the person who asks"
    assert START in desk.row["panel"].reason and desk.row["panel"].failures == 0
    desk.certbot.failure = None
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)], "at the next look, without a pause"


def test_while_somebody_else_is_at_it_nothing_is_asked(desk: Desk) -> None:
    with (desk.folder / "certificates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert desk.keeper.tend(PANEL, ()) == []
        [told] = desk.keeper.tend(PANEL, (), asked=True)
        assert not told.ok and "already" in told.reason
    assert desk.asked_for() == [] and desk.row == {}
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)]


def test_what_could_not_be_noted_is_not_asked_for(desk: Desk) -> None:
    """The authority counts every request: without the pauses it would lock this server out."""
    desk.ledger.database.query("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        desk.keeper.tend(PANEL, ())
    assert desk.asked_for() == []


def test_a_certificate_that_can_not_be_kept_is_fetched_from_certbot_later(desk: Desk) -> None:
    desk.store.folder.write_text("a file where the folder should be")
    [result] = desk.keeper.tend(PANEL, ())
    assert not result.ok and "certificates" in result.reason
    desk.store.folder.unlink()
    first = desk.certbot.live["panel"]
    desk.now += HOUR
    assert desk.keeper.tend(PANEL, ()) == [Result("panel", True)]
    assert desk.store.load() == {"panel": first}


def test_what_nobody_needs_any_more_is_forgotten_once_it_has_ended(desk: Desk) -> None:
    desk.keeper.tend(PANEL, ())
    desk.now += DAY
    desk.keeper.tend(Config(), ())
    assert "panel" in desk.store.load(), "it would be needed again if the setting came back"
    desk.now += 90 * DAY
    desk.keeper.tend(Config(), ())
    assert desk.store.load() == {} and desk.row == {}


def test_a_new_ledger_learns_of_the_certificates_that_there_are(desk: Desk) -> None:
    desk.keeper.tend(PANEL, ())
    desk.ledger.certificates.forget("panel")
    assert desk.keeper.tend(PANEL, ()) == []
    assert desk.row["panel"].expires_at == desk.now + 90 * DAY and len(desk.asked_for()) == 1


def test_a_certbot_that_claims_success_without_a_certificate_is_not_believed(desk: Desk) -> None:
    desk.certbot.read = lambda name: None
    [result] = desk.keeper.tend(PANEL, ())
    assert not result.ok and "panel.example.com" in result.reason and desk.row["panel"].failures == 1


def test_what_nobody_needs_any_more_is_no_trouble_any_more(desk: Desk) -> None:
    desk.keeper.tend(PANEL, ())
    desk.certbot.refused = {"panel.example.com"}
    desk.now += 61 * DAY
    desk.keeper.tend(PANEL, ())
    assert desk.row["panel"].reason
    desk.keeper.tend(Config(), ())
    assert desk.row == {}, "nobody is told that it failed, or that it ends"
