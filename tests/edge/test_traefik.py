"""The real Traefik before the real nginx, as docker-compose.traefik.yml has them: who gets where, and what stays.

What a client of Telegram's makes of it: tests/docker/port443/test_traefik.py.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.edge.base import EdgeConfig, EdgeFailure, EdgeUnavailable
from app.edge.traefik import routes
from app.lib import portmap
from tests.docker import images
from tests.support import edge_lab, traefik_lab
from tests.support.cover import free_port
from tests.support.docker_lab import eventually, forget
from tests.support.edge_backend import Backend, Call, client_hello
from tests.support.edge_lab import Authority, ask
from tests.support.edge_visitors import backends, met_by_stranger, serve
from tests.support.lab443 import Guest
from tests.support.traefik_lab import Lab

ALICE, BOB, COVER, PANEL = "alice.pool.test", "bob.example.com", "example.com", "panel.example.org"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    port = free_port()
    with traefik_lab.lab(tmp_path_factory.mktemp("traefik"), panel_port=port) as lab:
        panel = serve(f"{lab.nginx.front}.1", port)
        yield lab
        panel.shutdown()
        panel.server_close()


@pytest.fixture(scope="module")
def people(lab: Lab) -> Iterator[dict[str, Backend]]:
    with backends(lab.nginx.gateway, ALICE, BOB) as made:
        yield made


@pytest.fixture(scope="module")
def site(people: dict[str, Backend], authority: Authority) -> EdgeConfig:
    return EdgeConfig(
        routes={name: backend.address for name, backend in people.items()}, own_names=(COVER, BOB), panel_domain=PANEL,
        certificates=(authority.certificate("panel", PANEL), authority.certificate("cover-1", COVER, BOB)))


@pytest.fixture
def served(lab: Lab, site: EdgeConfig) -> Lab:
    lab.edge.apply(site)
    return lab


@contextlib.contextmanager
def guest(lab: Lab, network: str) -> Iterator[Guest]:
    """A machine in this network."""
    api = lab.nginx.api
    made = api.create_container(
        images.ensure_base(), ["sleep", "600"], labels={edge_lab.LABEL: lab.nginx.name},
        networking_config=api.create_networking_config({network: api.create_endpoint_config()}))["Id"]
    api.start(made)
    told = api.inspect_container(made)
    try:
        yield Guest(told["NetworkSettings"]["Networks"][network]["IPAddress"], told["State"]["Pid"])
    finally:
        forget(api, made)


def said_to(lab: Lab, data: bytes) -> bytes:
    """All that somebody gets who says this on port 443."""
    got = b""
    with socket.create_connection(lab.nginx.address(443), 30) as stream, contextlib.suppress(ConnectionResetError):
        stream.sendall(data)
        while part := stream.recv(65536):
            got += part
    return got


# Who gets where


def test_each_name_leads_to_its_own_proxy_which_sees_the_clients_own_address(served: Lab, people: dict[str, Backend]):
    with guest(served, f"0-{served.nginx.network}") as client:
        for name, backend in people.items():
            with client.run(lambda: Call((f"{served.nginx.front}.253", portmap.ROUTER), name)) as call:
                assert call.met == backend.name and call.echoes(b"x" * 300_000)
                assert backend.visitors[-1] == call.own and call.own[0] == client.ip
    with Call(served.nginx.address(443), "Alice.Pool.TEST") as call:
        assert call.met == "alice", "names are compared without case"


def test_the_panel_behind_it_is_told_the_clients_own_address_whatever_they_claim(served: Lab, authority: Authority):
    def asked() -> tuple[int, str]:
        context = ssl.create_default_context(cafile=str(authority.file))
        with socket.create_connection((f"{served.nginx.front}.253", portmap.ROUTER), 30) as plain, \
                context.wrap_socket(plain, server_hostname=PANEL) as stream:
            return ask(stream, PANEL, more="X-Forwarded-For: 198.51.100.1\r\n")

    with guest(served, f"0-{served.nginx.network}") as client:
        status, body = client.run(asked)
        assert status == 200 and f"X-Forwarded-For: {client.ip}\n" in body and "198.51.100.1" not in body


@pytest.mark.parametrize("setting, met", [
    ("cover", "cover"), ("reject", "rejected"), ("close", "closed"), ("panel", "panel")])
def test_unknown_names_and_plain_http_get_what_the_setting_says_and_never_traefiks_own_words(
        lab: Lab, site: EdgeConfig, setting: str, met: str):
    lab.edge.apply(replace(site, unknown_sni=setting))
    for name in ("unknown.test", ""):
        assert met_by_stranger(lab.nginx, name) == met
    answers = [said_to(lab, said) for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 300, b"\xde\xad" * 99)]
    assert not any(b"404 page not found" in answer for answer in answers)
    assert (b"400 Bad Request" in answers[0]) == (setting != "close"), "what any nginx says to HTTP on its 443"


def test_a_hello_that_can_not_be_read_is_closed_without_a_word(served: Lab):
    assert said_to(served, b"\x16\x03\x01\x00\x02\x01\x00") == b""


def test_it_answers_no_proof_of_a_certificate_itself(served: Lab, authority: Authority):
    with served.nginx.connect(COVER, trusted=authority.file, protocols=("acme-tls/1", "http/1.1")) as stream:
        assert stream.selected_alpn_protocol() == "http/1.1", "nginx's answer"


def test_who_asks_for_postgresqls_tls_can_tell_that_it_is_traefik(served: Lab):
    """Nothing switches that off; the settings page and docs/port443.md say so."""
    with socket.create_connection(served.nginx.address(443), 30) as stream:
        stream.sendall(bytes.fromhex("0000000804d2162f"))
        assert stream.recv(1) == b"S"


def test_a_silent_visitor_is_sent_away_and_holds_nobody_up(served: Lab):
    with socket.create_connection(served.nginx.address(443), 30) as silent, \
            Call(served.nginx.address(443), ALICE) as call:
        assert call.met == "alice"
        assert silent.recv(100) == b""
        assert call.echoes(), "who has said their hello is not timed"


def test_a_proxy_gets_to_nobody_by_it(served: Lab):
    with guest(served, served.nginx.network) as proxy:
        for name in (ALICE, COVER, "unknown.test"):
            with proxy.run(lambda: Call((served.edge.ip, portmap.ROUTER), name)) as call:
                assert call.first == b""
        with pytest.raises(OSError):
            proxy.run(lambda: socket.create_connection((served.edge.ip, portmap.ROUTER_API), 3))


def test_nginx_believes_nobody_else_who_names_a_client(served: Lab, people: dict[str, Backend]):
    before = len(people[ALICE].visitors)
    header = b"PROXY TCP4 203.0.113.9 203.0.113.1 5555 443\r\n"

    def told() -> None:
        with socket.create_connection((served.nginx.ip, 443), 5) as stream:
            stream.sendall(header + client_hello(ALICE))
            with contextlib.suppress(ConnectionResetError):
                assert stream.recv(100) == b""

    with guest(served, served.nginx.network) as proxy:
        proxy.run(told)
    assert len(people[ALICE].visitors) == before


def test_one_address_has_its_share_of_each_link_and_others_theirs(lab: Lab, site: EdgeConfig):
    lab.edge.apply(replace(site, nginx_connections_per_address=16))
    with contextlib.ExitStack() as stack:
        calls = [stack.enter_context(Call(lab.nginx.address(443), ALICE)) for _ in range(20)]
        assert [call.met for call in calls].count("alice") == 16
        with guest(lab, f"0-{lab.nginx.network}") as other:
            with other.run(lambda: Call((f"{lab.nginx.front}.253", portmap.ROUTER), ALICE)) as call:
                assert call.met == "alice"


def test_a_limit_on_addresses_holds_as_its_link_goes_through_nginx(lab: Lab, site: EdgeConfig):
    lab.edge.apply(replace(site, device_limits={ALICE: 1}))
    assert routes.link(ALICE) not in lab.edge.served().routers and routes.link(BOB) in lab.edge.served().routers
    with Call(lab.nginx.address(443), ALICE) as first, guest(lab, f"0-{lab.nginx.network}") as other:
        assert first.met == "alice"
        with other.run(lambda: Call((f"{lab.nginx.front}.253", portmap.ROUTER), ALICE)) as second:
            assert second.met == ""
        kept = lab.edge.devices()[ALICE]
        assert (kept.limit, kept.refused, len(kept.addresses)) == (1, 1, 1)


# Changes


def test_streams_live_through_a_hundred_changes_of_routes(lab: Lab, site: EdgeConfig):
    lab.edge.apply(site)
    with Call(lab.nginx.address(443), ALICE) as direct, Call(lab.nginx.address(443), BOB) as other:
        for number in range(100):
            more = {f"user{number}.pool.test": "nobody:3128"}
            lab.edge._serve(routes.document(replace(site, routes={**site.routes, **more}), lab.edge.nginx.panel_side,
                                            lab.edge.nginx.proxies), lab.edge._content())
            assert direct.echoes() and other.echoes()
        assert f"link-user{number}.pool.test" in lab.edge.served().routers


def test_a_removed_name_leads_no_longer_to_its_proxy_and_its_stream_ends_with_the_engine(
        lab: Lab, site: EdgeConfig, people: dict[str, Backend]):
    lab.edge.apply(site)
    with Call(lab.nginx.address(443), ALICE) as call:
        lab.edge.apply(replace(site, routes={BOB: site.routes[BOB]}))
        assert call.echoes(), "Traefik cuts nobody: the panel stops the engine first"
        with Call(lab.nginx.address(443), ALICE) as late:
            assert late.met == ""


def test_a_file_that_is_spoiled_keeps_the_routes_and_is_told(lab: Lab, site: EdgeConfig):
    lab.edge.apply(site)
    spoiled = lab.dynamic / "mine.yml"
    spoiled.write_text("tcp: [\n")
    try:
        with pytest.raises(EdgeFailure, match="did not serve them.*served before"):
            lab.edge.apply(replace(site, routes={**site.routes, "carol.pool.test": "nobody:3128"}))
        with Call(lab.nginx.address(443), ALICE) as call:
            assert call.met == "alice"
    finally:
        spoiled.unlink()
    # What it wrote is taken back, so that a Traefik that starts anew serves what it served.
    lab.stop()
    lab.start()
    eventually(lambda: routes.link(ALICE) in lab.edge.served().routers, "it reads its file")
    assert lab.edge.apply(site) is False


def test_what_nginx_refuses_is_taken_back_from_traefik(lab: Lab, site: EdgeConfig):
    lab.edge.apply(site)
    spoiled = lab.nginx.folder / "custom.d" / "mine.conf"
    spoiled.write_text("nonsense;\n")
    try:
        with pytest.raises(EdgeFailure, match="nginx refuses"):
            lab.edge.apply(replace(site, routes={**site.routes, "carol.pool.test": "nobody:3128"}))
        eventually(lambda: "link-carol.pool.test" not in lab.edge.served().routers, "Traefik is back")
    finally:
        spoiled.unlink()
    assert lab.edge.apply(site) is False


def test_a_route_that_traefik_switches_off_is_told_in_its_words(lab: Lab, site: EdgeConfig):
    lab.edge.apply(site)
    document = routes.document(site, lab.edge.nginx.panel_side, "")
    document["tcp"]["routers"][routes.link(ALICE)]["rule"] = "HostXNI(`alice.pool.test`)"
    with pytest.raises(EdgeFailure, match="link-alice.pool.test: .*unsupported function: HostXNI"):
        lab.edge._serve(document, lab.edge._content())
    eventually(lambda: routes.link(ALICE) in lab.edge.served().routers, "it is back")
    assert lab.edge.apply(site) is False


def test_a_file_that_somebody_changed_is_written_anew(lab: Lab, site: EdgeConfig):
    lab.edge.apply(site)
    lab.edge.file.write_bytes(routes.text(routes.document(EdgeConfig(), lab.edge.nginx.panel_side, "")))
    eventually(lambda: routes.link(ALICE) not in lab.edge.served().routers, "Traefik has read it")
    assert lab.edge.apply(site) is True
    lab.edge.file.unlink()
    lab.edge.apply(site)
    assert lab.edge.file.exists()
    eventually(lambda: routes.link(ALICE) in lab.edge.served().routers, "it has noticed both")


def test_an_answer_that_is_not_traefiks_is_told(served: Lab, monkeypatch: pytest.MonkeyPatch):
    server = serve("127.0.0.1")
    monkeypatch.setattr(served.edge, "panel_side", "127.0.0.1")
    monkeypatch.setattr(portmap, "ROUTER_API", server.server_port)
    try:
        with pytest.raises(EdgeUnavailable, match="none of Traefik's: the panel"):
            served.edge.served()
    finally:
        server.shutdown()
        server.server_close()


def test_nothing_that_strangers_do_is_logged_with_their_address(served: Lab):
    with guest(served, f"0-{served.nginx.network}") as stranger:
        before = len(served.log()), len(served.nginx.log())
        at = (f"{served.nginx.front}.253", portmap.ROUTER)
        for said in (b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x02\x01\x00", client_hello("unknown.test")[:90]):
            stranger.run(lambda: _say(at, said))
        assert stranger.ip not in served.log()[before[0]:] + served.nginx.log()[before[1]:]


def _say(at: tuple[str, int], said: bytes) -> None:
    with socket.create_connection(at, 30) as stream, contextlib.suppress(ConnectionResetError):
        stream.sendall(said)
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass
