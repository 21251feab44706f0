"""Stand-ins for the programs of firewalls (see programs): ufw, firewalld, nft. The real ones are in test_firewalls."""

from __future__ import annotations

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
        """No rules at all."""
        if self.words != ["list", "ruleset"]:
            fail("Error: No such file or directory")

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
