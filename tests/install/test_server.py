"""install.sh on a server, by recorded command tables: from each distribution to a panel, again, and away."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.install.conftest import ROOT
from tests.install.server_lab import DISTRIBUTIONS, PASSWORD, VERSION, ServerLab

pytestmark = pytest.mark.timeout(300)

#: What each distribution gets Docker and Compose from.
EXPECTED = {
    "ubuntu-20.04": "docker.io docker-compose-v2",
    "ubuntu-24.04": "docker.io docker-compose-v2",
    # Debian 11's own Compose knows no profiles.
    "debian-11": "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
    "debian-12": "docker.io docker-compose",
    "debian-13": "docker.io docker-cli docker-compose",
    "rocky-8": "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
    "almalinux-9": "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
    "centos-9": "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
    "fedora-36": "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin",
}


def modes(folder: Path) -> dict[str, str]:
    return {path.name: oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if not path.is_symlink()}


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_each_distribution_gets_from_nothing_to_a_panel_with_a_first_user(tmp_path: Path, distribution: str) -> None:
    server = ServerLab(tmp_path, distribution)

    answer = server.install()

    assert answer.code == 0, answer.told
    installed = [each for each in server.state["installed"] if "docker" in each or each == "containerd.io"]
    assert " ".join(installed) == EXPECTED[distribution]
    assert "first's proxy leads to Telegram: 41 ms" in answer.stdout
    assert "Panel:     https://203.0.113.7:9443/a-path-nobody-knows/\n" in answer.stdout
    assert server.declared()["server_ip"] == "203.0.113.7"
    assert (server.home / "current/docker-compose.yml").is_file()
    assert os.readlink(server.home / "current").startswith("releases/")


def test_a_checkout_is_installed_as_git_describes_it(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, tree=ROOT)
    assert server.install().code == 0
    version = server.settings()["VERSION"]
    assert version == (server.home / "current/VERSION").read_text().strip() and (ROOT / ".git").exists()
    assert (server.home / "current/app/cli/__main__.py").is_file()
    assert not (server.home / "current/.git").exists() and not (server.home / "current/tests/.venv").exists()


def test_arm64_and_what_a_derivative_resembles_are_known(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, "debian-12", machine="aarch64")
    (tmp_path / "os-release").write_text('ID=raspbian\nID_LIKE=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
    answer = server.install()
    assert answer.code == 0 and "arm64" in answer.stdout and "treated like debian" in answer.stdout, answer.told


def test_the_password_is_printed_once_and_kept_for_root_only_and_never_logged(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    first = server.install()
    assert first.stdout.count(PASSWORD) == 1
    assert PASSWORD in (server.home / "first-login").read_text()
    assert PASSWORD not in (server.home / "install.log").read_text()
    assert {modes(server.home)[name] for name in ("first-login", ".env", "install.log")} == {"0o600"}

    again = server.install()
    assert again.code == 0 and PASSWORD not in again.told and "first-login" in again.stdout

    server.change(password="")
    assert server.install().code == 0
    assert not (server.home / "first-login").exists()


def test_a_second_run_keeps_answers_data_and_what_was_changed_in_the_panel(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--base-port", "5000", "--first-user", "Anna").code == 0
    config = server.home / "data/config.json"
    config.write_text(config.read_text().replace("203.0.113.7", "198.51.100.9"))
    before = server.settings()

    again = server.install()

    assert again.code == 0, again.told
    assert server.settings() == before and before["MTPROTO_BASE_PORT"] == "5000"
    assert server.declared()["server_ip"] == "198.51.100.9"
    assert [user["name"] for user in server.declared()["users"]] == ["Anna"]
    assert "there are users already" in again.stdout
    # Nothing was built, pulled or installed a second time.
    assert len([call for call in server.calls("docker") if call.startswith("docker build")]) == 2
    assert len([call for call in server.calls("apt-get") if " install " in call]) == 3


def test_an_answer_that_changes_is_applied(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["203.0.113.7"]})
    assert server.install().code == 0
    answer = server.install("--domain", "https://Proxy.Example.com/", "--email", "me@example.com")
    assert answer.code == 0, answer.told
    assert server.declared()["server_domain"] == server.declared()["panel_domain"] == "proxy.example.com"
    assert server.declared()["acme_email"] == "me@example.com"
    assert server.settings()["COMPOSE_PROFILES"] == "ssl"
    assert "certbot/certbot:v5.8.0" in server.state["images"]
    assert "https://proxy.example.com" in answer.stdout


def test_a_domain_whose_names_are_users_has_the_panel_beside_them(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"example.com": ["203.0.113.7"], "panel.example.com": ["203.0.113.7"]})
    answer = server.install(MTPROTO_DOMAIN="example.com", MTPROTO_PORT_443="yes", MTPROTO_NAMING="own")
    assert answer.code == 0, answer.told
    config = server.declared()
    assert (config["panel_domain"], config["sni_base_domain"], config["sni_mode"], config["port_443_mode"]) == (
        "panel.example.com", "example.com", "own", True)
    assert "is not in the DNS" not in answer.stdout and "leads to" not in answer.stdout.partition("Does the first")[0]


def test_a_domain_that_leads_elsewhere_is_told_and_no_obstacle(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["198.51.100.1"]})
    server.change(refuses={"panel_domain": "proxy.example.com leads to 198.51.100.1"})
    answer = server.install("--domain", "proxy.example.com")
    assert answer.code == 0, answer.told
    assert "proxy.example.com leads to 198.51.100.1, and this server is 203.0.113.7" in answer.stdout
    assert "the panel did not take panel_domain=proxy.example.com" in answer.stdout
    assert "Panel:     https://203.0.113.7:9443/a-path-nobody-knows/\n" in answer.stdout
    # What was refused is tried again.
    server.change(refuses={})
    assert server.install().code == 0 and server.declared()["panel_domain"] == "proxy.example.com"


def test_a_name_of_the_users_pages_that_leads_elsewhere_is_told_at_a_repair(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["203.0.113.7"], "share.example.com": ["198.51.100.1"]})
    assert server.install("--domain", "proxy.example.com").code == 0
    file = server.home / "data/config.json"
    file.write_text(json.dumps(server.declared() | {"share_hostname": "share.example.com"}, indent=2))
    answer = server.install()
    assert answer.code == 0, answer.told
    assert "share.example.com leads to 198.51.100.1, and this server is 203.0.113.7" in answer.stdout
    assert "nobody finds their own page there" in answer.stdout
    assert "Panel:     https://proxy.example.com" in answer.stdout, "the panel's own name leads here"
    server.change(dns={"proxy.example.com": ["203.0.113.7"], "share.example.com": ["203.0.113.7"]})
    assert "share.example.com" not in server.install().stdout
    server.change(dns={"proxy.example.com": ["203.0.113.7"]})
    assert "share.example.com is not in the DNS yet" in server.install().stdout


def test_a_name_that_is_the_servers_and_the_panels_is_told_of_once(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    answer = server.install("--domain", "proxy.example.com")
    assert answer.code == 0 and answer.stdout.count("proxy.example.com is not in the DNS yet") == 1


def test_behind_nat_the_address_is_asked_for_outside(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, address="10.0.0.4", web={"https://address.example/": "198.51.100.4\n"})
    answer = server.install(MTPROTO_ADDRESS_URLS="https://address.example/")
    assert answer.code == 0 and server.declared()["server_ip"] == "198.51.100.4", answer.told


def test_a_proxy_that_does_not_get_through_is_told_and_everything_is_installed(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, telegram=False)
    answer = server.install()
    assert answer.code == 0 and "does not lead to Telegram yet" in answer.stdout and PASSWORD in answer.stdout


def test_the_shell_has_no_say_in_what_compose_reads(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install(VERSION="9", TZ="Asia/Tokyo", DATA_DIR="/elsewhere").code == 0
    assert server.settings()["DATA_DIR"] == str(server.home / "data") and server.settings()["VERSION"] != "9"


def test_a_home_with_spaces_and_letters_of_others_works(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.home = tmp_path / "opt/мой прокси"
    answer = server.install()
    assert answer.code == 0 and (server.home / "current/install.sh").is_file(), answer.told
    assert f"--home '{server.home}'" in answer.stdout


def test_ready_images_are_pulled_from_a_registry_or_loaded_from_a_file(tmp_path: Path) -> None:
    server = ServerLab(tmp_path / "registry")
    assert server.install(MTPROTO_REGISTRY="registry.example/us").code == 0
    assert not [call for call in server.calls("docker") if call.startswith("docker build")]

    server = ServerLab(tmp_path / "file", no_pull=[".*"])
    (tmp_path / "images").write_text(f"mtproto-panel:{VERSION} mtg-custom nginx:1.30 certbot/certbot:v5.8.0")
    answer = server.install("--images", str(tmp_path / "images"))
    assert answer.code == 0, answer.told
    assert not [call for call in server.calls("docker") if call.startswith(("docker build", "docker pull"))]


def test_what_an_older_builder_leaves_is_tidied_up_but_for_the_packages_of_the_next_release(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, stages=["older-packages", "packages", "frontend"])
    answer = server.install()
    assert answer.code == 0, answer.told
    assert "docker tag packages mtproto-packages:latest" in server.calls("docker")
    assert server.state["stages"] == []
    assert "docker rmi older-packages" in server.calls("docker") and "docker rmi frontend" in server.calls("docker")
    assert server.install("--uninstall", "--yes").code == 0
    assert "docker rmi mtproto-packages:latest" in server.calls("docker")


def test_a_release_that_has_its_stylesheet_is_built_without_node(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install().code == 0
    build = next(call for call in server.calls("docker") if call.startswith("docker build") and "mtproto-panel" in call)
    assert "--target ready" in build
    assert not [call for call in server.calls("docker") if call.startswith("docker pull node")]


def test_a_registry_that_does_not_answer_is_no_obstacle(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, no_pull=["^registry.example"])
    answer = server.install(MTPROTO_REGISTRY="registry.example/us")
    assert answer.code == 0 and "so it is built here" in answer.stdout, answer.told


def test_mirrors_are_used_for_packages_and_images(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    answer = server.install(MTPROTO_APT_MIRROR="http://mirror.example/debian", MTPROTO_DOCKER_MIRROR="mirror.example")
    assert answer.code == 0, answer.told
    assert "deb http://mirror.example/debian bookworm main" in (server.home / "apt.list").read_text()
    assert all(f"Dir::Etc::sourcelist={server.home}/apt.list" in call for call in server.calls("apt-get"))
    assert "mirror.example/library/nginx:1.30" in server.state["images"]
    assert any("MTG_IMAGE=mirror.example/nineseconds/mtg:2.2.8" in call for call in server.calls("docker"))


def test_docker_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.has_docker()
    assert server.install().code == 0
    assert server.state["installed"] == ["apparmor"]


def test_a_bare_system_gets_what_is_needed_first(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, "rocky-8")
    server.lacks("curl", "ss")
    answer = server.install()
    assert answer.code == 0 and server.state["installed"][:2] == ["curl", "iproute"], answer.told


def test_packages_that_were_broken_off_are_finished_first(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, broken_packages=True)
    assert server.install().code == 0
    assert not server.state["broken_packages"]


def test_ports_that_others_have_are_left_to_them(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, listening={"80": "apache2", "8080": "java", "2443": ""})
    server.runs("apache2")
    server.runs("nginx", "0::/system.slice/docker-0123456789.scope")
    answer = server.install()
    assert answer.code == 0, answer.told
    assert "left alone: apache2\n" in answer.stdout
    assert "port 80 is taken by apache2 (pid 71)" in answer.stdout
    assert server.settings()["PANEL_PORT"] == "8081" and server.settings()["MTPROTO_BASE_PORT"] == "2444"
    assert server.settings()["HTTP_PORT"] == "127.0.0.1:8082" and server.settings()["HTTPS_PORT"] == "443"


def test_without_its_domain_again_the_panel_is_at_the_bare_address(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["203.0.113.7"]})
    assert server.install("--domain", "proxy.example.com").code == 0
    answer = server.install("--domain", "")
    assert answer.code == 0, answer.told
    assert server.declared()["panel_domain"] == server.declared()["server_domain"] == ""
    assert "Panel:     https://203.0.113.7:9443/" in answer.stdout and server.settings()["COMPOSE_PROFILES"] == "ssl"


def test_networks_that_others_have_are_left_to_them(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, routes=["default via 203.0.113.1 dev eth0", "172.16.0.0/12 via 203.0.113.2 dev eth0"])
    assert server.install().code == 0
    assert server.settings()["PROXY_SUBNET"] == "10.213.0.0/16" and server.settings()["NGINX_IP"] == "10.223.255.14"


def test_swap_is_made_only_where_it_was_agreed_to_and_taken_away_again(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.memory(400)
    assert server.install().code == 1 and not (server.home / "swap").exists()
    fstab = (tmp_path / "etc/fstab").read_text()
    for _ in range(2):
        answer = server.install("--swap", "1")
        assert answer.code == 0 and (server.home / "swap").stat().st_size == 1024 * 1024, answer.told
        assert (tmp_path / "etc/fstab").read_text() == f"{fstab}{server.home}/swap none swap sw,nofail 0 0 # mtproto\n"
    assert server.install("--uninstall", "--yes").code == 0
    assert (tmp_path / "etc/fstab").read_text() == fstab and server.calls("swapoff") == [f"swapoff {server.home}/swap"]


def test_a_removal_leaves_nothing_but_docker(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, firewall="ufw", ufw=["allow 22/tcp"], in_use=["debian:bookworm-slim"])
    server.has("ufw")
    before = server.files()
    assert server.install().code == 0
    assert server.state["containers"] and server.state["ufw"] != ["allow 22/tcp"]

    answer = server.install("--uninstall", "--yes")

    assert answer.code == 0, answer.told
    assert server.files() == before and not server.home.exists()
    state = server.state
    assert [state[kind] for kind in ("containers", "proxies", "networks", "volumes")] == [[], [], [], []]
    assert state["ufw"] == ["allow 22/tcp"] and state["docker_runs"]
    assert "docker.io" in state["installed"] and not state["images"]
    again = server.install("--uninstall", "--yes")
    assert again.code == 0 and "Nothing is installed" in again.stdout


def test_a_removal_can_leave_the_data_for_another_installation(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    assert server.install("--base-port", "5000").code == 0
    data = server.declared()
    answer = server.install("--uninstall", "--yes", "--keep-data")
    assert answer.code == 0 and sorted(path.name for path in server.home.iterdir()) == [".env", "data"], answer.told
    assert server.install().code == 0 and server.declared() == data
    assert server.settings()["MTPROTO_BASE_PORT"] == "5000"
