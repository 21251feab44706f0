"""What `serve` runs: the panel, the monitor that keeps the proxies as they were declared, and who tells people."""

from __future__ import annotations

from app import create_app
from app.control.monitor import Monitor
from app.notify.service import Notifier

app = create_app()
Monitor(app.extensions["system"]).start()
notifier = Notifier(app.extensions["system"]).start()
