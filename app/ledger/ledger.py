"""The ledger: everything that was measured, in one database."""

from __future__ import annotations

from pathlib import Path

from app.ledger.bad_connections import BadConnections
from app.ledger.buckets import Buckets
from app.ledger.certificates import Certificates
from app.ledger.clock import Clocks
from app.ledger.database import Database
from app.ledger.debug_logs import DebugLogs
from app.ledger.devices import DeviceLimits
from app.ledger.events import Events
from app.ledger.fallback import Fallback
from app.ledger.good_places import GoodPlaces
from app.ledger.idempotency import Keys
from app.ledger.latest import Latest
from app.ledger.letters import Letters
from app.ledger.once import Once
from app.ledger.passkey_uses import PasskeyUses
from app.ledger.placements import Placements
from app.ledger.refusals import Refusals
from app.ledger.sessions import Sessions
from app.ledger.share_renewals import ShareRenewals
from app.ledger.strangers import Strangers
from app.ledger.token_uses import TokenUses
from app.ledger.traffic import Traffic
from app.ledger.tries import Tries
from app.ledger.workloads import Workloads


class Ledger:
    def __init__(self, data_dir: Path | str):
        self.database = Database(Path(data_dir) / "panel.db")
        self.events = Events(self.database)
        self.traffic = Traffic(self.database)
        fallback = Fallback(self.database)
        self.buckets = Buckets(fallback)
        self.latest = Latest(self.database)
        self.sessions = Sessions(fallback, self.latest)
        self.once = Once(fallback)
        self.passkey_uses = PasskeyUses(self.database)
        self.workloads = Workloads(self.database)
        self.placements = Placements(self.database)
        self.certificates = Certificates(self.database)
        self.strangers = Strangers(self.database)
        self.refusals = Refusals(self.database)
        self.bad_connections = BadConnections(self.database)
        self.good_places = GoodPlaces(self.database)
        self.debug_logs = DebugLogs(self.database)
        self.device_limits = DeviceLimits(self.database)
        self.clocks = Clocks(self.database)
        self.share_renewals = ShareRenewals(self.database)
        self.tries = Tries(self.database)
        self.token_uses = TokenUses(self.database)
        self.idempotency_keys = Keys(self.database)
        self.letters = Letters(self.database)
