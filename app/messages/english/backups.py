"""Backups, and what comes back from them."""

TEMPLATES = {
    "backup.nothing": "There is no config.json in {path}, so there is nothing to back up.",
    "backup.failed": "The backup {path} can't be written: {reason}. Nothing was changed.",
    "backup.unreadable": "The backup {path} can't be read: {reason}. Nothing was changed.",
    "backup.no_file": "{path} is no file, but a folder, a device or a pipe: name a file. Nothing was changed.",
    "backup.held": "another program has kept {name} locked for {seconds:.0f} s. Nothing was changed; try again.",
    "backup.foreign": "{path} is no backup of this program: it has no manifest that can be read. Nothing was changed.",
    "backup.newer": "The backup {path} was made by a newer version ({version}), whose files this one can't read: "
                    "update first. Nothing was changed.",
    "backup.damaged": "The backup {path} is damaged: {name} in it is not what was backed up. Nothing was changed.",
    "backup.no_room": "The files in the backup {path} need more room than this disk has. Nothing was changed.",
    "backup.encrypted": "The backup {path} is encrypted: it asks for its passphrase. Nothing was changed.",
    "backup.passphrase": "The passphrase does not open the backup {path}, or the file is damaged. Nothing was changed.",
    "backup.auto_failed": "The backup by schedule was not made: {reason} Those from before are kept; the panel tries "
                          "again.",
    "backup.no_space": "it needs about {needed:,} MB, and {free:,} MB are free on the disk of the data folder.",
    "backup.unknown": "There is no backup {name!r} on this server.",
    "restore.ledger_newer": "The measurements in the backup {path} are those of a newer version ({version}): update "
                            "first. Nothing was changed.",
    "restore.invalid": "The configuration in the backup {path} is not valid:\n{problems:lines}\nNothing was changed.",
    "restore.users": "{there} {there:user|users} in the backup, {here} here",
    "restore.lost": "{names}: here, but not in the backup; they will be removed",
    "restore.tokens":
        "{names}: tokens of the API in the backup, but not here; they will be worth something again, so remove those "
        "that you have removed before",
    "restore.before": "what was here is kept in {path}",
    "restore.kept": "{field} stays as it is on this server: {value!r}, not {other!r}",
    "restore.port_taken": "{name}: port {port} is not free here ({reason}), so their link won't work until it is",
    "restore.no_name": "people's links lead to the old server's address, because {@server_domain} is not set: send "
                       "everybody their link again",
    "restore.name_leads": "people's links lead to {domain}: change its DNS records so that they lead to this server",
}
