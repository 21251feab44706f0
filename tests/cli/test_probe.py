"""`probe NAME`, and that a user added by command gets a link that works: to a test DC, on loopback."""

from __future__ import annotations

import json
import socket

import pytest

from app.mtproto.links import parse_link
from app.mtproto.probe import probe


@pytest.fixture
def network(run, dc, cover) -> None:
    """The way to Telegram goes to the test DC, the cover host is the tests' own."""
    done = run("settings", "set", f"upstream_socks5={dc.socks5}", f"fake_tls_domain={cover.host}",
               f"domain_fronting_ip={cover.ip}", f"domain_fronting_port={cover.port}", "server_ip=127.0.0.1")
    assert done.code == 0, done.stderr


def test_the_printed_link_works_at_once(run, command, network, dc) -> None:
    run("user", "add", "Alice")
    result = command("probe", "Alice", "--json").json()
    assert result["ok"] is True and result["milliseconds"] > 0
    assert "Telegram answers" in command("probe", "Alice").stdout


def test_status_shows_running_proxies_and_traffic(run, network) -> None:
    run("user", "add", "Alice")
    assert run("probe", "Alice").code == 0
    (alice,) = run("status", "--json").json()["users"]
    assert (alice["bytes_down"], alice["bytes_up"], alice["last_seen"]) == (0, 0, None), "a try of ours is no use"
    probe(parse_link(alice["tg_link"]))  # as somebody's app does
    (alice,) = run("status", "--json").json()["users"]
    assert alice["state"] == "running" and alice["bytes_down"] > 0 and alice["bytes_up"] > 0


def test_a_link_without_a_way_to_telegram_fails_with_the_reason(run, network, free_port) -> None:
    run("settings", "set", f"upstream_socks5=127.0.0.1:{free_port()}")
    run("user", "add", "Alice")
    answer = run("probe", "Alice")
    assert (answer.code, answer.stdout) == (1, "") and "does not work" in answer.stderr


def test_a_disabled_user_s_link_fails_with_the_reason_in_json_too(run, network) -> None:
    run("user", "add", "Alice", "--disabled")
    answer = run("probe", "Alice", "--json")
    assert answer.code == 1
    document = json.loads(answer.stdout)
    assert document["ok"] is False and "disabled" in document["reason"]
    assert "disabled" in json.loads(answer.stderr)["error"]


def test_everybody_s_links_are_tried_and_at_an_address_of_choice(run, network) -> None:
    for words in (("Alice",), ("Bob",), ("Carol", "--disabled")):
        run("user", "add", *words)
    run("settings", "set", "server_ip=192.0.2.1")
    answer = run("probe", "--everybody", "--at", "127.0.0.1", "--json")
    assert [(one["name"], one["ok"]) for one in answer.json()] == [("Alice", True), ("Bob", True)]
    assert run("probe", "Alice", "--at", "127.0.0.1").code == 0
    assert run("probe", "Alice", "--everybody").code == run("probe").code == 2
    run("stop")
    assert run("probe", "--everybody").stdout == "No link should work now.\n"


def test_one_link_that_does_not_work_is_named_among_all(run, network, free_port) -> None:
    run("user", "add", "Alice")
    run("settings", "set", f"upstream_socks5=127.0.0.1:{free_port()}")
    answer = run("probe", "--everybody")
    assert answer.code == 1 and "Alice's link does not work" in answer.stdout and "1 of 1" in answer.stderr


def test_reconcile_repairs_and_prints_what_it_did(run, data, network) -> None:
    run("user", "add", "Alice")
    assert run("reconcile", "--json").json() == []
    path = data / "config.json"
    declared = json.loads(path.read_text())
    declared["users"][0]["enabled"] = False
    path.write_text(json.dumps(declared))
    (action,) = run("reconcile", "--json").json()
    assert (action["action"], action["user"], action["ok"]) == ("stop", "Alice", True)
    assert run("reconcile").stdout == "Nothing to do.\n"


def test_a_reconcile_that_fails_says_so(run, data, network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        run("user", "add", "Alice", "--disabled")
        path = data / "config.json"
        declared = json.loads(path.read_text())
        declared["users"][0] |= {"port": other.getsockname()[1], "enabled": True}
        path.write_text(json.dumps(declared))
        answer = run("reconcile", "--json")
    assert answer.code == 1 and "taken by another program" in json.loads(answer.stderr)["error"]
    assert json.loads(answer.stdout)[0]["ok"] is False
