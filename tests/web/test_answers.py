"""What goes over the line: compressed, and nothing where nothing has changed."""

from __future__ import annotations

import gzip

import pytest
from werkzeug.test import TestResponse as Response

from tests.support.fleet import Fleet
from tests.web.html import read
from tests.web.visitor import Visitor

LIVE = {"HX-Request": "true"}


@pytest.fixture
def everybody(fleet: Fleet) -> list[str]:
    return [fleet.add_user(name).id for name in ("Alice", "Bob", "Carol")]


def test_pages_scripts_and_styles_are_compressed_for_who_takes_it(admin: Visitor, everybody: list[str]) -> None:
    for path in ("/users", "/static/panel.js", "/login"):
        answer = admin.get(path, headers={"Accept-Encoding": "br, gzip"}, follow_redirects=True)
        plain = admin.get(path, follow_redirects=True)
        assert answer.headers["Content-Encoding"] == "gzip" and "Accept-Encoding" in answer.headers["Vary"]
        assert len(answer.data) < len(plain.data) * 0.6 and answer.content_length == len(answer.data)
        assert "Content-Encoding" not in plain.headers
        assert gzip.decompress(answer.data)[:40] == plain.data[:40]
    assert "Content-Encoding" not in admin.get("/users", headers={"Accept-Encoding": "gzip;q=0"}).headers
    assert "Content-Encoding" not in admin.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_site_asks_for_is_not_compressed(admin: Visitor, everybody: list[str], site: str) -> None:
    """The length of a compressed page would tell that site whether its guess of a secret stands in it."""
    answer = admin.get("/users?q=guess", headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": site})
    assert answer.status_code == 200 and "Content-Encoding" not in answer.headers
    ours = admin.get("/users?q=guess", headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin"})
    assert ours.headers["Content-Encoding"] == "gzip"


def test_no_page_that_repeats_what_was_asked_holds_a_link(admin: Visitor, fleet: Fleet, everybody: list[str]) -> None:
    page = admin.get("/users?q=guess-of-a-secret&size=200").get_data(as_text=True)
    assert "guess-of-a-secret" in page
    page = admin.get("/users").get_data(as_text=True)
    assert all(user.name in page and user.secret not in page for user in fleet.users())


def test_a_live_part_that_is_as_it_was_is_not_sent_again(
        admin: Visitor, fleet: Fleet, everybody: list[str]) -> None:
    for path in ("/users/list", "/status", f"/users/{everybody[0]}/state"):
        first = admin.get(path, headers={**LIVE, "Accept-Encoding": "gzip"})
        again = admin.get(path, headers={**LIVE, "Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b""), path
        assert first.headers["Cache-Control"] == again.headers["Cache-Control"] == "no-store"
    tag = admin.get("/users/list", headers=LIVE).headers["ETag"]
    fleet.disable(everybody[0])
    assert admin.get("/users/list", headers={**LIVE, "If-None-Match": tag}).status_code == 200


def test_of_a_list_only_rows_that_are_others_now_are_sent(admin: Visitor, fleet: Fleet) -> None:
    with fleet.file.edit() as config:
        config.proxies_stopped = True
    ids = [fleet.add_user(f"Number {number}").id for number in range(30)]
    page = read(admin.get("/users").get_data(as_text=True))
    tag, = (e.attributes["data-tag"] for e in page if e.attributes.get("id") == "list")

    def refresh(tag: str) -> tuple[list[str], str, Response]:
        answer = admin.get("/users/list", headers={**LIVE, "If-None-Match": tag})
        rows = [e.attributes["id"].removeprefix("user-") for e in read(answer.get_data(as_text=True)) if e.tag == "tr"
                and e.attributes.get("id")]
        return rows, answer.headers["ETag"], answer

    assert refresh(tag)[2].status_code == 304, "what stands in the page is known"
    fleet.disable(ids[7])
    rows, tag, answer = refresh(tag)
    assert rows == [ids[7]] and answer.headers["HX-Reswap"] == "none" and len(answer.data) < 2000
    assert refresh(tag)[2].status_code == 304
    with fleet.file.edit() as config:
        for user in config.users:
            user.note = "moved"
    rows, tag, answer = refresh(tag)
    assert rows == ids and refresh(tag)[2].status_code == 304
    fleet.remove(ids[0])
    for old in (tag, 'W/"of another day"'):
        rows, _, answer = refresh(old)
        assert "HX-Reswap" not in answer.headers and rows == ids[1:], "then all of it is sent"


def test_a_whole_page_is_always_sent(admin: Visitor, everybody: list[str]) -> None:
    assert "ETag" not in admin.get("/users").headers
    assert admin.get("/users", headers={"If-None-Match": "*"}).status_code == 200


def test_a_script_that_is_compressed_is_known_again(admin: Visitor) -> None:
    answer = admin.get("/static/panel.js", headers={"Accept-Encoding": "gzip"})
    again = admin.get("/static/panel.js", headers={"Accept-Encoding": "gzip", "If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    assert "Accept-Ranges" not in answer.headers
