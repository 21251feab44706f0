from __future__ import annotations

import hashlib

import pytest
from werkzeug.security import generate_password_hash

from app.config.passwords import hash_password, new_password, verify_password


def old_hash(password: str) -> str:
    salt = "0123456789abcdef0123456789abcdef"
    return f"{salt}:{hashlib.pbkdf2_hmac('sha256', password.encode(), salt.encode(), 100_000).hex()}"


def test_a_hash_of_today_verifies_and_needs_no_upgrade():
    assert verify_password(hash_password("correct horse"), "correct horse") == (True, False)


@pytest.mark.parametrize("stored", [
    old_hash("correct horse"), generate_password_hash("correct horse", method="pbkdf2:sha256:1000")])
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
