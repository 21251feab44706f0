"""Passkeys, with Chromium's own authenticator; and answers that no browser gave."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.accounts import factors as accounts
from app.accounts import passkeys
from app.accounts.logins import Place
from app.config.second_factors import Passkey
from app.web import passkey as web_passkey
from tests.support.fleet import Fleet
from tests.web.visitor import NAME, PASSWORD, Visitor

CODES = [f"aaaa-bbbb-cccc-{digit * 4}" for digit in "234567"]


@pytest.fixture(autouse=True)
def second_factor(fleet: Fleet) -> str:
    """The admin's: its secret."""
    secret = accounts.new_secret()
    with fleet.file.edit() as config:
        accounts.put(config, NAME, secret, CODES)
    return secret


@pytest.fixture
def window(chromium: Browser, site: str) -> Iterator[Page]:
    """A window of a computer with a fingerprint reader; localhost is as good as HTTPS to it."""
    context: BrowserContext = chromium.new_context(base_url=re.sub("//[^:/]+", "//localhost", site))
    context.set_default_timeout(60_000)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True}})
    yield page
    context.close()


def give_password(page: Page) -> None:
    page.goto("/login")
    page.fill("[name=username]", NAME)
    page.fill("[name=password]", PASSWORD)
    page.click("button:has-text('Log in')")


def test_a_passkey_is_made_used_in_place_of_a_code_and_removed(window: Page, fleet: Fleet) -> None:
    complaints: list[str] = []
    window.on("pageerror", lambda error: complaints.append(str(error)))
    give_password(window)
    expect(window.locator("form[data-passkey]")).to_have_count(0)
    window.fill("[name=code]", CODES[0])
    window.click("button:has-text('Log in')")
    window.goto("/account/factor")
    window.fill("[name=current]", PASSWORD)
    window.fill("[name=code]", CODES[1])
    window.click("button:has-text('Add a passkey')")
    window.fill("[name=name]", "O'Brien's <b>\"laptop")
    window.click("button:has-text('Make the passkey')")
    expect(window.locator("#notices")).to_contain_text("The passkey is added")
    expect(window.locator("main")).to_contain_text("O'Brien's <b>\"laptop")
    expect(window.locator("main")).to_contain_text("not used yet")
    (own,) = fleet.config().second_factors
    assert [(each.name, each.host) for each in own.passkeys] == [("O'Brien's <b>\"laptop", "localhost")]

    window.click("button:has-text('Log out') >> nth=0")
    give_password(window)
    window.click("button:has-text('Use a passkey')")
    expect(window.locator("nav").first).to_contain_text("Users")
    window.goto("/account/factor")
    expect(window.locator("main")).not_to_contain_text("not used yet")
    assert fleet.events(limit=1)[0].action == "login.succeeded"
    window.fill("[name=current]", PASSWORD)
    window.fill("[name=code]", CODES[2])
    window.click("button[formaction$='passkey/remove']")
    expect(window.locator("#notices")).to_contain_text("The passkey is removed")
    assert fleet.config().second_factors[0].passkeys == [] and fleet.ledger.passkey_uses.all() == {}
    assert complaints == []


def log_in_and_add_one(window: Page) -> None:
    give_password(window)
    window.fill("[name=code]", CODES[0])
    window.click("button:has-text('Log in')")
    window.goto("/account/factor")
    window.fill("[name=current]", PASSWORD)
    window.fill("[name=code]", CODES[1])
    window.click("button:has-text('Add a passkey')")
    window.click("button:has-text('Make the passkey')")
    expect(window.locator("#notices")).to_contain_text("The passkey is added")


@pytest.fixture
def only_passkey(window: Page, fleet: Fleet) -> Page:
    """The window of an admin who is logged in, and whose second factor is a passkey and nothing else."""
    log_in_and_add_one(window)
    with fleet.file.edit() as config:
        own, = config.second_factors
        own.totp_secret, own.recovery_codes = "", []
    return window


def test_who_has_a_passkey_alone_makes_a_token_and_changes_the_factor_with_it(
        only_passkey: Page, fleet: Fleet) -> None:
    window = only_passkey
    window.goto("/account/tokens")
    expect(window.locator("main")).to_contain_text("Leave it empty to use a passkey")
    window.fill("[name=name]", "billing")
    window.fill("[name=current]", "wrong horse")
    window.click("button:has-text('Make the token')")
    expect(window.locator("main")).to_contain_text("not your password")
    window.fill("[name=current]", PASSWORD)
    window.click("button:has-text('Make the token')")
    expect(window.locator("main")).to_contain_text("It is shown this once")
    assert [each.name for each in fleet.config().api_tokens] == ["billing"]
    window.goto("/account/factor")
    window.fill("[name=current]", PASSWORD)
    window.click("button:has-text('New recovery codes')")
    expect(window.locator("#codes li")).to_have_count(accounts.CODES)
    window.goto("/account/factor")
    window.fill("[name=current]", PASSWORD)
    window.click("button:has-text('Remove the second factor')")
    expect(window.locator("#notices")).to_contain_text("The second factor is removed")
    assert not fleet.config().second_factors


def test_what_a_passkey_proves_counts_once_for_its_button_and_its_session_and_not_for_ever(
        only_passkey: Page, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = """async ([purpose, sent, fields]) => {
        const csrf_token = document.querySelector("[name=csrf_token]").value;
        const post = (path, more) => fetch(path, {
            method: "POST", body: new URLSearchParams({ csrf_token, ...more }) });
        const options = await (await post("/account/factor/question", { purpose })).json();
        const answer = JSON.stringify((await navigator.credentials.get(
            { publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON());
        const found = [];
        for (const path of sent) found.push((await post(path, { ...fields, answer })).status);
        return [found, answer];
    }"""
    window, codes = only_passkey, "/account/factor/codes"
    window.goto("/account/factor")
    fields = {"current": PASSWORD}
    found, answer = window.evaluate(ask, ["factors.remove", [codes, "/account/factor/remove"], fields])
    assert found == [422, 422], "for another button, and then the question is no more"
    cookies = window.context.cookies()
    found, answer = window.evaluate(ask, ["factors.codes", [codes], fields])
    assert found == [200]
    # A copy of the cookie that was there while it was asked: the answer is used up all the same.
    asked: list[passkeys.State] = []
    took = web_passkey.asked
    monkeypatch.setattr(web_passkey, "asked", lambda what: asked.append(took(what)) or asked[-1])
    found, answer = window.evaluate(ask, ["factors.codes", [codes], fields])
    assert found == [200]
    monkeypatch.setattr(web_passkey, "asked", lambda what: asked[0])
    assert window.evaluate(ask, ["factors.codes", [], fields])[0] == []
    assert window.evaluate("""async ([path, fields]) => (await fetch(path, { method: "POST", body: new URLSearchParams({
        csrf_token: document.querySelector("[name=csrf_token]").value, ...fields }) })).status""",
                           [codes, {**fields, "answer": answer}]) == 422
    monkeypatch.setattr(web_passkey, "asked", took)
    monkeypatch.setattr(web_passkey, "PATIENCE", 0)
    assert window.evaluate(ask, ["factors.codes", [codes], fields])[0] == [422]
    assert cookies and accounts.of(fleet.config(), NAME).passkeys


def test_only_what_asks_for_a_proof_gets_a_question_and_only_who_has_a_passkey_here(
        stranger: Visitor, fleet: Fleet, second_factor: str) -> None:
    stranger.login()
    assert stranger.post("/login/code", {"code": pyotp.TOTP(second_factor).at(int(time.time()))}).status_code == 302
    page = stranger.get("/account/factor").get_data(as_text=True)
    assert "data-proof" not in page and "passkey.js" not in page
    token = stranger.token("/account")
    for purpose in ("", "tokens.add", "auth.code", "users.add", "\0"):
        answer = stranger.client.post("/account/factor/question", data={"csrf_token": token, "purpose": purpose})
        assert answer.status_code == 404
    made = stranger.client.post("/account/tokens", data={
        "csrf_token": token, "name": "x", "scope": "read", "days": "30", "current": PASSWORD, "answer": "{}"})
    assert made.status_code == 422 and "this passkey was not accepted" in made.get_data(as_text=True).lower()
    assert not fleet.config().api_tokens


def test_without_script_the_page_says_that_codes_work(chromium: Browser, site: str, fleet: Fleet) -> None:
    with fleet.file.edit() as config:
        accounts.of(config, NAME).passkeys = [Passkey(name="x", host="localhost", credential="A" * 100)]
    context = chromium.new_context(base_url=re.sub("//[^:/]+", "//localhost", site), java_script_enabled=False)
    context.set_default_timeout(60_000)
    page = context.new_page()
    give_password(page)
    page.fill("[name=code]", CODES[0])
    page.click("button:has-text('Log in')")
    page.goto("/account/tokens")
    expect(page.locator("main")).to_contain_text("Passkeys need JavaScript. Codes work without it.")
    page.fill("[name=name]", "billing")
    page.fill("[name=current]", PASSWORD)
    page.click("button:has-text('Make the token')")
    expect(page.locator("main")).to_contain_text("A code of the app, a recovery code or a passkey is needed, too")
    page.fill("[name=current]", PASSWORD)
    page.fill("[name=code]", CODES[1])
    page.click("button:has-text('Make the token')")
    expect(page.locator("main")).to_contain_text("It is shown this once")
    context.close()


def test_an_answer_of_a_login_counts_once_and_for_its_question_only(window: Page, fleet: Fleet) -> None:
    log_in_and_add_one(window)
    own = accounts.of(fleet.config(), NAME).passkeys
    options, state = passkeys.to_use("localhost", own)
    answer = window.evaluate("""async (options) => JSON.stringify((await navigator.credentials.get(
        { publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON())""", options)
    assert passkeys.used("localhost", state, answer, own) == own[0]
    _, other = passkeys.to_use("localhost", own)
    assert passkeys.used("localhost", other, answer, own) is None
    assert passkeys.used("localhost", state, answer, []) is None
    assert passkeys.used("proxy.example", state, answer, own) is None
    forged = json.loads(answer)
    forged["response"]["signature"] = forged["response"]["signature"][:-8] + "AAAAAAAA"
    assert passkeys.used("localhost", state, json.dumps(forged), own) is None
    place = Place("192.0.2.1")
    given = passkeys.Answer("localhost", state, answer)
    assert fleet.logins.check_passkey(NAME, given, place)
    assert not fleet.logins.check_passkey(NAME, given, place), "a replay"


@pytest.mark.parametrize("odd", ["", "{", "[]", "null", "1", "{}", '{"id": 1}', '{"rawId": "AA", "response": {}}',
                                 '{"id": "x", "rawId": "x", "response": {"clientDataJSON": "eyJ9"}}',
                                 "[" * 30_000, "\ud800"])
def test_what_is_no_answer_is_a_wrong_one(odd: str) -> None:
    _, state = passkeys.to_make("localhost", NAME, [])
    assert passkeys.made("localhost", state, odd, "x") is None
    assert passkeys.used("localhost", state, odd, []) is None


def test_one_that_a_hand_has_damaged_is_none_and_breaks_nothing() -> None:
    broken = [Passkey(name="x", host="localhost", credential="A" * 100)]
    assert passkeys.to_use("localhost", broken) is None
    assert passkeys.to_make("localhost", NAME, broken)[0]["excludeCredentials"] == []


@pytest.mark.parametrize(("host", "secure", "may"), [
    ("localhost", False, True), ("proxy.example", True, True), ("proxy.example", False, False),
    ("192.0.2.1", True, False), ("[2001:db8::1]", True, False), ("panel", True, False)])
def test_it_is_offered_where_browsers_have_it(host: str, secure: bool, may: bool) -> None:
    assert passkeys.possible(host, secure) is may


def test_at_a_bare_address_the_page_says_why_there_are_none(
        stranger: Visitor, fleet: Fleet, second_factor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.passkey.host", lambda: "192.0.2.1")
    stranger.login()
    assert stranger.post("/login/code", {"code": pyotp.TOTP(second_factor).at(int(time.time()))}).status_code == 302
    page = stranger.get("/account/factor").get_data(as_text=True)
    assert "not at a bare address" in page and "Add a passkey" not in page
    answer = stranger.post("/account/factor/passkey", {"current": PASSWORD, "code": CODES[0]})
    assert answer.status_code == 422
    assert accounts.hashed(CODES[0]) in accounts.of(fleet.config(), NAME).recovery_codes, "nothing is used up"
    assert stranger.post("/account/factor/passkey/keep", {"passkey": "{}"}).status_code == 302
