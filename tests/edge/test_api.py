"""The API through the real nginx: under the panel's own name on port 443, and at the bare address under its path."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from app.accounts.actor import CLI
from app.actions import tokens
from app.api import problems
from app.checks.addresses import Addresses
from app.cli.instance import listen
from app.cli.server import Server
from app.engines.builtin import Builtin
from app.lib import portmap
from app.web.security import LARGEST_FORM
from tests.docker.images import ROOT
from tests.support import edge_lab
from tests.support.cover import free_port
from tests.support.edge_lab import Lab
from tests.support.fleet import Fleet
from tests.support.memory_certbot import MemoryCertbot
from tests.support.memory_runtime import MemoryRuntime
from tests.web.visitor import NAME, PASSWORD

pytestmark = pytest.mark.timeout(300)

PANEL = "panel.example.org"


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self):
        return json.loads(gzip.decompress(self.body) if self.headers.get("Content-Encoding") == "gzip" else self.body)


@dataclass
class Way:
    """One way to the panel. name: the SNI; port: of the container; prefix: of every path."""

    lab: Lab
    fleet: Fleet
    server: Server
    token: str
    name: str
    port: int
    prefix: str = ""

    def connect(self) -> HTTPConnection:
        connection = HTTPConnection(self.name or f"127.0.0.1:{self.lab.ports[self.port]}")
        connection.sock = self.lab.connect(self.name, self.port)
        return connection

    def ask(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Answer:
        """body: bytes, a list of bytes to be sent in chunks, or what is sent as JSON."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = body if isinstance(body, (bytes, list)) else json.dumps(body).encode()
        connection = self.connect()
        try:
            connection.request(method, self.prefix + path, iter(body) if isinstance(body, list) else body, sent,
                               encode_chunked=isinstance(body, list))
            return read(connection.getresponse())
        finally:
            connection.close()


    def curl(self, *words: str) -> str:
        """"version status type" of what curl gets by HTTP/2."""
        return subprocess.run(
            ["curl", "-sk", "--http2", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{content_type}",
             "--resolve", f"{self.name}:{self.lab.ports[self.port]}:127.0.0.1", "-H",
             f"Authorization: Bearer {self.token}", *words], check=True, capture_output=True, text=True,
            timeout=30).stdout


def read(response: HTTPResponse) -> Answer:
    return Answer(response.status, response.headers, response.read())


def refused(answer: Answer, status: int, code: str) -> bool:
    return answer.status == answer.json["status"] == status and answer.json["code"] == code and \
        answer.headers["Content-Type"] == "application/problem+json"


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Way]]:
    folder, port, patch = tmp_path_factory.mktemp("api"), free_port(), pytest.MonkeyPatch()
    with edge_lab.lab(folder / "data/nginx", panel_port=port) as lab, listen(lab.gateway, port) as listener:
        patch.setenv("MTPROTO_TRUSTED_PROXIES", lab.ip)
        fleet = Fleet(folder / "data", MemoryRuntime(), Builtin(), lab.nginx, MemoryCertbot(time.time),
                      Addresses(lambda *_: [(2, 1, 6, "", ("127.0.0.1", 0))]), door_port=lab.ports[portmap.DOOR])
        fleet.create_admin(NAME, PASSWORD, sudo=True)
        fleet.set_settings({"server_ip": "127.0.0.1"})
        fleet.set_settings({"panel_domain": PANEL, "panel_by_address": "true"})
        assert all(outcome.ok for outcome in fleet.renew_certificates())
        token = tokens.create_token(fleet, CLI, "nginx", "admin", 0, NAME)[1]
        server = Server(create_app(fleet), listener)
        thread = threading.Thread(target=server.run)
        thread.start()
        yield {"name": Way(lab, fleet, server, token, PANEL, 443),
               "address": Way(lab, fleet, server, token, "", portmap.DOOR, f"/{fleet.config().panel_path}")}
        stop(server)
        thread.join()
        patch.undo()


def stop(server: Server) -> None:
    server.task_dispatcher.shutdown()
    server.asyncore.close_all(server._map)


@pytest.fixture(params=["name", "address"])
def way(ways: dict[str, Way], request: pytest.FixtureRequest) -> Way:
    return ways[request.param]


@pytest.fixture
def alice(way: Way) -> Iterator[str]:
    """The path of a user."""
    made = way.ask("POST", "/api/v1/users", {"name": "علی‌رضا", "note": "n" * 600})
    assert made.status == 201
    yield f"/api/v1/users/{made.json['id']}"
    way.ask("DELETE", f"/api/v1/users/{made.json['id']}?for_good=true")


def test_the_panel_is_under_its_random_path_and_nowhere_else(ways: dict[str, Way]) -> None:
    way = ways["address"]

    def ask(method: str, path: str, body: str = "", cookies: str = "") -> Answer:
        connection = way.connect()
        try:
            connection.request(method, path, body or None, {
                "Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"})
            return read(connection.getresponse())
        finally:
            connection.close()

    def kept(answer: Answer) -> str:
        """The cookies that it sets, each for the random path alone."""
        told = answer.headers.get_all("Set-Cookie") or []
        assert told and all(f"Path={way.prefix}" in each and "Secure" in each for each in told)
        return "; ".join(each.partition(";")[0] for each in told)

    page = ask("GET", f"{way.prefix}/login")
    token = re.search(rb'name="csrf_token"[^>]*value="([^"]+)"', page.body)
    assert page.status == 200 and token
    form = urlencode({"csrf_token": token[1].decode(), "username": NAME, "password": PASSWORD})
    entered = ask("POST", f"{way.prefix}/login", form, kept(page))
    assert entered.status == 302 and entered.headers["Location"].startswith(f"{way.prefix}/")
    users = ask("GET", f"{way.prefix}/users", cookies=kept(entered))
    led = re.findall(rb' (?:href|src|action)="(/[^"]*)"', users.body)
    assert users.status == 200 and len(led) > 10
    assert [each for each in led if not each.startswith(way.prefix.encode() + b"/")] == []
    for elsewhere in ("/login", "/users", "/", "/healthz", "/api/v1/users", f"{way.prefix[:-1]}/login",
                      f"{way.prefix}x/login", f"{way.prefix.upper()}/login", f"/x{way.prefix}/login"):
        answer = ask("GET", elsewhere, cookies=kept(entered))
        assert b"csrf_token" not in answer.body and "Set-Cookie" not in answer.headers, elsewhere
        assert way.prefix.encode() not in answer.body, elsewhere
        assert way.prefix not in answer.headers.get("Location", ""), elsewhere


def test_every_method_gets_through_with_its_headers(way: Way) -> None:
    sent = {"Idempotency-Key": f"order {way.port}"}
    made = way.ask("POST", "/api/v1/users", {"name": "Bob"}, sent)
    again = way.ask("POST", "/api/v1/users", {"name": "Bob"}, sent)
    assert (made.status, again.status) == (201, 201) and made.json["id"] == again.json["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert made.headers["Location"] == f"{way.prefix}/api/v1/users/{made.json['id']}", "it can be asked for as it is"
    path = f"/api/v1/users/{made.json['id']}"
    head = way.ask("HEAD", path)
    assert head.status == 200 and head.body == b"" and head.headers["ETag"] == made.headers["ETag"]
    old = {"If-Match": made.headers["ETag"]}
    changed = way.ask("PATCH", path, {"note": "paid"}, old)
    assert changed.status == 200 and changed.json["declared"]["note"] == "paid"
    assert refused(way.ask("PATCH", path, {"note": "lost"}, old), 412, "stale.version")
    assert refused(way.ask("PUT", path, {"note": "lost"}), 405, "api.method")
    assert refused(way.ask("OPTIONS", path), 405, "api.method")
    assert refused(way.ask("DELETE", path, headers=old), 412, "stale.version")
    gone = way.ask("DELETE", path, headers={"If-Match": changed.headers["ETag"]})
    assert (gone.status, gone.body) == (204, b"")
    assert refused(way.ask("GET", path), 404, "user.unknown")
    nobody = way.ask("GET", "/api/v1/users", headers={"Authorization": ""})
    assert refused(nobody, 401, "token.missing") and nobody.headers["WWW-Authenticate"] == "Bearer"


def test_a_compressed_answers_version_is_good_for_if_match(way: Way, alice: str) -> None:
    """Compression makes an ETag weak, as it is the same text in other bytes. It stands for what is declared."""
    read_ = way.ask("GET", alice, headers={"Accept-Encoding": "gzip"})
    assert read_.headers["Content-Encoding"] == "gzip" and read_.headers["ETag"] == f'W/"{read_.json["version"]}"'
    weak = {"If-Match": read_.headers["ETag"], "Accept-Encoding": "gzip"}
    changed = way.ask("PATCH", alice, {"note": "m" * 600}, weak)
    assert changed.status == 200 and changed.json["declared"]["note"] == "m" * 600
    assert refused(way.ask("PATCH", alice, {"note": "lost"}, weak), 412, "stale.version")


def test_a_body_of_the_largest_size_gets_through_and_a_larger_one_is_refused_as_json(way: Way) -> None:
    def padded(size: int) -> bytes:
        return b'{"name": "Carol"'.ljust(size - 1) + b"}"

    largest = way.ask("POST", "/api/v1/users", padded(LARGEST_FORM))
    assert largest.status == 201
    way.ask("DELETE", f"/api/v1/users/{largest.json['id']}?for_good=true")
    in_chunks = way.ask("POST", "/api/v1/users", [padded(LARGEST_FORM)])
    assert in_chunks.status == 201
    way.ask("DELETE", f"/api/v1/users/{in_chunks.json['id']}?for_good=true")
    for body in (padded(LARGEST_FORM + 1), padded(5_000_000)):
        assert refused(way.ask("POST", "/api/v1/users", body), 413, "api.large")
    assert "Carol" not in [user.name for user in way.fleet.users()]


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(way: Way) -> None:
    body = json.dumps({"name": "Dave"}).encode()
    connection = way.connect()
    connection.putrequest("POST", f"{way.prefix}/api/v1/users")
    for name, value in {"Authorization": f"Bearer {way.token}", "Content-Type": "application/json",
                        "Content-Length": str(len(body)), "Expect": "100-continue"}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.sock.recv(12) == b"HTTP/1.1 100"
    while connection.sock.recv(1) != b"\n":
        pass
    connection.sock.recv(2)
    connection.send(body)
    made = read(connection.getresponse())
    connection.close()
    assert made.status == 201
    way.ask("DELETE", f"/api/v1/users/{made.json['id']}?for_good=true")


def test_bodies_that_come_byte_by_byte_hold_up_nobody_else(way: Way) -> None:
    body = json.dumps({"name": "Eve"}).encode()
    slow = [way.connect() for _ in range(20)]
    for connection in slow:
        connection.putrequest("POST", f"{way.prefix}/api/v1/users")
        connection.putheader("Authorization", f"Bearer {way.token}")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:1])
    assert way.ask("GET", "/api/v1/self").status == 200, "more of them than the panel has threads"
    for byte in body[1:]:
        slow[0].send(bytes([byte]))
    made = read(slow[0].getresponse())
    assert made.status == 201
    for connection in slow:
        connection.close()
    way.ask("DELETE", f"/api/v1/users/{made.json['id']}?for_good=true")


def test_what_is_no_request_at_all_is_refused_by_a_page_of_nginx_as_the_documentation_says(way: Way) -> None:
    long = way.ask("GET", "/api/v1/users?q=" + "x" * 9000)
    assert long.status == 414 and long.headers["Content-Type"].startswith("text/html")
    assert way.ask("GET", "/api/v1/users?q=" + "x" * 7000).status == 200


def test_prometheus_reads_metrics_in_both_formats_and_compressed(way: Way, alice: str) -> None:
    for accept in ("text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"):
        answer = way.ask("GET", "/metrics", headers={"Accept": accept, "Accept-Encoding": "gzip"})
        assert answer.status == 200 and answer.headers["Content-Encoding"] == "gzip", accept
        text = gzip.decompress(answer.body).decode()
        assert 'name="علی‌رضا"' in text
        if "openmetrics" not in accept:
            assert len(list(text_string_to_metric_families(text))) > 10
    assert way.ask("GET", "/metrics", headers={"Authorization": "Bearer x"}).status == 401


def test_http_2_gets_through_with_the_same_headers(ways: dict[str, Way]) -> None:
    way = ways["name"]
    done = way.curl("-X", "PATCH", "-H", 'If-Match: "x"', "-H", "Content-Type: application/json", "-d", "{}",
                    f"https://{PANEL}:{way.lab.ports[443]}/api/v1/settings")
    assert done == "2 412 application/problem+json"


def test_what_nginx_says_by_itself_is_what_the_panel_would_say() -> None:
    for file in ("nginx/panel.conf", "nginx/templates/http.conf.j2"):
        told = re.findall(r"return (\d+) '(\{\"type\".*\})';", (ROOT / file).read_text())
        assert {int(status) for status, _ in told} == set(problems.OF_NGINX)
        for status, text in told:
            ours = problems.answer(int(status), [problems.OF_NGINX[int(status)]], instance="/api/v1")
            assert json.loads(text) == ours.json, file


def test_a_panel_that_is_away_is_told_as_json_to_programs_and_as_a_page_to_people(way: Way) -> None:
    """The last test: nothing answers after it."""
    stop(way.server)
    assert refused(way.ask("GET", "/api/v1/users"), 502, "api.away")
    page = way.ask("GET", "/users")
    assert page.status == 502 and b"<h1>No answer</h1>" in page.body
    assert page.headers["Content-Type"].startswith("text/html")
