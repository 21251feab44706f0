"""A panel's look for offenders with the real proxy of one engine, a cover site and a test DC, in whatever network it is
started in: tests/bans/test_engines.py starts it in a server's namespace.

    python -m tests.support.offended_server FOLDER builtin|mtg|telemt|stand-in PORT

It prints one JSON document, the link of Anna's proxy, looks until its standard input ends, and stops the proxy.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

from app.control import passes
from app.control.offenders import Offenders
from app.engines.base import by_name
from app.engines.builtin import SPEED_FILE, Builtin
from app.engines.mtg.engine import Mtg
from app.engines.telemt.engine import Telemt
from app.runtimes.process.runtime import ProcessRuntime
from tests.support.cover import Cover
from tests.support.dc import DataCenter
from tests.support.docker_lab import patient
from tests.support.fail2ban_lab import SERVER
from tests.support.fleet import Fleet
from tests.support.telemt_lab import program


def engine(which: str, folder: Path) -> Builtin | Mtg | Telemt:
    if which == "builtin":
        return Builtin()
    return Mtg(os.environ["REAL_MTG"]) if which == "mtg" else Telemt(program(which, folder))


def main(folder: Path, which: str, port: int) -> None:
    center, cover = DataCenter().start(), Cover(folder / "cover").start()
    runtime = patient(ProcessRuntime(folder / "data", SPEED_FILE))
    serves = engine(which, folder)
    fleet = Fleet(folder / "data", runtime, by_name(serves))
    fleet.set_settings({
        "engine": serves.name, "proxy_bind": SERVER, "server_ip": SERVER, "shared_port": port, "proxy_port": port + 1,
        "upstream_socks5": center.socks5, "domain_fronting_ip": cover.ip, "domain_fronting_port": cover.port,
        "fake_tls_domain": cover.host, "bans": True})
    anna = fleet.add_user("Anna", **({} if serves.name == "telemt" else {"port": port}))
    watch, ended = Offenders(fleet), threading.Event()
    try:
        watch.look()
        print(json.dumps({"link": anna.tg_link, "title": cover.host}), flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        while not ended.wait(0.5):
            passes.sample(fleet)
            watch.look()
    finally:
        for there in runtime.observe():
            runtime.remove(there.name)
        cover.stop()
        center.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
