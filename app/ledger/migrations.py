"""The schema of data/panel.db: ordered steps, only ever appended to."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

STEPS = (
    """
    CREATE TABLE events (
        id      INTEGER PRIMARY KEY,
        at      REAL NOT NULL,          -- Unix seconds
        actor   TEXT NOT NULL,          -- 'cli', 'panel' or 'admin:NAME'
        action  TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail  TEXT NOT NULL
    );
    CREATE INDEX events_at ON events (at);
    CREATE TABLE attempts (bucket TEXT NOT NULL, at REAL NOT NULL);
    CREATE INDEX attempts_bucket ON attempts (bucket, at);
    CREATE TABLE traffic (
        user_id       TEXT PRIMARY KEY NOT NULL,
        down          INTEGER NOT NULL DEFAULT 0,   -- bytes, since the user exists
        up            INTEGER NOT NULL DEFAULT 0,
        fronted       INTEGER NOT NULL DEFAULT 0,   -- connections passed to the cover host
        connections   INTEGER NOT NULL DEFAULT 0,   -- open at the last sample
        sampled_at    REAL NOT NULL DEFAULT 0
    );
    CREATE TABLE baselines (
        name    TEXT PRIMARY KEY NOT NULL,       -- workload
        start   TEXT NOT NULL,          -- identity of the start that the values belong to
        down    INTEGER NOT NULL,
        up      INTEGER NOT NULL,
        fronted INTEGER NOT NULL
    );
    CREATE TABLE problems (
        name   TEXT PRIMARY KEY NOT NULL,        -- workload
        reason TEXT NOT NULL,
        at     REAL NOT NULL
    );
    CREATE TABLE throttles (
        name            TEXT PRIMARY KEY NOT NULL,       -- workload
        bits_per_second INTEGER NOT NULL,       -- read back from the workload
        at              REAL NOT NULL
    );
    """,
    """
    ALTER TABLE traffic ADD COLUMN down_rate  REAL NOT NULL DEFAULT 0;      -- bytes/s, last two samples
    ALTER TABLE traffic ADD COLUMN up_rate    REAL NOT NULL DEFAULT 0;
    ALTER TABLE traffic ADD COLUMN last_seen  REAL NOT NULL DEFAULT 0;      -- Unix seconds
    ALTER TABLE traffic ADD COLUMN reset_down INTEGER NOT NULL DEFAULT 0;   -- totals at the last reset
    ALTER TABLE traffic ADD COLUMN reset_up   INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE traffic ADD COLUMN reset_at   REAL NOT NULL DEFAULT 0;
    ALTER TABLE traffic ADD COLUMN cycle      TEXT NOT NULL DEFAULT '';     -- that next_reset belongs to
    ALTER TABLE traffic ADD COLUMN next_reset REAL NOT NULL DEFAULT 0;
    CREATE TABLE counters (     -- a baseline for each start: a late reading of an older one is still exact
        name    TEXT NOT NULL,          -- workload
        start   TEXT NOT NULL,
        down    INTEGER NOT NULL,
        up      INTEGER NOT NULL,
        fronted INTEGER NOT NULL,
        PRIMARY KEY (name, start)
    );
    INSERT INTO counters SELECT name, start, down, up, fronted FROM baselines;
    DROP TABLE baselines;
    CREATE TABLE series (       -- 0 is everybody together
        number  INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL UNIQUE
    );
    CREATE TABLE points (       -- what was moved in the step that began at `at`
        step   INTEGER NOT NULL,        -- seconds
        at     INTEGER NOT NULL,        -- Unix seconds
        series INTEGER NOT NULL,
        down   INTEGER NOT NULL,        -- bytes
        up     INTEGER NOT NULL,
        PRIMARY KEY (step, at, series)
    ) WITHOUT ROWID;
    CREATE TABLE imports (name TEXT PRIMARY KEY NOT NULL, at REAL NOT NULL);
    """,
    """
    CREATE TABLE certificates (
        name       TEXT PRIMARY KEY NOT NULL,       -- certbot's name of it
        domains    TEXT NOT NULL,                   -- asked for last, separated by spaces
        issued_at  REAL NOT NULL DEFAULT 0,         -- Unix seconds, 0 is never
        expires_at REAL NOT NULL DEFAULT 0,
        tried_at   REAL NOT NULL DEFAULT 0,         -- when the authority was last asked
        failures   INTEGER NOT NULL DEFAULT 0,      -- in a row
        reason     TEXT NOT NULL DEFAULT ''         -- of the last failure, empty after a success
    );
    CREATE TABLE link_uses (    -- each link has a workload of its own, so this tells which was used
        name TEXT PRIMARY KEY NOT NULL,             -- workload
        at   REAL NOT NULL                          -- Unix seconds of the last use
    );
    CREATE TABLE slow (         -- workloads that send slower than they could
        name   TEXT PRIMARY KEY NOT NULL,
        start  TEXT NOT NULL,                       -- of which this was said
        reason TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE counters ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;   -- 1 is the network's counters
    ALTER TABLE traffic ADD COLUMN estimated_since  REAL NOT NULL DEFAULT 0;    -- Unix seconds, 0 is never
    ALTER TABLE traffic ADD COLUMN period_estimated INTEGER NOT NULL DEFAULT 0; -- 1 is since the last reset
    ALTER TABLE traffic ADD COLUMN estimating       INTEGER NOT NULL DEFAULT 0; -- 1 is at the last sample
    """,
    """
    CREATE TABLE closed_covers (        -- domains whose site strangers are not passed on to
        domain TEXT PRIMARY KEY NOT NULL,
        reason TEXT NOT NULL
    );
    CREATE TABLE turned_away (  -- connections on port 443 whose address had too many already
        at    REAL PRIMARY KEY NOT NULL,        -- Unix seconds at which the hour begins
        count INTEGER NOT NULL
    );
    """,
    """
    CREATE TABLE refusals (     -- tries with the right key that were refused, of users whose engine counts them
        user_id        TEXT PRIMARY KEY NOT NULL,
        wrong_clock    INTEGER NOT NULL DEFAULT 0,
        clock_behind   INTEGER NOT NULL DEFAULT 0,      -- seconds, of the last one, negative is ahead
        no_sni         INTEGER NOT NULL DEFAULT 0,
        other_sni      INTEGER NOT NULL DEFAULT 0,
        wrong_clock_at REAL NOT NULL DEFAULT 0,         -- Unix seconds
        no_sni_at      REAL NOT NULL DEFAULT 0,
        other_sni_at   REAL NOT NULL DEFAULT 0
    );
    CREATE TABLE refusal_counters (     -- as the last start of each workload has told them
        name        TEXT PRIMARY KEY NOT NULL,          -- workload
        start       TEXT NOT NULL,
        wrong_clock INTEGER NOT NULL,
        no_sni      INTEGER NOT NULL,
        other_sni   INTEGER NOT NULL
    );
    CREATE TABLE clock (        -- one row: what other clocks said last, see clock.Told
        boot         TEXT NOT NULL,
        true_at_boot REAL NOT NULL,
        sites        INTEGER NOT NULL,
        at           REAL NOT NULL
    );
    """,
    """
    CREATE TABLE sessions (     -- of admins who are logged in
        id      TEXT PRIMARY KEY NOT NULL,      -- SHA-256 of the token in the cookie
        admin   TEXT NOT NULL,
        stamp   TEXT NOT NULL,                  -- of the password that it was begun with
        since   REAL NOT NULL,                  -- Unix seconds
        seen    REAL NOT NULL,
        address TEXT NOT NULL                   -- where it was last seen
    );
    CREATE INDEX sessions_admin ON sessions (admin, since);
    CREATE TABLE failed_logins (
        id      INTEGER PRIMARY KEY,
        subject TEXT NOT NULL,                  -- the admin
        source  TEXT NOT NULL,                  -- from where, in words
        first   REAL NOT NULL,                  -- Unix seconds
        at      REAL NOT NULL,                  -- of the last one
        count   INTEGER NOT NULL
    );
    CREATE INDEX failed_logins_source ON failed_logins (subject, source, first);
    """,
    """
    CREATE TABLE links (        -- that were ever served
        id        TEXT PRIMARY KEY NOT NULL,        -- rules.links.link_id, or a workload's name from before it
        user_id   TEXT NOT NULL,                    -- empty as long as it is still to be named, see Traffic.name_links
        last_used REAL NOT NULL DEFAULT 0           -- Unix seconds, 0 is never
    );
    CREATE INDEX links_user ON links (user_id);
    INSERT INTO links (id, user_id, last_used) SELECT name, '', at FROM link_uses;
    INSERT OR IGNORE INTO links (id, user_id) SELECT name, '' FROM counters;
    INSERT OR IGNORE INTO links (id, user_id) SELECT name, '' FROM refusal_counters;
    INSERT OR IGNORE INTO links (id, user_id) SELECT name, '' FROM slow;
    DROP TABLE link_uses;
    ALTER TABLE counters RENAME COLUMN name TO link;
    ALTER TABLE counters RENAME COLUMN start TO run;
    CREATE INDEX counters_run ON counters (run);
    ALTER TABLE refusal_counters RENAME COLUMN name TO link;
    ALTER TABLE refusal_counters RENAME COLUMN start TO run;
    ALTER TABLE slow RENAME COLUMN name TO link;
    ALTER TABLE slow RENAME COLUMN start TO run;
    """,
    """
    -- What is told to people is a code of app/messages and its params as JSON, and what stood here before is a text.
    ALTER TABLE events RENAME COLUMN detail TO params;
    ALTER TABLE events ADD COLUMN code TEXT NOT NULL DEFAULT 'text';
    ALTER TABLE problems RENAME COLUMN reason TO params;
    ALTER TABLE problems ADD COLUMN code TEXT NOT NULL DEFAULT 'text';
    ALTER TABLE slow RENAME COLUMN reason TO params;
    ALTER TABLE slow ADD COLUMN code TEXT NOT NULL DEFAULT 'text';
    ALTER TABLE certificates RENAME COLUMN reason TO params;
    ALTER TABLE certificates ADD COLUMN code TEXT NOT NULL DEFAULT 'text';
    ALTER TABLE closed_covers RENAME COLUMN reason TO params;
    ALTER TABLE closed_covers ADD COLUMN code TEXT NOT NULL DEFAULT 'text';
    """,
    """
    -- What was done is a code, too. What a runtime had told in its own words stays a text.
    UPDATE events SET action = CASE action
        WHEN 'user added' THEN 'user.added'
        WHEN 'user changed' THEN 'user.changed'
        WHEN 'user enabled' THEN 'user.enabled'
        WHEN 'user disabled' THEN 'user.disabled'
        WHEN 'secret rotated' THEN 'user.rotated'
        WHEN 'user removed' THEN 'user.removed'
        WHEN 'first use' THEN 'user.first_use'
        WHEN 'blocked at the limit' THEN 'user.blocked'
        WHEN 'traffic reset' THEN 'traffic.reset'
        WHEN 'throttle' THEN 'throttle.set'
        WHEN 'unthrottle' THEN 'throttle.lifted'
        WHEN 'traffic.json imported' THEN 'traffic.imported'
        WHEN 'traffic.json was not imported' THEN 'traffic.not_imported'
        WHEN 'strangers passed on to nobody' THEN 'strangers.refused'
        WHEN 'strangers passed on again' THEN 'strangers.passed_on'
        WHEN 'proxy restarted' THEN 'proxy.restarted'
        WHEN 'proxy taken over' THEN 'proxy.taken_over'
        WHEN 'proxy replaced' THEN 'proxy.renewed'
        WHEN 'replacing the proxy failed' THEN 'proxy.not_renewed'
        WHEN 'proxies are replaced one by one' THEN 'proxies.renewing'
        WHEN 'all proxies restarted' THEN 'proxies.restarted'
        WHEN 'all proxies started' THEN 'proxies.started'
        WHEN 'all proxies stopped' THEN 'proxies.stopped'
        WHEN 'create failed' THEN 'proxy.create_failed'
        WHEN 'adopt failed' THEN 'proxy.adopt_failed'
        WHEN 'start failed' THEN 'proxy.start_failed'
        WHEN 'replace failed' THEN 'proxy.replace_failed'
        WHEN 'update failed' THEN 'proxy.update_failed'
        WHEN 'stop failed' THEN 'proxy.stop_failed'
        WHEN 'remove failed' THEN 'proxy.remove_failed'
        WHEN 'throttle failed' THEN 'throttle.set_failed'
        WHEN 'unthrottle failed' THEN 'throttle.lift_failed'
        WHEN 'refuse failed' THEN 'proxy.refused'
        WHEN 'serve failed' THEN 'nginx.failed'
        WHEN 'settings changed' THEN 'settings.changed'
        WHEN 'certificate issued' THEN 'certificate.issued'
        WHEN 'certificate failed' THEN 'certificate.failed'
        WHEN 'admin created' THEN 'admin.created'
        WHEN 'admin changed' THEN 'admin.changed'
        WHEN 'admin removed' THEN 'admin.removed'
        WHEN 'password reset' THEN 'admin.password_reset'
        WHEN 'login' THEN 'login.succeeded'
        WHEN 'backup made' THEN 'backup.made'
        WHEN 'backup restored' THEN 'backup.restored'
        WHEN 'update asked for' THEN 'update.requested'
        ELSE action END;
    -- An empty subject is a name that nobody has.
    UPDATE failed_logins SET subject = '' WHERE subject = 'an unknown name';
    ALTER TABLE failed_logins ADD COLUMN code TEXT NOT NULL DEFAULT 'text';    -- source is its params
    """,
    """
    CREATE TABLE placements (
        user    TEXT PRIMARY KEY,           -- user id
        engine  TEXT NOT NULL,              -- serving now
        code    TEXT NOT NULL DEFAULT '',   -- why not moved, with params
        params  TEXT NOT NULL DEFAULT ''
    );
    """,
    """
    CREATE TABLE bad_connections (      -- that an engine turned away
        at     REAL NOT NULL,           -- Unix seconds at which the hour begins
        engine TEXT NOT NULL,
        reason TEXT NOT NULL,           -- the engine's own name for it
        count  INTEGER NOT NULL,
        PRIMARY KEY (at, engine, reason)
    );
    CREATE TABLE bad_counters (         -- as the runs that are going on have told them
        run    TEXT NOT NULL,
        reason TEXT NOT NULL,
        count  INTEGER NOT NULL,
        PRIMARY KEY (run, reason)
    );
    """,
    """
    ALTER TABLE traffic ADD COLUMN addresses INTEGER NULL;      -- from which the links are used, NULL if nobody tells
    """,
    """
    CREATE TABLE device_limits (        -- that the runtime or nginx keeps, as they were last read back
        name    TEXT PRIMARY KEY,       -- of the link
        run     TEXT NOT NULL,
        most    INTEGER NOT NULL,       -- so many addresses
        now     INTEGER NOT NULL,
        refused INTEGER NOT NULL,       -- connections in that run
        at      REAL NOT NULL           -- Unix seconds, 0 before it was read back
    );
    """,
    """
    CREATE TABLE debug_logs (           -- engines that write a more detailed log for a while
        engine TEXT PRIMARY KEY,
        until  REAL NOT NULL            -- Unix seconds
    );
    CREATE TABLE refused_addresses (    -- connections that were refused for the limit on a user's addresses
        at    REAL NOT NULL,            -- Unix seconds at which the hour begins
        user  TEXT NOT NULL,            -- user id
        count INTEGER NOT NULL,
        PRIMARY KEY (at, user)
    );
    """,
    """
    CREATE TABLE debug_log_runs (       -- a start of an engine does not know of its detailed log until it is told again
        engine TEXT PRIMARY KEY,
        run    TEXT NOT NULL            -- that was told last
    );
    """,
    """
    -- When somebody last gave themselves a new link on their own page.
    CREATE TABLE share_renewals (
        user_id TEXT PRIMARY KEY,
        at REAL NOT NULL
    );
    """,
    """
    CREATE TABLE tries (                -- of links by the panel itself, as far as they are in no reading yet
        user_id TEXT NOT NULL,
        at      REAL NOT NULL,          -- Unix seconds at which it began
        down    INTEGER NOT NULL,       -- bytes, at most
        up      INTEGER NOT NULL
    );
    """,
    """
    -- The ids of whom it is about, each between two spaces. NULL is an older version's, which knew names only.
    ALTER TABLE events ADD COLUMN users TEXT NULL;
    """,
    """
    CREATE TABLE token_uses (           -- of the API, the last one of each
        id      TEXT PRIMARY KEY NOT NULL,
        at      REAL NOT NULL,          -- Unix seconds
        address TEXT NOT NULL
    );
    CREATE TABLE idempotency_keys (     -- what programs have asked for under a key of their own
        key         TEXT PRIMARY KEY NOT NULL,  -- SHA-256 of whose it is, and of the key
        fingerprint TEXT NOT NULL,      -- SHA-256 of what was asked for
        made        TEXT NOT NULL,      -- the id of what was made, empty while that is under way
        at          REAL NOT NULL       -- Unix seconds
    );
    CREATE INDEX idempotency_keys_at ON idempotency_keys (at);
    """,
    """
    CREATE TABLE passkey_uses (
        passkey TEXT PRIMARY KEY,       -- accounts.passkeys.id_of()
        at      REAL NOT NULL           -- Unix seconds of the last login with it
    );
    """,
    """
    CREATE TABLE causes_told (          -- what people were told by notifications, and that still counts
        event   TEXT NOT NULL,
        subject TEXT NOT NULL,          -- user id, domain, ...
        cause   TEXT NOT NULL,          -- another one is told again
        mark    INTEGER NOT NULL,       -- a higher one is told again
        at      REAL NOT NULL,          -- Unix seconds
        PRIMARY KEY (event, subject)
    );
    CREATE TABLE letters (              -- that are still to be sent
        id     INTEGER PRIMARY KEY AUTOINCREMENT,
        box    TEXT NOT NULL,           -- channel id, and a slash with the chat
        event  TEXT NOT NULL,
        code   TEXT NOT NULL,
        params TEXT NOT NULL,
        at     REAL NOT NULL            -- Unix seconds at which it happened
    );
    CREATE INDEX letters_box ON letters (box, id);
    CREATE TABLE letter_boxes (         -- that could not be reached last, or have lost letters
        box      TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,      -- in a row
        since    REAL NOT NULL,         -- Unix seconds of the first of them
        code     TEXT NOT NULL,         -- of the last one
        params   TEXT NOT NULL,
        told     INTEGER NOT NULL,      -- 1 if people were told of it
        lost     INTEGER NOT NULL       -- letters that there was no room for
    );
    CREATE TABLE bot_updates (          -- the first update of each bot that was not looked at
        bot  TEXT PRIMARY KEY,
        next INTEGER NOT NULL
    );
    """,
    """
    CREATE TABLE taken_once (           -- codes and answers of passkeys that were used
        name TEXT NOT NULL,             -- by whom and as what
        what TEXT NOT NULL,
        PRIMARY KEY (name, what)
    );
    """,
    """
    CREATE TABLE good_places (          -- addresses with a good session, under a key of the installation
        place TEXT PRIMARY KEY,
        at    REAL NOT NULL             -- Unix seconds
    );
    """,
    """
    CREATE TABLE latest_time (          -- one row: how far the clock has come
        boot   TEXT NOT NULL,           -- of the machine that `since` and `at` belong to
        apart  REAL NOT NULL,           -- Unix seconds minus those since the boot
        since  REAL NOT NULL,           -- seconds since the boot from which `apart` has been so
        latest REAL NOT NULL,           -- Unix seconds that were believed, 0 for none
        at     REAL NOT NULL            -- seconds since the boot, of that
    );
    """,
)


#: What a version that does not know it can live with: tables and columns of which it has never heard.
_ADDS_ONLY = re.compile(r"(CREATE (TABLE|INDEX)|ALTER TABLE \w+ ADD COLUMN .*(DEFAULT|(?<!NOT )NULL\b))", re.DOTALL)


def readable_by(steps: Sequence[str]) -> int:
    """How many steps a version must know, at least, to work with a file on which all of these were taken: those up to
    the last one that does more than add."""
    for number in range(len(steps), 0, -1):
        bare = re.sub(r"--[^\n]*", "", steps[number - 1])
        if not all(_ADDS_ONLY.match(statement.strip()) for statement in bare.split(";") if statement.strip()):
            return number
    return 1


def migrate(db: sqlite3.Connection) -> None:
    """Bring the schema up to date; `PRAGMA user_version` counts the steps that were taken."""
    for number, step in enumerate(STEPS, start=1):
        if db.execute("PRAGMA user_version").fetchone()[0] < number:
            # Another process may be at the same step: look again under the write lock.
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] < number:
                for statement in filter(str.strip, step.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
