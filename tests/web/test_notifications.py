"""The pages of the notifications: for owners, with secrets that are typed and never shown."""

from __future__ import annotations

import html
from collections.abc import Iterator

import pytest

from app import create_app
from app.messages import Problem
from tests.support.sinks import Sink
from tests.web.visitor import Visitor

ODD = 'O\'Brien <b>"&\\'


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.stop()


def add(admin: Visitor, sink: Sink, **fields: str) -> None:
    answer = admin.post("/notifications/new/webhook", {
        "name": ODD, "enabled": "y", "events": ["expired", "update"], "digest": "weekly", "digest_hour": "7",
        "language": "ru", "url": f"{sink.url}/x", "secret": "hush-hush", **fields})
    assert answer.status_code == 302, answer.get_data(as_text=True)


def test_a_channel_is_added_tested_changed_and_removed(admin, fleet, sink) -> None:
    assert "Webhook" in admin.get("/notifications").get_data(as_text=True)
    add(admin, sink)
    channel, = fleet.config().notifications
    assert (channel.name, channel.events, channel.digest, channel.digest_hour, channel.language, channel.secret) == (
        ODD, ["expired", "update"], "weekly", 7, "ru", "hush-hush")
    page = admin.post(f"/notifications/{channel.id}/test", follow_redirects=True).get_data(as_text=True)
    assert "The test was sent by" in page and "Это проверка" in sink.received[0].json()["text"]
    form = {"name": "Other", "events": ["expired"], "digest": "off", "digest_hour": "7", "language": "en",
            "url": f"{sink.url}/x", "secret": ""}
    assert admin.post(f"/notifications/{channel.id}", form).status_code == 302
    channel, = fleet.config().notifications
    assert (channel.name, channel.events, channel.enabled, channel.secret) == ("Other", ["expired"], False, "hush-hush")
    assert "Remove Other?" in admin.get(f"/notifications/{channel.id}/remove").get_data(as_text=True)
    assert admin.post(f"/notifications/{channel.id}/remove").status_code == 302
    assert fleet.config().notifications == []
    assert [event.action for event in fleet.events(limit=3)] == ["channel.removed", "channel.changed", "channel.added"]


def test_a_secret_is_shown_nowhere_and_goes_to_no_other_place_unless_it_is_typed_again(admin, fleet, sink) -> None:
    add(admin, sink)
    channel, = fleet.config().notifications
    pages = [admin.get(path).get_data(as_text=True) for path in (
        "/notifications", f"/notifications/{channel.id}", f"/notifications/{channel.id}/remove", "/events",
        "/settings")]
    assert not [page for page in pages if "hush-hush" in page]
    moved = {"name": ODD, "events": ["expired", "update"], "digest": "weekly", "digest_hour": "7", "language": "ru",
             "url": "http://evil.example/", "secret": "", "enabled": "y"}
    answer = admin.post(f"/notifications/{channel.id}", moved)
    assert answer.status_code == 422 and 'id="secret-error"' in answer.get_data(as_text=True)
    assert fleet.config().notifications[0].url == f"{sink.url}/x"
    assert admin.post(f"/notifications/{channel.id}", moved | {"secret": "other"}).status_code == 302


def test_why_a_test_did_not_arrive_is_said_in_words(admin, fleet, sink) -> None:
    add(admin, sink)
    sink.answer = lambda request: (403, {}, b"<script>")
    page = admin.post(f"/notifications/{fleet.config().notifications[0].id}/test",
                      follow_redirects=True).get_data(as_text=True)
    assert "the token or key is wrong" in page and "<script>alert" not in page


def test_a_channel_that_can_t_be_reached_says_so_there_and_on_the_dashboard(admin, fleet, sink) -> None:
    add(admin, sink)
    box = fleet.config().notifications[0].id
    fleet.ledger.letters.failed(box, Problem("notify.timeout", {"host": "h.example"}), 1.0, 1)
    assert "H.example does not answer in time" in admin.get("/notifications").get_data(as_text=True) or \
        "h.example does not answer in time" in admin.get("/notifications").get_data(as_text=True)
    dashboard = html.unescape(admin.get("/").get_data(as_text=True))
    assert f"Notifications by {ODD} can't be sent: h.example does not answer in time" in dashboard


@pytest.mark.parametrize(("kind", "fields", "wrong"), [
    ("telegram", {"secret": "no token", "chats": "ann"}, ("secret", "chats")),
    ("telegram", {"chats": "99999999999999999999"}, ("secret", "chats")),
    ("email", {"host": "bad host", "port": "0", "recipients": "ann@"}, ("host", "port", "recipients")),
    ("email", {"host": "mail.example", "recipients": "a@b.example", "username": "ann\nBcc: x"}, ("username",)),
    ("webhook", {"url": "file:///etc/passwd"}, ("url", "secret")),
    ("ntfy", {"url": "ftp://x", "digest_hour": "24", "language": "xx", "events": "all"},
     ("url", "digest_hour", "language", "events")),
])
def test_what_is_wrong_stands_beside_its_field(admin, fleet, kind, fields, wrong) -> None:
    answer = admin.post(f"/notifications/new/{kind}", {"name": "N", "digest_hour": "9", "port": "587", "language": "en",
                                                       "digest": "off", "security": "tls", "bot": "off", **fields})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422 and fleet.config().notifications == []
    assert [field for field in wrong if f'id="{field}-error"' not in page] == []


def test_only_owners_see_them_and_the_link_to_them(fleet, sink) -> None:
    fleet.create_admin("bob", "another long password")
    visitor = Visitor(create_app(fleet).test_client())
    visitor.login("bob", "another long password")
    assert "/notifications" not in visitor.get("/").get_data(as_text=True)
    assert visitor.get("/notifications").status_code == 403
    assert visitor.post("/notifications/new/webhook", {"name": "N", "url": sink.url, "secret": "k"}).status_code == 403
    assert visitor.post("/notifications/x/test").status_code == 403 and fleet.config().notifications == []


@pytest.mark.parametrize("path", ["/notifications/nobody", "/notifications/nobody/test",
                                  "/notifications/nobody/remove", "/notifications/new/pigeon"])
def test_a_channel_that_is_gone_is_no_page(admin, path) -> None:
    assert admin.post(path).status_code == 404
