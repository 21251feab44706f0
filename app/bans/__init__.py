"""Who keeps coming with wrong keys: what is told to fail2ban, and what fail2ban tells. It bans, we do not."""
