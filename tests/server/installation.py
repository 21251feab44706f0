"""What is installed on the server, and how: our installer's own words and files."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.docker.images import ROOT
from tests.server import container, image
from tests.server.cache import MachineFailure, complete, kept, one_at_a_time
from tests.server.container import DOOR, Container, Saved
from tests.server.server import CommandFailure, Server, checkout

HOME = "/opt/mtproto"
#: Where the checkout lies that is installed from.
TREE = "/root/checkout"
FIRST_USER = "first"
ADDRESS = image.ADDRESS
#: Telegram is the test DC; nobody outside is asked for the time or for the address.
SETTINGS = {"MTPROTO_UPSTREAM_SOCKS5": f"{DOOR}:1080", "MTPROTO_TIME_URLS": "", "TIME_SITES": "none",
            "MTPROTO_ADDRESS_URLS": "", "MTPROTO_ADDRESS": ADDRESS, "MTPROTO_FIRST_USER": FIRST_USER,
            # No certificate authority is reached from there; tests/docker has one.
            "MTPROTO_HTTPS": "no", "MTPROTO_WAIT": "900"}
INSTALL_SECONDS = 2400
IN_PANEL = ("docker exec $(docker ps -qf label=com.docker.compose.project=mtproto "
            "-f label=com.docker.compose.service=app)")
PANEL = f"{IN_PANEL} python3 -m app.cli"
VERSION = "1.0.0"


@dataclass(frozen=True)
class Snapshot:
    """What there is on a server, for a comparison: kind -> lines."""

    lists: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def differences(self, later: Snapshot) -> dict[str, list[str]]:
        """What came (+) and what went (-), by kind; empty if all is as it was."""
        found = {}
        for kind, lines in self.lists.items():
            now = later.lists[kind]
            changed = [f"- {line}" for line in sorted(lines - now)] + [f"+ {line}" for line in sorted(now - lines)]
            if changed:
                found[kind] = changed
        return found


@dataclass(frozen=True)
class Installed:
    """saved: the server right after the installer ended. printed: all that it said. before: what there was."""

    saved: Saved
    printed: str
    before: Snapshot


#: What lives, of its own, on a server where nothing is done: no business of an installer.
_OF_THE_SYSTEM = ("/proc", "/sys", "/dev", "/run", "/tmp", "/root/checkout", "/var/lib/docker", "/var/lib/containerd",
                  "/var/log/journal", "/var/lib/systemd/timers", "/var/tmp", "/lost+found", "/mnt")
_LISTS = {
    "containers": "docker ps -aq --no-trunc",
    "images": "docker images -aq --no-trunc && docker images --format '{{.Repository}}:{{.Tag}}'",
    "networks": "docker network ls --format '{{.Name}} {{.Driver}}'",
    "volumes": "docker volume ls -q",
    "addresses": "ip -o address show | awk '$4 !~ /^fe80/ {print $2, $4}'",
    "routes": "ip route show",
    "firewall": "{ iptables-save && ip6tables-save; } | sed '/^#/d; s/ *\\[[0-9:]*\\]//' && "
                "nft list ruleset 2>/dev/null | sed '/counter packets/d' && ufw status verbose",
    # Not `systemctl list-unit-files`, which gives up where reading every unit takes longer than its patience.
    "units": "find /etc/systemd /run/systemd/system -printf '%p %l\\n' && "
             "systemctl list-units --no-legend --no-pager --plain --type=timer,path,socket | awk '{print $1}'",
    "accounts": "cat /etc/passwd /etc/group",
    "mounts": "findmnt -rno TARGET,FSTYPE | sed '/^.run.user/d' && swapon --noheadings",
    "files": "find / -xdev \\( " + " -o ".join(f"-path {shlex.quote(path)}" for path in _OF_THE_SYSTEM) +
             " \\) -prune -o \\( -type f -size -200k -path '/etc/*' -exec sha256sum {} + \\) -o -print",
}


def snapshot(machine: Server) -> Snapshot:
    """Everything that an installer could leave behind, as it is now."""
    # Until it succeeds: where everything is slow, systemctl itself gives up on an answer now and then.
    return Snapshot({
        kind: frozenset(machine.wait_for(f"set -o pipefail; {{ {script}; }} | LC_ALL=C sort -u").splitlines())
        for kind, script in _LISTS.items()})


def put_checkout(machine: Server, version: str, changed: Mapping[str, bytes] = {}, tree: str = TREE) -> None:
    """This repository's files, with the front end that install.sh --local has built, as a version of their own."""
    built = [str(path.relative_to(ROOT)) for path in (ROOT / "app/web/static/build").rglob("*")
             if path.is_file() and path.name != ".stamp"]
    files: dict[str, bytes | Path] = dict(checkout(ROOT, built))
    assert "app/web/static/build/panel.css" in files, "bash install.sh --local --no-start builds it"
    machine.put(tree, {**files, "VERSION": f"{version}\n".encode(), **changed})


def install(machine: Server, *options: str, tree: str = TREE, version: str = VERSION,
            settings: Mapping[str, str] = {}) -> str:
    """Run the installer without a terminal, as a provider's start script would; what it printed."""
    put_checkout(machine, version, tree=tree)
    return run_installer(machine, *options, tree=tree, settings=settings)


def installer_command(*options: str, tree: str = TREE, settings: Mapping[str, str] = {}) -> str:
    words = ["env", *(f"{name}={value}" for name, value in {**SETTINGS, **settings}.items()),
             "bash", f"{tree}/install.sh", *options]
    return " ".join(map(shlex.quote, words))


def run_installer(machine: Server, *options: str, tree: str = TREE, settings: Mapping[str, str] = {}) -> str:
    return run_logged(machine, installer_command(*options, tree=tree, settings=settings), "install.log")


def run_logged(machine: Server, command: str, log: str) -> str:
    """What it printed; a failure comes with the end of its log, a file in HOME."""
    try:
        return machine.run(command, timeout=INSTALL_SECONDS)
    except CommandFailure as failure:
        said = machine.run(f"tail -n 60 {HOME}/{log}", check=False)
        raise MachineFailure(f"{failure}\nThe end of its log:\n{said}") from failure


def panel(machine: Server, *arguments: str) -> Any:
    """The panel's command line, in its container; its answer."""
    return json.loads(machine.run(f"{PANEL} {' '.join(map(shlex.quote, arguments))} --json"))


def link(machine: Server, user: str = FIRST_USER) -> str:
    """A user's link, as somebody outside the machine has to write it."""
    return machine.outside(panel(machine, "user", "show", user)["tg_link"])


def containers(machine: Server) -> dict[str, str]:
    """Name -> when it was started, of all containers that run."""
    listed = machine.run("docker ps -q | xargs -r docker inspect --format '{{.Name}} {{.State.StartedAt}}'")
    return dict(re.findall(r"^/(\S+) (\S+)$", listed, re.MULTILINE))


def wait_until_it_serves(machine: Server, user: str = FIRST_USER) -> None:
    machine.wait_for("curl -fsS -o /dev/null http://127.0.0.1:8080/healthz")
    machine.wait_for(f"{PANEL} probe {user}")


def installed_state(equipped: Saved, upstream: str) -> Installed:
    """The server after install.sh, with the test DC at `upstream`; kept for as long as the checkout stays the same."""
    seen = [(name, path.read_bytes()) for name, path in sorted(checkout(ROOT).items())
            if not name.startswith(("tests/", "docs/"))]
    how = inspect.getsource(sys.modules[__name__]), inspect.getsource(container)
    with one_at_a_time("installed"):
        folder, there = kept("installed", repr((equipped, how, seen)), keep=1)
        if not there:
            with Container(folder / "making", equipped) as machine:
                machine.open_door(1080, upstream)
                machine.boot()
                before = snapshot(machine)
                started = time.monotonic()
                printed = install(machine)
                printed += f"\nThe whole of it took {time.monotonic() - started:.0f} s.\n"
                machine.save(folder)
            shutil.rmtree(folder / "making")
            (folder / "printed").write_text(printed)
            (folder / "before").write_text(json.dumps({kind: sorted(lines) for kind, lines in before.lists.items()}))
            complete(folder)
    saved = Saved((folder / "upper", *equipped.layers), folder / "docker")
    lists = json.loads((folder / "before").read_text())
    before = Snapshot({kind: frozenset(lines) for kind, lines in lists.items()})
    return Installed(saved, (folder / "printed").read_text(), before)
