"""The fleet: what the panel and the command line can do, one method each.

Every change is made to the declaration first; then the difference to what runs
is applied. A workload that can't be started is reported in the view of its user
and retried: it never undoes the declaration.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from app.accounts.accounts import Accounts
from app.accounts.logins import Place
from app.actions.declare import T, declare
from app.certificates.certbot import Certbot
from app.certificates.manager import CertificateManager, Store
from app.checks.addresses import Addresses
from app.checks.clock import OutsideClock
from app.checks.server import Server, server_address
from app.checks.tls import TlsCheck, check_all
from app.config import data_folder, model
from app.config.file import ConfigError, ConfigFile
from app.config.model import Admin, Config, User
from app.control import certificates, periods, strangers
from app.control.choice import choose, edge_from_env
from app.control.engine_limits import engine_notes
from app.control.errors import Refused, after_saving, refusing
from app.control.pacing import PacingCheck
from app.control.port443 import NGINX_SETTINGS, Port443
from app.control.reconcile import NGINX, Outcome, Reconciler
from app.control.views import CertificateView, Snapshot, Status, UserView, hint_notes, troubles, user_view
from app.edge.base import Edge, EdgeFailure, EdgeUnavailable
from app.engines.base import Engine
from app.ledger.events import Event
from app.ledger.history import Point
from app.ledger.ledger import Ledger
from app.lib.public import Network
from app.lib.zone import server_zone, zone_problem
from app.messages import Problem, sentence
from app.rules import settings, users
from app.rules.links import UserLink, all_links
from app.rules.users import Checks
from app.runtimes.base import Runtime, RuntimeFailure, RuntimeUnavailable


class Fleet:
    def __init__(self, data_dir: Path, runtime: Runtime, engine: Engine, edge: Edge | None = None,
                 certbot: Certbot | None = None, addresses: Addresses | None = None, public_port: int = 443,
                 networks: tuple[Network, ...] = ()):
        """edge, certbot: nginx and certbot, where they stand beside the panel; see Port443."""
        self.data_dir = data_dir
        self.file = ConfigFile(data_dir)
        with refusing():
            self.file.prepare()
        self.ledger = Ledger(data_dir)
        self.clock = OutsideClock(self.ledger.clocks)
        self.runtime = runtime
        self.engine = engine
        store = Store(data_dir / "certificates")
        manager = CertificateManager(certbot, store, self.ledger.certificates, data_dir) if certbot else None
        self.port443 = Port443(edge, manager, addresses, public_port, networks)
        self.reconciler = Reconciler(data_dir, self.ledger, runtime, engine, self._links_by_name, self.port443)
        self.server = Server(addresses)
        self._slowness = PacingCheck(runtime, engine, self.ledger, self._links_by_name)
        self.accounts = Accounts(self.config, self.file, self.ledger)
        self._last_good: Config | None = None
        self._sampled = 0.0
        with refusing(), self.ledger.database.best_effort("an older panel's traffic"):
            self._last_good = self.file.read()
            periods.name_links(self._last_good, self.ledger)
            periods.import_old_file(data_dir, self._last_good, self.ledger)

    @classmethod
    def open(cls, data_dir: Path | str) -> Fleet:
        """The fleet of a data folder, made at the first start; see choice.choose for what it runs on."""
        data_dir = Path(data_dir).absolute()
        file = ConfigFile(data_dir)
        with refusing():
            file.prepare()
            runtime, engine = choose(file)
            return cls(data_dir, runtime, engine, **edge_from_env(data_dir, runtime))

    # Reading

    def config(self) -> Config:
        """The declaration; while a hand edit has broken the file, the last good one that was read."""
        try:
            self._last_good = self._read()
        except ConfigError as error:
            if self._last_good is None:
                raise Refused(str(error)) from None
        return self._last_good

    def config_problem(self) -> str:
        """What is wrong with the file now; "" if nothing is."""
        try:
            config = self.file.read()
        except ConfigError as error:
            return str(error)
        return "" if self.port443.edge or not config.port_443_mode else (
            "port_443_mode is on in config.json, but this panel runs without the nginx of docker-compose.yml "
            "(docs/docker.md): users are reached by ports of their own")

    def _read(self) -> Config:
        """The declaration as it can be carried out here: without nginx, nobody is on port 443."""
        config = self.file.read()
        return config if self.port443.edge else config.model_copy(update={"port_443_mode": False})

    def users(self) -> list[UserView]:
        sight = self._sight()
        return [user_view(user, sight) for user in sight.config.users]

    def user(self, ref: str) -> UserView:
        """The user with this id or name. Refused when there is none, or several."""
        sight = self._sight()
        return user_view(users.find(sight.config, ref), sight)

    def status(self, max_age: float = 3.0) -> Status:
        """The whole, with counters no older than `max_age` seconds."""
        problems = [self.config_problem(), self.clock.problem()]
        if time.monotonic() - self._sampled > max_age:
            problems += self._attempt(self.sample)
        sight = self._sight()
        views = [user_view(user, sight) for user in sight.config.users]
        problems += [*map(sentence, sight.config.problems()), zone_problem(),
                     *map(sentence, filter(None, [data_folder.owner_problem(self.data_dir)]))]
        running = sum(v.state == "running" for v in views)
        edge = self.port443.status(sight.config, running, sight.problems.get(NGINX, ""),
                                   [*certificates.problems(self.ledger, sight.now),
                                    *strangers.problems(self.ledger, sight.config, sight.now)])
        problems += [self.reconciler.sampler.trouble, *(edge.problems if edge else ()), *troubles(views, sight)]
        return Status(
            runtime=self.runtime.name, engine=self.engine.name, running=running,
            total=sum(v.state not in ("disabled", "expired", "blocked") for v in views), users=views,
            stopped=sight.config.proxies_stopped, outdated=sight.outdated,
            problems=list(dict.fromkeys(filter(None, problems))),
            notes=[*engine_notes(self.engine, sight.config), *self.runtime.notes(), *hint_notes(views)],
            server=sight.server, server_note=self.server.note(sight.config), edge=edge,
            **{field: sum(getattr(v, field) for v in views) for field in (
                "bytes_down", "bytes_up", "period_down", "period_up", "now_down", "now_up", "connections",
                "probes")})

    def history(self, ref: str, since: float, step: int) -> list[Point]:
        """A user's traffic from `since` (Unix seconds) on, or everybody's; see ledger.history.points."""
        user_id = users.find(self.config(), ref).id if ref else None
        return self.ledger.traffic.history(user_id, since, step)

    def logs(self, ref: str = "", tail: int = 200) -> list[str]:
        """The last lines of all proxies, or of one user's, by time: "[mtg-proxy-2443] …"."""
        with refusing():
            return self.runtime.merged_logs(self._ids(ref), tail)

    def follow_logs(self, ref: str = "", tail: int = 200) -> Iterator[str]:
        """The same, and then every line as it is written, for ever."""
        with refusing():
            yield from self.runtime.followed_logs(self._ids(ref), tail)

    def events(self, subject: str = "", limit: int = 50) -> list[Event]:
        """What was done, and what happened by itself, newest first: all, or what is noted under a user's name."""
        with refusing():
            return self.ledger.events.recent(limit, subject)

    def settings(self) -> dict[str, object]:
        config = self.config()
        return {key: getattr(config, key) for key in model.SETTINGS}

    # Changing users

    def add_user(self, name: str, enabled: bool = True, actor: str = "cli", **changes: object) -> UserView:
        """changes: what is typed for the other fields (users.CHANGEABLE), and `link`, one of another proxy to be
        taken over; None as if it were not there."""
        changes = {"name": name, **changes}
        user = self._declare(lambda config: users.add(config, changes, enabled, self._world(config)))
        return self._changed(user.id, "user added", actor)

    def update_user(self, ref: str, changes: Mapping[str, object], actor: str = "cli",
                    check: Callable[[User], None] = lambda user: None) -> UserView:
        """check: raises Refused for a user who is not as the person saw them; asked of what is then changed."""
        def change(config: Config) -> tuple[User, User]:
            user = users.find(config, ref)
            check(user)
            before = user.model_copy()
            users.change(config, user, changes, self._world(config))
            return user, before

        user, before = self._declare(change)
        return self._changed(user.id, "user changed", actor, ", ".join(changes), (before, user))

    def enable(self, ref: str, actor: str = "cli") -> UserView:
        with self._edit() as config:
            user = users.find(config, ref)
            user.enabled = True
        return self._changed(user.id, "user enabled", actor)

    def disable(self, ref: str, actor: str = "cli") -> UserView:
        with self._edit() as config:
            user = users.find(config, ref)
            user.enabled = False
        return self._changed(user.id, "user disabled", actor)

    def rotate(self, ref: str, actor: str = "cli") -> UserView:
        """A new secret: the old link stops working at once."""
        with self._edit() as config:
            user = users.find(config, ref)
            before = user.model_copy()
            users.rotate(user)
        return self._changed(user.id, "secret rotated", actor, links=(before, user))

    def remove(self, ref: str, actor: str = "cli") -> UserView:
        """Delete a user for good; returns how the user last looked."""
        last = self.user(ref)
        with self._edit() as config:
            user = users.find(config, last.id)
            config.users.remove(user)
        with after_saving(f"{last.name} is removed from config.json."):
            self._attempt(self.reconcile)
            with self.ledger.database.best_effort("the end of a user's traffic"):
                self.ledger.traffic.forget(last.id)
            self.ledger.events.record(actor, "user removed", last.name)
        return last

    # Traffic

    def reset_traffic(self, ref: str = "", actor: str = "cli") -> list[UserView]:
        """Begin a new period for one user, or for all: nobody of them is throttled or blocked any more.

        Refused when the ledger can't take it; then nothing was changed.
        """
        self._attempt(self.sample)  # what was moved until now belongs to the old period
        config = self.config()
        chosen = [users.find(config, ref)] if ref else config.users
        with refusing():
            periods.reset(self.ledger, chosen, self.reconciler.now(), actor)
        self._attempt(self.reconcile)
        ids = {user.id for user in chosen}
        return [view for view in self.users() if view.id in ids]

    def carry_out_resets(self) -> None:
        """Reset whoever's reset cycle is due; the next reconcile lifts throttles and blocks."""
        with refusing():
            periods.carry_out_resets(self.ledger, self.config(), self.reconciler.now())

    # Changing what runs

    def start_all(self, actor: str = "cli") -> list[Outcome]:
        """End the declared stop: every enabled user's proxy runs again."""
        return self._stop_or_start(False, "all proxies started", actor)

    def stop_all(self, actor: str = "cli") -> list[Outcome]:
        """Stop every proxy, whoever is enabled, until start_all; a reboot respects it."""
        return self._stop_or_start(True, "all proxies stopped", actor)

    def restart(self, ref: str = "", actor: str = "cli") -> list[Outcome]:
        """Restart one user's proxy, or all of them; whoever is stopped or disabled stays so."""
        ids = self._ids(ref) or {u.id for u in self.config().users}
        with refusing():
            outcomes = self.reconciler.restart(self._read, ids)
        name = users.find(self.config(), ref).name if ref else ""
        self.ledger.events.record(actor, "proxy restarted" if ref else "all proxies restarted", name)
        return outcomes

    # Changing the rest

    def set_settings(self, changes: Mapping[str, object], actor: str = "cli",
                     check: Callable[[Config], None] = lambda config: None) -> dict[str, object]:
        """Set several settings, or none of them. Values may be text as typed: the model reads them.

        What nginx does not accept is taken back, and so is port 443 if it does not come up. check: as in update_user.
        """
        def change(config: Config) -> tuple[Config, Config]:
            before = config.model_copy(deep=True)
            check(before)
            after = settings.change(config, changes)
            self.port443.refuse_settings(after, before, self.reconciler.now())
            return before, after

        before, after = self._declare(change)
        with after_saving("The settings are saved."):
            to_nginx = any(key in NGINX_SETTINGS for key in changes)
            taken_back = self._serve_or_take_back(changes, before, after) if to_nginx else None
            self._attempt(self.reconcile)
            if "server_domain" in changes or "server_ip" in changes:
                self.look_at_server()
            if not taken_back:
                self.ledger.events.record(actor, "settings changed", "", ", ".join(changes))
        if taken_back:
            raise taken_back
        return self.settings()

    # Certificates and names

    def certificates(self) -> list[CertificateView]:
        """The certificates that were asked for, and how it went."""
        with refusing():
            return certificates.views(self.ledger, server_zone(), self.reconciler.now())

    def renew_certificates(self, actor: str = "panel", force: bool = False) -> list[Outcome]:
        """Ask for the certificates that are due - all of them, with `force` - and let nginx serve them.

        Takes as long as the authority needs. Refused where nothing stands beside the panel that could ask.
        """
        with refusing():
            outcomes = certificates.renew_due(self.port443, self.ledger, self.config(), self.reconciler.now(), actor,
                                         force)
        if any(outcome.ok for outcome in outcomes):
            self._attempt(self.reconcile)
        return outcomes

    def check_domains(self, names: Iterable[str] | None = None) -> list[TlsCheck]:
        """Whether these domains, or those of the pool, answer on port 443 with TLS 1.3 and a valid certificate."""
        return check_all(list(names) if names else self.config().domain_pool)

    # Admins; all that is done to them is in accounts

    def admin(self, username: str) -> Admin | None:
        return self.accounts.find(username)

    def check_login(self, username: str, password: str, client: str, door: str = "", device: str = "") -> Admin | None:
        """See Logins.check."""
        return self.accounts.check_login(username, password, Place(client, door, device))

    def create_admin(self, username: str, password: str, sudo: bool = False, actor: str = "cli") -> str:
        return self.accounts.create(username, password, sudo, actor)

    def reset_password(self, username: str, actor: str = "cli") -> str:
        """The admin's new random password."""
        return self.accounts.set_password(username, actor=actor)

    # Applying

    def reconcile(self, respect_backoff: bool = False) -> list[Outcome]:
        """One pass now; see Reconciler.reconcile. Refused when the runtime itself does not answer."""
        with refusing():
            return self.reconciler.reconcile(self._read, respect_backoff)

    def sample(self) -> None:
        """Read the counters of everything that runs into the ledger, and start the clocks of first uses."""
        with refusing():
            active = self.reconciler.sampler.sample(self.runtime.observe())
            self._sampled = time.monotonic()
            periods.start_clocks(self.file, self.ledger, active, self.reconciler.now())

    def look_for_slow_proxies(self) -> None:
        """Note which proxies say that they send slower than they could."""
        with refusing():
            self._slowness.look(self.reconciler.clock())

    def look_at_server(self) -> None:
        """Ask the DNS for the name in links, if the last answer is old: status() tells what it said."""
        self.server.look(self.config())

    def stop_everything(self) -> list[Outcome]:
        """End every proxy without changing the declaration; the next reconcile starts them again."""
        with refusing():
            return self.reconciler.stop_everything()

    def _changed(self, user_id: str, action: str, actor: str, detail: str = "",
                 links: tuple[User, User] | None = None) -> UserView:
        """The declaration is saved: what can't be applied now is told in the view, and applied later. links: the user
        before and after a change that may have made another link."""
        with after_saving(f"It is saved ({action})."):
            self.ledger.events.record(actor, action, users.find(self.config(), user_id).name, detail)
            self._attempt(self.reconcile)
            if links:
                periods.forget_use_elsewhere(self.ledger, *links, by_name=self.config().port_443_mode)
            return self.user(user_id)

    def _stop_or_start(self, stopped: bool, action: str, actor: str) -> list[Outcome]:
        with self._edit() as config:
            config.proxies_stopped = stopped
        verb, word = ("stop", "stop") if stopped else ("start", "run")
        with after_saving(f"It is declared that all proxies {word}."):
            self.ledger.events.record(actor, action)
            try:
                return self.reconcile()
            except Refused as refused:
                return [Outcome(verb, "all proxies", "", False, f"It is declared that all proxies {word}: the "
                                f"panel does it as soon as it can. Now: {refused}")]

    def _ids(self, ref: str) -> set[str] | None:
        return {users.find(self.config(), ref).id} if ref else None

    @contextmanager
    def _edit(self) -> Iterator[Config]:
        with refusing(), self.file.edit() as config:
            yield config

    def _declare(self, change: Callable[[Config], T]) -> T:
        with refusing():
            return declare(self.file, change)

    def _serve_or_take_back(self, changes: Mapping[str, object], before: Config,
                            after: Config) -> Refused | None:
        """Let nginx serve the declaration that was just saved, or save what stood there before: then the refusal."""
        try:
            self.reconciler.serve(after)
        except (EdgeFailure, RuntimeFailure) as failure:
            switched_on = after.port_443_mode and not before.port_443_mode
            if isinstance(failure, EdgeUnavailable) and not switched_on:
                return None  # told as a problem, and applied when nginx is back
            with self._edit() as config:
                for key in changes:
                    setattr(config, key, getattr(before, key))
            field = "port_443_mode" if switched_on else next((k for k in changes if k in NGINX_SETTINGS), "")
            return Refused(f"{str(failure).rstrip('.')}. The settings are as they were.", field)
        return None

    def _links_by_name(self) -> dict[str, UserLink]:
        return {link.name: link for link in all_links(self.config())}

    def _world(self, config: Config) -> Checks:
        return Checks(self._port_taken(config), lambda config, domain, user: self.port443.refuse_domain(
            config, domain, user, self.reconciler.now()))

    def _port_taken(self, config: Config) -> Callable[[int], Problem | None]:
        def taken(port: int) -> Problem | None:
            if config.port_443_mode and self.port443.edge:
                return None  # nothing listens there; it is the number in the proxy's name
            try:
                return self.runtime.port_taken(port, config.proxy_bind)
            except RuntimeUnavailable:
                return None  # found out, and told, when the runtime is back and the proxy is started

        return taken

    def _attempt(self, verb: Callable[[], object]) -> list[str]:
        try:
            verb()
        except Refused as refused:
            return [str(refused)]
        return []

    def _sight(self) -> Snapshot:
        observed, unavailable = None, ""
        try:
            observed = {o.name: o for o in self.runtime.observe()}
        except RuntimeFailure as failure:
            unavailable = str(failure)
        config, runs = self.config(), {o.run_id for o in observed.values()} if observed else set()
        return Snapshot(config=config, observed=observed, unavailable=unavailable,
                     totals=self.ledger.traffic.totals(), problems=self.ledger.workloads.problems(),
                     refusals=self.ledger.refusals.totals(),
                     throttles=self.ledger.workloads.throttles(), verified=self.ledger.workloads.verified(),
                     last_uses=self.ledger.traffic.last_uses(), public_port=self.port443.public_port,
                     slow={link: why for (link, run_id), why in self.ledger.workloads.slow().items()
                           if run_id in runs},
                     now=self.reconciler.now(), zone=server_zone(),
                     server=server_address(config)[0])
