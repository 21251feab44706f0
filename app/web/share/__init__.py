"""The page of a user, for that user: no login, no session, nothing else of the panel."""
