from __future__ import annotations

import hashlib

import pytest
from werkzeug.security import generate_password_hash

from app.config import passwords
from app.config.passwords import hash_password, new_password, verify_among, verify_password, weakness

pytestmark = pytest.mark.usefixtures("real_hashes")
FORMATS = "the first panel's", "werkzeug's"


def old_hash(password: str) -> str:
    salt = "0123456789abcdef0123456789abcdef"
    return f"{salt}:{hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), 100_000).hex()}"


def test_a_hash_of_today_verifies_and_needs_no_upgrade():
    stored = hash_password("correct horse")
    assert stored.startswith("scrypt:32768:8:3$")
    assert verify_password(stored, "correct horse") == (True, False)


@pytest.mark.parametrize("stored", [
    old_hash("correct horse"), generate_password_hash("correct horse", method="pbkdf2:sha256:1000"),
    generate_password_hash("correct horse", method="scrypt:32768:8:1")], ids=[*FORMATS, "weaker scrypt"])
def test_the_formats_of_older_installations_verify_and_ask_for_an_upgrade(stored):
    assert verify_password(stored, "correct horse") == (True, True)
    assert verify_password(stored, "wrong") == (False, False)


@pytest.mark.parametrize("stored", ["", ":", "plain", "md5$a$b", "scrypt:x:y:z$a$b", "a:" + "0" * 63])
def test_an_unknown_format_lets_nobody_in(stored):
    assert verify_password(stored, "") == (False, False)
    assert verify_password(stored, "plain") == (False, False)


def test_new_passwords_differ_and_are_long_enough():
    assert len({new_password() for _ in range(100)}) == 100
    assert all(len(new_password()) == 16 for _ in range(10))


@pytest.mark.parametrize("legacy", [old_hash("of bob"), generate_password_hash("of bob", method="pbkdf2:sha256:1000")],
                         ids=FORMATS)
def test_every_name_costs_the_same_hashes_whatever_is_stored_for_it(monkeypatch, legacy):
    today, work = hash_password("of ada"), []
    real = passwords.verify_password
    monkeypatch.setattr(passwords, "verify_password", lambda stored, password: work.append(
        passwords._method(stored)) or real(stored, password))
    costs = []
    for stored in (None, today, legacy):
        work.clear()
        assert verify_among(stored, "a guess", [today, legacy]) == (False, False)
        costs.append(sorted(work))
    assert costs[0] == costs[1] == costs[2] and len(costs[0]) == 2
    assert verify_among(legacy, "of bob", [today, legacy]) == (True, True)
    assert verify_among(today, "of ada", [today, legacy]) == (True, False)
    work.clear()
    verify_among(None, "a guess", [today])
    assert len(work) == 1


def test_the_hash_of_nobody_takes_real_work():
    for method in ("", "scrypt:32768:8:1", "pbkdf2:sha256:1000"):
        stored = passwords._nobody(method)
        assert passwords._method(stored) == method and verify_password(stored, "x") == (False, False)
        if method:
            hashlib.new("sha256")
            assert passwords.check_password_hash(stored, "x") is False, "and no ValueError for its parameters"


@pytest.mark.parametrize("password", [
    "short", "12345678", "87654321", "123456789012", "password", "Password123!", "p a s s w o r d", "aaaaaaaaaaaa",
    "abababab", "qwertyuiop", "qwerty123456", "1q2w3e4r", "abcdefgh", "administrator1", "Grandma-2027", "letmein!!",
    "11112222", "пароль12345", "        ",
])
def test_what_is_guessed_first_is_no_password(password):
    assert weakness(password, "grandma")


@pytest.mark.parametrize("password", [
    "correct horse", "long enough", "another password", "secret word", "xK9-wpe2", "бабушка любит чай",
    "qwe-rty-asd-Z9", "пять 5 слов", "tr0ub4dor&3",
])
def test_a_few_words_are_a_password(password):
    assert weakness(password, "grandma") is None
    assert all(weakness(new_password(), "grandma") is None for _ in range(20))
