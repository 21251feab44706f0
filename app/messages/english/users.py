"""Users: who they are, what they have, and what may be changed of them."""

TEMPLATES = {
    "user.unknown": "there is no user {ref!r}",
    "user.ambiguous": "{count} users are called {ref!r}; use the id instead: {ids}",
    "user.exists": "there is a user {name!r} already (id {id}); choose another name",
    "share.not_allowed": "a new link can't be had here now",
    "share.too_soon": "the next new link can be had in {minutes} min",
    "user.no_domain": "the secret has no domain, by which users are told apart on port 443",
    "plan.unknown": "there is no plan {ref!r}; there are: {plans}",
    "plan.none_yet": "there is no plan {ref!r}, and no other one yet",
    "plan.exists": "there is a plan {name!r} already; choose another name",
    "plan.many": "there are {most} plans, the largest number allowed: remove one that nobody needs",
    "plan.no_field": "a plan has no field {name!r}; there are: {names}",
    "user.not_deleted": "there is no deleted user {ref!r}; deleted users can be restored for 30 days",
    "restored.name": "the name {before!r} belongs to somebody else now, so the user is called {name!r}",
    "restored.port": "the port {before} is taken now, so the link has the port {port}: send it again",
    "restored.domain": "the domain {before} belongs to somebody else now, so the link has {domain}: send it again",
    "user.no_field": "a user has no field {name!r}; there are: {names}",
    "proxy.shared":
        "{name} shares the proxy of {engine} with other users, so it is not restarted for one of them. To end this "
        "user's connections, disable and enable them; to restart it for everybody, restart all proxies",
    "user.link_and_domain": "a link contains its domain: give either the link or the domain",
    "user.link_known": "this link's secret belongs to {name!r} already",
    "user.link_server": "it leads to the server {server}, and links here to {ours}",
    "user.link_port": "its port is {port}, and here it is {ours}",
    "user.two_expiries":
        "expires and expires_after_days can't both be set: either a date, or a number of days from the first use",
    "user.expiry_past": "the expiry {typed!r} is in the past; to end access now, disable the user",
    "user.days": "{typed!r} days are not allowed; allowed: a whole number from 0 to {most:,}",
    "user.at_limit": "at_limit {typed!r} is not allowed; allowed: {allowed:or}, or empty for the default",
    "user.limit": "the traffic limit {typed!r} is not allowed; allowed: a number of GB from 0 to {most:,}, or none",
    "user.limit_two_ways": "the traffic limit {typed!r} can be read in two ways: write {first} or {second} GB",
    "user.speed": "the speed {typed!r} is not allowed; allowed: a number of Mbit/s from 0 to {most:,}, or none",
    "user.speed_two_ways": "the speed {typed!r} can be read in two ways: write {first} or {second} Mbit/s",
    "user.secret_without_domain":
        "on port 443 users are told apart by their domain: only a secret that has one (it starts with ee) is allowed",
    # Many at once.
    "many.unknown": "{what!r} is nothing that can be done to many users at once",
    "many.nobody": "no users are chosen: tick some of them, or all that match",
    "many.gigabytes": "{typed!r} is not an amount of traffic; allowed: a number of GB that is more than 0",
    "many.days": "{typed!r} days are not allowed; allowed: a whole number from 1 to {most:,}",
    "many.tag": "{typed!r} is not one tag; allowed: one word or a short phrase without a comma",
    "many.twice": "the name stands there twice",
    "many.gone": "the user was deleted meanwhile",
    "many.no_limit": "the user has no traffic limit",
    "many.no_expiry": "the user's access has no last day",
    "many.changed_since": "somebody has changed it again since",
    "many.no_undo": "this can't be undone, or already was",
    "many.later": "it is saved, and takes effect as soon as the proxies can be reached; now they can't: {reason}",
    "many.names": "{count:,} names are not allowed; allowed: 1 to {most:,} at a time",
    "many.number_changed": "{now:,} users match now, and not {before:,} as before: look again whom you have chosen",
    "port.typed": "the port {typed!r} is not allowed; allowed: a whole number from 1 to 65535",
    "port.typed_public":
        "the public port {typed!r} is not allowed; allowed: a whole number from 1 to 65535, or 0 for the default",
    "port.of_user": "the port {port} belongs to {name!r} already",
    "port.none_free": "no port is free from {first} to 65535: {reason}",
    "port.all_of_users": "users have them all",
    # Domains: which a user may have.
    "domain.none_free":
        "every one of the {count} domains in {@domain_pool} belongs to a user: add domains to it, name one for this "
        "user, or use a domain of your own ({@sni_mode own})",
    "domain.spelling": "{domain} has to be written {known}: give the user that domain",
    "domain.of_panel": "{domain} is the panel's own name ({@panel_domain}): choose another",
    "domain.of_share": "{domain} is the name of users' own pages ({@share_hostname}): choose another",
    "domain.of_cover": "{domain} is the cover site's own name ({@sni_base_domain}): choose a name under it",
    "domain.of_user":
        "{domain} belongs to {name!r}, and on port 443 users are told apart by their domain: choose another",
    "domain.cover": "{domain} {reason}: choose a site elsewhere",
    "cover.circle":
        "leads to this server itself ({addresses}), so connections of strangers would go in circles; a name of your "
        "own has to be one under {@sni_base_domain}",
    "cover.inside":
        "leads to {addresses}, which is not a public address, and strangers would be passed on to what answers there",
}
