"""Makes the pictures of the README: `python -m tests.web.screenshots` writes docs/screenshots/*.png.

The panel is the real one, over a real fleet whose runtime runs nothing: names and numbers are made up.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from app import create_app
from app.control.monitor import Monitor
from app.engines.builtin import Builtin
from app.messages import text
from app.runtimes.base import Sample
from app.runtimes.loglines import merge, stamped
from tests.support.fleet import Fleet
from tests.support.memory_runtime import MemoryRuntime
from tests.web.behind_nginx import fleet_behind_nginx
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS, open_desk
from tests.web.visitor import NAME, PASSWORD

PICTURES = Path(__file__).parents[2] / "docs/screenshots"
GB = 1024**3

#: name, what is declared, downloaded GB, uploaded GB, connections
PEOPLE = (
    ("Grandma Nilufar", {"limit_gb": "50", "note": "Phone and tablet"}, 12.4, 1.1, 3),
    ("Dariush and family", {"limit_gb": "100"}, 79.0, 6.2, 11),
    ("Editorial desk", {"note": "Six laptops, one link"}, 312.0, 48.0, 27),
    ("Mehmet", {"limit_gb": "5", "speed_mbps": "2", "reset_cycle": "monthly 1", "expires": "2099-01-31"},
     4.9, 0.3, 2),
    ("Olena (work laptop)", {"limit_gb": "20"}, 8.7, 0.9, 1),
    ("Sasha", {"note": "Asked to pause until March"}, 1.2, 0.1, 0),
)

METRICS = """\
mtg_telegram_traffic{{telegram_ip="192.0.2.1",dc="2",direction="to_client"}} {down}
mtg_telegram_traffic{{telegram_ip="192.0.2.1",dc="2",direction="from_client"}} {up}
mtg_telegram_connections{{telegram_ip="192.0.2.1",dc="2"}} {connections}
mtg_domain_fronting {probes}
"""


#: port, what the built-in engine writes in that case (app/builtin/connection.py)
LINES = (
    (2443, "2026-11-20T06:12:03Z WARNING DC 2 can't be reached: timed out"),
    (2445, ("2026-11-20T06:12:07Z WARNING DC 2 can't be reached: timed out (3 more like it since the last "
            "such line)")),
    (2443, "2026-11-20T06:12:14Z WARNING DC 2 can't be reached: timed out"),
    (2446, "2026-11-20T09:40:55Z WARNING a client asked for DC 9, which is unknown: refused"),
)


class PictureRuntime(MemoryRuntime):
    """Named as what the reader of the README will have."""

    name = "process"

    def __init__(self) -> None:
        super().__init__()
        self.began = time.monotonic()
        self.counters: dict[str, tuple[float, float, int, int]] = {}

    def samples(self) -> list[Sample]:
        """What is connected goes on moving data while the pictures are taken."""
        passed = time.monotonic() - self.began
        for name, (down, up, connections, probes) in self.counters.items():
            self.machine.metrics(name, METRICS.format(
                down=int(down * GB + passed * connections * 38_000),
                up=int(up * GB + passed * connections * 2_500), connections=connections, probes=probes))
        return super().samples()

    def merged_logs(self, users: Iterable[str] | None = None, tail: int = 200) -> list[str]:
        """By time, as the real ones do."""
        wanted = None if users is None else set(users)
        logs = {name: stamped(name, box.log) for name, box in self.machine.boxes.items()
                if wanted is None or box.workload.user_id in wanted}
        return [str(line) for line in merge(logs, tail)]


def demo_fleet(data_dir: Path) -> Fleet:
    """People with traffic, one near the limit, one over it, one disabled."""
    runtime = PictureRuntime()
    fleet = Fleet(data_dir, runtime, Builtin())
    fleet.create_admin(NAME, PASSWORD, sudo=True)
    fleet.set_settings({"server_domain": "proxy.example.org"})
    for name, declared, down, up, connections in PEOPLE:
        user = fleet.add_user(name, **declared)
        runtime.counters[f"mtg-proxy-{user.port}"] = (down, up, connections, 7 + user.port % 10)
    Monitor(fleet, 10).tick()
    fleet.disable("Sasha")
    time.sleep(4)  # a speed needs a second sample, and the dashboard takes none within 3 s
    for second, user in enumerate(fleet.users()):
        runtime.machine.boxes[f"mtg-proxy-{user.port}"].log[:] = [
            f"2026-11-20T05:58:{second:02}Z INFO serving {user.masked_secret} on [::]:{user.port}"]
    for port, line in LINES:
        runtime.machine.boxes[f"mtg-proxy-{port}"].log.append(line)
    return fleet


def fleet_on_443(data_dir: Path) -> Fleet:
    """Everybody on port 443 under a domain of one's own, with certificates of which one will be late."""
    fleet = fleet_behind_nginx(data_dir, PictureRuntime())
    fleet.set_settings({"panel_domain": "panel.example.org", "sni_mode": "own",
                        "sni_base_domain": "example.org"})
    fleet.set_settings({"port_443_mode": "true"})
    for name, declared, *_ in PEOPLE:
        fleet.add_user(name, **declared)
    now, certificates = fleet.reconciler.clock(), fleet.ledger.certificates
    names = [user.domain for user in fleet.users()]
    for name, domains, ago, days in (("panel", ["panel.example.org"], 21, 69),
                                     ("cover-1", ["example.org", *names], 79, 11)):
        certificates.succeeded(name, domains, now - ago * 86400, now + days * 86400 + 60, now - ago * 86400)
    certificates.failed("cover-1", ["example.org", *names],
                        text("the authority could not reach example.org on port 80: port 80 of this server must be "
                             "open to the internet"), now - 3600)
    return fleet


def take(browser: Browser, site: str, fleet: Fleet) -> None:
    """The handful of pictures; a phone's are two pixels to the point."""
    first = f"/users/{fleet.user('Grandma Nilufar').id}"
    shoot(browser, site, (
        ("login", 1280, "dark", "/login"),
        ("dashboard", 1280, "dark", "/"),
        ("dashboard-light", 1280, "light", "/"),
        ("users", 1280, "dark", "/users"),
        ("user", 1280, "dark", first),
        ("user-phone", 390, "dark", first),
        ("logs", 1280, "dark", "/logs"),
    ))


def take_settings(browser: Browser, site: str) -> None:
    shoot(browser, site, (
        ("settings", 1280, "dark", "/settings"),
        ("settings-light", 1280, "light", "/settings"),
        ("settings-phone", 390, "dark", "/settings#port-443"),
    ))


def shoot(browser: Browser, site: str, shots: Iterable[tuple[str, int, str, str]]) -> None:
    """Each is a name, a width, a theme and an address."""
    for name, width, theme, path in shots:
        context, desk = open_desk(browser, site, width, theme, device_scale_factor=2 if width < 768 else 1)
        if path == "/login":
            desk.go(path)
        else:
            desk.login()
            desk.go(path)
        desk.page.wait_for_load_state("networkidle")
        if width >= 768:
            # What sticks to the window's end belongs to the end of the picture.
            height = desk.page.evaluate("() => document.documentElement.scrollHeight")
            desk.page.set_viewport_size({"width": width, "height": height})
        # A phone's picture is its first screen; the whole page would be a ribbon.
        desk.page.screenshot(path=PICTURES / f"{name}.png", full_page=width >= 768)
        assert desk.complaints == [], desk.complaints
        context.close()


@contextmanager
def served(fleet: Fleet) -> Iterator[str]:
    """The address of the panel of this fleet."""
    fleet.set_settings({"panel_hosts": "panel.test"})
    server = make_server("127.0.0.1", 0, create_app(fleet), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://panel.test:{server.port}"
    server.shutdown()
    thread.join()


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Commands as pages show them with docker-compose.yml: no folder of whoever makes the pictures.
    os.environ["MTPROTO_VERSION"] = "v1.0.0"
    os.environ["MTPROTO_EDGE"] = "172.28.255.254"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        fleet = demo_fleet(Path(folder) / "ports")
        with served(fleet) as site:
            take(browser, site, fleet)
        with served(fleet_on_443(Path(folder) / "443")) as site:
            take_settings(browser, site)
        browser.close()


if __name__ == "__main__":
    main()
