"""Which runtime a data folder uses: asked, found, and then kept."""

from __future__ import annotations

import pytest

from app.config.file import ConfigFile
from app.config.model import Config
from app.control import programs
from app.control.choice import choose, edge_from_env, instance
from app.control.errors import Refused
from app.runtimes.docker.runtime import DockerRuntime


@pytest.fixture
def file(tmp_path, monkeypatch) -> ConfigFile:
    monkeypatch.delenv("MTPROTO_RUNTIME")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker-here.sock")
    file = ConfigFile(tmp_path)
    file.prepare()
    return file


def declare(file: ConfigFile, runtime: str) -> None:
    with file.edit() as config:
        config.runtime = runtime


def test_without_docker_users_become_local_processes_and_that_is_kept(file):
    runtime, engines = choose(file)
    assert (runtime.name, next(iter(engines))) == ("process", "builtin")
    assert file.read().runtime == "process"


def test_a_folder_of_containers_stays_one_while_docker_is_away(file):
    declare(file, "docker")
    runtime, engines = choose(file)
    assert (runtime.name, next(iter(engines))) == ("docker", "mtg")
    assert file.read().runtime == "docker"


def test_the_environment_decides_first_and_a_new_folder_remembers_it(file, monkeypatch):
    monkeypatch.setenv("MTPROTO_RUNTIME", "docker")
    assert choose(file)[0].name == "docker" == file.read().runtime
    monkeypatch.setenv("MTPROTO_RUNTIME", "process")
    assert choose(file)[0].name == "process"
    assert file.read().runtime == "docker"


def test_a_real_mtg_is_used_where_there_is_one(file, tmp_path, monkeypatch):
    program = tmp_path / "mtg"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("MTG_BIN", str(program))
    assert next(iter(choose(file)[1])) == "mtg"


def program(path) -> str:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_a_command_without_the_variables_uses_the_programs_that_the_panel_was_told(file, tmp_path, monkeypatch):
    for name, variable in (("mtg", "MTG_BIN"), ("telemt", "TELEMT_BIN")):
        monkeypatch.setenv(variable, program(tmp_path / name))
        told = choose(file)[1]
        monkeypatch.delenv(variable)
        assert choose(file)[1][name].binary == told[name].binary == str(tmp_path / name)
    assert next(iter(choose(file)[1])) == "mtg"
    monkeypatch.setenv("MTG_BIN", program(tmp_path / "newer"))
    choose(file)
    monkeypatch.delenv("MTG_BIN")
    assert choose(file)[1]["mtg"].binary == str(tmp_path / "newer")


@pytest.mark.parametrize("variable", ["", "/no/such/program"])
def test_a_program_that_is_gone_is_still_the_one_of_what_runs(file, tmp_path, monkeypatch, variable):
    monkeypatch.setenv("MTG_BIN", program(tmp_path / "mtg"))
    choose(file)
    (tmp_path / "mtg").unlink()
    monkeypatch.setenv("MTG_BIN", variable)
    engines = choose(file)[1]
    assert (next(iter(engines)), engines["mtg"].binary) == ("mtg", str(tmp_path / "mtg"))


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"mtg": 5}', b'{"mtg": "relative", "telemt": "/a\\u0000b"}', b"\xff"])
def test_a_damaged_note_of_the_programs_is_none(file, tmp_path, damage):
    (tmp_path / programs.FILE).write_bytes(damage)
    engines = choose(file)[1]
    assert (next(iter(engines)), engines["mtg"].binary, engines["telemt"].binary) == ("builtin", None, None)


def test_an_unknown_runtime_is_refused_with_those_that_exist(file, monkeypatch):
    monkeypatch.setenv("MTPROTO_RUNTIME", "podman")
    with pytest.raises(Refused, match="'podman'; allowed are auto, docker, process"):
        choose(file)


def test_the_label_of_an_installation_tells_nothing_of_its_key():
    assert instance("key") == instance("key") != instance("another key")
    assert len(instance("key")) == 12


#: What docker-compose.yml tells the panel.
COMPOSE = {"MTPROTO_EDGE": "172.28.255.254", "MTPROTO_PROXY_SUBNET": "172.28.0.0/16",
           "MTPROTO_PANEL_NETWORK": "0-mtproto-panel", "MTPROTO_PANEL_SUBNET": "172.30.255.0/28",
           "MTPROTO_NGINX": "172.30.255.14"}


def stands_beside(tmp_path, monkeypatch, **changes: str) -> dict:
    for name, value in {**COMPOSE, **changes}.items():
        monkeypatch.setenv(name, value)
    runtime = DockerRuntime("test", "mtproto-net", f"unix://{tmp_path}/no-docker-here.sock")
    try:
        return edge_from_env(tmp_path, runtime)
    finally:
        runtime.close()


def test_the_panel_is_told_of_both_networks_and_where_nginx_is_in_each(tmp_path, monkeypatch):
    found = stands_beside(tmp_path, monkeypatch)
    nginx = found["edge"]
    assert (nginx.ip, nginx.panel_side, nginx.proxies) == ("172.28.255.254", "172.30.255.14", "172.28.0.0/16")
    assert [str(network) for network in found["networks"]] == ["172.28.0.0/16", "172.30.255.0/28"]
    assert found["certbot"]._service.network == "0-mtproto-panel" and nginx.service.network == "mtproto-net"


def test_a_compose_file_of_before_the_panel_had_a_network_of_its_own_works_on(tmp_path, monkeypatch):
    found = stands_beside(tmp_path, monkeypatch, **{name: "" for name in COMPOSE if name != "MTPROTO_EDGE"})
    assert (found["edge"].panel_side, found["edge"].proxies, found["networks"]) == ("", "", ())
    assert found["certbot"]._service.network == "mtproto-net"


#: What docker-compose.traefik.yml tells it beside.
ROUTED = {"MTPROTO_TRAEFIK": "172.28.255.253", "MTPROTO_TRAEFIK_PANEL": "172.30.255.12"}


def test_the_panel_is_told_that_traefik_stands_before_nginx(tmp_path, monkeypatch):
    edge = stands_beside(tmp_path, monkeypatch, **ROUTED)["edge"]
    assert (edge.ip, edge.panel_side, edge.nginx.router) == ("172.28.255.253", "172.30.255.12", "172.30.255.12")
    assert edge.file == tmp_path / "traefik" / "dynamic" / "tcp.yml"
    told = edge.front(Config(mtg_timing="default"), "www.pool.test")
    assert told.addresses == ("172.28.255.253", "172.28.255.254"), "both name the client to an engine"


def test_without_it_nginx_believes_nobody_who_names_a_client(tmp_path, monkeypatch):
    edge = stands_beside(tmp_path, monkeypatch, MTPROTO_TRAEFIK="", MTPROTO_TRAEFIK_PANEL="172.30.255.12")["edge"]
    assert edge.router == "" and edge.front(Config(mtg_timing="default"), "www.pool.test").addresses == (edge.ip,)


@pytest.mark.parametrize(("changes", "words"), [
    ({**ROUTED, "MTPROTO_TRAEFIK": "traefik"}, "MTPROTO_TRAEFIK is 'traefik'"),
    ({**ROUTED, "MTPROTO_TRAEFIK": "10.1.1.1"}, "TRAEFIK_EDGE_IP is 10.1.1.1, which is not in PROXY_SUBNET"),
    ({**ROUTED, "MTPROTO_TRAEFIK_PANEL": ""}, "TRAEFIK_IP is ''"),
    ({"MTPROTO_EDGE": "172.29.255.254"}, "EDGE_IP is 172.29.255.254, which is not in PROXY_SUBNET, 172.28.0.0/16"),
    ({"MTPROTO_PROXY_SUBNET": "10.5.0.0/16"}, "EDGE_IP is 172.28.255.254, which is not in PROXY_SUBNET, 10.5.0.0/16"),
    ({"MTPROTO_NGINX": "10.5.0.1"}, "NGINX_IP is 10.5.0.1, which is not in PANEL_SUBNET"),
    ({"MTPROTO_NGINX": ""}, "PANEL_SUBNET is '172.30.255.0/28' and NGINX_IP is ''"),
    ({"MTPROTO_PANEL_SUBNET": "172.30.255.0/99"}, "PANEL_SUBNET is '172.30.255.0/99'"),
    ({"MTPROTO_PANEL_NETWORK": "panel"}, "comes first in the alphabet.*PANEL_NETWORK=0-mtproto-net"),
])
def test_networks_and_addresses_that_do_not_go_together_are_told_at_the_start(tmp_path, monkeypatch, changes, words):
    with pytest.raises(Refused, match=words):
        stands_beside(tmp_path, monkeypatch, **changes)
