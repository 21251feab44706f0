"""What is sent by each kind of channel, and what is told where it does not arrive; against servers on loopback."""

from __future__ import annotations

import hashlib
import hmac
import logging
import socket
import ssl
import threading
from pathlib import Path

import pytest

from app.config.channels import Channel
from app.config.model import Config
from app.notify import http, line, mail
from app.notify.message import Message, SendFailed
from app.notify.senders import boxes, sender
from tests.support.cover import certificate
from tests.support.sinks import BotApi, Drip, Sink, Socks, mail_server

ODD = 'O\'Brien <b>"&\\ علی‌رضا 🦊'
MESSAGE = Message("Proxy Manager, proxy.example", f"{ODD}: access has ended", "0123abcd",
                  ({"event": "expired", "code": "notice.expired"},))


def channel(kind: str, **fields: object) -> Channel:
    return Channel.model_validate({"name": kind, "kind": kind, **fields})


def send(one: Channel, socks: str = "", message: Message = MESSAGE) -> None:
    config = Config(upstream_socks5=socks)
    for box in boxes(one):
        sender(one, box, config).send(message)


def refusal(one: Channel, socks: str = "") -> SendFailed:
    with pytest.raises(SendFailed) as caught:
        send(one, socks)
    return caught.value


class TestWebhook:
    def test_who_receives_it_can_tell_by_the_key_that_it_is_ours_and_new(self, sink: Sink) -> None:
        send(channel("webhook", url=f"{sink.url}/hook", secret="a key"))
        request, = sink.received
        at = request.headers["X-Timestamp"]
        right = hmac.new(b"a key", at.encode() + b"." + request.body, hashlib.sha256).hexdigest()
        assert request.headers["X-Signature"] == f"sha256={right}"
        assert (request.path, request.headers["X-Delivery"]) == ("/hook", "0123abcd")
        assert request.json() == {"id": "0123abcd", "title": MESSAGE.title, "text": MESSAGE.text,
                                  "events": [{"event": "expired", "code": "notice.expired"}]}

    def test_half_a_character_in_a_name_is_no_failure(self, sink: Sink) -> None:
        send(channel("webhook", url=sink.url, secret="k"), message=Message("t", "\ud83e", "1"))
        assert sink.received[0].json()["text"] == "?"

    def test_a_signed_document_follows_no_redirect(self, sink: Sink) -> None:
        sink.answer = lambda request: (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b"")
        assert refusal(channel("webhook", url=sink.url, secret="k")).code == "notify.redirects"
        assert len(sink.received) == 1

    @pytest.mark.parametrize(("status", "code"), [(401, "notify.not_allowed"), (403, "notify.not_allowed"),
                                                  (404, "notify.answered"), (500, "notify.answered"),
                                                  (429, "notify.busy")])
    def test_what_was_answered_is_told(self, sink: Sink, status: int, code: str) -> None:
        sink.answer = lambda request: (status, {"Retry-After": "7"}, request.body)
        failure = refusal(channel("webhook", url=sink.url, secret="k"))
        assert failure.code == code and "expired" not in str(failure)
        assert failure.retry_after == (7 if status == 429 else 0)

    def test_an_endless_answer_ends(self, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "LARGEST", 1000)
        sink.answer = lambda request: (200, {}, bytes(100_000))
        assert refusal(channel("telegram", url=sink.url, secret=BotApi.TOKEN, chats=[7])).code == "notify.endless"
        # What a webhook answers beside its status is for nobody, and to send it again would be worse.
        send(channel("webhook", url=sink.url, secret="k"))

    def test_a_server_that_says_nothing_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "READ", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            one = channel("webhook", url=f"http://127.0.0.1:{silent.getsockname()[1]}", secret="k")
            with pytest.raises(SendFailed) as caught:
                http.post(one.url, read=0.1, data=b"")
        assert caught.value.code == "notify.timeout"

    @pytest.mark.parametrize(("url", "code"), [("http://nobody.invalid", "notify.no_name"),
                                               ("http://127.0.0.1:1", "notify.unreachable")])
    def test_who_is_not_there_is_told(self, url: str, code: str) -> None:
        assert refusal(channel("webhook", url=url, secret="k")).code == code

    def test_no_tls_where_it_is_expected_is_told(self, sink: Sink) -> None:
        assert refusal(channel("webhook", url=sink.url.replace("http:", "https:"), secret="k")).code == "notify.tls"


class TestNtfy:
    def test_names_in_all_letters_arrive_with_the_token(self, sink: Sink) -> None:
        send(channel("ntfy", url=f"{sink.url}/alerts", secret="tk_1"))
        request, = sink.received
        assert request.headers["Authorization"] == "Bearer tk_1"
        assert request.json() == {"topic": "alerts", "title": MESSAGE.title, "message": MESSAGE.text}

    def test_a_long_message_stays_a_message(self, sink: Sink) -> None:
        send(channel("ntfy", url=f"{sink.url}/alerts"), message=Message("t", "ж" * 4000, "1"))
        text = sink.received[0].json()["message"]
        assert 3990 < len(text.encode()) <= 4000 and text.endswith("ж…")
        assert "Authorization" not in sink.received[0].headers


class TestTelegram:
    def test_each_chat_is_sent_a_text_without_markup(self, api: BotApi) -> None:
        send(channel("telegram", secret=api.TOKEN, chats=[7, -1001], url=api.url))
        assert [one["chat_id"] for one in api.sent] == [7, -1001]
        assert all("parse_mode" not in one and ODD in one["text"] for one in api.sent)

    @pytest.mark.parametrize("login", [None, ("ann", "p@ss:/ж")])
    def test_where_telegram_is_blocked_the_socks5_server_leads_there_and_looks_up_its_name(
            self, api: BotApi, login: tuple[str, str] | None) -> None:
        socks = Socks({"api.telegram.invalid": api.port}, login)
        send(channel("telegram", secret=api.TOKEN, chats=[7], url="http://api.telegram.invalid"), socks.address)
        assert (socks.asked, len(api.sent)) == (["api.telegram.invalid"], 1)
        socks.stop()

    def test_a_socks5_server_that_refuses_is_told_from_one_that_is_away_and_its_password_by_neither(
            self, api: BotApi) -> None:
        one = channel("telegram", secret=api.TOKEN, chats=[7], url="http://other.invalid")
        socks = Socks({}, ("ann", "hush-hush"))
        refused, wrong = refusal(one, socks.address), refusal(one, f"ann:wrong-pass@127.0.0.1:{socks.port}")
        socks.stop()
        away = refusal(one, socks.address)
        assert (refused.code, away.code) == ("notify.proxy_refused", "notify.proxy_away")
        assert wrong.code in ("notify.proxy_refused", "notify.proxy_away")
        assert not any(word in str(each) for each in (refused, away, wrong) for word in ("hush", "wrong-pass", "AAE"))

    @pytest.mark.parametrize(("answer", "code"), [
        ((403, "Forbidden: bot was blocked by the user", {}), "notify.bot_blocked"),
        ((400, "Bad Request: chat not found", {}), "notify.no_chat"),
        ((400, "Bad Request: group chat was upgraded", {"migrate_to_chat_id": -1009}), "notify.chat_moved"),
        ((409, "Conflict: terminated by other getUpdates request", {}), "notify.bot_conflict"),
        ((429, "Too Many Requests", {"retry_after": 35}), "notify.busy"),
        ((500, f"Internal error at /bot{BotApi.TOKEN}/x", {}), "notify.answered"),
    ])
    def test_what_the_api_refuses_is_told_in_words_and_without_the_token(
            self, api: BotApi, answer: tuple[int, str, dict[str, object]], code: str) -> None:
        api.refuse["sendMessage"] = answer
        failure = refusal(channel("telegram", secret=api.TOKEN, chats=[7], url=api.url))
        assert failure.code == code and "AAE" not in str(failure)
        assert failure.retry_after == (35 if code == "notify.busy" else 0)

    def test_a_wrong_token_is_told(self, api: BotApi) -> None:
        one = channel("telegram", secret="1:AAE-another-token-of-nobody", chats=[7], url=api.url)
        assert refusal(one).code == "notify.bot_token"

    def test_no_log_holds_the_token_however_much_is_logged(self, api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        one = channel("telegram", secret=api.TOKEN, chats=[7], url=api.url)
        send(one)
        api.stop()
        assert refusal(one).code == "notify.unreachable"
        assert "AAE" not in caplog.text and "AAE" not in repr(one)

    def test_a_text_has_as_many_characters_as_telegram_takes(self, api: BotApi) -> None:
        send(channel("telegram", secret=api.TOKEN, chats=[7], url=api.url), message=Message("t", "🦊" * 4000, "1"))
        text = api.sent[0]["text"]
        assert len(text.encode("utf-16-le")) // 2 in (4095, 4096) and text.endswith("🦊…")


class TestAServerThatNeverEnds:
    """Every wait is short and the whole is not: one deadline bounds it, and one size."""

    @pytest.fixture(autouse=True)
    def soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "WHOLE", 0.4 - http.READ)
        monkeypatch.setattr(mail, "WHOLE", 0.4)

    @pytest.mark.parametrize("kind", ["webhook", "ntfy", "telegram"])
    @pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nX: "])
    def test_that_drips_a_byte_a_time_is_cut_off(self, kind: str, head: bytes) -> None:
        with Drip(head, b"x", every=0.001) as drip:
            one = channel(kind, url=f"{drip.url}/x", secret=BotApi.TOKEN, chats=[7])
            assert refusal(one).code == "notify.too_long"

    @pytest.mark.parametrize("head", [
        b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n5;", b"\r\n"])
    def test_whose_body_drips_has_what_its_status_says(self, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        lines, in_body, read = list[line.Line](), threading.Event(), http._read
        monkeypatch.setattr(http, "_read", lambda *what: in_body.set() or read(*what))
        # The deadline comes in the middle of the body, however slow this machine is.
        monkeypatch.setattr(line.Line, "_armed", lambda self: lines.append(self) or threading.Timer(0, list))
        for status, one, code in (("200 OK", "webhook", ""), ("200 OK", "telegram", "notify.endless"),
                                  ("403 No", "webhook", "notify.not_allowed")):
            with Drip(f"HTTP/1.1 {status}\r\n".encode() + head, b"x" * 9, every=0.001) as drip:
                in_body.clear()
                drip.said = lambda: in_body.wait(20) and lines[-1]._end()
                asked = channel(one, url=drip.url, secret=BotApi.TOKEN, chats=[7])
                if code:
                    assert refusal(asked).code == code
                else:
                    send(asked)
                assert lines[-1].cut

    @pytest.mark.parametrize(("says", "again"), [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 60_000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
    ])
    def test_that_says_ever_more_is_left_before_memory_is_full(self, says: bytes, again: bytes) -> None:
        with Drip(says, again, at_once=True) as drip:
            one = channel("telegram", url=drip.url, secret=BotApi.TOKEN, chats=[7])
            assert refusal(one).code in ("notify.too_long", "notify.endless", "notify.broken")

    @pytest.mark.parametrize("says", [b"220 hello" + b"o" * 9_000, b"220-hello\r\n" * 1000])
    @pytest.mark.parametrize("security", ["none", "starttls", "tls"])
    def test_of_mail_is_cut_off_too(self, says: bytes, security: str) -> None:
        with Drip(says, every=0.001) as drip:
            one = channel("email", host="127.0.0.1", port=drip.port, security=security, recipients=["a@example.org"])
            assert refusal(one).code in ("notify.too_long", "notify.tls" if security == "tls" else "notify.too_long")

    def test_of_mail_that_says_ever_more_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mail, "WHOLE", 60.0)
        with Drip(b"220-hello\r\n", b"220-and more\r\n", at_once=True) as drip:
            one = channel("email", host="127.0.0.1", port=drip.port, security="none", recipients=["a@example.org"])
            assert refusal(one).code == "notify.endless"

    @pytest.mark.parametrize("bye", [b"221 ", b"221-by\r\n" * 1000, b"500 no\r\n"])
    def test_whose_goodbye_does_not_end_has_the_letter_all_the_same(
            self, bye: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mail, "WHOLE", 60.0)
        monkeypatch.setattr(mail, "GOODBYE", 0.2)
        said = b"220 a\r\n" + b"250 a\r\n" * 3 + b"354 a\r\n250 a\r\n"
        with Drip(said + bye, b"x", every=0.001) as drip:
            send(channel("email", host="127.0.0.1", port=drip.port, security="none", recipients=["a@example.org"]))

    def test_before_telegram_is_cut_off_too(self) -> None:
        with Drip(b"\x05", b"\x00") as drip:
            one = channel("telegram", secret=BotApi.TOKEN, chats=[7], url="http://api.telegram.invalid")
            assert refusal(one, f"127.0.0.1:{drip.port}").code in ("notify.too_long", "notify.proxy_away")

    def test_of_names_is_waited_for_once_by_however_many_tries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answer, asked = threading.Event(), []

        def hang(*what: object, **how: object) -> list[object]:
            asked.append(what)
            answer.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "later")

        monkeypatch.setattr(line, "LOOKUP", 0.05)
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        for _ in range(3):
            assert refusal(channel("webhook", url="http://slow.invalid", secret="k")).code == "notify.timeout"
        mailbox = channel("email", host="slow.invalid", port=25, security="none", recipients=["a@example.org"])
        assert refusal(mailbox).code == "notify.timeout"
        assert asked == [("slow.invalid", 80), ("slow.invalid", 25)]
        answer.set()


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://169.254.169.254/latest", "//127.0.0.1:1/", "/elsewhere",
                                "gopher://x", "\x00", "http://[", ""])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_wherever_it_leads(sink: Sink, status: int, to: str) -> None:
    sink.answer = lambda request: (status, {"Location": to}, b"")
    assert refusal(channel("webhook", url=sink.url, secret="k")).code == "notify.redirects"
    assert refusal(channel("telegram", url=sink.url, secret=BotApi.TOKEN, chats=[7])).code == "notify.answered"
    assert len(sink.received) == 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://127.0.0.1", "ftp://127.0.0.1/x", "unix:/run/x.sock"])
def test_a_channel_leads_to_a_web_server_only(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        channel("webhook", url=url, secret="k")


class TestMail:
    def test_a_letter_arrives_with_its_names_and_without_a_login(self) -> None:
        with mail_server() as box:
            send(channel("email", host="127.0.0.1", port=box.port, security="none",
                         recipients=["ann@example.org", "bob@example.org"]))
        letter, = box.letters
        assert letter.get_content().strip() == MESSAGE.text and letter["Subject"] == MESSAGE.title
        assert (letter["From"], letter["Auto-Submitted"]) == ("ann@example.org", "auto-generated")
        assert box.recipients == [["ann@example.org", "bob@example.org"]]

    def test_a_title_of_two_lines_adds_no_header(self) -> None:
        with mail_server() as box:
            send(channel("email", host="127.0.0.1", port=box.port, security="none", recipients=["ann@example.org"]),
                 message=Message("one\r\nBcc: eve@example.org", "t", "1"))
        assert box.letters[0]["Subject"] == "one Bcc: eve@example.org" and box.letters[0]["Bcc"] is None

    @pytest.mark.parametrize("security", ["starttls", "tls"])
    def test_it_is_encrypted_and_the_server_proves_who_it_is(
            self, tmp_path: Path, security: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, pem in zip(("cert", "key"), certificate("localhost")):
            (tmp_path / name).write_bytes(pem)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
        with mail_server(("ann", "pass word"), **{security: context}) as box:
            one = channel("email", host="localhost", port=box.port, security=security, username="ann",
                          secret="pass word", sender="panel@example.org", recipients=["ann@example.org"])
            assert refusal(one).code == "notify.certificate"
            assert (box.letters, box.logins) == ([], [])
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
            send(one)
            assert (len(box.letters), box.logins) == (1, [("ann", "pass word")])
            wrong = refusal(one.model_copy(update={"secret": "another-pass"}))
        assert wrong.code == "notify.login" and "another-pass" not in str(wrong)

    def test_a_server_without_starttls_is_told(self) -> None:
        with mail_server() as box:
            one = channel("email", host="127.0.0.1", port=box.port, recipients=["ann@example.org"])
            assert refusal(one).code == "notify.not_supported"

    def test_one_recipient_who_is_refused_keeps_nothing_from_the_others(self) -> None:
        with mail_server() as box:
            box.refuse.add("bob@example.org")
            one = channel("email", host="127.0.0.1", port=box.port, security="none",
                          recipients=["ann@example.org", "bob@example.org"])
            send(one)
            box.refuse.add("ann@example.org")
            assert refusal(one).code == "notify.recipients"
        assert box.recipients == [["ann@example.org"]]

    def test_a_server_that_says_nothing_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mail, "PATIENCE", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            one = channel("email", host="127.0.0.1", port=silent.getsockname()[1], recipients=["ann@example.org"])
            assert refusal(one).code == "notify.timeout"


def test_a_channel_that_was_written_by_hand_and_lacks_something_says_what() -> None:
    failure = refusal(channel("telegram", chats=[7]))
    assert (failure.code, failure.params["fields"]) == ("notify.incomplete", ["secret"])
