"""What `serve` runs: the panel, and the monitor that keeps the proxies as they were declared."""

from __future__ import annotations

from app import create_app
from app.control.monitor import Monitor

app = create_app()
Monitor(app.extensions["system"]).start()
