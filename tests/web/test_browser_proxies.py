"""Stopping, starting and reading logs in a real browser."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from app.runtimes.base import RuntimeUnavailable
from tests.support.fleet import Fleet
from tests.web.desk import Desk, open_desk

#: Pixels between what is seen of the log and its end.
BELOW = """() => { const box = document.querySelector('[data-log-box]').getBoundingClientRect();
  const lines = document.querySelector('[data-log-lines]').getBoundingClientRect();
  return Math.round(lines.bottom - (box.bottom - 1)); }  // less the box's border"""


def log(fleet: Fleet, port: int) -> list[str]:
    return fleet.runtime.machine.boxes[f"mtg-proxy-{port}"].log


def menu(page: Page) -> None:
    """Opens what can be done to all."""
    page.locator("#menu > summary").click()


def followed_once(page: Page) -> None:
    """Waits until the page has asked for its lines once more, and has shown them."""
    for _ in range(2):
        # The second question is asked only after the first answer has been shown.
        with page.expect_request("**/logs/lines**"):
            pass


def test_stopping_and_starting_all_is_asked_and_seen(desk: Desk, fleet: Fleet) -> None:
    fleet.add_user("Grandma")
    fleet.add_user("Mehmet")
    page = desk.page
    desk.go("/")
    menu(page)
    page.get_by_role("link", name="Stop all").click()
    dialog = page.get_by_role("dialog", name="Stop all proxies?")
    expect(dialog).to_contain_text("All connections are closed")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    # A refresh of the numbers behind the question leaves it open.
    with page.expect_response("**/status"):
        pass
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_be_hidden()
    assert fleet.status().running == 2
    menu(page)
    page.get_by_role("link", name="Stop all").click()
    dialog.get_by_role("button", name="Stop all").click()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_be_visible()
    expect(page.get_by_role("heading", name="Running 0 of 2")).to_be_visible()
    expect(page.get_by_role("link", name="Stop all")).to_have_count(0)
    expect(page.get_by_role("link", name="2 stopped")).to_be_visible()
    assert fleet.status().running == 0

    page.get_by_role("button", name="Start all").click()
    expect(page.get_by_role("heading", name="Running 2 of 2")).to_be_visible()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_have_count(0)

    # Stopped elsewhere: this page finds out, and its new button works.
    fleet.stop_all()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_be_visible()
    page.get_by_role("button", name="Start all").click()
    expect(page.get_by_role("heading", name="Running 2 of 2")).to_be_visible()
    fleet.stop_all()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_be_visible()
    before = [run.run_id for run in fleet.runtime.observe()]
    fleet.start_all()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_have_count(0)
    menu(page)
    expect(page.get_by_role("link", name="Restart all")).to_be_visible()
    page.get_by_role("link", name="Restart all").click()
    page.get_by_role("dialog", name="Restart all proxies?").get_by_role("button", name="Restart all").click()
    expect(page.get_by_text("All proxies are restarted.")).to_be_visible()
    assert not set(before) & {run.run_id for run in fleet.runtime.observe()}


def test_one_user_is_restarted_from_their_page(desk: Desk, fleet: Fleet) -> None:
    user = fleet.add_user("Grandma")
    before = fleet.runtime.observe()[0].run_id
    page = desk.page
    desk.go(f"/users/{user.id}")
    page.get_by_role("link", name="Restart").click()
    dialog = page.get_by_role("dialog", name="Restart Grandma's proxy?")
    dialog.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("Grandma's proxy is restarted.")).to_be_visible()
    assert fleet.runtime.observe()[0].run_id != before
    page.locator("#main").get_by_role("link", name="Logs").click()
    expect(page.get_by_label("User")).to_have_value(user.name)
    expect(page.get_by_role("log")).to_contain_text("Grandma listening on")


def test_all_of_it_works_without_script(chromium: Browser, site: str, fleet: Fleet) -> None:
    user = fleet.add_user("Grandma")
    context, desk = open_desk(chromium, site, java_script_enabled=False)
    desk.login()
    page = desk.page
    menu(page)
    page.get_by_role("link", name="Stop all").click()
    page.get_by_role("button", name="Stop all").click()
    expect(page.get_by_role("heading", name="All proxies are stopped")).to_be_visible()
    page.get_by_role("button", name="Start all").click()
    expect(page.get_by_role("heading", name="Running 1 of 1")).to_be_visible()
    menu(page)
    page.get_by_role("link", name="Restart all").click()
    page.get_by_role("link", name="Cancel").click()
    desk.go(f"/users/{user.id}")
    page.get_by_role("link", name="Restart").click()
    page.get_by_role("button", name="Restart").click()
    expect(page.get_by_text("Grandma's proxy is restarted.")).to_be_visible()
    log(fleet, 2443)[:] = [f"line {number}" for number in range(300)]
    page.get_by_role("link", name="Logs").first.click()
    expect(page.get_by_text("line 299")).to_be_in_viewport()  # the newest, though nothing scrolled there
    expect(page.get_by_role("switch")).to_be_hidden()
    log(fleet, 2443).append("one more")
    page.get_by_role("link", name="Reload").click()
    expect(page.get_by_text("one more")).to_be_in_viewport()
    page.get_by_label("User").fill("Grandma")
    page.get_by_label("Lines", exact=True).select_option("50")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("line 251", exact=True)).to_have_count(1)
    expect(page.get_by_text("line 250", exact=True)).to_have_count(0)
    assert desk.complaints == []
    context.close()


def test_the_log_follows_and_leaves_a_reader_where_they_are(desk: Desk, fleet: Fleet) -> None:
    fleet.add_user("Grandma")
    lines = log(fleet, 2443)
    lines.clear()
    page = desk.page
    asked: list[str] = []
    answered: list[str] = []
    for event, noted in (("request", asked), ("requestfinished", answered), ("requestfailed", answered)):
        page.on(event, lambda request, noted=noted: noted.append(request.url) if "/logs/lines" in request.url
                else None)
    desk.go("/logs?tail=200")
    expect(page.get_by_role("heading", name="Nothing was logged")).to_be_visible()
    lines += [f"line {number}" for number in range(150)]
    expect(page.get_by_text("line 149")).to_be_in_viewport()
    expect(page.get_by_role("heading", name="Nothing was logged")).to_have_count(0)
    assert page.evaluate(BELOW) == 0

    lines += [f"line {number}" for number in range(150, 200)]
    expect(page.get_by_text("line 199")).to_be_in_viewport()
    assert page.evaluate(BELOW) == 0, "at the end it stays at the end"

    # A reader in the middle: lines come below, old ones leave above, and nothing moves.
    page.get_by_text("line 100", exact=True).evaluate("(line) => { line.scrollIntoView({block: 'center'}); "
                                                      "getSelection().selectAllChildren(line); }")
    where = page.get_by_text("line 100", exact=True).bounding_box()
    lines += [f"line {number}" for number in range(200, 250)]
    expect(page.get_by_text("line 249")).to_have_count(1)
    expect(page.get_by_text("line 49", exact=True)).to_have_count(0)
    now = page.get_by_text("line 100", exact=True).bounding_box()
    assert abs(now["y"] - where["y"]) < 2
    assert page.evaluate("String(getSelection())") == "line 100"
    assert page.evaluate(BELOW) > 500
    assert page.locator(".log-text").all_inner_texts() == [f"line {number}" for number in range(50, 250)]

    follow = page.get_by_role("switch", name="Follow")
    expect(follow).to_be_checked()
    follow.focus()
    page.keyboard.press("Space")
    expect(follow).not_to_be_checked()
    while len(answered) < len(asked):  # one that was under way when the switch was turned
        page.wait_for_timeout(50)
    asked.clear()
    lines.append("unseen")
    page.wait_for_timeout(5000)
    assert asked == []
    expect(page.get_by_text("unseen")).to_have_count(0)
    follow.click()
    expect(page.get_by_text("unseen")).to_have_count(1)


def test_while_the_logs_cannot_be_read_the_lines_that_were_stay(desk: Desk, fleet: Fleet) -> None:
    fleet.add_user("Grandma")
    lines = log(fleet, 2443)
    lines[:] = ["the same"] * 3
    page = desk.page
    desk.go("/logs")
    expect(page.locator(".log-line")).to_have_count(3)
    reads = fleet.runtime.merged_logs

    def gone(*_: object) -> None:
        raise RuntimeUnavailable("Docker does not answer")

    fleet.runtime.merged_logs = gone
    expect(page.get_by_role("alert")).to_have_text("Docker does not answer")
    expect(page.locator(".log-line")).to_have_count(3)
    fleet.runtime.merged_logs = reads
    lines += ["the same"] * 2
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".log-line")).to_have_count(5)
    desk.go("/logs?tail=7&user=nobody")
    followed_once(page)
    expect(page.get_by_text("The number of lines '7' is not allowed")).to_be_visible()
    expect(page.get_by_text("This user does not exist")).to_be_visible()
    # A log that starts anew has nothing in common with what is shown.
    lines[:] = ["another"]
    expect(page.locator(".log-text")).to_have_text(["another"])
    followed_once(page)
    expect(page.locator(".log-text")).to_have_text(["another"])
