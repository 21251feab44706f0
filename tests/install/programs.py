"""Stand-ins for the programs of a server that install.sh calls: apt-get, dnf, docker, systemctl, ss, ufw, …

They answer from one table, the server's state, change it as the real ones would (a package that is installed brings its
programs), and note every call. Called by small files on a PATH that ServerLab makes.

An installation makes a hundred calls, and json, re, pathlib and typing would be three quarters of what a call takes:
only those methods import them that need them.
"""

from __future__ import annotations

import os
import sys

from tests.install.containers import Containers, fail, read_settings
from tests.install.firewalls import Firewalls

State = dict

#: What a package brings along: programs, or Docker's compose plugin ("compose").
BRINGS = {
    "docker-ce": ("dockerd",), "docker-ce-cli": ("docker",), "docker-cli": ("docker",), "docker.io": ("dockerd",),
    "moby-engine": ("dockerd", "docker"), "docker-compose-plugin": ("compose",), "docker-compose-v2": ("compose",),
    "docker-compose": ("docker-compose",), "curl": ("curl",), "iproute2": ("ss", "ip"), "iproute": ("ss", "ip"),
    "apparmor": ("apparmor_parser",),
}
DOCKERS_OWN = {"docker-ce": "5:28.5.2-1", "docker-ce-cli": "5:28.5.2-1", "containerd.io": "1.7.28-1",
               "docker-buildx-plugin": "0.29.1-1", "docker-compose-plugin": "2.40.3-1"}


def read_state(folder: str) -> State:
    with open(f"{folder}/state") as file:
        return eval(file.read())


def write_state(folder: str, state: State) -> None:
    """As Python writes it, which needs no import to be read."""
    new = f"{folder}/state.{os.getpid()}"
    with open(new, "w") as file:
        file.write(repr(state))
    os.replace(new, f"{folder}/state")


class Server(Containers, Firewalls):
    """One call of one program. folder: of the lab; state: its table, written back at the end."""

    def __init__(self, folder: str, name: str, words: list[str]):
        self.folder, self.name, self.words = folder, name, words
        self.state: State = read_state(folder)
        with open(f"{folder}/calls", "a") as calls:
            calls.write(f"{[name, *words]!r}\n")

    def save(self) -> None:
        write_state(self.folder, self.state)

    def answer(self) -> None:
        if self.state["says"]:
            self.say(" ".join([self.name, *self.words]))
        getattr(self, self.name.replace("-", "_").replace(".", "_"))()

    def say(self, said: str) -> None:
        import re

        for pattern, (code, output) in self.state["says"].items():
            if re.search(pattern, said):
                print(output)
                raise SystemExit(code)

    # Packages

    def offered(self) -> dict[str, str]:
        own = f"{self.folder}/etc/apt/sources.list.d/docker.list", f"{self.folder}/etc/yum.repos.d/docker-ce.repo"
        return {**self.state["offers"], **(DOCKERS_OWN if any(map(os.path.exists, own)) else {})}

    def install(self, packages: list[str]) -> None:
        if missing := [each for each in packages if each not in self.offered()]:
            fail(f"E: Unable to locate package {missing[0]}", 100)
        for package in packages:
            self.state["installed"].append(package)
            for program in BRINGS.get(package, ()):
                self.bring(program, package)
            if package == "docker.io" and "docker-cli" not in self.offered():
                self.bring("docker", package)

    def bring(self, program: str, package: str) -> None:
        version = self.offered()[package].partition("-")[0].partition(":")
        number = version[2] or version[0]
        if program == "compose" or (program == "docker-compose" and not number.startswith("1.")):
            self.state["compose_plugin"] = number
        if program == "docker-compose":
            self.state["docker_compose"] = number
        if program == "dockerd":
            self.state["docker_version"] = number.partition("+")[0]
        if program != "compose":
            make_program(self.folder, program)

    def apt_get(self) -> None:
        if "install" in self.words:
            self.install([word for word in self.words[self.words.index("install") + 1:] if not word.startswith("-")])

    def apt_cache(self) -> None:
        package = self.words[-1]
        version = self.offered().get(package)
        if version or package in self.state["known"]:
            print(f"{package}:\n  Installed: (none)\n  Candidate: {version or '(none)'}")

    def dpkg(self) -> None:
        if self.words == ["--audit"] and self.state["broken_packages"]:
            print("The following packages are only half configured:")
        elif self.words == ["--configure", "-a"]:
            self.state["broken_packages"] = False

    def dnf(self) -> None:
        words = [word for word in self.words if not word.startswith("-")]
        if words[0] == "install":
            self.install(words[1:])
        elif words[0] == "list":
            version = self.offered().get(words[1])
            if not version:
                fail("Error: No matching Packages to list")
            print(f"Available Packages\n{words[1]}.x86_64    {version}    somewhere")

    yum = dnf

    # The system

    def systemctl(self) -> None:
        if self.words == ["enable", "--now", "docker"]:
            self.start_docker()
        elif self.words == ["restart", "docker"]:
            self.forget_kept_ports()
        elif self.words == ["is-active", "docker"]:
            runs = self.state["docker_runs"]
            print(("activating" if self.state["docker_silent"] else "active") if runs else "inactive")
            raise SystemExit(0 if runs else 3)

    def service(self) -> None:
        if self.words == ["docker", "start"]:
            self.start_docker()

    def start_docker(self) -> None:
        if self.state["docker_starts"]:
            self.state["docker_runs"] = True
        else:
            fail("Job for docker.service failed.")

    def forget_kept_ports(self) -> None:
        """What Docker's own program holds for no container is gone with a start of it."""
        for process in os.listdir(f"{self.folder}/proc"):
            file = f"{self.folder}/proc/{process}/cmdline"
            if os.path.exists(file):
                os.unlink(file)
                self.state["listening"] = {}

    def journalctl(self) -> None:
        print("dockerd: failed to start daemon: Error initializing network controller")

    def systemd_detect_virt(self) -> None:
        print(self.state["virtualization"])
        raise SystemExit(self.state["virtualization"] == "none")

    def uname(self) -> None:
        print({"-m": self.state["machine"], "-r": self.state["kernel"], "-s": "Linux"}[self.words[0]])

    def id(self) -> None:
        print(self.state["uid"] if "-u" in self.words else "root")

    def ss(self) -> None:
        for port, program in self.state["listening"].items():
            users = f'users:(("{program}",pid=71,fd=6))' if program else ""
            if self.words[-1].endswith(f":{port}"):
                print(f"LISTEN 0      511          0.0.0.0:{port}      0.0.0.0:*    {users}")

    def ip(self) -> None:
        if "addr" in self.words:
            print(f"2: eth0    inet {self.state['address']}/24 brd 203.0.113.255 scope global eth0")
        elif "get" in self.words and "-4" in self.words:
            print(f"192.0.2.1 via 203.0.113.1 dev eth0 src {self.state['address']} uid 0")
        elif "default" in self.words:
            print("\n".join(r for r in self.state["routes"] if r.startswith("default") and "-6" not in self.words))
        elif "route" in self.words:
            print("\n".join(self.state["routes"]))

    def getent(self) -> None:
        addresses = self.state["dns"].get(self.words[-1])
        if not addresses:
            raise SystemExit(2)
        print("\n".join(f"{address}    STREAM" for address in addresses))

    def curl(self) -> None:
        url = next(word for word in self.words if "://" in word)
        if "/healthz" in url:
            if self.state["up"] and self.state["panel_answers"]:
                return
            fail("curl: (7) Failed to connect: Connection refused", 7)
        body = self.state["web"].get(url)
        if body is None:
            fail(f"curl: (6) Could not resolve host: {url.split('/')[2]}", 6)
        if "-o" in self.words:
            with open(self.words[self.words.index("-o") + 1], "w") as file:
                file.write(body)
        else:
            print(body)

    def chown(self) -> None: ...
    def mkswap(self) -> None: ...

    def swapon(self) -> None:
        self.swaps([self.words[0]])

    def swapoff(self) -> None:
        self.swaps([])

    def swaps(self, files: list[str]) -> None:
        with open(f"{self.folder}/proc/swaps", "w") as swaps:
            swaps.write("Filename Type Size\n" + "".join(f"{f} file 1\n" for f in files))

    # Docker

    def dockerd(self) -> None: ...
    def apparmor_parser(self) -> None: ...

    def docker(self) -> None:
        verb, *words = self.words
        if verb == "--version":
            print(self.state["docker_is"])
            return
        if verb == "compose":
            if not self.state["compose_plugin"]:
                fail("docker: 'compose' is not a docker command.")
            self.compose(words, self.state["compose_plugin"])
            return
        if not self.state["docker_runs"] or self.state["docker_silent"]:
            # It is asked so many times before it answers; a negative number: it never does.
            self.state["docker_silent"] -= verb == "version" and bool(self.state["docker_silent"])
            fail("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
        getattr(self, f"docker_{verb}")(words)

    def docker_version(self, words: list[str]) -> None:
        print(self.state["docker_version"])

    def docker_compose(self) -> None:
        self.compose(self.words, self.state["docker_compose"])

    def docker_image(self, words: list[str]) -> None:
        image = self.state["images"].get(words[-1])
        if image is None:
            fail(f"Error: No such image: {words[-1]}")
        if "--format" in words:
            print(image.get(" ".join(words).partition('Labels "')[2].partition('"')[0], ""))

    def docker_images(self, words: list[str]) -> None:
        """Only those without a name: what an older builder has left of stages, newest first."""
        wanted = words[-1].removeprefix("label=mtproto.stage").removeprefix("=")
        if "dangling=true" in words and words[-1].startswith("label=mtproto.stage"):
            print("\n".join(each for each in reversed(self.state["stages"]) if wanted in each))

    def docker_pull(self, words: list[str]) -> None:
        import re

        if any(re.search(pattern, words[0]) for pattern in self.state["no_pull"]):
            fail("Error response from daemon: Get https://registry-1.docker.io/v2/: dial tcp: i/o timeout")
        self.state["images"][words[0]] = {}

    def docker_build(self, words: list[str]) -> None:
        name, _, value = words[words.index("--label") + 1].partition("=")
        self.state["images"][words[words.index("-t") + 1]] = {name: value}

    def docker_tag(self, words: list[str]) -> None:
        if words[0] in self.state["stages"]:
            self.state["stages"].remove(words[0])
            self.state["images"][words[0]] = {}
        self.state["images"][words[1]] = self.state["images"][words[0]]

    def docker_load(self, words: list[str]) -> None:
        with open(words[words.index("-i") + 1]) as file:
            images = file.read().split()
        for image in images:
            self.state["images"][image] = {}
            print(f"Loaded image: {image}")

    def docker_rmi(self, words: list[str]) -> None:
        if words[0] in self.state["stages"]:
            self.state["stages"].remove(words[0])
            return
        if self.state["images"].pop(words[0], None) is None or words[0] in self.state["in_use"]:
            fail("Error response from daemon: conflict: image is being used")

    def docker_run(self, words: list[str]) -> None:
        if words[-2:] == ["-c", "echo it works"]:
            print("it works")

    def docker_ps(self, words: list[str]) -> None:
        published = next((word.partition("=")[2] for word in words if word.startswith("publish=")), "")
        if "status=created" in words:
            print("\n".join(f"id-of-{name} {name}" for name in self.state["half_made"]))
            return
        if words == ["--format", "{{.Ports}}"]:
            print("\n".join(f"0.0.0.0:{port}->{port}/tcp, :::{port}->{port}/tcp" for port in self.state["published"]))
            return
        if "--format" in words:
            asked, older = words[words.index("--format") + 1], self.state["older"]
            print("\n".join(each["project"] for each in older.values()) if "working_dir" in asked else
                  "\n".join(f"{id_} {each['name']}" for id_, each in older.items() if published in each["ports"])
                  if published else "\n".join(f"{name} {status}" for name, status in self.state["services"].items()))
            return
        if words == ["-q"]:
            print("\n".join(id_ for id_, each in self.state["older"].items() if each["runs"]))
            return
        kind = "proxies" if "label=mtproto.managed=1" in words else "containers"
        if not published or published in self.state["published"]:
            print("\n".join(self.state[kind]))

    def docker_rm(self, words: list[str]) -> None:
        if words[0].startswith("id-of-"):
            self.state["half_made"].remove(words[0].removeprefix("id-of-"))
            return
        for kind in ("containers", "proxies"):
            self.state[kind] = [each for each in self.state[kind] if each not in words]
        self.state["up"] = bool(self.state["containers"])

    def docker_network(self, words: list[str]) -> None:
        self.things("networks", words)

    def docker_volume(self, words: list[str]) -> None:
        self.things("volumes", words)

    def things(self, kind: str, words: list[str]) -> None:
        if words[0] == "ls":
            print("\n".join(self.state[kind]))
        elif words[0] == "rm":
            self.state[kind] = [each for each in self.state[kind] if each not in words]
        elif words[0] == "inspect" and words[1] not in self.state[kind]:
            fail("Error: No such network")

    # The panel in its container

    def compose(self, words: list[str], version: str) -> None:
        if words[0] == "version":
            print(version)
            return
        settings = read_settings(words[words.index("--env-file") + 1])
        assert os.path.isfile(words[words.index("-f") + 1]) and os.path.isdir(settings["DATA_DIR"])
        if "up" in words:
            if passing := [name for name in self.state["half_made"] if "_" in name]:
                fail(f'Error response from daemon: Conflict. The container name "/{passing[0]}" is already in use')
            self.state |= {"up": True, "containers": ["app", "nginx"] + ["certbot"] * ("ssl" in settings.get(
                "COMPOSE_PROFILES", "")), "networks": ["0-mtproto-panel", "mtproto-net"],
                           "volumes": ["certificates"], "published": ["80", "443", settings["PANEL_PORT"],
                                                                           settings.get("PANEL_HTTPS_PORT", "")]}
            if not os.path.exists(f"{settings['DATA_DIR']}/config.json"):
                self.declare(settings, {"proxy_port": 2443, "port_443_mode": False, "panel_domain": "", "users": []})
        elif "exec" in words and "sh" in words:
            raise SystemExit(words[-1] not in self.state["serving"])  # scripts/switch-router.sh asks whether it does
        elif "exec" in words:
            self.panel(settings, words[words.index("app.cli") + 1:])

    def declare(self, settings: dict[str, str], config: State) -> None:
        import json

        with open(f"{settings['DATA_DIR']}/config.json", "w") as file:
            file.write(json.dumps(config, indent=2))

    def door(self, settings: dict[str, str], config: State) -> State | None:
        if not config.get("panel_by_address"):
            return None
        return {"url": f"https://{config['server_ip']}:{settings['PANEL_HTTPS_PORT']}/a-path-nobody-knows/",
                "self_signed": not self.state["issued"], "fingerprint": "3A:5F:00", "reason": ""}

    def panel(self, settings: dict[str, str], words: list[str]) -> None:
        import json

        with open(f"{settings['DATA_DIR']}/config.json") as file:
            config = json.load(file)
        if words[:2] == ["settings", "set"]:
            for word in words[2:]:
                key, _, value = word.partition("=")
                if key in self.state["refuses"]:
                    fail(f"Error: {self.state['refuses'][key]}")
                value = sys.stdin.readline().strip() if value == "-" else value
                if key == "panel_by_address" and value == "true" and not settings.get("PANEL_HTTPS_PORT"):
                    fail("Error: panel_by_address needs a port of this server")
                config[key] = {"true": True, "false": False}.get(value, value)
        elif words[:2] == ["user", "list"]:
            print(json.dumps(config["users"], indent=2))
        elif words[:2] == ["user", "add"]:
            port = int(config["proxy_port"])
            config["users"].append({"name": words[2], "port": port})
            self.state["proxies"].append("mtg-proxy")
            self.state["published"].append(str(port))
            link = f"tg://proxy?server={config.get('server_domain') or config.get('server_ip')}&port={port}"
            print(json.dumps({"name": words[2], "tg_link": link}, indent=2))
        elif words[0] == "status":
            print(json.dumps({"edge": {"by_address": self.door(settings, config)}}, indent=2))
        elif words[:2] == ["certificates", "renew"]:
            if self.state["asking"]:
                self.state["asking"] -= 1
                fail("Error: 1 of 1 actions failed; the panel tries them again. First: certificate certificates: they "
                     "are being asked for already")
            if self.state["no_certificate"]:
                fail(f"Error: {self.state['no_certificate']}")
            self.state["issued"] = True
            print("certificate address  done in 3.1 s")
        elif words[0] == "first-password":
            if not self.state["password"]:
                fail("Error: admin has logged in")
            print(json.dumps({"username": "admin", "password": self.state["password"]}, indent=2))
        elif words[:2] == ["config", "check"]:
            print("/data/config.json is valid.")
        elif words[0] == "doctor":
            found = self.state["panel_finds"]
            marks = {"ok": "+", "note": "-", "problem": "!"}
            print(json.dumps(found, indent=2, ensure_ascii=False) if "--json" in words else
                  "\n".join(f"{marks[one['state']]} {one['about']}: {one['text']}" for one in found))
            raise SystemExit(any(one["state"] == "problem" for one in found))
        elif words == ["backup", "-"]:
            print(f"BACKUP\n{json.dumps(config)}\nEND")
        elif words[:2] == ["restore", "-"]:
            first, *rest, last = sys.stdin.read().splitlines() or ["", ""]
            if (first, last) != ("BACKUP", "END"):
                fail("Error: The backup is damaged. Nothing was changed.")
            config = json.loads(rest[0]) | {"server_ip": config.get("server_ip", "")}
            print("The backup is restored.")
        elif words[0] == "stop":
            config["proxies_stopped"] = True
        elif words[0] == "probe" and not self.state["telegram"]:
            fail(f"Error: {words[1]}'s link does not work: its own way to Telegram does not work")
        elif words[0] == "probe":
            print(f"{words[1]}: 41 ms")
        self.declare(settings, config)


def make_program(folder: str | os.PathLike[str], name: str) -> None:
    """A file on the lab's PATH that is this program."""
    folder = os.fspath(folder)
    path = f"{folder}/bin/{name}"
    if os.path.lexists(path):
        os.unlink(path)
    with open(path, "w") as file:
        file.write(f"""#!{sys.executable} -SE
import sys
sys.path.insert(0, {os.path.abspath(f"{__file__}/../../..")!r})
from tests.install.programs import Server
server = Server({folder!r}, {name!r}, sys.argv[1:])
try:
    server.answer()
finally:
    server.save()
""")
    os.chmod(path, 0o755)
