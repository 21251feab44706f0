"""Files of older installations: what they lack is filled in, what can be understood is taken, the rest is noted.

The panel before this one checked little, so its files may hold whatever somebody once typed. Nothing of that
keeps the proxies of everybody from the first start.
"""

from __future__ import annotations

import copy
import difflib
import itertools
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from app.config import hosts
from app.lib import portmap
from app.messages import Problem, sentence

#: Words that the panel's addresses (/users/new) have at the place of an id.
RESERVED_IDS = frozenset({"new", "list", "all", "add", "edit", "search", "export", "import", "bulk"})

#: Settings that older installations had. A newer one that is wrong is a mistake of today, and is refused.
_OLD_SETTINGS = frozenset({
    "admin_username", "admin_password_hash", "_initial_password", "admins", "secret_key", "server_domain", "server_ip",
    "proxy_port", "proxy_image", "proxy_tag", "proxy_prefer_ip", "fake_tls_domain", "stats_enabled",
    "traffic_limit_gb", "throttle_speed_mbps", "port_443_mode", "_not_understood"})

#: What people paste instead of a name, and how they write an amount. One with a comma before three digits can be
#: read in two ways.
_ADDRESS = re.compile(r"\s*(?:[a-z]+://)?([^/:@\s]+)(?::\d*)?(?:/.*)?", re.IGNORECASE)
_AMOUNT = re.compile(r"([0-9]{1,9})(?:[.,]([0-9]{1,2}|[0-9]{4,9}))?(?: ?(?:GB|Mbit/s|Mbps))?", re.IGNORECASE)

#: Types of pydantic's errors for a number where a text belongs.
_NO_TEXT = "string_type"

#: An object of the file: the whole, a user, an admin.
Entry = dict[str, Any]
Told = Callable[[Any, Any], Problem]
NewId = Callable[[set[str]], str]


def completed(data: Entry, new_id: NewId) -> Entry:
    """A copy in which every user has a port and an id, and every plan an id; new_id: makes one that is not taken."""
    if data.get("fake_tls_domain") == "":
        data = {key: value for key, value in data.items() if key != "fake_tls_domain"}
    plans = data.get("plans")
    if isinstance(plans, list) and any(isinstance(plan, dict) and lacks_id(plan) for plan in plans):
        known = {plan["id"] for plan in plans if isinstance(plan, dict) and isinstance(plan.get("id"), str)}
        data = {**data, "plans": [{**plan, "id": new_id(known)} if isinstance(plan, dict) and lacks_id(plan) else plan
                                  for plan in plans]}
    users = data.get("users")
    if not isinstance(users, list) or not all(isinstance(user, dict) for user in users):
        return data
    base = port(data.get("proxy_port"))
    base = base if isinstance(base, int) and 0 < base < 65536 else portmap.FIRST_PROXY
    taken = {port(user.get("port")) for user in users if isinstance(user.get("port"), (int, str))}
    ids = {user["id"] for user in users if isinstance(user.get("id"), str)}
    complete = []
    for index, user in enumerate(users):
        user = dict(user)
        if user.get("port") is None:
            ports = itertools.chain(range(base + index, 65536), range(base - 1, 1023, -1))
            user["port"] = next((number for number in ports if number not in taken), 0)
            taken.add(user["port"])
        if lacks_id(user):
            user["id"] = new_id(ids)
            ids.add(user["id"])
        complete.append(user)
    return {**data, "users": complete}


def lacks_id(user: Mapping[str, Any]) -> bool:
    found = user.get("id")
    return not found or (isinstance(found, str) and found in RESERVED_IDS)


def port(value: Any) -> Any:
    """A port that is written as a text, as a number; anything else as it is."""
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else value


def take_over(data: Entry, whole: type[BaseModel], entries: Mapping[str, type[BaseModel]], told: Told,
              new_id: NewId) -> Any:
    """The declaration (a `whole`) in a file that this version has never saved, with what was left out of it.

    entries: the models of its lists. told: one of pydantic's errors about the data as a problem. Raises
    ValidationError when a setting is wrong that older installations did not have, or `users` is no list.
    """
    data = copy.deepcopy(data)
    left: list[Entry] = []
    while True:
        _untangle(data, whole, entries, left)
        # In place, as what is left out names the entry that it came from.
        for user, complete in zip(_of(data, "users"), _of(completed(data, new_id), "users"), strict=True):
            user.update(complete)
        try:
            whole.model_validate(data)
        except ValidationError as error:
            if not _leave_out(data, error.errors(), entries, told, left):
                raise
            continue
        if not left:
            return whole.model_validate(data)
        ids = [{**one, "user": (one["user"] or {}).get("id", "")} for one in left]
        data, left = {**data, "_not_understood": [*(data.get("_not_understood") or []), *ids]}, []


def misspelt(entry: Mapping[str, Any], model: type[BaseModel]) -> list[tuple[str, Problem]]:
    """(field, what is wrong with it) of the fields in an entry that the model does not have, but nearly has.

    A field of a newer or older version is kept; one letter off a known one is a typo.
    """
    known = {field.alias or name for name, field in model.model_fields.items()}
    close = [(extra, difflib.get_close_matches(extra, known, n=1, cutoff=0.75))
             for extra in entry if extra not in known]
    return [(extra, Problem("config.unknown_field", {"field": extra, "known": found[0]}))
            for extra, found in close if found]


def _untangle(data: Entry, whole: type[BaseModel], entries: Mapping[str, type[BaseModel]],
              left: list[Entry]) -> None:
    """Take apart what two have that only one can have, and put what stands in the wrong field into the right one."""
    for field in ("server_domain", "server_ip", "fake_tls_domain"):
        if isinstance(data.get(field), str) and (found := _ADDRESS.fullmatch(data[field])):
            data[field] = found[1]
    for holder in (data, *_of(data, "users", lambda entry: isinstance(entry, dict))):
        for field in ("traffic_limit_gb", "throttle_speed_mbps"):
            if isinstance(holder.get(field), str) and (found := _AMOUNT.fullmatch(holder[field].strip())):
                holder[field] = float(f"{found[1]}.{found[2] or 0}")
    if isinstance(name := data.get("server_ip"), str) and "." in name and not data.get("server_domain"):
        try:
            data["server_domain"] = hosts.host_name(name)
            data["server_ip"] = ""
        except ValueError:
            pass  # neither an address nor a name
    for field in entries:
        for entry in _of(data, field, lambda entry: not isinstance(entry, dict)):
            data[field] = [other for other in data[field] if other is not entry]
            left.append(_leftover(field, entry, Problem("config.no_object", {"field": field, "value": _short(entry)})))
    left += [_leftover(extra, data.pop(extra), reason) for extra, reason in misspelt(data, whole)]
    for field, model in entries.items():
        for entry in _of(data, field):
            who = repr(entry.get("name") or entry.get("username"))
            left += [_leftover(extra, entry.pop(extra), Problem("config.at", {"path": who, "problem": reason}),
                               entry if field == "users" else None) for extra, reason in misspelt(entry, model)]
    users = data.get("users") or []
    for key, what in (("port", port), ("id", lambda value: value)):
        owners: dict[Any, Entry] = {}
        for user in users if isinstance(users, list) else []:
            value = what(user.get(key))
            if not isinstance(value, (int, str)) or value == "" or owners.setdefault(value, user) is user:
                continue
            reason = Problem("config.shared_port" if key == "port" else "config.shared_id",
                             {"first": owners[value].get("name"), "second": user.get("name"), "value": value})
            left.append(_leftover(key, user.pop(key), Problem("config.second_got_another", {"problem": reason}), user))
    first = data.get("admin_username")
    names = {first if isinstance(first, str) and first else "admin"}
    for admin in _of(data, "admins", lambda entry: isinstance(entry.get("username"), str)):
        if admin["username"] in names:
            data["admins"] = [other for other in data["admins"] if other is not admin]
            left.append(_leftover("admins", admin, Problem("config.shared_admin", {"name": admin["username"]})))
        names.add(admin["username"])


def _leave_out(data: Entry, errors: Collection[Any], entries: Mapping[str, type[BaseModel]], told: Told,
               left: list[Entry]) -> bool:
    """Take out of the data what these errors are about, or spell it as it is expected; False where that can't be."""
    reasons = [(error, told(error, data)) for error in errors]
    dropped: list[tuple[list[Any], int]] = []
    for error, reason in reasons:
        field, *inner = error["loc"] or [""]
        holder = data.get(field)
        if field in entries and isinstance(holder, list) and inner:
            entry, model = holder[inner[0]], entries[field]
            name = inner[1] if len(inner) > 1 else ""
            if not _mend(entry, name, error, model, field, inner, reason, left):
                dropped.append((holder, inner[0]))
                left.append(_leftover(field, entry, reason))
        elif field in _OLD_SETTINGS and field in data:
            if not _respelt(data, field, error):
                left.append(_leftover(field, data.pop(field), reason))
        else:
            return False
    for holder, index in sorted({(id(holder), index): (holder, index) for holder, index in dropped}.values(),
                                key=lambda pair: -pair[1]):
        del holder[index]
    return True


def _mend(entry: Entry, name: str, error: Any, model: type[BaseModel], field: str, inner: list[Any], reason: Problem,
          left: list[Entry]) -> bool:
    """One field of a user or an admin, so that the rest of the entry can be taken; False where it can't be."""
    if not name or name not in model.model_fields:
        return False
    if name not in entry and name != "name":
        return not model.model_fields[name].is_required()  # another error of the same field was told before
    if _respelt(entry, name, error):
        return True
    if name == "name":
        value, entry["name"] = entry.get("name"), f"User {inner[0] + 1}"
    elif name == "enabled":
        value, entry["enabled"] = entry["enabled"], False  # who may not be meant to be let in is not
    elif name in ("port", "id") or not model.model_fields[name].is_required():
        value = entry.pop(name)
    else:
        return False
    left.append(_leftover(name, value, reason, entry if field == "users" else None))
    return True


def _respelt(holder: Entry, name: str, error: Any) -> bool:
    """A number where a text belongs becomes that text."""
    value = holder.get(name)
    if error["type"] != _NO_TEXT or isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    holder[name] = str(value)
    return True


def _of(data: Entry, field: str, rule: Callable[[Any], bool] = lambda entry: True) -> list[Any]:
    entries = data.get(field)
    return [entry for entry in entries if rule(entry)] if isinstance(entries, list) else []


def _leftover(field: str, value: Any, reason: Problem, user: Entry | None = None) -> Entry:
    """It becomes a part of the file, which is read by people: so the reason is a sentence there."""
    return {"field": field, "value": value, "reason": sentence(reason), "user": user}


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"
