"""Every command of the documentation can be typed as it stands: the shell reads it, and the program knows its words."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator

import click
import pytest

from app.cli.__main__ import cli
from app.config import model
from tests.support.documents import ENGLISH_ONLY, LANGUAGES, ROOT, Page, pages

EVERY_PAGE = [page for language in LANGUAGES for page in pages(language).values()]
EVERY_PAGE += [Page(ROOT / name) for name in ENGLISH_ONLY]
#: How the panel's command line is called, with everything before its own words.
CALLED = re.compile(r"(?:.*\s)?(?:mtproto|host/mtproto|app\.cli|\.venv/bin/python -m app\.cli)\s+(?P<words>.*)")
#: Words of the command mtproto that are not the panel's, and the script that knows their options.
OF_THE_HOST = {"firewall": "host/firewall.sh", "move": "host/move.sh", "update": "update.sh", "uninstall": "install.sh",
               "router": "scripts/switch-router.sh", "fail2ban": "host/mtproto"}


def typed(page: Page) -> Iterator[str]:
    """Every line of a shell block, and every piece of `code` in the text that is a whole command."""
    for language, text in page.blocks:
        if language == "bash":
            yield from (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    for piece in re.findall(r"`([^`\n]+)`", page.prose):
        if re.match(r"(sudo )?(bash (install|update)\.sh|(host/)?mtproto [a-z])", piece) and "…" not in piece:
            yield re.sub(r" \[[^]]*]", "", piece)


def options_of(script: str) -> set[str]:
    """What its help names."""
    return set(re.findall(r"(?<![\w-])--[a-z0-9]+(?:-[a-z0-9]+)*", (ROOT / script).read_text())) | {"-s", "-"}


def check_words_of_the_panel(words: list[str]) -> None:
    """Raises click.UsageError for words that the command line does not know."""
    group, context = cli, click.Context(cli, info_name="mtproto")
    while True:
        name, command, words = group.resolve_command(context, words)
        assert command is not None, name
        if not isinstance(command, click.Group) or (not words and command.invoke_without_command):
            break
        group, context = command, click.Context(command, parent=context, info_name=name)
    command.make_context(name, words, parent=context, resilient_parsing=False)


def check(line: str) -> None:
    """Fails where the line names a command, an option or a setting that does not exist."""
    words = [word for word in shlex.split(line, comments=True) if not word.startswith(">")]
    for script in ("install.sh", "update.sh", "scripts/release.sh", "scripts/docker-build-push.sh"):
        if script in words:
            unknown = [w.partition("=")[0] for w in words[words.index(script):] if w.startswith("--")]
            unknown = [option for option in unknown if option not in options_of(script)]
            assert not unknown, f"{script} has no {', '.join(unknown)}"
            return
    if "-c" in words or not (called := CALLED.fullmatch(shlex.join(words))):
        return
    own = shlex.split(called["words"])
    if own[0] in OF_THE_HOST:
        unknown = [word for word in own[1:] if word.startswith("-") and word not in options_of(OF_THE_HOST[own[0]])]
        assert not unknown, f"mtproto {own[0]} has no {', '.join(unknown)}"
    elif own[0] != "compose" and own[:2] != ["logs", "--panel"]:
        check_words_of_the_panel(own)
        if own[:2] == ["settings", "set"]:
            unknown_settings = {word.partition("=")[0] for word in own[2:]} - set(model.Config.model_fields)
            assert not unknown_settings, f"there is no such setting: {unknown_settings}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=str)
def test_the_shell_reads_every_block(page: Page) -> None:
    blocks = [text for language, text in page.blocks if language == "bash"]
    done = subprocess.run(["bash", "-n"], input="\n".join(blocks), capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and not done.stderr, f"{page}: {done.stderr}"


@pytest.mark.parametrize("page", EVERY_PAGE, ids=str)
def test_every_command_is_known_to_its_program(page: Page) -> None:
    for line in typed(page):
        try:
            check(line)
        except (click.ClickException, AssertionError) as error:
            said = error.format_message() if isinstance(error, click.ClickException) else error
            pytest.fail(f"{page}: this line can't be typed: {line}\n{said}")


@pytest.mark.parametrize(("line", "why"), [
    ("mtproto user ad Anna", "No such command"), ("mtproto user add Anna --limt 5", "No such option"),
    ("sudo mtproto update --never", "has no --never"), ("bash install.sh --locale", "has no --locale"),
    ("docker compose exec app python3 -m app.cli settings set proxy_prot=1", "no such setting"),
    ("host/mtproto user link", "Missing argument"),
])
def test_a_line_that_cant_be_typed_is_noticed(line: str, why: str) -> None:
    with pytest.raises((click.ClickException, AssertionError)) as caught:
        check(line)
    error = caught.value
    assert why in (error.format_message() if isinstance(error, click.ClickException) else str(error))
