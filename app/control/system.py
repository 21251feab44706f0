"""The parts of one installation, put together. What is done with them is in the other modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.accounts.logins import Logins
from app.accounts.tokens import Tokens
from app.certificates.certbot import Certbot
from app.certificates.manager import CertificateManager, Store
from app.certificates.selfsigned import SelfSigned
from app.checks.addresses import Addresses
from app.checks.clock import OutsideClock
from app.checks.server import Server
from app.config.file import ConfigFile
from app.control import periods
from app.control.certificates import CertificateReconciler
from app.control.choice import choose, edge_from_env
from app.control.connected import Connected
from app.control.declaration import Declaration
from app.control.errors import refusing
from app.control.mtproxy_export import Export
from app.control.pacing import PacingCheck
from app.control.port443 import Port443
from app.control.reconcile import Reconciler
from app.edge.base import Edge
from app.engines.base import Engine
from app.ledger.ledger import Ledger
from app.lib.kept import Kept
from app.lib.public import Network
from app.runtimes.base import Runtime


class System:
    """data_dir: the folder of the declaration and the ledger. sampled_at: when the counters of all proxies were
    last read by this process, in monotonic seconds; 0.0 for never. kept: what was worked out of what it tells."""

    def __init__(self, data_dir: Path, runtime: Runtime, engines: Mapping[str, Engine], edge: Edge | None = None,
                 certbot: Certbot | None = None, addresses: Addresses | None = None, public_port: int = 443,
                 networks: tuple[Network, ...] = (), door_port: int = 0):
        """engines: by name, the first for users without a choice. edge, certbot: nginx and certbot, where they stand
        beside the panel; see Port443. Raises Refused."""
        self.data_dir = data_dir
        self.file = ConfigFile(data_dir)
        with refusing():
            self.file.prepare()
        self.declaration = Declaration(self.file, edge is not None)
        self.ledger = Ledger(data_dir)
        self.runtime = runtime
        self.engines = engines
        store = Store(data_dir / "certificates")
        manager = CertificateManager(certbot, store, self.ledger.certificates, data_dir) if certbot else None
        self.port443 = Port443(edge, manager, addresses, public_port, door_port, networks, SelfSigned(data_dir))
        self.reconciler = Reconciler(data_dir, self.ledger, runtime, engines, self.declaration.links, self.port443)
        self.certificate_reconciler = CertificateReconciler(manager, self.ledger)
        self.connected = Connected(runtime, engines, lambda: self.reconciler.clock())
        self.pacing = PacingCheck(runtime, engines, self.ledger, self.declaration.links)
        self.clock = OutsideClock(self.ledger.clocks)
        self.server = Server(addresses)
        self.mtproxy_export = Export(data_dir / "mtproxy", self.declaration.last_good, self.ledger,
                                     self.port443.public_port)
        self.logins = Logins(self.declaration.last_good, self.file, self.ledger)
        self.tokens = Tokens(self.declaration.last_good, self.ledger)
        self.sampled_at = 0.0
        self.kept = Kept()
        with refusing(), self.ledger.database.best_effort("an older panel's traffic"):
            config = self.declaration.read()
            periods.name_links(config, self.ledger)
            periods.import_old_file(data_dir, config, self.ledger)

    @classmethod
    def open(cls, data_dir: Path | str) -> System:
        """The system of a data folder, made at the first start; see choice.choose for what it runs on."""
        data_dir = Path(data_dir).absolute()
        file = ConfigFile(data_dir)
        with refusing():
            file.prepare()
            runtime, engines = choose(file)
            return cls(data_dir, runtime, engines, **edge_from_env(data_dir, runtime))
