"""Channels of notifications by the API: what they hold is told, but for the secret, and nobody's change is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.accounts.actor import CLI
from app.actions import notifications
from tests.api.program import Program
from tests.support.sinks import Sink

SECRET = "the key that signs"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    yield sink
    sink.stop()


@pytest.fixture
def hook(ada: Program, sink: Sink) -> str:
    """The id of a channel that leads to the sink."""
    made = ada.post("/channels", {"kind": "webhook", "name": "Hook", "url": f"{sink.url}/in", "secret": SECRET,
                                  "events": ["proxy_down", "expiring"]})
    assert made.status_code == 201 and made.headers["Location"] == f"/api/v1/channels/{made.json['id']}"
    return made.json["id"]


def codes(answer) -> dict[str, str]:
    return {error["field"]: error["code"] for error in answer.json["errors"]}


def test_a_channel_is_made_read_changed_tested_and_removed(ada, hook, sink, fleet):
    read = ada.get(f"/channels/{hook}").json
    assert read["declared"] == {"name": "Hook", "enabled": True, "events": ["proxy_down", "expiring"], "digest": "off",
                                "digest_hour": 9, "language": "en", "url": f"{sink.url}/in"}
    assert read["has_secret"] is True and read["troubles"] == [] and ada.get("/channels").json == [read]
    assert ada.post(f"/channels/{hook}/test").status_code == 204
    assert len(sink.received) == 1
    changed = ada.patch(f"/channels/{hook}", {"events": [], "digest": "daily", "enabled": False})
    assert changed.status_code == 200
    assert changed.json["declared"]["events"] == [] and changed.json["declared"]["enabled"] is False
    assert fleet.config().notifications[0].secret == SECRET, "what is not sent stays"
    assert ada.delete(f"/channels/{hook}").status_code == 204 and ada.get(f"/channels/{hook}").status_code == 404
    assert {"channel.added", "channel.changed", "channel.removed"} <= {event.action for event in fleet.events()}


def test_a_telegram_bot_and_a_mailbox_have_numbers_and_lists_as_json_has_them(ada, fleet):
    bot = ada.post("/channels", {"kind": "telegram", "name": "Bot", "secret": "1:" + "a" * 35, "chats": [5, -100123],
                                 "bot": "viewer"})
    assert bot.status_code == 201 and bot.json["declared"]["chats"] == [5, -100123]
    mail = ada.post("/channels", {"kind": "email", "name": "Mail", "host": "mail.example", "port": 465,
                                  "security": "tls", "recipients": ["a@example.com", "b@example.com"]})
    assert mail.status_code == 201 and mail.json["declared"]["recipients"] == ["a@example.com", "b@example.com"]
    assert mail.json["has_secret"] is False
    for made in (bot.json, mail.json):
        again = ada.patch(f"/channels/{made['id']}", made["declared"])
        assert again.status_code == 200 and again.json == made, "what it says of itself can be sent back"


def test_a_secret_is_in_no_answer_in_no_version_and_in_no_key(ada, hook, fleet):
    answers = [ada.get("/channels"), ada.get(f"/channels/{hook}"), ada.patch(f"/channels/{hook}", {"name": "Other"}),
               ada.patch(f"/channels/{hook}", {"secret": SECRET, "port": 5}),
               ada.post("/channels", {"kind": "webhook", "name": "b", "secret": SECRET, "url": "no address"}),
               ada.post("/channels", {"kind": "telegram", "name": "b", "secret": SECRET, "chats": [1]})]
    assert not [each for each in answers if SECRET in each.get_data(as_text=True)]
    assert ada.post("/channels", {"kind": "ntfy", "name": "n", "url": "https://ntfy.example/x", "secret": "weak"},
                    headers={"Idempotency-Key": "k"}).status_code == 201
    config = fleet.config()
    from app.rules import seen

    for channel, told in zip(config.notifications, ada.get("/channels").json, strict=True):
        assert told["version"] != seen.version(channel), "whoever reads it could guess at a weak password"


def test_a_secret_can_be_replaced_and_taken_away_and_goes_to_no_other_server(ada, hook, fleet):
    path = f"/channels/{hook}"
    moved = ada.patch(path, {"url": "https://elsewhere.example/"})
    assert moved.status_code == 422 and codes(moved) == {"secret": "channel.secret_again"}
    assert ada.patch(path, {"url": "https://elsewhere.example/", "secret": "new"}).status_code == 200
    assert fleet.config().notifications[0].secret == "new"
    gone = ada.patch(path, {"secret": None})
    assert gone.status_code == 422 and codes(gone) == {"secret": "channel.needed"}, "a webhook is signed"


def test_everything_that_is_wrong_is_said_at_once(ada, fleet):
    wrong = ada.post("/channels", {"kind": "pigeon", "name": "x"})
    assert wrong.status_code == 422 and codes(wrong) == {"kind": "api.type"}
    wrong = ada.post("/channels", {"kind": "ntfy", "name": " ", "url": "ftp://x", "chats": [1], "digest_hour": 24})
    assert wrong.status_code == 422 and set(codes(wrong)) == {"name", "url", "chats", "digest_hour"}
    wrong = ada.post("/channels", {"kind": "telegram", "name": "x", "events": ["proxy_down", "rain"], "chats": ["1"]})
    assert wrong.status_code == 422 and codes(wrong) == {"events": "api.type", "chats": "api.type"}
    assert fleet.config().notifications == []


def test_two_scripts_that_change_one_channel_never_lose_an_update(ada, hook, fleet):
    read = ada.get(f"/channels/{hook}")
    notifications.change_channel(fleet, CLI, hook, {"secret": "of somebody else"})
    old = {"If-Match": read.headers["ETag"]}
    for answer in (ada.patch(f"/channels/{hook}", {"name": "Mine"}, headers=old),
                   ada.patch(f"/channels/{hook}", {}, headers=old), ada.delete(f"/channels/{hook}", headers=old)):
        assert answer.status_code == 412 and answer.json["code"] == "stale.version"
    assert fleet.config().notifications[0].secret == "of somebody else"
    assert ada.patch(f"/channels/{hook}", {"name": "Mine"}).status_code == 200, "without If-Match fields are merged"
    assert ada.delete(f"/channels/{hook}", headers={"If-Match": "*"}).status_code == 204


def test_a_key_twice_makes_one_channel(ada, fleet):
    sent = {"kind": "ntfy", "name": "n", "url": "https://ntfy.example/x", "secret": "weak"}
    twice = [ada.post("/channels", sent, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert [each.status_code for each in twice] == [201, 201] and twice[0].json == twice[1].json
    other = ada.post("/channels", {**sent, "secret": "other"}, headers={"Idempotency-Key": "k"})
    assert other.status_code == 422 and codes(other) == {"Idempotency-Key": "key.other"}


def test_a_test_that_does_not_arrive_says_why(ada, hook, sink):
    sink.stop()
    answer = ada.post(f"/channels/{hook}/test")
    assert answer.status_code == 409 and answer.json["errors"][0]["code"].startswith("notify."), answer.json


def test_channels_are_for_owners(ada, hook, program):
    for each in (program("users", "Ada"), program("users", "Olga"), program("read")):
        assert each.get("/channels").status_code == 403 == each.get(f"/channels/{hook}").status_code
