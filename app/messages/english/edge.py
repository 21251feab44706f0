"""nginx, certbot and the certificates."""

TEMPLATES = {
    "nginx.share_page": "what should be the address of a user's own page is none",
    "nginx.share_taken":
        "{domain} is the name of users' own pages ({@share_hostname}), and somebody else's: it must be theirs alone",
    "nginx.name": "nginx can't use the name {name!r}: it has to be written {known}",
    "nginx.no_name": "nginx can't use a name: {reason}",
    "nginx.address": "the proxy of {name} has the address {address!r}; HOST:PORT is expected",
    "nginx.panel_is_user":
        "{domain} is the panel's own name ({@panel_domain}) and a user's domain: give that user another one",
    "nginx.panel_is_cover":
        "{domain} is the panel's own name ({@panel_domain}) and the cover site's: give one of them another",
    "nginx.path": "the panel can't have the path {path!r} at the bare address; allowed are A-Z, a-z, 0-9, _ and -",
    "nginx.certificate_name": "a certificate can't be called {name!r}",
    "nginx.certificate_twice": "two certificates are called {name!r}",
    "nginx.cover_url": "{@cover_url} is {value!r}; https:// and a host name is expected",
    "nginx.cover_circle": "{@cover_url} is {value}, which leads back to this server: name a site elsewhere",
    "nginx.not_mounted":
        "nginx does not see what is in {folder}: that folder has to be mounted in its container at {mounted}, as "
        "docker-compose.yml does. It still serves what it served before.",
    "nginx.refuses": "nginx refuses the new configuration: {reason}. It still serves what it served before.",
    "nginx.cant_serve":
        "nginx can't serve the new configuration, although it passed the check: {reason}. It still serves what it "
        "served before.",
    "nginx.says_no_more": "it says no more",
    "nginx.means": "{meaning} (nginx: {said})",
    "nginx.some_file": "a file",
    "nginx.other_key": "the key {file} does not belong to its certificate",
    "nginx.bad_key": "the key {file} can't be read",
    "nginx.bad_certificate": "the certificate {file} can't be read",
    "nginx.forbidden": "nginx may not read {file}; its account needs the panel's group (group_add)",
    "nginx.port_taken": "the port is taken",
    "nginx.at": "{place}: {reason}",
    "nginx.line": "{file}, line {line}",
    "nginx.line_shown": "{file}, line {line} ({text})",
    "nginx.own_file": "your own file {place}",
    "nginx.silent":
        "it did not serve it within {seconds:g} seconds; `{compose} logs nginx` may say why",
    "nginx.missing":
        "nginx is not there: {reason}. Start it: {compose} up -d nginx. If it does not stay up, {compose} logs nginx "
        "says why",
    "nginx.unreachable": "nginx can't be reached: {reason}",
    "nginx.folder": "{path} can't be written or read ({reason}). It still serves what it served before.",
    "nginx.its_folder": "the folder of nginx",
    "traefik.refuses": "Traefik refuses the new routes: {reason}. It still serves what it served before.",
    "traefik.silent":
        "it did not serve them within {seconds:g} seconds. One file that it can't read keeps it from reading any: look "
        "at those beside {file}. With TRAEFIK_LOG=ERROR in .env, {compose} logs traefik says more",
    "traefik.missing":
        "Traefik does not answer: {reason}. Start it: {compose} up -d traefik. If it does not stay up, {compose} logs "
        "traefik says why",
    "traefik.answer": "its answer to {path} is none of Traefik's: {said}",
    "traefik.folder": "{path} can't be written or read ({reason}). Traefik still serves what it served before.",
    "traefik.its_folder": "the folder of Traefik",
    "pem.no_key": "the certificate {name!r} has no key",
    "pem.unreadable": "the certificate {name!r} or its key can't be read: {reason}",
    "pem.other_key": "the key of the certificate {name!r} belongs to another one",
    "certbot.missing": "certbot does not run; start it with: {command}",
    "certbot.not_asked": "certbot could not be asked: {reason}",
    "certbot.damaged": "certbot's files are damaged: {reason}",
    "certbot.busy": "certbot is busy with another request",
    "certbot.says_nothing": "it does not say why",
    "certbot.too_old":
        "this certbot is too old to ask for a certificate for an address: 5.4 or newer is needed (CERTBOT_IMAGE)",
    "certbot.failed": "certbot failed: {said}",
    "certbot.nothing":
        "certbot reports success, but its files hold no certificate for {domains}: docker compose logs certbot",
    "authority.unreachable": "the certificate authority {authority} can't be reached from this server: {reason}",
    "authority.untrusted": "its own certificate is not trusted here",
    "authority.no_address": "its name has no address in the DNS",
    "authority.nothing_listens": "nothing listens there",
    "authority.no_answer": "no answer in time",
    "authority.refuses": "{authority} refuses: {said}",
    "authority.refuses_advice": "{authority} refuses: {said} ({advice})",
    "authority.names": "{authority} could not check {problems:clauses}",
    "authority.kind": "{problems:clauses}",
    "authority.kind_advice": "{problems:clauses} ({advice})",
    "authority.name": "{domain}: {detail}",
    "authority.more": "and {count} more like that",
    "authority.advice_dns": "A and AAAA records must lead to this server",
    "authority.advice_connection":
        "port 80 of this server must be open to the internet, at every address that the A and AAAA records name",
    "authority.advice_unauthorized":
        "the A and AAAA records must lead to this server, and its port 80 to this nginx",
    "authority.advice_address": "port 80 of that address must be open to the internet, and lead to this nginx",
    "authority.advice_caa": "the domain's CAA record does not allow this authority",
    "authority.advice_ratelimited": "wait: the panel asks again by itself",
    "certificate.damaged": "the file {path} can't be used: {reason}",
    "certificates.under_way": "they are being asked for already",
    "certificate.without": "it is without {names}: {reason}",
    "engine.builtin": "the built-in engine",
    "engine.ignores": "{setting} is set, but {engine} does not use it",
    "engine.blocklist_private":
        "proxy_blocklist is on: firehol_level1 holds the private ranges, so clients in this server's own network (and "
        "those that Docker shows with its own address) are refused",
    "engine.no_address_limit":
        "the limit of {limit} {limit:address|addresses} at a time has no effect, as {engine} can't limit them; the "
        "built-in engine and telemt can",
    "engine.no_address_limit_443":
        "the limit of {limit} {limit:address|addresses} at a time has no effect on port 443, as nginx does not say "
        "that it keeps it; with the built-in engine and telemt it has",
    "move.waiting": "moves to {engine}; until this has been tested, {now} stays in use",
    "move.not_proven": "stays with {now}, as the link does not work with {engine}: {reason}",
    "move.taken_back": "stays with {now}, as {engine} could not take over: {reason}",
    "move.changes_link":
        "stays with {now}: with {engine} the link would carry port {after} instead of {before}, so a new link would "
        "have to be sent. To allow that, set move_changes_links=true",
    "move.new_link": "the link then carries port {after} instead of {before}: send it again after the move",
    "moves.waiting":
        "{count} {count:user moves|users move} to another engine; until this has been tested, the current one stays "
        "in use.",
    "moves.new_link":
        "{count} {count:link|links} then {count:carries|carry} another port: send {count:it|them} again after the "
        "move.",
    "moves.changes_link":
        "{count} {count:user keeps|users keep} the current engine: with the other one {count:the link|their links} "
        "would carry another port, so new links would have to be sent. To allow that, set move_changes_links=true.",
    "mtg.not_learned":
        "mtg could not fetch {url}, from which it learns how fast to send, so a connection gets some 18 Mbit/s at "
        "most; it tries again every {minutes} {minutes:minute|minutes}: {reason}",
    "engine.not_here":
        "there is no engine {engine} on this installation; there are {available}: choose one of them, for the user or "
        "in the settings",
    "engine.no_panel_image":
        "the built-in engine runs in containers of the panel's own image, and which one that is is not known here: "
        "docker-compose.yml tells it by MTPROTO_PANEL_IMAGE",
    "engine.no_mtg": "mtg is not installed here: put it on PATH, or its path into MTG_BIN",
    "engine.no_telemt": "telemt is not installed here: put it on PATH, or its path into TELEMT_BIN",
    "engine.mtproxy_needs_docker":
        "MTProxy runs in containers only, and this installation has none: it ends itself where process ids are above "
        "65535, as on most servers. Choose another engine",
    "engine.mtproxy_no_files":
        "MTProxy needs two files from Telegram, which are not here yet: the panel downloads them from "
        "{@mtproxy_files_url}. If that can't be reached from here, give them by hand: {command}",
    "engine.uncounted":
        "{engine} does not tell its users apart: their traffic is not known where a container serves several, so "
        "limits do nothing there; a change of one user restarts the container of up to 16",
    "engine.not_taken_over":
        "{engine} ({name}) has not applied a change of its users within {seconds} s; it still serves the users "
        "of before. Its log says why",
    "engine.refuses":
        "{engine} ({name}) does not apply a change of its users, and still serves those of before: {problems:clauses}",
    "telemt.file_refused": "telemt refuses its file: {reason}",
    "telemt.not_imitated":
        "telemt could not ask {domain} how it answers ({count} {count:name|names} in all), so the size of its "
        "handshake is made up; it tries again within hours, and at a restart",
    "engine.too_many":
        "{engine} serves {most} links at a time, and all of them are taken by others: choose another engine, or delete "
        "or disable users of {engine}",
    "throttle.not_kept":
        "{name} should be kept to {wanted} bit/s (0 is no limit), but {engine} tells that it keeps them to {kept}",
    "engine.only_faketls":
        "{engine} serves only FakeTLS secrets (they start with ee), and that of {name} is {kind}: give a domain, or "
        "use the built-in engine",
    "engine.secrets":
        "{engine} serves only secrets of the kinds {kinds}, and that of {name} is {kind}: give a domain, or use "
        "the built-in engine",
}
