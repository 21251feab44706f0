"""Admins: who may log in, and who of them may change settings. One of the latter there always is."""

from __future__ import annotations

from app.config.file import ConfigFile
from app.config.invalid import InvalidValue
from app.config.model import Admin, Config
from app.config.passwords import hash_password, new_password, weakness
from app.config.values import clean_name
from app.messages.refused import Refused


def everybody(config: Config) -> list[Admin]:
    """All admins; the first one lives in fields of its own and may do everything."""
    first = Admin(username=config.admin_username, password_hash=config.admin_password_hash, sudo=True)
    return [first, *config.admins]


def find(config: Config, username: str) -> Admin | None:
    """The admin of this name."""
    return next((admin for admin in everybody(config) if admin.username == username), None)


def has_first_password(config: Config, username: str) -> bool:
    """Whether this is the first admin, with the password that was shown in a terminal."""
    return username == config.admin_username and (config.admin_password_initial or config.initial_password is not None)


def create(file: ConfigFile, username: str, password: str, sudo: bool) -> Admin:
    try:
        username = clean_name(username)
    except InvalidValue as error:
        raise Refused("admin.bad_name", "username", name=username.strip(), reason=error) from None
    refuse_simple(password, username)
    admin = Admin(username=username, password_hash=hash_password(password), sudo=sudo)
    with file.edit() as config:
        if find(config, username):
            raise Refused("admin.exists", "username", name=username)
        config.admins.append(admin)
    return admin


def set_password(file: ConfigFile, username: str, password: str | None = None) -> str:
    """Give an admin this password, or a new random one, and return it."""
    if password is not None:
        refuse_simple(password, username)
    password = new_password() if password is None else password
    hashed = hash_password(password)
    with file.edit() as config:
        _known(config, username)
        set_hash(config, username, hashed)
        if username == config.admin_username:
            config.initial_password, config.admin_password_initial = None, False
    return password


def remove(file: ConfigFile, username: str) -> None:
    with file.edit() as config:
        _known(config, username)
        _keep(config, [admin for admin in everybody(config) if admin.username != username], username, removed=True)


def set_sudo(file: ConfigFile, username: str, sudo: bool) -> Admin:
    """Let an admin change settings, or no longer."""
    with file.edit() as config:
        people = [admin.model_copy(update={"sudo": sudo}) if admin.username == username else admin
                  for admin in everybody(config)]
        admin = _known(config, username)
        _keep(config, people, username, removed=False)
    return admin.model_copy(update={"sudo": sudo})


def refuse_simple(password: str, username: str) -> None:
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Refused("password.no_text", "password") from None
    if why := weakness(password, username):
        raise Refused(why)


def set_hash(config: Config, username: str, hashed: str) -> None:
    if username == config.admin_username:
        config.admin_password_hash = hashed
    else:
        next(a for a in config.admins if a.username == username).password_hash = hashed


def _known(config: Config, username: str) -> Admin:
    admin = find(config, username)
    if admin is None:
        names = [admin.username for admin in everybody(config)]
        raise Refused("admin.unknown", "username", name=username, names=names)
    return admin


def _keep(config: Config, people: list[Admin], username: str, removed: bool) -> None:
    """These are the admins from now on. The first who may change settings is the first admin of the file."""
    first = next((admin for admin in people if admin.sudo), None)
    if first is None:
        raise Refused("admin.last_removed" if removed else "admin.last_kept", "username", name=username)
    if first.username != config.admin_username:
        config.initial_password, config.admin_password_initial = None, False
    config.admin_username, config.admin_password_hash = first.username, first.password_hash
    config.admins = [admin for admin in people if admin is not first]
