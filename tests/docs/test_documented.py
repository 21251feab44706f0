"""Whatever can be set, typed or passed is named in the documentation, in every language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from app.cli.__main__ import cli
from app.config import model
from app.rules.users import CHANGEABLE
from tests.support.documents import LANGUAGES, ROOT, named, pages

SETTINGS = "docs/settings.md"
COMMANDS = "docs/commands.md"
VARIABLES = "docs/variables.md"
HELPED = ("install.sh", "update.sh", "host/mtproto", "scripts/release.sh", "scripts/docker-build-push.sh")


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


CLI = dict(commands(cli))
OPTIONS = sorted({
    option
    for command in CLI.values()
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.hidden
    for option in parameter.opts
})


def script_options() -> list[str]:
    """What the help of each script names, as "install.sh --local"."""
    found = []
    for script in HELPED:
        text = (ROOT / script).read_text()
        usage = re.search(r"<<'(END\w*)'\n(.*?)\n\1\n", text, re.DOTALL)
        assert usage, script
        options = set(re.findall(r"(?<![\w-])--[a-z0-9]+(?:-[a-z0-9]+)*", usage[2])) - {"--help", "--help-all"}
        found += [f"{script} {option}" for option in sorted(options)]
    return found


def variables() -> set[str]:
    """The environment variables that the panel, the engine, the scripts and the files for Docker read."""
    files = [ROOT / name for name in ("install.sh", "update.sh", "docker-compose.yml", "Dockerfile", "Dockerfile.mtg",
                                      "Dockerfile.telemt", "wsgi.py")]
    for folder in ("host", "scripts"):
        files += [path for path in sorted((ROOT / folder).rglob("*")) if path.is_file()]
    files += [path for path in (ROOT / "app").rglob("*.py") if "node_modules" not in path.parts]
    found = set()
    for path in files:
        text = path.read_text()
        found |= set(re.findall(r"(?<![\w@])MTPROTO_[A-Z0-9_]*[A-Z0-9]\b", text))
        if path.suffix == ".py":
            found |= set(re.findall(r"os\.environ(?:\.get\(|\[)\s*\"([A-Z][A-Z0-9_]+)\"", text))
    return found


def must_name(word: str, page: str, language: str) -> None:
    """Fails where that page, in that language, does not have the word."""
    there = pages(language).get(page)
    assert there and named(word, there.text), (
        f"add {word} to {page} and to {page.replace('docs/', 'docs/ru/')}: the second does not have to wait for a "
        f"translator, copy the sentence of the first and translate it as well as you can")


@pytest.mark.parametrize("language", LANGUAGES)
class TestEachLanguageNames:
    @pytest.mark.parametrize("path", CLI)
    def test_every_command(self, language: str, path: str) -> None:
        *group, name = path.split()
        page = pages(language)[COMMANDS]
        lines = [line for line in page.text.splitlines() if all(named(word, line) for word in group)]
        assert any(named(name, line) for line in lines), f"add `{path}` to {COMMANDS} and docs/ru/commands.md"

    @pytest.mark.parametrize("option", OPTIONS)
    def test_every_option_of_the_commands(self, language: str, option: str) -> None:
        must_name(option, COMMANDS, language)

    @pytest.mark.parametrize("option", script_options())
    def test_every_option_of_the_scripts(self, language: str, option: str) -> None:
        script, word = option.split()
        must_name(word, "docs/docker.md" if "docker-build" in script else
                  "docs/updates.md" if script == "scripts/release.sh" else COMMANDS, language)

    @pytest.mark.parametrize("name", re.findall(
        r"^    answer ([A-Z0-9_]+) ", (ROOT / "host/lib/questions.sh").read_text(), re.MULTILINE))
    def test_every_question_of_the_installer_with_its_variable(self, language: str, name: str) -> None:
        must_name(f"`MTPROTO_{name}`", COMMANDS, language)
        must_name("--" + name.lower().replace("_", "-"), COMMANDS, language)

    @pytest.mark.parametrize("field", [info.alias or name for name, info in model.Config.model_fields.items()])
    def test_every_field_of_the_configuration(self, language: str, field: str) -> None:
        must_name(f"`{field}`", SETTINGS, language)

    @pytest.mark.parametrize("field", model.User.model_fields)
    def test_every_field_of_a_user(self, language: str, field: str) -> None:
        must_name(f"`{field}`", SETTINGS, language)

    @pytest.mark.parametrize("key", CHANGEABLE)
    def test_every_key_of_user_set(self, language: str, key: str) -> None:
        must_name(f"`{key}`", COMMANDS, language)

    @pytest.mark.parametrize("name", sorted(variables()))
    def test_every_environment_variable(self, language: str, name: str) -> None:
        asked = f"`{name}`"
        if named(asked, pages(language)[COMMANDS].text):  # a question, beside its option
            return
        must_name(asked, VARIABLES, language)

    def test_every_variable_of_docker_compose_with_its_default(self, language: str) -> None:
        compose = (ROOT / "docker-compose.yml").read_text()
        page = pages(language)[VARIABLES].text.split("## docker-compose.yml")[1]
        documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
        used = {name: default for line in compose.splitlines() if not line.lstrip().startswith("#")
                for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", line)}
        assert set(documented) == set(used), f"bring {VARIABLES} and docs/ru/variables.md up to date"
        for name, default in used.items():
            assert documented[name] == (f"`{default}`" if default else ""), name


@pytest.mark.parametrize("key", CHANGEABLE)
def test_every_key_of_user_set_is_in_its_help(key: str) -> None:
    assert named(key, CLI["user set"].help or "")
