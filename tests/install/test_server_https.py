"""install.sh and HTTPS for the panel: at the bare address without a domain; a tunnel only where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.install.server_lab import PASSWORD, ServerLab

pytestmark = pytest.mark.timeout(300)

URL = "https://203.0.113.7:9443/a-path-nobody-knows/"
REFUSAL = ("https://acme.example/ could not check 203.0.113.7: Timeout during connect (port 80 of that address must be "
           "open to the internet, and lead to this nginx)")


def test_without_a_domain_the_panel_is_by_https_at_the_bare_address_with_an_issued_certificate(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, firewall="ufw", ufw=["allow 22/tcp"])
    server.has("ufw")

    answer = server.install()

    assert answer.code == 0, answer.told
    assert f"Panel:     {URL}\n" in answer.stdout and "asking for a certificate for 203.0.113.7" in answer.stdout
    assert "ssh -L" not in answer.stdout and "fingerprint" not in answer.stdout
    assert f"Panel:     {URL}\n" in (server.home / "first-login").read_text()
    assert server.declared()["panel_by_address"] is True
    assert server.settings()["PANEL_HTTPS_PORT"] == "9443" and server.settings()["COMPOSE_PROFILES"] == "ssl"
    # 80 for the certificate, 9443 for the panel, 2443 for the first user; nothing of 443.
    assert list(server.state["ufw_profiles"].values()) == ["80,2443,9443"]


def test_where_no_certificate_can_be_had_the_fingerprint_of_the_panels_own_is_printed(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, no_certificate=REFUSAL)
    answer = server.install()
    assert answer.code == 0, answer.told
    assert REFUSAL in answer.stdout and f"Panel:     {URL}\n" in answer.stdout and PASSWORD in answer.stdout
    closing = answer.stdout.partition(f"Panel:     {URL}")[2]
    assert "Go on only if they show this fingerprint (SHA-256):\n           3A:5F:00\n" in closing
    assert "ssh -L" not in answer.stdout
    # It comes later.
    server.change(no_certificate="")
    again = server.install()
    assert again.code == 0 and "fingerprint" not in again.stdout and URL in again.stdout, again.told


def test_where_the_panel_is_asking_already_that_is_waited_for(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, asking=2)
    answer = server.install()
    assert answer.code == 0 and "being asked for already" not in answer.stdout and "fingerprint" not in answer.stdout
    assert len([call for call in server.calls() if "certificates renew" in call]) == 3


def test_nobody_is_asked_for_a_certificate_of_a_private_address(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, address="10.0.0.4")
    answer = server.install()
    assert answer.code == 0 and "no authority issues a certificate for 10.0.0.4" in answer.stdout, answer.told
    assert "https://10.0.0.4:9443/a-path-nobody-knows/" in answer.stdout and "3A:5F:00" in answer.stdout
    assert not [call for call in server.calls() if "certificates renew" in call]


@pytest.mark.parametrize("options", [("--tunnel",), ("--https", "no"), ()])
def test_a_tunnel_is_printed_only_for_who_asks_for_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    server = ServerLab(tmp_path)
    answer = server.install(*options, **({} if options else {"MTPROTO_HTTPS": "no"}))
    assert answer.code == 0, answer.told
    assert "Panel:     http://127.0.0.1:8080\n" in answer.stdout
    assert "ssh -L 8080:127.0.0.1:8080 root@203.0.113.7" in answer.stdout
    assert not server.declared().get("panel_by_address") and "PANEL_HTTPS_PORT" not in server.settings()
    assert server.settings()["COMPOSE_PROFILES"] == "" and "certbot" not in server.state["containers"]
    # And it stays so, until somebody says otherwise.
    again = server.install()
    assert "ssh -L" in again.stdout
    assert URL in server.install("--https", "yes").stdout
    shut = server.install("--tunnel")
    assert "ssh -L" in shut.stdout and server.declared()["panel_by_address"] is False
    assert "PANEL_HTTPS_PORT" not in server.settings()


def test_a_port_that_is_taken_is_left_to_who_has_it_unless_it_was_chosen(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, listening={"9443": "java"})
    refused = server.install("--panel-https-port", "9443")
    assert refused.code == 1 and "port 9443, for the panel by HTTPS, is taken by java" in refused.stderr
    answer = server.install()
    assert answer.code == 0 and "port 9443 is taken by java (pid 71): the panel by HTTPS gets 9444" in answer.stdout
    assert server.settings()["PANEL_HTTPS_PORT"] == "9444"
    # By then it is ours, and stays where it is.
    server.change(listening={"9443": "java", "9444": "docker-proxy"})
    assert server.install().code == 0 and server.settings()["PANEL_HTTPS_PORT"] == "9444"


@pytest.mark.parametrize("port, words", [("80", "nginx's already"), ("443", "nginx's already"), ("0", "whole number"),
                                         ("x", "whole number"), ("70000", "whole number"), ("2443", "another one's")])
def test_a_port_that_can_not_be_the_panels_is_refused_before_anything_is_changed(
        tmp_path: Path, port: str, words: str) -> None:
    server = ServerLab(tmp_path)
    answer = server.install("--panel-https-port", port)
    assert answer.code == 2 and words in answer.stderr and not server.home.exists(), answer.told


def test_a_web_server_that_has_port_80_keeps_it_and_the_certificate_is_the_panels_own(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, listening={"80": "apache2", "443": "apache2"}, no_certificate=REFUSAL)
    answer = server.install()
    assert answer.code == 0, answer.told
    assert "Without it no authority issues a certificate" in answer.stdout and "3A:5F:00" in answer.stdout
    assert server.settings()["HTTP_PORT"].startswith("127.0.0.1:")
    assert server.settings()["HTTPS_PORT"].startswith("127.0.0.1:")
    # When it is gone, the port is taken back.
    server.change(listening={}, no_certificate="")
    assert server.install().code == 0 and server.settings()["HTTP_PORT"] == "80"


def test_an_image_of_certbot_that_can_not_be_had_is_no_obstacle(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, no_pull=["certbot"])
    answer = server.install()
    assert answer.code == 0 and "nobody asks for a certificate" in answer.stdout and "3A:5F:00" in answer.stdout
    assert server.settings()["COMPOSE_PROFILES"] == ""


def test_a_domain_that_comes_later_is_the_panels_place_and_the_old_one_stays_until_it_is_shut(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["203.0.113.7"]})
    assert server.install().code == 0
    answer = server.install("--domain", "proxy.example.com")
    assert answer.code == 0, answer.told
    assert "Panel:     https://proxy.example.com\n" in answer.stdout and f"It is also at {URL}" in answer.stdout
    assert "settings set panel_by_address=false" in answer.stdout
    assert server.declared()["panel_by_address"] is True


def test_with_a_domain_from_the_start_there_is_no_other_way_unless_it_leads_elsewhere(tmp_path: Path) -> None:
    server = ServerLab(tmp_path / "here", dns={"proxy.example.com": ["203.0.113.7"]})
    answer = server.install("--domain", "proxy.example.com")
    assert answer.code == 0 and "PANEL_HTTPS_PORT" not in server.settings(), answer.told
    assert "panel_by_address" not in server.declared()

    server = ServerLab(tmp_path / "elsewhere", dns={"proxy.example.com": ["198.51.100.1"]})
    server.change(refuses={"panel_domain": "proxy.example.com leads to 198.51.100.1"})
    answer = server.install("--domain", "proxy.example.com")
    assert answer.code == 0 and f"Panel:     {URL}\n" in answer.stdout, answer.told


def test_a_removal_shuts_its_ports_again(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, firewall="ufw", ufw=["allow 22/tcp"])
    server.has("ufw")
    assert server.install().code == 0 and len(server.state["ufw"]) == 2
    assert server.install("--uninstall", "--yes").code == 0
    assert server.state["ufw"] == ["allow 22/tcp"]
