"""What several rooms say."""

TEMPLATES = {
    "text": "{text}",
    "unchanged": "Nothing was changed.",
    "disk.full": "the disk is full",
    "unfinished": "{what} Applying it failed, and the panel tries again: {reason:bare}.",
    "saved.user": "Saved ({action}).",
    "saved.plan": "Saved ({action}).",
    "saved.removed": "{name} is removed from config.json.",
    "saved.settings": "The settings are saved.",
    "saved.backup": "The configuration of the backup is used from now on.",
    "saved.stopped": "Saved: all proxies are to stop.",
    "saved.started": "Saved: all proxies are to run.",
    "proxies.later": "{saved} The panel applies it as soon as it can. Currently: {reason}",
    "settings.taken_back": "{reason:bare}. The settings were not changed.",
    "ledger.unusable": "panel.db can't be used: {reason}",
    "ledger.damaged": "{name} was damaged; a new one was started",
    "update.off": "This server does not take updates from the panel. On the server: mtproto update --panel on",
    "update.newest": "{version} is the newest release.",
    "config.busy": "config.json is being changed by others all the time, so this change was not saved: try again",
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
        "somebody changed this from '{before}' to '{now}' while the page was open. Your input is kept here and was not "
        "saved: save again to overwrite their change",
    "form.empty": "empty",
    "stale.version": "{name} was changed by somebody else since this version was read: read it again",
    "stale.settings": "the settings were changed by somebody else since this version was read: read them again",
    "form.password_masked": "{mask} stands where the password is: type the password again",
    "form.empty_pool": "the list is empty, so there is nothing to check",
    "folder.owner":
        "In {folder}, {names} belong to another account than the panel's, for example after a command that was run as "
        "root. To give everything back to the panel: sudo chown -R {account} {there}",
    "folder.of_compose": "the folder that DATA_DIR names",
}
