"""Debian's fail2ban, for real: who is banned, from which ports, until when, and what outlives what."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.bans.folder import BansFolder, Rules
from app.bans.log import OffendersLog
from app.bans.offences import REASONS, WRONG_KEY, Offence
from app.lib.place import place
from tests.support.fail2ban_lab import (
    ANNA,
    MALLORY,
    MALLORY6,
    OTHER,
    OURS,
    PUBLISHED,
    ROOT,
    RULES,
    SERVER6,
    Lab,
    wait_for,
)

FILTER = ROOT / "host/fail2ban/filter.conf"
PANEL = Rules(True, 5, 600, 3600, (443, 2443))

HARMLESS = [
    "", " ", "# Addresses with wrong keys, for fail2ban: docs/fail2ban.md (0123456789abcdef)", "203.0.113.7",
    "2026-11-28T14:00:00Z", "2026-11-28T14:00:00Z 203.0.113.7", "wrong-key",
    *(f"2026-11-28T14:00:00Z 203.0.113.7 443 {word}" for word in (
        "", "wrong", "wrong-keys", "Wrong-Key", "good", "session", "no-tls", "http", "wrong-key 203.0.113.9",
        "wrong-clock", "flood.", "replayed", "no-mtproto-", "443 flood")),
    *(f"2026-11-28T14:00:00Z {address} 443 wrong-key" for address in (
        "example.com", "localhost", "203.0.113", "203.0.113.7/24", "203.0.113.7.9", "'203.0.113.7'", "-", "(null)",
        "203.0.113.7,203.0.113.9", "<HOST>", "203.0.113.7:443")),
    *(f"2026-11-28T14:00:00Z 203.0.113.7 {port} wrong-key" for port in ("", "port", "-1", "123456", "4 43", "0x1")),
    'x 2026-11-28T14:00:00Z 203.0.113.7 443 wrong-key', "28/Nov/2026:14:00:00 +0000 203.0.113.7 443 wrong-key",
    "Nov 28 14:00:00 host sshd[1]: Failed password for root from 203.0.113.7 port 22 ssh2",
    '203.0.113.7 - - [28/Nov/2026:14:00:00 +0000] "GET / HTTP/1.1" 404 0 "-" "-"',
    '{"level":"info","timestamp":1795874400000,"client-ip":"203.0.113.7","message":"Stream has been started"}',
    "2026-11-28T14:00:00Z INFO serving ee… on 0.0.0.0:2443", "2026-11-28T14:00:00.541Z  WARN telemt::proxy: IP limit",
    "2026-11-28T14:00:00Z 203.0.113.7 443 flood; 203.0.113.9 443 flood", "2026-11-28T14:00:00Z\t", "\u202e203.0.113.7",
    "2026-11-28 14:00:00 203.0.113.7 443 replay", "2026-11-28T14:00:00+03:00 203.0.113.7 443 replay",
    "failregex = ^<ADDR> \\d{1,5} (?:wrong-key)$", "datepattern = ^%%Y-%%m-%%dT%%H:%%M:%%SZ", "[Definition]"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    try:
        OffendersLog(lab.data / "logs").prepare()
        lab.install()
        lab.start()
        yield lab
    finally:
        lab.close()


def offend(lab: Lab, address: str, times: int, largest: int = 1_500_000) -> None:
    for _ in range(times):
        OffendersLog(lab.data / "logs", largest).append([Offence(time.time(), place(address), 443, WRONG_KEY)])


def test_the_filter_finds_every_line_that_we_write_and_no_other(tmp_path: Path) -> None:
    assert len(HARMLESS) >= 50
    log = tmp_path / "offenders.log"
    ours = [Offence(1_795_874_400.0, place(address), port, reason).line for reason in REASONS
            for address in ("203.0.113.7", "2001:db8::5", "::ffff:198.51.100.1") for port in (1, 443, 65535)]
    log.write_text("".join(ours) + "".join(f"{line}\n" for line in HARMLESS))
    found = subprocess.run(["fail2ban-regex", "--print-all-missed", log, FILTER], capture_output=True, text=True,
                           check=True).stdout
    assert f"{len(ours)} matched" in found, found
    alone = tmp_path / "harmless.log"
    alone.write_text("".join(f"{line}\n" for line in HARMLESS))
    found = subprocess.run(["fail2ban-regex", alone, FILTER], capture_output=True, text=True, check=False).stdout
    assert " 0 matched" in found, found


def test_six_offences_lock_one_address_out_of_our_ports_and_nobody_else(lab: Lab) -> None:
    offend(lab, ANNA, 4)
    offend(lab, MALLORY, 6)
    offend(lab, MALLORY6, 6)
    wait_for(lambda: lab.banned() == {MALLORY, place(MALLORY6)})
    assert not lab.reaches("mallory", OURS)
    assert not lab.reaches("mallory", PUBLISHED), "a port that is led on, as Docker does it, is past INPUT"
    assert not lab.reaches("mallory", OURS, SERVER6)
    assert lab.reaches("mallory", OTHER), "SSH, and the panel on a port of its own, are left alone"
    assert lab.reaches("anna", OURS) and lab.reaches("anna", PUBLISHED)
    # Asked for in the panel.
    folder = BansFolder(lab.data)
    folder.ask(PANEL, "unban", [MALLORY])
    lab.run("bash", lab.script, "apply")
    assert lab.banned() == {place(MALLORY6)} and folder.requests() == []
    assert lab.reaches("mallory", OURS)
    # By fail2ban's own command.
    lab.client("set", "mtproto", "unbanip", place(MALLORY6))
    wait_for(lambda: not lab.banned())
    assert lab.reaches("mallory", OURS, SERVER6)
    folder.ask(PANEL, "ban", [ANNA])
    lab.run("bash", lab.script, "apply")
    assert lab.banned() == {ANNA} and not lab.reaches("anna", PUBLISHED)


def test_a_restart_of_fail2ban_and_lost_rules_keep_bans_and_a_removal_leaves_nothing(lab: Lab) -> None:
    offend(lab, MALLORY, 6)
    wait_for(lambda: lab.banned() == {MALLORY})
    until = lab.active().split()[-1]
    lab.client("stop")
    assert "stopped" in lab.active() and not lab.banned() and lab.reaches("mallory", OURS)
    lab.start()
    wait_for(lambda: lab.banned() == {MALLORY})
    assert lab.active().split()[-1] == until and not lab.reaches("mallory", OURS)
    # Whoever writes all rules anew (nft flush ruleset, a firewall's reload) takes ours away, too.
    lab.run("nft", "delete", "table", "inet", "mtproto_bans")
    offend(lab, ANNA, 6)
    wait_for(lambda: lab.banned() == {MALLORY, ANNA})
    assert not lab.reaches("mallory", OURS)
    lab.want(RULES.replace("maxretry 5", "maxretry 9").replace("2443-2450", "3000-3000"))
    lab.run("bash", lab.script, "apply")
    assert lab.client("get", "mtproto", "maxretry").strip() == "9"
    assert lab.reaches("mallory", OURS), "it is none of the proxies' ports any more"
    wait_for(lambda: lab.banned() == {MALLORY, ANNA})
    lab.want(RULES.replace("enabled yes", "enabled no"))
    lab.run("bash", lab.script, "apply")
    assert lab.reaches("anna", PUBLISHED) and "stopped" in lab.active()
    lab.run("bash", lab.script, "remove")
    assert "mtproto" not in lab.run("nft", "list", "tables") and "missing" in lab.active()
    assert not list(lab.etc.glob("*/mtproto.conf")) and not lab.script.exists()
    assert lab.client("ping")


def test_files_in_turn_lose_no_offence_and_count_none_twice(lab: Lab) -> None:
    for turn in range(1, 5):
        offend(lab, MALLORY, 1, 1200)
        for number in range(1, 16):
            offend(lab, f"198.51.100.{number}", 1, 1200)
        offend(lab, ANNA, 1, 1200)
        wait_for(lambda turn=turn: lab.log().count(f"Found {ANNA}") >= turn)
    assert lab.log().count(f"Found {MALLORY}") == 4 and lab.log().count(f"Found {ANNA}") == 4
    assert not lab.banned()
    # While fail2ban is away, too. What it has counted until then, it forgets with every restart.
    lab.client("stop")
    offend(lab, MALLORY, 1, 1200)
    offend(lab, ANNA, 5, 1200)
    lab.start()
    wait_for(lambda: ANNA in lab.banned())
    assert lab.log().count(f"Found {MALLORY}") == 5 and lab.banned() == {ANNA}


def test_without_the_data_folder_fail2ban_starts_all_other_jails(lab: Lab) -> None:
    lab.client("stop")
    shutil.move(lab.data, lab.folder / "moved")
    (lab.etc / "jail.d/other.conf").write_text(
        f"[other]\nenabled = true\nfilter = sshd\nlogpath = {lab.etc}/jail.conf\nbackend = polling\naction =\n")
    lab.client("start")
    wait_for(lambda: "other" in lab.client("status"))
    shutil.move(lab.folder / "moved", lab.data)


def test_an_etc_that_takes_no_writes_and_rubbish_in_the_panels_file_break_nothing(lab: Lab) -> None:
    lab.want("mtproto-bans 1\nenabled yes\nmaxretry 5; rm -rf /\nbantime $(id)\nports 1-99999\nports 9-1\n"
             "unban 1 `id`\nunban 2 ../../x\nban 3 203.0.113.300x\nports 443-443\n")
    jail = lab.etc / "jail.d/mtproto.conf"
    before = jail.read_text()
    said = lab.run("sh", "-c", f"mount --bind {lab.etc} {lab.etc} && mount -o remount,ro,bind {lab.etc} && "
                   f"sed -i s/x/x/ {lab.data}/bans/wanted && printf 'maxretry 7\\n' >>{lab.data}/bans/wanted && "
                   f"bash {lab.script} apply")
    assert "can't be written" in said and jail.read_text() == before
    assert lab.client("get", "mtproto", "maxretry").strip() == "7"
    assert "443" in lab.run("nft", "list", "table", "inet", "mtproto_bans") and "running" in lab.active()
