"""Bans: what is asked for and refused, and how fail2ban is."""

from __future__ import annotations

TEMPLATES = {
    "bans.not_banned": "{address} is not banned",
    "bans.no_address": "{address} is not an IP address: something like 203.0.113.7 or 2001:db8::1 is allowed",
    "bans.network": "{address} is a network: one address is banned at a time, or the /64 of an IPv6 address",
    "bans.private": "{address} is never banned: it is of a private or reserved network, and not of the internet",
    "bans.own": "{address} is never banned: it is this server's",
    "bans.in_use": "{address} is never banned: somebody is logged in to the panel from there",
    "bans.spared": "{address} is never banned: the setting {@ban_never} names it",
    "bans.off": "bans are switched off: the setting {@bans} switches them on",
    "bans.unwritten": "the data folder takes no writes ({reason}), so nothing was asked for",
    "bans.stopped": "fail2ban does not run on this server, or without the jail mtproto: nobody is banned now.",
    "bans.missing": "fail2ban is not installed on this server: nobody is banned.",
    "bans.unknown": "fail2ban was not set up for the proxies on this server: {command}",
}
