"""README.md names every command, every option and every setting, or this fails."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from app.cli.__main__ import cli
from app.config import model
from app.rules.users import CHANGEABLE
from tests.cli.conftest import ROOT


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(commands(cli))
OPTIONS = sorted({
    option
    for command in COMMANDS.values()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.hidden
    for option in parameter.opts
})


@pytest.fixture(scope="module")
def readme() -> str:
    return (ROOT / "README.md").read_text()


def named(word: str, text: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_documented(readme: str, path: str) -> None:
    *group, name = path.split()
    lines = [line for line in readme.splitlines() if all(named(word, line) for word in group)]
    assert any(named(name, line) for line in lines), f"README.md does not name `{path}`"


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_documented(readme: str, option: str) -> None:
    assert named(option, readme), f"README.md does not name {option}"


@pytest.mark.parametrize("field", [info.alias or name for name, info in model.Config.model_fields.items()])
def test_every_field_of_the_configuration_is_documented(readme: str, field: str) -> None:
    assert named(f"`{field}`", readme), f"README.md does not name `{field}`"


@pytest.mark.parametrize("field", model.User.model_fields)
def test_every_field_of_a_user_is_documented(readme: str, field: str) -> None:
    assert named(f"`{field}`", readme), f"README.md does not name `{field}`"


@pytest.mark.parametrize("key", CHANGEABLE)
def test_every_key_of_user_set_is_documented_in_its_help_and_the_readme(readme: str, key: str) -> None:
    assert named(key, COMMANDS["user set"].help or "") and named(key, readme)


@pytest.mark.parametrize("option", ["--local", "--port", "--bind", "--data", "--foreground", "--stop"])
def test_every_option_of_the_installer_is_documented(readme: str, option: str) -> None:
    assert "install.sh --local" in readme
    assert named(option, readme)


@pytest.mark.parametrize("option", re.findall(
    r"^  (--(?!help)[a-z0-9-]+)", (ROOT / "install.sh").read_text(), re.MULTILINE))
def test_every_option_that_the_installers_help_names_is_documented(readme: str, option: str) -> None:
    assert named(option, readme)


@pytest.mark.parametrize("name", re.findall(
    r"^    answer ([A-Z0-9_]+) ", (ROOT / "host/lib/questions.sh").read_text(), re.MULTILINE))
def test_every_question_of_the_installer_is_documented_with_its_variable(readme: str, name: str) -> None:
    assert f"`MTPROTO_{name}`" in readme and named("--" + name.lower().replace("_", "-"), readme)
