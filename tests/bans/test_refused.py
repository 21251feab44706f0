"""Who goes on beyond the firewall's limit on new connections, as at MTProxy, which tells no addresses: refused, written
down, and banned by Debian's fail2ban; and nobody else is for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bans.log import OffendersLog
from app.bans.offences import TOO_OFTEN
from app.control.offenders import Offenders
from app.engines.builtin import Builtin
from app.lib.place import place
from tests.support.fail2ban_lab import ANNA, MALLORY, MALLORY6, OURS, PUBLISHED, ROOT, SERVER, SERVER6, Lab, wait_for
from tests.support.fleet import Fleet
from tests.support.memory_runtime import Machine, MemoryRuntime

pytestmark = pytest.mark.timeout(120)

WANTED = (f"port {OURS} limit 10", f"port {PUBLISHED} limit 10", "offences")

#: SYNs, each with another port, that bear somebody else's address.
_FORGE = """
import random, socket, struct, sys
source, target, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
def total(data):
    number = sum(struct.unpack(f"!{len(data) // 2}H", data))
    number = (number >> 16) + (number & 0xffff)
    return ~(number + (number >> 16)) & 0xffff
ends = socket.inet_aton(source) + socket.inet_aton(target)
for each in range(count):
    tcp = struct.pack("!HHIIBBHHH", 20000 + each, port, random.getrandbits(32), 0, 0x50, 2, 1000, 0, 0)
    check = total(ends + struct.pack("!HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    out.sendto(struct.pack("!BBHHHBBH", 0x45, 0, 40, each, 0, 64, 6, 0) + ends + tcp, (target, 0))
"""

_CONNECT = """
import json, socket, sys
address, port, source, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
answered = 0
for each in range(count):
    try: socket.create_connection((address, port), 0.3, (source, 0)).close()
    except OSError: pass
    else: answered += 1
print(answered)
"""


class Refusing(Lab):
    """The lab of fail2ban, with the firewall's limits, and a panel that looks when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / ".env").write_text("HTTP_PORT=80\nHTTPS_PORT=443\n")
        self.fleet = Fleet(self.data, MemoryRuntime(Machine()), Builtin())
        self.fleet.add_user("Anna")
        self.fleet.set_settings({"bans": True})
        self.watch = Offenders(self.fleet)
        self.watch.look()
        self.want((self.data / "bans/wanted").read_text() + f"ports {OURS}-{OURS}\nports {PUBLISHED}-{PUBLISHED}\n")

    def limit(self, *words: str) -> dict[str, object]:
        (self.data / "firewall.wanted").write_text("".join(f"{each}\n" for each in words))
        self.run("bash", ROOT / "host/firewall.sh", self.folder)
        return dict(json.loads(self.run("bash", ROOT / "host/firewall.sh", self.folder, "status", "--json")))

    def connect(self, visitor: str, count: int, port: int = OURS, source: str = "", address: str = SERVER) -> int:
        """How many of these connections were answered."""
        source = source or {"mallory": MALLORY, "anna": ANNA}[visitor]
        return int(self.run("python3", "-c", _CONNECT, address, port, source, count, name=visitor))

    def a_minute_later(self) -> list[tuple[str, int]]:
        """What is written down at the end of this minute: (address, port) of each line."""
        log = OffendersLog(self.data / "logs")
        before = len([*log.read()])
        (self.data / "bans/refused").unlink(missing_ok=True)
        self.watch._refused_at = 0
        self.run("bash", self.script, "collect")
        self.watch.look()
        new = [*log.read()][before:]
        assert {each.reason for each in new} <= {TOO_OFTEN}
        return [(each.place, each.port) for each in new]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Refusing]:
    lab = Refusing(tmp_path)
    try:
        lab.install()
        assert lab.limit(*WANTED)["as_wanted"]
        lab.start()
        yield lab
    finally:
        lab.close()


@pytest.mark.parametrize("port", [OURS, PUBLISHED])
def test_the_eleventh_connection_of_a_minute_is_an_offence_and_five_such_minutes_are_a_ban(
        lab: Refusing, port: int) -> None:
    assert lab.connect("mallory", 10, port) == 10 and lab.connect("anna", 10, port) == 10
    assert lab.a_minute_later() == [], "whoever keeps to the limit is written down for nothing"
    for minute in range(5):
        assert lab.connect("mallory", 3, port) < 3
        assert lab.a_minute_later() == [(MALLORY, port)], "one line a minute, however many were refused"
        assert minute == 4 or not lab.banned()
    wait_for(lambda: lab.banned() == {MALLORY})
    assert not lab.reaches("mallory", OURS) and not lab.reaches("mallory", PUBLISHED)
    # Anna's connections that came within the limit are as they were.
    assert lab.reaches("anna", PUBLISHED if port == OURS else OURS)


def test_of_ipv6_the_whole_network_of_a_customer_is_counted_and_banned(lab: Refusing) -> None:
    network = MALLORY6.rpartition("::")[0]
    for number in (8, 9):
        lab.run("ip", "addr", "add", f"{network}::{number}/32", "dev", "eth0", "nodad", name="mallory")
    lab.run("ip", "addr", "add", "2001:db8:8::8/32", "dev", "eth0", "nodad", name="mallory")
    sources = [MALLORY6, f"{network}::8"]
    assert sum(lab.connect("mallory", 6, source=source, address=SERVER6) for source in sources) == 10
    for _ in range(5):
        assert lab.connect("mallory", 2, source=f"{network}::9", address=SERVER6) < 2
        assert lab.a_minute_later() == [(place(MALLORY6), OURS)]
    wait_for(lambda: lab.banned() == {place(MALLORY6)})
    assert not lab.connect("mallory", 1, PUBLISHED, source=f"{network}::9", address=SERVER6)
    assert lab.connect("mallory", 1, source="2001:db8:8::8", address=SERVER6) == 1


def test_nobody_is_an_offender_for_packets_that_bear_their_address(lab: Refusing) -> None:
    """Anna is refused then, as ever, and may be for as long as somebody forges them; she is not banned for it."""
    assert lab.connect("anna", 4) == 4
    for _ in range(5):
        lab.run("python3", "-c", _FORGE, ANNA, SERVER, OURS, 200, name="mallory")
        assert lab.a_minute_later() == []
    refused = lab.limit(*WANTED)["refused"]
    assert isinstance(refused, dict) and refused[str(OURS)] > 500
    assert not lab.banned()


def test_connections_that_stay_open_are_counted_once(lab: Refusing) -> None:
    code = ("import socket, sys\n"
            "open_ = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(4)]\n"
            "for _ in range(40):\n  for each in open_: each.send(b'x')\n")
    lab.run("python3", "-c", code, SERVER, OURS, name="anna")
    lab.run("python3", "-c", _FORGE, ANNA, SERVER, OURS, 50, name="mallory")
    assert lab.a_minute_later() == []


def test_it_goes_on_and_off_with_bans_and_the_limit_holds_all_the_while(lab: Refusing) -> None:
    assert lab.connect("mallory", 12) == 10
    assert lab.limit(*WANTED[:2])["as_wanted"]
    assert "handshakes" not in lab.run("nft", "list", "ruleset")
    assert lab.connect("mallory", 12) == 10 and lab.a_minute_later() == []
    assert lab.limit(*WANTED)["as_wanted"]
    assert lab.connect("anna", 12) == 10 and lab.a_minute_later() == [(ANNA, OURS)]
    # Other limits, and none.
    assert lab.limit(f"port {OURS} limit 1", "offences")["as_wanted"]
    assert lab.connect("anna", 2) == 1 and lab.a_minute_later() == [(ANNA, OURS)]
    assert lab.limit(f"port {OURS}", "offences")["as_wanted"]
    assert lab.connect("anna", 15) == 15 and lab.a_minute_later() == []


def test_where_the_kernel_can_not_tell_the_limit_holds_and_that_is_said_once(lab: Refusing) -> None:
    lab.limit(*WANTED[:2])
    real = lab.run("sh", "-c", "command -v nft").strip()
    (lab.folder / "bin/nft").write_text(
        '#!/bin/sh\n[ "$*" != "-f -" ] || { text=$(cat); '
        'case $text in *"ct label"*) echo "no labels here" >&2; exit 1;; esac; '
        f'printf "%s\\n" "$text" | exec {real} -f -; exit; }}\nexec {real} "$@"\n')
    (lab.folder / "bin/nft").chmod(0o755)
    (lab.data / "firewall.wanted").write_text("".join(f"{each}\n" for each in WANTED))
    said = lab.run("bash", ROOT / "host/firewall.sh", lab.folder)
    assert "is not written down" in said and "no labels here" in said, said
    assert "not written down" not in lab.run("bash", ROOT / "host/firewall.sh", lab.folder)
    assert lab.connect("mallory", 12) == 10 and lab.a_minute_later() == []
