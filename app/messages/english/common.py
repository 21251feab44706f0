"""What several rooms say."""

TEMPLATES = {
    "text": "{text}",
    "unchanged": "Nothing was changed.",
    "disk.full": "the disk is full",
    "folder.owner":
        "In {folder}, {names} belongs to another account than the panel's, as after a command that was run as root. "
        "This gives all of it back: sudo chown -R {account} {there}",
    "folder.of_compose": "the folder that DATA_DIR names",
}
