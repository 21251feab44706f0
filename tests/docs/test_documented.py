"""Whatever can be set, typed or passed is named in the documentation, in every language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import click
import pytest

from app.cli.__main__ import cli
from app.config import model
from app.engines.figures import MEASURED
from app.rules.users import CHANGEABLE
from tests.support.documents import LANGUAGES, ROOT, named, pages

SETTINGS = "docs/settings.md"
COMMANDS = "docs/commands.md"
VARIABLES = "docs/variables.md"
#: Of these the default is said in words.
DEFAULTS_IN_WORDS = {"domain_pool"}
#: Scripts whose help lists their options, and the page that has them.
HELPED = {"install.sh": COMMANDS, "host/move.sh": "docs/backup.md", "update.sh": COMMANDS, "host/mtproto": COMMANDS,
          "scripts/release.sh": "docs/updates.md", "scripts/docker-build-push.sh": "docs/docker.md"}


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


def script_options(script: str) -> list[str]:
    """The options that the help of a script lists."""
    usage = re.search(r"<<'(END\w*)'\n(.*?)\n\1\n", (ROOT / script).read_text(), re.DOTALL)
    assert usage, script
    return sorted(set(re.findall(r"(?<![\w-])--[a-z0-9]+(?:-[a-z0-9]+)*", usage[2])) - {"--help", "--help-all"})


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


def as_typed(value: object) -> str:
    """A setting's value as it is typed."""
    if isinstance(value, list):
        return " ".join(value)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def must_name(words: Iterable[str], page: str, language: str) -> None:
    """Fails where that page, in that language, does not have all of the words."""
    text = pages(language)[page].text
    missing = [word for word in words if not named(word, text)]
    russian = page.replace("docs/", "docs/ru/")
    assert not missing, (f"add {', '.join(missing)} to {page} and {russian}: what it does, in a sentence "
                         f"(a plain translation is good enough)")


@pytest.mark.parametrize("language", LANGUAGES)
class TestEachLanguageNames:
    def test_every_command(self, language: str) -> None:
        lines = pages(language)[COMMANDS].text.splitlines()
        missing = [path for path in CLI if not any(all(named(word, line) for word in path.split()) for line in lines)]
        assert not missing, f"add `{'`, `'.join(missing)}` to {COMMANDS} and docs/ru/commands.md"

    def test_every_option_of_the_commands(self, language: str) -> None:
        must_name(OPTIONS, COMMANDS, language)

    @pytest.mark.parametrize("script", HELPED)
    def test_every_option_of_the_scripts(self, language: str, script: str) -> None:
        must_name(script_options(script), HELPED[script], language)

    def test_every_question_of_the_installer_with_its_variable(self, language: str) -> None:
        asked = re.findall(r"^    answer ([A-Z0-9_]+) ", (ROOT / "host/lib/questions.sh").read_text(), re.MULTILINE)
        must_name([f"`MTPROTO_{name}`" for name in asked], COMMANDS, language)
        must_name(["--" + name.lower().replace("_", "-") for name in asked], COMMANDS, language)

    def test_every_field_of_the_configuration(self, language: str) -> None:
        must_name([f"`{info.alias or name}`" for name, info in model.Config.model_fields.items()], SETTINGS, language)

    def test_the_default_of_every_setting(self, language: str) -> None:
        page = pages(language)[SETTINGS]
        table = page.text.split("\n## ")[1]
        documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", table, re.MULTILINE))
        for name, info in model.Config.model_fields.items():
            if name in documented and name not in DEFAULTS_IN_WORDS:
                default = info.get_default(call_default_factory=True)
                assert documented[name] == as_typed(default), f"{page}: the default of {name} is {default!r}"

    def test_every_field_of_a_user(self, language: str) -> None:
        must_name([f"`{field}`" for field in model.User.model_fields], SETTINGS, language)

    def test_every_key_of_user_set(self, language: str) -> None:
        must_name([f"`{key}`" for key in CHANGEABLE], COMMANDS, language)

    def test_every_environment_variable(self, language: str) -> None:
        # Those of the installer's questions are beside their options.
        there = pages(language)[COMMANDS].text
        words = [f"`{name}`" for name in sorted(variables())]
        must_name([word for word in words if not named(word, there)], VARIABLES, language)

    def test_every_variable_of_docker_compose_with_its_default(self, language: str) -> None:
        compose = "".join((ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.traefik.yml"))
        page = pages(language)[VARIABLES].text.split("## docker-compose.yml")[1]
        documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", page, re.MULTILINE))
        used = {name: default for line in compose.splitlines() if not line.lstrip().startswith("#")
                for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", line)}
        assert set(documented) == set(used), f"bring {VARIABLES} and docs/ru/variables.md up to date"
        for name, default in used.items():
            assert documented[name] == (f"`{default}`" if default else ""), name


def test_every_key_of_user_set_is_in_its_help() -> None:
    assert not [key for key in CHANGEABLE if not named(key, CLI["user set"].help or "")]


@pytest.mark.parametrize("page", ["docs/engine.md", "docs/ru/engine.md"])
def test_the_engines_cost_what_the_settings_page_says(page: str) -> None:
    text = (ROOT / page).read_text().replace("\u00a0", " ")
    for figures in MEASURED.values():
        assert f" {figures.key_share} |" in text
        for number in (figures.download, figures.upload, *figures.memory.values()):
            assert f"| {number:,} " in text or f"| {number} " in text, number
