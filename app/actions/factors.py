"""What is done to second factors: set up, removed, and taken away from somebody who has lost theirs."""

from __future__ import annotations

from app.accounts import admins, factors, passkeys
from app.accounts.actor import Actor, Right
from app.accounts.logins import Place
from app.actions.declare import edit
from app.config.model import Config
from app.config.second_factors import Passkey, SecondFactors
from app.control.errors import refusing
from app.control.system import System
from app.messages.refused import Refused

#: What somebody has who is logged in, beside their password: a code as it was typed, or the answer of a passkey.
Proof = str | passkeys.Answer


def check_code(system: System, username: str, code: str, place: Place) -> bool:
    """See Logins.check_code; it is the second step of a login, so there is no actor yet."""
    with refusing():
        return system.logins.check_code(username, code, place)


def set_up(system: System, actor: Actor, password: str, secret: str, code: str, place: Place) -> list[str]:
    """Ask for codes of this secret at each login from now on. Returns recovery codes, to be shown once. Ends all
    sessions of theirs. Raises LoginThrottled and LoginBusy, as a guess is a guess."""
    actor.require(Right.VIEW)
    _refuse_wrong_password(system, actor, password, place)
    step = factors.step_of(secret, factors.typed(code), system.ledger.latest.shown())
    if step is None:
        raise Refused("factor.wrong_new_code", "code")
    codes = factors.new_codes()
    with edit(system) as config:
        admins.known(config, actor.name)
        if factors.of(config, actor.name):
            raise Refused("factor.there")
        factors.put(config, actor.name, secret, codes)
    system.logins.use_step(actor.name, step)
    system.logins.end_sessions(actor.name)
    system.ledger.events.record(str(actor), "admin.factor_set", actor.name)
    return codes


def remove(system: System, actor: Actor, password: str, proof: Proof, place: Place) -> None:
    """Ask for the password alone from now on. Ends all sessions of theirs."""
    actor.require(Right.VIEW)
    _refuse_wrong(system, actor, password, proof, place)
    with edit(system) as config:
        factors.forget(config, actor.name)
    _forget_uses(system)
    system.logins.end_sessions(actor.name)
    system.ledger.events.record(str(actor), "admin.factor_removed", actor.name)


def renew_codes(system: System, actor: Actor, password: str, proof: Proof, place: Place) -> list[str]:
    """New recovery codes in place of those that are left."""
    actor.require(Right.VIEW)
    _refuse_wrong(system, actor, password, proof, place)
    codes = factors.new_codes()
    with edit(system) as config:
        factors.put(config, actor.name, _own(config, actor.name).totp_secret, codes)
    system.ledger.events.record(str(actor), "admin.codes_renewed", actor.name)
    return codes


def begin_passkey(system: System, actor: Actor, host: str, password: str, proof: Proof,
                  place: Place) -> tuple[passkeys.State, passkeys.State]:
    """Begin to make a passkey, for whoever proves who they are: see passkeys.to_make."""
    actor.require(Right.VIEW)
    _refuse_wrong(system, actor, password, proof, place)
    own = _own(system.declaration.last_good(), actor.name)
    return passkeys.to_make(host, actor.name, own.passkeys)


def add_passkey(system: System, actor: Actor, answer: passkeys.Answer, name: str) -> Passkey:
    """Keep the passkey that the browser has made, as begin_passkey asked it to."""
    actor.require(Right.VIEW)
    asked = answer.state
    made = passkeys.made(answer.host, asked, answer.text, " ".join(name.split())[:64]) if asked else None
    if made is None:
        raise Refused("passkey.wrong")
    with edit(system) as config:
        own = _own(config, actor.name)
        if len(own.passkeys) >= passkeys.MOST:
            raise Refused("passkey.many", most=passkeys.MOST)
        own.passkeys = [*own.passkeys, made]
    system.ledger.events.record(str(actor), "admin.passkey_added", actor.name)
    return made


def remove_passkey(system: System, actor: Actor, key: str, password: str, proof: Proof, place: Place) -> None:
    """Forget one's own passkey of this id."""
    actor.require(Right.VIEW)
    _refuse_wrong(system, actor, password, proof, place)
    with edit(system) as config:
        own = _own(config, actor.name)
        own.passkeys = [each for each in own.passkeys if passkeys.id_of(each) != key]
    _forget_uses(system)
    system.ledger.events.record(str(actor), "admin.passkey_removed", actor.name)


def check_passkey(system: System, username: str, answer: passkeys.Answer, place: Place) -> bool:
    """See Logins.check_passkey; it is the second step of a login, so there is no actor yet."""
    with refusing():
        return system.logins.check_passkey(username, answer, place)


def take_away(system: System, actor: Actor, username: str) -> None:
    """Let an admin who has lost their second factor log in by password alone. One's own is removed by a code of it."""
    actor.require(Right.SUDO)
    if username == actor.name:
        raise Refused("factor.own")
    with edit(system) as config:
        admins.known(config, username)
        if factors.of(config, username) is None:
            raise Refused("factor.none", name=username)
        factors.forget(config, username)
    _forget_uses(system)
    system.logins.end_sessions(username)
    system.logins.forgive(username)
    system.ledger.events.record(str(actor), "admin.factor_taken", username)


def _refuse_wrong_password(system: System, actor: Actor, password: str, place: Place) -> None:
    with refusing():
        if system.logins.check(actor.name, password, place, login=False) is None:
            raise Refused("password.wrong", "current")


def prove(system: System, actor: Actor, password: str, proof: Proof, place: Place) -> None:
    """Raises Refused for who is not the admin who is logged in: the password is asked for, and a code, or a passkey,
    where one is at the login. Raises LoginThrottled and LoginBusy."""
    actor.require(Right.VIEW)
    if factors.of(system.declaration.last_good(), actor.name):
        _refuse_wrong(system, actor, password, proof, place)
    else:
        _refuse_wrong_password(system, actor, password, place)


def _refuse_wrong(system: System, actor: Actor, password: str, proof: Proof, place: Place) -> None:
    """The password first: a code is not used up by a typing error in it."""
    _refuse_wrong_password(system, actor, password, place)
    with refusing():
        if isinstance(proof, passkeys.Answer):
            if not system.logins.check_passkey(actor.name, proof, place, login=False):
                raise Refused("factor.wrong_passkey", "code")
        elif not factors.typed(proof):
            raise Refused("factor.no_code", "code")
        elif not system.logins.check_code(actor.name, proof, place, login=False):
            raise Refused("factor.wrong_code", "code")


def _forget_uses(system: System) -> None:
    """Of passkeys that are declared no more."""
    config = system.declaration.last_good()
    system.ledger.passkey_uses.keep_only({passkeys.id_of(each) for own in config.second_factors
                                          for each in own.passkeys})


def _own(config: Config, username: str) -> SecondFactors:
    """Raises Refused for an admin who has none."""
    own = factors.of(config, username)
    if own is None:
        raise Refused("factor.none", name=username)
    return own
