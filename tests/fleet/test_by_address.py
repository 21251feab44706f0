"""The panel at the bare address: whose certificate is shown there, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.accounts.actor import CLI
from app.actions import settings
from app.certificates import pem
from app.certificates.certbot import CertificateFailure
from app.certificates.selfsigned import SelfSigned
from app.cli.fleet import _panel
from app.control.doctor import NOTE, OK, PROBLEM, examine
from app.engines.builtin import Builtin
from app.messages import Problem, sentence
from tests.support.fleet import Fleet
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_edge import MemoryEdge
from tests.support.memory_runtime import Machine, MemoryRuntime

DAY = 86400


class Server:
    """A server without a domain, at 203.0.113.7; nginx and certbot live in memory."""

    def __init__(self, folder: Path) -> None:
        self.edge, self.machine = MemoryEdge(), Machine()
        self.certbot = MemoryCertbot(self.machine.now, 160 / 24)
        self.fleet = Fleet(folder, MemoryRuntime(self.machine), Builtin(), self.edge, self.certbot, door_port=9443)
        self.fleet.reconciler.clock = self.machine.now
        self.fleet.port443.certificates._clock = self.machine.now
        self.fleet.set_settings({"server_ip": "203.0.113.7", "panel_by_address": "true"})

    @property
    def shown(self) -> str:
        """The fingerprint of what nginx shows there."""
        return pem.fingerprint(self.edge.site.door.certificate)

    @property
    def told(self):
        return self.fleet.status().edge.by_address


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MTPROTO_TIME_SITES", "none")
    return Server(tmp_path)


def test_it_gets_a_path_that_nobody_can_guess_and_keeps_it(server: Server) -> None:
    path = server.fleet.config().panel_path
    assert len(path) == 22 and server.told.url == f"https://203.0.113.7:9443/{path}/"
    server.fleet.set_settings({"panel_by_address": "false"})
    assert server.edge.site.door is None and server.told is None
    server.fleet.set_settings({"panel_by_address": "true"})
    assert server.fleet.config().panel_path == path and server.edge.site.door.path == path


def test_its_own_certificate_is_shown_until_an_authority_has_issued_one_and_again_when_that_has_ended(
        server: Server) -> None:
    own = server.shown
    assert server.told.self_signed and server.told.fingerprint == own
    assert server.fleet.renew_certificates()[0].ok
    assert not server.told.self_signed and server.told.fingerprint == server.shown != own
    server.machine.pass_time(8 * DAY)
    server.certbot.failure = CertificateFailure("authority.refuses", authority="Let's Encrypt", said="too many")
    server.fleet.reconcile()
    assert server.told.self_signed and server.shown == own


def test_why_there_is_none_of_an_authority_is_told_and_asked_again_by_itself(server: Server) -> None:
    server.certbot.failure = CertificateFailure(
        "authority.refuses_advice", authority="Let's Encrypt", said="Timeout",
        advice=Problem("authority.advice_address"))
    server.fleet.renew_certificates()
    assert "port 80 of that address must be open" in server.told.reason
    assert any("port 80 of that address" in problem for problem in server.fleet.status().problems)
    server.certbot.failure = None
    server.machine.pass_time(3601)
    assert server.fleet.renew_certificates(actor="panel")[0].ok and not server.told.self_signed
    assert server.fleet.status().problems == []


def test_another_address_is_another_place_with_a_certificate_of_its_own(server: Server) -> None:
    server.fleet.renew_certificates()
    before = server.shown
    server.fleet.set_settings({"server_ip": "2001:db8::9"})
    assert server.told.self_signed and server.shown != before
    assert server.told.url.startswith("https://[2001:db8::9]:9443/")
    assert server.fleet.renew_certificates()[0].ok and not server.told.self_signed
    assert server.edge.site.door.certificate.domains == ("2001:db8::9",)


def test_the_address_can_not_be_taken_away_while_the_panel_is_there(server: Server) -> None:
    with pytest.raises(Exception, match="address that people reach"):
        settings.set_settings(server.fleet, CLI, {"server_ip": ""})
    assert server.fleet.config().server_ip == "203.0.113.7"


def test_a_certificate_that_can_not_be_written_is_nobody_elses_trouble(
        server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SelfSigned, "certificate", fail)
    anna = server.fleet.add_user("Anna")
    assert server.fleet.user(anna.id).state == "running" and server.edge.site.door is None
    assert server.told.fingerprint == "" and "No space left" in server.told.reason


def test_a_domain_that_comes_later_leaves_that_door_open_until_it_is_shut(server: Server) -> None:
    server.fleet.port443.certificates.certbot.days = 90
    server.fleet.set_settings({"panel_domain": "panel.example.org"})
    assert {each.name for each in server.fleet.renew_certificates()} == {"panel", "address"}
    assert server.edge.site.panel_domain == "panel.example.org" and server.edge.site.door
    server.fleet.set_settings({"panel_by_address": "false"})
    assert server.edge.site.panel_domain == "panel.example.org" and server.edge.site.door is None
    assert [view.name for view in server.fleet.certificates()] == ["address", "panel"]
    server.fleet.renew_certificates()
    assert [view.name for view in server.fleet.certificates()] == ["panel"]


def test_status_and_doctor_tell_where_it_is_and_whose_certificate_is_shown(server: Server) -> None:
    url, own = server.told.url, server.shown
    lines = dict(_panel(server.fleet.status().edge))
    assert lines["panel"] == url and lines["certificate"].endswith(f"; SHA-256 {own}")
    [finding] = [each for each in examine(server.fleet) if each.about == "panel"]
    assert finding.state == NOTE and own in sentence(finding.told) and url in sentence(finding.told)

    server.fleet.renew_certificates()
    assert dict(_panel(server.fleet.status().edge))["certificate"].startswith("issued, until ")
    [finding] = [each for each in examine(server.fleet) if each.about == "panel"]
    assert finding.state == OK

    # A day before its end it should long have been renewed.
    server.machine.pass_time(5.7 * DAY)
    assert [sentence(each.told) for each in examine(server.fleet) if each.state == PROBLEM] == [
        "Certificate address (203.0.113.7) expires in 0 days"]


def test_in_the_file_without_a_path_it_is_served_nowhere(tmp_path: Path) -> None:
    server = Server(tmp_path)
    with server.fleet.file.edit() as config:
        config.panel_path = ""
    server.fleet.reconcile()
    assert server.edge.site.door is None and server.told is None
    server.fleet.set_settings({"panel_by_address": "true"})
    assert server.edge.site.door and server.told
