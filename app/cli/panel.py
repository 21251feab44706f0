"""`panel …` (hidden; install.sh's other half): the panel as a detached process."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import click

from app.cli.instance import PanelFile, Running, listen, url_of
from app.cli.root import Group, Invocation, Refusal
from app.cli.serve import bind_option, port_option, welcome, welcome_text
from app.lib import private
from app.messages import Problem

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS = 60


@click.group(cls=Group, hidden=True)
def panel() -> None:
    """The panel as a detached process."""


@panel.command()
@bind_option
@port_option
@click.pass_obj
def restart(obj: Invocation, bind: str, port: int) -> None:
    """Start the panel detached, ending the one that runs; proxies are left alone."""
    from app.config.file import ConfigFile

    file = ConfigFile(obj.data_dir)
    file.prepare()
    url = url_of(bind, port)
    old = PanelFile(obj.data_dir).running()
    if old is None or old.url != url:
        listen(bind, port).close()  # a busy port is told before the running panel is ended
    PanelFile(obj.data_dir).stop()
    # Read before the start: the password is erased by the first login.
    config = file.read()
    log = obj.data_dir / "panel.log"
    _start(obj.data_dir, bind, port, log)
    document = {**welcome(url, config), "log": str(log)}
    obj.answer(document, welcome_text(bind, port, config) + f"\nLog:       {log}")


def _start(data_dir: Path, bind: str, port: int, log: Path) -> None:
    log.touch(mode=0o600)
    private.close_file(log)
    begin = log.stat().st_size
    command = [sys.executable, "-m", "app.cli", "serve", "--no-welcome", "--log", str(log),
               "--bind", bind, "--port", str(port), "--data", str(data_dir)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url_of(bind, port)):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            if not ended:
                process.terminate()
                process.wait()
            written = log.read_bytes()
            fresh = written[begin:] if len(written) >= begin else written  # else it was rotated meanwhile
            lines = fresh.decode(errors="replace").strip().splitlines()
            raise Refusal("panel.not_started", log=log, lines=lines[-15:] or [Problem("panel.wrote_nothing")])
        time.sleep(0.1)


def _answers(url: str) -> bool:
    from urllib.error import URLError
    from urllib.request import ProxyHandler, build_opener

    # No proxy from the environment: the panel is on this machine.
    try:
        with build_opener(ProxyHandler({})).open(f"{url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@panel.command()
@click.option("--keep-proxies", is_flag=True)
@click.pass_obj
def stop(obj: Invocation, keep_proxies: bool) -> None:
    """End the panel and its proxies. What is declared stays: the next start brings all of it back."""
    from app.accounts.actor import CLI
    from app.actions.proxies import stop_everything

    obj.file()
    ended: Running | None = PanelFile(obj.data_dir).stop()
    outcomes = [] if keep_proxies else stop_everything(obj.system(), CLI)
    failed = [outcome for outcome in outcomes if not outcome.ok]
    if failed:
        raise Refusal.of(Problem("panel.not_stopped", {"name": each.name, "reason": each.reason})
                         for each in failed)
    said = f"The panel ({ended.url}) has stopped." if ended else "No panel was running."
    if not keep_proxies:
        said += f" Proxies stopped: {len(outcomes)}."
    obj.answer({"panel": bool(ended), "proxies": [outcome.name for outcome in outcomes]}, said)
