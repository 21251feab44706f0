"""Tokens of the API: made by an admin, worth what that admin may do today, counted, removed."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta

import pytest

from app.accounts import tokens
from app.accounts.actor import CLI, Actor, Right
from app.accounts.logins import Place
from app.accounts.tokens import NoToken
from app.actions import admins, backups
from app.actions import tokens as actions
from app.config.values import now
from app.control.errors import LoginThrottled, Refused
from app.ledger.idempotency import KeyInUse
from tests.support.fleet import Fleet

PASSWORD = "correct horse battery"
HERE = Place("192.0.2.7", "https")


@pytest.fixture
def cast(fleet: Fleet) -> Fleet:
    """Ada is an owner, Olga an operator, Viktor a viewer."""
    for name, role in (("Ada", "owner"), ("Olga", "operator"), ("Viktor", "viewer")):
        admins.create_admin(fleet, CLI, name, PASSWORD, role)
    return fleet


def made(fleet: Fleet, admin: str = "Ada", scope: str = "admin", days: int = 0, name: str = "script") -> str:
    return actions.create_token(fleet, CLI, name, scope, days, admin)[1]


def right(fleet: Fleet, text: str) -> Right:
    return fleet.tokens.bearer(text, HERE, now()).actor.right


def test_a_token_is_shown_once_and_only_its_hash_is_kept(cast):
    text = made(cast)
    kept = cast.file.path.read_text()
    assert text.startswith(tokens.PREFIX) and len(text) > 40
    assert text not in kept and hashlib.sha256(text.encode()).hexdigest() in kept


def test_a_token_may_do_what_its_scope_and_its_admins_role_of_today_allow(cast):
    text = made(cast, "Ada")
    reading = made(cast, "Ada", "read", name="reader")
    assert (right(cast, text), right(cast, reading)) == (Right.SUDO, Right.VIEW)
    admins.set_role(cast, CLI, "Ada", "viewer")
    assert right(cast, text) == Right.VIEW
    admins.set_role(cast, CLI, "Ada", "owner")
    assert (right(cast, text), right(cast, reading)) == (Right.SUDO, Right.VIEW)


@pytest.mark.parametrize("admin, scope", [("Olga", "admin"), ("Viktor", "users"), ("Viktor", "admin")])
def test_nobody_makes_a_token_that_may_do_more_than_they_may(cast, admin, scope):
    with pytest.raises(Refused) as refused:
        made(cast, admin, scope)
    assert (refused.value.code, refused.value.field) == ("token.more_than_admin", "scope")


def test_everything_that_is_wrong_with_a_new_token_is_said_at_once(cast):
    with pytest.raises(Refused) as refused:
        actions.create_token(cast, CLI, " ", "everything", -1, "Ada")
    assert sorted(problem.field for problem in refused.value.problems) == ["days", "name", "scope"]
    made(cast)
    with pytest.raises(Refused, match="already"):
        made(cast, name="SCRIPT")


def test_a_token_ends_on_its_day_and_says_so(cast):
    text = made(cast, days=30)
    assert right(cast, text)
    with pytest.raises(NoToken) as refused:
        cast.tokens.bearer(text, HERE, now() + timedelta(days=31))
    assert refused.value.code == "token.expired"


def test_a_token_ends_with_its_admin_and_does_not_come_back_with_their_name(cast):
    text = made(cast, "Olga", "users")
    admins.remove_admin(cast, CLI, "Olga")
    assert cast.config().api_tokens == []
    with pytest.raises(NoToken):
        right(cast, text)
    text = made(cast, "Viktor", "read")
    with cast.file.edit() as config:
        config.admins = [admin for admin in config.admins if admin.username != "Viktor"]  # by hand
    with pytest.raises(NoToken) as refused:
        right(cast, text)
    assert refused.value.code == "token.no_admin"
    admins.create_admin(cast, CLI, "Viktor", PASSWORD, "owner")
    with pytest.raises(NoToken):
        right(cast, text)


def test_a_removed_token_is_worth_nothing_at_once(cast):
    text = made(cast, "Olga", "users")
    token = cast.config().api_tokens[0]
    with pytest.raises(Refused):
        actions.remove_token(cast, Actor("web", Right.VIEW, "Viktor"), token.id)
    actions.remove_token(cast, Actor("web", Right.USERS, "Olga"), token.id)
    with pytest.raises(NoToken):
        right(cast, text)
    done = [event.action for event in cast.events(limit=9)]
    assert [action for action in done if action.startswith("token.")] == ["token.removed", "token.created"]


def test_owners_see_everybodys_tokens_and_others_their_own(cast):
    made(cast, "Ada")
    made(cast, "Olga", "users")
    def seen(name: str, right: Right) -> list[str]:
        return [token.admin for token in actions.every_token(cast, Actor("web", right, name))]
    assert seen("Ada", Right.SUDO) == ["Ada", "Olga"]
    assert seen("Olga", Right.USERS) == ["Olga"] and seen("Viktor", Right.VIEW) == []


def test_no_token_makes_another_one(cast):
    made(cast)
    with pytest.raises(Refused) as refused:
        actions.create_token(cast, Actor("api", Right.SUDO, "Ada", "script"), "another", "read")
    assert refused.value.code == "token.by_token" and len(cast.config().api_tokens) == 1


def test_wrong_tokens_are_counted_by_place_and_keep_nobody_out_who_has_a_right_one(cast):
    text = made(cast)
    for _ in range(tokens.WRONG):
        with pytest.raises(NoToken):
            cast.tokens.bearer("mtpm_guess", HERE, now())
    with pytest.raises(LoginThrottled):
        cast.tokens.bearer("mtpm_guess", HERE, now())
    assert cast.tokens.bearer(text, HERE, now()).actor.name == "Ada"
    with pytest.raises(NoToken):
        cast.tokens.bearer("mtpm_guess", Place("192.0.2.8", "https"), now())
    failures = [event for event in cast.events(limit=50) if event.action == "login.failed_unknown"]
    assert len(failures) == 2, "those from one place are one line"
    # Nor does it keep anybody from logging in there.
    assert cast.logins.check("Ada", PASSWORD, HERE)


def test_the_last_use_is_noted_seldom_and_forgotten_with_the_token(cast):
    text = made(cast)
    for _ in range(20):
        cast.tokens.bearer(text, HERE, now())
    assert cast.ledger.database.query("SELECT count(*) FROM token_uses")[0][0] == 1
    view = actions.every_token(cast, CLI)[0]
    assert view.last_address == "192.0.2.7" and view.last_used_at
    actions.remove_token(cast, CLI, view.id)
    cast.tokens.bearer(made(cast, name="other"), HERE, now())
    assert [row["id"] for row in cast.ledger.database.query("SELECT id FROM token_uses")] == [
        cast.config().api_tokens[0].id]


def test_who_did_something_by_a_token_stands_in_the_audit_log(cast):
    bearer = cast.tokens.bearer(made(cast, "Olga", "users"), HERE, now())
    from app.actions import users
    users.add_user(cast, bearer.actor, "Alice")
    assert cast.events(limit=1)[0].actor == "admin:Olga (script)"


def test_tokens_come_along_in_a_backup_and_one_that_was_removed_since_is_told_of(cast, tmp_path):
    text = made(cast)
    path = backups.back_up(cast, CLI, tmp_path / "all.tar.gz")
    actions.remove_token(cast, CLI, cast.config().api_tokens[0].id)
    assert "restore.tokens" in [problem.code for problem in backups.look(cast, CLI, path)]
    backups.restore(cast, CLI, path)
    assert right(cast, text) == Right.SUDO


def test_an_older_file_has_no_tokens_and_a_damaged_one_is_refused_by_its_field(cast):
    with pytest.raises(Exception, match="token_hash"), cast.file.edit() as config:
        config.api_tokens = [{"id": "x", "name": "x", "admin": "Ada", "token_hash": "plain"}]


def test_of_two_creations_with_one_key_one_is_made(fleet):
    keys, at, begun, go, came = fleet.ledger.idempotency_keys, 1_800_000_000.0, threading.Event(), threading.Event(), []

    def make() -> str:
        begun.set()
        assert go.wait(30)
        return "alice"

    first = threading.Thread(target=lambda: came.append(keys.once("t", "k", b"a", at, make)))
    first.start()
    assert begun.wait(30)
    with pytest.raises(KeyInUse):
        keys.once("t", "k", b"a", at, lambda: "bob")
    go.set()
    first.join()
    assert came == [("alice", True)]
    assert keys.once("t", "k", b"a", at + 86000, lambda: "bob") == ("alice", False)
    with pytest.raises(Refused) as refused:
        keys.once("t", "k", b"b", at, lambda: "bob")
    assert refused.value.code == "key.other"
    assert keys.once("another", "k", b"b", at, lambda: "bob") == ("bob", True)
    assert keys.once("t", "k", b"b", at + 90000, lambda: "carol") == ("carol", True), "a day later it is free again"


def test_a_creation_that_failed_leaves_its_key_free_and_one_that_was_killed_soon_does(fleet):
    keys, at = fleet.ledger.idempotency_keys, 1_800_000_000.0

    def fail() -> str:
        raise Refused("user.exists", "name", name="Alice", id="a")

    with pytest.raises(Refused):
        keys.once("t", "k", b"a", at, fail)
    assert keys.once("t", "k", b"a", at, lambda: "alice") == ("alice", True)
    with fleet.ledger.database.transaction() as db:  # as a process leaves it that ends in the middle
        db.execute("UPDATE idempotency_keys SET made = ''")
    with pytest.raises(KeyInUse):
        keys.once("t", "k", b"a", at + 10, lambda: "bob")
    assert keys.once("t", "k", b"a", at + 200, lambda: "bob") == ("bob", True)


def test_keys_are_bounded(fleet, monkeypatch):
    monkeypatch.setattr("app.ledger.idempotency.MOST", 5)
    for number in range(20):
        fleet.ledger.idempotency_keys.once("t", str(number), b"", 1_800_000_000.0 + number, lambda: "x")
    assert fleet.ledger.database.query("SELECT count(*) FROM idempotency_keys")[0][0] == 5
