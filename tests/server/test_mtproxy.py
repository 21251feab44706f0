"""mtproxy-setup on a server that runs already: from its questions to a link that works, and away without a trace."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time

import pytest

from tests.engines.test_mtproxy import CONF
from tests.server import installation
from tests.server.container import Container
from tests.server.installation import HOME
from tests.support.docker_lab import mtproxy_image
from tests.support.stream import trouble

pytestmark = pytest.mark.timeout(1500)

PORT = 8443
#: What the document allows for all of it, its image being there: building it needs a compiler and the internet.
SECONDS = 180


def bring_image(machine: Container) -> None:
    """The stand-in of the tests, under the name of the image that mtproxy-setup would build."""
    saved = subprocess.run(["docker", "save", mtproxy_image()], capture_output=True, check=True).stdout
    loaded = machine.run("docker load -q", stdin=saved)
    machine.run(f"docker tag {loaded.rpartition(' ')[2]} mtproxy && docker rmi {loaded.rpartition(' ')[2]}")


def test_setup_is_done_in_three_minutes_its_link_works_and_uninstall_leaves_nothing(machine: Container) -> None:
    before = installation.snapshot(machine)
    bring_image(machine)
    # Telegram is not reached from there: its files are given by hand, as where it is blocked.
    files = base64.b64encode(os.urandom(128)) + b"\n" + CONF
    machine.run("mtproto mtproxy files -", stdin=files)

    busy = machine.run("MTPROXY_PORT=8080 mtproxy-setup --non-interactive; echo $?")
    assert "port 8080 is taken by " in busy and "(pid " in busy and busy.endswith("1"), busy
    began = time.monotonic()
    said = machine.run(f"MTPROXY_PORT={PORT} MTPROXY_WORKERS=1 MTPROXY_PADDING=yes mtproxy-setup --non-interactive")
    took = time.monotonic() - began
    assert f"tg://proxy?server={installation.ADDRESS}&port={PORT}&secret=dd" in said, said
    assert took < SECONDS, said
    (listed,) = json.loads(machine.run("mtproxy list-secrets --json"))
    told = json.loads(machine.run(f"mtproxy show-config {listed['id']} --json"))
    for key in ("link_file", "qr_png", "qr_svg"):
        machine.run(f"test -s {HOME}/data/{told[key].partition('/data/')[2]}")
    link = machine.outside(told["tg_link"])
    assert trouble(link) == ""
    assert "MTProxy, with Telegram's files" in machine.run("mtproto status")
    assert machine.run(f"stat -c '%a' {HOME}/data/mtproxy/mtproxy_secrets.json") == "600"

    machine.run("mtproxy-uninstall --yes --delete-configuration")
    assert trouble(link, 5)
    assert "MTProxy has no users" in machine.run("mtproxy list-secrets")
    left = before.differences(installation.snapshot(machine))
    # What daily use leaves everywhere: the declaration's earlier versions, the deleted user's record, measurements, and
    # the lock of whoever changed the firewall.
    left["files"] = [line for line in left.pop("files", [])
                     if f" {HOME}/data/" not in line and not line.endswith(f" {HOME}/.firewall.lock")]
    assert {kind: lines for kind, lines in left.items() if lines} == {}
    assert trouble(installation.link(machine)) == "", "nobody else's proxy was touched"
