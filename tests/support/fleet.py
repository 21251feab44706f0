"""The system with its actions and views as methods, done by somebody at the command line: short to write in tests.

What it returns is told in words, as people read it, each with its codes beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from app.accounts.actor import Actor, Right
from app.accounts.admins import find, has_first_password
from app.accounts.logins import Place
from app.actions import admins, certificates, plans, proxies, settings, traffic, users
from app.checks.tls import TlsCheck
from app.config.model import Admin, Config, User
from app.control import passes, plan_views, views
from app.control.outcome import Outcome
from app.control.records import CertificateView, DeletedView, PlanView, Status, UserView
from app.control.system import System
from app.engines.base import Engine, by_name
from app.ledger.events import Event
from app.ledger.history import Point
from app.messages import Problem, sentence
from app.runtimes.base import Runtime
from tests.support.problems import codes


def named(actor: str) -> Actor:
    """Who stands in the audit log as this, and may do everything."""
    source, _, name = actor.partition(":")
    return Actor("web" if name else source, Right.SUDO, name)


R = TypeVar("R")


class Told(str):
    """A problem in words. codes: its own and those of the problems in it, from the outside in."""

    codes: list[str]

    @classmethod
    def of(cls, problem: Problem) -> Told:
        told = cls(sentence(problem))
        told.codes = codes(problem)
        told.code, told.params, told.document = problem.code, problem.params, problem.document
        return told


def in_words(record: R) -> R:
    """The record, or records, with sentences in place of problems."""
    def told(value: Any) -> Any:
        if isinstance(value, Problem):
            return Told.of(value)
        if isinstance(value, list):
            return [told(each) for each in value]
        if not dataclasses.is_dataclass(value) or not type(value).__module__.startswith("app.control"):
            return value
        fields = {field.name: (field.type, getattr(value, field.name)) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{  # type: ignore[type-var]
            name: "" if each is None and kind == "Problem | None" else told(each)
            for name, (kind, each) in fields.items()})

    return told(record)


class Fleet(System):
    """engines: one, or several by name as System takes them."""

    def __init__(self, data_dir: Path, runtime: Runtime, engines: Engine | Mapping[str, Engine], *rest: Any,
                 **beside: Any) -> None:
        super().__init__(data_dir, runtime, engines if isinstance(engines, Mapping) else by_name(engines),
                         *rest, **beside)

    @property
    def engine(self) -> Engine:
        """The one of users who have chosen none."""
        return next(iter(self.engines.values()))

    # Reading

    def config(self) -> Config:
        return self.declaration.last_good()

    def config_problem(self) -> str:
        return "\n".join(map(sentence, self.declaration.problems()))

    def users(self) -> list[UserView]:
        return in_words(views.users(self))

    def user(self, ref: str) -> UserView:
        return in_words(views.user(self, ref))

    def status(self, max_age: float = 3.0) -> Status:
        return in_words(views.status(self, max_age))

    def history(self, ref: str, since: float, step: int) -> list[Point]:
        return views.history(self, ref, since, step)

    def logs(self, ref: str = "", tail: int = 200) -> list[str]:
        return views.logs(self, ref, tail)

    def follow_logs(self, ref: str = "", tail: int = 200) -> Iterator[str]:
        return views.follow_logs(self, ref, tail)

    def events(self, subject: str = "", limit: int = 50) -> list[Event]:
        return views.events(self, subject, limit)

    def settings(self) -> dict[str, object]:
        return views.settings(self)

    def certificates(self) -> list[CertificateView]:
        return in_words(views.certificates(self))

    # Users, traffic, proxies

    def add_user(self, name: str, domain: str | None = None, actor: str = "cli", **fields: object) -> UserView:
        return in_words(users.add_user(self, named(actor), name, domain=domain, **fields))

    def update_user(self, ref: str, changes: Mapping[str, object], actor: str = "cli",
                    check: Callable[[User], None] = lambda user: None) -> UserView:
        return in_words(users.update_user(self, named(actor), ref, changes, check))

    def enable(self, ref: str, actor: str = "cli") -> UserView:
        return in_words(users.enable(self, named(actor), ref))

    def disable(self, ref: str, actor: str = "cli") -> UserView:
        return in_words(users.disable(self, named(actor), ref))

    def rotate(self, ref: str, actor: str = "cli") -> UserView:
        return in_words(users.rotate(self, named(actor), ref))

    def remove(self, ref: str, actor: str = "cli", for_good: bool = False) -> UserView:
        return in_words(users.remove(self, named(actor), ref, for_good))

    def restore(self, ref: str, actor: str = "cli") -> tuple[UserView, list[str]]:
        user, changed = users.restore(self, named(actor), ref)
        return in_words(user), in_words(changed)

    def forget(self, ref: str, actor: str = "cli") -> str:
        return users.forget(self, named(actor), ref).name

    def deleted(self) -> list[DeletedView]:
        return views.deleted(self)

    def reset_traffic(self, ref: str = "", actor: str = "cli") -> list[UserView]:
        return in_words(traffic.reset_traffic(self, named(actor), ref))

    def start_all(self, actor: str = "cli") -> list[Outcome]:
        return in_words(proxies.start_all(self, named(actor)))

    def stop_all(self, actor: str = "cli") -> list[Outcome]:
        return in_words(proxies.stop_all(self, named(actor)))

    def restart(self, ref: str = "", actor: str = "cli") -> list[Outcome]:
        return in_words(proxies.restart(self, named(actor), ref))

    def stop_everything(self) -> list[Outcome]:
        return in_words(proxies.stop_everything(self, named("cli")))

    # Plans

    def plans(self) -> list[PlanView]:
        return plan_views.every_plan(self)

    def add_plan(self, name: str, actor: str = "cli", **fields: object) -> PlanView:
        return plans.add_plan(self, named(actor), name, **fields)

    def change_plan(self, ref: str, changes: Mapping[str, object], actor: str = "cli") -> PlanView:
        return plans.change_plan(self, named(actor), ref, changes)

    def remove_plan(self, ref: str, actor: str = "cli") -> PlanView:
        return plans.remove_plan(self, named(actor), ref)

    # Settings, certificates, admins

    def set_settings(self, changes: Mapping[str, object], actor: str = "cli",
                     check: Callable[[Config], None] = lambda config: None) -> dict[str, object]:
        return settings.set_settings(self, named(actor), changes, check)

    def check_domains(self, names: Iterable[str] | None = None) -> list[TlsCheck]:
        return settings.check_domains(self, named("cli"), names)

    def renew_certificates(self, actor: str = "panel", force: bool = False) -> list[Outcome]:
        return in_words(certificates.renew_certificates(self, named(actor), force))

    def admin(self, username: str) -> Admin | None:
        return find(self.config(), username)

    def has_first_password(self, username: str) -> bool:
        return has_first_password(self.config(), username)

    def check_login(self, username: str, password: str, client: str, door: str = "", device: str = "") -> Admin | None:
        return admins.check_login(self, username, password, Place(client, door, device))

    def create_admin(self, username: str, password: str, sudo: bool = False, actor: str = "cli",
                     role: str = "") -> str:
        return admins.create_admin(self, named(actor), username, password, role or ("owner" if sudo else "operator"))

    def set_password(self, username: str, password: str | None = None) -> str:
        return admins.set_password(self, named("cli"), username, password)

    def reset_password(self, username: str, actor: str = "cli") -> str:
        return admins.set_password(self, named(actor), username)

    def remove_admin(self, username: str) -> None:
        admins.remove_admin(self, named("cli"), username)

    def set_role(self, username: str, role: str) -> Admin:
        return admins.set_role(self, named("cli"), username, role)

    # Passes

    def reconcile(self, respect_backoff: bool = False) -> list[Outcome]:
        return in_words(passes.reconcile(self, respect_backoff))

    def sample(self) -> None:
        passes.sample(self)

    def carry_out_resets(self) -> None:
        passes.carry_out_resets(self)

    def look_for_slow_proxies(self) -> None:
        passes.look_for_slow_proxies(self)

    def look_at_server(self) -> None:
        passes.look_at_server(self)
