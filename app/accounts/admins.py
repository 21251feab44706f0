"""Admins: who may log in, and in which role. An owner there always is."""

from __future__ import annotations

from app.accounts import factors
from app.config.file import ConfigFile
from app.config.invalid import InvalidValue
from app.config.model import ROLES, Admin, Config, Role
from app.config.names import clean_name, looks
from app.config.passwords import hash_password, new_password, weakness
from app.messages.refused import Refused


def everybody(config: Config) -> list[Admin]:
    """All admins; the first one lives in fields of its own and may do everything."""
    first = Admin(username=config.admin_username, password_hash=config.admin_password_hash, role="owner")
    return [first, *config.admins]


def find(config: Config, username: str) -> Admin | None:
    """The admin of this name."""
    return next((admin for admin in everybody(config) if admin.username == username), None)


def spelled(username: str) -> str:
    """A name as it is kept: some keyboards compose letters in another way, and a space at the end is not seen."""
    try:
        return clean_name(username)
    except InvalidValue:
        return username


def has_first_password(config: Config, username: str) -> bool:
    """Whether this is the first admin, with the password that was shown in a terminal."""
    return username == config.admin_username and (config.admin_password_initial or config.initial_password is not None)


def role_of(text: str) -> Role:
    """The role of this name. Raises Refused."""
    for role in ROLES:
        if text == role:
            return role
    raise Refused("admin.no_role", "role", role=text, roles=list(ROLES))


def create(file: ConfigFile, username: str, password: str, role: Role) -> Admin:
    try:
        username = clean_name(username)
    except InvalidValue as error:
        raise Refused("admin.bad_name", "username", name=username.strip(), reason=error) from None
    refuse_simple(password, username)
    admin = Admin(username=username, password_hash=hash_password(password), role=role)
    with file.edit() as config:
        look = looks(username)
        if alike := next((each.username for each in everybody(config) if looks(each.username) == look), None):
            # Nor one that differs by case, an accent or a Cyrillic letter: in the audit log, who did what could not be
            # told.
            raise Refused("admin.exists", "username", name=alike)
        factors.forget(config, username)
        config.admins.append(admin)
        # Of somebody of the same name, who was taken out by hand: they are not this admin's.
        _end_tokens(config, username)
    return admin


def set_password(file: ConfigFile, username: str, password: str | None = None) -> str:
    """Give an admin this password, or a new random one, and return it."""
    if password is not None:
        refuse_simple(password, username)
    password = new_password() if password is None else password
    hashed = hash_password(password)
    with file.edit() as config:
        known(config, username)
        set_hash(config, username, hashed)
        if username == config.admin_username:
            config.initial_password, config.admin_password_initial = None, False
    return password


def keep_first_password(file: ConfigFile, username: str) -> bool:
    """Whether this admin had the first password until now, which is from now on like one that they have chosen."""
    with file.edit() as config:
        if not has_first_password(config, username):
            return False
        config.initial_password, config.admin_password_initial = None, False
    return True


def remove(file: ConfigFile, username: str) -> None:
    with file.edit() as config:
        known(config, username)
        _keep(config, [admin for admin in everybody(config) if admin.username != username], username, removed=True)
        factors.forget(config, username)
        _end_tokens(config, username)


def set_role(file: ConfigFile, username: str, role: Role) -> Admin:
    """Give an admin this role."""
    with file.edit() as config:
        people = [admin.with_role(role) if admin.username == username else admin for admin in everybody(config)]
        admin = known(config, username)
        _keep(config, people, username, removed=False)
    return admin.with_role(role)


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


def known(config: Config, username: str) -> Admin:
    """The admin of this name. Raises Refused."""
    admin = find(config, username)
    if admin is None:
        names = [admin.username for admin in everybody(config)]
        raise Refused("admin.unknown", "username", name=username, names=names)
    return admin


def _keep(config: Config, people: list[Admin], username: str, removed: bool) -> None:
    """These are the admins from now on. The first owner is the first admin of the file."""
    first = next((admin for admin in people if admin.sudo), None)
    if first is None:
        raise Refused("admin.last_removed" if removed else "admin.last_kept", "username", name=username)
    if first.username != config.admin_username:
        config.initial_password, config.admin_password_initial = None, False
    config.admin_username, config.admin_password_hash = first.username, first.password_hash
    config.admins = [admin for admin in people if admin is not first]


def _end_tokens(config: Config, username: str) -> None:
    config.api_tokens = [token for token in config.api_tokens if token.admin != username]
