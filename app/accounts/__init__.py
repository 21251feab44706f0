"""Who may log in, how often it may be tried, sessions."""
