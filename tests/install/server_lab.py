"""A server that install.sh can be run on, made of a folder: its distribution's files, its programs, its state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.install.conftest import ROOT, Answer
from tests.install.programs import State, make_program, read_state, write_state

#: The programs that every server has; the others come with packages. All else is this machine's.
THERE = ("apt-get", "apt-cache", "dpkg", "systemctl", "service", "journalctl", "systemd-detect-virt", "uname", "id",
         "ss", "ip", "getent", "curl", "nft", "chown", "mkswap", "swapon", "swapoff")
ELSEWHERE = ("dnf", "yum", "docker", "dockerd", "docker-compose", "ufw", "firewall-cmd", "iptables", "ip6tables",
             "iptables-restore", "ip6tables-restore", "firewall-offline-cmd", "apparmor_parser", "podman", "snap",
             "wget", "fail2ban-client")

EVERYWHERE = {"curl": "7.88.1", "iproute2": "6.1.0", "iproute": "6.2.0", "ca-certificates": "20230311"}
#: os-release and what the repositories offer. Debian's are recorded (apt-cache policy); the others are written down
#: from what these distributions publish.
DISTRIBUTIONS: dict[str, dict[str, object]] = {
    "ubuntu-20.04": {"release": 'NAME="Ubuntu"\nVERSION_ID="20.04"\nID=ubuntu\nID_LIKE=debian\n'
                                'PRETTY_NAME="Ubuntu 20.04.6 LTS"\nVERSION_CODENAME=focal\nUBUNTU_CODENAME=focal\n',
                     "offers": {"docker.io": "24.0.7-0ubuntu2~20.04.1", "docker-compose": "1.25.0-1",
                                "docker-compose-v2": "2.20.2+ds1-0ubuntu1~20.04.1",
                                "apparmor": "2.13.3-7ubuntu5"}},
    "ubuntu-24.04": {"release": 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n'
                                'ID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME=noble\n',
                     "offers": {"docker.io": "24.0.7-0ubuntu4.1", "docker-compose": "1.29.2-6ubuntu1",
                                "docker-compose-v2": "2.24.6+ds1-0ubuntu4", "apparmor": "4.0.0-beta3"}},
    "debian-11": {"release": 'PRETTY_NAME="Debian GNU/Linux 11 (bullseye)"\nVERSION_ID="11"\nID=debian\n'
                             'VERSION_CODENAME=bullseye\n',
                  "offers": {"docker.io": "20.10.5+dfsg1-1+deb11u2", "docker-compose": "1.25.0-1",
                             "apparmor": "2.13.6-10"}},
    "debian-12": {"release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
                             'VERSION_CODENAME=bookworm\n',
                  "offers": {"docker.io": "20.10.24+dfsg1-1+deb12u1+b6", "docker-compose": "1.29.2-3",
                             "apparmor": "3.0.8-3"}},
    "debian-13": {"release": 'PRETTY_NAME="Debian GNU/Linux 13 (trixie)"\nVERSION_ID="13"\nID=debian\n'
                             'VERSION_CODENAME=trixie\n',
                  "offers": {"docker.io": "26.1.5+dfsg1-9+deb13u1+b1", "docker-cli": "26.1.5+dfsg1-9+deb13u1+b1",
                             "docker-compose": "2.26.1-4", "apparmor": "4.1.0-1"}},
    "rocky-8": {"release": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n'
                           'PRETTY_NAME="Rocky Linux 8.10 (Green Obsidian)"\n', "offers": {}},
    "almalinux-9": {"release": 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'
                               'PRETTY_NAME="AlmaLinux 9.4"\n', "offers": {}},
    "centos-9": {"release": 'NAME="CentOS Stream"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="9"\n'
                            'PRETTY_NAME="CentOS Stream 9"\n', "offers": {}},
    "fedora-36": {"release": 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=36\nPRETTY_NAME="Fedora Linux 36"\n',
                  "offers": {"moby-engine": "20.10.17-3.fc36", "docker-compose": "1.29.2-4.fc36"}},
}
DOCKERS = "https://download.docker.com/linux"
DOCKERS_WEB = {f"{DOCKERS}/{name}/gpg": "KEY" for name in ("debian", "ubuntu")} | {
    f"{DOCKERS}/{name}/docker-ce.repo": f"baseurl={DOCKERS}/x" for name in ("centos", "fedora", "rhel")}
PASSWORD = "a-first-password"


#: What install.sh needs of a release; the whole of it would only take longer to copy.
PARTS = ("install.sh", "host", "docker-compose.yml", "docker-compose.traefik.yml", "scripts", "Dockerfile",
         "Dockerfile.mtg", "requirements.txt", "wsgi.py", "nginx", "app/web/frontend/package.json")
VERSION = "v1.2.3"


def make_release(folder: Path, version: str = VERSION) -> Path:
    """A tree as one has it after unpacking a release; the folder."""
    for name in PARTS:
        there = folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, there)
        else:
            shutil.copy(ROOT / name, there)
    (folder / "app/web/static/build").mkdir(parents=True)
    (folder / "app/web/static/build/panel.css").write_text("body{}")
    (folder / "VERSION").write_text(f"{version}\n")
    return folder


@cache
def programs_of_this_machine() -> tempfile.TemporaryDirectory[str]:
    """A folder of links to all that no stand-in is for: the same one for every server, as it is a thousand links."""
    folder = tempfile.TemporaryDirectory(prefix="mtproto-bin-")
    hidden = {*THERE, *ELSEWHERE}
    for directory in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(directory).glob("*"):
            link = Path(folder.name, program.name)
            if program.name not in hidden and not link.is_symlink():
                link.symlink_to(program)
    # What it is for, power cuts, no test makes; and it waits for everybody's files.
    Path(folder.name, "sync").unlink(missing_ok=True)
    Path(folder.name, "sync").symlink_to("/bin/true")
    return folder


class ServerLab:
    """folder: everything of it; home: where install.sh is to install; tree: where that is, a release if not given."""

    def __init__(self, folder: Path, distribution: str = "debian-12", tree: Path | None = None, **state: object):
        self.folder, self.home = folder, folder / "opt/mtproto"
        self.tree = tree or make_release(folder / "tmp/release")
        for name in ("bin", "etc", "opt", "proc", "root/run/systemd/system", "sys/module/apparmor/parameters", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        described = DISTRIBUTIONS[distribution]
        (folder / "os-release").write_text(str(described["release"]))
        (folder / "etc/ssl/certs").mkdir(parents=True)
        (folder / "etc/ssl/certs/ca-certificates.crt").write_text("CERTIFICATES")
        (folder / "etc/fstab").write_text("/dev/vda1 / ext4 defaults 0 1\n")
        (folder / "proc/swaps").write_text("Filename Type Size\n")
        (folder / "sys/module/apparmor/parameters/enabled").write_text("Y\n")
        self.memory(985)
        self.write({
            "offers": {**EVERYWHERE, **described["offers"]}, "known": [], "installed": [], "broken_packages": False,
            "says": {},
            "docker_is": "Docker version 28", "docker_version": "", "docker_starts": True, "docker_runs": False,
            "docker_silent": 0, "half_made": [],
            "compose_plugin": "", "docker_compose": "", "images": {}, "stages": [], "no_pull": [],
            "in_use": [], "up": False, "panel_answers": True, "serving": ["nginx", "traefik"],
            "containers": [], "proxies": [], "networks": [], "volumes": [],
            "published": [], "services": {}, "panel_finds": [], "older": {},
            "refuses": {}, "password": PASSWORD, "telegram": True, "no_certificate": "", "issued": False, "asking": 0,
            "virtualization": "kvm", "machine": "x86_64", "kernel": "6.1.0-18-amd64", "uid": 0,
            "listening": {}, "address": "203.0.113.7", "dns": {}, "web": DOCKERS_WEB,
            "routes": ["default via 203.0.113.1 dev eth0", "203.0.113.0/24 dev eth0 proto kernel scope link"],
            "firewall": "none", "ufw": [], "ufw_profiles": {}, "firewalld": {"permanent": [], "now": []}, "nft": [],
            "fail2ban": {"runs": True, "refuses": "", "logs": [], "bans": []}, **state})
        apt = distribution.startswith(("debian", "ubuntu"))
        self.has(*(name for name in THERE if apt or not name.startswith(("apt", "dpkg"))), *(() if apt else ("dnf",)))

    def has(self, *programs: str) -> None:
        """These are on the server already."""
        for name in programs:
            make_program(self.folder, name)

    def lacks(self, *programs: str) -> None:
        for name in programs:
            (self.folder / "bin" / name).unlink()

    def has_fail2ban(self, **state: object) -> None:
        """Debian's, with what its operator wrote. state: see Firewalls.fail2ban_client."""
        self.has("fail2ban-client")
        self.change(fail2ban={**self.state["fail2ban"], **state})
        for name in ("jail.conf", "jail.local", "jail.d/defaults-debian.conf", "filter.d/sshd.conf", "action.d/x.conf"):
            (self.folder / "etc/fail2ban" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / "etc/fail2ban" / name).write_text(f"# {name}, and nobody else's\n")

    def has_docker(self, version: str = "20.10.24", compose: str = "2.40.3") -> None:
        self.has("docker", "dockerd")
        self.write({**self.state, "docker_runs": True, "docker_version": version, "compose_plugin": compose})

    def runs(self, program: str, cgroup: str = "0::/system.slice/some.service") -> None:
        process = self.folder / f"proc/{len(list((self.folder / 'proc').iterdir())) + 70}"
        process.mkdir()
        (process / "comm").write_text(f"{program}\n")
        (process / "cgroup").write_text(f"{cgroup}\n")

    def memory(self, total_mb: int, swap_mb: int = 0) -> None:
        (self.folder / "proc/meminfo").write_text(
            f"MemTotal:       {total_mb * 1024} kB\nMemFree:  1 kB\nSwapTotal:      {swap_mb * 1024} kB\n")

    @property
    def state(self) -> State:
        return read_state(str(self.folder))

    def write(self, state: Mapping[str, object]) -> None:
        write_state(str(self.folder), dict(state))

    def change(self, **state: object) -> None:
        self.write({**self.state, **state})

    def calls(self, program: str = "") -> list[str]:
        """Every call so far, or those of one program, as they would be typed."""
        path = self.folder / "calls"
        noted = [eval(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [" ".join(call) for call in noted if program in ("", call[0])]

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}/bin:{programs_of_this_machine().name}",
            "HOME": "/nonexistent", "TMPDIR": str(self.folder / "tmp"),
            "MTPROTO_HOME": str(self.home), "MTPROTO_OS_RELEASE": str(self.folder / "os-release"),
            "MTPROTO_ETC": str(self.folder / "etc"), "MTPROTO_PROC": str(self.folder / "proc"),
            "MTPROTO_SYS": str(self.folder / "sys"), "MTPROTO_ROOT": str(self.folder / "root"),
            "MTPROTO_BIN": str(self.folder / "usr-local-bin"), "MTPROTO_TIME_URLS": "", "MTPROTO_ADDRESS_URLS": "",
            "MTPROTO_POLL_SECONDS": "0.01", "MTPROTO_RETRY_SECONDS": "0.01", "MTPROTO_WAIT": "3", "MTPROTO_PROBES": "2",
            **more}

    def install(self, *options: str, script: Path | None = None, **variables: str) -> Answer:
        """bash install.sh, without a terminal."""
        done = subprocess.run(
            ["bash", str(script or self.tree / "install.sh"), *options], env=self.environment(**variables), text=True,
            cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, start_new_session=True)
        return Answer(done.returncode, done.stdout, done.stderr)

    def settings(self) -> dict[str, str]:
        """What is in .env."""
        return dict(line.split("=", 1) for line in (self.home / ".env").read_text().splitlines())

    def declared(self) -> State:
        return json.loads((self.home / "data/config.json").read_text())

    def files(self) -> dict[str, str]:
        """Every file of the server but its notes about calls; name -> contents."""
        kept = ("bin/", "state", "calls", "tmp/", "proc/", "os-release")
        return {name: path.read_text() for path in sorted(self.folder.rglob("*"))
                if path.is_file() and not (name := str(path.relative_to(self.folder))).startswith(kept)}
