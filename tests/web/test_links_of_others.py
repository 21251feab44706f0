"""In the browser: a link that somebody has already, and ports in links that are not those listened on."""

from __future__ import annotations

import html

from app.mtproto.links import parse_link, tg_link
from app.mtproto.secret import Secret
from tests.support.fleet import Fleet
from tests.web.visitor import Visitor

SECRET = Secret.generate("www.example.com")


def text(page: object) -> str:
    return html.unescape(page.text)  # type: ignore[attr-defined]


def test_a_new_user_brings_their_link_along(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/users/new", {"name": "Anna", "link": tg_link("old.example", 24430, SECRET)})
    assert answer.status_code == 302, text(answer)
    (anna,) = fleet.users()
    assert (anna.secret, anna.port) == (SECRET.hex, 24430)
    page = text(admin.get(answer.headers["Location"]))
    expected = "could be kept: it leads to the server old.example, and links here to proxy.example"
    assert expected in page


def test_a_link_that_leads_here_already_need_not_be_sent_again(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/users/new", {"name": "Anna", "link": tg_link("proxy.example", 24430, SECRET)})
    assert "works here without a change" in text(admin.get(answer.headers["Location"]))


def test_what_is_no_link_is_told_beside_the_field_and_kept_there(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/users/new", {"name": "Anna", "link": "https://t.me/socks?server=a"})
    assert answer.status_code == 422 and not fleet.users()
    assert 'id="link-error"' in answer.text and "https://t.me/socks?server=a" in text(answer)
    twice = admin.post("/users/new", {"name": "Anna", "link": SECRET.hex, "domain": "www.example.org"})
    assert twice.status_code == 422 and "give either the link or the domain" in text(twice) and not fleet.users()


def test_the_port_in_a_link_is_that_of_the_user_else_that_of_all(admin: Visitor, fleet: Fleet) -> None:
    anna = fleet.add_user("Anna")
    saved = admin.post("/settings/general", {"public_port": "8443"})
    assert saved.status_code == 302, text(saved)
    assert parse_link(fleet.user(anna.id).tg_link).port == 8443
    edited = admin.post(f"/users/{anna.id}/edit", {"public_port": "9443"})
    assert edited.status_code == 302, text(edited)
    assert "The link has changed" in text(admin.get(f"/users/{anna.id}"))
    assert (parse_link(fleet.user(anna.id).tg_link).port, fleet.user(anna.id).port) == (9443, anna.port)
    wrong = admin.post(f"/users/{anna.id}/edit", {"public_port": "70000"})
    assert wrong.status_code == 422 and 'id="public_port-error"' in wrong.text
