"""The server around the panel: backups, and what comes back from them."""
