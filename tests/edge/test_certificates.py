"""The manager of the certificates, with an authority that is played; tests/docker asks a real one."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.certificates import pem
from app.certificates.certbot import START, CertificateFailure, NotAsked
from app.certificates.manager import COLLECT, CertificateManager, Result, Store
from app.certificates.renewal import BETWEEN_ADDITIONS
from app.certificates.selfsigned import SelfSigned
from app.config.model import Config
from app.ledger.ledger import Ledger
from app.messages import Problem, sentence, text
from tests.support.memory_certbot import MemoryCertbot, issue

HOUR, DAY = 3600.0, 86400.0
PANEL = Config(panel_domain="panel.example.com")
BASE = ("example.com",)


class ManagedCertificates:
    """A manager, with hands on its clock and on the authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 1_800_000_000.0
        self.certbot = MemoryCertbot(lambda: self.now)
        self.ledger = Ledger(folder)
        self.store = Store(folder / "certificates")
        self.manager = CertificateManager(self.certbot, self.store, self.ledger.certificates, folder, lambda: self.now)

    @property
    def row(self):
        return self.ledger.certificates.all()

    def asked_for(self) -> list[tuple[str, tuple[str, ...], bool]]:
        """The requests since the last call."""
        requests, self.certbot.requests = self.certbot.requests, []
        return requests


@pytest.fixture
def managed(tmp_path: Path) -> ManagedCertificates:
    return ManagedCertificates(tmp_path)


# The store


def test_a_certificate_comes_back_from_the_store_as_it_was(managed: ManagedCertificates) -> None:
    made = issue("panel", ["panel.example.com"], managed.now)
    managed.store.save(made)
    assert managed.store.load() == {"panel": made}
    assert stat.S_IMODE((managed.store.folder / "panel.pem").stat().st_mode) == 0o600
    assert os.listdir(managed.store.folder) == ["panel.pem"]
    managed.store.remove("panel")
    managed.store.remove("panel")
    assert managed.store.load() == {}


@pytest.mark.parametrize(("damage", "words"), [
    (lambda pem, other: pem[:len(pem) // 3], "has no key"),
    (lambda pem, other: pem.replace("MII", "MIX", 1), "can't be read"),
    (lambda pem, other: pem[:pem.index("-----BEGIN PRIVATE")] + other[other.index("-----BEGIN PRIVATE"):],
     "belongs to another"),
    (lambda pem, other: "", "has no key"),
    (lambda pem, other: "\0" * 4096, "has no key"),
])
def test_a_damaged_certificate_is_left_out_and_told_and_fetched_again(
        managed: ManagedCertificates, damage, words: str) -> None:
    managed.manager.renew_due(PANEL, ())
    other = issue("cover-1", BASE, managed.now)
    managed.store.save(other)
    path = managed.store.folder / "panel.pem"
    path.write_text(damage(path.read_text(), other.chain + other.key))
    assert managed.store.load() == {"cover-1": other}
    told = managed.store.damaged["panel"]
    assert told.params["path"] == str(path) and words in sentence(told)
    managed.asked_for()
    assert managed.manager.renew_due(PANEL, BASE) == [Result("panel", True)]
    assert managed.asked_for() == [("panel", ("panel.example.com",), False)], "certbot still has the old one"
    assert managed.store.load()["panel"] == managed.certbot.live["panel"] and managed.store.damaged == {}


# The manager


def test_whoever_has_no_domain_asks_for_nothing(managed: ManagedCertificates) -> None:
    assert managed.manager.renew_due(Config(), (), force=True) == []
    assert managed.asked_for() == [] and managed.row == {}


def test_a_certificate_is_asked_for_once_kept_and_noted(managed: ManagedCertificates) -> None:
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)]
    assert managed.manager.renew_due(PANEL, ()) == []
    assert managed.asked_for() == [("panel", ("panel.example.com",), False)]
    got, row = managed.store.load()["panel"], managed.row["panel"]
    assert got.domains == row.domains == ("panel.example.com",)
    assert (row.issued_at, row.expires_at, row.tried_at) == (managed.now, managed.now + 90 * DAY, managed.now)
    assert (row.failures, row.problem) == (0, None)


def test_it_is_renewed_thirty_days_before_its_end(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(PANEL, ())
    first = managed.store.load()["panel"]
    managed.now += 60 * DAY - 1
    assert managed.manager.renew_due(PANEL, ()) == []
    managed.now += 1
    managed.asked_for()
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)]
    assert managed.asked_for() == [("panel", ("panel.example.com",), True)], "certbot itself might find it early"
    assert managed.store.load()["panel"].not_after > first.not_after


def test_users_names_that_come_one_after_another_are_asked_for_together(managed: ManagedCertificates) -> None:
    names = [*BASE]
    for number in range(6):
        names.append(f"n{number}.example.com")
        assert managed.manager.renew_due(Config(), names) == []
        managed.now += COLLECT / 6
    assert managed.manager.renew_due(Config(), names) == [Result("cover-1", True)]
    assert managed.asked_for() == [("cover-1", tuple(names), False)]
    names.append("late.example.com")
    managed.now += COLLECT
    assert managed.manager.renew_due(Config(), names) == []
    managed.now += BETWEEN_ADDITIONS
    assert managed.manager.renew_due(Config(), names) == [Result("cover-1", True)]
    assert managed.asked_for() == [("cover-1", tuple(names), False)]


def test_a_person_need_not_wait_and_may_have_all_of_them_anew(managed: ManagedCertificates) -> None:
    assert managed.manager.renew_due(PANEL, BASE, asked=True) == [Result("panel", True), Result("cover-1", True)]
    assert managed.manager.renew_due(PANEL, BASE, asked=True) == []
    managed.asked_for()
    assert managed.manager.renew_due(PANEL, BASE, force=True) == [Result("panel", True), Result("cover-1", True)]
    assert managed.asked_for() == [("panel", ("panel.example.com",), True), ("cover-1", BASE, True)]


def test_after_a_failure_it_waits_longer_each_time_and_what_there_was_is_kept(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(PANEL, ())
    had = managed.store.load()
    managed.now += 70 * DAY
    managed.certbot.failure = CertificateFailure("port 80 is closed")
    for hours in (1, 2, 4):
        assert managed.manager.renew_due(PANEL, ()) == [Result("panel", False, text("port 80 is closed"))]
        managed.now += hours * HOUR - 1
        assert managed.manager.renew_due(PANEL, ()) == []
        managed.now += 1
    assert managed.store.load() == had
    assert (managed.row["panel"].failures, managed.row["panel"].problem) == (3, text("port 80 is closed"))
    assert managed.row["panel"].expires_at == had["panel"].not_after.timestamp()
    managed.certbot.failure = None
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)]
    assert (managed.row["panel"].failures, managed.row["panel"].problem) == (0, None)


def test_one_name_that_is_refused_does_not_keep_the_others_from_their_certificate(managed: ManagedCertificates) -> None:
    names = (*BASE, "bad.example.com", "good.example.com")
    managed.certbot.refused = {"bad.example.com"}
    [result] = managed.manager.renew_due(Config(), names, asked=True)
    assert result.ok and result.reason.code == "certificate.without"
    assert result.reason.params["names"] == ["bad.example.com"]
    assert managed.store.load()["cover-1"].domains == ("example.com", "good.example.com")
    assert managed.row["cover-1"].problem == result.reason
    managed.asked_for()
    managed.now += HOUR
    assert [r.ok for r in managed.manager.renew_due(Config(), names)] == [False]
    assert managed.asked_for() == [("cover-1", names, False)], "the same certificate is not issued again and again"
    managed.certbot.refused = set()
    managed.now += 2 * HOUR
    assert managed.manager.renew_due(Config(), names) == [Result("cover-1", True)]
    assert managed.row["cover-1"].problem is None


def test_the_trouble_with_a_name_is_forgotten_with_the_name(managed: ManagedCertificates) -> None:
    managed.certbot.refused = {"bad.example.com"}
    managed.manager.renew_due(Config(), (*BASE, "bad.example.com"), asked=True)
    assert managed.row["cover-1"].problem
    assert managed.manager.renew_due(Config(), BASE) == []
    assert managed.row["cover-1"].problem is None


def test_where_no_certbot_runs_that_is_told_once_and_costs_no_pause(managed: ManagedCertificates) -> None:
    managed.certbot.failure = NotAsked("certbot.missing", command=START)
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", False, managed.certbot.failure.problem)]
    assert managed.manager.renew_due(PANEL, ()) == [], "told already"
    assert len(managed.manager.renew_due(PANEL, (), asked=True)) == 1, "but not to the person who asks"
    assert managed.row["panel"].problem.code == "certbot.missing" and managed.row["panel"].failures == 0
    managed.certbot.failure = None
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)], "at the next look, without a pause"


def test_while_somebody_else_is_at_it_nothing_is_asked(managed: ManagedCertificates) -> None:
    with (managed.folder / "certificates.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert managed.manager.renew_due(PANEL, ()) == []
        [told] = managed.manager.renew_due(PANEL, (), asked=True)
        assert not told.ok and told.reason == Problem("certificates.under_way")
    assert managed.asked_for() == [] and managed.row == {}
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)]


def test_what_could_not_be_noted_is_not_asked_for(managed: ManagedCertificates) -> None:
    """The authority counts every request: without the pauses it would lock this server out."""
    managed.ledger.database.query("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        managed.manager.renew_due(PANEL, ())
    assert managed.asked_for() == []


def test_a_certificate_that_can_not_be_kept_is_fetched_from_certbot_later(managed: ManagedCertificates) -> None:
    managed.store.folder.write_text("a file where the folder should be")
    [result] = managed.manager.renew_due(PANEL, ())
    assert not result.ok and "certificates" in sentence(result.reason)
    managed.store.folder.unlink()
    first = managed.certbot.live["panel"]
    managed.now += HOUR
    assert managed.manager.renew_due(PANEL, ()) == [Result("panel", True)]
    assert managed.store.load() == {"panel": first}


def test_what_nobody_needs_any_more_is_forgotten_once_it_has_ended(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(PANEL, ())
    managed.now += DAY
    managed.manager.renew_due(Config(), ())
    assert "panel" in managed.store.load(), "it would be needed again if the setting came back"
    managed.now += 90 * DAY
    managed.manager.renew_due(Config(), ())
    assert managed.store.load() == {} and managed.row == {}


def test_a_new_ledger_learns_of_the_certificates_that_there_are(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(PANEL, ())
    managed.ledger.certificates.forget("panel")
    assert managed.manager.renew_due(PANEL, ()) == []
    assert managed.row["panel"].expires_at == managed.now + 90 * DAY and len(managed.asked_for()) == 1


def test_a_certbot_that_claims_success_without_a_certificate_is_not_believed(managed: ManagedCertificates) -> None:
    managed.certbot.read = lambda name: None
    [result] = managed.manager.renew_due(PANEL, ())
    assert not result.ok and result.reason == Problem("certbot.nothing", {"domains": ["panel.example.com"]})
    assert managed.row["panel"].failures == 1


def test_what_nobody_needs_any_more_is_no_trouble_any_more(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(PANEL, ())
    managed.certbot.refused = {"panel.example.com"}
    managed.now += 61 * DAY
    managed.manager.renew_due(PANEL, ())
    assert managed.row["panel"].problem
    managed.manager.renew_due(Config(), ())
    assert managed.row == {}, "nobody is told that it failed, or that it ends"


# The bare address

DOOR = Config(panel_by_address=True, panel_path="a-path-nobody-knows", server_ip="203.0.113.7")


def test_the_address_gets_a_certificate_of_six_days_which_is_renewed_by_itself(managed: ManagedCertificates) -> None:
    managed.certbot.days = 160 / 24
    assert managed.manager.renew_due(DOOR, ()) == [Result("address", True)]
    assert managed.store.load()["address"].domains == ("203.0.113.7",)
    managed.asked_for()
    managed.now += 4 * DAY
    assert managed.manager.renew_due(DOOR, ()) == []
    managed.now += DAY
    assert managed.manager.renew_due(DOOR, ()) == [Result("address", True)]
    assert managed.asked_for() == [("address", ("203.0.113.7",), True)]


def test_a_server_that_moves_to_another_address_gets_a_certificate_for_that(managed: ManagedCertificates) -> None:
    managed.manager.renew_due(DOOR, ())
    managed.now += HOUR
    moved = DOOR.model_copy(update={"server_ip": "2001:db8::7"})
    assert managed.manager.renew_due(moved, ()) == [Result("address", True)]
    assert managed.store.load()["address"].domains == ("2001:db8::7",)


@pytest.mark.parametrize("config", [
    Config(server_ip="203.0.113.7"), DOOR.model_copy(update={"panel_path": ""}),
    DOOR.model_copy(update={"server_ip": "10.0.0.4"}), DOOR.model_copy(update={"server_ip": "fd00::4"}),
    DOOR.model_copy(update={"server_ip": ""})])
def test_nobody_is_asked_for_an_address_that_is_not_served_or_no_authority_can_reach(
        managed: ManagedCertificates, config: Config) -> None:
    assert managed.manager.renew_due(config, ()) == [] and managed.asked_for() == []


def test_an_authority_of_the_operators_own_is_asked_for_a_private_address(managed: ManagedCertificates) -> None:
    config = DOOR.model_copy(update={"server_ip": "10.0.0.4", "acme_directory": "https://ca.lan/directory"})
    assert managed.manager.renew_due(config, ()) == [Result("address", True)]


def test_a_certificate_of_the_address_is_forgotten_when_it_is_served_no_more(managed: ManagedCertificates) -> None:
    managed.certbot.days = 160 / 24
    managed.manager.renew_due(DOOR, ())
    managed.manager.renew_due(Config(), ())
    assert managed.row == {}
    managed.now += 8 * DAY
    managed.manager.renew_due(Config(), ())
    assert managed.store.load() == {}


# The panel's own one


def test_a_certificate_that_signs_itself_stays_the_same_until_it_ends_soon_or_the_address_is_another(
        tmp_path: Path) -> None:
    own, now = SelfSigned(tmp_path), datetime(2026, 11, 27, tzinfo=UTC)
    first = own.certificate("203.0.113.7", now)
    assert first.domains == ("203.0.113.7",) and first.not_after - first.not_before <= timedelta(days=825)
    assert stat.S_IMODE((tmp_path / "panel-self-signed.pem").stat().st_mode) == 0o600
    assert SelfSigned(tmp_path).certificate("203.0.113.7", now + timedelta(days=700)) == first
    later = own.certificate("203.0.113.7", first.not_after - timedelta(days=29))
    assert later != first and later.not_after > first.not_after
    assert own.certificate("2001:db8::7", now).domains == ("2001:db8::7",)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nMIIX\n"])
def test_a_damaged_one_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "panel-self-signed.pem").write_bytes(content)
    assert SelfSigned(tmp_path).certificate("203.0.113.7", datetime.now(UTC)).key


def test_two_that_need_it_at_once_get_the_same_one(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: SelfSigned(tmp_path).certificate("203.0.113.7", now), range(8)))
    assert len({pem.fingerprint(each) for each in found}) == 1
