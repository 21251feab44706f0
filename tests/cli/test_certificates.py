"""`certificates …`, `domains check`, and what `status`, `settings` and `user show` say of port 443."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from app.certificates.certbot import CertificateFailure
from app.checks.tls import check_all
from app.config.model import DOMAIN_POOL
from app.control.system import System
from app.messages import text as told
from tests.support.cover import Cover
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx

DAY = 86400


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The one that `run` works on: behind nginx and certbot."""
    fleet = fleet_behind_nginx(tmp_path / "443", MemoryRuntime())
    monkeypatch.setattr(System, "open", lambda _: fleet)
    return fleet


def test_certificates_are_listed_with_what_failed(run, fleet: Fleet) -> None:
    assert run("certificates", "list").stdout == "No certificates yet.\n"
    assert run("certificates", "list", "--json").json() == []
    now, ledger = fleet.reconciler.clock(), fleet.ledger.certificates
    names = [f"u{number}.example.org" for number in range(40)]
    ledger.succeeded("cover-1", names, now, now + 60.5 * DAY, now)
    ledger.succeeded("cover-2", ["old.example.org"], now, now - 0.5 * DAY, now)
    ledger.failed("panel", ["panel.example.org"], told("port 80 of this server must be open to the internet"), now)
    text = run("certificates", "list").stdout
    assert "u0.example.org and 39 more" in text and "in 60 days" in text
    assert "expired" in text and "not there yet" in text
    assert "port 80 of this server must be open" in " ".join(text.split())
    assert all(len(line) <= 80 for line in text.splitlines())
    document = run("certificates", "list", "--json").json()
    assert [(one["name"], len(one["domains"]), one["days_left"]) for one in document] == [
        ("cover-1", 40, 60), ("cover-2", 1, -1), ("panel", 1, None)]


def test_renewing_asks_for_what_is_due_and_with_force_for_all(run, fleet: Fleet) -> None:
    assert "no name needs a certificate" in run("certificates", "renew").stdout
    fleet.set_settings({"panel_domain": "panel.example.org"})
    certbot = fleet.port443.certificates.certbot
    certbot.failure = CertificateFailure("the authority does not answer")
    failed = run("certificates", "renew")
    assert failed.code == 1 and "the authority does not answer" in failed.stderr

    certbot.failure = None
    (outcome,) = run("certificates", "renew", "--json").json()
    assert (outcome["name"], outcome["ok"]) == ("panel", True)
    assert run("certificates", "renew").stdout == "Nothing is due: no certificate expires soon.\n"
    serial = certbot.live["panel"].chain
    assert "certificate panel" in run("certificates", "renew", "--force").stdout
    assert certbot.live["panel"].chain != serial


def test_without_certbot_a_renewal_is_refused_with_what_is_missing(run, unchanged) -> None:
    assert "docker-compose.yml" in run("certificates", "renew").refused()


def test_domains_are_checked_and_those_that_fail_are_told(
        run, cover: Cover, monkeypatch: pytest.MonkeyPatch) -> None:
    where = partial(check_all, address=cover.ip, port=cover.port, ca=str(cover.cert))
    monkeypatch.setattr("app.actions.settings.check_all", where)
    good = run("domains", "check", cover.host)
    assert good.code == 0 and "yes" in good.stdout and " ms" in good.stdout

    bad = run("domains", "check", cover.host, "www.other.example")
    assert bad.code == 1 and "1 of 2 can't be used" in bad.stderr
    assert "! www.other.example: its certificate is not valid" in bad.stdout
    assert [one["ok"] for one in run("domains", "check", cover.host, "--json").json()] == [True]


def test_without_names_the_pool_is_checked(run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("app.actions.settings.check_all", lambda names: asked.extend(names) or [])
    assert run("domains", "check").code == 0
    assert asked == list(DOMAIN_POOL)


def test_lists_are_printed_as_they_are_typed(run) -> None:
    assert run("settings", "get", "domain_pool").stdout.split() == list(DOMAIN_POOL)
    run("settings", "set", "domain_pool=www.a.example www.b.example",
        "mtg_timing_urls=https://www.a.example/x")
    assert run("settings", "get", "domain_pool").stdout == "www.a.example www.b.example\n"
    assert run("settings", "get", "domain_pool", "--json").json() == {
        "domain_pool": ["www.a.example", "www.b.example"]}
    assert "https://www.a.example/x\n" in run("settings", "list").stdout
    run("settings", "set", "mtg_timing_urls=")
    assert run("settings", "get", "mtg_timing_urls").stdout == "\n"


def test_status_and_user_show_tell_of_port_443(run, fleet: Fleet) -> None:
    fleet.add_user("Alice", domain="www.first.example")
    assert "port 443     off" in run("status").stdout
    fleet.set_settings({"port_443_mode": "true", "panel_domain": "panel.example.org"})
    fleet.ledger.certificates.failed("panel", ["panel.example.org"], told("port 80 is closed"), 1.0)
    run("user", "set", "Alice", "domain=www.second.example")
    status = run("status").stdout
    assert "port 443     on" in status and "https://panel.example.org (it has no certificate yet)" in status
    assert re.search(r"^Alice +443 ", status, re.MULTILINE) and "port 80 is closed" in status
    assert run("status", "--json").json()["edge"]["port_443"] is True
    shown = run("user", "show", "Alice").stdout
    assert "old link" in shown and "www.first.example, until" in shown and "last used never" in shown
    (old,) = run("user", "show", "Alice", "--json").json()["old_links"]
    assert old["domain"] == "www.first.example" and "port=443" in old["tg_link"]


def test_without_nginx_status_says_nothing_of_it(run) -> None:
    assert "port 443" not in run("status").stdout
    assert run("status", "--json").json()["edge"] is None
