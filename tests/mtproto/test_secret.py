from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mtproto.secret import Secret, SecretError, valid_domain

LABEL = st.from_regex(r"[a-z][a-z0-9-]{0,15}[a-z0-9]", fullmatch=True)
DOMAIN = st.lists(LABEL, min_size=2, max_size=4).map(".".join)
KEY = st.binary(min_size=16, max_size=16)
SECRET = st.one_of(
    st.builds(Secret, st.just("faketls"), KEY, DOMAIN),
    st.builds(Secret, st.sampled_from(["padded", "plain"]), KEY),
)


@given(SECRET)
def test_every_spelling_of_a_secret_reads_back_as_the_same_secret(secret: Secret) -> None:
    standard = base64.b64encode(secret.data).decode()
    for text in (secret.hex, secret.hex.upper(), secret.base64url, standard, f" {standard}\n"):
        assert Secret.parse(text) == secret


@given(SECRET)
def test_a_rotated_secret_keeps_everything_but_the_key(secret: Secret) -> None:
    rotated = secret.rotated()
    assert (rotated.kind, rotated.domain) == (secret.kind, secret.domain)
    assert rotated.key != secret.key


@given(DOMAIN)
def test_a_generated_secret_is_faketls_for_that_domain(domain: str) -> None:
    secret = Secret.generate(domain.upper())
    assert (secret.kind, secret.domain, len(secret.key)) == ("faketls", domain, 16)
    assert secret.hex.startswith("ee") and secret.hex.endswith(domain.encode().hex())


@given(st.text(max_size=80))
def test_any_text_is_a_secret_or_is_refused_with_a_message(text: str) -> None:
    try:
        assert len(Secret.parse(text).key) == 16
    except SecretError as error:
        assert len(str(error)) > 20


@given(st.text(max_size=300))
def test_any_text_is_a_domain_or_is_refused_with_a_message(text: str) -> None:
    try:
        name = valid_domain(text)
    except SecretError as error:
        assert "allowed" in str(error)
    else:
        assert valid_domain(name) == name and name.isascii() and "." in name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("zz" * 16 + "!", "neither hex nor base64url"),
        ("ab" * 15, "15 bytes"),
        ("ee" + "ab" * 16, "no host name"),
        ("dd" + "ab" * 20, "21 bytes"),
        ("ee" + "ab" * 16 + "20", "no host name has"),
        ("ee" + "ab" * 16 + "61" * 183, "at most 182"),
    ],
)
def test_a_bad_secret_is_refused_in_words_that_help(text: str, words: str) -> None:
    with pytest.raises(SecretError, match=words):
        Secret.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "localhost", "1.2.3.4", "[::1]", "::1", "a_b.com", "-a.com", "a-.com", "a..com", "a b.com",
     "x" * 64 + ".com", ".".join(["abcdefghi"] * 19), "a.123", "exa\u0000mple.com", "http://a.com",
     "a.com:443"],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(SecretError, match="is not a host name"):
        valid_domain(text)


def test_international_and_untidy_host_names_are_normalised() -> None:
    assert valid_domain(" WWW.Example.COM. ") == "www.example.com"
    assert valid_domain("bücher.example") == "xn--bcher-kva.example"


def test_neither_the_mask_nor_the_representation_shows_the_key() -> None:
    secret = Secret.parse("ee" + "1a2b3c4d5e6f70819203a4b5c6d7e8f9" + b"a.example.com".hex())
    assert secret.masked() == "ee1a2b…6f6d"
    assert "3c4d" not in repr(secret) and "3c4d" not in secret.masked()


def test_another_domain_keeps_the_key() -> None:
    secret = Secret.generate("a.example.com")
    other = secret.with_domain("B.example.com")
    assert (other.key, other.domain) == (secret.key, "b.example.com")
    with pytest.raises(SecretError):
        secret.with_domain("nonsense")
