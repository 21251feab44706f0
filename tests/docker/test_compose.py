"""docker-compose.yml on a real Docker engine: from `up` to a Telegram client's answer, and `down`."""

from __future__ import annotations

import hashlib
import html
import ipaddress
import json
import os
import re
import secrets
import shutil
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.docker import images
from tests.docker.images import ROOT, docker, run
from tests.support import clients
from tests.support.cover import free_port
from tests.support.dc import DataCenter
from tests.support.docker_lab import eventually
from tests.support.edge_lab import ask
from tests.support.pebble import Pebble

#: Making the bases the first time on a machine takes about two minutes.
pytestmark = pytest.mark.timeout(600)


class Stack:
    """docker-compose.yml under a project name, network and ports of its own.

    more: a compose file beside it, as an operator's docker-compose.override.yml would be.
    """

    def __init__(self, env: Mapping[str, str] = {}, more: Path | None = None):
        self.more = more
        self.project = f"mtprototest{secrets.token_hex(4)}"
        self.network, self.panel_network = f"{self.project}-net", f"0-{self.project}"
        self.http, self.https, self.panel, self.door = (free_port() for _ in range(4))
        # A network that no other stack of these tests has, outside what Docker itself hands out.
        self.prefix = f"10.{secrets.choice(range(100, 250))}.{secrets.choice(range(1, 250))}"
        self.env = {
            "COMPOSE_PROJECT_NAME": self.project, "PROXY_NETWORK": self.network,
            "PROXY_SUBNET": f"{self.prefix}.0/25", "EDGE_IP": f"{self.prefix}.126",
            "PANEL_NETWORK": self.panel_network, "PANEL_SUBNET": f"{self.prefix}.128/28",
            "PANEL_IP": f"{self.prefix}.141", "NGINX_IP": f"{self.prefix}.142",
            "TRAEFIK_EDGE_IP": f"{self.prefix}.125", "TRAEFIK_IP": f"{self.prefix}.140",
            "HTTP_PORT": f"127.0.0.1:{self.http}", "HTTPS_PORT": f"127.0.0.1:{self.https}",
            "PANEL_PORT": str(self.panel), "PANEL_HTTPS_PORT": f"127.0.0.1:{self.door}", **env}

    def compose(self, *arguments: str, stdin: bytes | None = None, file: str = "docker-compose.yml") -> str:
        return run("env", *(f"{key}={value}" for key, value in self.env.items()), "docker-compose",
                   "--file", str(ROOT / file),
                   *(("--file", str(self.more)) if self.more else ()), *arguments, stdin=stdin)

    def switch(self, router: str) -> str:
        """Have this router take port 443, as docs/docker.md says; what the script said. Raises ImageFailure."""
        return run("env", *(f"{key}={value}" for key, value in self.env.items()),
                   str(ROOT / "scripts/switch-router.sh"), router)

    def config(self) -> dict:
        # Debian's docker-compose brings the YAML reader of the system's own Python with it.
        turn = "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)"
        return json.loads(run("/usr/bin/python3", "-c", turn, stdin=self.compose("config").encode()))

    def up(self) -> None:
        for key, make in (("PYTHON_IMAGE", images.ensure_python), ("NODE_IMAGE", images.ensure_node),
                          ("NGINX_IMAGE", images.ensure_nginx)):
            self.env[key] = make()
        self.env |= {"PANEL_IMAGE": f"mtproto-test/{self.project}:latest",
                     "DOCKER_GID": str(os.stat("/var/run/docker.sock").st_gid)}
        self.compose("build", "--force-rm")
        self.compose("up", "--detach")

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service)

    def health(self, service: str) -> str:
        return docker("inspect", "--format", "{{.State.Health.Status}}", self.container(service))

    def proxies(self, *options: str) -> str:
        """`docker ps` of the users' proxies in this stack's network."""
        return docker("ps", "--filter", f"network={self.network}", "--filter", "label=mtproto.managed=1",
                      *options)

    def manage(self, *arguments: str) -> dict:
        """The panel's command line, in its container, as docs/docker.md says."""
        return json.loads(self.compose("exec", "-T", "app", "python3", "-m", "app.cli", *arguments, "--json"))

    def down(self) -> None:
        """As docs/docker.md says: the users' proxies after the panel, and before the network."""
        self.compose("stop", "app")
        if proxies := self.proxies("--all", "--quiet").split():
            docker("rm", "--force", "--volumes", *proxies)
        # By the file that knows Traefik's volume, too; it was used if a test has switched.
        self.compose("--profile", "ssl", "down", "--volumes", file="docker-compose.traefik.yml")

    def remains(self) -> list[str]:
        """Every container, network and volume that is still there because of this stack."""
        label = f"label=com.docker.compose.project={self.project}"
        return [*docker("ps", "--all", "--quiet", "--filter", label).split(),
                *docker("ps", "--all", "--quiet", "--filter", f"network={self.network}").split(),
                *docker("network", "ls", "--quiet", "--filter", label).split(),
                *docker("volume", "ls", "--quiet", "--filter", label).split()]


def assert_docker(stack: Stack) -> None:
    status = stack.manage("status")
    assert status["runtime"] == "docker", f"{status['runtime']} was chosen: {status['problems']}"


class Browser:
    """Somebody at the panel's address, with cookies."""

    def __init__(self, stack: Stack):
        self.stack, self.site = stack, f"http://127.0.0.1:{stack.panel}"
        self.session = requests.Session()
        self.session.trust_env = False

    def get(self, path: str) -> requests.Response:
        return self.session.get(self.site + path, timeout=60)

    def post(self, path: str, form: dict[str, str], page: str = "", **headers: str) -> requests.Response:
        token = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', self.get(page or path).text)[1]
        return self.session.post(self.site + path, {"csrf_token": token, **form}, timeout=60, headers=headers)

    def login(self, password: str = "", **headers: str) -> requests.Response:
        return self.post("/login", {"username": "admin", "password": password or self.password()}, **headers)

    def password(self) -> str:
        """The first one, by the command that the panel's container has printed."""
        printed = re.search(r"python3 -m app.cli (first-password)", self.stack.compose("logs", "app"))[1]
        password = self.stack.manage(printed)["password"]
        assert password not in self.stack.compose("logs", "app")
        return password


#: Names that lead to nginx, for the panel's DNS and so for everybody: the panel's, and those of a user.
PANEL, BASE, ANNA = "panel.stack.test", "stack.test", "anna.stack.test"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    images.ensure_engine()
    assert shutil.which("docker-compose"), "docker-compose is not installed: apt-get install docker-compose"
    folder = tmp_path_factory.mktemp("stack")
    (folder / "more.yml").write_text(json.dumps({"version": "3.3", "services": {
        "nginx": {"networks": {"proxies": {"aliases": [PANEL, BASE, ANNA]}}},
        "certbot": {"environment": {"REQUESTS_CA_BUNDLE": "/authority.pem"},
                    "volumes": [f"{folder}/pebble/ca.pem:/authority.pem:ro"]}}}))
    (folder / "pebble").mkdir()
    (folder / "pebble/ca.pem").touch()  # Docker would make a folder of it
    stack = Stack(more=folder / "more.yml")
    try:
        stack.up()
        # The images of the proxies come from no registry here.
        stack.manage("settings", "set", f"proxy_image={images.build_mtg_custom()}",
                     "server_domain=proxy.example", "proxy_bind=127.0.0.1", f"proxy_port={free_port()}")
        yield stack
    finally:
        if stack.remains():
            stack.down()
        if images.image_id(stack.env.get("PANEL_IMAGE", "")):
            docker("image", "rm", "--no-prune", stack.env["PANEL_IMAGE"])


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Browser:
    browser = Browser(stack)
    answer = browser.login()
    assert (answer.status_code, answer.url) == (200, browser.site + "/setup/password"), "logged in, to the first run"
    return browser


# The file itself


def test_without_any_setting_everybody_reaches_80_and_443_and_only_this_machine_the_panel() -> None:
    stack = Stack()
    stack.env = {"COMPOSE_PROJECT_NAME": stack.project, "COMPOSE_PROFILES": "ssl"}
    config = stack.config()
    services = config["services"]
    assert sorted(services) == ["app", "certbot", "nginx"]
    assert services["nginx"]["ports"] == [{"published": 80, "target": 80}, {"published": 443, "target": 443},
                                          "127.0.0.1::8449/tcp", "127.0.0.1:8080:8080/tcp"]
    assert "ports" not in services["app"] and "ports" not in services["certbot"]
    for name in ("nginx", "certbot"):
        assert re.search(r":v?\d+\.\d+", services[name]["image"]), "a pinned version"
    for name in ("nginx", "certbot"):
        assert services[name]["labels"] == {"mtproto.role": name}, "by which the panel finds it"
    for name, service in services.items():
        assert service["restart"] == ("always" if name == "nginx" else "unless-stopped")
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}
        assert service["mem_limit"] and service["pids_limit"]
    assert {name: sorted(service["networks"]) for name, service in services.items()} == {
        "app": ["panel", "proxies"], "nginx": ["panel", "proxies"], "certbot": ["panel"]}
    assert config["networks"]["proxies"]["name"] == "mtproto-net"
    assert config["networks"]["proxies"]["ipam"]["config"] == [{"subnet": "172.28.0.0/16"}]
    names = [config["networks"][each]["name"] for each in ("panel", "proxies")]
    assert names == sorted(names), "Docker publishes ports through the first"
    told, seen = services["app"]["environment"], services["nginx"]["networks"]
    assert told["MTPROTO_EDGE"] == seen["proxies"]["ipv4_address"]
    assert told["MTPROTO_NGINX"] == seen["panel"]["ipv4_address"] == services["nginx"]["environment"]["NGINX_IP"]
    assert services["app"]["networks"]["panel"]["ipv4_address"] in services["app"]["command"]
    for network, variable, last in (("proxies", "PROXY_SUBNET", told["MTPROTO_EDGE"]),
                                    ("panel", "PANEL_SUBNET", told["MTPROTO_NGINX"])):
        subnet, = (each["subnet"] for each in config["networks"][network]["ipam"]["config"])
        assert told[f"MTPROTO_{variable}"] == subnet
        assert ipaddress.ip_address(last) == list(ipaddress.ip_network(subnet).hosts())[-1]
    assert services["app"]["user"].split(":")[1] in services["nginx"]["group_add"], "it may read the keys"


@pytest.mark.parametrize(("data", "mounted"), [
    ({}, "panel-data:/data:rw"),
    ({"DATA_DIR": "/srv/mtproto"}, "/srv/mtproto:/data:rw"),
    ({"DATA_DIR": "/srv/mtproto", "MTPROTO_DATA_DIR": "/elsewhere"}, "/srv/mtproto:/elsewhere:rw"),
])
def test_the_data_may_be_in_a_folder_of_the_machine(data: dict[str, str], mounted: str) -> None:
    app = Stack(data).config()["services"]["app"]
    assert mounted in app["volumes"]
    assert app["environment"]["MTPROTO_DATA_DIR"] == mounted.split(":")[1]


# The running stack


def test_everything_comes_up_healthy(stack: Stack) -> None:
    for service in ("app", "nginx"):
        eventually(lambda: stack.health(service) == "healthy", f"{service} is healthy", 150)


def test_certbot_is_part_of_it_only_with_the_profile_ssl_and_waits_until_it_is_asked(stack: Stack) -> None:
    assert stack.container("certbot") == ""
    stack.env["CERTBOT_IMAGE"] = images.ensure_certbot()
    stack.compose("--profile", "ssl", "up", "--detach", "certbot")
    container = docker("ps", "--quiet", "--filter", f"network={stack.panel_network}",
                       "--filter", "label=mtproto.role=certbot")
    assert docker("exec", container, "certbot", "certificates").splitlines()[-2] == "No certificates found."
    started = time.monotonic()
    docker("stop", "--time", "60", container)
    assert time.monotonic() - started < 50, "SIGTERM was not heard: docker would have had to kill it"
    docker("rm", "--volumes", container)


def test_the_panel_is_no_root_and_may_talk_to_docker(stack: Stack) -> None:
    asked = ("import os, socket; s = socket.socket(socket.AF_UNIX); s.connect('/var/run/docker.sock'); "
             "s.sendall(b'GET /_ping HTTP/1.0\\r\\n\\r\\n'); "
             "print(os.getuid(), os.access('/opt/panel', os.W_OK), s.recv(4096).split()[1].decode())")
    assert stack.compose("exec", "-T", "app", "python3", "-c", asked) == "10001 False 200"


def test_no_page_comes_without_the_headers_that_protect_it(stack: Stack) -> None:
    answer = Browser(stack).get("/login")
    assert answer.status_code == 200
    raw = answer.raw.headers
    for name, value in (("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff"),
                        ("Referrer-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin")):
        assert raw.getlist(name) == [value], name
    assert len(raw.getlist("Content-Security-Policy")) == 1
    assert answer.headers["Server"] == "nginx", "without its version"


def test_a_user_is_added_in_the_browser_and_their_link_is_shown(stack: Stack, admin: Browser) -> None:
    assert "Password:" not in json.dumps(stack.manage("status"))
    page = admin.post("/users/new", {"name": "Grandma", "domain": "cover.test"})
    assert page.status_code == 200 and "<h1>Grandma</h1>" in page.text
    link = html.unescape(re.search(r'value="(tg://proxy\?[^"]+)"', page.text)[1])
    assert link == stack.manage("user", "link", "Grandma")["tg_link"]
    assert clients.parts(link)[0] == "proxy.example"
    stack.manage("user", "remove", "Grandma", "--yes")


def test_the_panel_counts_failed_logins_by_the_clients_own_address(stack: Stack, admin: Browser) -> None:
    """Somebody in another container locks out themselves, and nobody else, whatever headers they invent."""
    attacker = (
        "import re, requests\n"
        f"nginx, panel = 'http://{stack.env['NGINX_IP']}:8080', 'http://{stack.env['PANEL_IP']}:8080'\n"
        "for n, site in enumerate([*[nginx] * 6, *[panel] * 6]):\n"
        "    s = requests.Session()\n"
        "    page = s.get(site + '/login').text\n"
        "    token = re.search(r'name=\"csrf_token\"[^>]* value=\"([^\"]+)\"', page)[1]\n"
        "    form = {'csrf_token': token, 'username': 'admin', 'password': 'wrong'}\n"
        "    headers = {'X-Forwarded-For': f'198.51.100.{n}', 'Forwarded': f'for=198.51.100.{n}'}\n"
        "    print(s.post(site + '/login', form, headers=headers).status_code)\n")
    codes = docker("run", "--rm", "--label", "mtproto-test=compose", "--network", stack.panel_network,
                   stack.env["PANEL_IMAGE"], "python3", "-c", attacker)
    assert codes.split() == [*["401"] * 5, "429"] * 2  # each way in is a place of its own
    assert Browser(stack).login("also wrong").status_code == 401, "this one is from another address"


def test_nginx_finds_the_panel_again_when_it_was_away(stack: Stack, admin: Browser) -> None:
    app = stack.container("app")
    docker("network", "disconnect", stack.panel_network, app)
    eventually(lambda: admin.get("/healthz").status_code in (502, 504), "nginx answers alone")
    docker("network", "connect", "--alias", "panel", "--ip", stack.env["PANEL_IP"], stack.panel_network, app)
    eventually(lambda: admin.get("/healthz").status_code == 200, "the panel answers again")


#: Prints which of its arguments (ADDRESS:PORT) accept a connection.
_KNOCK = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(at):
    host, _, port = at.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        return True
    except OSError:
        return False
with ThreadPoolExecutor(len(sys.argv)) as pool:
    for at, is_open in zip(sys.argv[1:], pool.map(opens, sys.argv[1:])):
        if is_open: print(at)
"""


def test_a_proxy_reaches_the_cover_and_the_timing_and_nothing_of_the_panel(stack: Stack, admin: Browser) -> None:
    app, inside = stack.container("app"), '{{(index .NetworkSettings.Networks "%s").IPAddress}}'
    panels = {docker("inspect", "--format", inside % each, app) for each in (stack.network, stack.panel_network)}
    assert stack.env["PANEL_IP"] in panels and len(panels) == 2
    addresses = [*panels, stack.env["EDGE_IP"], stack.env["NGINX_IP"], f"{stack.prefix}.129"]
    tried = (80, 443, 5000, 8000, 8080, 8081, 8082, 8444, 8445)
    targets = [f"{address}:{port}" for address in addresses for port in tried]
    open_to_proxies = docker("run", "--rm", "--label", "mtproto-test=compose", "--network", stack.network,
                             stack.env["PANEL_IMAGE"], "python3", "-c", _KNOCK, *targets).split()
    edge = stack.env["EDGE_IP"]
    assert open_to_proxies == [f"{edge}:{port}" for port in (80, 443, 8444, 8445)]
    # 443 takes nobody from there, and no name leads to the panel: tests/edge/test_walls.py.
    names = docker("run", "--rm", "--label", "mtproto-test=compose", "--network", stack.network,
                   stack.env["PANEL_IMAGE"], "python3", "-c",
                   "import socket\ntry: print(socket.gethostbyname('panel'))\nexcept OSError: print('unknown')")
    assert names == "unknown"


def test_everything_has_a_limit_of_memory_and_processes(stack: Stack) -> None:
    for service in ("app", "nginx"):
        memory, pids = docker("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}",
                              stack.container(service)).split()
        assert int(memory) > 0 and int(pids) > 0


def test_the_proof_of_a_domain_is_served_and_nothing_beside_it(stack: Stack) -> None:
    volume = f"{stack.project}_acme-challenge:/challenge"
    docker("run", "--rm", "--network", "none", "--volume", volume, images.ensure_base(), "sh", "-c",
           "mkdir -p /challenge/.well-known/acme-challenge && cd /challenge && echo secret >outside && "
           "echo proof >.well-known/acme-challenge/token && chmod -R a+rX .")
    site = f"http://127.0.0.1:{stack.http}"
    assert requests.get(f"{site}/.well-known/acme-challenge/token", timeout=10).text == "proof\n"
    assert requests.get(f"{site}/.well-known/acme-challenge/missing", timeout=10).status_code == 404
    with socket.create_connection(("127.0.0.1", stack.http), 10) as plain:
        plain.sendall(b"GET /.well-known/acme-challenge/../../outside HTTP/1.0\r\nHost: x\r\n\r\n")
        assert b"secret" not in plain.makefile("rb").read()


def test_the_panel_is_on_no_port_that_the_internet_reaches(stack: Stack, admin: Browser) -> None:
    """Before panel_domain has a certificate: not on port 80, whatever Host is asked for, and 443 takes nobody."""
    for host in ("127.0.0.1", "panel.example", "app", "app:8080", ""):
        with socket.create_connection(("127.0.0.1", stack.http), 10) as plain:
            plain.sendall(f"GET /login HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = plain.makefile("rb").read()
        assert b"csrf" not in answer and b"MTProto" not in answer, host
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", stack.https), 10) as plain:
        with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
            context.wrap_socket(plain, server_hostname="panel.example")


def test_without_a_domain_the_panel_is_by_https_at_the_bare_address_under_its_path(stack: Stack) -> None:
    stack.manage("settings", "set", "server_ip=127.0.0.1", "panel_by_address=true")
    try:
        door = stack.manage("status")["edge"]["by_address"]
        assert door["self_signed"] and door["url"].startswith(f"https://127.0.0.1:{stack.door}/")
        own = ssl.get_server_certificate(("127.0.0.1", stack.door))
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(own)).digest().hex(":").upper() == door["fingerprint"]
        context = ssl.create_default_context(cadata=own)  # who has compared the fingerprint trusts it from then on
        for path, shown in (("/login", False), (urlsplit(door["url"]).path + "login", True)):
            with socket.create_connection(("127.0.0.1", stack.door), 10) as plain, \
                    context.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
                status, page = ask(stream, f"127.0.0.1:{stack.door}", path)
            assert ("csrf_token" in page) == shown and status == (200 if shown else 404)
    finally:
        stack.manage("settings", "set", "panel_by_address=false")


def test_a_telegram_client_passes_through_the_link_from_the_browser(stack: Stack, admin: Browser) -> None:
    assert_docker(stack)
    center = DataCenter(host=f"{stack.prefix}.1").start()
    try:
        image = stack.manage("settings", "get", "proxy_image")["proxy_image"]
        stack.manage("settings", "set", "server_domain=", "server_ip=127.0.0.1",
                     f"upstream_socks5={center.socks5}")
        page = admin.post("/users/new", {"name": "Boris", "domain": "cover.test"})
        assert page.status_code == 200, page.text
        link = html.unescape(re.search(r'value="(tg://proxy\?[^"]+)"', page.text)[1])
        assert clients.tdjson(link) > 0
        assert center.requests >= 1
        name = f"mtg-proxy-{clients.parts(link)[1]}"
        assert stack.proxies("--format", "{{.Names}} {{.Image}}") == f"{name} {image}"
        user = stack.manage("user", "show", "Boris")
        eventually(lambda: stack.manage("user", "show", "Boris")["bytes_down"] > 0,
                   "what the client moved is in the bill: the panel reads the proxy's metrics")
        admin.post(f"/users/{user['id']}/disable", {}, page=f"/users/{user['id']}")
        with pytest.raises(clients.ClientFailure):
            clients.tdjson(link)
    finally:
        center.stop()


def test_the_proxies_stay_while_the_panel_is_replaced(stack: Stack, admin: Browser) -> None:
    assert_docker(stack)
    stack.manage("user", "enable", "Boris")

    def proxies() -> str:
        ids = stack.proxies("--quiet").split()
        return docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", *ids) if ids else ""

    before = proxies()
    assert before
    stack.compose("up", "--detach", "--force-recreate", "app")
    eventually(lambda: stack.health("app") == "healthy", "the new panel is healthy", 150)
    assert stack.manage("user", "show", "Boris")["state"] == "running"
    assert proxies() == before


def test_a_proxy_that_is_removed_by_hand_is_made_again_with_the_same_link(stack: Stack) -> None:
    link, before = stack.manage("user", "link", "Boris")["tg_link"], stack.proxies("--quiet")
    docker("rm", "--force", "--volumes", before)
    eventually(lambda: stack.proxies("--quiet") not in ("", before), "there is a new container")
    eventually(lambda: stack.manage("user", "show", "Boris")["state"] == "running", "and it runs")
    assert stack.manage("user", "link", "Boris")["tg_link"] == link


@pytest.fixture(scope="module")
def center(stack: Stack) -> Iterator[DataCenter]:
    center = DataCenter(host=f"{stack.prefix}.1").start()
    yield center
    center.stop()


@pytest.fixture(scope="module")
def authority(stack: Stack) -> Iterator[Path]:
    """Let's Encrypt's test authority for this stack, and certbot to ask it; the file of what it signs with."""
    folder = stack.more.parent
    pebble = Pebble(folder / "pebble", f"{stack.prefix}.1", leads_to=stack.env["EDGE_IP"]).start()
    try:
        (folder / "root.pem").write_text(pebble.root())
        stack.env["CERTBOT_IMAGE"] = images.ensure_certbot()
        stack.compose("--profile", "ssl", "up", "--detach", "certbot")
        stack.manage("settings", "set", f"acme_directory={pebble.directory}", "server_domain=",
                     f"server_ip={stack.env['EDGE_IP']}")
        yield folder / "root.pem"
    finally:
        pebble.stop()


def visit(stack: Stack, name: str, path: str, root: Path) -> tuple[int, str]:
    """(status, page) for somebody who goes to https://name/path, and to whom the certificate matters."""
    context = ssl.create_default_context(cafile=str(root))
    with socket.create_connection(("127.0.0.1", stack.https), 10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as stream:
            return ask(stream, name, path)


def sight(stack: Stack, name: str, path: str, root: Path) -> str:
    """The page, "" while there is none."""
    try:
        return visit(stack, name, path, root)[1]
    except OSError:
        return ""


def renews(stack: Stack) -> bool:
    try:
        stack.manage("certificates", "renew", "--force")
    except images.ImageFailure as failure:
        assert "they are being asked for already" in str(failure)
        return False
    return True


def test_the_panel_gets_a_certificate_and_is_reached_by_https_under_its_own_name_only(
        stack: Stack, authority: Path) -> None:
    stack.manage("settings", "set", f"panel_domain={PANEL}")

    eventually(lambda: "csrf_token" in sight(stack, PANEL, "/login", authority),
               "the panel is served by HTTPS, without a further step", 120)
    with pytest.raises(ssl.SSLError):
        visit(stack, "other.test", "/login", authority)
    moved = requests.get(f"http://127.0.0.1:{stack.http}/login", headers={"Host": PANEL}, timeout=10,
                         allow_redirects=False)
    assert (moved.status_code, moved.headers["Location"]) == (301, f"https://{PANEL}:{stack.https}/login")


def test_on_port_443_a_client_meets_its_proxy_and_everybody_else_the_cover_site(
        stack: Stack, admin: Browser, authority: Path, center: DataCenter) -> None:
    assert_docker(stack)
    stack.manage("settings", "set", f"sni_base_domain={BASE}", "port_443_mode=true",
                 f"upstream_socks5={center.socks5}")
    page = admin.post("/users/new", {"name": "Anna", "domain": ANNA})
    assert page.status_code == 200, page.text
    link = html.unescape(re.search(r'value="(tg://proxy\?[^"]+)"', page.text)[1])
    server, port, _ = clients.parts(link)
    assert (server, int(port)) == (stack.env["EDGE_IP"], stack.https)
    outside = link.replace(f"server={server}", "server=127.0.0.1")
    assert clients.tdjson(outside) > 0
    assert center.requests >= 1
    name = f"mtg-proxy-{stack.manage('user', 'show', 'Anna')['port']}"
    assert docker("port", name) == "", "nobody reaches the proxy but through nginx"
    eventually(lambda: renews(stack), "the panel itself may be at it just now")
    eventually(lambda: "<html" in sight(stack, ANNA, "/", authority), "a visitor without the secret sees the site")
    assert visit(stack, BASE, "/", authority) == visit(stack, ANNA, "/", authority)
    assert "csrf_token" not in visit(stack, ANNA, "/login", authority)[1]


def test_the_operators_own_files_are_served_as_the_cover_site_and_their_own_server_blocks_beside_it(
        stack: Stack, authority: Path) -> None:
    """With the commands of docs/port443.md."""
    stack.compose("exec", "-T", "app", "tar", "-x", "-C", "/data/nginx/cover",
                  stdin=images.archive({"index.html": b"<html>The bakery", "bread/rye.html": b"<html>Rye"}))
    stack.manage("settings", "set", "cover_site=folder")
    assert visit(stack, ANNA, "/", authority) == visit(stack, BASE, "/", authority) == (200, "<html>The bakery")
    assert visit(stack, BASE, "/bread/rye.html", authority) == (200, "<html>Rye")
    stack.compose("exec", "-T", "app", "sh", "-c", "cat >/data/nginx/custom.d/shop.conf",
                  stdin=b"server { listen 80; server_name shop.test; return 200 'The shop'; }")
    eventually(lambda: requests.get(f"http://127.0.0.1:{stack.http}/", headers={"Host": "shop.test"},
                                    timeout=10).text == "The shop", "the server block is noticed")


def test_switched_off_again_users_have_their_own_ports_and_the_same_secrets(stack: Stack, center: DataCenter) -> None:
    before = stack.manage("user", "show", "Anna")
    stack.manage("settings", "set", "port_443_mode=false", "server_ip=127.0.0.1")
    after = stack.manage("user", "show", "Anna")
    assert after["secret"] == before["secret"] and after["link_port"] == after["port"] != stack.https
    assert clients.tdjson(after["tg_link"]) > 0


def test_traefik_takes_port_443_over_and_gives_it_back_and_no_link_changes(stack: Stack, center: DataCenter) -> None:
    stack.env["TRAEFIK_IMAGE"] = images.ensure_traefik()
    stack.manage("settings", "set", "port_443_mode=true", f"server_ip={stack.env['EDGE_IP']}")
    link = stack.manage("user", "show", "Anna")["tg_link"]
    for router in ("traefik", "nginx"):
        stack.switch(router)
        assert stack.manage("status")["edge"]["router"] == router
        assert stack.manage("user", "show", "Anna")["tg_link"] == link
        assert clients.tdjson(link.replace(f"server={stack.env['EDGE_IP']}", "server=127.0.0.1")) > 0


def test_a_traefik_that_does_not_come_up_is_undone(stack: Stack, center: DataCenter) -> None:
    stack.env |= {"TRAEFIK_IMAGE": images.ensure_python(), "SWITCH_SECONDS": "20"}  # it ends at once
    with pytest.raises(images.ImageFailure, match="Port 443 is served by nginx again"):
        stack.switch("traefik")
    assert stack.manage("status")["edge"]["router"] == "nginx"
    link = stack.manage("user", "show", "Anna")["tg_link"]
    assert clients.tdjson(link.replace(f"server={stack.env['EDGE_IP']}", "server=127.0.0.1")) > 0


def test_both_compose_files_say_the_same_of_what_they_share() -> None:
    def part(name: str, start: str, end: str) -> str:
        text = (ROOT / name).read_text()
        return text[text.index(start):].partition(end)[0]

    alone, behind = (part(name, "\n  nginx:\n", "\n    ports:\n") for name in
                     ("docker-compose.yml", "docker-compose.traefik.yml"))
    assert alone == behind
    alone, behind = (part(name, "\n      # The panel by HTTPS at the bare", end) for name, end in
                     (("docker-compose.yml", "\n  # Waits for"), ("docker-compose.traefik.yml", "\n  certbot:")))
    assert alone.strip() == behind.strip()
    alone, behind = (part(name, "\nvolumes:\n", "\0") for name in
                     ("docker-compose.yml", "docker-compose.traefik.yml"))
    assert alone == behind.replace("  router:\n", "")


def test_coming_down_leaves_nothing(stack: Stack) -> None:
    stack.down()
    assert stack.remains() == []
    assert stack.network not in docker("network", "ls", "--format", "{{.Name}}").split()
