"""Which runtime a data folder uses: asked, found, and then kept."""

from __future__ import annotations

import pytest

from app.config.file import ConfigFile
from app.fleet import Refused
from app.fleet.choice import choose, instance


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
    runtime, engine = choose(file)
    assert (runtime.name, engine.name) == ("process", "builtin")
    assert file.read().runtime == "process"


def test_a_folder_of_containers_stays_one_while_docker_is_away(file):
    declare(file, "docker")
    runtime, engine = choose(file)
    assert (runtime.name, engine.name) == ("docker", "mtg")
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
    assert choose(file)[1].name == "mtg"


def test_an_unknown_runtime_is_refused_with_those_that_exist(file, monkeypatch):
    monkeypatch.setenv("MTPROTO_RUNTIME", "podman")
    with pytest.raises(Refused, match="'podman'; allowed are auto, docker, process"):
        choose(file)


def test_the_label_of_an_installation_tells_nothing_of_its_key():
    assert instance("key") == instance("key") != instance("another key")
    assert len(instance("key")) == 12
