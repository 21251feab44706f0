"""The operator's bot: who is answered, what is carried out, once, and what is asked before. With a stand-in of the Bot
API."""

from __future__ import annotations

import io
import time
from email.utils import formatdate

import pytest
import zxingcpp
from PIL import Image

from app.config.channels import Channel
from app.notify import bot as bots
from app.notify.bot import Bots, Listener
from tests.support.fleet import Fleet
from tests.support.sinks import BotApi

ODD = "O'Brien <b>\"&\\ [x](y) _z_"


def declare(fleet: Fleet, api: BotApi, **fields: object) -> None:
    with fleet.file.edit() as config:
        config.notifications.append(Channel.model_validate({
            "name": "Bot", "kind": "telegram", "secret": api.TOKEN, "url": api.url, "chats": [7, 8, -100],
            "bot": "operator", **fields}))


@pytest.fixture
def listener(fleet: Fleet, api: BotApi) -> Listener:
    declare(fleet, api)
    return Listener(fleet, api.TOKEN, poll=0)


def answers(listener: Listener, api: BotApi, *texts: str, **how: int) -> list[str]:
    """What the bot says to these."""
    before = len(api.sent)
    for text in texts:
        api.say(text, **how)
    assert listener.once()
    return [one.get("text") or one["caption"] for one in api.sent[before:]]


def press(listener: Listener, api: BotApi, which: int, **how: int) -> str:
    """Press a button of the last question."""
    keyboard = [one["reply_markup"] for one in api.sent if "reply_markup" in one][-1]
    api.press(keyboard["inline_keyboard"][0][which]["callback_data"], **how)
    listener.once()
    return api.texts()[-1]


class TestCommands:
    def test_the_state_of_all_and_a_search(self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        for name in ("Ann", "Anna", ODD):
            fleet.add_user(name, limit_gb="5")
        state, found, odd, nobody = answers(listener, api, "/status", "/find ann", "/find o'brien", "/find zoe")
        assert "Proxies that run: 3 of 3" in state and "Ann: " in found and "Anna: " in found
        assert odd.startswith(ODD) and "of 5 GB" in odd
        assert nobody == "Nobody is found for 'zoe'."
        assert all("parse_mode" not in one for one in api.sent)

    def test_a_user_is_added_and_the_picture_holds_the_link(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        said, = answers(listener, api, f"/add {ODD}; 50; 30")
        user = fleet.user(ODD)
        assert (user.limit_gb, user.expires_after_days) == (50, 30)
        assert said == f"{ODD} is added.\n{user.tme_link}"
        picture = Image.open(io.BytesIO(api.sent[-1]["photo"]))
        assert zxingcpp.read_barcodes(picture)[0].text == user.tg_link
        assert answers(listener, api, f"/link {ODD}") == [f"{ODD}\n{user.tme_link}"]
        assert "already" in answers(listener, api, f"/add {ODD}")[0] or fleet.config().users[1:] == []
        event = next(each for each in fleet.events() if each.action == "user.added")
        assert (event.actor, event.subject) == ("bot:7", ODD)

    def test_what_interrupts_people_is_asked_first_and_done_once(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        fleet.add_user("Ann")
        assert "Disable Ann?" in answers(listener, api, "/disable Ann")[0] and fleet.user("Ann").enabled
        assert press(listener, api, 1) == "Nothing was changed." and fleet.user("Ann").enabled
        answers(listener, api, "/disable Ann")
        assert press(listener, api, 0) == "Ann is disabled." and not fleet.user("Ann").enabled
        assert answers(listener, api, "/enable ann") == ["Ann is enabled."]
        assert press(listener, api, 0) == "This question is over. Send the command again."
        assert fleet.user("Ann").enabled
        answers(listener, api, "/reset Ann")
        assert press(listener, api, 0) == "The traffic of Ann counts from 0 again."

    def test_a_part_of_a_name_locks_nobody_out(self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        fleet.add_user("Anna Maria")
        assert "Did you mean: Anna Maria" in answers(listener, api, "/disable anna")[0]

    @pytest.mark.parametrize("text", ["/add", "/add ; 5", "/add Ann; much", "/add Ann; 5; 3; x", "/link", "/disable",
                                      "/add " + "x" * 4000, "/find \ud83e", "/reset \u202e", "/find " + "🦊" * 2000,
                                      "/", "/unknown", "/help", "/add Ann; 1e300; -5"])
    def test_odd_input_is_answered_and_changes_nothing(
            self, fleet: Fleet, api: BotApi, listener: Listener, text: str) -> None:
        said, = answers(listener, api, text)
        assert 0 < len(said) <= 4096 and fleet.users() == []

    def test_many_users_fit_into_a_message(self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        for number in range(12):
            fleet.add_user(f"{number} " + "🦊" * 60)
        said, = answers(listener, api, "/find 🦊")
        assert "and 2 more" in said and len(said.encode("utf-16-le")) // 2 <= 4096

    def test_it_speaks_the_channel_s_language(self, fleet: Fleet, api: BotApi) -> None:
        declare(fleet, api, language="ru")
        assert "Нужно только имя" in answers(Listener(fleet, api.TOKEN, 0), api, "/add")[0]


class TestWhoIsAnswered:
    def test_others_are_answered_nothing_at_all(self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        fleet.add_user("Ann")
        assert answers(listener, api, "/status", "/disable Ann", chat=99) == []
        assert answers(listener, api, "/status", chat=-100, sender=99) == [], "a member of the group who is not listed"
        assert answers(listener, api, "/status", chat=-999, sender=7) == [], "another group"

    def test_in_a_group_a_listed_person_is_answered_and_no_link_is_shown(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        fleet.add_user("Ann")
        assert "Proxies that run" in answers(listener, api, "/status", chat=-100, sender=7)[0]
        assert "private chat" in answers(listener, api, "/link Ann", chat=-100, sender=7)[0]
        assert answers(listener, api, "/add Bob", chat=-100, sender=7) == ["Bob is added."]

    def test_nobody_else_answers_a_question(self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        fleet.add_user("Ann")
        answers(listener, api, "/disable Ann", chat=7)
        before = len(api.sent)
        data = api.sent[-1]["reply_markup"]["inline_keyboard"][0][0]["callback_data"]
        api.press(data, chat=99)
        api.press(data, chat=8)
        listener.once()
        assert api.texts()[before:] == ["This question is over. Send the command again."]
        assert fleet.user("Ann").enabled

    def test_who_may_only_look_changes_nothing_and_sees_no_link(self, fleet: Fleet, api: BotApi) -> None:
        declare(fleet, api, bot="viewer")
        fleet.add_user("Ann")
        listener = Listener(fleet, api.TOKEN, 0)
        said = answers(listener, api, "/link Ann", "/add Bob", "/disable Ann", "/enable Ann", "/reset Ann", "/help")
        assert len(said) == 6 and not any("t.me/proxy" in each for each in said) and "/add" not in said[-1]
        assert [user.name for user in fleet.users()] == ["Ann"] and fleet.user("Ann").enabled
        assert "Ann: " in answers(listener, api, "/find Ann")[0]

    def test_a_bot_that_answers_nobody_is_not_listened_to(self, fleet: Fleet, api: BotApi) -> None:
        declare(fleet, api, bot="off")
        assert not Listener(fleet, api.TOKEN, 0).once() and api.received == []


class TestOnce:
    def test_a_panel_that_starts_again_carries_nothing_out_twice(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        answers(listener, api, "/add Ann")
        again = Listener(fleet, api.TOKEN, 0)
        again.once()
        assert len(api.sent) == 1 and api.offsets[-1] == 1001

    def test_one_that_dies_in_the_middle_does_not_either(
            self, fleet: Fleet, api: BotApi, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
        def dies(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(bots.Answers, "said", dies)
            with pytest.raises(KeyboardInterrupt):
                answers(listener, api, "/add Ann")
        Listener(fleet, api.TOKEN, 0).once()
        assert fleet.users() == []

    def test_old_commands_are_not_carried_out_and_that_is_said_once(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        api.say("/add Ann", age=bots.OLD + 10)
        assert len(answers(listener, api, "/add Bob", age=bots.OLD + 10)) == 1
        assert fleet.users() == []

    def test_what_is_old_is_told_by_telegram_s_clock_not_by_ours(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        api.clock = lambda: time.time() + 7200
        answer = api.answer
        api.answer = lambda request: (lambda told: (told[0], {"Date": formatdate(api.clock(), usegmt=True)}, told[2]))(
            answer(request))
        assert answers(listener, api, "/add Ann")[0].startswith("Ann is added.")

    def test_edited_messages_and_odd_updates_are_left_alone(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        api.updates += [{"update_id": 1000, "edited_message": {"text": "/add Ann", "chat": {"id": 7}}},
                        {"update_id": 1001}, {"update_id": 1002, "message": None},
                        {"update_id": 1003, "message": {"text": 5, "chat": {"id": 7}, "from": {"id": 7}}},
                        {"update_id": 1004, "callback_query": {"id": "1", "from": {"id": 7}}}]
        assert len(answers(listener, api, "/status")) == 1 and fleet.users() == []
        assert api.offsets == [0]

    def test_a_command_to_another_bot_of_the_group_is_not_ours(
            self, fleet: Fleet, api: BotApi, listener: Listener) -> None:
        listener._called = "our_bot"
        assert answers(listener, api, "/status@other_bot", chat=-100, sender=7) == []
        assert len(answers(listener, api, "/status@Our_Bot", chat=-100, sender=7)) == 1


def test_a_second_program_with_the_same_bot_is_told_once_and_its_end_too(
        fleet: Fleet, api: BotApi, listener: Listener) -> None:
    api.refuse["getUpdates"] = (409, "Conflict: terminated by other getUpdates request", {})
    for _ in range(5):
        listener.once()
    assert [event.action for event in fleet.events()] == ["channel.failed"]
    del api.refuse["getUpdates"]
    listener.once()
    assert fleet.ledger.letters.states() == {}


def test_the_listeners_begin_and_end_with_the_declaration(fleet: Fleet, api: BotApi) -> None:
    declare(fleet, api)
    both = Bots(fleet, poll=0)
    both.keep()
    api.say("/add Ann")
    until = time.monotonic() + 20
    while not api.sent and time.monotonic() < until:
        time.sleep(0.01)
    assert fleet.user("Ann").name == "Ann"
    with fleet.file.edit() as config:
        config.notifications.clear()
    both.keep()
    assert both._listeners == {}
    both.stop(5)


def test_what_is_remembered_of_bots_that_are_gone_is_bounded(fleet: Fleet) -> None:
    """A token that is changed every day is another bot each time."""
    numbers = fleet.ledger.letters
    numbers.set_next_update("123456789", 7)
    for bot in range(100):
        numbers.set_next_update(str(bot), bot)
    with fleet.file.edit() as config:
        config.notifications = [Channel(name="Bot", kind="telegram", secret=BotApi.TOKEN, chats=[7], enabled=False)]
    Bots(fleet).keep()
    rows = [row["bot"] for row in fleet.ledger.database.query("SELECT bot FROM bot_updates")]
    assert len(rows) == 21 and numbers.next_update("123456789") == 7, "one that is switched off may come back"
    assert (numbers.next_update("99"), numbers.next_update("79")) == (99, 0)
