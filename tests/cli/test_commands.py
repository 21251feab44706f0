"""Every command that is printed acts on the installation that printed it, and none makes a new one by mistake."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from app import commands
from app.cli.__main__ import cli
from app.config.file import ConfigFile

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def outside_of_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTPROTO_EDGE", raising=False)
    monkeypatch.delenv("MTPROTO_DATA_DIR", raising=False)


@pytest.fixture
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.usefixtures("in_the_repository")
def test_what_is_usual_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(ROOT / ".venv/bin/python"))
    assert commands.command_line(ROOT / "data") == ".venv/bin/python -m app.cli"
    assert commands.command_line("data", "status") == ".venv/bin/python -m app.cli status"


@pytest.mark.usefixtures("in_the_repository")
def test_what_is_not_usual_is_named_and_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/home/ada/the env/bin/python")
    assert commands.command_line("/srv/my proxies", "status") == (
        "'/home/ada/the env/bin/python' -m app.cli --data '/srv/my proxies' status")


def test_a_page_does_not_know_where_its_reader_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = f"cd {shlex.quote(str(ROOT))} && "
    monkeypatch.chdir(ROOT)
    assert commands.command_line(ROOT / "data", anywhere=True).startswith(here)
    monkeypatch.chdir(tmp_path)
    assert commands.command_line(ROOT / "data").startswith(here)


def test_in_compose_commands_go_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_EDGE", "172.28.255.254")
    assert commands.command_line("/data", "status", anywhere=True) == (
        "docker compose exec app python3 -m app.cli status")
    assert commands.shell_command("cp", "/data/a b", "/data/c") == (
        "docker compose run --rm --no-deps app cp '/data/a b' /data/c")
    monkeypatch.setenv("MTPROTO_COMMAND", "mtproto")
    assert commands.command_line("/data", "status", anywhere=True) == "mtproto status"
    assert commands.shell_command("ls", "/data") == "mtproto compose run --rm --no-deps app ls /data"


def test_without_docker_the_command_of_the_host_is_named_where_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTPROTO_COMMAND", "mtproto")
    assert commands.command_line(ROOT / "data", "status") == "mtproto status"
    assert commands.command_line("/srv/my proxies", "status") == "mtproto --data '/srv/my proxies' status"
    assert "mtproto " not in commands.command_line("/srv/my proxies", "status", anywhere=True).split(" && ")[1]


@pytest.mark.parametrize("words", ["user add NAME", "user list"])
def test_a_printed_command_acts_on_the_folder_that_printed_it(
        words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder, as a shell would run it."""
    folder = tmp_path / "other data"
    ConfigFile(folder).prepare()
    monkeypatch.chdir(tmp_path)
    command = commands.command_line(folder, "config check --json")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    listed = CliRunner().invoke(cli, ["--data", str(folder), *words.split()[:1], "list"])
    assert listed.output.strip() == f"No users yet: {commands.command_line(folder, 'user add NAME')}"


def words_of_all() -> list[list[str]]:
    return [["status"], ["user", "list"], ["user", "add", "Anna"], ["user", "remove", "Anna", "--yes"], ["traffic"],
            ["traffic", "show"], ["traffic", "reset", "--all"], ["start"], ["stop"], ["restart"], ["logs"], ["events"],
            ["reconcile"], ["probe", "Anna"], ["settings", "list"], ["settings", "set", "proxy_port=3000"],
            ["settings", "get", "proxy_port"], ["certificates", "list"], ["certificates", "renew"],
            ["domains", "check"], ["config", "check"], ["config", "show"], ["panel", "stop"],
            ["reset-password", "--username", "admin"],
            ["update-proxies"], ["backup", "b"], ["backups"], ["restore", "b"], ["doctor"], ["debug-log"],
            ["bans", "list"], ["bans", "remove", "203.0.113.7"], ["bans", "add", "203.0.113.7"],
            ["user", "deleted"], ["user", "restore", "Anna"], ["plan", "list"], ["plan", "show", "Month"],
            ["plan", "add", "Month"], ["plan", "set", "Month", "limit_gb=5"], ["plan", "remove", "Month"],
            ["first-password"], ["admin", "list"], ["admin", "set", "Bob", "--sudo"],
            ["admin", "remove-factor", "Bob", "--yes"],
            ["admin", "remove", "Bob", "--yes"], ["token", "list"],
            ["token", "add", "script"], ["token", "remove", "4711"],
            ["notify", "list"], ["notify", "add", "webhook", "Hook", "url=https://hooks.example/x"],
            ["notify", "set", "Hook", "name=Other"], ["notify", "test", "Hook"], ["notify", "remove", "Hook"],
            *(["mtproxy", *words.split()] for words in (
                "add-secret", "export", "files", f"import {__file__}", "list-secrets", "regenerate-secret Anna",
                "remove-secret Anna --yes", "set-port 9000", "set-workers 1", "show-config", "stats")),
            ["create-admin", "--username", "Bob", "--password", "a-long-password-4711"]]


@pytest.mark.parametrize("words", words_of_all(), ids=" ".join)
@pytest.mark.parametrize("there", [True, False], ids=["an empty folder", "no folder"])
def test_a_folder_without_an_installation_is_refused_and_left_alone(
        words: list[str], there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    if there:
        folder.mkdir()
    monkeypatch.setattr(commands, "DATA", tmp_path / "nothing")
    answer = CliRunner().invoke(cli, ["--data", str(folder), *words])
    assert answer.exit_code == 1 and str(folder) in answer.output and "--data DIR" in answer.output, answer.output
    assert folder.exists() is there and not (there and list(folder.iterdir()))


def test_no_command_is_missing_in_that_test() -> None:
    """But `serve`, which makes an installation, `panel restart`, its other half, and `version`, which needs none."""
    tested = {" ".join(words[:2 if words[0] in cli.commands and hasattr(cli.commands[words[0]], "commands") else 1])
              for words in words_of_all()}
    for name, command in cli.commands.items():
        subs = getattr(command, "commands", None)
        names = {f"{name} {sub}" for sub in subs} if subs else {name}
        makes = {"serve", "panel restart", "version"}
        about_one = {n for n in names if n.startswith("user ")}  # all of them begin with the same look-up
        assert names - makes - about_one <= tested, names - tested


def test_an_installation_nearby_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for somebody who mistypes the folder, or calls the command where the data is not."""
    monkeypatch.chdir(tmp_path)
    ConfigFile(tmp_path / "data").prepare()
    answer = CliRunner().invoke(cli, ["--data", "dta", "status"])
    assert answer.exit_code == 1
    assert commands.command_line(tmp_path / "data", "…") in answer.output
    assert not (tmp_path / "dta").exists()


def test_a_lost_file_whose_backups_are_there_is_told_with_the_command_that_brings_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    ConfigFile(folder).prepare()
    (folder / "config.json").unlink()
    answer = CliRunner().invoke(cli, ["--data", str(folder), "status"])
    assert answer.exit_code == 1
    put_back = re.search(r"(cp .*) \(or", answer.output)
    assert put_back, answer.output
    subprocess.run(["sh", "-c", put_back[1]], check=True, timeout=60)
    assert ConfigFile(folder).read()


def test_no_hint_is_written_by_hand() -> None:
    """A command in a string is right for one installation, and wrong for another."""
    by_hand = re.compile(r"-m app\.cli")
    allowed = {"app/commands.py", "app/cli/__main__.py", "app/cli/root.py", "app/cli/instance.py", "app/cli/panel.py"}
    found = [str(path.relative_to(ROOT)) for kind in ("*.py", "*.html") for path in (ROOT / "app").rglob(kind)
             if "node_modules" not in path.parts and by_hand.search(path.read_text())]
    assert set(found) <= allowed, found
