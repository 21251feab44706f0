"""The real nginx in a container: who gets where on port 443, on port 80, and what stays while it changes."""

from __future__ import annotations

import contextlib
import http.server
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.edge.base import EdgeConfig
from app.edge.nginx import edge as nginx_module
from app.edge.nginx.render import render
from tests.docker import images
from tests.docker.images import ROOT
from tests.support import edge_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually, forget
from tests.support.edge_backend import Backend, Call
from tests.support.edge_lab import Authority, Lab, ask
from tests.support.edge_visitors import backends, met_by_stranger, serve, title


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    port = free_port()
    with edge_lab.lab(tmp_path_factory.mktemp("nginx") / "nginx", panel_port=port) as lab:
        panel = serve(lab.gateway, port)
        yield lab
        panel.shutdown()
        panel.server_close()


@pytest.fixture(scope="module")
def people(lab: Lab) -> Iterator[dict[str, Backend]]:
    """Two users' proxies, by their domain: one of the pool, one under a domain of the operator's own."""
    with backends(lab.gateway, "www.pool.test", "bob.example.com") as made:
        yield made


@pytest.fixture(scope="module")
def site(authority: Authority, people: dict[str, Backend]) -> EdgeConfig:
    return EdgeConfig(
        routes={name: backend.address for name, backend in people.items()},
        own_names=("example.com", "bob.example.com", "new.example.com"), panel_domain="panel.example.org",
        certificates=(authority.certificate("panel", "panel.example.org"),
                      authority.certificate("cover-1", "example.com", "bob.example.com")))


@pytest.fixture
def served(lab: Lab, site: EdgeConfig) -> Lab:
    lab.nginx.apply(site)
    return lab


# Before the panel has said anything


def test_with_an_empty_folder_there_is_the_panel_and_the_proof_of_a_domain_and_nothing_on_443(tmp_path: Path):
    with edge_lab.lab(tmp_path / "nginx") as lab:
        assert "It may be starting" in lab.plain("x", port=8080)[1], "no panel runs here"
        (lab.challenge / ".well-known/acme-challenge").mkdir(parents=True)
        (lab.challenge / ".well-known/acme-challenge/token").write_text("proof")
        assert lab.plain("x", "/.well-known/acme-challenge/token")[1].endswith("proof")
        assert lab.plain("x", "/")[0] == 404
        with pytest.raises(OSError), lab.connect("x"):
            pass
        assert lab.nginx.served() == ""
        # ... and when somebody has thrown away what the panel made.
        lab.nginx.apply(EdgeConfig())
        (lab.folder / "current").unlink()
        lab.stop()
        lab.start()
        assert lab.nginx.apply(EdgeConfig()) is True
        assert lab.nginx.served()


# Port 443


def test_each_name_leads_to_its_own_proxy_which_sees_the_clients_own_address(served: Lab, people: dict[str, Backend]):
    for name, backend in people.items():
        with Call((served.ip, 443), name) as call:
            assert call.met == backend.name and call.echoes(b"x" * 300_000)
            assert backend.visitors[-1] == call.own


def test_a_name_in_capitals_is_the_same_name(served: Lab):
    with Call(served.address(443), "WWW.Pool.TEST") as call:
        assert call.met == "www"


def test_a_visitor_of_an_own_name_meets_the_cover_site_with_a_valid_chain_by_http2(served: Lab, authority: Authority):
    status, body = served.page("example.com", trusted=authority.file)
    assert status == 200 and title(served) in body
    with served.connect("example.com", trusted=authority.file, protocols=("h2", "http/1.1")) as stream:
        assert stream.selected_alpn_protocol() == "h2" and stream.version() == "TLSv1.3"


def test_the_cover_site_has_pages_an_icon_and_a_404_of_its_own_and_tells_no_version(served: Lab):
    assert served.page("example.com", "/favicon.svg")[0] == 200
    status, body = served.page("example.com", "/no/such/page")
    assert status == 404 and title(served) in body and "nginx" not in body
    with served.connect("example.com") as stream:
        head = ask(stream, "example.com", head=True)[1].partition("\r\n\r\n")[0]
    assert "Server: nginx\r\n" in head + "\r\n"


def test_the_cover_site_looks_unchanged_when_a_user_is_added(served: Lab, site: EdgeConfig):
    def head() -> list[str]:
        with served.connect("example.com") as stream:
            text = ask(stream, "example.com", head=True)[1].partition("\r\n\r\n")[0]
        return [line for line in text.splitlines() if not line.startswith("Date")]

    before = head()
    served.nginx.apply(replace(site, routes={**site.routes, "c.pool.test": "c:1"}))
    assert head() == before
    assert any(line.startswith("Last-Modified") for line in before)


def test_an_engines_probe_comes_back_to_the_cover_with_the_certificate_of_its_name(served: Lab, authority: Authority):
    context = ssl.create_default_context(cafile=str(authority.file))
    for name in ("bob.example.com", "example.com"):
        plain = socket.create_connection((served.ip, 8444), 10)
        plain.sendall(b"PROXY TCP4 203.0.113.9 203.0.113.1 5555 443\r\n")
        with context.wrap_socket(plain, server_hostname=name) as stream:
            assert title(served) in ask(stream, name)[1]


def test_the_panel_is_behind_its_own_name_and_is_told_the_clients_address(served: Lab, authority: Authority):
    with served.connect("panel.example.org", trusted=authority.file) as stream:
        status, answer = ask(stream, "panel.example.org", head=True,
                             more="X-Forwarded-For: 198.51.100.1\r\nForwarded: for=198.51.100.1\r\n")
    assert status == 200 and "the panel" in answer
    head, _, body = answer.partition("\r\n\r\n")
    assert f"X-Forwarded-For: {served.gateway}\n" in body and "198.51.100.1" not in body
    assert "X-Forwarded-Proto: https\n" in body and "Host: panel.example.org\n" in body
    for line in ("X-Frame-Options: DENY", "Strict-Transport-Security: max-age=31536000",
                 "Cross-Origin-Opener-Policy: same-origin"):
        assert head.count(line) == 1


#: Answers with the headers that it was asked with, as Panel does, in a container.
_ECHO = """
import http.server
class Panel(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.headers).encode())
http.server.HTTPServer(("", 8080), Panel).serve_forever()
"""


@pytest.fixture
def panel_container(served: Lab) -> Iterator[None]:
    """The panel under the name by which nginx.conf knows it."""
    made = served.api.create_container(
        images.ensure_python(), ["python3", "-c", _ECHO], labels={edge_lab.LABEL: served.name},
        networking_config=served.api.create_networking_config(
            {served.network: served.api.create_endpoint_config(aliases=["panel"])}))["Id"]
    served.api.start(made)
    eventually(lambda: served.plain("x", port=8080)[0] == 200, "the panel answers on 8080")
    yield
    forget(served.api, made)


def test_the_panel_is_told_by_which_door_somebody_came_whatever_they_claim(served: Lab, panel_container: None):
    for claim in ("local", "https", ""):
        header = f"X-Panel-Door: {claim}\r\nx-panel-door: {claim}\r\nX_Panel_Door: {claim}\r\n"
        with served.connect("panel.example.org") as stream:
            from_443 = ask(stream, "panel.example.org", more=header)[1]
        with socket.create_connection(served.address(8080), 30) as stream:
            from_8080 = ask(stream, "x", more=header)[1]
        for told, door in ((from_443, "https"), (from_8080, "local")):
            assert [line for line in told.splitlines() if "door" in line.lower()] == [f"X-Panel-Door: {door}"]


def test_the_panel_that_is_away_is_said_in_words(lab: Lab, site: EdgeConfig, authority: Authority):
    nginx = edge_lab.Nginx(lab.folder, lab.nginx.service, lab.ip, panel=f"{lab.gateway}:9")
    nginx.apply(site)
    status, body = lab.page("panel.example.org", trusted=authority.file)
    assert status == 502 and "does not answer now" in body
    lab.nginx.apply(site)


@pytest.mark.parametrize("setting, met", [
    ("cover", "cover"), ("reject", "rejected"), ("close", "closed"), ("panel", "panel")])
def test_an_unknown_name_and_no_name_get_what_the_setting_says(lab: Lab, site: EdgeConfig, setting: str, met: str):
    lab.nginx.apply(replace(site, unknown_sni=setting))
    assert [met_by_stranger(lab, name) for name in ("unknown.test", "")] == [met, met]


def test_without_any_certificate_strangers_are_rejected_and_never_meet_the_panel(lab: Lab, site: EdgeConfig):
    for unknown in ("cover", "panel"):
        lab.nginx.apply(replace(site, certificates=(), unknown_sni=unknown))
        for name in ("unknown.test", "panel.example.org", "example.com", ""):
            assert met_by_stranger(lab, name) == "rejected"


# Port 80


def test_plain_http_leads_to_https_or_shows_the_cover_and_never_the_panel(served: Lab, site: EdgeConfig):
    for name in ("panel.example.org", "example.com", "bob.example.com"):
        status, answer = served.plain(name, "/page?x=1")
        assert status == 301 and f"Location: https://{name}/page?x=1\r\n" in answer
    for name in ("new.example.com", "unknown.test"):
        status, answer = served.plain(name)
        assert status == 200 and title(served) in answer
    served.nginx.apply(replace(site, unknown_sni="panel"))
    assert served.plain("unknown.test") == (0, ""), "just closed"
    assert served.plain("panel.example.org")[0] == 301


# What the cover site can be


@pytest.fixture
def folder_site(lab: Lab, site: EdgeConfig) -> Lab:
    cover = lab.folder / "cover"
    cover.mkdir(exist_ok=True)
    for name, text in (("index.html", "our own page"), ("404.html", "our own 404"), (".secret", "hidden"),
                       ("docs/a.txt", "a file"), (".git/config", "hidden"), (".well-known/security.txt", "contact")):
        (cover / name).parent.mkdir(parents=True, exist_ok=True)
        (cover / name).write_text(text)
    (lab.folder / "outside.txt").write_text("outside")
    for link, target in (("link.txt", "../outside.txt"), ("etc", "/etc")):
        if not (cover / link).is_symlink():
            (cover / link).symlink_to(target)
    lab.nginx.apply(replace(site, cover_site="folder"))
    return lab


@pytest.mark.parametrize("path, status, body", [
    ("/", 200, "our own page"), ("/docs/a.txt", 200, "a file"), ("/.well-known/security.txt", 200, "contact"),
    ("/docs/", 404, "our own 404"), ("/.secret", 404, "our own 404"), ("/.git/config", 404, "our own 404"),
    ("/link.txt", 404, "our own 404"), ("/etc/passwd", 404, "our own 404"), ("/%2e%2e/outside.txt", 400, ""),
    ("/nothing", 404, "our own 404"),
])
def test_the_operators_folder_shows_its_files_and_nothing_else(folder_site: Lab, path: str, status: int, body: str):
    got, text = folder_site.page("example.com", path)
    assert got == status and body in text


def test_a_folder_of_the_site_is_found_without_its_slash_and_tells_no_inner_port(folder_site: Lab):
    with folder_site.connect("example.com") as stream:
        status, answer = ask(stream, "example.com", "/docs", head=True)
    assert status == 301 and "Location: /docs/\r\n" in answer


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """A site of the operator's, elsewhere."""

    def do_GET(self) -> None:
        host = self.headers["Host"]
        moved = {"/moved": f"https://{host}/new", "/away": "https://elsewhere.test/"}.get(self.path)
        body = f"the other site\n{self.headers}".encode()
        self.send_response(301 if moved else 200)
        if moved:
            self.send_header("Location", moved)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def elsewhere(lab: Lab, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Call it for the address of an HTTPS site, with a certificate for another name if asked."""
    running = []
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    def start(name: str = "") -> str:
        # Named by its address: no name server of the test's is needed then.
        pair = authority.certificate("site", name or lab.gateway)
        (tmp_path / "pair.pem").write_text(pair.chain + pair.key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "pair.pem")
        running.append(serve(lab.gateway, 0, context, Elsewhere))
        return f"https://{lab.gateway}:{running[-1].server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_the_cover_can_be_a_site_elsewhere_which_is_told_nothing_of_who_asks(
        lab: Lab, site: EdgeConfig, elsewhere: Callable):
    url = elsewhere()
    lab.nginx.apply(replace(site, cover_site="proxy", cover_url=url))
    status, body = lab.page("example.com")
    assert status == 200 and "the other site" in body
    assert f"Host: {url.removeprefix('https://')}\n" in body and "Forwarded" not in body
    for path, location in (("/moved", "/new"), ("/away", "https://elsewhere.test/")):
        with lab.connect("example.com") as stream:
            assert f"Location: {location}\r\n" in ask(stream, "example.com", path, head=True)[1]


@pytest.mark.parametrize("fault", ["another name", "nobody there"])
def test_a_site_that_cannot_be_shown_gives_a_plain_page(lab: Lab, site: EdgeConfig, elsewhere: Callable, fault: str):
    url = elsewhere("other.test") if fault == "another name" else f"https://{lab.gateway}:9"
    lab.nginx.apply(replace(site, cover_site="proxy", cover_url=url))
    status, body = lab.page("example.com")
    assert status == 502 and "Unavailable" in body and "nginx" not in body


def test_a_site_that_leads_back_to_this_server_is_not_asked_for_ever(
        lab: Lab, site: EdgeConfig, authority: Authority, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    both = authority.certificate("cover-1", "example.com", lab.ip)
    lab.nginx.apply(replace(site, cover_site="proxy", cover_url=f"https://{lab.ip}", certificates=(both,)))
    status, body = lab.page("example.com", trusted=authority.file)
    assert status == 502 and "Unavailable" in body
    assert "worker_connections are not enough" not in lab.log()


# Changes


def test_a_connection_goes_on_over_reloads_and_new_ones_see_the_new_configuration(served: Lab, site: EdgeConfig):
    with Call(served.address(443), "www.pool.test") as call:
        for number in range(3):
            routes = {**site.routes, f"n{number}.pool.test": site.routes["www.pool.test"]}
            served.nginx.apply(replace(site, routes=routes))
            assert call.echoes(b"%d" % number * 50_000)
            with Call(served.address(443), f"n{number}.pool.test") as new:
                assert new.met == "www"
        served.nginx.apply(replace(site, routes={}))
        assert call.echoes(), "the user is gone from the map; nginx itself ends nobody"
        with Call(served.address(443), "www.pool.test") as new:
            assert new.met == ""


def test_an_old_worker_ends_its_connections_after_the_time_in_the_setting(
        served: Lab, site: EdgeConfig, monkeypatch: pytest.MonkeyPatch):
    def outlives_a_reload(seconds: int) -> bool:
        """Whether a connection does; it has ended when this returns."""
        def with_seconds(site: EdgeConfig, around: object) -> dict[str, bytes]:
            files = render(site, around)
            limits = files["main.d/limits.conf"].replace(b"_timeout 6h;", b"_timeout %ds;" % seconds)
            assert limits != files["main.d/limits.conf"]
            return {**files, "main.d/limits.conf": limits}

        monkeypatch.setattr(nginx_module, "render", with_seconds)
        served.nginx.apply(replace(site, routes={**site.routes, f"a{seconds}.pool.test": "a:1"}))
        with Call(served.address(443), "www.pool.test") as call:
            served.nginx.apply(replace(site, routes={**site.routes, f"b{seconds}.pool.test": "b:1"}))
            alive = call.echoes()
            call.socket.settimeout(seconds + 60)
            with contextlib.suppress(ConnectionResetError):
                assert call.socket.recv(1) == b""
        return alive

    workers = served.workers()
    # A second is long enough to see it alive, but on a machine that is too busy to look in time.
    assert any(outlives_a_reload(seconds) for seconds in (1, 5, 25)), "ended at once"
    eventually(lambda: served.workers() <= workers, "the old worker ends")


def test_what_was_applied_is_served_after_a_restart_of_nginx(served: Lab, site: EdgeConfig):
    version = served.nginx.served()
    served.stop()
    served.start()
    assert served.nginx.served() == version
    assert served.nginx.apply(site) is False


def test_a_thousand_users_with_long_names_fit_and_nginx_says_nothing_about_it(
        lab: Lab, authority: Authority, people: dict[str, Backend]):
    names = [f"{'x' * 60}.{'y' * 60}.{i:044}.example.com" for i in range(1000)]
    assert len(names[0]) >= 178
    one = authority.certificate("cover-1", *names[:100])
    certificates = tuple(replace(one, name=f"cover-{i + 1}", domains=tuple(names[i * 100:i * 100 + 100]))
                         for i in range(10))
    address = people["bob.example.com"].address
    lab.nginx.apply(EdgeConfig(routes=dict.fromkeys(names, address), own_names=tuple(names), certificates=certificates))
    assert "[warn]" not in lab.log() and "[emerg]" not in lab.log()
    for name in (names[0], names[-1]):
        with Call(lab.address(443), name) as call:
            assert call.met == "bob"


def test_nobody_keeps_the_addresses_of_those_who_use_a_proxy_or_look_at_the_cover(served: Lab):
    before = len(served.log())
    with Call(served.address(443), "www.pool.test") as call:
        call.echoes()
    served.page("example.com", "/nothing")
    served.plain("unknown.test", "/nothing")
    with Call(served.address(443), "bob.example.com"):
        pass
    assert served.gateway not in served.log()[before:]


# The operator's own server blocks


def test_server_blocks_of_the_operators_own_are_served_and_picked_up_when_they_change(served: Lab, site: EdgeConfig):
    own = served.folder / "custom.d" / "mine.conf"
    for text in ("one", "two"):
        own.write_text(f"server {{ listen 80; server_name mine.test; location / {{ return 200 '{text}'; }} }}\n")
        try:
            assert served.nginx.apply(site) is True
            assert served.plain("mine.test")[1].endswith(text)
        finally:
            if text == "two":
                own.unlink()
    assert served.nginx.apply(site) is True
    assert not served.plain("mine.test")[1].endswith("two")


def test_no_host_that_nginx_conf_names_is_answered_otherwise_than_any_other(served: Lab):
    own = re.findall(r"server_name (\S+);", (ROOT / "nginx" / "nginx.conf").read_text())
    unknown = served.plain("unknown.test")[1].partition("\r\n\r\n")[2]
    assert own and unknown and all(served.plain(name)[1].endswith(unknown) for name in own)


def test_what_strangers_load_from_a_site_elsewhere_or_send_it_is_not_kept_in_memory(
        lab: Lab, site: EdgeConfig, elsewhere: Callable, monkeypatch: pytest.MonkeyPatch):
    asked, sent = threading.Event(), threading.Event()

    def much(self: Elsewhere) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            for _ in range(200):  # MB: more than all sockets on the way can hold
                self.wfile.write(bytes(1 << 20))
            sent.set()

    monkeypatch.setattr(Elsewhere, "do_GET", much)
    monkeypatch.setattr(Elsewhere, "do_POST", lambda self: asked.set(), raising=False)
    lab.nginx.apply(replace(site, cover_site="proxy", cover_url=elsewhere()))
    with lab.connect("example.com") as loading, lab.connect("example.com") as sending:
        loading.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        sending.sendall(b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 9999\r\n\r\nbegin")
        assert asked.wait(60) and loading.recv(1) and not sent.wait(3)
