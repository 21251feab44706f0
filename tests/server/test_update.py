"""update.sh on a server with users: no byte is lost, and what does not work takes itself back."""

from __future__ import annotations

import pytest

from tests.docker.images import ROOT
from tests.server import installation
from tests.server.container import Container
from tests.server.installation import HOME, VERSION
from tests.server.server import CommandFailure
from tests.support.stream import BackgroundStream, trouble

pytestmark = pytest.mark.timeout(1500)

NEXT, NEXT_TREE = "1.1.0", "/root/next"
UPDATE = f"bash {HOME}/current/update.sh --from {NEXT_TREE}"


def changed(file: str, more: str) -> dict[str, bytes]:
    """The file with a line more at its end."""
    return {file: (ROOT / file).read_bytes() + more.encode()}


def current(machine: Container) -> str:
    return machine.run(f"basename $(readlink {HOME}/current)")


def test_an_update_while_a_stream_runs_loses_no_byte_and_restarts_no_proxy(machine: Container) -> None:
    link, before = installation.link(machine), installation.containers(machine)
    installation.put_checkout(machine, NEXT, changed("wsgi.py", "\nNEW = True\n"), NEXT_TREE)
    with BackgroundStream(link) as other:
        said = installation.run_logged(machine, UPDATE, "update.log")
        report = other.finish()
    assert report.broken == "" and report.rounds > 1, said
    assert current(machine) == NEXT
    assert "NEW = True" in machine.run(f"{installation.IN_PANEL} cat wsgi.py")
    after = installation.containers(machine)
    assert after["mtg-proxy-2443"] == before["mtg-proxy-2443"]
    assert trouble(link) == ""


def test_a_broken_version_takes_itself_back(machine: Container) -> None:
    link = installation.link(machine)
    kept = f"sha256sum {HOME}/data/config.json; grep -v ^VERSION {HOME}/.env"
    was = machine.run(kept)
    broken = changed("app/cli/server.py", "\nraise SystemExit('this version is broken')\n")
    installation.put_checkout(machine, NEXT, broken, NEXT_TREE)
    with BackgroundStream(link) as other:
        with pytest.raises(CommandFailure, match="taken back"):
            machine.run(UPDATE, timeout=installation.INSTALL_SECONDS)
        assert other.finish().broken == ""
    assert current(machine) == VERSION
    machine.run("curl -fsS -o /dev/null http://127.0.0.1:8080/healthz")
    assert machine.run(kept) == was
    assert trouble(link) == ""
