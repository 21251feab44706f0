"""Stand-ins for the programs of firewalls (see programs): ufw, firewalld, iptables, nftables."""

from __future__ import annotations

from tests.install.containers import fail


class Firewalls:
    """name, words: of the call; state: of the lab; see programs.Server, which is one of these."""

    name: str
    words: list[str]
    state: dict

    def ufw(self) -> None:
        rules: list[str] = self.state["ufw"]
        if self.words == ["status"]:
            print(f"Status: {'active' if self.state['firewall'] == 'ufw' else 'inactive'}")
        elif self.words == ["show", "added"]:
            print("Added user rules (see 'ufw status' for running firewall):")
            print("\n".join(f"ufw {rule}" for rule in rules))
        elif self.words[0] == "allow":
            comment = f" comment '{self.words[3]}'" if len(self.words) > 2 else ""
            rules.append(f"allow {self.words[1]}{comment}")
        elif self.words[:2] == ["delete", "allow"]:
            self.state["ufw"] = [rule for rule in rules if rule.split()[1] != self.words[2]]

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
            elif verb == "--get-default-zone":
                print("public")
            elif verb == "--query-port":
                raise SystemExit(f"{zone} {value}" not in ports)
            elif verb == "--add-port":
                ports.append(f"{zone} {value}")
            elif verb == "--remove-port":
                ports.remove(f"{zone} {value}")

    def iptables(self) -> None:
        rules: list[str] = self.state[self.name]
        verb = next(word for word in self.words if word in ("-S", "-I", "-C", "-D"))
        rule = " ".join(word for word in self.words if word not in ("-w", verb))
        if verb == "-S":
            print("\n".join([self.state["input_policy"], *(f"-A {each}" for each in rules)]))
        elif verb == "-I":
            rules.insert(0, rule)
        elif rule not in rules:
            fail("iptables: Bad rule (does a matching rule exist in that chain?).")
        elif verb == "-D":
            rules.remove(rule)

    ip6tables = iptables

    def nft(self) -> None:
        rules: list[str] = self.state["nft"]
        if self.words == ["list", "ruleset"]:
            if self.state["firewall"] == "nftables":
                print("table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;")
                print("".join(f"\t\t{rule}\n" for rule in rules) + "\t}\n}")
        elif "list" in self.words:
            print("".join(f"\t\t{rule} # handle {number}\n" for number, rule in enumerate(rules, 5)))
        elif self.words[0] == "insert":
            rules.append(" ".join(self.words[5:]))
        elif self.words[0] == "delete":
            del rules[int(self.words[-1]) - 5]
