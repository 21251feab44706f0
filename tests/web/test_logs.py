"""The page with the lines that the proxies write."""

from __future__ import annotations

import pytest

from app.config.model import User
from app.control.errors import Refused
from app.mtproto.secret import Secret
from app.web.pages.logs import split
from tests.support.fleet import Fleet
from tests.web.html import read, text
from tests.web.visitor import Visitor


@pytest.fixture
def users(fleet: Fleet) -> tuple[str, str]:
    """Alice on port 2443 and Bob on 2444, each with one line in the log."""
    ids = fleet.add_user("Alice").id, fleet.add_user("Bob").id
    for port in (2443, 2444):
        log(fleet, port)[:] = [f"started {port}"]
    return ids


def log(fleet: Fleet, port: int) -> list[str]:
    return fleet.runtime.machine.boxes[f"mtg-proxy-{port}"].log


def lines(page: str) -> list[str]:
    return [" ".join(e.text.split()) for e in read(page) if e.attributes.get("class") == "log-line"]


def said(page: str) -> str:
    """The warnings above the lines."""
    return " ".join(e.text for e in read(page) if "notice" in e.attributes.get("class", "").split()
                    and "data-offline" not in e.attributes)


def shown(visitor: Visitor, **query: str) -> str:
    """The page, which is the same with and without its frame."""
    answers = [visitor.get(path, query_string=query) for path in ("/logs", "/logs/lines")]
    assert [a.status_code for a in answers] == [200, 200]
    page, part = (a.get_data(as_text=True) for a in answers)
    assert lines(page) == lines(part)
    assert said(part) == said(page)
    return page


def test_the_lines_of_all_proxies_are_shown_with_the_names_of_their_users(
        admin: Visitor, users: tuple[str, str]) -> None:
    page = shown(admin)
    assert lines(page) == ["[mtg-proxy-2443] Alice started 2443", "[mtg-proxy-2444] Bob started 2444"]
    apart = [e.text for e in read(page) if e.attributes.get("class") == "log-source"]
    assert apart == ["[mtg-proxy-2443]", "[mtg-proxy-2444]"]
    assert any(e.attributes.get("href") == "/logs" for e in read(admin.get("/").get_data(as_text=True)))


def picked_user(page: str) -> str:
    return next(e.attributes["value"] for e in read(page) if e.attributes.get("id") == "user")


def test_a_user_is_found_by_a_name_or_a_part_of_it_and_of_several_one_is_chosen(
        admin: Visitor, fleet: Fleet, users: tuple[str, str]) -> None:
    for typed in ("Bob", "bob", "BÓ", users[1]):
        page = shown(admin, user=typed)
        assert lines(page) == ["[mtg-proxy-2444] Bob started 2444"] and picked_user(page) == "Bob", typed
    bobby = fleet.add_user("Bobby علی").id
    page = shown(admin, user="bo")
    assert len(lines(page)) == 3 and picked_user(page) == "bo", "of everybody, until one is chosen"
    assert "2 users match “bo”." in text(page)
    assert {f"/logs?user={users[1]}", f"/logs?user={bobby}"} <= {e.attributes.get("href") for e in read(page)}
    assert lines(shown(admin, user="Bob")) == ["[mtg-proxy-2444] Bob started 2444"], "who is called so, not who else"


def test_the_page_stays_small_with_thousands_of_users_and_offers_names_as_they_are_typed(
        admin: Visitor, fleet: Fleet) -> None:
    with fleet.file.edit() as config:
        config.proxies_stopped = True
        config.users = [User(id=f"u{number:05}", name=f"O'Brien <b> {number}", port=3000 + number,
                             secret=Secret.generate("www.example.com").hex, fake_tls_domain="www.example.com")
                        for number in range(5000)]
    assert len(admin.get("/logs").data) < 20_000
    offered = [e.attributes["value"] for e in read(admin.get("/logs/users?user=49").text)]
    assert len(offered) == 20 and offered[:3] == [f"O'Brien <b> {number}" for number in (49, 149, 249)]
    assert len(admin.get("/logs/users").data) < 2000


def test_one_users_lines_can_be_picked(admin: Visitor, users: tuple[str, str]) -> None:
    page = shown(admin, user=users[1], tail="50")
    assert lines(page) == ["[mtg-proxy-2444] Bob started 2444"]
    picked = [e.text for e in read(page) if e.tag == "option" and "selected" in e.attributes]
    assert picked == ["50"] and picked_user(page) == "Bob"
    again = {e.attributes.get("href") or e.attributes.get("hx-get") for e in read(page)}
    assert {f"/logs?user={users[1]}&tail=50", f"/logs/lines?user={users[1]}&tail=50"} <= again
    link = f"/logs?user={users[1]}"
    user_page = read(admin.get(f"/users/{users[1]}").get_data(as_text=True))
    assert any(e.attributes.get("href") == link for e in user_page)


@pytest.mark.parametrize(("asked", "count"), [("", 200), ("50", 50), ("2000", 2000), (" 300 ", 300)])
def test_as_many_lines_are_shown_as_asked_the_newest_at_the_bottom(
        admin: Visitor, fleet: Fleet, users: tuple[str, str], asked: str, count: int) -> None:
    log(fleet, 2443)[:] = [f"line {number}" for number in range(3000)]
    log(fleet, 2444).clear()
    page = shown(admin, tail=asked)
    assert lines(page) == [f"[mtg-proxy-2443] Alice line {n}" for n in range(3000 - count, 3000)]
    assert said(page) == ""
    assert [e.text for e in read(page) if e.tag == "option" and "selected" in e.attributes] == [str(count)]


@pytest.mark.parametrize("asked", ["49", "2001", "0", "-5", "many", "1e3", "200.5", "٥٠٠", "9" * 5000, "<b>",
                                   "\x00", "0x50"])
def test_a_number_of_lines_that_is_not_allowed_is_told_and_200_are_shown(
        admin: Visitor, fleet: Fleet, users: tuple[str, str], asked: str) -> None:
    log(fleet, 2443)[:] = [f"line {number}" for number in range(300)]
    page = shown(admin, tail=asked)
    assert len(lines(page)) == 200
    assert "is not allowed; allowed: a whole number from 50 to 2000" in said(page)


@pytest.mark.parametrize("asked", ["0badc0de", "Carol", "1", "<b>", "\x00", "x" * 5000])
def test_an_unknown_user_is_told_and_everybody_is_shown(
        admin: Visitor, users: tuple[str, str], asked: str) -> None:
    page = shown(admin, user=asked)
    assert len(lines(page)) == 2 and "This user does not exist" in said(page)


def test_a_quiet_log_is_told_to_be_normal(admin: Visitor, fleet: Fleet, users: tuple[str, str]) -> None:
    log(fleet, 2444).clear()
    page = text(shown(admin, user=users[1]))
    assert "Nothing was logged" in page and "That is normal: a proxy that works writes nothing." in page
    for user in users:
        fleet.remove(user)
    assert "Nothing was logged" in text(shown(admin))


def test_what_a_proxy_wrote_is_text_and_never_markup(
        admin: Visitor, fleet: Fleet, users: tuple[str, str]) -> None:
    evil = '<script>alert(1)</script><img src=x onerror=alert(2)>"\'&lt;{{7*7}}] [x] \x1b[31m'
    log(fleet, 2443)[:] = [evil, ""]
    page = shown(admin, user=users[0])
    assert [e.text for e in read(page) if e.attributes.get("class") == "log-text"] == [evil, ""]
    assert not any(e.tag == "img" or "onerror" in e.attributes for e in read(page))


def test_lines_keep_their_text_and_lines_of_nobody_are_shown_too(fleet: Fleet) -> None:
    fleet.add_user("Alice")
    found = split(["[mtg-proxy-2443] a] b", "[mtg-proxy-9] left over"], fleet.users())
    assert [(line.proxy, line.user, line.text) for line in found] == [
        ("mtg-proxy-2443", "Alice", "a] b"), ("mtg-proxy-9", "", "left over")]


def test_unchanged_lines_are_not_sent_again_and_nothing_is_stored(
        admin: Visitor, fleet: Fleet, users: tuple[str, str]) -> None:
    first = admin.get("/logs/lines")
    tag = {"If-None-Match": first.headers["ETag"]}
    second = admin.get("/logs/lines", headers=tag)
    assert (second.status_code, second.data) == (304, b"")
    assert second.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
    log(fleet, 2443).append("trouble")
    third = admin.get("/logs/lines", headers=tag)
    assert third.status_code == 200 and "trouble" in third.get_data(as_text=True)


def test_logs_that_cannot_be_read_are_told(
        admin: Visitor, fleet: Fleet, users: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[str]:
        raise Refused("the log's disk is gone")

    monkeypatch.setattr("app.control.views.logs", refuse)
    page = shown(admin)
    assert "The log's disk is gone" in said(page) and "The logs can't be read now" in text(page)
    assert "Nothing was logged" not in text(page)


def test_the_lines_of_a_link_from_before_are_their_users_too(fleet: Fleet) -> None:
    fleet.add_user("Alice")
    found = split(["[mtg-proxy-2443-1a2b3c] a", "[mtg-proxy-24430] b", "[mtg-proxy-] c"], fleet.users())
    assert [line.user for line in found] == ["Alice", "", ""]
