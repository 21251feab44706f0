"""What engines tell of connections that they turned away: what each was, and what to do."""

TEMPLATES = {
    "bad.no_key": "TLS handshakes without a key of yours: scanners, visitors of the cover site, old links",
    "bad.no_key.do": "If a user can't connect, compare the link, and the clock of the device.",
    "bad.no_mtproto": "The right key, but then no MTProto",
    "bad.no_mtproto.do": "Let the user update the app, or try another one.",
    "bad.cut_hello": "The connection ended in the middle of its first message",
    "bad.cut_hello.do":
        "A few are scanners. Many of one user: the network between cuts the connection, as a provider that blocks "
        "does. Try another domain for that user.",
    "bad.odd_hello": "A first message of an impossible size: a scanner",
    "bad.odd_hello.do": "Nothing.",
    "bad.unknown_name": "A name (SNI) that is not served",
    "bad.unknown_name.do": "Nothing, as long as users can connect.",
    "bad.past_nginx": "A connection past nginx, from inside the network of the proxies",
    "bad.past_nginx.do": "Nothing, if the count stands still. Else find out what else runs in that network.",
    "bad.no_header": "A connection without the PROXY header that nginx writes",
    "bad.no_header.do": "Check that nothing but nginx leads to the proxy.",
    "bad.no_tls": "MTProto without TLS: a link that begins with dd, or a scanner",
    "bad.no_tls.do": "Give the user the link that the panel shows.",
    "bad.noise": "Neither TLS nor MTProto: a scanner",
    "bad.noise.do": "Nothing.",
    "bad.replay": "A handshake that was seen before: somebody recorded it and sends it again to find proxies",
    "bad.replay.do": "Nothing: it was not let in. Many may mean that a censor looks at this server.",
    "bad.too_many_addresses": "A connection from one address more than its link may be used from",
    "bad.too_many_addresses.do":
        "Nothing, if the link was passed on. Else raise the limit of that user: each user has a count of it.",
    "debug_log.minutes": "a debug log of {minutes} {minutes:minute|minutes} is not allowed; allowed: 1 to {most}",
    "debug_log.not_here":
        "{engine} writes no debug log: only telemt can, while it serves somebody. The log is as it was",
    "mtproxy.secret_size":
        "this is no proxy-secret of Telegram's: it has {count} bytes, and must have {least} to {most}",
    "mtproxy.secret_text": "this is no proxy-secret of Telegram's: it is text, perhaps a page that tells of an error",
    "mtproxy.conf_size": "this is no proxy-multi.conf of Telegram's: it has more than {most} bytes",
    "mtproxy.conf_text": "this is no proxy-multi.conf of Telegram's: it is no text in ASCII",
    "mtproxy.conf_statement":
        "this is no proxy-multi.conf of Telegram's, or it was cut short: {text!r} is no statement",
    "mtproxy.conf_dcs": "this proxy-multi.conf was cut short: it has no addresses of the data centres {missing}",
    "mtproxy.unreachable": "{url} can't be downloaded: {reason}",
    "mtproxy.status": "{url} answers with the status {status}",
    "mtproxy.too_large": "{url} sends more than {most} bytes",
    "mtproxy.too_slow": "{url} was not read within {seconds} s",
    "mtproxy.files_unchecked":
        "Telegram's files for MTProxy can't be renewed; those of {days} {days:day|days} ago stay in use: {reason}",
    "mtproxy.files_missing":
        "Telegram's files for MTProxy can't be downloaded, and without them it serves nobody: {reason}",
    "mtproxy.files_unkept": "Telegram's files for MTProxy can't be saved: {reason}",
    "mtproxy.port_of_telemt":
        "telemt and a container of MTProxy would both have port {port}. Give one of them another one first: "
        "{@shared_port} or {@mtproxy_first_port}. Nothing was changed",
    "mtproxy.not_its_user": "{name} is served by another engine, not by MTProxy",
    "mtproxy.no_export": "this is no mtproxy_secrets.json: it has no list of secrets. Nothing was taken over",
    "mtproxy.no_value": "it has no value",
    "mtproxy.bad_entry": "secret number {number} can't be taken over: {reason}. Nothing was taken over",
    "mtproxy.not_exported": "{path} can't be written: {reason}",
    "mtproxy.unread": "{path} can't be read: {reason}",
    "mtproxy.own_share":
        "MTProxy does not tell its users apart: while others are served by the same container, this user's traffic and "
        "connections are not known, and not limited",
    "bad.other": "Anything else ({reason})",
    "bad.other.do": "The log of the engine may tell more.",
}
