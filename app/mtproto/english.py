"""What the protocol library says: of secrets and links. A part of the panel's catalogue (app/messages)."""

from app.lib.problem import Language

ENGLISH = Language(
    templates={
        "secret.empty": "the secret is empty; allowed are hex and base64url",
        "secret.no_code":
            "the secret ({count} characters) is neither hex nor base64url; check that it was copied whole and without "
            "spaces",
        "secret.shape":
            "the secret has {count} bytes and starts with {start!r}; allowed are 16 bytes, dd + 16 bytes, or ee + 16 "
            "bytes + a host name",
        "secret.no_domain": "the secret starts with ee but has no host name after its 16 bytes",
        "secret.long_domain": "the secret's host name has {count} bytes; at most {most} are allowed",
        "secret.odd_domain": "the secret's host name has characters that no host name has",
        "domain.refused":
            "{name!r} is not a host name: {reason}; allowed are names like www.example.com of letters, digits and "
            "hyphens, at most {most} characters",
        "domain.empty": "it is empty",
        "domain.no_idna": "it has no international (IDNA 2008) form",
        "domain.address": "it is an IP address",
        "domain.long": "it has {count} characters",
        "domain.no_dot": "it has no dot",
        "domain.part": "the part {part!r} is not allowed",
        "domain.number": "its last part is a number",
        "link.not": "this is not a link: {reason}",
        "link.other": "this is not a proxy link; one starts with tg://proxy? or https://t.me/proxy?",
        "link.fields": "the proxy link has too many fields; server, port and secret are expected",
        "link.lacks": "the proxy link has no {part}",
        "link.twice": "the proxy link has {part} twice, with different values",
        "link.secret": "the proxy link's secret is bad: {problem}",
        "link.server": "{typed!r} is not a server; allowed is a host name or an IP address",
        "link.port": "{typed!r} is not a port; allowed are 1 to 65535",
    },
    plural=lambda number: 0 if number == 1 else 1,
    last={"and": "and", "or": "or"},
)
