"""Stand-ins for the programs of firewalls (see programs): ufw, firewalld, nft, fail2ban. The real ones are in
test_firewalls and tests/bans."""

from __future__ import annotations

import os
import sys

from tests.install.containers import fail


class Firewalls:
    """name, words: of the call; state: of the lab; see programs.Server, which is one of these."""

    folder: str
    name: str
    words: list[str]
    state: dict

    def ufw(self) -> None:
        rules: list[str] = self.state["ufw"]
        if self.words[0] == "status":
            print(f"Status: {'active' if self.state['firewall'] == 'ufw' else 'inactive'}")
            if "verbose" in self.words:
                for rule in rules:
                    self.print_profile(rule.split()[1])
        elif self.words == ["show", "added"]:
            print("Added user rules (see 'ufw status' for running firewall):")
            print("\n".join(f"ufw {rule}" for rule in rules))
        elif self.words[0] == "allow":
            comment = f" comment '{self.words[3]}'" if len(self.words) > 2 else ""
            rules.append(f"allow {self.words[1]}{comment}")
            self.state["ufw_profiles"][self.words[1]] = self.profile(self.words[1])
        elif self.words[:2] == ["app", "update"]:
            self.state["ufw_profiles"][self.words[2]] = self.profile(self.words[2])
        elif self.words[:2] == ["delete", "allow"]:
            self.state["ufw"] = [rule for rule in rules if rule.split()[1] != self.words[2]]
            self.state["ufw_profiles"].pop(self.words[2], None)

    def profile(self, name: str) -> str:
        """The ports of a profile in /etc/ufw/applications.d, as its file says."""
        try:
            with open(f"{self.folder}/etc/ufw/applications.d/{name}") as file:
                return next(line[6:-5] for line in file if line.startswith("ports="))
        except FileNotFoundError:
            return ""

    def print_profile(self, name: str) -> None:
        if ports := self.state["ufw_profiles"].get(name):
            print(f"{ports}/tcp ({name})      ALLOW IN    Anywhere                   # mtproto")

    def nft(self) -> None:
        """No rules at all, but for the table of bans."""
        tables: list[str] = self.state["nft"]
        table = self.words[-1]
        if self.words == ["-f", "-"]:
            if "table inet mtproto_bans {" not in sys.stdin.read():
                fail("Error: No such file or directory")
            self.state["nft"] = ["mtproto_bans"]
        elif self.words[0] == "delete" and table in tables:
            tables.remove(table)
        elif self.words not in (["list", "ruleset"], ["list", "tables"]) and table not in tables:
            fail("Error: No such file or directory")

    def fail2ban_client(self) -> None:
        """Its jail is in force as its file says when it is told to read that."""
        state: dict = self.state["fail2ban"]
        verb, *words = self.words
        if verb == "-t":
            if state["refuses"]:
                fail(f"2026-11-28 14:00:00 fail2ban [7]: ERROR   Failed during configuration: {state['refuses']}", 255)
        elif not state["runs"]:
            fail("Failed to access socket path: /var/run/fail2ban/fail2ban.sock. Is fail2ban running?", 255)
        elif verb == "reload":
            path = f"{self.folder}/etc/fail2ban/jail.d/mtproto.conf"
            text = open(path).read() if os.path.exists(path) else ""
            named = text.partition("logpath = ")[2].partition("backend")[0].split()
            state["logs"] = [each for each in named if os.path.exists(each)] if "enabled = true" in text else []
        elif words[:1] == ["mtproto"] and not state["logs"]:
            fail("Sorry but the jail 'mtproto' does not exist", 255)
        elif verb == "stop":
            state["logs"] = []
        elif self.words[-1] == "logpath":
            print("Current monitored log file(s):", *state["logs"], sep="\n|- ")
        elif self.words[-1] == "banip":
            print(*state["bans"])
        elif self.words[-1] == "--with-time":
            print(*(f"{each} \t2099-01-01 00:00:00 + 3600 = 2099-01-01 01:00:00" for each in state["bans"]), sep="\n")
        elif verb == "get":
            print(600)
        elif words[1:2] == ["unbanip"]:
            state["bans"].remove(words[2])

    def firewall_cmd(self) -> None:
        if self.state["firewall"] != "firewalld":
            fail("not running", 252)
        kind = "permanent" if "--permanent" in self.words else "now"
        ports: list[str] = self.state["firewalld"][kind]
        zone = next((word.partition("=")[2] for word in self.words if word.startswith("--zone=")), "")
        for word in self.words:
            verb, _, value = word.partition("=")
            if verb == "--state":
                print("running")
            elif verb == "--get-zone-of-interface":
                fail("no zone", 2)
            elif verb == "--get-default-zone":
                print("public")
            elif verb == "--list-ports":
                print(" ".join(port.split()[1] for port in ports if port.startswith(f"{zone} ")))
            elif verb == "--add-port":
                ports.append(f"{zone} {value}")
            elif verb == "--remove-port":
                ports.remove(f"{zone} {value}")
