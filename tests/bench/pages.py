"""python -m tests.bench.pages [--users 10,100,1000,5000] [--turns 30] [--dashboards 50] [--profile PATH]: what pages
cost.

For each number of users: a data folder whose users have traffic, limits, notes and dates (the proxies are stopped, and
nothing runs on this machine), the panel on a socket as `serve` runs it, and an admin who is logged in. Each page is
asked for so many times, over one connection, as a browser does:

    p50, p95     ms from the request to the last byte of the answer; p95 is to be under 60
    plain, sent  bytes of the page, and of what came over the wire to a client that takes gzip
    changed      bytes over the wire of one live refresh, when something has changed
    same         bytes over the wire of one live refresh, body only, when nothing has changed
    first load   bytes over the wire of the page with its stylesheet and scripts (dashboard and users)
"""

from __future__ import annotations

import argparse
import cProfile
import gzip
import http.client
import pstats
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from app import create_app
from app.accounts.actor import CLI
from app.actions import admins
from app.cli.instance import listen
from app.cli.server import Server, settle
from app.config import values
from app.config.model import User
from app.control.system import System
from app.engines.base import by_name
from app.engines.builtin import Builtin
from app.ledger.traffic import Reading
from app.mtproto.secret import Secret
from tests.support.memory_runtime import MemoryRuntime

NAME, PASSWORD = "ada", "correct horse battery"
NAMES = ("Jürgen Strauß", "علی‌رضا", "O'Brien <b>\"&\\", "Анна Каренина", "Nguyễn Thị Minh", "Bob", "山田太郎", "Zoë 🦊")
GB = 1024 ** 3
TARGET_MS = 60.0


def installation(folder: Path, count: int) -> System:
    """A system of `count` users, of whom each is something else: over the limit, expiring, disabled, never used."""
    system = System(folder, MemoryRuntime(), by_name(Builtin()))
    admins.create_admin(system, CLI, NAME, PASSWORD, "owner")
    now = values.now()
    with system.file.edit() as config:
        config.server_domain, config.proxies_stopped, config.first_run = "proxy.example", True, False
        for number in range(count):
            config.users.append(User(
                id=f"user{number:06}", name=f"{NAMES[number % len(NAMES)]} {number}", port=2443 + number,
                secret=Secret.generate("www.example.com").hex, fake_tls_domain="www.example.com",
                enabled=number % 11 != 10, note="from the book club" if number % 5 == 0 else "",
                traffic_limit_gb=(None, 0, 5, 50)[number % 4],
                at_limit=("", "block")[number % 2], created_at=now - timedelta(days=number % 400),
                expires_at=now + timedelta(days=number % 90 - 3) if number % 3 == 0 else None))
    for hour in range(2):
        system.ledger.traffic.account(
            [Reading(f"user{number:06}", f"link{number:06}", "run", number % 60 * GB // 6 * hour,
                     number % 7 * GB // 60 * hour, 0, 0) for number in range(count) if number % 6],
            time.time() - 3600 * (2 - hour))
    return system


@contextmanager
def served(system: System) -> Iterator[int]:
    """The panel on a port of this machine."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        server = Server(create_app(system), listener)
        thread = threading.Thread(target=server.run)
        settle()
        thread.start()
        yield port
        server.task_dispatcher.shutdown()
        server.asyncore.close_all(server._map)
        thread.join()


class Browser:
    """One connection that is kept, with cookies."""

    def __init__(self, port: int):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.host, self.cookies = f"127.0.0.1:{port}", {}
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/login").text).group(1)
        body = urlencode({"csrf_token": token, "username": NAME, "password": PASSWORD})
        assert self.ask("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded",
                                                 "Origin": f"http://{self.host}"}).status == 302

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, None, {name.replace("_", "-"): text for name, text in headers.items()})

    def ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Accept-Encoding": "gzip", "Cookie": cookies, **headers}
        began = time.perf_counter()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        sent = answer.read()
        took = (time.perf_counter() - began) * 1000
        for line in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = line.split(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(answer.status, sent, answer.headers.get("Content-Encoding", ""),
                      answer.headers.get("ETag", ""), took)


class Answer:
    """sent: the bytes that came. took: ms."""

    def __init__(self, status: int, sent: bytes, encoding: str, tag: str, took: float):
        self.status, self.sent, self.tag, self.took = status, sent, tag, took
        self.plain = gzip.decompress(sent) if encoding == "gzip" else sent

    @property
    def text(self) -> str:
        return self.plain.decode()


def p95(found: list[float]) -> float:
    return statistics.quantiles(found, n=20)[-1] if len(found) > 1 else found[0]


def pages(count: int) -> dict[str, str]:
    """The pages by title, and the live part of each; "" for none."""
    middle = f"/users/user{count // 2:06}"
    return {"/": "/status", "/users": "/users/list", "/users?q=strauss&sort=used": "/users/list?q=strauss&sort=used",
            middle: f"{middle}/state", f"{middle}/edit": "", "/users/new": "", "/logs": "/logs/lines",
            "/settings/port-443": "",
            "/check": ""}


def measure(count: int, turns: int, profiled: str) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder:
        system = installation(Path(folder), count)
        if profiled:
            profile(system, profiled)
            return
        with served(system) as port:
            browser = Browser(port)
            for page, live in pages(count).items():
                answers = [browser.get(page) for _ in range(turns + 2)][2:]
                assert {answer.status for answer in answers} == {200}, (page, answers[0].status)
                took = [answer.took for answer in answers]
                line = (f"{count:6} {page:<28} {statistics.median(took):8.0f} {p95(took):8.0f}"
                        f"{' ' if p95(took) < TARGET_MS else '!'} {len(answers[0].plain):9} {len(answers[0].sent):8}")
                if live:
                    fresh = browser.get(live, HX_Request="true")
                    same = browser.get(live, HX_Request="true", If_None_Match=fresh.tag)
                    line += f" {len(fresh.sent):9} {len(same.sent):7}"
                print(line, flush=True)
            for page in ("/", "/users"):
                text = browser.get(page)
                parts = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text.text))
                first = len(text.sent) + sum(len(browser.get(part).sent) for part in parts)
                print(f"{count:6} first load of {page}: {first} bytes with {len(parts)} files")


def profile(system: System, path: str) -> None:
    """Where the time of one page goes, without a socket."""
    client = create_app(system).test_client()
    page = client.get("/login").get_data(as_text=True)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page).group(1)
    client.post("/login", data={"csrf_token": token, "username": NAME, "password": PASSWORD})
    for _ in range(3):
        assert client.get(path).status_code == 200
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(5):
        client.get(path)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("cumulative").print_stats(70)


def crowd(count: int, dashboards: int) -> None:
    """So many dashboards open at once, each refreshed every five seconds."""
    with tempfile.TemporaryDirectory(prefix="bench-pages-") as folder, \
            served(installation(Path(folder), count)) as port:
        browsers = [Browser(port) for _ in range(dashboards)]
        took: list[float] = []

        def watch(browser: Browser, offset: float) -> None:
            time.sleep(offset)
            for _ in range(4):
                began = time.monotonic()
                answer = browser.get("/status", HX_Request="true")
                took.append(answer.took)
                time.sleep(max(0.0, 5 - (time.monotonic() - began)))

        threads = [threading.Thread(target=watch, args=(browser, 5 * number / dashboards))
                   for number, browser in enumerate(browsers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(f"{dashboards} dashboards of {count} users, each refreshed every 5 s: "
              f"{statistics.median(took):.0f} ms in the middle, p95 {p95(took):.0f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     prog="python -m tests.bench.pages")
    parser.add_argument("--users", default="10,100,1000,5000", help="numbers of users, between commas")
    parser.add_argument("--turns", type=int, default=30, help="how often each page is asked for")
    parser.add_argument("--dashboards", type=int, default=50, help="how many are open at once; 0 for none")
    parser.add_argument("--profile", metavar="PATH", default="", help="say where the time of this page goes instead")
    arguments = parser.parse_args()
    counts = [int(number) for number in arguments.users.split(",")]
    print(f"{'users':>6} {'page':<28} {'p50':>8} {'p95':>8}  {'plain':>9} {'sent':>8} {'changed':>9} {'same':>7}")
    for count in counts:
        measure(count, arguments.turns, arguments.profile)
    if arguments.dashboards and not arguments.profile:
        crowd(max(number for number in counts if number <= 1000), arguments.dashboards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
