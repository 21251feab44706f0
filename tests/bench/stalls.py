"""python -m tests.bench.stalls [--users 1000] [--slower 4] [--refreshes 6]: how long a phone stands still.

A page of an installation with so many users is open in headless Chromium of a phone's size, whose processor is slowed
down so many times (CDP Emulation.setCPUThrottlingRate). Before each refresh the traffic of everybody grows, so that
each row of the list has something new. For each page:

    refreshes   live answers that came (several parts of a page come one by one)
    longest     ms of the longest task of the page's thread in that time, as the browser's long tasks API has it; tasks
                below 50 ms, which is what a refresh is held to, are not told by it
    tasks       how many there were of 50 ms and more
    changes     of the page's parts in a refresh (MutationObserver), in the middle
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from app.control.system import System
from app.ledger.traffic import Reading
from tests.bench.pages import NAME, PASSWORD, installation, served
from tests.web.desk import CHROMIUM, CHROMIUM_ARGUMENTS

WATCH = """() => {
  window.tasks = []; window.changes = 0;
  new PerformanceObserver((list) => { for (const one of list.getEntries()) window.tasks.push(one.duration); })
    .observe({type: "longtask"});
  new MutationObserver((records) => { window.changes += records.length; })
    .observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
}"""
PAGES = ("/", "/users", "/users?size=200", "/users/user000003")


def grow(system: System, count: int, turn: int) -> None:
    system.ledger.traffic.account(
        [Reading(f"user{number:06}", f"link{number:06}", "run", (turn + 40) * 2**30 + number, turn * 2**27, 0,
                 number % 3) for number in range(count)], time.time())


def measure(page: Page, site: str, path: str, system: System, users: int, slower: float, refreshes: int) -> str:
    phone = page.context.new_cdp_session(page)
    phone.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.goto(site + path)
    page.wait_for_timeout(3000)
    page.evaluate(WATCH)
    answers, changes = [], []
    page.on("response", lambda answer: answers.append(1) if "hx-request" in answer.request.headers else None)
    for _ in range(refreshes):
        measure.turn += 1
        grow(system, users, measure.turn)
        before, changed = len(answers), page.evaluate("window.changes")
        ends = time.monotonic() + 30
        while len(answers) == before and time.monotonic() < ends:
            page.wait_for_timeout(100)
        page.wait_for_timeout(2000)
        changes.append(page.evaluate("window.changes") - changed)
    tasks = page.evaluate("window.tasks")
    phone.detach()
    return f"{path:<22} {len(answers):9} {max(tasks, default=0):8.0f} {len(tasks):6} {statistics.median(changes):8.0f}"


measure.turn = 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     prog="python -m tests.bench.stalls")
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--slower", type=float, default=4.0, help="how many times slower than this machine")
    parser.add_argument("--refreshes", type=int, default=6)
    parser.add_argument("--pages", nargs="*", default=PAGES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-stalls-") as folder:
        system = installation(Path(folder), given.users)
        with system.file.edit() as config:
            config.proxies_stopped = False  # so that a list tells more than that they are stopped
        with served(system) as port, sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
            site = f"http://127.0.0.1:{port}"
            context = browser.new_context(viewport={"width": 390, "height": 844})
            page = context.new_page()
            page.goto(f"{site}/login")
            page.get_by_label("Name").fill(NAME)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(f"{site}/")
            print(f"{given.users} users, a processor {given.slower:g} times slower\n"
                  f"{'page':<22} {'refreshes':>9} {'longest':>8} {'tasks':>6} {'changes':>8}")
            for path in given.pages:
                print(measure(context.new_page(), site, path, system, given.users, given.slower, given.refreshes),
                      flush=True)
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
