"""What install.sh says on a server that it can't install on: what is wrong, before anything is changed."""

from __future__ import annotations

import http.server
import os
import pty
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.install.conftest import ROOT
from tests.install.server_lab import ServerLab

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerLab]:
    """A server that is as it was before, at the end."""
    server = ServerLab(tmp_path)
    before = server.files()
    yield server
    assert server.files() == before and not server.home.exists()
    assert not [call for call in server.calls() if call.startswith(("apt-get", "docker ", "systemctl"))]
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["release"]


def refused(server: ServerLab, *options: str, code: int = 1, **variables: str) -> str:
    answer = server.install(*options, **variables)
    assert answer.code == code, answer.told
    return answer.stderr


def test_an_account_without_root(server: ServerLab) -> None:
    server.change(uid=1000)
    said = refused(server)
    assert "sudo bash install.sh" in said and "bash install.sh --local" in said


def test_systems_that_are_not_known_or_too_old(server: ServerLab, tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    was = release.read_text()
    for text, message in (('ID=arch\nPRETTY_NAME="Arch Linux"\n', "Arch Linux is not known here"),
                          ('ID=ubuntu\nVERSION_ID="18.04"\nPRETTY_NAME="Ubuntu 18.04"\n', "Ubuntu 18.04 is too old"),
                          ('ID="centos"\nVERSION_ID="7"\n', "centos 7 is too old"),
                          ("ID=debian\nVERSION_ID=10\n", "debian 10 is too old")):
        release.write_text(text)
        said = refused(server)
        assert message in said and "Ubuntu 20.04, Debian 11, CentOS/Rocky/Alma Linux 8, Fedora 36" in said
        assert "Nothing was changed" in said
    release.unlink()
    assert "does not say what it is" in refused(server)
    release.write_text(was)


def test_a_processor_for_which_there_are_no_images(server: ServerLab) -> None:
    server.change(machine="armv7l")
    assert "armv7l" in refused(server)


def test_400_mb_of_memory(server: ServerLab) -> None:
    server.memory(400)
    said = refused(server)
    assert "400 MB of memory and swap is too little: 512 MB are needed" in said and "--swap 1024" in said
    assert "a number of MB is allowed" in refused(server, "--swap", "much", code=2)
    server.change(virtualization="lxc")
    assert "swap is up to the host" in refused(server)


def test_an_openvz_kernel_on_which_docker_can_not_run(server: ServerLab) -> None:
    server.change(virtualization="openvz", kernel="2.6.32-042stab145.3")
    answer = server.install()
    assert answer.code == 1 and "Ask the provider for a server with KVM" in answer.stderr
    assert "vzctl set ID --netfilter full --features bridge:on" in answer.stdout


def test_a_disk_that_is_too_small(server: ServerLab, tmp_path: Path) -> None:
    df = tmp_path / "bin/df"
    df.write_text("#!/bin/sh\necho 'Filesystem 1M-blocks Used Available Capacity Mounted on'\n"
                  "echo '/dev/vda1 10 9 1300 90% /'\n")
    df.chmod(0o755)
    assert "1300 MB are free" in refused(server) and "2048 MB are needed" in refused(server)


def test_a_clock_that_is_wrong(server: ServerLab, tmp_path: Path) -> None:
    clock = tmp_path / "bin/date"
    real = shutil.which("date")
    clock.write_text(f'#!/bin/sh\n[ "$1" = +%s ] && echo 1000000000 && exit\nexec {real} "$@"\n')
    clock.chmod(0o755)
    assert "in the past" in refused(server) and "timedatectl set-ntp true" in refused(server)


@pytest.fixture
def time_server() -> Iterator[Callable[[int], str]]:
    """Call it with seconds for the address of a web server whose Date is that much ahead."""
    servers = []

    def start(ahead: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_response(200)
                self.end_headers()

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + ahead)

            def log_message(self, *words: object) -> None: ...

        servers.append(http.server.HTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for each in servers:
        each.shutdown()
        each.server_close()


def test_a_clock_that_differs_from_those_outside(server: ServerLab, time_server: Callable[[int], str]) -> None:
    said = refused(server, MTPROTO_TIME_URLS=time_server(7200))
    assert "clock is wrong" in said and "servers outside say" in said


def test_a_clock_that_is_a_minute_off_is_told_and_no_obstacle(
    tmp_path: Path, time_server: Callable[[int], str]
) -> None:
    server = ServerLab(tmp_path)
    answer = server.install(MTPROTO_TIME_URLS=time_server(60))
    assert answer.code == 0 and "Telegram's apps will be refused" in answer.stdout, answer.told


def test_no_way_to_the_internet(server: ServerLab) -> None:
    server.change(routes=["203.0.113.0/24 dev eth0"])
    assert "no default route" in refused(server)


@pytest.mark.parametrize(("options", "message"), [
    (("--domain", "203.0.113.7"), "is not a host name"),
    (("--domain", "two words.example"), "is not a host name"),
    (("--domain", "example.com:8080"), "is not a host name"),
    (("--domain", "localhost"), "is not a host name"),
    (("--https", "perhaps"), "--https: 'perhaps': yes or no is allowed"),
    (("--panel-https-port", "443"), "nginx's already"),
    (("--base-port", "70000"), "1 to 65535"),
    (("--base-port", "443"), "443 is nginx's"),
    (("--naming", "own"), "--naming own needs --domain"),
    (("--naming", "other"), "own or pool is allowed"),
    (("--email", "me"), "is not an e-mail address"),
    (("--address", "proxy.example.com"), "is not an IP address"),
    (("--first-user", "Anna's"), "without quotes"),
    (("--port", "0"), "1 to 65535"),
    (("--stop",), "goes with --local only"),
    (("--local", "--domain", "example.com"), "--domain does not go with --local"),
    (("--uninstall", "--domain", "example.com"), "--domain does not go with --uninstall"),
    (("--keep-data",), "goes with --uninstall only"),
    (("--domain",), "--domain needs a value"),
    (("--colour",), "unknown option: --colour"),
    (("--home", "/"), "a folder of its own is needed"),
    (("--home", "/etc"), "a folder of its own is needed"),
    (("--home", "/opt/a:b"), "are not allowed in it"),
])
def test_answers_that_are_not_allowed(server: ServerLab, options: tuple[str, ...], message: str) -> None:
    assert message in refused(server, *options, code=2)


def test_a_variable_that_is_not_allowed_is_named(server: ServerLab) -> None:
    assert "MTPROTO_BASE_PORT: 'x'" in refused(server, code=2, MTPROTO_BASE_PORT="x")


@pytest.mark.parametrize("value", ["http://10.0.0.1:1080", "10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", ":1080",
                                   "somebody@10.0.0.1:1080", "::1:1080", "a b:1080"])
def test_a_way_to_telegram_that_the_panel_would_refuse_is_refused_before_anything_is_changed(
        server: ServerLab, value: str) -> None:
    said = refused(server, code=2, MTPROTO_UPSTREAM_SOCKS5=value)
    assert "MTPROTO_UPSTREAM_SOCKS5: host:port or user:password@host:port is allowed" in said
    assert value not in said, "it may hold a password"
    assert not server.home.exists()


def test_a_way_to_telegram_may_be_written_as_an_address(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    for value, kept in (("socks5://us:p@ss@10.0.0.1:1080", "us:p@ss@10.0.0.1:1080"),
                        ("socks5h://[2001:db8::1]:1080/", "[2001:db8::1]:1080")):
        assert server.install(MTPROTO_UPSTREAM_SOCKS5=value).code == 0
        assert server.declared()["upstream_socks5"] == kept


def test_ports_that_are_taken_and_were_chosen_or_are_needed(server: ServerLab) -> None:
    server.change(listening={"443": "nginx", "5000": "java"})
    said = refused(server, "--base-port", "5000")
    assert "port 5000, for the first user's proxy, is taken by java (pid 71). 5001 is free." in said
    assert "port 5000, for the panel, is taken by java" in refused(server, "--port", "5000")
    for options in (("--port-443", "yes"), ("--domain", "example.com")):
        assert "port 443 is taken by nginx (pid 71)" in refused(server, *options)


def test_a_disk_that_can_only_be_read(server: ServerLab) -> None:
    server.home = Path("/proc/mtproto")
    said = refused(server)
    assert "nothing can be written into /proc: the disk may be mounted read-only" in said
    server.home = server.folder / "opt/mtproto"


def test_docker_of_other_kinds(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, docker_is="podman version 4.9.4")
    server.has("docker")
    said = refused(server)
    assert "Podman under that name" in said and "remove -y podman-docker" in said
    server = ServerLab(tmp_path / "old")
    server.has_docker(version="19.03.15")
    assert "Docker 19.03.15 is too old" in refused(server)


@pytest.mark.parametrize(("says", "message"), [
    ({"^apt-get .*update": (100, "Temporary failure resolving 'deb.debian.org'")}, "is there a way to the internet"),
    ({"^apt-get .*update": (100, "Release file for x is not valid yet")}, "wrong clock"),
    ({"^apt-get .*install": (100, "E: Could not get lock /var/lib/dpkg/lock-frontend")},
     "Another program installs packages"),
    ({"^docker pull": (1, "toomanyrequests: You have reached your pull rate limit")}, "MTPROTO_DOCKER_MIRROR"),
    ({"^docker build": (1, "write /venv/x: no space left on device")}, "The disk is full"),
    ({"^docker run": (125, "AppArmor enabled on system but the docker-default profile could not be loaded")},
     "can't start a container"),
    ({"^docker-compose .* up": (1, "driver failed programming external connectivity")}, "could not be started"),
])
def test_what_fails_on_the_way_is_told_with_what_it_means_and_a_second_run_goes_on(
    tmp_path: Path, says: dict[str, tuple[int, str]], message: str
) -> None:
    server = ServerLab(tmp_path, says=says)
    answer = server.install()
    assert answer.code == 1 and message in answer.stderr, answer.told
    assert next(iter(says.values()))[1] in answer.stderr
    assert "goes on from there" in answer.stderr and str(server.home / "install.log") in answer.stderr
    server.change(says={})
    assert server.install().code == 0


def test_docker_that_does_not_start_and_a_panel_that_does_not_answer(tmp_path: Path) -> None:
    server = ServerLab(tmp_path, docker_starts=False, virtualization="lxc")
    said = refused(server)
    assert "does not start" in said and "nesting" in said and "Error initializing network controller" in said
    server = ServerLab(tmp_path / "panel", panel_answers=False)
    assert "does not answer on http://127.0.0.1:8080" in refused(server)


def test_a_full_disk_in_the_middle_of_the_files(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    tar = tmp_path / "bin/tar"
    real = shutil.which("tar")
    tar.write_text('#!/bin/sh\n'
                   'case "$*" in -x*) head -c 9000 >/dev/null; echo "tar: No space left on device" >&2; exit 2;; esac\n'
                   f'exec {real} "$@"\n')
    tar.chmod(0o755)
    said = refused(server)
    assert "could not be written" in said and "No space left on device" in said
    assert not (server.home / "current").exists() and [p.name for p in (server.home / "releases").glob("v*")] == []
    tar.unlink()
    assert server.install().code == 0
    assert list((server.home / "releases").glob(".*")) == []


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.home.mkdir()
    with subprocess.Popen(["flock", str(server.home / ".lock"), "sleep", "1000"], start_new_session=True) as other:
        while not (server.home / ".lock").exists():
            time.sleep(0.01)
        try:
            time.sleep(0.2)
            assert "another installation, update or removal" in refused(server)
        finally:
            os.killpg(other.pid, 9)


def test_a_removal_touches_no_folder_of_others_and_asks_first(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.home.mkdir()
    (server.home / "photos").write_text("mine")
    assert "was not made by this script" in refused(server, "--uninstall", "--yes")
    (server.home / "photos").unlink()
    assert server.install().code == 0
    assert "add --yes" in refused(server, "--uninstall", code=2)
    assert server.declared()["users"]


class Terminal:
    """install.sh with a terminal, at which somebody answers."""

    def __init__(self, server: ServerLab, command: str):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(server.folder)
            os.execve("/bin/bash", ["bash", "-c", command], server.environment())
        # read: what of it has been waited for.
        self.pid, self.seen, self.read = pid, "", 0

    def answer(self, question: str, answer: str) -> None:
        """Wait for the question, then type."""
        self.wait_for(question)
        os.write(self.fd, answer.encode() + b"\n")

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + 120
        while text not in self.seen[self.read:]:
            assert time.monotonic() < end, self.seen
            if select.select([self.fd], [], [], 1)[0]:
                self.seen += os.read(self.fd, 4096).decode(errors="replace")
        self.read = self.seen.index(text, self.read) + len(text)

    def end(self) -> int:
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                break
            if not data:
                break
            self.seen += data.decode()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize("command", ["bash '{}/install.sh'", "cat /dev/null | bash '{}/install.sh'"])
def test_at_a_terminal_it_asks_and_asks_again_after_a_wrong_answer(tmp_path: Path, command: str) -> None:
    """Also where standard input is a pipe, as in curl … | bash."""
    server = ServerLab(tmp_path, dns={"proxy.example.com": ["203.0.113.7"]})
    terminal = Terminal(server, command.format(server.tree))
    terminal.answer("A domain that leads to this server", "not a domain")
    terminal.wait_for("is not a host name")
    terminal.answer("A domain that leads to this server", "proxy.example.com")
    terminal.answer("by HTTPS", "maybe")
    terminal.answer("by HTTPS", "no")
    terminal.answer("Everybody on port 443", "")
    terminal.answer("The port of the first user's proxy", "99999")
    terminal.answer("The port of the first user's proxy", "5000")
    assert terminal.end() == 0, terminal.seen
    assert server.declared()["users"] == [{"name": "first", "port": 5000}]
    assert server.declared()["server_domain"] == "proxy.example.com" and not server.declared()["panel_domain"]


def test_the_memory_is_asked_about_and_a_removal_wants_to_hear_yes(tmp_path: Path) -> None:
    server = ServerLab(tmp_path)
    server.memory(400)
    terminal = Terminal(server, f"bash '{server.tree}/install.sh'")
    terminal.answer("Make a swap file of 1 GB?", "no")
    assert terminal.end() == 1
    server.memory(985)
    assert server.install().code == 0
    terminal = Terminal(server, f"bash '{server.tree}/install.sh' --uninstall")
    terminal.answer("Type yes", "y")
    assert terminal.end() == 0 and "Nothing was removed" in terminal.seen
    terminal = Terminal(server, f"bash '{server.tree}/install.sh' --uninstall")
    terminal.answer("Type yes", "yes")
    assert terminal.end() == 0 and not server.home.exists()


def test_everything_in_bash_is_older_than_4_3() -> None:
    """CentOS 7's bash is 4.2, Ubuntu 20.04's 5.0; none of ours may need more."""
    scripts = [ROOT / "install.sh", *sorted((ROOT / "host").rglob("*.sh"))]
    for script in scripts:
        text = script.read_text()
        for newer in ("@Q}", "@E}", "@A}", "mapfile -d", "readarray -d", "local -n", "declare -n", "wait -n",
                      "EPOCHSECONDS", "inherit_errexit", "[[ -v"):
            assert newer not in text, f"{script}: {newer}"
        assert subprocess.run(["bash", "-n", script], capture_output=True).returncode == 0
