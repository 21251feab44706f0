"""From a wrong key to a ban and back, with the real thing all along: the proxy, what it tells of its visitors, the
panel's look, and fail2ban. The built-in engine and telemt's stand-in always, mtg and telemt where MTG_BIN and
TELEMT_BIN name them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bans.log import OffendersLog
from app.mtproto.links import parse_link, tg_link
from app.mtproto.secret import Secret
from tests.support.cover import TITLE
from tests.support.fail2ban_lab import ANNA, MALLORY, ROOT, Lab, wait_for

pytestmark = pytest.mark.slow

ENGINES = ["builtin", "stand-in", *(["mtg"] if os.environ.get("REAL_MTG") else []),
           *(["telemt"] if os.environ.get("TELEMT_BIN") else [])]
PORT = 2445

#: A client in a visitor's network: what its link is answered, once or more often.
CLIENT = ("import sys; from tests.support.stream import trouble\n"
          "for _ in range(int(sys.argv[2])): print(trouble(sys.argv[1], 20) or 'served')")
#: One that stays until its standard input ends.
STAYING = ("import asyncio, sys; from tests.support.stream import Stream\n"
           "async def stay():\n"
           "    s = await Stream.open(sys.argv[1]); await s.req_pq(); print('served', flush=True)\n"
           "    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read); await s.close()\n"
           "asyncio.run(stay())")
#: A visitor with a browser, or a censor's prober: the title of the page, by whatever certificate.
PROBER = ("import re, ssl, sys, socket; c = ssl._create_unverified_context()\n"
          "s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)\n"
          "s = c.wrap_socket(s, server_hostname=sys.argv[3])\n"
          "s.sendall(b'GET / HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n'); d = b''\n"
          "while (p := s.recv(65536)): d += p\n"
          "print(d.decode(errors='replace').partition('<title>')[2].partition('<')[0])")


class Server:
    """The lab's server with a panel and a proxy. link: that works; wrong: the same with another key."""

    def __init__(self, lab: Lab, which: str) -> None:
        self.lab = lab
        # telemt serves no network that it sees no way out of; nothing goes out.
        lab.run("ip", "route", "add", "default", "dev", "br0")
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", lab.names["server"], sys.executable, "-m", "tests.support.offended_server",
             lab.folder, which, str(PORT)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline()
        assert line, "it did not start"
        told = json.loads(line)
        self.link, self.cover = told["link"], told["title"]
        address = parse_link(self.link)
        self.port = address.port
        self.wrong = tg_link(address.server, address.port, Secret.generate(address.secret.domain))

    def visit(self, who: str, link: str, times: int = 1) -> list[str]:
        """What so many connections of this visitor came to."""
        return self.lab.run(sys.executable, "-c", CLIENT, link, times, name=who).splitlines()

    def stay(self, who: str) -> None:
        """A session of this visitor, until the panel has noted where it came from: it looks every now and then, and
        telemt tells only who is there at that time."""
        client = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.names[who], sys.executable, "-c", STAYING, self.link],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert client.stdout.readline() == "served\n"
            wait_for(lambda: sqlite3.connect(self.lab.data / "panel.db").execute(
                "SELECT count(*) FROM good_places").fetchone()[0] > 0, 120)
        finally:
            client.stdin.close()
            client.wait(30)

    def probe(self, who: str) -> str:
        return self.lab.run(sys.executable, "-c", PROBER, parse_link(self.link).server, self.port, self.cover,
                            name=who).strip()

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()


@pytest.fixture(params=ENGINES)
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    lab = Lab(tmp_path)
    server = None
    try:
        OffendersLog(lab.data / "logs").prepare()
        lab.install()
        lab.start()
        server = Server(lab, request.param)
        lab.run("bash", lab.script, "apply")  # the panel's own settings and ports, as the unit does it
        yield server
    finally:
        if server:
            server.close()
        lab.close()


def offences(lab: Lab) -> list[str]:
    return [each.place for each in OffendersLog(lab.data / "logs").read()]


def test_wrong_keys_end_in_a_ban_and_a_good_client_of_the_last_day_speaks_for_its_address(server: Server) -> None:
    lab = server.lab
    wait_for(lambda: server.visit("anna", server.link) == ["served"], 90)
    server.stay("anna")
    assert server.probe("mallory") == TITLE, "before a ban, whoever looks sees the cover site"
    assert "served" not in server.visit("mallory", server.wrong, 6)
    wait_for(lambda: lab.banned() == {MALLORY}, 120)
    assert not lab.reaches("mallory", server.port) and server.visit("anna", server.link) == ["served"]

    # Somebody behind Anna's address has a wrong link: nobody there is locked out.
    assert "served" not in server.visit("anna", server.wrong, 6)
    lab.run(sys.executable, "-m", "app.cli", "--data", lab.data, "bans", "remove", MALLORY)
    lab.run("bash", lab.script, "apply")
    assert not lab.banned() and server.probe("mallory") == TITLE
    known = len(offences(lab))
    assert "served" not in server.visit("mallory", server.wrong, 6)
    wait_for(lambda: lab.banned() == {MALLORY}, 120)
    assert set(offences(lab)) == {MALLORY} and len(offences(lab)) >= known + 5
    assert ANNA not in lab.log() and server.visit("anna", server.link) == ["served"]
