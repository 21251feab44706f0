"""MTProto Proxy Manager. The engine process imports this package too, so nothing is imported up here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from app.control.system import System


def create_app(system: System | None = None) -> Flask:
    """The web panel of one data folder; without `system`, of the folder named by MTPROTO_DATA_DIR.

    It only wires: the monitor is started by wsgi.py. Raises Refused when the
    configuration can't be loaded.
    """
    import os

    from flask import Flask

    from app.actions.renewal import Renewal
    from app.control.checkup import Checkup
    from app.control.system import System
    from app.web import auth, errors, formats, security
    from app.web.pages import backups, checkup, dashboard, health, logs, settings, users

    app = Flask(__name__, template_folder="web/templates", static_folder="web/static")
    app.extensions["system"] = system or System.open(os.environ.get("MTPROTO_DATA_DIR", "data"))
    app.extensions["renewal"] = Renewal(app.extensions["system"])
    app.extensions["checkup"] = Checkup(app.extensions["system"])

    auth.init_app(app)      # who asks
    security.init_app(app)  # session cookie, CSRF, response headers
    errors.init_app(app)    # error pages; a refusal is never a 500
    formats.init_app(app)   # bytes, dates and speeds for people

    app.register_blueprint(health.blueprint)     # /healthz
    app.register_blueprint(auth.blueprint)       # /login, /logout, and the gate before everything else
    app.register_blueprint(dashboard.blueprint)  # /
    app.register_blueprint(users.blueprint)      # /users
    app.register_blueprint(logs.blueprint)       # /logs
    app.register_blueprint(settings.blueprint)   # /settings
    app.register_blueprint(backups.blueprint)    # /backup
    app.register_blueprint(checkup.blueprint)    # /check
    return app
