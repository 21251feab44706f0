"""Admins, and how they log in."""

TEMPLATES = {
    "admin.bad_name": "the admin name {name!r} is not allowed: {reason}",
    "admin.exists": "there is an admin {name!r} already; reset-password gives a new password",
    "admin.unknown": "there is no admin {name!r}; there are: {names}",
    "admin.last_removed":
        "{name!r} is the only owner, so they can't be removed. Make another admin an owner first: "
        "admin set NAME --role owner",
    "admin.last_kept":
        "{name!r} is the only owner, and one is needed. Make another admin an owner first: "
        "admin set NAME --role owner",
    "admin.no_role": "there is no role {role!r}; there are: {roles}",
    "password.wrong": "this is not your password",
    "password.differ": "the two passwords differ: type the new one twice",
    "password.no_text": "the password is not text in UTF-8",
    "actor.not_sudo":
        "Only an owner can do this, and {name} is not one. Nothing was changed.",
    "actor.viewer": "{name} may look at users and their traffic, and change nothing. Nothing was changed.",
    "actor.no_admin": "Only an admin can do this, and {name} is not one. Nothing was changed.",
    "factor.wrong_code": "this is no code that counts now, or it was used before",
    "factor.no_code": "a code of the app, a recovery code or a passkey is needed, too",
    "factor.wrong_passkey": "this passkey was not accepted; try again, or type a code",
    "factor.wrong_new_code":
        "this is no code of the app for this QR code. If you typed it in time, the clock of the server or of the "
        "phone is wrong",
    "factor.there": "a second factor is set up already",
    "factor.none": "{name} has no second factor",
    "factor.own": "your own second factor is removed on the page of your account, with a code of it",
    "token.no_scope": "{scope!r} is no scope of a token; there are: {scopes}",
    "token.days": "{days} days are not allowed; allowed: 1 to {most:,}, or 0 for a token that does not end",
    "token.more_than_admin": "a token of {name} can't have the scope {scope}: it is more than {name} may do",
    "token.many": "there are {most} tokens, the largest number allowed: remove one that no program uses",
    "token.exists": "you have a token {name!r} already; choose another name",
    "token.unknown": "there is no token with the id {id!r}",
    "token.by_token": "a token can't make another one: log in to the panel, or use the command token add",
    "token.missing": "A token is needed: Authorization: Bearer TOKEN.",
    "token.wrong": "This token is worth nothing: was it removed, or not copied whole?",
    "token.no_admin": "The admin {name} of this token does not exist any more.",
    "token.expired": "The token {name!r} has expired, on {at:day}.",
    "key.other":
        "this key was used for another request before: choose a new key for each thing that is to be made",
    "key.in_use": "the first request with this key is not done yet: ask again in a moment",
    "passkey.wrong": "the browser's answer does not fit what the panel asked for; try again",
    "passkey.many": "you have {most} passkeys already, which is the most; remove one first",
    "login.throttled": "Too many failed logins. Try again in {minutes} min.",
    "login.busy": "Too many people log in at this moment. Try again in a few seconds.",
}
