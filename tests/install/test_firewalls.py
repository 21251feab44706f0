"""Real firewalls in namespaces: what is wanted is open, what is limited is refused, and it goes without a trace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.install.conftest import ROOT
from tests.install.firewall_lab import SERVER6, FirewallLab

pytestmark = pytest.mark.timeout(120)

SSH = 22
NFTABLES = """nft -f - <<END
table inet filter {
  chain input { type filter hook input priority 0; policy drop
    iif lo accept
    ct state established,related accept
    meta l4proto ipv6-icmp accept
    tcp dport 22 accept
  }
  chain forward { type filter hook forward priority 0; policy drop
    ct state established,related accept
    iifname "br-test" accept
  }
}
END"""
IPTABLES = """for tables in iptables ip6tables; do
    $tables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT; $tables -A INPUT -p tcp --dport 22 -j ACCEPT
    $tables -P INPUT DROP; done; ip6tables -I INPUT -p icmpv6 -j ACCEPT"""
UFW = "ufw allow 22/tcp && ufw --force enable"
FIREWALLD = """mkdir -p /run/dbus; dbus-daemon --system --fork --nopidfile; firewalld --nopid
for try in $(seq 200); do [ "$(firewall-cmd --state 2>/dev/null)" != running ] || exit 0; sleep 0.1; done; exit 1"""
ON = {"ufw": UFW, "firewalld": FIREWALLD, "iptables": IPTABLES, "nftables": NFTABLES}
#: The same firewalls with the older program of iptables below, and what they are called then.
OLDER = {"iptables-legacy": ("iptables", IPTABLES.replace("tables -", "tables-legacy -").replace(
             "ip6tables -I", "ip6tables-legacy -I")),
         "firewalld-iptables": ("firewalld", "sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ "
                                "/etc/firewalld/firewalld.conf; " + FIREWALLD)}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[FirewallLab]:
    lab = FirewallLab(tmp_path)
    yield lab
    lab.close()


@pytest.mark.parametrize("kind", [*ON, *OLDER])
def test_users_ports_open_and_close_with_them_and_no_trace_is_left(lab: FirewallLab, kind: str) -> None:
    lab.listens(SSH, 2443, 2444, 3000)
    kind, rules = OLDER.get(kind) or (kind, ON[kind])
    lab.inside(rules)
    before = lab.rules()
    assert lab.connect(SSH, 2443, 2444, 3000) == [True, False, False, False]

    lab.wants("port 2443", "port 2444")
    lab.apply()
    status = lab.status()
    assert status["kind"] == kind and status["as_wanted"] and status["wanted"] == ["2443-2444"]
    for address in ("198.51.100.1", SERVER6):
        assert lab.connect(SSH, 2443, 2444, 3000, address=address) == [True, True, True, False]

    # Bob goes, Carol comes.
    lab.wants("port 2443", "port 3000")
    lab.apply()
    assert lab.connect(SSH, 2443, 2444, 3000) == [True, True, False, True]
    made = lab.rules()
    lab.apply()
    assert lab.rules() == made

    lab.firewall("remove")
    assert lab.rules() == before and lab.connect(SSH, 2443) == [True, False]
    assert not (lab.home / "firewall.rules").exists()


@pytest.mark.parametrize("kind", ["none", *ON])
def test_the_eleventh_new_connection_in_a_minute_to_a_port_that_docker_publishes_is_refused(
        lab: FirewallLab, kind: str) -> None:
    # As at a start of a server, the firewall first: firewalld empties the tables of others.
    lab.inside(ON.get(kind, ":"))
    lab.publishes(8543)
    lab.listens(2443)
    before = lab.rules()
    lab.wants("port 8543 limit 10", "port 2443")
    lab.apply()
    assert lab.connect(*[8543] * 12) == [True] * 10 + [False] * 2
    # Of the other ports, any number; of another address, its own ten.
    assert all(lab.connect(*[2443] * 20))
    lab.comes_from("198.51.100.3/24")
    assert lab.connect(*[8543] * 11, source="198.51.100.3") == [True] * 10 + [False]
    assert lab.status()["limits"] == [{"per_minute": 10, "ports": ["8543"]}]
    refused = lab.status()["refused"]
    assert isinstance(refused, dict) and refused["8543"] >= 3
    lab.firewall("remove")
    # Whoever's own rules pass nothing on to containers has them back.
    assert lab.rules() == before
    assert all(lab.connect(*[8543] * (1 if kind == "nftables" else 11))) is (kind != "nftables")


def test_a_firewall_that_is_off_stays_off_and_gets_its_rules_when_it_is_on(lab: FirewallLab) -> None:
    before = lab.rules()
    lab.wants("port 2443")
    lab.apply()
    assert lab.rules() == before and lab.status()["kind"] == "none" and lab.status()["as_wanted"]
    lab.inside("ufw --force enable")
    lab.apply()
    assert lab.status()["kind"] == "ufw" and "(mtproto-" in lab.inside("ufw status verbose")
    # Who puts it off for a while finds it as it was.
    lab.inside("ufw disable")
    lab.apply()
    lab.inside("ufw --force enable")
    assert lab.status()["as_wanted"]


def test_rules_of_the_operators_for_the_same_ports_stay(lab: FirewallLab) -> None:
    lab.inside(f"{UFW}; ufw allow 2443/tcp; ufw allow from 192.0.2.0/24 to any port 2444 proto tcp; ufw deny 2445/tcp")
    before = lab.rules()
    lab.wants("port 2443", "port 2444", "port 2445")
    lab.apply()
    assert lab.status()["as_wanted"]
    lab.firewall("remove")
    assert lab.rules() == before


def test_a_port_of_firewalld_that_the_operator_opened_stays_in_the_middle_of_ours(lab: FirewallLab) -> None:
    lab.inside(FIREWALLD)
    lab.inside("firewall-cmd -q --permanent --add-port=2444/tcp && firewall-cmd -q --add-port=2444/tcp")
    before = lab.rules()
    lab.wants("port 2443", "port 2444", "port 2445")
    lab.apply()
    assert lab.status()["as_wanted"]
    lab.inside("firewall-cmd --reload")
    assert lab.status()["as_wanted"]
    lab.firewall("remove")
    assert lab.rules() == before


@pytest.mark.parametrize("kind", [kind for kind in ON if kind != "firewalld"])
def test_a_thousand_ports_are_a_few_rules(lab: FirewallLab, kind: str) -> None:
    lab.inside(ON[kind])
    before = lab.rules()
    ports = range(3000, 4000) if kind == "ufw" else range(3000, 5000, 2)
    lab.wants(*(f"port {port}" for port in ports))
    lab.apply()
    assert lab.status()["as_wanted"] and lab.rules().count("accept") < before.count("accept") + 140
    lab.wants(*(f"port {port}" for port in [*ports][1:]))
    lab.apply()
    assert lab.status()["missing"] == lab.status()["extra"] == []
    lab.firewall("remove")
    assert lab.rules() == before


@pytest.mark.parametrize(("kind", "program", "call"), [
    ("ufw", "ufw", "allow"), ("ufw", "ufw", "app"), ("iptables", "iptables-restore", "-w"),
    ("iptables", "iptables", "-I"), ("nftables", "nft", "-f")])
def test_killed_in_the_middle_the_next_look_completes_it(lab: FirewallLab, tmp_path: Path, kind: str, program: str,
                                                         call: str) -> None:
    lab.inside(ON[kind])
    before = lab.rules()
    if call == "app":
        lab.wants("port 2443")
        lab.apply()
    lab.wants("port 2444", "port 8543 limit 10")
    (tmp_path / "bin").mkdir()
    real = lab.inside(f"command -v {program}").strip()
    (tmp_path / "bin" / program).write_text(
        f'#!/bin/bash\n"{real}" "$@"\nend=$?\n[[ " $* " != *" {call} "* ]] || kill -KILL $PPID\nexit $end\n')
    (tmp_path / "bin" / program).chmod(0o755)
    killed = lab.firewall(path=f"{tmp_path}/bin:{os.environ['PATH']}")
    assert killed.returncode != 0
    lab.apply()
    assert lab.status()["as_wanted"] and lab.status()["wanted"] == ["2444", "8543"]
    lab.firewall("remove")
    assert lab.rules() == before and not (lab.home / "firewall.rules").exists()


def test_several_at_once_make_it_once(lab: FirewallLab) -> None:
    lab.inside(UFW)
    lab.wants("port 2443", "port 8543 limit 10")
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: lab.firewall(), range(4)))
    assert [each.returncode for each in done] == [0] * 4
    assert sum("lets through" in each.stdout for each in done) == 1
    assert lab.inside("ufw show added").count("allow mtproto") == 1


def test_where_etc_can_only_be_read_nothing_is_half_done_and_it_is_told(lab: FirewallLab) -> None:
    lab.inside(f"{UFW}; mount -o remount,bind,ro /etc/ufw")
    before = lab.rules()
    lab.wants("port 2443", "port 8543 limit 10")
    done = lab.firewall()
    assert done.returncode == 1 and "could not be told to let 2443, 8543 through" in done.stdout, done.stdout
    assert "ead-only file system" in done.stdout
    status = lab.status()
    assert status["missing"] == ["2443", "8543"] and status["limits"] == status["limits_wanted"]
    lab.inside("mount -o remount,bind,rw /etc/ufw")
    lab.apply()
    lab.firewall("remove")
    assert lab.rules() == before


def test_what_the_panel_could_write_to_harm_is_not_taken(lab: FirewallLab) -> None:
    """Its account may write that file, and root reads it."""
    lab.listens(SSH)
    lab.inside(NFTABLES)
    lab.wants("port 22 limit 1", "port 2443; reboot", "port $(id)", "port 70000", "port 0", "web limit x", "panel\tp",
              "port 2444 limit 9999999", "# port 5", "", "port 3000")
    lab.apply()
    assert lab.status()["wanted"] == ["22", "3000"] and lab.status()["limits_wanted"] == []
    secret = lab.home / "secret"
    secret.write_text("port 4000\n")
    for made in (lambda path: path.symlink_to(secret), os.mkfifo):
        (lab.home / "data/firewall.wanted").unlink()
        made(lab.home / "data/firewall.wanted")
        assert lab.status()["wanted"] == []


def test_two_installations_and_one_that_was_moved_keep_to_their_own(lab: FirewallLab) -> None:
    lab.inside(UFW)
    before = lab.rules()
    lab.wants("port 2443", "port 8543 limit 10")
    lab.apply()
    first, lab.home = lab.home, lab.home.with_name("other")
    (lab.home / "data").mkdir(parents=True)
    lab.wants("port 3443", "port 3543 limit 20")
    lab.apply()
    assert lab.inside("ufw show added").count("allow mtproto") == lab.inside("nft list tables").count("mtproto") == 2
    moved = first.rename(first.with_name("moved"))
    other, lab.home = lab.home, moved
    lab.apply()
    assert lab.status()["as_wanted"]
    assert lab.inside("ufw show added").count("allow mtproto") == lab.inside("nft list tables").count("mtproto") == 2
    lab.firewall("remove")
    lab.home = other
    assert lab.status()["as_wanted"]
    lab.firewall("remove")
    assert lab.rules() == before


def test_a_change_of_limits_forgets_nobody_and_no_count(lab: FirewallLab) -> None:
    lab.listens(8543, 8544)
    lab.wants("port 8543 limit 3")
    lab.apply()
    assert lab.connect(*[8543] * 4) == [True] * 3 + [False]
    lab.wants("port 8543 limit 3", "port 8544 limit 5")
    lab.apply()
    assert lab.connect(8543, *[8544] * 6) == [False] + [True] * 5 + [False]
    refused = lab.status()["refused"]
    assert isinstance(refused, dict) and refused["8543"] >= 2
    # Of IPv6, by networks: another address of the same one is no other.
    assert lab.connect(*[8544] * 5, address=SERVER6) == [True] * 5
    lab.comes_from("2001:db8::77/64")
    assert lab.connect(8544, address=SERVER6, source="2001:db8::77") == [False]


def test_what_emptied_every_table_is_made_good_by_the_next_look(lab: FirewallLab) -> None:
    lab.inside(NFTABLES)
    lab.wants("port 2443", "port 8543 limit 10")
    lab.apply()
    lab.inside(f"nft flush ruleset; {NFTABLES}")
    assert not lab.status()["as_wanted"]
    lab.apply()
    assert lab.status()["as_wanted"]


def test_without_ipv6_it_is_the_same(lab: FirewallLab) -> None:
    lab.listens(2443)
    lab.inside("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; sed -i s/^IPV6=.*/IPV6=no/ /etc/default/ufw;" + UFW)
    before = lab.rules()
    lab.wants("port 2443 limit 10")
    lab.apply()
    assert lab.connect(*[2443] * 11) == [True] * 10 + [False] and lab.status()["as_wanted"]
    lab.firewall("remove")
    assert lab.rules() == before


#: What ufw-docker adds (its after.rules), as far as it decides about new connections to containers.
UFW_DOCKER = """iptables-restore --noflush <<END
*filter
:ufw-docker-logging-deny - [0:0]
-I DOCKER-USER 1 -j ufw-user-forward
-I DOCKER-USER 2 -s 172.16.0.0/12 -j RETURN
-I DOCKER-USER 3 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -d 172.16.0.0/12 -j ufw-docker-logging-deny
-A ufw-docker-logging-deny -j DROP
COMMIT
END"""
LOOK = """export MTPROTO_HOME={home}; ETC=/etc; for part in log files firewall firewall_places firewall_limits \
firewall_status fail2ban news doctor; do . {root}/host/lib/$part.sh; done; look_at_firewall; printf %s "$TOLD" """


def looked_at(lab: FirewallLab) -> str:
    """What doctor says of the firewall."""
    return lab.inside(LOOK.format(home=lab.home, root=ROOT))


def test_ufw_docker_keeps_people_out_until_they_are_allowed_which_doctor_says(lab: FirewallLab) -> None:
    lab.inside(UFW)
    lab.publishes(8543)
    with (lab.home / ".env").open("a") as env:
        env.write("PROXY_SUBNET=172.30.9.0/24\n")
    lab.wants("port 8543")
    lab.apply()
    assert lab.connect(8543) == [True] and "ufw-docker" not in looked_at(lab)
    lab.inside(UFW_DOCKER)
    assert lab.connect(8543) == [False]
    said = looked_at(lab)
    command = "sudo ufw route allow proto tcp from any to 172.30.9.0/24"
    assert "ufw-docker lets nothing through" in said and command in said, said
    lab.inside(command.removeprefix("sudo "))
    assert lab.connect(8543) == [True] and "ufw-docker" not in looked_at(lab)


def test_rules_of_the_older_program_beside_ufw_are_found(lab: FirewallLab) -> None:
    lab.listens(2443)
    lab.inside(UFW)
    lab.wants("port 2443")
    lab.apply()
    assert lab.connect(2443) == [True] and "legacy" not in looked_at(lab)
    lab.inside("iptables-legacy -P INPUT DROP")
    assert lab.connect(2443) == [False]
    assert "! firewall: iptables-legacy has rules that close this server, beside those of ufw" in looked_at(lab)


def test_both_sets_of_rules_of_iptables_are_opened_and_told(lab: FirewallLab) -> None:
    lab.listens(2443)
    lab.inside(IPTABLES)
    lab.inside("iptables-legacy -P INPUT DROP")
    before = lab.rules()
    lab.wants("port 2443")
    lab.apply()
    assert lab.connect(2443) == [True] and "also those of iptables-legacy" in looked_at(lab)
    lab.firewall("remove")
    assert lab.rules() == before
