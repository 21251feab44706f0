"""In which language a page is: what somebody chose, else what their browser asks for, else English."""

from __future__ import annotations

import pytest
from flask import Flask

from app.messages import Problem
from app.messages.translations import as_here, language
from app.web.formats import ago, count, cycle, day, gigabytes, of_limit, size
from app.web.language import in_words
from tests.support.fleet import Fleet
from tests.web.html import read
from tests.web.visitor import Visitor


def language_of(visitor: Visitor, path: str = "/login", **headers: str) -> str:
    page = visitor.client.get(path, headers=headers).get_data(as_text=True)
    root = next(element for element in read(page) if element.tag == "html")
    return root.attributes["lang"]


@pytest.mark.parametrize("wanted, got", [
    ("ru", "ru"), ("ru-RU,ru;q=0.9,en;q=0.8", "ru"), ("en-US,en;q=0.9,ru;q=0.8", "en"), ("de,ru;q=0.5", "ru"),
    ("de", "en"), ("", "en"), ("*", "en"), ("xx-\u00e9;q=k,,;", "en"), ("ru;q=0", "en")])
def test_a_page_is_in_the_language_that_the_browser_asks_for(stranger: Visitor, wanted: str, got: str) -> None:
    assert language_of(stranger, **{"Accept-Language": wanted}) == got


def test_what_was_chosen_counts_more_than_what_the_browser_asks_for(stranger: Visitor) -> None:
    answer = stranger.post("/language", {"language": "ru", "back": "/login?next=/users"})
    assert (answer.status_code, answer.location) == (302, "/login?next=/users")
    assert language_of(stranger, **{"Accept-Language": "en"}) == "ru"
    page = stranger.get("/login").get_data(as_text=True)
    assert "Войти" in page and "Log in" not in page
    stranger.post("/language", {"language": "en"})
    assert language_of(stranger, **{"Accept-Language": "ru"}) == "en"


@pytest.mark.parametrize("odd", ["", "xx", "../../etc", "ru\r\nSet-Cookie: a=b", "x" * 5000])
def test_a_language_that_is_not_there_is_not_chosen(stranger: Visitor, odd: str) -> None:
    answer = stranger.post("/language", {"language": odd})
    assert answer.status_code == 302 and "language" not in answer.headers.get("Set-Cookie", "")
    stranger.client.set_cookie("language", "xx")
    assert language_of(stranger) == "en"


@pytest.mark.parametrize("outside", ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example"])
def test_choosing_a_language_leads_to_no_other_site(admin: Visitor, outside: str) -> None:
    assert admin.post("/language", {"language": "ru", "back": outside}).location == "/"


def test_every_page_offers_the_other_languages_and_leads_back_to_itself(
        panel: Flask, fleet: Fleet, admin: Visitor) -> None:
    user = fleet.add_user("Bob").id
    for path in ("/", "/users", "/users?q=bob", f"/users/{user}", "/logs", "/settings/limits"):
        elements = list(read(admin.get(path).get_data(as_text=True)))
        offered = [e.attributes["value"] for e in elements if e.attributes.get("name") == "language"]
        back = [e.attributes["value"] for e in elements if e.attributes.get("name") == "back"]
        assert (offered, back[-1]) == (["ru"], path)  # the list of users has one of its own


@pytest.mark.parametrize(("number", "said"), [
    (1, "1 день"), (2, "2 дня"), (4, "4 дня"), (5, "5 дней"), (11, "11 дней"), (21, "21 день"), (112, "112 дней")])
def test_russian_has_three_forms_of_a_number(panel: Flask, number: int, said: str) -> None:
    with panel.test_request_context(headers={"Accept-Language": "ru"}):
        assert count(number, "day") == said
    problem = Problem("certificate.ends", {"name": "a", "domain": "b", "days": number})
    assert language("ru").sentence(problem) == f"Сертификат a (b) истекает через {said}"


def test_numbers_dates_and_sizes_are_written_as_in_the_language(panel: Flask) -> None:
    with panel.test_request_context(headers={"Accept-Language": "ru"}):
        assert (size(1536), gigabytes(0.5), of_limit(2**29, 0.5)) == ("1,5 КБ", "0,5 ГБ", "0,5 из 0,5 ГБ")
        assert day("2026-03-01T12:00:00+00:00") == "1 мар. 2026" and cycle("monthly 3") == "ежемесячно 3-го числа"
        assert ago("2026-03-01T12:00:00+00:00") == "1 мар. 2026"
        assert in_words(Problem("note.long", {"count": 1234, "most": 1000})) == \
            "в заметке 1234 символа; допустимо не больше 1\N{NO-BREAK SPACE}000"
    assert as_here("1,234.5", "en") == "1,234.5"
