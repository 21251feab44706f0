"""One user's page: what helps whoever is at the limit or has no access any more, a try of the link, what happened."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from app.messages import Problem
from app.mtproto.links import parse_link
from app.mtproto.probe import CONNECT, HANDSHAKE, TELEGRAM, ProbeError
from tests.fleet.conftest import metrics
from tests.support.fleet import Fleet
from tests.web.desk import Desk
from tests.web.html import read, text
from tests.web.visitor import Visitor

GB = 1024**3
EVIL = "O'Brien <b>\"&\\ علی‌رضا"


@pytest.fixture
def alice(fleet: Fleet) -> str:
    return fleet.add_user("Alice", limit_gb="10", at_limit="block").id


def use(fleet: Fleet, user: str, gigabytes: float) -> None:
    """Their proxy's counter stands at this much; the next pass does what follows."""
    name = f"mtg-proxy-{fleet.user(user).port}"
    fleet.runtime.machine.metrics(name, metrics(down=int(gigabytes * GB), connections=1))
    fleet.status(max_age=0)
    fleet.reconcile()


def buttons(page: str, name: str) -> list[tuple[str, str]]:
    return [(e.attributes["value"], " ".join(e.text.split())) for e in read(page)
            if e.tag == "button" and e.attributes.get("name") == name]


def said(page: str) -> str:
    """The text of a page, or of a part of one."""
    return text(page if "<html" in page else f"<html>{page}</html>")


def shown(admin: Visitor, path: str) -> str:
    return admin.get(path).get_data(as_text=True)


def test_whoever_is_blocked_is_offered_a_higher_limit_which_lets_them_in_again(
        admin: Visitor, fleet: Fleet, alice: str) -> None:
    assert "Raise the limit" not in shown(admin, f"/users/{alice}")
    use(fleet, alice, 11)
    assert "Raise the limit" in shown(admin, f"/users/{alice}") and "Raise the limit" in shown(admin, "/")
    page = shown(admin, f"/users/{alice}/limit")
    assert buttons(page, "limit_gb") == [
        ("15", "15 GB"), ("17.5", "17.5 GB"), ("22.5", "22.5 GB"), ("none", "No limit")]
    told = admin.post(f"/users/{alice}/limit", {"limit_gb": "15"}, follow_redirects=True).get_data(as_text=True)
    assert "Alice may use 15 GB." in text(told)
    assert (fleet.user(alice).state, fleet.user(alice).own_limit_gb) == ("running", 15)
    admin.post(f"/users/{alice}/limit", {"limit_gb": "15"})
    assert fleet.user(alice).own_limit_gb == 15, "pressed twice, it is raised once"
    told = admin.post(f"/users/{alice}/limit", {"limit_gb": "none"}, follow_redirects=True).get_data(as_text=True)
    assert "Alice now has no limit." in text(told) and fleet.user(alice).limit_gb == 0


def test_access_that_ends_or_has_ended_is_extended_from_its_last_day(admin: Visitor, fleet: Fleet) -> None:
    today = fleet.reconciler.now().date()
    bob = fleet.add_user("Bob", expires=f"{today + timedelta(days=2):%Y-%m-%d}").id
    page = shown(admin, f"/users/{bob}/access")
    assert [day for day, _ in buttons(page, "expires")] == [
        *(f"{today + timedelta(days=2 + more):%Y-%m-%d}" for more in (7, 30, 90, 365)), ""]
    later = fleet.reconciler.now() + timedelta(days=4)
    fleet.reconciler.clock = lambda: later.timestamp()
    assert fleet.user(bob).state == "expired"
    assert "Extend" in shown(admin, f"/users/{bob}")
    day = buttons(shown(admin, f"/users/{bob}/access"), "expires")[0][0]
    assert day == f"{later.date() + timedelta(days=7):%Y-%m-%d}"
    told = admin.post(f"/users/{bob}/access", {"expires": day}, follow_redirects=True).get_data(as_text=True)
    assert "Bob has access until" in text(told) and fleet.user(bob).state != "expired"


def test_what_makes_no_sense_is_told_and_changes_nothing(admin: Visitor, fleet: Fleet, alice: str) -> None:
    for path, key, typed in (("limit", "limit_gb", "<b>"), ("limit", "limit_gb", "-1"),
                             ("access", "expires", "2001-01-01"), ("access", "expires", "soon")):
        answer = admin.post(f"/users/{alice}/{path}", {key: typed}, follow_redirects=True)
        assert answer.status_code == 200 and typed in text(answer.get_data(as_text=True)), (path, typed)
    assert fleet.user(alice).own_limit_gb == 10 and fleet.user(alice).expires_at is None
    for path in ("limit", "access", "test", "head", "more"):
        assert admin.get(f"/users/Alice/{path}").status_code in (404, 405), path


@pytest.mark.parametrize(("failure", "passed"), [
    (None, 5), (ProbeError(CONNECT, "probe.no_address", name="proxy.example", reason="no such name"), 1),
    (ProbeError(CONNECT, "probe.no_connection", where="x", seconds=10.0, reasons=[]), 2),
    (ProbeError(HANDSHAKE, "probe.closed", where="x"), 3),
    (ProbeError(TELEGRAM, "probe.no_answer", where="x", what=Problem("probe.closes")), 4)])
def test_a_try_of_the_link_says_at_which_step_it_ended_and_why(
        admin: Visitor, alice: str, monkeypatch: pytest.MonkeyPatch, failure: ProbeError | None, passed: int) -> None:
    def tried(*_: object) -> float:
        if failure:
            raise failure
        return 42.4

    monkeypatch.setattr("app.control.link_test.try_link", tried)
    for headers in ({}, {"HX-Request": "true"}):
        page = admin.post(f"/users/{alice}/test", headers=headers).get_data(as_text=True)
        steps = [e.attributes["class"] for e in read(page) if e.tag == "li" and "step" in e.attributes.get("class", "")]
        assert steps == ["step step-ok"] * passed + ["step step-failed", *["step step-none"] * 4][:5 - passed]
        assert ("<html" in page) == (not headers)
        assert ("in 42 ms" in said(page)) is (failure is None)
        if failure:
            assert str(failure)[1:40] in said(page)


def test_a_link_that_nobody_expects_to_work_is_not_tried(
        admin: Visitor, fleet: Fleet, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.control.link_test.try_link", lambda *_: pytest.fail("it was tried"))
    fleet.disable(alice)
    page = text(admin.post(f"/users/{alice}/test").get_data(as_text=True))
    assert "The user may connect: no" in page and "disabled" in page


def test_all_that_an_app_asks_for_can_be_copied_and_a_message_is_ready(admin: Visitor, fleet: Fleet) -> None:
    user = fleet.add_user(EVIL)
    page = read(shown(admin, f"/users/{user.id}"))
    copied = [e.attributes["data-copy"] for e in page if "data-copy" in e.attributes]
    link = parse_link(user.tg_link)
    assert {link.server, str(link.port), link.secret.hex, user.tg_link, user.tme_link} <= set(copied)
    message = next(e.text for e in page if e.tag == "textarea")
    assert user.tme_link in message and user.tg_link in message
    assert any(text.replace("\r\n", "\n").strip() == message.strip() for text in copied)


def test_what_happened_to_a_user_is_on_their_page(admin: Visitor, fleet: Fleet, alice: str) -> None:
    fleet.add_user("Bob")
    admin.post(f"/users/{alice}/disable")
    for path in (f"/users/{alice}", f"/users/{alice}/more"):
        told = said(shown(admin, path))
        assert "User disabled · ada" in told and "User added · command line" in told and "Bob" not in told, path


def test_the_page_follows_what_happens_and_the_qr_code_is_enlarged(desk: Desk, fleet: Fleet, alice: str) -> None:
    page = desk.page
    desk.go(f"/users/{alice}")
    page.get_by_title("Enlarge the QR code").click()
    dialog = page.get_by_role("dialog", name="Alice")
    assert (dialog.locator("img").bounding_box() or {})["width"] > 300
    dialog.get_by_role("button", name="Close").click()
    fleet.disable(alice)
    expect(page.get_by_text("This link does not work while the user is disabled.")).to_be_visible()
    expect(page.get_by_role("region", name="What happened")).to_contain_text("User disabled")
    expect(page.get_by_role("button", name="Enable Alice")).to_be_visible()
    expect(page.get_by_role("slider", name="Traffic").locator("canvas")).to_be_visible()
