"""What only the command line says: of how it was called, and of the panel as a program."""

TEMPLATES = {
    "usage": "{reason}",
    "system.refuses": "{reason}. Nothing was changed.",
    "ledger.refuses": "{path}: {reason}.",
    "installation.elsewhere":
        "There is no installation in {folder} (no config.json), and nothing was made there. There is one in {there}: "
        "{command}",
    "installation.none":
        "There is no installation in {folder} (no config.json), and nothing was made there. Name the folder that the "
        "panel serves: --data DIR. (A new installation is made by its first start: bash install.sh --local, or docker "
        "compose up.)",
    "first_password.gone":
        "{name} has logged in or changed the password, so the first password is no longer stored. For a new one: "
        "{command}",
    "domains.unusable": "{bad} of {count} can't be used.",
    "doctor.wrong": "{count} {count:thing is|things are} wrong.",
    "actions.failed":
        "{failed} of {count} actions failed; the panel tries them again. First: {action} {name}: {reason}",
    "probe.failed": "{name}'s link does not work: {reason}",
    "probe.some_failed": "{bad} of {count} links do not work.",
    "probe.state": "their proxy is {state}: {reason}",
    "probe.state_only": "their proxy is {state}",
    "renewal.stopped": "{name}: {reason:bare}. {count} {count:proxy keeps|proxies keep} running unchanged.",
    "setting.masked":
        "{key}: {mask} stands where the password was masked; write the password itself, or {key}=- to type it.",
    "setting.none": "There is no setting {key!r}. There are: {names}.",
    "panel.no_address": "{bind!r} is not an address of this machine; 127.0.0.1 is one.",
    "panel.port_taken": "{reason}. Stop that program, or choose another port: --port {free}",
    "panel.unusable": "{reason}.",
    "panel.no_listen": "can't listen on {bind}, port {port}: {reason}.",
    "panel.runs":
        "a panel already serves {folder} (process {pid}, {url}). Stop it first, or name another folder: --data DIR",
    "panel.foreign":
        "the panel (process {pid}) belongs to another account and still runs; as that one or as root: kill {pid}",
    "panel.does_not_end": "the panel (process {pid}) does not end. Try again: kill -9 {pid}",
    "panel.not_started": "the panel did not start. The end of {log}:\n{lines:lines}",
    "panel.wrote_nothing": "it wrote nothing",
    "panel.not_stopped": "{name} could not be stopped: {reason}",
}
