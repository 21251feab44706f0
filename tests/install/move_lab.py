"""Two servers, and a real SSH between them: sshd on loopback, whose every command runs as on the second server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.install.conftest import Answer
from tests.install.server_lab import ServerLab
from tests.support.cover import free_port

NEW_ADDRESS = "198.51.100.9"
CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host-key
AuthorizedKeysFile {folder}/key.pub
ForceCommand {folder}/command
StrictModes no
UsePAM no
PermitRootLogin yes
PidFile none
"""
CLIENT = """\
Host *
    User root
    Port {port}
    IdentityFile {folder}/key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known-hosts
    StrictHostKeyChecking yes
"""


class MoveLab:
    """here, there: the servers; `there` is an empty one. Close it."""

    def __init__(self, folder: Path, **state: object) -> None:
        names = {"proxy.example.com": ["203.0.113.7"]}
        self.folder, self.ssh = folder, folder / "ssh"
        self.here = ServerLab(folder / "here", dns=names)
        self.there = ServerLab(folder / "there", dns=names, **{"address": NEW_ADDRESS, **state})
        for server in (self.here, self.there):
            server.has_docker()
        self.ssh.mkdir()
        self.port = free_port()
        for key in ("key", "host-key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.ssh / key], check=True)
        public = (self.ssh / "host-key.pub").read_text()
        (self.ssh / "known-hosts").write_text(f"[127.0.0.1]:{self.port} {public}")
        (self.ssh / "sshd").write_text(CONFIG.format(port=self.port, folder=self.ssh))
        (self.ssh / "config").write_text(CLIENT.format(port=self.port, folder=self.ssh))
        self.break_at("")
        Path("/run/sshd").mkdir(exist_ok=True)
        self.sshd = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", self.ssh / "sshd"],
                                     stderr=(self.ssh / "log").open("w"))
        self._wait()

    def _wait(self) -> None:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.ssh / "log").read_text())

    def close(self) -> None:
        self.sshd.terminate()
        self.sshd.wait()

    def break_at(self, words: str, what: str = "connection") -> None:
        """The command with these words in it ends the connection, or kills the program `move` here; "" for none."""
        environment = "".join(f"export {name}={shlex.quote(value)}\n"
                              for name, value in self.there.environment().items())
        end = {"connection": 'kill -9 "$PPID"', "move": f'kill -9 -"$(cat {shlex.quote(str(self.ssh / "pid"))})"'}[what]
        breaks = f"case $SSH_ORIGINAL_COMMAND in *{shlex.quote(words)}*) {end}; exit 1 ;; esac\n" if words else ""
        command = self.ssh / "command"
        command.write_text(f"#!/bin/bash\n{breaks}{environment}exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n")
        command.chmod(0o755)

    def install_here(self) -> None:
        installed(self.here)

    def move(self, *options: str, target: str = "root@127.0.0.1") -> Answer:
        """mtproto move, as it is typed on the first server."""
        words = ["bash", self.here.home / "current/host/mtproto", "--home", self.here.home, "move", "-F",
                 self.ssh / "config", "--their-home", self.there.home, *options, target]
        process = subprocess.Popen(
            words, env=self.here.environment(), cwd=self.here.folder, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        (self.ssh / "pid").write_text(str(process.pid))
        try:
            output, errors = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return Answer(process.returncode, output, errors)

    def users(self, server: ServerLab) -> list[object]:
        return list(server.declared()["users"])


def installed(server: ServerLab) -> None:
    """As install.sh leaves it, without the minutes that it takes: one user of its own, and one who came later."""
    home, version = server.home, (server.tree / "VERSION").read_text().strip()
    (home / "releases").mkdir(parents=True)
    (home / "data/nginx").mkdir(parents=True)
    shutil.move(server.tree, home / "releases" / version)
    (home / "current").symlink_to(f"releases/{version}")
    answers = {"DOMAIN": "proxy.example.com", "HTTPS": "no", "EMAIL": "", "BASE_PORT": "2443", "PORT_443": "no",
               "NAMING": "pool", "ADDRESS": "203.0.113.7", "FIRST_USER": "Anna"}
    (home / ".env").write_text("".join(f"MTPROTO_{name}={value}\n" for name, value in answers.items()) +
                               f"DATA_DIR={home}/data\nTZ=Europe/Moscow\n")
    users = [{"name": "Anna", "port": 2443}, {"name": "Борис", "port": 2444, "secret": "ee" + "ab" * 20}]
    (home / "data/config.json").write_text(json.dumps({
        "proxy_port": 2443, "port_443_mode": False, "panel_domain": "", "server_domain": "proxy.example.com",
        "server_ip": "203.0.113.7", "users": users}, indent=2))
    server.change(up=True, containers=["app", "nginx"])
