"""What several rooms say."""

TEMPLATES = {
    "text": "{text}",
    "unchanged": "Nothing was changed.",
    "disk.full": "the disk is full",
    "unfinished": "{what} What follows from it failed, and is tried again by the panel: {reason:bare}.",
    "saved.user": "It is saved ({action}).",
    "saved.removed": "{name} is removed from config.json.",
    "saved.settings": "The settings are saved.",
    "saved.backup": "The configuration of the backup is in force.",
    "saved.stopped": "It is declared that all proxies stop.",
    "saved.started": "It is declared that all proxies run.",
    "proxies.later": "{saved:bare}: the panel does it as soon as it can. Now: {reason}",
    "settings.taken_back": "{reason:bare}. The settings are as they were.",
    "ledger.unusable": "panel.db can't be used: {reason}",
    "ledger.damaged": "{name} was damaged, and is begun anew",
    "update.off": "This server does not take updates from the panel. On the server: mtproto update --panel on",
    "update.newest": "{version} is the newest release.",
    "config.busy": "others change config.json all the time, so this change was not made: try again",
    "port.taken": "port {port} is taken by another program ({owner})",
    "port.owner": "{program}, pid {pid}",
    "port.container": "the container {name}",
    "port.owner_untold": "which one, Docker does not say",
    "port.owner_hidden": "which one, only root can see",
    "port.owner_unknown": "which one, the kernel does not say",
    "port.of_root": "port {port} is reserved for root: choose one from 1024 on, or run the panel as root",
    "port.no_address": "{ip} is not an address of this machine",
    "port.unusable": "{address} can't be listened on: {reason}",
    "form.stale":
        "somebody changed this while the page was open, from {before!r} to {now!r}. What you typed is kept here and "
        "not saved: save again to overwrite theirs",
    "form.empty_pool": "the list is empty, so there is nothing to check",
    "folder.owner":
        "In {folder}, {names} belongs to another account than the panel's, as after a command that was run as root. "
        "This gives all of it back: sudo chown -R {account} {there}",
    "folder.of_compose": "the folder that DATA_DIR names",
}
