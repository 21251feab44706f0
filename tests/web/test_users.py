"""What the pages about users show and do."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from tests.support.fleet import Fleet
from tests.web.html import read, text, value_of
from tests.web.visitor import Visitor

GOOD = {"name": "Alice", "domain": "www.example.com", "limit_gb": "10", "speed_mbps": "2,5",
        "expires": "2099-01-31", "note": "on the phone"}

BAD = [
    ("name", "", "A name is needed"),
    ("name", "bob", "there is a user 'Bob' already"),
    ("name", "x" * 300, "the name has 300 characters; 64 are allowed"),
    ("name", "a\x07b", "control character"),
    ("name", "a\u202eb", "reverses the direction"),
    ("domain", "not a domain", "'not a domain'"),
    ("domain", "127.0.0.1", "127.0.0.1"),
    ("domain", "x" * 300 + ".example.com", "at most"),
    ("limit_gb", "-1", "the traffic limit '-1' is not allowed"),
    ("limit_gb", "ten", "the traffic limit 'ten' is not allowed"),
    ("limit_gb", "nan", "the traffic limit 'nan' is not allowed"),
    ("limit_gb", "1e9", "the traffic limit '1e9' is not allowed"),
    ("speed_mbps", "-0.5", "the speed '-0.5' is not allowed"),
    ("speed_mbps", "9999999", "the speed '9999999' is not allowed"),
    ("expires", "2001-01-01", "is in the past"),
    ("expires", "2027-02-30", "is not a date"),
    ("expires", "soon", "is not a date"),
    ("note", "x" * 1001, "the note has 1001 characters"),
]


@pytest.fixture
def bob(fleet: Fleet) -> str:
    return fleet.add_user("Bob").id


def test_adding_a_user_shows_the_link_to_send(admin: Visitor, fleet: Fleet) -> None:
    answer = admin.post("/users/new", GOOD, follow_redirects=True)
    user = fleet.user("Alice")
    assert answer.request.path == f"/users/{user.id}"
    page = read(answer.get_data(as_text=True))
    links = [e.attributes["value"] for e in page if e.tag == "input" and "data-select" in e.attributes]
    assert links == [user.tme_link, user.tg_link]
    assert (user.domain, user.own_limit_gb, user.own_speed_mbps, user.note) == (
        "www.example.com", 10, 2.5, "on the phone")
    assert user.expires_at.startswith("2099-02-01T00:00"), "the 31st is the last day"
    assert user.state == "running"
    events = fleet.ledger.events.recent()
    assert any(e.actor == "admin:ada" and e.action == "user.added" and e.subject == "Alice" for e in events)


def test_a_name_is_all_that_is_needed(admin: Visitor, fleet: Fleet) -> None:
    admin.post("/users/new", {"name": "  Alice  "})
    user = fleet.user("Alice")
    assert (user.own_limit_gb, user.own_speed_mbps, user.expires_at, user.note) == (0, 0, None, "")


@pytest.mark.parametrize(("field", "value", "message"), BAD)
def test_bad_input_comes_back_beside_its_field_with_everything_that_was_typed(
        admin: Visitor, bob: str, declaration: Path, field: str, value: str, message: str) -> None:
    before = declaration.read_bytes()
    if field == "name" and value == "bob":
        fields_of = {"/users/new": GOOD | {"name": "bob"}}
    else:
        fields_of = {path: GOOD | {field: value} for path in ("/users/new", f"/users/{bob}/edit")}
    for path, typed in fields_of.items():
        answer = admin.post(path, typed)
        page = answer.get_data(as_text=True)
        assert answer.status_code == 422, path
        error = next(e for e in read(page) if e.attributes.get("id") == f"{field}-error")
        assert message.lower() in error.text.lower()
        control = next(e for e in read(page) if e.attributes.get("id") == field)
        assert control.attributes["aria-invalid"] == "true" and "autofocus" in control.attributes
        assert f"{field}-error" in control.attributes["aria-describedby"]
        assert {name: value_of(page, name) for name in typed} == typed
    assert declaration.read_bytes() == before


@pytest.mark.parametrize("body", [b"name=%ff%fe", b"name=%00", b"name=%ED%A0%80x", b"name[]=a", b"", b"%",
                                  b"name=a&name=b&name="])
def test_mangled_forms_are_never_a_500(admin: Visitor, bob: str, body: bytes) -> None:
    token = admin.token().encode()
    for path in ("/users/new", f"/users/{bob}/edit", f"/users/{bob}/disable"):
        answer = admin.client.post(path, data=b"csrf_token=" + token + b"&" + body,
                                   content_type="application/x-www-form-urlencoded")
        assert answer.status_code in (302, 400, 422), (path, body)
        assert admin.get("/users").status_code == 200


def test_the_edit_form_starts_with_what_is_declared_and_saving_it_changes_nothing(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    user = fleet.add_user("Alice", limit_gb="0.1", speed_mbps="2", expires="2099-05-06T18:30", note="n")
    page = admin.get(f"/users/{user.id}/edit").get_data(as_text=True)
    shown = {name: value_of(page, name) for name in GOOD}
    assert shown == {"name": "Alice", "domain": user.domain, "limit_gb": "0.1", "speed_mbps": "2",
                     "expires": "2099-05-06", "note": "n"}
    before = declaration.read_bytes()
    answer = admin.post(f"/users/{user.id}/edit", shown, follow_redirects=True)
    assert "Nothing was changed" in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == before, "the time of day of the expiry is kept too"


def test_editing_changes_what_differs_and_keeps_the_link(admin: Visitor, fleet: Fleet, bob: str) -> None:
    before = fleet.user(bob)
    runs = fleet.runtime.observe()
    admin.post(f"/users/{bob}/edit", {"name": "Robert", "domain": before.domain, "limit_gb": "5",
                                      "speed_mbps": "", "expires": "", "note": "renamed"})
    after = fleet.user(bob)
    assert (after.name, after.own_limit_gb, after.note) == ("Robert", 5, "renamed")
    assert after.tg_link == before.tg_link
    assert fleet.runtime.observe() == runs, "nothing was restarted"


def test_limits_and_expiry_can_be_cleared_again(admin: Visitor, fleet: Fleet) -> None:
    user = fleet.add_user("Alice", limit_gb="5", speed_mbps="2", expires="2099-01-31", note="n")
    admin.post(f"/users/{user.id}/edit", {"name": "Alice", "domain": user.domain, "limit_gb": "",
                                          "speed_mbps": "", "expires": "", "note": ""})
    after = fleet.user(user.id)
    assert (after.own_limit_gb, after.own_speed_mbps, after.expires_at, after.note) == (0, 0, None, "")


def test_disable_and_enable_from_the_list_and_from_the_page(admin: Visitor, fleet: Fleet, bob: str) -> None:
    assert admin.post(f"/users/{bob}/disable", {"back": "q=o&page=2"}).location == f"/users?q=o&page=2#user-{bob}"
    assert fleet.user(bob).state == "disabled"
    page = admin.get(f"/users/{bob}").get_data(as_text=True)
    assert "This link does not work while the user is disabled." in text(page)
    assert admin.post(f"/users/{bob}/enable").location == f"/users/{bob}"
    assert fleet.user(bob).state == "running"


def test_rotating_asks_first_and_then_the_old_link_is_gone(admin: Visitor, fleet: Fleet, bob: str) -> None:
    old = fleet.user(bob)
    question = text(admin.get(f"/users/{bob}/rotate").get_data(as_text=True))
    assert "Give Bob a new link?" in question and "The current link stops working at once" in question
    page = admin.post(f"/users/{bob}/rotate", follow_redirects=True).get_data(as_text=True)
    new = fleet.user(bob)
    assert new.secret != old.secret and new.domain == old.domain and new.port == old.port
    assert old.secret not in page and new.tg_link.replace("&", "&amp;") in page


def test_deleting_asks_with_the_name_and_leaves_the_others_alone(
        admin: Visitor, fleet: Fleet, bob: str) -> None:
    alice = fleet.add_user("Alice")
    assert "Delete Bob?" in text(admin.get(f"/users/{bob}/remove").get_data(as_text=True))
    page = admin.post(f"/users/{bob}/remove", follow_redirects=True).get_data(as_text=True)
    assert "Bob is deleted." in text(page)
    assert fleet.users() == [alice]
    assert admin.get(f"/users/{bob}").status_code == 404
    assert admin.post(f"/users/{bob}/enable").status_code == 404


def test_the_qr_code_is_the_app_link(admin: Visitor, fleet: Fleet, bob: str, tmp_path: Path) -> None:
    answer = admin.get(f"/users/{bob}/qr.png")
    assert answer.mimetype == "image/png" and "attachment" in answer.headers["Content-Disposition"]
    (tmp_path / "qr.png").write_bytes(answer.data)
    image = Image.open(tmp_path / "qr.png")
    assert min(image.size) >= 300
    assert [code.text for code in zxingcpp.read_barcodes(image)] == [fleet.user(bob).tg_link]
    assert admin.get(f"/users/{bob}/qr.svg").mimetype == "image/svg+xml"


def test_empty_pages_say_what_to_do_first(admin: Visitor) -> None:
    for path in ("/", "/users"):
        page = admin.get(path).get_data(as_text=True)
        assert any(e.tag == "a" and e.attributes["href"] == "/users/new" for e in read(page))
    assert "Running 0 of 0" in text(admin.get("/").get_data(as_text=True))


EVIL = '<script>alert(1)</script>"\'><img src=x onerror=alert(2)>{{7*7}}'


def test_names_and_notes_are_text_and_never_markup(admin: Visitor, fleet: Fleet) -> None:
    user = fleet.add_user(EVIL, note=EVIL)
    paths = ["/", "/status", "/users", "/users/list", "/users?q=" + EVIL, "/logs", "/logs?user=" + EVIL, *(
        f"/users/{user.id}{rest}" for rest in ("", "/state", "/edit", "/rotate", "/restart", "/remove"))]
    pages = [admin.get(path).get_data(as_text=True) for path in paths]
    pages.append(admin.post(f"/users/{user.id}/disable", follow_redirects=True).get_data(as_text=True))
    pages.append(admin.post("/users/new", {"name": EVIL}).get_data(as_text=True))
    for page in pages:
        assert all(e.attributes.get("src", "").startswith("/static/") for e in read(page) if e.tag == "script")
        assert not any("onerror" in e.attributes for e in read(page))
    assert EVIL in text(pages[0])


def test_a_proxy_that_does_not_start_says_why_on_every_page(
        admin: Visitor, fleet: Fleet, bob: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.runtimes.base import RuntimeFailure

    def busy(name: str) -> None:
        raise RuntimeFailure("port 2444 is taken by another program (nginx, pid 123)")

    monkeypatch.setattr(fleet.runtime, "start", busy)
    page = text(admin.post("/users/new", {"name": "Alice"}, follow_redirects=True).get_data(as_text=True))
    assert "Failed" in page and "Port 2444 is taken by another program (nginx, pid 123)" in page
    dashboard = text(admin.get("/").get_data(as_text=True))
    assert "Running 1 of 2" in dashboard and "AlicePort 2444 is taken by another program" in dashboard


def test_a_broken_configuration_is_told_and_the_pages_stay(
        admin: Visitor, bob: str, declaration: Path) -> None:
    admin.get("/")
    declaration.write_text(declaration.read_text().replace('"port": 2443', '"port": "many"'))
    broken = declaration.read_bytes()
    dashboard = admin.get("/")
    assert dashboard.status_code == 200 and "'many' is not allowed" in text(dashboard.get_data(as_text=True))
    answer = admin.post("/users/new", {"name": "Alice"})
    assert answer.status_code == 422 and "'many' is not allowed" in text(answer.get_data(as_text=True))
    answer = admin.post(f"/users/{bob}/remove", follow_redirects=True)
    assert answer.status_code == 200 and "'many' is not allowed" in text(answer.get_data(as_text=True))
    assert declaration.read_bytes() == broken


def test_a_guessed_server_address_is_told_where_the_link_is(admin: Visitor, fleet: Fleet, bob: str) -> None:
    assert "server_ip" not in text(admin.get(f"/users/{bob}").get_data(as_text=True))
    fleet.set_settings({"server_domain": ""})
    for path in ("/", f"/users/{bob}"):
        assert "server_ip" in text(admin.get(path).get_data(as_text=True))


def test_an_expired_user_is_told_apart_from_a_disabled_one(
        admin: Visitor, fleet: Fleet, declaration: Path) -> None:
    user = fleet.add_user("Alice", expires="2099-01-31")
    yesterday = (date.today() - timedelta(days=1)).isoformat()
    declaration.write_text(declaration.read_text().replace("2099-02-01", yesterday))
    page = text(admin.get(f"/users/{user.id}").get_data(as_text=True))
    assert "Expired" in page and "This link has stopped working" in page


def test_a_user_whose_proxy_does_not_start_is_not_promised_a_link_that_works(
        admin: Visitor, fleet: Fleet) -> None:
    fleet.runtime.machine.fail("start", "mtg-proxy-2443", "port 2443 is taken by nginx, pid 123")
    page = text(admin.post("/users/new", {"name": "Alice"}, follow_redirects=True).get_data(as_text=True))
    assert "Alice is added, but the proxy does not run yet: port 2443 is taken by nginx, pid 123" in page
    assert "Send the link" not in page and "This link does not work now" in page


def test_one_day_after_the_first_use_is_one_day(admin: Visitor, fleet: Fleet) -> None:
    user = fleet.add_user("Alice", expires_after_days="1")
    assert "1 day after the first use" in text(admin.get(f"/users/{user.id}").get_data(as_text=True))
    assert "1 day from the first use" in text(admin.get("/users").get_data(as_text=True))


def test_a_refusal_calls_a_setting_as_the_settings_do(admin: Visitor) -> None:
    page = text(admin.post("/users/new", {"name": "Ann", "max_unique_ips": "many"}).get_data(as_text=True))
    assert "'many' is not allowed" in page and "max_unique_ips" not in page
