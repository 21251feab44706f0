"""What every command shares: --json, --data, how it ends, and how a refusal is told.

Exit codes: 0 done, 1 refused or failed (message on stderr), 2 bad usage, 130 Ctrl-C.
With --json, stdout holds exactly one JSON document, and whatever goes wrong is one JSON document on stderr: "code" and
"params" (app/messages), "message", "field" (the input that it is about, or ""), "error" (the message under its older
name), and "problems", a list of such, where there are several.

Nothing heavy is imported here or at the top of the command modules: `--help` and
usage errors are answered without loading the system.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from app.config.file import ConfigFile
    from app.control.system import System
    from app.messages import Problem


class Refusal(click.ClickException):
    """Exit code 1: the problems say what was wrong and what was kept."""

    def __init__(self, code: str | Problem, field: str = "", /, **params: object) -> None:
        from app.messages.errors import Coded

        self.error = Coded(code, field, **params)
        super().__init__(str(self.error))

    def format_message(self) -> str:
        return str(self.error)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Refusal:
        """One that carries all of these."""
        from app.messages.errors import Coded

        error = Coded.of(problems)
        refusal = cls(error.problem)
        refusal.error = error
        return refusal


def default_data_dir() -> Path:
    return Path(os.environ.get("MTPROTO_DATA_DIR") or "data")


@dataclass
class Invocation:
    """What the shared options said; every command gets it through click.pass_obj."""

    data: Path = field(default_factory=default_data_dir)
    json: bool = False

    @property
    def data_dir(self) -> Path:
        return self.data.absolute()

    def command_line(self, words: str) -> str:
        """A command on this data folder, as it is typed where this one was."""
        from app import commands

        return commands.command_line(self.data_dir, words)

    def no_users(self) -> str:
        return f"No users yet: {self.command_line('user add NAME')}"

    def _require_installation(self) -> None:
        """A folder with backups has held one: what is missing is told when it is read."""
        folder = self.data_dir
        if (folder / "config.json").exists() or any(folder.glob("backups/config-*.json")):
            return
        from app import commands

        likely = (Path(os.environ.get("MTPROTO_DATA_DIR") or "data").absolute(), commands.DATA)
        there = next((each for each in likely if (each / "config.json").exists()), None)
        if there:
            raise Refusal("installation.elsewhere", "data", folder=folder, there=there,
                          command=commands.command_line(there, "…"))
        raise Refusal("installation.none", "data", folder=folder)

    def file(self) -> ConfigFile:
        """The declaration. Raises Refusal where no panel has ever been: a mistyped folder is not to become an
        empty installation, with a password of its own."""
        from app.config.file import ConfigFile

        self._require_installation()
        return ConfigFile(self.data_dir)

    def system(self) -> System:
        """The system of the data folder. Raises Refusal as file() does."""
        self._require_installation()
        from app.control.system import System

        return System.open(self.data_dir)

    def answer(self, document: Any, text: str) -> None:
        """Print the outcome: `document` for a program, `text` for a person."""
        click.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_worded) if self.json else text)


def _worded(value: object) -> str:
    """Problems in a document are told in words."""
    from app.messages import Problem, sentence

    if isinstance(value, Problem):
        return sentence(value)
    raise TypeError(f"{type(value).__name__} in a JSON document")


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    invocation = ctx.ensure_object(Invocation)
    if param.name == "data" and value is not None:
        if str(value) == "":
            raise click.BadParameter("the folder's name is empty.", ctx, param)
        invocation.data = Path(value)
    elif param.name == "json" and value:
        invocation.json = True


def _shared_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--data"],
            type=click.Path(file_okay=False),
            metavar="DIR",
            expose_value=False,
            callback=_remember,
            help="The data folder (default: $MTPROTO_DATA_DIR, else ./data).",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="Answer with one JSON document.",
        ),
    ]


@contextmanager
def _refusals(ctx: click.Context) -> Iterator[None]:
    """What went wrong below is told as a refusal."""
    from app.lib.problem import Coded

    try:
        yield
    except Coded as error:
        raise Refusal.of(error.problems) from error
    except (BrokenPipeError, sqlite3.ProgrammingError):
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise Refusal("system.refuses", reason=f"{where}{error.strerror or error}") from error
    except sqlite3.DatabaseError as error:
        raise Refusal("ledger.refuses", path=ctx.obj.data_dir / "panel.db", reason=error) from error


class Command(click.Command):
    """A command with the shared options, whose refusals become exit code 1."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def invoke(self, ctx: click.Context) -> Any:
        with _refusals(ctx):
            return super().invoke(ctx)


class Group(click.Group):
    """A group whose commands, and itself, take the shared options, and tell refusals the same way."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def invoke(self, ctx: click.Context) -> Any:
        with _refusals(ctx):
            return super().invoke(ctx)


class Root(Group):
    """The outermost group: the only place where the process ends."""

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
             standalone_mode: bool = True, **extra: Any) -> NoReturn:
        """As click's, but with errors as JSON and no traceback of a closed pipe."""
        arguments = list(sys.argv[1:] if args is None else args)
        code = 0
        try:
            with self.make_context(prog_name or "python -m app.cli", arguments, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
        except click.exceptions.Exit as done:
            code = done.exit_code
        except click.ClickException as error:
            _tell(error, "--json" in arguments)
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            code = 130
        except BrokenPipeError:
            # Whoever read our output has left (`… | head -1`). The command itself is done.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(code)


def _tell(error: click.ClickException, as_json: bool) -> None:
    if not as_json:
        error.show()
        return
    from app.messages import Problem, coded

    message = error.format_message()
    problems = error.error.problems if isinstance(error, Refusal) else (Problem("usage", {"reason": message}),)
    told = [{**coded(problem), "field": problem.field} for problem in problems]
    document = {**told[0], "message": message, "error": message}
    click.echo(json.dumps({**document, "problems": told} if len(told) > 1 else document, ensure_ascii=False), err=True)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """MTProto Proxy Manager: hands out Telegram proxy links that work.

    The panel and these commands share one declaration (data/config.json); they
    may be used side by side. Every command takes --json and --data DIR.
    """
