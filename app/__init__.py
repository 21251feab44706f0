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

    from app.actions.all_proxies import AllProxies
    from app.actions.renewal import Renewal
    from app.api import access, page
    from app.control.checkup import Checkup
    from app.control.system import System
    from app.web import answers, auth, errors, formats, language, questions, security
    from app.web.pages import (
        account,
        admins,
        backups,
        bans,
        checkup,
        dashboard,
        deleted,
        events,
        factors,
        health,
        installed,
        logs,
        notifications,
        plans,
        settings,
        setup,
        tokens,
        traffic,
        user_help,
        users_list,
        users_many,
    )
    from app.web.sent import Sent
    from app.web.share import manage
    from app.web.share import page as share

    app = Flask(__name__, template_folder="web/templates", static_folder="web/static")
    app.extensions["system"] = system or System.open(os.environ.get("MTPROTO_DATA_DIR", "data"))
    app.extensions["renewal"] = Renewal(app.extensions["system"])
    app.extensions["all_proxies"] = AllProxies(app.extensions["system"])
    app.extensions["checkup"] = Checkup(app.extensions["system"])
    app.extensions["sent"] = Sent()

    share.init_app(app)     # users' own pages, by a door that leads to nothing else
    language.init_app(app)  # in which language
    answers.init_app(app)   # compressed, or "as it was"
    auth.init_app(app)      # who asks
    security.init_app(app)  # session cookie, CSRF, response headers
    errors.init_app(app)    # error pages; a refusal is never a 500
    formats.init_app(app)   # bytes, dates and speeds for people
    questions.init_app(app)  # before what can't be taken back
    access.init_app(app)    # how often a token may ask
    users_many.init_app(app)  # what is done to many users while pages tell how far it is

    app.register_blueprint(health.blueprint)     # /healthz
    app.register_blueprint(auth.blueprint)       # /login, /logout, and the gate before everything else
    app.register_blueprint(language.blueprint)   # /language
    app.register_blueprint(share.blueprint)      # /s/TOKEN
    app.register_blueprint(manage.blueprint)     # /users/…/page
    app.register_blueprint(dashboard.blueprint)  # /
    app.register_blueprint(users_list.blueprint)  # /users: the list; one (users), and many (users_many)
    app.register_blueprint(plans.blueprint)      # /plans
    app.register_blueprint(deleted.blueprint)    # /deleted
    app.register_blueprint(user_help.blueprint)  # /users/ID/limit, /users/ID/access
    app.register_blueprint(installed.blueprint)  # /manifest.webmanifest, /icon-…
    app.register_blueprint(traffic.blueprint)    # /traffic, /users/ID/traffic
    app.register_blueprint(events.blueprint)     # /events
    app.register_blueprint(account.blueprint)    # /account
    app.register_blueprint(factors.blueprint)    # /account/factor
    app.register_blueprint(tokens.blueprint)     # /account/tokens
    app.register_blueprint(page.blueprint)       # /account/api
    app.register_blueprint(access.blueprint)     # /api/v1, /metrics
    app.register_blueprint(admins.blueprint)     # /admins
    app.register_blueprint(logs.blueprint)       # /logs
    app.register_blueprint(settings.blueprint)   # /settings
    app.register_blueprint(setup.blueprint)      # /setup: the first run
    app.register_blueprint(notifications.blueprint)  # /notifications
    app.register_blueprint(bans.blueprint)       # /bans
    app.register_blueprint(backups.blueprint)    # /backup
    app.register_blueprint(checkup.blueprint)    # /check
    return app
