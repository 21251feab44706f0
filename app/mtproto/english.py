"""What the protocol library says: of secrets, links and probes. A part of the panel's catalogue (app/messages)."""

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
        "answer.no_hello": "the answer is not the ServerHello of a Telegram proxy",
        "answer.other_secret": "the server does not know the secret: it is the cover site or another server",
        "answer.endless": "the answer does not end",
        "probe.no_address": "the server name {name} has no address ({reason}); check the name and its DNS record",
        "probe.no_host_name": "it is not a host name",
        "probe.address": "{address}: {reason}",
        "probe.address_silent": "{address}: no answer in time, a firewall drops the packets or the server is down",
        "probe.no_connection":
            "can't connect to {where} within {seconds:g} s ({reasons:clauses}): is the proxy running, and the port "
            "open?",
        "probe.website":
            "{where} answered like an ordinary website, not like the proxy of this link: the link's secret is not the "
            "one the proxy has now, another program listens there, or the clocks differ ({reason})",
        "probe.closed":
            "{where} accepted the connection and closed it in the middle of the FakeTLS handshake: it is not a proxy "
            "for this link, or its cover host could not be reached",
        "probe.silent":
            "{where} accepted the connection but did not answer the FakeTLS handshake within {seconds:g} s",
        "probe.closes": "closed the connection instead of passing on Telegram's answer",
        "probe.says_nothing": "gave no answer of Telegram's within {seconds:g} s",
        "probe.no_answer":
            "the proxy at {where} knows the secret, but {what}: its own way to Telegram does not work; check the "
            "upstream SOCKS5 server or the server's route to Telegram",
        "probe.no_answer_unproven":
            "{where} {what}: the proxy can't reach Telegram, or it has another secret than this link (without FakeTLS "
            "the two look alike)",
        "probe.not_telegram":
            "the proxy at {where} knows the secret, but what came back is not Telegram's reply: something else answers "
            "on its way to Telegram",
        "probe.not_telegram_unproven":
            "{where} answered, but not with Telegram's reply: it is no MTProto proxy, or it has another secret",
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
